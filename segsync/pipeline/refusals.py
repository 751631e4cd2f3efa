"""Who was refused of a bulk upsert: by its result, else by a search.

A customer is called refused where the result names it, and never more of them than the result counts. A refusal that
nobody names is found by sending the batch again in halves, until the refused stand alone: some log2(n) steps. Each
costs calls, so the search has a budget. What it cannot afford to find out is an unknown result.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from segsync.connectors.base import RefusedCustomer, Results, Source, UpsertResult, result_calls
from segsync.errors import AnswerError, RefusedError, TransientError
from segsync.ledger.batches import Member, Replay, folded
from segsync.models import Profile

SHARE: Final = 0.05
"""The most that a search may cost, as a share of the calls that the import makes without it."""

LEAST_CALLS: Final = 100
"""What a search may cost in any case."""

CALLS_PER_HALVING: Final = 4
"""Two bulk upserts, and their results."""

MOST_AT_A_TIME: Final = 10
"""The most batches that are searched together: their customers are kept in memory until they are found."""

Named = dict[str, RefusedCustomer]
"""The refused customers by the segment id of their profile."""


async def named_refusals(
    sink: Results, result: UpsertResult, members: Sequence[Member], digest: Callable[[str], bytes], *, sent: int
) -> tuple[Named, str]:
    """Those of a batch that its result names, and why a report file could not be read ("" where none failed).

    A list that names more customers than failed contradicts itself, and names nobody. Raises `CallError` classes but
    for what is wrong with a report file alone.
    """
    most = result.failed_of(sent) if result.failed_count is None else result.failed_count
    named = _matched(result.refused, members, digest)
    if len(named) > most:
        named = {}
    problem = ""
    for url in result.reports:
        if len(named) >= most:
            break
        try:
            reported = await sink.reported(url)
        except (AnswerError, RefusedError, TransientError) as error:
            problem = f" ({error})"
        else:
            both = _matched(reported, members, digest) | named
            if len(both) <= most:
                named = both
    return named, problem


def _matched(refused: Iterable[RefusedCustomer], members: Sequence[Member], digest: Callable[[str], bytes]) -> Named:
    """The members of a batch with these source ids, or with ids that are the same when trimmed and in lower case.

    The latter only where it is one member alone.
    """
    exact = {member.digest: member for member in members}
    loose: dict[bytes, list[Member]] = {}
    for member in members:
        loose.setdefault(member.folded or member.digest, []).append(member)
    found: Named = {}
    for each in refused:
        candidates = loose.get(digest(folded(each.source_id)), [])
        match = exact.get(digest(each.source_id)) or (candidates[0] if len(candidates) == 1 else None)
        if match:
            found.setdefault(match.segment_id, each)
    return found


# --- the search -----------------------------------------------------------------------------------------------


def calls_left(upserts: int, calls_spent: int) -> int:
    """The calls that a search may still make, in an import of this many bulk upserts."""
    planned = upserts + result_calls(upserts)
    return max(math.floor(SHARE * planned), LEAST_CALLS) - calls_spent


def next_step(replays: Sequence[Replay], calls: int) -> list[Replay]:
    """The batches to halve next, with this many calls left: some of the smallest ones; none where it costs too much.

    The smallest come first, so that a search ends before the next one begins.
    """
    smallest_first = sorted(replays, key=lambda replay: (replay.customers, replay.batch))
    chosen: list[Replay] = []
    for replay in smallest_first[:MOST_AT_A_TIME]:
        if half(replay.customers) > half(smallest_first[0].customers):
            break
        is_affordable = calls >= _calls_for(replay) if chosen else calls >= CALLS_PER_HALVING
        if not is_affordable:
            break
        chosen.append(replay)
        calls -= _calls_for(replay)
    return chosen


def half(customers: int) -> int:
    """The size of the larger half of a batch of this many customers."""
    return math.ceil(customers / 2)


def _calls_for(replay: Replay) -> int:
    """The calls that find one refused customer of a batch."""
    return CALLS_PER_HALVING * math.ceil(math.log2(max(replay.customers, 2)))


class KeptReads:
    """A source that keeps the last `most` profiles that were read: each step of a search reads the same ones."""

    def __init__(self, source: Source, most: int) -> None:
        self.about = source.about
        self.pages, self.answers, self.usage = source.pages, source.answers, source.usage
        self._source = source
        self._most = most
        self._kept: OrderedDict[str, Profile | None] = OrderedDict()

    async def read(self, segment_id: str) -> Profile | None:
        """The profile as it was read before, else as the source reads it."""
        if segment_id not in self._kept:
            self._kept[segment_id] = await self._source.read(segment_id)
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return self._kept[segment_id]
