"""A 202 is not a write: reads what became of every bulk upsert that Voucherify accepted.

Which outcomes are still to be read is in the ledger, so it goes on after a crash, and memory does not grow with them.
Voucherify carries out bulk requests one after the other, so the oldest are looked at first.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from random import Random

from segsync.connectors.base import ENDED, RefusedCustomer, Results, UpsertResult
from segsync.errors import AnswerError, RefusedError, StopError, TransientError
from segsync.events import ActionEnded, BatchSent, Event, OnEvent, ProfileRejected
from segsync.ledger import batches as entries
from segsync.ledger.batches import LAST_ATTEMPT, Member, OpenBatch
from segsync.ledger.database import Ledger
from segsync.models import Rejection

LOOK_SECONDS = 0.5

LONGEST_LOOK_SECONDS = 30.0

LOOK_GROWTH = 1.6

CALLS_PER_LOOK = 5
"""While customers are still sent, the looks leave this many calls' time between them."""

BATCHES_IN_VIEW = 1000

FEW_BATCHES = 2
"""So few are asked for one by one; a listing tells of up to 100."""

FAILED_IN_A_ROW = 25

REFUSED_IN_A_ROW = 3

REFUSED_CUSTOMERS = 25
"""So many actions in a row that FAILED, or all of whose customers were refused, are no accident of theirs."""

REMEMBERED_BATCHES = 20
"""Whose source ids are at hand when their result is read: memory must not grow with what is not read yet."""


