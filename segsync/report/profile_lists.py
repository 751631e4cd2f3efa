"""The files that a run leaves: they name the profiles that need a look, by their ids alone."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from functools import lru_cache
from hashlib import blake2b
from io import StringIO
from pathlib import Path
from types import TracebackType
from typing import Self

from segsync.errors import OutputError
from segsync.events import (
    ActionEnded,
    Event,
    PageDone,
    PageListed,
    ProfileRejected,
    ProfileWithoutIdentifier,
    TraitLeftOut,
)
from segsync.formatting import printable

WITHOUT_IDENTIFIER = "profiles-without-identifier.txt"

REJECTED = "rejected-profiles.csv"

WARNINGS = "profiles-with-warnings.csv"

MOST_CHARACTERS = 1000
"""Of a value: real ones are far shorter."""


class ProfileLists:
    """The three files that name profiles, written while the import runs, in `directory`.

    An import that `begins_anew` does so with them once its first page is there, any other adds to them; one that
    `may_repeat` rejections says them anew.
    They are readable by their owner alone, hold ids but no traits, and one with nothing to say is not left
    behind. A page's lines are on disk before the page counts as settled. Raises `OutputError`.
    """

    def __init__(self, directory: Path, *, begins_anew: bool, may_repeat: bool = False) -> None:
        self._is_to_begin_anew = begins_anew
        self._may_repeat = may_repeat
        with ExitStack() as stack:

            def opened(name: str, *header: str, key: int = 1) -> _Lines:
                lines = _Lines(directory / name, header=header, key=key)
                stack.callback(lines.close)
                return lines

            self._without_identifier = opened(WITHOUT_IDENTIFIER)
            self._rejected = opened(REJECTED, "segment_id", "source_id", "stage", "reason", "request_id")
            self._warnings = opened(WARNINGS, "segment_id", "trait", "problem", key=2)
            if may_repeat:
                self._rejected.forget()
            self._all = (self._without_identifier, self._rejected, self._warnings)
            self._close = stack.pop_all().close

    def write(self, event: Event) -> None:
        """Take an event of the import."""
        match event:
            case PageListed() if self._is_to_begin_anew:
                self._is_to_begin_anew = False
                for lines in self._all:
                    lines.clear()
            case ProfileWithoutIdentifier(segment_id):
                self._without_identifier.add(segment_id)
            case ProfileRejected(rejected):
                self._rejected.add(
                    rejected.segment_id,
                    rejected.source_id or "",
                    rejected.stage,
                    rejected.reason,
                    rejected.request_id or "",
                )
            case TraitLeftOut(segment_id, trait, problem):
                self._warnings.add(segment_id, trait, problem)
            case PageDone() | ActionEnded():
                for lines in self._all:
                    lines.flush()

    def keep_rejected(self, segment_ids: Iterable[str]) -> None:
        """Leave just these profiles in the list of the rejected ones, each with what was said of it last."""
        kept = set(map(_one_line, segment_ids))
        self._rejected.keep(kept.__contains__)
        if self._may_repeat:
            self._rejected.forget()

    def tidy_rejected(self) -> None:
        """Name each rejected profile once, with what was said of it last."""
        self._rejected.keep(lambda _: True)

    def drop_rejected(self, segment_ids: Iterable[str]) -> None:
        """Take these profiles off the list of the rejected ones."""
        dropped = set(map(_one_line, segment_ids))
        self._rejected.keep(lambda segment_id: segment_id not in dropped)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close()


class _Lines:
    """One file: a value a line, or CSV where there is a `header`, whose first `key` columns tell rows apart."""

    REMEMBERED_BYTES = 1 << 20
    """A resume repeats only the last pages of the import before it, so only the end of a file can come again."""

    def __init__(self, path: Path, *, header: tuple[str, ...] = (), key: int = 1) -> None:
        self._path = path
        self._header = header
        self._key = key
        self._has_failed = False
        try:
            self._seen = self._keys_at_the_end()
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            self._file = os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8", newline="")
            path.chmod(0o600)  # one that was there before may be open to all
            self._is_empty = path.stat().st_size == 0
        except OSError as error:
            raise self._unwritable(error) from None

    def clear(self) -> None:
        try:
            self._file.truncate(0)
        except OSError as error:
            raise self._unwritable(error) from None
        self._seen.clear()
        self._is_empty = True

    def forget(self) -> None:
        """What is in the file already may be added once more."""
        self._seen.clear()

    def add(self, *row: str) -> None:
        row = tuple(_one_line(value) for value in row)
        if row[: self._key] in self._seen:
            return
        try:
            if self._is_empty and self._header:
                self._file.write(_csv_line(self._header))
            self._file.write(_csv_line(row) if self._header else f"{row[0]}\n")
        except OSError as error:
            raise self._unwritable(error) from None
        self._is_empty = False

    def keep(self, is_kept: Callable[[str], bool]) -> None:
        """Keep the rows with these first columns, the last one of each, and no others."""
        self.flush()
        new = self._path.with_name(f"{self._path.name}.new")
        try:
            # Somebody may have saved it from a spreadsheet: what is no UTF-8 then stays as it is.
            with self._path.open(encoding="utf-8", errors="surrogateescape", newline="") as old:
                rows = [row for line in old if (row := _row(line))][1:]
            last = {row[0]: row for row in rows if is_kept(row[0])}
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
                file.writelines(map(_csv_line, [self._header, *last.values()] if last else ()))
            new.replace(self._path)
            self._file.close()
            self._file = self._path.open("a", encoding="utf-8", newline="")
        except OSError as error:
            raise self._unwritable(error) from None
        self._seen = {row[: self._key] for row in map(tuple, last.values())}
        self._is_empty = not last

    def flush(self) -> None:
        try:
            self._file.flush()
        except OSError as error:
            raise self._unwritable(error) from None

    def close(self) -> None:
        """Raises `OutputError`, but not again what `add` or `flush` raised."""
        if self._has_failed:
            with suppress(OSError):
                self._file.close()
            return
        try:
            self._file.close()
            if self._is_empty:
                self._path.unlink(missing_ok=True)
        except OSError as error:
            raise self._unwritable(error) from None

    def _keys_at_the_end(self) -> set[tuple[str, ...]]:
        """Those of the last lines. What a full disk cut off is removed: its page was not settled, it comes again."""
        if not self._path.exists():
            return set()
        with self._path.open("r+b") as file:
            start = max(0, file.seek(0, os.SEEK_END) - self.REMEMBERED_BYTES)
            file.seek(start)
            end = file.read()
            whole = end[: end.rfind(b"\n") + 1]
            file.truncate(start + len(whole))
        lines = whole.decode("utf-8", errors="replace").splitlines()
        # Line by line: no value has a line break, and a quote that is not closed must not swallow what follows.
        rows = [_row(line) if self._header else [line] for line in lines]
        return {tuple(row[: self._key]) for row in rows}

    def _unwritable(self, error: OSError) -> OutputError:
        self._has_failed = True
        return OutputError(f"{self._path} cannot be written: {error.strerror}")


def _row(line: str) -> list[str]:
    try:
        return next(csv.reader([line]), [])
    except csv.Error:  # more than 128 KB in a field: something else wrote that
        return line.rstrip("\r\n").split(",")


def _csv_line(row: Sequence[str]) -> str:
    line = StringIO()
    csv.writer(line, lineterminator="\n").writerow(row)
    return line.getvalue()


@lru_cache(maxsize=256)  # traits, problems and reasons come again and again
def _one_line(value: str) -> str:
    """The value without what would break a line, or make a spreadsheet run it as a formula; not too long for one."""
    if len(value) > MOST_CHARACTERS:
        whole = blake2b(value.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
        value = f"{value[:MOST_CHARACTERS]}… {whole}"
    # Two values never become the same: backslashes and quotes that were there are told from those put there.
    shown = printable(value.replace("\\", r"\\"))
    return f"'{shown}" if shown.startswith(("=", "+", "-", "@", "'")) else shown
