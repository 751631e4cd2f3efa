"""The lists of profiles that need a look: without identifier, with that of another profile, rejected, with warnings."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, closing
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Final, Self, TextIO

from segsync import events
from segsync.formatting import printable
from segsync.runtime import open_private, writing

WITHOUT_IDENTIFIER = "profiles-without-identifier.txt"

DUPLICATES = "duplicate-profiles.csv"

REJECTED = "rejected-profiles.csv"

WARNINGS = "profiles-with-warnings.csv"

MOST_CHARACTERS = 1000
"""The longest value that a list holds whole: real ones are far shorter."""


_COLUMNS: Final = ("segment_id", "source_id", "stage", "reason", "request_id")
"""Those of the list of rejected profiles."""


class ProfileLists:
    """The four lists, written into `directory` while the import runs.

    An import that `begins_anew` empties them once its first page is there, any other adds to them. One that
    `may_repeat` rejections adds a row for a profile that has one already. The files hold ids but no traits, only their
    owner can read them, and an empty one is removed at the end. A page's rows are on disk before its checkpoint.
    Raises `OutputError`.
    """

    def __init__(self, directory: Path, *, begins_anew: bool, may_repeat: bool = False) -> None:
        self._is_to_begin_anew = begins_anew
        with ExitStack() as stack:

            def opened(name: str, *header: str, key: int = 1, may_repeat: bool = False) -> _List:
                return stack.enter_context(closing(_List(directory / name, header, key, may_repeat=may_repeat)))

            self._without_identifier = opened(WITHOUT_IDENTIFIER)
            self._duplicates = opened(DUPLICATES, "segment_id", "same_identifier_as")
            self._rejected = opened(REJECTED, *_COLUMNS, may_repeat=may_repeat)
            self._warnings = opened(WARNINGS, *events.TraitLeftOut.__struct_fields__, key=2)
            self._all = (self._without_identifier, self._duplicates, self._rejected, self._warnings)
            self._close = stack.pop_all().close

    def write(self, event: events.Event) -> None:
        """Take an event of the import."""
        match event:
            case events.PageListed() if self._is_to_begin_anew:
                self._is_to_begin_anew = False
                for each in self._all:
                    each.clear()
            case events.ProfileWithoutIdentifier(segment_id):
                self._without_identifier.add(segment_id)
            case events.DuplicateIdentifier(segment_id, _, other):
                self._duplicates.add(segment_id, other)
            case events.ProfileRejected(rejection):
                self._rejected.add(*(getattr(rejection, column) or "" for column in _COLUMNS))
            case events.TraitLeftOut(segment_id, trait, problem):
                self._warnings.add(segment_id, trait, problem)
            case events.PageDone() | events.ActionEnded():
                for each in self._all:
                    each.flush()

    def keep_rejected(self, segment_ids: Iterable[str]) -> None:
        """Leave just these profiles in the list of rejected ones, each with its last row."""
        self._rejected.keep(set(map(_one_line, segment_ids)).__contains__)

    def drop_rejected(self, segment_ids: Iterable[str]) -> None:
        """Take these profiles off the list of rejected ones."""
        dropped = set(map(_one_line, segment_ids))
        self._rejected.keep(lambda segment_id: segment_id not in dropped)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._close()


class _List:
    """One file: a value per line, or CSV with a `header`.

    Rows with the same first `key` columns are the same: one that was there at the beginning is not added once more,
    unless rows `may_repeat`.
    """

    REMEMBERED_BYTES = 1 << 20
    """A resume repeats only the last pages of the import before it, so only rows at the end of a file can repeat."""

    def __init__(self, path: Path, header: tuple[str, ...], key: int, *, may_repeat: bool) -> None:
        self._path = path
        self._header = header
        self._key = key
        self._may_repeat = may_repeat
        with writing(path):
            self._remember(self._rows_at_the_end())
            self._file = _opened(path, os.O_APPEND)
            self._is_empty = path.stat().st_size == 0

    def clear(self) -> None:
        with writing(self._path):
            self._file.truncate(0)
        self._remember(())
        self._is_empty = True

    def add(self, *row: str) -> None:
        row = tuple(map(_one_line, row))
        if row[: self._key] in self._seen:
            return
        with writing(self._path):
            if self._header:
                _write_csv(self._file, [self._header, row] if self._is_empty else [row])
            else:
                self._file.write(f"{row[0]}\n")
        self._is_empty = False

    def keep(self, is_kept: Callable[[str], bool]) -> None:
        """Keep the rows whose first columns are these, the last one of each, and no others."""
        self.flush()
        new = self._path.with_name(f"{self._path.name}.new")
        with writing(self._path):
            # Somebody may have saved it from a spreadsheet: what is not UTF-8 then stays as it is.
            with self._path.open(encoding="utf-8", errors="surrogateescape", newline="") as old:
                rows = [row for line in old if (row := _row(line))][1:]
            last = {row[0]: row for row in rows if is_kept(row[0])}
            with _opened(new, os.O_TRUNC) as file:
                _write_csv(file, [self._header, *last.values()] if last else [])
            new.replace(self._path)
            self._file.close()
            self._file = _opened(self._path, os.O_APPEND)
        self._remember(last.values())
        self._is_empty = not last

    def flush(self) -> None:
        with writing(self._path):
            self._file.flush()

    def close(self) -> None:
        with writing(self._path):
            self._file.close()
            if self._is_empty:
                self._path.unlink(missing_ok=True)

    def _remember(self, rows: Iterable[Sequence[str]]) -> None:
        self._seen = set() if self._may_repeat else {tuple(row[: self._key]) for row in rows}

    def _rows_at_the_end(self) -> list[list[str]]:
        """The last rows. A line that a full disk cut off is removed: its page was not done, so the row comes again."""
        if not self._path.exists():
            return []
        with self._path.open("r+b") as file:
            start = max(0, file.seek(0, os.SEEK_END) - self.REMEMBERED_BYTES)
            file.seek(start)
            end = file.read()
            whole = end[: end.rfind(b"\n") + 1]
            file.truncate(start + len(whole))
        lines = whole.decode("utf-8", errors="replace").splitlines()
        # Line by line: no value has a line break, and a quote that is not closed must not swallow what follows.
        return [_row(line) if self._header else [line] for line in lines]


def _opened(path: Path, flags: int) -> TextIO:
    """A list to write. What a spreadsheet left in it that is not UTF-8 is written as it was read."""
    descriptor = open_private(path, os.O_WRONLY | flags)
    return os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape", newline="")


def _row(line: str) -> list[str]:
    try:
        return next(csv.reader([line]), [])
    except csv.Error:  # more than 128 KB in a field: something else wrote that
        return line.rstrip("\r\n").split(",")


def _write_csv(file: TextIO, rows: Iterable[Sequence[str]]) -> None:
    csv.writer(file, lineterminator="\n").writerows(rows)


@lru_cache(maxsize=256)  # traits, problems and reasons come again and again
def _one_line(value: str) -> str:
    """The value without what would break a line, or make a spreadsheet run it as a formula; not too long for one."""
    if len(value) > MOST_CHARACTERS:
        whole = blake2b(value.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
        value = f"{value[:MOST_CHARACTERS]}… {whole}"
    # Two values never become the same: backslashes and quotes that were there differ from those put there.
    shown = printable(value.replace("\\", r"\\"))
    return f"'{shown}" if shown.startswith(("=", "+", "-", "@", "'")) else shown
