"""Another program, such as a backup, locks the ledger: that is waited for, and it is not called another segsync."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Timer

import pytest

from segsync.errors import LedgerError, OutputError
from segsync.ledger import database, runs, sqlite_file
from segsync.ledger.database import Ledger
from tests.support.ledgers import begin, open_ledger
from tests.unit.ledger.filled import SOURCE, ids_of_runs


class Backup:
    """Another program with a lock on the ledger."""

    def __init__(self, path: Path) -> None:
        self.db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)

    def hold(self) -> None:
        self.db.execute("BEGIN EXCLUSIVE")

    def end(self) -> None:
        self.db.execute("COMMIT")


@pytest.fixture
def backup(path: Path) -> Iterator[Backup]:
    open_ledger(path).close()
    backup = Backup(path)
    with closing(backup.db):
        yield backup


def test_at_the_start_it_is_waited_for(path: Path, backup: Backup, monkeypatch: pytest.MonkeyPatch) -> None:
    waits = 0

    def ends_after_some_waits(error: sqlite3.Error) -> bool:
        nonlocal waits
        waits += 1
        if waits == 3:
            backup.end()
        return is_busy(error)

    is_busy = sqlite_file.is_busy
    monkeypatch.setattr(sqlite_file, "is_busy", ends_after_some_waits)
    monkeypatch.setattr(database, "TURN_SECONDS", 0.0)
    backup.hold()
    with open_ledger(path) as ledger:
        assert begin(ledger) == 1
    assert waits == 3


def read_then_write(db: sqlite3.Connection) -> int:
    """Most changes look at something first: SQLite does not wait for a lock in the middle of a transaction."""
    ids_of_runs(db)
    return runs.begin_run(db, "0", SOURCE).id


def test_in_mid_run_it_is_waited_for(path: Path, backup: Backup) -> None:
    with open_ledger(path) as ledger:
        backup.hold()
        Timer(0.05, backup.end).start()
        assert ledger.read(read_then_write) == 1
        backup.hold()
        Timer(0.05, backup.end).start()
        ledger.write(read_then_write)
        assert ledger.read(ids_of_runs) == [2, 1]


def hold_too_long(ledger: Ledger, backup: Backup) -> None:
    ledger.read(lambda db: db.execute("PRAGMA busy_timeout=0"))
    backup.hold()


def test_one_that_does_not_end_is_called_what_it_is(
    path: Path, backup: Backup, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = f"Another program, such as a backup, holds the ledger {path}"
    with open_ledger(path) as ledger:
        hold_too_long(ledger, backup)
        with pytest.raises(OutputError, match=message):
            ledger.read(read_then_write)
    backup.end()
    monkeypatch.setattr(database, "TURN_SECONDS", 0.0)
    monkeypatch.setattr(sqlite_file, "FOREIGN_LOCK_SECONDS", 0.0)
    backup.hold()
    with pytest.raises(OutputError, match=message):
        open_ledger(path)


def test_it_is_waited_for_some_minutes(path: Path) -> None:
    with open_ledger(path) as ledger:
        [(milliseconds,)] = ledger.read(lambda db: db.execute("PRAGMA busy_timeout").fetchall())
    assert milliseconds == 1000 * sqlite_file.FOREIGN_LOCK_SECONDS == 120_000


def test_another_segsync_is_refused_without_a_long_wait(path: Path) -> None:
    with open_ledger(path), pytest.raises(LedgerError, match="Another segsync uses the ledger"):
        open_ledger(path)
