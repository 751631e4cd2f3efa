"""Two profiles with one identifier become one customer: the one that is listed first keeps its values.

Profiles are read side by side, so they do not come in the order of the listing. The second one with an identifier waits
until the first is sent or rejected. Then it is a duplicate, or, if it was listed before that one, it is sent behind it,
and the other is the duplicate. A profile that cannot be sent keeps nobody else from it.

This holds the identifiers of pages that are not done, and so has a bound. Those of earlier pages are asked for.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from operator import attrgetter
from typing import NamedTuple

from segsync.connectors.base import Source
from segsync.errors import AnswerError, RefusedError, TransientError
from segsync.events import DuplicateIdentifier, Event, PageDone
from segsync.pipeline.engine.batching import Item
from segsync.pipeline.engine.checkpoint import OpenPage

Others = Callable[[Sequence[tuple[str, str]]], Awaitable[Mapping[str, Sequence[str]]]]
"""Asks, for profiles by segment id and source id, who of the pages that are done may have been sent with the same."""

_BEFORE_ALL = -1


class _Sent(NamedTuple):
    """Whose values a customer has: those of a profile of an open page, or of one that is known to be of an earlier."""

    place: int
    segment_id: str
    page: OpenPage
    action_id: str


class Identifiers:
    """Decides which customers are sent, at most one of an identifier at a time; the others are duplicates.

    `others` asks for the identifiers of pages that are done, None where nobody knows any; `on_duplicate` is called with
    each duplicate and its page. While `most_waiting` customers wait for others, there is no `room`.
    """

    def __init__(
        self,
        source: Source,
        others: Others | None,
        on_duplicate: Callable[[OpenPage, DuplicateIdentifier], None],
        *,
        most_waiting: int,
    ) -> None:
        self._source = source
        self._others = others
        self._on_duplicate = on_duplicate
        self._most_waiting = most_waiting
        self._sent: dict[str, _Sent] = {}
        self._of_page: defaultdict[int, list[str]] = defaultdict(list)
        self._under_way: dict[str, list[Item]] = {}  # by source id, and who waits for it
        self._waiting = 0
        self._released: list[Item] = []
        self._room = asyncio.Event()
        self._room.set()

    def admit(self, item: Item) -> bool:
        """Whether this customer is to be sent now. Else it waits for another one, or was a duplicate."""
        waiting = self._under_way.get(item.source_id)
        if waiting is not None:
            waiting.append(item)
            self._count_waiting(1)
            return False
        sent = self._sent.get(item.source_id)
        if sent and sent.segment_id != item.segment_id and sent.place < item.place:
            self._skip(item, sent.segment_id)
            return False
        self._under_way[item.source_id] = []
        return True

    @property
    def is_full(self) -> bool:
        return not self._room.is_set()

    async def room(self) -> None:
        """Wait until customers that wait for others may be more again."""
        await self._room.wait()

    async def first_ones(self, items: Sequence[Item]) -> tuple[Item, ...]:
        """These customers without those whose identifier was sent from an earlier page, which are duplicates."""
        if self._others is None:
            return tuple(items)
        others = await self._others([(item.segment_id, item.source_id) for item in items])
        first = []
        for item in items:
            for other in others.get(item.segment_id, ()):
                if await self._has(other, item.source_id):
                    self._keep(item, _Sent(_BEFORE_ALL, other, item.page, ""))
                    self._end(item)
                    self._skip(item, other)
                    break
            else:
                first.append(item)
        return tuple(first)

    async def _has(self, segment_id: str, source_id: str) -> bool:
        """Whether a profile has this identifier now: a digest alone proves nothing."""
        try:
            profile = await self._source.read(segment_id)
        except (RefusedError, AnswerError, TransientError) as error:
            if isinstance(error, TransientError) and not await self._source.answers():
                raise
            return False
        return profile is not None and profile.source_id == source_id

    def sent(self, item: Item, action_id: str) -> None:
        """The customer was accepted. Its page must still be open, so that those of profiles listed later are too."""
        place, before = item.place, self._sent.get(item.source_id)
        if before and before.segment_id == item.segment_id:
            place = min(place, before.place)
        elif before:
            replaced = DuplicateIdentifier(before.segment_id, before.page.number, item.segment_id, before.action_id)
            self._on_duplicate(before.page, replaced)
        self._keep(item, _Sent(place, item.segment_id, item.page, action_id))
        self._end(item)

    def not_sent(self, item: Item) -> None:
        """The customer cannot be sent, or not now: another one with its identifier may be."""
        self._end(item)

    def released(self) -> list[Item]:
        """Customers that had waited, and are to be sent now."""
        released, self._released = self._released, []
        return released

    def forget(self, event: Event) -> None:
        """A page is done: from now on others are asked for its identifiers, who have had this event before."""
        if isinstance(event, PageDone):
            for source_id in self._of_page.pop(event.number, ()):
                sent = self._sent.get(source_id)
                if sent and sent.page.number == event.number:
                    del self._sent[source_id]

    def _keep(self, item: Item, sent: _Sent) -> None:
        self._sent[item.source_id] = sent
        self._of_page[item.page.number].append(item.source_id)

    def _end(self, item: Item) -> None:
        """The customer is no longer under way: those that waited for it go on, in the order of the listing."""
        waiting = self._under_way.pop(item.source_id)
        if waiting:
            self._count_waiting(-len(waiting))
            self._released += [each for each in sorted(waiting, key=attrgetter("place")) if self.admit(each)]

    def _count_waiting(self, more: int) -> None:
        self._waiting += more
        if self._waiting < self._most_waiting:
            self._room.set()
        else:
            self._room.clear()

    def _skip(self, item: Item, other: str) -> None:
        self._on_duplicate(item.page, DuplicateIdentifier(item.segment_id, item.page.number, other))
