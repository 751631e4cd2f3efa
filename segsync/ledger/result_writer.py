"""Writes the results of bulk upserts into the ledger, behind their events."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial

from msgspec import structs

from segsync.events import (
    ActionEnded,
    BatchSent,
    DuplicateIdentifier,
    Event,
    KeepWords,
    OnEvent,
    ProfileRejected,
    ResultUnknown,
    ignore_words,
)
from segsync.ledger import batches
from segsync.ledger.batches import Member, OpenBatch, Replay
from segsync.ledger.database import Ledger
from segsync.models import Rejection

REMEMBERED_BATCHES = 20
"""The last batches, whose source ids a rejection can name: memory must not grow with the open results."""


class ResultWriter:
    """Ends batches in the ledger.

    `on_event_of` gives the callback for the events of a run, and `keep_words` gets the sink's own words about a
    rejection.
    """

    def __init__(
        self, ledger: Ledger, on_event_of: Callable[[int], OnEvent], keep_words: KeepWords = ignore_words
    ) -> None:
        self._ledger = ledger
        self._on_event_of = on_event_of
        self._keep_words = keep_words
        self._source_ids: OrderedDict[str, dict[str, str]] = OrderedDict()
        self._replaced: set[tuple[str, str]] = set()  # upserts, and who of them has turned out to be a duplicate

    def remember(self, event: Event) -> None:
        """Keep the source ids of the last batches: a rejection names them, and the ledger does not hold them.

        Keep who does not count any more, too: the ledger may know that later than a result that is being read.
        """
        if isinstance(event, BatchSent):
            self._source_ids[event.action_id] = {each.segment_id: each.source_id for each in event.profiles}
            if len(self._source_ids) > REMEMBERED_BATCHES:
                self._source_ids.popitem(last=False)
        elif isinstance(event, DuplicateIdentifier) and event.action_id is not None:
            self._replaced.add((event.action_id, event.segment_id))

    async def members(self, batch: OpenBatch) -> list[Member]:
        """Who is in a batch that is open."""
        members = await self._ledger.ask(partial(batches.members_of, batch=batch.id))
        return [
            structs.replace(each, counts=each.counts and (batch.action_id, each.segment_id) not in self._replaced)
            for each in members
        ]

    def rejection(
        self,
        batch: OpenBatch,
        member: Member,
        reason: str,
        request_id: str | None,
        code: str,
        source_id: str | None = None,
        words: str | None = None,
    ) -> Rejection:
        """The rejection of a member, with the `source_id` that the result names only where its own is not known.

        Its `words` are kept: no event and no ledger has them.
        """
        known = self._source_ids.get(batch.action_id, {}).get(member.segment_id)
        rejection = Rejection(member.segment_id, known or source_id, "confirm", reason, request_id, code)
        self._keep_words(rejection, words)
        return rejection

    def rejections(
        self, batch: OpenBatch, members: Sequence[Member], reason: str, request_id: str | None, *, code: str
    ) -> list[tuple[int, Rejection]]:
        """A rejection for each of these members, with the key of its page."""
        return [(member.page, self.rejection(batch, member, reason, request_id, code)) for member in members]

    def end(
        self,
        batch: OpenBatch,
        request_id: str | None,
        *,
        rejections: Sequence[tuple[int, Rejection]] = (),
        replayed: Sequence[Member] = (),
        unknown: Sequence[ResultUnknown] = (),
        is_search: bool = False,
    ) -> None:
        """End a batch: the members that are not in one of these are confirmed.

        A replay that `is_search` is to find who was refused. `request_id` is what support asks for.
        """
        on_event = self._on_event_of(batch.run)
        for page, rejection in rejections:
            on_event(ProfileRejected(rejection, page))
        for result in unknown:
            on_event(result)
        rejected, confirmed = len(rejections), batch.customers - len(rejections) - len(replayed) - len(unknown)
        on_event(ActionEnded(batch.action_id, batch.customers, confirmed, rejected, request_id, len(unknown)))
        self._ledger.write(
            partial(
                batches.end_batch,
                batch=batch,
                rejections=rejections,
                again=replayed,
                unknown=unknown,
                is_search=is_search,
            )
        )
        self._source_ids.pop(batch.action_id, None)

    async def end_unknown(self, batch: OpenBatch, reason: str, request_id: str | None = None) -> None:
        """End a batch whose result will not be known, for this reason."""
        members = await self.members(batch)
        unknown = [ResultUnknown(each.segment_id, each.page, reason, request_id) for each in members if each.counts]
        self.end(batch, request_id, unknown=unknown)

    async def give_up(self, replays: Sequence[Replay], reason: str) -> None:
        """End batches that are not replayed any more: the results of their customers stay unknown."""
        for replay in replays:
            members = await self._ledger.ask(partial(batches.members_of, batch=replay.batch))
            unknown = [ResultUnknown(each.segment_id, each.page, reason) for each in members if each.counts]
            for result in unknown:
                self._on_event_of(replay.run)(result)
            self._ledger.write(partial(batches.give_up, replay=replay, results=unknown))
