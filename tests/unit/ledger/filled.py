"""Ledgers with something in them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from sqlite3 import Connection

from segsync.ledger import batches, rejections, runs
from segsync.ledger.batches import Member
from segsync.ledger.database import Ledger
from segsync.models import Connector, Outcomes, Rejection
from tests.support.ledgers import SPACE, begin

BATCHES = 60

SOURCE = Connector("Segment", SPACE)


def fill(ledger: Ledger, count: int = BATCHES) -> int:
    """A run with pages, open batches and rejections; its number."""
    run = begin(ledger)

    def change(db: Connection) -> None:
        for number in range(1, count + 1):
            members = [Member(number, f"use_{number}_{i}", ledger.digest(f"{number}-{i}")) for i in range(100)]
            batches.add_batch(db, run, f"aa_{number}", members, attempt=1, is_followed=True)
            rejections.add_rejection(db, run, number, Rejection(f"use_{number}_r", None, "read", "answered 500", "req"))
            batches.finish_page(db, run, number, str(number * 101), Outcomes(sent=100, rejected=1))

    ledger.read(change)
    return run


def ids_of_runs(db: Connection) -> list[int]:
    return [run.id for run in runs.runs(db)]


def note(text: str) -> Callable[[Connection], object]:
    """A change: another run, whose cursor is this text."""
    return partial(runs.begin_run, first_offset=text, source=SOURCE)


def notes(db: Connection) -> list[str]:
    return [run.first_offset for run in reversed(runs.runs(db))]
