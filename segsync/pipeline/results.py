"""Reads the result of every bulk upsert that the sink accepted: an answer of 202 is not a write.

The ledger holds which results are still open, so reading them goes on after a crash, and memory does not grow with
them. Bulk upserts are carried out one after the other, so the oldest are looked at first.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from random import Random
from typing import NamedTuple

from segsync.connectors.base import ENDED, RefusedCustomer, Results, UpsertResult
from segsync.errors import AnswerError, RefusedError, StopError, TransientError
from segsync.events import ActionEnded, BatchSent, Event, OnEvent, ProfileRejected
from segsync.ledger import batches
from segsync.ledger.batches import LAST_ATTEMPT, Member, OpenBatch
from segsync.ledger.database import Ledger
from segsync.models import Rejection
from segsync.pipeline.circuit_breaker import CircuitBreaker

LOOK_SECONDS = 0.5

LONGEST_LOOK_SECONDS = 30.0

LOOK_GROWTH = 1.6

CALLS_PER_LOOK = 5
"""While customers are still sent, there is time for this many calls between two looks."""

BATCHES_IN_VIEW = 1000

FEW_BATCHES = 2
"""At most this many are asked for one by one; beyond that a listing has the status of up to 100."""

FAILED_IN_A_ROW = 25
"""This many bulk upserts in a row that failed as a whole stop the import."""

REFUSED_IN_A_ROW, REFUSED_CUSTOMERS = 3, 25
"""This many bulk upserts in a row stop the import where every one of their customers, at least 25, was refused."""

REMEMBERED_BATCHES = 20
"""The last batches, whose source ids a rejection can name: memory must not grow with the open results."""


class _Refused(NamedTuple):
    """A batch all of whose customers were refused, and their rejections with the numbers of their pages."""

    batch: OpenBatch
    rejections: list[tuple[int, Rejection]]
    request_id: str | None


class ResultReader:
    """Follows the open batches of the ledger's runs from `since` on to their end.

    `on_event_of` gives the callback for the events of a run. `patience_seconds` is how long no action at all
    may end, once everything is sent, before `follow` gives up.
    """

    def __init__(
        self,
        sink: Results,
        ledger: Ledger,
        *,
        since: int,
        on_event_of: Callable[[int], OnEvent],
        patience_seconds: float,
    ) -> None:
        self._sink = sink
        self._name = sink.about.name
        self._ledger = ledger
        self._since = since
        self._on_event_of = on_event_of
        self._patience_seconds = patience_seconds
        limit = sink.about.limit
        self._polite_seconds = max(CALLS_PER_LOOK / limit.per_second, LOOK_SECONDS) if limit else LOOK_SECONDS
        self._clock = asyncio.get_running_loop().time
        self._random = Random()
        self._sent_before: int | None = None
        self._failures = CircuitBreaker[str](FAILED_IN_A_ROW)
        self._refused = CircuitBreaker[_Refused](REFUSED_IN_A_ROW)
        self._source_ids: OrderedDict[str, dict[str, str]] = OrderedDict()

    def remember(self, event: Event) -> None:
        """Keep the source ids of the last batches: a rejection names them, and the ledger does not hold them."""
        if isinstance(event, BatchSent):
            self._source_ids[event.action_id] = {each.segment_id: each.source_id for each in event.profiles}
            if len(self._source_ids) > REMEMBERED_BATCHES:
                self._source_ids.popitem(last=False)

    async def follow(self, all_sent: asyncio.Event) -> None:
        """Read results until none is open and `all_sent` is set. It may be cancelled: what was not read stays open.

        Raises `StopError` where everything fails, or where no action ends for `patience_seconds`, and what the calls
        raise.
        """
        if self._sent_before is None:
            self._sent_before = await self._ledger.ask(batches.newest_batch)
        wait, ended_at = 0.0, self._clock()
        while True:
            is_all_sent = all_sent.is_set()  # before the look: what is sent during it is not in it
            if not is_all_sent:
                ended_at = self._clock()
            open_batches = await self._open_batches()
            if not open_batches and is_all_sent:
                await self._release_refused()
                return
            if await self._look(open_batches):
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
        held = {refused.batch.id for refused in self._refused.held}
        found = await self._ledger.ask(lambda db: batches.open_upserts(db, self._since, BATCHES_IN_VIEW))
        return [batch for batch in found if batch.id not in held]

    async def _look(self, open_batches: Sequence[OpenBatch]) -> bool:
        """Look at open batches; whether any of them has ended."""
        statuses = await self._sink.action_statuses() if len(open_batches) > FEW_BATCHES else {}
        has_ended = False
        unlisted = []
        for batch in open_batches:
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

    async def _read_in_order(self, open_batches: Sequence[OpenBatch]) -> Sequence[OpenBatch]:
        """Read results until one has not ended; the batches that are left, itself the first of them."""
        for number, batch in enumerate(open_batches):
            if not await self._read(batch):
                return open_batches[number:]
        return []

    async def _read(self, batch: OpenBatch) -> bool:
        """Read the result of a batch, and decide on its customers; whether it has ended."""
        result = await self._sink.upsert_result(batch.action_id)
        if result is not None and not result.has_ended:
            return False
        if result is None or result.status == "FAILED":
            state = f"is not known to {self._name}" if result is None else f"FAILED in {self._name}"
            await self._failed(batch, f"the bulk upsert {batch.action_id} {state}", result)
        else:
            await self._done(batch, result)
        return True

    async def _members(self, batch: OpenBatch) -> list[Member]:
        return await self._ledger.ask(partial(batches.members_of, batch=batch.id))

    async def _failed(self, batch: OpenBatch, reason: str, result: UpsertResult | None) -> None:
        """Nobody was written: all are replayed, or rejected if they were replayed before."""
        request_id, members = result.request_id if result else None, await self._members(batch)
        if batch.attempt == LAST_ATTEMPT:
            await self._end(batch, self._rejections(batch, members, reason, result), [], request_id)
            return
        await self._end(batch, [], [member for member in members if member.counts], request_id)
        self._count_failure(batch, reason)

    def _count_failure(self, batch: OpenBatch, reason: str) -> None:
        """Raise `StopError` where so many upserts failed that something is wrong with all."""
        if self._is_of_earlier_process(batch):
            return
        self._failures.hold(reason)
        if self._failures.is_open:
            raise StopError(
                f"{len(self._failures.held)} bulk upserts in a row failed ({reason}), so "
                "the import stopped. Their profiles are replayed when it is resumed"
            )

    async def _done(self, batch: OpenBatch, result: UpsertResult) -> None:
        refused, unnamed, problem = await self._refused_in(batch, result)
        members = await self._members(batch) if refused or unnamed else []  # most results are without a refusal
        reasons = {self._ledger.digest(each.source_id): each for each in refused}
        request_id = result.request_id or batch.action_id
        rejections = [
            (member.page, Rejection(member.segment_id, each.source_id, "confirm", each.reason, request_id))
            for member in members
            if member.counts and (each := reasons.get(member.digest))
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
            if self._is_of_earlier_process(batch):  # what was wrong with all may be fixed since
                await self._end(batch, [], [member for member in members if member.counts], result.request_id)
            else:
                await self._hold(_Refused(batch, rejections, result.request_id))
            return
        await self._end(batch, rejections, [], result.request_id)
        self._failures.release()
        await self._release_refused()

    async def _refused_in(self, batch: OpenBatch, result: UpsertResult) -> tuple[list[RefusedCustomer], int, str]:
        """The customers that were refused, how many more were but are not named, and why they are not."""
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
                problem = f" ({error})"  # the customers that it would have named are replayed
            else:
                refused = {**{each.source_id: each for each in reported}, **refused}
        return list(refused.values()), max(failed - len(refused), 0), problem

    async def _hold(self, refused: _Refused) -> None:
        """Hold a batch back until another result shows whether something is wrong with all customers."""
        self._refused.hold(refused)
        customers = sum(each.batch.customers for each in self._refused.held)
        if not self._refused.is_open or customers < REFUSED_CUSTOMERS:
            return
        held = self._refused.release()
        for batch, _, request_id in held:
            await self._end(batch, [], [each for each in await self._members(batch) if each.counts], request_id)
        _, last_rejection = refused.rejections[-1]
        raise StopError(
            f"{self._name} refused all {customers} customers of {len(held)} bulk upserts in a row, so the import "
            f"stopped instead of rejecting all the others too. They are replayed when it is resumed. "
            f"The last one: {last_rejection.reason}"
        )

    def _is_of_earlier_process(self, batch: OpenBatch) -> bool:
        return self._sent_before is not None and batch.id <= self._sent_before

    async def _release_refused(self) -> None:
        for batch, rejections, request_id in self._refused.release():
            await self._end(batch, rejections, [], request_id)

    async def _end(
        self,
        batch: OpenBatch,
        rejections: list[tuple[int, Rejection]],
        replayed: Sequence[Member],
        request_id: str | None,
    ) -> None:
        """Emit the events of a result, which write the files, and then write it into the ledger."""
        on_event = self._on_event_of(batch.run)
        for page, rejection in rejections:
            on_event(ProfileRejected(rejection, page))
        confirmed = batch.customers - len(rejections) - len(replayed)
        on_event(ActionEnded(batch.action_id, batch.customers, confirmed, len(rejections), request_id))
        self._ledger.write(partial(batches.end_batch, batch=batch, rejections=rejections, again=replayed))
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
        upserts, customers = await self._ledger.ask(partial(batches.count_open, since=self._since))
        return StopError(
            f"{self._name} has ended none of {upserts} bulk upserts ({customers} customers) for "
            f"{self._patience_seconds:.0f} s. Their results are read when the import is resumed"
        )
