"""The tables, and the way from an older format to the newest one; a copy of the old file stays beside it.

Format 1 belonged to a Segment space. Of single profiles it knew only the rejected ones and those of open bulk upserts.
Format 2 did not know who was on a page, nor which identifiers an import had sent. Format 3 did not know with which
flags an import was called, and of no check; nor had it runs of given ids.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from importlib.resources import files
from itertools import count
from pathlib import Path

from segsync.errors import LedgerError
from segsync.ledger.profiles import ProfileOutcome
from segsync.ledger.sqlite_file import make

FORMAT = 4
"""Raised when the tables change, with a step in `migrate`."""

READABLE = 2
"""The oldest format that has all that a reader asks for, but for what `stand_in` makes."""

SOURCE_OF_FORMAT_1 = "Segment"
"""The name of the only source that there was; the owner of the ledger was its space."""

_NEWER_TABLES = {
    "unfinished": "run, difference",
    "codes": "stage, reason, code",
    "flags": "run, words",
    "runs_of_ids": "run, ids_from",
}
"""The tables that readers ask for and ledgers of a readable format may lack, with their columns."""

_REMADE = ("owner", "runs", "batches")
"""The tables of format 1 whose columns or values have changed."""


def create_tables(db: sqlite3.Connection) -> None:
    """Make the tables that are not there yet."""
    for statement in (files("segsync.ledger") / "schema.sql").read_text(encoding="utf-8").split(";"):
        db.execute(statement)


def format_of(db: sqlite3.Connection, path: Path | None) -> int:
    """The format of a ledger. Raises `LedgerError` where it is newer than this segsync."""
    [(number,)] = db.execute("PRAGMA user_version").fetchall()
    if number > FORMAT:
        raise LedgerError(
            f"The ledger {path} was written by a newer segsync (format {number}, this one knows {FORMAT}). Update "
            "segsync, or choose another file: --ledger FILE",
            code="ledger-newer",
        )
    return int(number)


def back_up(db: sqlite3.Connection, path: Path) -> Path:
    """Copy a ledger, with what is still in its log, to a private file beside it; no file is replaced."""
    backup = next(free for free in _names(path) if not free.exists())
    new = backup.with_name(f"{backup.name}.new")
    new.unlink(missing_ok=True)  # of a process that was killed while it copied
    make(new)
    with closing(sqlite3.connect(new)) as copy:
        db.backup(copy)
    return new.replace(backup)


def migrate(db: sqlite3.Connection, *, host: str) -> None:
    """Bring the tables to the newest format, within the caller's transaction. `host` is where customers go."""
    if format_of(db, None) == 1:
        _remake_format_1(db, host)
    create_tables(db)
    db.execute(f"PRAGMA user_version={FORMAT}")


def _remake_format_1(db: sqlite3.Connection, host: str) -> None:
    columns = {name for _, name, *_ in db.execute("PRAGMA table_info(runs)")}
    expected = "expected" if "expected" in columns else "NULL"  # the first ledgers had no such column
    [(space_id, project, opened_at)] = db.execute("SELECT space_id, project, opened_at FROM owner").fetchall()
    db.execute("DROP INDEX batches_in_state")
    for table in _REMADE:
        db.execute(f"ALTER TABLE {table} RENAME TO old_{table}")
    create_tables(db)
    db.execute("INSERT INTO owner VALUES (?, ?, ?)", (host, project, opened_at))
    db.execute(
        "INSERT INTO runs SELECT id, begun_at, ended_at, state, ?, ?, first_cursor, has_listed, "  # noqa: S608 - a column
        f"late_without_identifier, error, {expected} FROM old_runs",
        (SOURCE_OF_FORMAT_1, space_id),
    )
    db.execute(
        "INSERT INTO batches SELECT id, run, action_id, attempt, CASE state WHEN 'again' THEN 'replay' ELSE state END, "
        "sent_at, sent, customers, first_page, last_page, spread, members FROM old_batches"
    )
    db.execute(
        "INSERT OR IGNORE INTO profiles (segment_id, outcome) SELECT segment_id, ? FROM rejections",
        (ProfileOutcome.REJECTED,),
    )
    for table in _REMADE:
        db.execute(f"DROP TABLE old_{table}")


def stand_in(db: sqlite3.Connection) -> None:
    """Give this connection, and not the file, empty tables for those that an older segsync did not make."""
    there = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
    for name, columns in _NEWER_TABLES.items():
        if name not in there:
            db.execute(f"CREATE TEMP TABLE {name} ({columns})")


def migrated_copy(db: sqlite3.Connection) -> sqlite3.Connection:
    """The same ledger in the newest format, in memory: for a reader, who changes nothing."""
    copy = sqlite3.connect(":memory:", isolation_level=None)
    db.backup(copy)
    migrate(copy, host="")
    return copy


def _names(path: Path) -> Iterator[Path]:
    """segsync.db.bak, segsync.db.bak2, …"""
    yield Path(f"{path}.bak")
    yield from (Path(f"{path}.bak{number}") for number in count(2))
