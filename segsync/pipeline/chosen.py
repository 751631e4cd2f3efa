"""The profiles of `--ids FILE`: which ids the file holds, and the pages of them.

The file has a segment id per line, or is a list that segsync wrote, as it is or as a spreadsheet saved it.
"""

from __future__ import annotations

import re
import sqlite3
import sys
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Final, NamedTuple

from segsync.errors import OutputError, SettingsError
from segsync.models import Page
from segsync.options import STANDARD_INPUT, ids_in_words
from segsync.report.list_writer import MOST_CHARACTERS
from segsync.report.table_text import AROUND, DELIMITERS, NotTextError, cells, folded, is_beside_rows, lines_of

PROFILES_PER_PAGE = 100

_COLUMN: Final = "segmentid"
"""The name of the column, without its case and what stands between its words."""

_ESCAPE = re.compile(r"\\(?:\\|[nrt]|x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})")

_CUT_OFF = re.compile(r"… [0-9a-f]{16}\Z")

_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")


class ChosenIds:
    """Segment ids, each once, in the order in which they were given.

    They are in a temporary file without a name, so memory does not grow with them. `name` says where they come from,
    `count` is how many there are. Raises what `ids` raises, and `OutputError` where the disk has no room.
    """

    def __init__(self, ids: Iterable[str], name: str = "") -> None:
        self.name = name
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        try:
            with _room_for(name):
                self._fill(ids)
        except BaseException:
            self.close()
            raise

    def _fill(self, ids: Iterable[str]) -> None:
        self._db.execute("PRAGMA cache_size=-8192")  # KiB
        self._db.execute(
            "CREATE TABLE ids (number INTEGER PRIMARY KEY, segment_id TEXT NOT NULL UNIQUE, is_unknown INTEGER)"
        )
        self._db.execute("BEGIN")
        self._db.executemany("INSERT OR IGNORE INTO ids (segment_id) VALUES (?)", ((each,) for each in ids))
        self._db.execute("COMMIT")
        [(self.count,)] = self._db.execute("SELECT count(*) FROM ids").fetchall()

    async def pages(self) -> AsyncGenerator[Page, None]:
        """All of them. The cursor of a page is how many ids are before it."""
        for first in range(0, self.count, PROFILES_PER_PAGE):
            last = min(first + PROFILES_PER_PAGE, self.count)
            rows = self._db.execute("SELECT segment_id FROM ids WHERE number > ? AND number <= ?", (first, last))
            ids = tuple(segment_id for (segment_id,) in rows)
            yield Page(str(first), ids, None if last == self.count else str(last))

    def mark_unknown(self, segment_id: str) -> None:
        """The source knows no profile of this id."""
        with _room_for(self.name):
            self._db.execute("UPDATE ids SET is_unknown = 1 WHERE segment_id = ?", (segment_id,))

    def unknown(self) -> Iterator[str]:
        """The ids of which the source knows no profile, in their order."""
        for (segment_id,) in self._db.execute("SELECT segment_id FROM ids WHERE is_unknown ORDER BY number"):
            yield segment_id

    def close(self) -> None:
        self._db.close()


@contextmanager
def chosen(path: Path | None) -> Iterator[ChosenIds | None]:
    """The ids of `--ids FILE`, for as long as this is open; None without a file. Raises as `ids_in` and `ChosenIds`."""
    if path is None:
        yield None
        return
    with closing(ChosenIds(ids_in(path), str(path))) as ids:
        if not ids.count:
            raise SettingsError([f"--ids {ids_in_words(str(path))} holds no Segment ids"], code="ids-missing")
        yield ids


