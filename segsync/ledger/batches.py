"""Pages and bulk upserts, as rows of the ledger.

The states of a batch are "open" (its result is still to be read), "unread" (nobody reads it), "replay" (its profiles
are to be read and sent again) and "closed".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from sqlite3 import Connection
from typing import Self

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from segsync.events import ResultUnknown
from segsync.ledger.database import now
from segsync.ledger.profiles import ProfileOutcome, ProfileRow, save_profiles
from segsync.ledger.rejections import add_rejection, add_unknown, forget_rejections, resolve
from segsync.models import Outcomes, Rejection

FIRST_ATTEMPT, SECOND_ATTEMPT, SEARCH_ATTEMPT, LAST_ATTEMPT = 1, 2, 3, 4
"""Which attempt a batch is: the first, the second where the first FAILED or its customers are retried, one of those
that search for the refused among the customers of another batch, or the last of one customer that FAILED alone."""


class PageKey(int):
    """The page that a profile belongs to, as SQL knows it.

    Listed pages have the numbers of the listing, from 1 on. A profile that is replayed belongs to a page too: -B for
    those of batch B, whose upsert failed, and 0 for those that are retried because they had been rejected.
    """

    @classmethod
    def listed(cls, number: int) -> Self:
        return cls(number)

    @classmethod
    def replay(cls, batch: int) -> Self:
        return cls(-batch)

    @classmethod
    def retry(cls) -> Self:
        return cls(0)


class Member(Struct, frozen=True, array_like=True):
    """A profile of a batch, with the digests of its source id and of its customer.

    `counts` is False if a resume repeats it. Ledgers of format 1 have no `content`. `folded` is the digest of the
    source id trimmed and in lower case, None where that is the same.
    """

    page: int
    segment_id: str
    digest: bytes
    counts: bool = True
    content: bytes | None = None
    folded: bytes | None = None

    def row(self, outcome: ProfileOutcome) -> ProfileRow:
        """The row of the profile with this outcome."""
        return ProfileRow(self.segment_id, outcome, self.digest, self.content)


class OpenBatch(Struct, frozen=True):
    """A batch whose result is still to be read: of `sent` customers `customers` still count."""

    id: int
    run: int
    action_id: str
    attempt: int
    sent: int
    customers: int
    sent_at: str


class Replay(Struct, frozen=True):
    """A batch whose `customers` are to be read and sent again; one of the `SEARCH_ATTEMPT` in smaller batches."""

    batch: int
    run: int
    attempt: int
    customers: int


_encode = msgspec.msgpack.Encoder().encode
members_in = msgspec.msgpack.Decoder(list[Member]).decode
spread_in = msgspec.msgpack.Decoder(dict[int, int]).decode

# --- pages and batches as they come -------------------------------------------------------------------------


def add_batch(
    db: Connection, run: int, action_id: str, members: Sequence[Member], *, attempt: int, is_followed: bool
) -> None:
    """A bulk upsert was accepted. A profile of it that was rejected before and retried no longer is.

    Where its result is not read, no run has a dead letter of its profiles any more: there they are sent, too.
    """
    state, members_kept = ("open", _encode(members)) if is_followed else ("unread", None)
    _insert(db, run, action_id, attempt, state, Counter(member.page for member in members), members_kept)
    if not is_followed:
        resolved = resolve(db, [member.segment_id for member in members], but_in=run)
        for other, profiles in resolved.items():
            _insert(db, other, action_id, attempt, state, {int(PageKey.retry()): profiles})
        _supersede(db, run, {member.segment_id for member in members})
    retried = [member for member in members if member.page == PageKey.retry()]
    forget_rejections(db, run, [member.segment_id for member in retried])
    # The row of a profile that is retried says that it is rejected, which may be true of several runs.
    save_profiles(db, [member.row(ProfileOutcome.SENT) for member in (retried if is_followed else members)])


def _insert(
    db: Connection,
    run: int,
    action_id: str,
    attempt: int,
    state: str,
    spread: Mapping[int, int],
    members: bytes | None = None,
) -> None:
    sent = sum(spread.values())
    db.execute(
        "INSERT INTO batches (run, action_id, attempt, state, sent_at, sent, customers, first_page, last_page, spread,"
        " members) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (run, action_id, attempt, state, now(), sent, sent, min(spread), max(spread), _encode(spread), members),
    )


def finish_page(
    db: Connection, run: int, number: int, next_cursor: str | None, outcomes: Outcomes, *, is_closing: bool = False
) -> None:
    """Every profile of a listed page has its outcome: the checkpoint moves behind it."""
    db.execute(
        "INSERT OR REPLACE INTO pages (run, number, next_cursor, profiles, without_identifier, is_closing) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (run, number, next_cursor, outcomes.profiles, outcomes.without_identifier, is_closing),
    )


def end_replay(db: Connection, run: int, batch: int, outcomes: Outcomes) -> None:
    """Every profile of a batch that was replayed has its outcome."""
    close_batch(db, batch)
    _add_late_without_identifier(db, run, outcomes.without_identifier)


def lost_its_identifier(db: Connection, run: int, segment_id: str) -> None:
    """A profile that was rejected before was retried, and has no identifier now."""
    forget_rejections(db, run, [segment_id])
    _add_late_without_identifier(db, run, 1)


def are_without_identifier(db: Connection, run: int, segment_ids: Iterable[str]) -> None:
    """Profiles of a run have no identifier: that is so in the other runs, too, that have a dead letter of them."""
    for other, profiles in resolve(db, segment_ids, but_in=run).items():
        _add_late_without_identifier(db, other, profiles)


def _add_late_without_identifier(db: Connection, run: int, profiles: int) -> None:
    db.execute("UPDATE runs SET late_without_identifier = late_without_identifier + ? WHERE id = ?", (profiles, run))


# --- results --------------------------------------------------------------------------------------------------


def open_upserts(db: Connection, since: int, most: int) -> list[OpenBatch]:
    """The oldest batches whose result is still to be read, of the runs from `since` on."""
    rows = db.execute(
        "SELECT id, run, action_id, attempt, sent, customers, sent_at FROM batches WHERE state = 'open' AND run >= ? "
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
    """Who is in a batch that is open or to be replayed."""
    row = db.execute("SELECT members FROM batches WHERE id = ?", (batch,)).fetchone()
    return members_in(row[0]) if row and row[0] else []


def end_batch(
    db: Connection,
    batch: OpenBatch,
    rejections: Iterable[tuple[int, Rejection]],
    again: Sequence[Member] = (),
    *,
    unknown: Iterable[ResultUnknown] = (),
    is_search: bool = False,
) -> None:
    """The result of a batch: who of it is rejected (with the page) or `unknown`, and who is to be replayed.

    It `is_search` where the replay is to find who was refused.
    """
    members = [member for member in members_of(db, batch.id) if member.counts]
    outcomes = dict.fromkeys((member.segment_id for member in members), ProfileOutcome.CONFIRMED)
    for page, rejection in rejections:
        add_rejection(db, batch.run, page, rejection)
        outcomes[rejection.segment_id] = ProfileOutcome.REJECTED
    for result in unknown:
        add_unknown(db, batch.run, result.page, result)
        outcomes[result.segment_id] = ProfileOutcome.UNKNOWN
    for member in again:
        outcomes.pop(member.segment_id, None)  # it has none yet
    save_profiles(db, [member.row(outcomes[member.segment_id]) for member in members if member.segment_id in outcomes])
    confirmed = [each for each, outcome in outcomes.items() if outcome is ProfileOutcome.CONFIRMED]
    resolve(db, confirmed, but_in=batch.run)
    _supersede(db, batch.run, outcomes.keys())
    if again:
        change_batch(db, batch.id, "replay", Counter(member.page for member in again), again)
        if is_search:
            db.execute("UPDATE batches SET attempt = ? WHERE id = ?", (SEARCH_ATTEMPT, batch.id))
    else:
        close_batch(db, batch.id)


def _supersede(db: Connection, run: int, segment_ids: Collection[str]) -> None:
    """The outcome of a run of given ids is newer than the results of other runs' open upserts for the same profile.

    Their results are read later, by a resume: these profiles do not count in them any more, and are rejected in the
    other runs too where they are now.
    """
    if not db.execute("SELECT 1 FROM runs_of_ids WHERE run = ?", (run,)).fetchone():
        return
    still_open = "SELECT id, run, spread, members FROM batches WHERE state = 'open' AND run != ?"
    for batch, other, spread, encoded in db.execute(still_open, (run,)).fetchall():
        members = members_in(encoded)
        newer = [each for each in members if each.counts and each.segment_id in segment_ids]
        if newer:
            left = +(Counter(spread_in(spread)) - Counter(each.page for each in newer))
            kept = [replace(each, counts=each.counts and each not in newer) for each in members]
            change_batch(db, batch, "open", left, kept)
            db.executemany(
                "INSERT OR REPLACE INTO rejections SELECT ?, segment_id, ?, stage, reason, request_id FROM rejections "
                "WHERE run = ? AND segment_id = ?",
                [(other, each.page, run, each.segment_id) for each in newer],
            )


def replays(db: Connection, since: int) -> list[Replay]:
    """The batches whose profiles are to be replayed, of the runs from `since` on."""
    rows = db.execute(
        "SELECT id, run, attempt, customers FROM batches WHERE state = 'replay' AND run >= ? ORDER BY id", (since,)
    )
    return [Replay(*row) for row in rows]


def replay_whole(db: Connection, since: int) -> None:
    """Replay the batches that are to be replayed as they would be after a first failure."""
    db.execute("UPDATE batches SET attempt = ? WHERE state = 'replay' AND run >= ?", (FIRST_ATTEMPT, since))


def give_up(db: Connection, replay: Replay, results: Iterable[ResultUnknown]) -> None:
    """The profiles of a batch are not replayed: their `results` stay unknown."""
    members = {member.segment_id: member for member in members_of(db, replay.batch)}
    results = list(results)
    for result in results:
        add_unknown(db, replay.run, result.page, result)
    save_profiles(db, [members[result.segment_id].row(ProfileOutcome.UNKNOWN) for result in results])
    close_batch(db, replay.batch)


def upserts_by_purpose(db: Connection, since: int) -> tuple[int, int]:
    """How many bulk upserts were made of the runs from `since` on: to import, and to search for the refused."""
    total, searches = one(
        db,
        "SELECT count(*), coalesce(sum(attempt >= ? AND first_page < 0), 0) FROM batches WHERE run >= ?",
        SEARCH_ATTEMPT,
        since,
    )
    return total - searches, searches


# --- rows -----------------------------------------------------------------------------------------------------


def change_batch(
    db: Connection, batch: int, state: str, spread: dict[int, int], members: Sequence[Member] | None
) -> None:
    """Write what of a batch still counts."""
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
    """Nothing more is to be known of a batch."""
    db.execute("UPDATE batches SET state = 'closed', spread = NULL, members = NULL WHERE id = ?", (batch,))


def folded(source_id: str) -> str:
    """A source id as a service may return it: trimmed, and in lower case."""
    return source_id.strip().lower()


def one(db: Connection, query: str, *values: object) -> tuple[int, ...]:
    """The only row of a query whose columns are whole numbers."""
    [row] = db.execute(query, values).fetchall()
    return row  # type: ignore[no-any-return]
