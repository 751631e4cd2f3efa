"""Pages and bulk upserts, as rows of the ledger.

The states of a batch: "open" (its outcome is still to be read), "unread" (nobody asks for it), "again" (its customers
are to be taken again) and "closed". What pages and their numbers mean is told in `runs`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from sqlite3 import Connection

import msgspec
from msgspec import Struct

from segsync.ledger.database import now
from segsync.ledger.rejections import add_rejection, forget_rejections
from segsync.models import Outcomes, Rejection

FIRST_ATTEMPT, LAST_ATTEMPT = 1, 2
"""How often the customers of a batch are sent: a second time where the first upsert came to nothing."""


class Member(Struct, frozen=True, array_like=True):
    """A profile of a batch, the digest of its source id, and whether it `counts`: not if a resume repeats it."""

    page: int
    segment_id: str
    digest: bytes
    counts: bool = True


class OpenBatch(Struct, frozen=True):
    """A batch whose outcome is still to be read: of `sent` customers `customers` still count."""

    id: int
    run: int
    action_id: str
    attempt: int
    sent: int
    customers: int


_encode = msgspec.msgpack.Encoder().encode

members_in = msgspec.msgpack.Decoder(list[Member]).decode

spread_in = msgspec.msgpack.Decoder(dict[int, int]).decode

# --- pages, batches and rejections as they come -------------------------------------------------------------


def add_batch(
    db: Connection, run: int, action_id: str, members: Sequence[Member], *, attempt: int, is_followed: bool
) -> None:
    """A bulk upsert was accepted. A profile of it that had been rejected before and was taken again no longer is."""
    spread = Counter(member.page for member in members)
    db.execute(
        "INSERT INTO batches (run, action_id, attempt, state, sent_at, sent, customers, first_page, last_page, spread,"
        " members) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            run,
            action_id,
            attempt,
            "open" if is_followed else "unread",
            now(),
            len(members),
            len(members),
            min(spread),
            max(spread),
            _encode(spread),
            _encode(members) if is_followed else None,
        ),
    )
    forget_rejections(db, run, [member.segment_id for member in members if member.page == 0])


def finish_page(
    db: Connection, run: int, number: int, next_cursor: str | None, outcomes: Outcomes, *, is_closing: bool = False
) -> None:
    db.execute(
        "INSERT OR REPLACE INTO pages (run, number, next_cursor, profiles, without_identifier, is_closing) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (run, number, next_cursor, outcomes.profiles, outcomes.without_identifier, is_closing),
    )


def end_replay(db: Connection, run: int, batch: int, outcomes: Outcomes) -> None:
    """All profiles of a batch that was taken again have their outcomes."""
    close_batch(db, batch)
    _add_late_without_identifier(db, run, outcomes.without_identifier)


def lost_its_identifier(db: Connection, run: int, segment_id: str) -> None:
    """A profile that had been rejected was taken again, and has no identifier now."""
    forget_rejections(db, run, [segment_id])
    _add_late_without_identifier(db, run, 1)


def _add_late_without_identifier(db: Connection, run: int, profiles: int) -> None:
    db.execute("UPDATE runs SET late_without_identifier = late_without_identifier + ? WHERE id = ?", (profiles, run))


# --- outcomes -------------------------------------------------------------------------------------------------


def open_upserts(db: Connection, since: int, most: int) -> list[OpenBatch]:
    """The oldest batches whose outcome is still to be read, of the runs from `since` on."""
    rows = db.execute(
        "SELECT id, run, action_id, attempt, sent, customers FROM batches WHERE state = 'open' AND run >= ? "
        "ORDER BY id LIMIT ?",
        (since, most),
    )
    return [OpenBatch(*row) for row in rows]


def count_open(db: Connection, since: int) -> tuple[int, int]:
    """How many batches are open, and how many customers are in them."""
    batches, customers = one(
        db, "SELECT count(*), coalesce(sum(customers), 0) FROM batches WHERE state = 'open' AND run >= ?", since
    )
    return batches, customers


def newest_batch(db: Connection) -> int:
    """The id of the batch that was sent last; 0 for none."""
    return one(db, "SELECT coalesce(max(id), 0) FROM batches")[0]


def members_of(db: Connection, batch: int) -> list[Member]:
    """Who is in a batch that is open or to be taken again."""
    row = db.execute("SELECT members FROM batches WHERE id = ?", (batch,)).fetchone()
    return members_in(row[0]) if row and row[0] else []


def end_batch(
    db: Connection, batch: OpenBatch, rejections: Iterable[tuple[int, Rejection]], again: Sequence[Member]
) -> None:
    """The outcome of a batch: who of it is rejected (with the page), and who is to be taken again."""
    for page, rejection in rejections:
        add_rejection(db, batch.run, page, rejection)
    if again:
        change_batch(db, batch.id, "again", Counter(member.page for member in again), again)
    else:
        close_batch(db, batch.id)


def replays(db: Connection, since: int) -> dict[int, list[int]]:
    """The batches whose profiles are to be taken again, by run."""
    again: dict[int, list[int]] = {}
    for run, batch in db.execute(
        "SELECT run, id FROM batches WHERE state = 'again' AND run >= ? ORDER BY id", (since,)
    ):
        again.setdefault(run, []).append(batch)
    return again


# --- rows -----------------------------------------------------------------------------------------------------


def change_batch(
    db: Connection, batch: int, state: str, spread: dict[int, int], members: Sequence[Member] | None
) -> None:
    db.execute(
        "UPDATE batches SET state = ?, customers = ?, first_page = ?, last_page = ?, spread = ?, members = ? "
        "WHERE id = ?",
        (
            state,
            sum(spread.values()),
            min(spread, default=0),
            max(spread, default=0),
            _encode(spread),
            None if members is None else _encode(members),
            batch,
        ),
    )


def close_batch(db: Connection, batch: int) -> None:
    db.execute("UPDATE batches SET state = 'closed', spread = NULL, members = NULL WHERE id = ?", (batch,))


def one(db: Connection, query: str, *values: object) -> tuple[int, ...]:
    [row] = db.execute(query, values).fetchall()
    return row  # type: ignore[no-any-return]
