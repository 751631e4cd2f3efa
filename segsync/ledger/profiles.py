"""One row per profile: its last outcome, and keyed digests of its source id and of the customer that was sent.

A row is written when the outcome is certain: for a customer whose result is read, once Voucherify has written it. Until
then the open bulk upsert says who is in it, and the row, if there is one, is that of an earlier import; that of a
rejected profile that is retried says that it is sent. Warnings are rows too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from sqlite3 import Connection
from typing import NamedTuple

from segsync.models import WarningGroup


class ProfileOutcome(IntEnum):
    """The outcome of a profile, as a number in its row."""

    CONFIRMED = 1
    SENT = 2
    WITHOUT_IDENTIFIER = 3
    REJECTED = 4
    DUPLICATE = 5
    UNKNOWN = 6


class ProfileRow(NamedTuple):
    """A profile; the digests are of 8 bytes, None where there was nothing to digest."""

    segment_id: str
    outcome: ProfileOutcome
    source: bytes | None = None
    content: bytes | None = None


class Warned(NamedTuple):
    """A trait of a profile that was left out of its customer, and why."""

    segment_id: str
    trait: str
    problem: str


class Warnings(NamedTuple):
    """The warnings of a ledger by trait and problem, the most frequent first, and how many `profiles` have any."""

    problems: tuple[WarningGroup, ...]
    profiles: int


FORGET_REJECTED = (
    f"DELETE FROM profiles WHERE outcome >= {ProfileOutcome.REJECTED:d} AND segment_id IN "  # noqa: S608 - a number
    "(SELECT segment_id FROM rejections WHERE run = ? AND page = ?)"
)
"""Removes the rows of the dead letters on this page of a run: they are read again."""


def save_profiles(db: Connection, rows: Iterable[ProfileRow]) -> None:
    """Write the outcomes of these profiles, in place of earlier ones."""
    db.executemany(
        "INSERT INTO profiles (segment_id, outcome, source, content) VALUES (?, ?, ?, ?) ON CONFLICT (segment_id) "
        "DO UPDATE SET outcome = excluded.outcome, source = excluded.source, content = excluded.content",
        sorted(rows),  # neighbours are on the same page of the file
    )


def save_warnings(db: Connection, warnings: Sequence[Warned], *, in_place_of: Iterable[str] = ()) -> None:
    """Write what was left out of customers, in place of the warnings of these profiles; the same again is one row."""
    db.executemany("DELETE FROM warnings WHERE segment_id = ?", [(segment_id,) for segment_id in in_place_of])
    problems: dict[tuple[str, str], int] = {}
    for text in {(warned.trait, warned.problem) for warned in warnings}:
        db.execute("INSERT OR IGNORE INTO problems (trait, problem) VALUES (?, ?)", text)
        [(problems[text],)] = db.execute("SELECT id FROM problems WHERE trait = ? AND problem = ?", text)
    rows = sorted((warned.segment_id, problems[warned.trait, warned.problem]) for warned in warnings)
    db.executemany("INSERT OR IGNORE INTO warnings VALUES (?, ?)", rows)


def without_identifier(db: Connection) -> Iterator[str]:
    """The segment ids of the profiles that have no identifier, in alphabetical order; read row by row.

    Most profiles of a space may be among them, so an index of them would be as large as the table that is scanned here.
    """
    rows = db.execute(f"SELECT segment_id FROM profiles WHERE outcome = {ProfileOutcome.WITHOUT_IDENTIFIER:d}")  # noqa: S608
    return (segment_id for (segment_id,) in rows)


def warnings(db: Connection) -> Iterator[Warned]:
    """All warnings, in the order of the segment ids; read row by row."""
    rows = db.execute(
        "SELECT segment_id, trait, problems.problem FROM warnings CROSS JOIN problems ON id = warnings.problem "
        "ORDER BY segment_id"
    )
    return map(Warned._make, rows)


def count_warnings(db: Connection, most_ids: int = 0) -> Warnings:
    """How many warnings there are, with up to `most_ids` segment ids of each problem, and of how many profiles."""
    named: defaultdict[int, list[str]] = defaultdict(list)
    if most_ids:
        for segment_id, problem in db.execute("SELECT segment_id, problem FROM warnings ORDER BY segment_id"):
            if len(named[problem]) < most_ids:
                named[problem].append(segment_id)
    counts = db.execute(
        "SELECT id, trait, problems.problem, count(*) FROM warnings JOIN problems ON id = warnings.problem "
        "GROUP BY id ORDER BY 4 DESC, 2, 3"
    ).fetchall()
    [(profiles,)] = db.execute("SELECT count(DISTINCT segment_id) FROM warnings").fetchall()
    groups = (WarningGroup(trait, text, count, tuple(named[problem])) for problem, trait, text, count in counts)
    return Warnings(tuple(groups), profiles)