class ResultReader:
    """Follows the open batches of the ledger's runs from `since` on to their end.

    `tell_of` gives the callback for the events of a run. `patience_seconds` is how long no action at all
    may end, once everything is sent, before `follow` gives up.
    """

    def __init__(
        self,
        sink: Results,
        ledger: Ledger,
        *,
        since: int,
        tell_of: Callable[[int], OnEvent],
        patience_seconds: float,
    ) -> None:
        self._sink = sink
        self._name = sink.about.name
        self._ledger = ledger
        self._since = since
        self._tell_of = tell_of
        self._patience_seconds = patience_seconds
        limit = sink.about.limit
        self._polite_seconds = max(CALLS_PER_LOOK / limit.per_second, LOOK_SECONDS) if limit else LOOK_SECONDS
        self._clock = asyncio.get_running_loop().time
        self._random = Random()
        self._sent_before: int | None = None
        self._failed_in_a_row = 0
        self._held: dict[int, tuple[OpenBatch, list[tuple[int, Rejection]], str | None]] = {}
        self._source_ids: OrderedDict[str, dict[str, str]] = OrderedDict()

    def remember(self, event: Event) -> None:
        """Take note of the source ids of the last batches: the ledger does not hold them, a rejection can name them."""
        if isinstance(event, BatchSent):
            self._source_ids[event.action_id] = {each.segment_id: each.source_id for each in event.profiles}
            if len(self._source_ids) > REMEMBERED_BATCHES:
                self._source_ids.popitem(last=False)

    async def follow(self, all_sent: asyncio.Event) -> None:
        """Read outcomes until none is open and `all_sent` is set. It may be cancelled: what was not read stays open.

        Raises `StopError` where everything fails, or Voucherify ends no action for as long as there is
        patience, and what the calls raise.
        """
        if self._sent_before is None:
            self._sent_before = await self._ledger.ask(entries.newest_batch)
        wait, ended_at = 0.0, self._clock()
        while True:
            is_all_sent = all_sent.is_set()  # before we ask: what is sent in the meantime is no answer
            if not is_all_sent:
                ended_at = self._clock()
            batches = await self._open_batches()
            if not batches and is_all_sent:
                await self._release_held()
                return
            if await self._look(batches):
                wait, ended_at = 0.0, self._clock()
            elif is_all_sent and self._clock() - ended_at > self._patience_seconds:
                raise await self._out_of_patience()
            wait = min(max(wait * LOOK_GROWTH, LOOK_SECONDS), LONGEST_LOOK_SECONDS)
            if all_sent.is_set():
                await asyncio.sleep(wait)
            else:
                with suppress(TimeoutError):
                    async with asyncio.timeout(max(wait, self._polite_seconds)):
                        await all_sent.wait()

    async def _open_batches(self) -> list[OpenBatch]:
        batches = await self._ledger.ask(lambda db: entries.open_upserts(db, self._since, BATCHES_IN_VIEW))
        return [batch for batch in batches if batch.id not in self._held]

    async def _look(self, batches: Sequence[OpenBatch]) -> bool:
        """Ask about open batches; whether any of them has ended."""
        statuses = await self._sink.action_statuses() if len(batches) > FEW_BATCHES else {}
        has_ended = False
        unlisted = []
        for batch in batches:
            status = statuses.get(batch.action_id)
            if status is None:
                unlisted.append(batch)
            elif status in ENDED:
                has_ended |= await self._read(batch)
        # Those that are too old for the listing: in their order as far as they have ended, and in case an old one is
        # stuck, from any other one on as well.
        left = await self._read_in_order(unlisted)
        has_ended |= len(left) < len(unlisted)
        if len(left) > 1:
            others = left[self._random.randrange(1, len(left)) :]
            has_ended |= len(await self._read_in_order(others)) < len(others)
        return has_ended

    async def _read_in_order(self, batches: Sequence[OpenBatch]) -> Sequence[OpenBatch]:
        """Read outcomes until one has not ended; those that are left, itself the first of them."""
        for number, batch in enumerate(batches):
            if not await self._read(batch):
                return batches[number:]
        return []

    async def _read(self, batch: OpenBatch) -> bool:
        """Read the result of a batch, and say what became of its customers; whether it has ended."""
        result = await self._sink.upsert_result(batch.action_id)
        if result is not None and not result.has_ended:
            return False
        members = await self._ledger.ask(partial(entries.members_of, batch=batch.id))
        if result is None or result.status == "FAILED":
            state = f"is not known to {self._name}" if result is None else f"FAILED in {self._name}"
            await self._failed(batch, members, f"the bulk upsert {batch.action_id} {state}", result)
        else:
            await self._done(batch, members, result)
        return True

    async def _failed(
        self, batch: OpenBatch, members: Sequence[Member], reason: str, result: UpsertResult | None
    ) -> None:
        """Nobody was written: all are taken again, or rejected if they have been."""
        request_id = result.request_id if result else None
        if batch.attempt == LAST_ATTEMPT:
            await self._end(batch, self._rejections(batch, members, reason, result), [], request_id)
            return
        await self._end(batch, [], [member for member in members if member.counts], request_id)
        self._count_failure(batch, reason)

    def _count_failure(self, batch: OpenBatch, reason: str) -> None:
        """Raises `StopError` where so many upserts came to nothing that it is no accident of theirs."""
        if self._is_of_earlier_process(batch):
            return
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= FAILED_IN_A_ROW:
            raise StopError(
                f"{self._failed_in_a_row} bulk upserts in a row came to nothing ({reason}), so "
                "the import stopped. Their profiles are taken again when it is resumed"
            )

    async def _done(self, batch: OpenBatch, members: Sequence[Member], result: UpsertResult) -> None:
        refused, unnamed, problem = await self._refused(batch, result)
        reasons = {self._ledger.digest(each.source_id): each for each in refused}
        rejections = [
            (
                member.page,
                Rejection(
                    member.segment_id,
                    reasons[member.digest].source_id,
                    "confirm",
                    reasons[member.digest].reason,
                    result.request_id or batch.action_id,
                ),
            )
            for member in members
            if member.counts and member.digest in reasons
        ]
        unnamed += len(reasons.keys() - {member.digest for member in members})
        if unnamed:
            others = [member for member in members if member.counts and member.digest not in reasons]
            if batch.attempt < LAST_ATTEMPT:
                await self._end(batch, rejections, others, result.request_id)
                if result.done_count == 0:
                    self._count_failure(batch, f"{self._name} refused all of {batch.action_id} and does not say why")
                return
            reason = f"{self._name} refused {unnamed} of {len(others)} customers and does not say which{problem}"
            rejections += self._rejections(batch, others, reason, result)
        if rejections and len(rejections) == batch.customers and batch.attempt < LAST_ATTEMPT:
            if self._is_of_earlier_process(batch):  # what was wrong with all may be mended since
                await self._end(batch, [], [member for member in members if member.counts], result.request_id)
            else:
                await self._hold(batch, rejections, result.request_id)
            return
        await self._end(batch, rejections, [], result.request_id)
        self._failed_in_a_row = 0
        await self._release_held()

    async def _refused(self, batch: OpenBatch, result: UpsertResult) -> tuple[list[RefusedCustomer], int, str]:
        """Who was refused, how many others were without being named, and what hindered that."""
        failed = result.failed_count
        if failed is None or failed < 0:
            is_fine = result.is_success or result.refused or result.done_count == batch.sent
            failed = len(result.refused) if is_fine else batch.sent
        if result.done_count is not None:
            failed = max(failed, batch.sent - result.done_count)
        refused = {each.source_id: each for each in result.refused}
        problem = ""
        for url in result.reports if len(refused) < failed else ():
            try:
                reported = await self._sink.reported(url)
            except (AnswerError, RefusedError, TransientError) as error:
                problem = f" ({error})"  # those whom it would have named are taken again
            else:
                refused = {**{each.source_id: each for each in reported}, **refused}
        return list(refused.values()), max(failed - len(refused), 0), problem

    async def _hold(self, batch: OpenBatch, rejections: list[tuple[int, Rejection]], request_id: str | None) -> None:
        """Hold a batch all of whose customers were refused, until it is known whether that is an accident of theirs."""
        self._held[batch.id] = (batch, rejections, request_id)
        customers = sum(held.customers for held, *_ in self._held.values())
        if len(self._held) < REFUSED_IN_A_ROW or customers < REFUSED_CUSTOMERS:
            return
        actions = len(self._held)
        for held, _, held_request_id in self._held.values():
            members = await self._ledger.ask(partial(entries.members_of, batch=held.id))
            await self._end(held, [], [member for member in members if member.counts], held_request_id)
        self._held.clear()
        raise StopError(
            f"{self._name} refused all {customers} customers of {actions} bulk upserts in a row, so the import stopped "
            f"instead of rejecting all the others too. They are taken again when it is resumed. "
            f"The last one: {rejections[-1][1].reason}"
        )

    def _is_of_earlier_process(self, batch: OpenBatch) -> bool:
        return self._sent_before is not None and batch.id <= self._sent_before

    async def _release_held(self) -> None:
        held, self._held = self._held, {}
        for batch, rejections, request_id in held.values():
            await self._end(batch, rejections, [], request_id)

    async def _end(
        self,
        batch: OpenBatch,
        rejections: list[tuple[int, Rejection]],
        again: Sequence[Member],
        request_id: str | None,
    ) -> None:
        """Tell the result of a batch, files first, and then write it down."""
        tell = self._tell_of(batch.run)
        for page, rejection in rejections:
            tell(ProfileRejected(rejection, page))
        confirmed = batch.customers - len(rejections) - len(again)
        tell(ActionEnded(batch.action_id, batch.customers, confirmed, len(rejections), request_id))
        await self._ledger.ask(lambda db: entries.end_batch(db, batch, rejections, again))
        self._source_ids.pop(batch.action_id, None)

    def _rejections(
        self, batch: OpenBatch, members: Sequence[Member], reason: str, result: UpsertResult | None
    ) -> list[tuple[int, Rejection]]:
        known = self._source_ids.get(batch.action_id, {})
        request_id = (result.request_id if result else None) or batch.action_id
        return [
            (member.page, Rejection(member.segment_id, known.get(member.segment_id), "confirm", reason, request_id))
            for member in members
            if member.counts
        ]

    async def _out_of_patience(self) -> StopError:
        batches, customers = await self._ledger.ask(lambda db: entries.count_open(db, self._since))
        return StopError(
            f"{self._name} has ended none of {batches} bulk upserts ({customers} customers) for "
            f"{self._patience_seconds:.0f} s. What becomes of them is read when the import is resumed"
        )
