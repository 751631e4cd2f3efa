"""Which identifiers customers were sent with, so that a second profile with one of them is noticed.

The table `identifiers` has a row for each customer that was sent from a page that is done: 8 bytes, made of the digest
of the source id and of the segment id. So one look at a range shows whether another profile may have the identifier,
for some 14 bytes per profile. That profile is searched for only where there may be one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from sqlite3 import Connection
from zlib import crc32

from msgspec import structs

from segsync.events import DuplicateIdentifier
from segsync.ledger.batches import PageKey, change_batch, members_in, spread_in
from segsync.ledger.database import Ledger
from segsync.ledger.profiles import ProfileOutcome, ProfileRow, save_profiles
from segsync.ledger.rejections import add_duplicate

_HOLDER_BITS = (1 << 20) - 1
"""What of a key stands for the segment id. Two profiles with the same bits are taken for one: one pair in a million."""

SEARCHES_WITHOUT_INDEX = 20
"""This many times all rows are searched, in a second for ten million. Then the ledger gets an index, of about 60 bytes
per profile: most spaces have few duplicates, and never need it."""

Sent = tuple[str, str]
"""A profile by its segment id, and the source id of its customer."""


def key(digest: bytes, segment_id: str) -> bytes:
    """What stands for an identifier and the profile that has it, in 8 bytes: bits of the digest, then of the id."""
    return (_first_of(digest) | crc32(segment_id.encode()) & _HOLDER_BITS).to_bytes(8)


def _first_of(digest: bytes) -> int:
    """The first number of the range of keys of this identifier."""
    return int.from_bytes(digest) & ~_HOLDER_BITS


def add_identifiers(db: Connection, sent: Mapping[str, bytes]) -> None:
    """The profiles of a page that is done were sent: the digests of their source ids, by segment id."""
    keys = sorted((key(digest, segment_id),) for segment_id, digest in sent.items())
    db.executemany("INSERT OR IGNORE INTO identifiers VALUES (?)", keys)


def forget_identifiers(db: Connection) -> None:
    """An import begins anew."""
    db.execute("DELETE FROM identifiers")


class SentIdentifiers:
    """The identifiers that the present import has sent from pages that are done, as its ledger knows them."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._searches = 0

    async def others(self, customers: Sequence[Sent]) -> dict[str, list[str]]:
        """Which other profiles may have been sent with the identifiers of these, by segment id.

        It is one query, and compares digests only: reading the profiles shows whether they have it.
        """
        digests = {segment_id: self._ledger.digest(source_id) for segment_id, source_id in customers}
        return await self._ledger.ask(partial(self.look_up, digests=digests))

    def look_up(self, db: Connection, digests: Mapping[str, bytes]) -> dict[str, list[str]]:
        """The same, for digests of source ids by segment id."""
        look, suspects = "SELECT 1 FROM identifiers WHERE key BETWEEN ? AND ? AND key != ?", []
        for segment_id, digest in digests.items():
            first = _first_of(digest)
            last, own = first | _HOLDER_BITS, key(digest, segment_id)
            if db.execute(look, (first.to_bytes(8), last.to_bytes(8), own)).fetchone():
                suspects.append(segment_id)
        if not suspects:
            return {}
        self._searches += 1
        if self._searches == SEARCHES_WITHOUT_INDEX:
            db.execute("CREATE INDEX IF NOT EXISTS profiles_by_source ON profiles (source)")
        holders = _holders(db, {digests[each] for each in suspects})
        return {
            each: [other for other in sorted(holders[digests[each]] - {each}) if _has_sent(db, digests[each], other)]
            for each in suspects
        }


def _has_sent(db: Connection, digest: bytes, segment_id: str) -> bool:
    """Whether the profile was sent with this identifier in the present import."""
    return db.execute("SELECT 1 FROM identifiers WHERE key = ?", (key(digest, segment_id),)).fetchone() is not None


def _holders(db: Connection, digests: set[bytes]) -> Mapping[bytes, set[str]]:
    """Whose customers with these digests Voucherify has accepted and not refused: one search for all."""
    holders: defaultdict[bytes, set[str]] = defaultdict(set)
    rows = db.execute(
        "SELECT source, segment_id FROM profiles WHERE outcome IN (?, ?) "  # noqa: S608 - question marks
        f"AND source IN ({', '.join('?' * len(digests))})",
        (ProfileOutcome.CONFIRMED, ProfileOutcome.SENT, *digests),
    )
    for digest, segment_id in rows:
        holders[digest].add(segment_id)
    for digest in digests:
        # SQLite finds the bytes of a digest in those of the members faster than these can be decoded.
        for (members,) in db.execute(
            "SELECT members FROM batches WHERE state IN ('open', 'replay') AND instr(members, ?)", (digest,)
        ):
            holders[digest] |= {each.segment_id for each in members_in(members) if each.digest == digest}
    return holders


def end_as_duplicate(db: Connection, run: int, page: PageKey, duplicate: DuplicateIdentifier) -> None:
    """A profile has the identifier of another one. If it was sent before that one, it no longer counts as sent."""
    segment_id, action_id = duplicate.segment_id, duplicate.action_id
    if action_id is not None:
        at = (run, segment_id, page)
        if db.execute("SELECT 1 FROM rejections WHERE run = ? AND segment_id = ? AND page = ?", at).fetchone():
            return  # it was refused, or its result is unknown: that stands
        _uncount(db, run, page, action_id, segment_id)
    save_profiles(db, [ProfileRow(segment_id, ProfileOutcome.DUPLICATE)])
    add_duplicate(db, run, page, duplicate)


def _uncount(db: Connection, run: int, page: PageKey, action_id: str, segment_id: str) -> None:
    """Count a customer of a bulk upsert no longer, where the upsert has no result yet."""
    of_action = db.execute(
        "SELECT id, state, spread, members FROM batches WHERE run = ? AND action_id = ? "
        "AND state IN ('open', 'unread', 'replay') ORDER BY id DESC",
        (run, action_id),
    )
    for batch, state, encoded_spread, encoded in of_action.fetchall():
        spread, members = spread_in(encoded_spread), members_in(encoded) if encoded else None
        if page not in spread or (members is not None and segment_id not in {each.segment_id for each in members}):
            continue  # a sink of one's own may call all its upserts the same
        spread = +(Counter(spread) - Counter([int(page)]))
        if members is not None:
            members = [structs.replace(each, counts=each.counts and each.segment_id != segment_id) for each in members]
        change_batch(db, batch, state, spread, members)
        return
