"""What the list of rejected profiles has and the ledger has not: source ids, and the services' own words.

Both may be personal, so no ledger holds them. They are known to the process that rejects a profile, and afterwards to
the list that it wrote.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from itertools import filterfalse
from pathlib import Path
from typing import NamedTuple

from segsync.ledger.sqlite_file import errors_in_words
from segsync.report.profile_lists import WORDS
from segsync.report.table_text import AROUND, DELIMITERS, NotTextError, cells, folded, is_beside_rows, lines_of


class Key(NamedTuple):
    """One rejection, as the list shows it: the same profile may be rejected again, and for another reason."""

    segment_id: str
    stage: str
    reason: str
    request_id: str


class UnreadableListError(ValueError):
    """What is in the place of the list of rejected profiles is something else, or was saved as something else."""


class RejectionDetails:
    """The details of rejections, as the list shows them.

    They are in a temporary database that nobody else can open, and that is gone with this object: there can be more of
    them than memory should hold.
    """

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=OFF")
        columns = ", ".join(f"{name} TEXT NOT NULL" for name in (*Key._fields, "source_id", "words"))
        self._db.execute(f"CREATE TABLE details ({columns}, PRIMARY KEY ({', '.join(Key._fields)})) WITHOUT ROWID")

    def add(self, key: Key, *, source_id: str = "", words: str = "") -> None:
        """Keep what is known of a rejection; what was known before stays where nothing else is given.

        Raises `OutputError` where the disk for temporary files is full.
        """
        with errors_in_words(None):
            self._db.execute(
                "INSERT INTO details VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
                "source_id = iif(excluded.source_id = '', source_id, excluded.source_id), "
                "words = iif(excluded.words = '', words, excluded.words)",
                (*key, source_id, words),
            )

    def of(self, key: Key) -> tuple[str, str]:
        """The source id and the words of a rejection, "" for what is not known."""
        row = self._db.execute(
            "SELECT source_id, words FROM details WHERE (segment_id, stage, reason, request_id) = (?, ?, ?, ?)", key
        ).fetchone()
        return row or ("", "")

    def have_words(self) -> bool:
        """Whether the services' own words are known of any rejection."""
        return bool(self._db.execute("SELECT EXISTS (SELECT 1 FROM details WHERE words != '')").fetchone()[0])

    def carry_over(self, path: Path) -> None:
        """Keep what the list at `path` has, where nothing is known of a rejection.

        Somebody may have sorted, cut or saved it in a spreadsheet: a line that cannot be read is left out. Raises
        `UnreadableListError` where it is there and is no such list, and `OSError`.
        """
        self._db.executemany(
            "INSERT INTO details VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "source_id = iif(source_id = '', excluded.source_id, source_id), "
            "words = iif(words = '', excluded.words, words)",
            _details_in(path),
        )

    def close(self) -> None:
        self._db.close()


def _details_in(path: Path) -> Iterator[tuple[str, ...]]:
    """The details in a list, each behind its key; none where it is not there."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        try:
            yield from _details(lines_of(file))
        except NotTextError as error:
            raise UnreadableListError(str(error)) from None


def _details(lines: Iterable[str]) -> Iterator[tuple[str, ...]]:
    delimiter, columns = "", list[str]()
    for line in filterfalse(is_beside_rows, map(_text, lines)):
        if not columns:
            delimiter, columns = _header(line)
            continue
        row = dict(zip(columns, cells(line, delimiter), strict=False))
        source_id, words = row.get("source_id", ""), row.get("words", "")
        if (source_id or words) and {*Key._fields} <= row.keys():
            yield (*(row[name] for name in Key._fields), source_id, words)


def _header(line: str) -> tuple[str, list[str]]:
    """The delimiter of a list and the names of its columns, as segsync writes them."""
    names = {folded(name): name for name in (*Key._fields, "source_id", WORDS)}
    for delimiter in DELIMITERS:
        columns = [names.get(folded(cell.strip(AROUND)), cell) for cell in cells(line, delimiter)]
        if {*Key._fields} <= {*columns}:
            return delimiter, columns
    raise UnreadableListError("its first line does not name the columns")


def _text(line: str) -> str:
    """A line as it was written: spreadsheets that do not save UTF-8 save the code page of Western Windows."""
    try:
        line.encode()
    except UnicodeEncodeError:
        return line.encode("utf-8", "surrogateescape").decode("cp1252", "replace")
    return line