def ids_in(path: Path) -> Iterator[str]:
    """The segment ids of a file, or of standard input, in their order; one may be there several times.

    Raises `SettingsError` where it cannot be read, is not text, or has a line that is not about a segment id; the
    message names the line, and not what it says.
    """
    is_standard_input = str(path) == STANDARD_INPUT
    try:
        with nullcontext(sys.stdin.buffer) if is_standard_input else path.open("rb") as file:
            yield from _ids(path, lines_of(file))
    except NotTextError as error:
        raise _problem_in(path, error.line, "not text in UTF-8 or UTF-16") from None
    except OSError as error:
        problem = f"--ids {ids_in_words(str(path))} cannot be read: {error.strerror}"
        raise SettingsError([problem], code="ids-unreadable") from None


class _Table(NamedTuple):
    """How the rows of a file are read: its delimiter, and the column of the ids, None without a header."""

    delimiter: str
    column: int | None


def _ids(path: Path, lines: Iterable[str]) -> Iterator[str]:
    table: _Table | None = None
    for number, line in enumerate(lines, 1):
        if is_beside_rows(line):
            continue
        if table is None:
            table = _table(line)
            if table.column is not None:
                continue
        cell = _plain(line) if table.column is None else _cell(line, table)
        if _is_header(cell):
            continue  # files were joined
        problem = _problem_of(cell, may_have_spaces=table.column is not None)
        segment_id = unescaped(cell)
        if problem or not _is_utf_8(segment_id):
            raise _problem_in(path, number, problem or "an id with half a character")
        yield segment_id


def _table(line: str) -> _Table:
    """What the first line that is not blank says."""
    for delimiter in DELIMITERS:
        are_headers = [_is_header(cell) for cell in cells(line, delimiter)]
        if any(are_headers):
            return _Table(delimiter, are_headers.index(True))
    return _Table(",", None)


def _is_header(cell: str) -> bool:
    return folded(cell) == _COLUMN


def _plain(line: str) -> str:
    """The value of a line without columns: spreadsheets put quotes around it, or delimiters of empty cells behind."""
    value = line.strip(AROUND).rstrip(DELIMITERS).strip(AROUND)
    return next(iter(cells(value, ",")), "").strip() if value.startswith('"') and value.endswith('"') else value


def _cell(line: str, table: _Table) -> str:
    row = cells(line, table.delimiter)
    return row[table.column or 0].strip(AROUND) if len(row) > (table.column or 0) else ""


def _problem_of(cell: str, *, may_have_spaces: bool) -> str:
    """Why this is not the segment id of a list or of a line; empty where it is."""
    if not cell:
        return "no Segment id"
    if not cell.isprintable():
        return "not text in UTF-8 or UTF-16"
    if _ADDRESS.fullmatch(cell):
        return "an e-mail address instead of a Segment id"
    if len(cell) > MOST_CHARACTERS and _CUT_OFF.search(cell):
        return f"an id of more than {MOST_CHARACTERS:,} characters, of which the list holds only these"
    if not may_have_spaces and any(sign in cell for sign in DELIMITERS):
        return "several columns, and none is named segment_id in the first line"
    return "several words instead of a Segment id" if not may_have_spaces and " " in cell else ""


def unescaped(cell: str) -> str:
    """A value as it was before a list of profiles made one safe line of it."""
    if cell[:1] == "'" and cell[1:2] in ("=", "+", "-", "@", "'"):
        cell = cell[1:]
    return _ESCAPE.sub(lambda found: found[0].encode().decode("unicode_escape"), cell)


def _is_utf_8(text: str) -> bool:
    try:
        return bool(text.encode())
    except UnicodeEncodeError:
        return False


def _problem_in(path: Path, line: int, what: str) -> SettingsError:
    where = f"--ids {ids_in_words(str(path))}, line {line}"
    problem = f"{where}: {what}. Give one Segment id per line, or a list that segsync wrote"
    return SettingsError([problem], code="ids-invalid")


@contextmanager
def _room_for(name: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        what = f"The temporary file for the ids of {name or 'this import'}"
        raise OutputError(f"{what} cannot be written: {error}", code="file-unwritable") from None
