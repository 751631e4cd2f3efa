"""Writes the lists of profiles from the ledger.

The ledger is the truth, and a list is a copy of what it holds now: it is written as a whole, at every stop of an import
and by `status`. So none is behind or cut off for long, whoever opened, changed or deleted the one before.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from functools import lru_cache
from glob import escape
from hashlib import blake2b
from itertools import chain, count
from pathlib import Path
from sqlite3 import Connection
from tempfile import NamedTemporaryFile
from typing import Final

from segsync.errors import LedgerError, OutputError
from segsync.formatting import printable
from segsync.ledger import profiles, runs, sqlite_file
from segsync.ledger.rejections import IS_DUPLICATE, holder_of, unresolved
from segsync.models import Rejection
from segsync.options import from_here
from segsync.report.profile_lists import DUPLICATES, HEADERS, REJECTED, WARNINGS, WITHOUT_IDENTIFIER, WORDS, list_path
from segsync.report.rejection_details import Key, RejectionDetails, UnreadableListError
from segsync.runtime import cannot_write

_NEW: Final = ".segsync-new"
"""How the name of a list ends while it is written."""

MOST_CHARACTERS: Final = 1000
"""The longest value that a list holds whole: real ones are far shorter."""


class ProfileLists:
    """The lists of the ledger at `ledger` (None for a temporary one), in `directory`.

    They hold ids but no traits, and only their owner can read them. What this process knows of its rejections and the
    ledger does not hold is added to the list of rejected profiles: source ids, and the services' own words if it
    `shows_values`. What the list on disk has of the same rejections stays.
    """

    def __init__(self, directory: Path, ledger: Path | None, *, shows_values: bool = False) -> None:
        self._directory = directory
        self._ledger = ledger
        self.shows_values = shows_values
        self._details = RejectionDetails()
        self.notes: list[str] = []
        """A sentence for each file that was in the place of a list and is kept under another name."""

    def path(self, name: str) -> Path:
        """The file of the list that is usually named so."""
        return list_path(name, self._directory, self._ledger)

    def keep(self, rejection: Rejection, words: str | None = None) -> None:
        """Keep what the ledger does not hold of a rejection; `words` are the service's own, not redacted."""
        self._details.add(
            _key(rejection.segment_id, rejection.stage, rejection.reason, rejection.request_id),
            source_id=one_line(rejection.source_id or ""),
            words=one_line(words or "") if self.shows_values else "",
        )

    def write(self, db: Connection) -> tuple[str, ...]:
        """Write all lists as this process's ledger stands; a sentence for each that cannot be written."""
        return self.write_from(lambda: nullcontext(db))

    def write_from(self, looking: Callable[[], AbstractContextManager[Connection]]) -> tuple[str, ...]:
        """Write all lists as the ledger stands when it is looked at, and remove empty ones.

        Gives a sentence for each that cannot be written. Each takes the place of the one before at once, when it is on
        disk. Processes that write lists of the same ledger take turns, so the last one to write them has looked last.
        Raises what `looking` raises.
        """
        try:
            with self._turn(), looking() as db:
                given = self._ids_to_give_again(db)
                problems = [self._replace(name, db) for name in HEADERS if os.path.realpath(self.path(name)) != given]
        except (LedgerError, OutputError) as error:
            return (f"The lists of profiles cannot be written: {error}",)
        return tuple(filter(None, problems))

    def close(self) -> None:
        """Forget what was kept."""
        self._details.close()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if self._ledger is None:
            yield
            return
        with sqlite_file.errors_in_words(self._ledger):
            seconds = sqlite_file.FOREIGN_LOCK_SECONDS
            lock = sqlite_file.locked(self._ledger, timeout_seconds=seconds, suffix=sqlite_file.LISTS_LOCK)
        with closing(lock):
            yield

    def _ids_to_give_again(self, db: Connection) -> str | None:
        """The file whose ids have to be given again: where it is a list, that may be all that names them."""
        run = runs.ids_left(db)
        return (
            os.path.realpath(from_here(run.ids_from, self._ledger)) if run and run.ids_from and self._ledger else None
        )

    def _replace(self, name: str, db: Connection) -> str | None:
        path = self.path(name)
        try:
            for leftover in path.parent.glob(f".{escape(path.name)}.*{_NEW}"):  # of a process that was killed
                leftover.unlink(missing_ok=True)
            rows = self._rows(name, db)
            if (first := next(rows, None)) is not None:
                columns = HEADERS[name]
                _write(path, (*columns, WORDS) if len(first) > len(columns) > 0 else columns, chain([first], rows))
            elif path.is_file():
                path.unlink()
        except OSError as error:
            return cannot_write(path, error)
        return None

    def _rows(self, name: str, db: Connection) -> Iterator[Sequence[str]]:
        """The rows of a list, as they are shown."""
        if name == WITHOUT_IDENTIFIER:
            return ([one_line(segment_id)] for segment_id in profiles.without_identifier(db))
        if name == DUPLICATES:
            found = unresolved(db, IS_DUPLICATE)
            return ([one_line(each.segment_id), one_line(holder_of(each))] for each in found)
        if name == WARNINGS:
            return ([*map(one_line, warning)] for warning in profiles.warnings(db))
        return self._rejected(db)

    def _rejected(self, db: Connection) -> Iterator[Sequence[str]]:
        """With the services' own words in a last column, if any are known."""
        self._carry_over_details()
        has_words = self._details.have_words()
        for letter in unresolved(db):
            key = _key(letter.segment_id, letter.stage, letter.reason, letter.request_id)
            source_id, words = self._details.of(key)
            row = (key.segment_id, source_id, key.stage, key.reason, key.request_id)
            yield (*row, words) if has_words else row

    def _carry_over_details(self) -> None:
        """Keep what the list on disk has; one that cannot be read may be all that is left of it, and is kept whole."""
        path = self.path(REJECTED)
        try:
            self._details.carry_over(path)
        except UnreadableListError as error:
            kept = next(free for free in _backups(path) if not free.exists())
            path.rename(kept).chmod(0o600)
            self.notes.append(
                f"{path} cannot be read: {error}. It is now {kept}, and the new list has none of its source ids and "
                "words. Delete it when you do not need it: it may hold personal data"
            )


def _backups(path: Path) -> Iterator[Path]:
    yield path.with_name(f"{path.name}.bak")
    yield from (path.with_name(f"{path.name}.bak{number}") for number in count(2))


def _key(segment_id: str, stage: str, reason: str, request_id: str | None) -> Key:
    return Key(*map(one_line, (segment_id, stage, reason, request_id or "")))


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Replace a list, or leave what was there before; its owner alone may read it. Raises `OSError`."""
    with NamedTemporaryFile(
        "w", prefix=f".{path.name}.", suffix=_NEW, dir=path.parent, delete=False, encoding="utf-8", newline=""
    ) as file:
        new = Path(file.name)
        try:
            if header:
                csv.writer(file, lineterminator="\n").writerows(chain([header], rows))
            else:
                file.writelines(f"{value}\n" for (value,) in rows)
            file.flush()
            os.fsync(file.fileno())
            new.replace(path)
        except BaseException:
            new.unlink(missing_ok=True)
            raise


@lru_cache(maxsize=256)  # traits, problems and reasons come again and again
def one_line(value: str) -> str:
    """The value without what would break a line, or make a spreadsheet run it as a formula; not too long for one."""
    if len(value) > MOST_CHARACTERS:
        whole = blake2b(value.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
        value = f"{value[:MOST_CHARACTERS]}… {whole}"
    # Two values never become the same: backslashes and quotes that were there differ from those put there.
    shown = printable(value.replace("\\", r"\\"))
    return f"'{shown}" if shown.startswith(("=", "+", "-", "@", "'")) else shown
