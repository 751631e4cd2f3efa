"""Reads the result of every bulk upsert that the sink accepted: an answer of 202 is not a write.

The ledger holds which results are still open, so reading them goes on after a crash, and memory does not grow with
them. Bulk upserts are carried out one after the other, so the oldest are looked at first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from random import Random
from typing import NamedTuple

from segsync.connectors.base import ActionStatus, Results, UpsertResult
from segsync.errors import AnswerError, CallError, RefusedError, StopError, TransientError
from segsync.formatting import counted
from segsync.ledger import batches
from segsync.ledger.batches import FIRST_ATTEMPT, LAST_ATTEMPT, Member, OpenBatch
from segsync.ledger.database import Ledger
from segsync.ledger.result_writer import ResultWriter
from segsync.models import Rejection
from segsync.pipeline.engine.circuit_breaker import CircuitBreaker
from segsync.pipeline.refusals import named_refusals
from segsync.pipeline.trust import ListingTrust

LOOK_SECONDS, LONGEST_LOOK_SECONDS, LOOK_GROWTH = 0.5, 30.0, 1.6
"""The first and the longest wait between two looks, and the factor from one to the next."""

CALLS_PER_LOOK = 5
"""While customers are still sent, there is time for this many calls between two looks."""

BATCHES_IN_VIEW = 1000

FEW_BATCHES = 2
"""At most this many are asked for one by one; beyond that a listing has the status of up to 100."""

YOUNG_SECONDS = 300.0
"""An action that is not known so long after it was accepted is forgotten. How soon one is known is not documented."""

FAILED_IN_A_ROW = 25
"""This many bulk upserts in a row that failed as a whole stop the import."""

REFUSED_IN_A_ROW, REFUSED_CUSTOMERS = 3, 25
"""This many bulk upserts in a row stop the import where every one of their customers, at least 25, was refused."""


class _Refused(NamedTuple):
    """A batch all of whose customers were refused, and their rejections with the numbers of their pages."""

    batch: OpenBatch
    rejections: Sequence[tuple[int, Rejection]]
    request_id: str | None


class ResultReader:
    """Follows the open batches of the ledger's runs from `since` on to their end.

    `writer` ends them. `patience_seconds` is how long no action at all may end, once everything is sent, before
    `follow` gives up. `calls` is how many it made, a report file counted as part of the result that names it.
    """

    def __init__(
        self, sink: Results, ledger: Ledger, *, since: int, writer: ResultWriter, patience_seconds: float
    ) -> None:
        self._sink = sink
        self._name = sink.about.name
        self._ledger = ledger
        self._since = since
        self._writer = writer
        self._patience_seconds = patience_seconds
        limit = sink.about.limit
        self._polite_seconds = max(CALLS_PER_LOOK / limit.per_second, LOOK_SECONDS) if limit else LOOK_SECONDS
        self._clock = asyncio.get_running_loop().time
        self._random = Random()
        self.calls = 0
        self._trust = ListingTrust()
        self._unreadable_in_a_row = 0
        self._unreadable: dict[int, tuple[OpenBatch, CallError]] = {}
        self._has_confirmed = self._has_confirmed_in_search = False
        self._failure = self._failure_in_search = ""
        self._failed_alone: list[_Refused] = []  # until a success shows that it is them
        self._sent_before: int | None = None
        self._failures = CircuitBreaker[str](FAILED_IN_A_ROW)
        self._all_refused = CircuitBreaker[_Refused](REFUSED_IN_A_ROW)

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
                if self._trust.held:
                    await self._read(self._trust.held.pop(), is_success_by_listing=True)
                    continue
                await self._end_unreadable()
                self._release_refused()
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
        held = {refused.batch.id for refused in (*self._all_refused.held, *self._failed_alone)}
        held |= {batch.id for batch in self._trust.held} | self._unreadable.keys()
        found = await self._ledger.ask(lambda db: batches.open_upserts(db, self._since, BATCHES_IN_VIEW))
        return [batch for batch in found if batch.id not in held]

    async def _look(self, open_batches: Sequence[OpenBatch]) -> bool:
        """Look at open batches; whether any of them has ended."""
        statuses: Mapping[str, ActionStatus] = {}
        if len(open_batches) > FEW_BATCHES:
            self.calls += 1
            statuses = await self._sink.action_statuses()
        has_ended = False
        unlisted = []
        for batch in open_batches:
            listed = statuses.get(batch.action_id)
            if listed is None:
                unlisted.append(batch)
            elif listed.has_ended:
                has_ended |= await self._read_listed(batch, listed)
        # Too old for the listing: in their order as far as they have ended, and in case one is stuck, behind it too.
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

    async def _read_listed(self, batch: OpenBatch, listed: ActionStatus) -> bool:
        """The result of a batch that has ended by the listing, which may say all that there is to know."""
        is_success = listed.status == "DONE" and bool(listed.is_success)
        if is_success and self._trust.believes(batch):
            return True
        return await self._read(batch, is_success_by_listing=is_success)

    async def _read(self, batch: OpenBatch, *, is_success_by_listing: bool = False) -> bool:
        """Read the result of a batch, and decide on its customers; whether it has ended."""
        self.calls += 1
        try:
            result = await self._sink.upsert_result(batch.action_id)
        except (AnswerError, RefusedError, TransientError) as error:
            if isinstance(error, TransientError) and not error.others_succeed:
                self.calls += 1
                await self._sink.action_statuses()  # raises where it is not this result alone
            self._unreadable[batch.id] = (batch, error)  # one result holds up no others
            self._unreadable_in_a_row += 1
            if self._unreadable_in_a_row >= FAILED_IN_A_ROW:
                raise
            return True
        if result is None:
            return await self._forgotten(batch)
        self._unreadable_in_a_row = 0
        failed = result.failed_of(batch.sent)
        if is_success_by_listing:
            for held in self._trust.checked(agrees=result.status == "DONE" and not failed):
                self._end(held, None)
        if not result.has_ended:
            return False
        if result.status == "FAILED":
            await self._failed(batch, result)
        elif failed:
            await self._refused(batch, result, failed)
        else:
            self._end(batch, result.request_id)
        return True

    async def _end_unreadable(self) -> None:
        """Call them unknown, unless no other result was read since: then a later process may read them."""
        if self._unreadable_in_a_row:
            for batch, error in self._unreadable.values():
                if not self._is_of_earlier_process(batch):
                    raise error
        for batch, error in self._unreadable.values():
            reason = f"the result of the bulk upsert {batch.action_id} cannot be read: {error.message}"
            await self._writer.end_unknown(batch, reason, error.request_id)
        self._unreadable.clear()

    async def _forgotten(self, batch: OpenBatch) -> bool:
        """The sink does not know the action: not yet, or not any more; whether that is certain."""
        age = datetime.now(UTC) - datetime.fromisoformat(batch.sent_at)
        if age.total_seconds() < YOUNG_SECONDS:
            return False
        await self._writer.end_unknown(batch, f"{self._name} does not know the bulk upsert {batch.action_id} any more")
        return True

    async def _counting(self, batch: OpenBatch) -> list[Member]:
        return [member for member in await self._writer.members(batch) if member.counts]

    def _end(self, batch: OpenBatch, request_id: str | None, rejections: Sequence[tuple[int, Rejection]] = ()) -> None:
        """End a batch that shows that not everything fails."""
        self._writer.end(batch, request_id, rejections=rejections)
        self._failures.release()
        self._release_refused()
        if len(rejections) < batch.customers:
            self._has_confirmed = self._has_confirmed_in_search = True
            self._release_failed_alone()

    async def _failed(self, batch: OpenBatch, result: UpsertResult) -> None:
        """Nobody was written: all are sent once more, then in halves, until one that is alone has failed twice."""
        members, request_id = await self._counting(batch), result.request_id
        reason = f"the bulk upsert {batch.action_id} FAILED in {self._name}"
        if batch.attempt == FIRST_ATTEMPT:
            self._writer.end(batch, request_id, replayed=members)
            self._count_failure(batch, reason)
            return
        self._failure = self._failure_in_search = reason
        if batch.attempt < LAST_ATTEMPT or self._is_of_earlier_process(batch):
            self._writer.end(batch, request_id, replayed=members, is_search=True)
            return
        support_id = request_id or batch.action_id
        rejections = self._writer.rejections(batch, members, reason, support_id, code="upsert-failed")
        self._failed_alone.append(_Refused(batch, rejections, request_id))
        self._release_failed_alone()

    def _count_failure(self, batch: OpenBatch, reason: str) -> None:
        """Raise `StopError` where enough upserts failed in a row to stop the import."""
        if self._is_of_earlier_process(batch):
            return
        self._failures.hold(reason)
        if self._failures.is_open:
            raise StopError(
                f"{counted(len(self._failures.held), 'bulk upsert')} in a row failed ({reason}), so "
                "the import stopped. A resume replays their profiles",
                code="upserts-failed",
            )

    async def _refused(self, batch: OpenBatch, result: UpsertResult, failed: int) -> None:
        """Reject those of the `failed` customers that the result names, and search for the others."""
        members = await self._writer.members(batch)
        self.calls += 1
        named, problem = await named_refusals(self._sink, result, members, self._ledger.digest, sent=batch.sent)
        request_id = result.request_id or batch.action_id
        rejections = [
            (
                member.page,
                self._writer.rejection(batch, member, each.reason, request_id, each.code, each.source_id, each.words),
            )
            for member in members
            if member.counts and (each := named.get(member.segment_id))
        ]
        others = [member for member in members if member.counts and member.segment_id not in named]
        if len(named) == failed or not others:
            await self._reject(batch, result.request_id, rejections)
        elif batch.sent > 1:
            self._writer.end(batch, result.request_id, rejections=rejections, replayed=others, is_search=True)
            if failed == batch.sent:
                self._count_failure(batch, f"{self._name} refused all of {batch.action_id} and does not say why")
        elif result.failed_count == 0:
            reason = f"{self._name} counts the customer neither as written nor as failed"
            await self._writer.end_unknown(batch, reason, result.request_id)
        else:
            reason = f"{self._name} refused the customer and does not say why{problem}"
            rejections = self._writer.rejections(batch, others, reason, request_id, code="refused-without-reason")
            await self._reject(batch, result.request_id, rejections)

    async def _reject(
        self, batch: OpenBatch, request_id: str | None, rejections: Sequence[tuple[int, Rejection]]
    ) -> None:
        """End a batch with these rejections, unless everybody in it was refused: that may be true for all customers."""
        if len(rejections) < batch.customers or batch.attempt != FIRST_ATTEMPT or not rejections:
            self._end(batch, request_id, rejections)
        elif self._is_of_earlier_process(batch):  # what was wrong with all may be fixed since
            self._writer.end(batch, request_id, replayed=await self._counting(batch))
        else:
            await self._hold(_Refused(batch, rejections, request_id))

    async def _hold(self, refused: _Refused) -> None:
        """Hold a batch back until another result shows whether something is wrong with all customers."""
        self._all_refused.hold(refused)
        customers = sum(each.batch.customers for each in self._all_refused.held)
        if not self._all_refused.is_open or customers < REFUSED_CUSTOMERS:
            return
        held = self._all_refused.release()
        for batch, _, request_id in held:
            self._writer.end(batch, request_id, replayed=await self._counting(batch))
        _, last_rejection = refused.rejections[-1]
        raise StopError(
            f"{self._name} refused all {counted(customers, 'customer')} of {counted(len(held), 'bulk upsert')} in a "
            f"row, so the import stopped instead of rejecting all the others too. A resume replays them. "
            f"The last one: {last_rejection.reason}",
            code="all-refused",
        )

    def _is_of_earlier_process(self, batch: OpenBatch) -> bool:
        return self._sent_before is not None and batch.id <= self._sent_before

    def begin_search(self) -> None:
        """From now on a success shows that those who fail are to blame for it."""
        self._has_confirmed_in_search, self._failure_in_search = False, ""

    async def end_search(self, *, gives_up: bool = False) -> None:
        """Raise `StopError` where everything that was searched FAILED: then nobody is rejected or given up for it."""
        is_down = self._failure_in_search and not self._has_confirmed_in_search
        if not is_down and not (gives_up and self._failure and not self._has_confirmed):
            return
        for batch, _, request_id in self._failed_alone:
            self._writer.end(batch, request_id, replayed=await self._counting(batch))
        self._failed_alone.clear()
        self._ledger.write(partial(batches.replay_whole, since=self._since))
        raise StopError(
            f"{self._name} wrote none of the customers that were sent again, so the import stopped instead of "
            f"rejecting them. A resume sends them once more. The last failure: {self._failure}",
            code="upserts-failed-again",
        )

    def _release_failed_alone(self) -> None:
        if self._has_confirmed_in_search:
            for batch, rejections, request_id in self._failed_alone:
                self._writer.end(batch, request_id, rejections=rejections)
            self._failed_alone.clear()

    def _release_refused(self) -> None:
        for batch, rejections, request_id in self._all_refused.release():
            self._writer.end(batch, request_id, rejections=rejections)

    async def _out_of_patience(self) -> StopError:
        upserts, customers = await self._ledger.ask(partial(batches.count_open, since=self._since))
        return StopError(
            f"{self._name} finished none of {counted(upserts, 'bulk upsert')} ({counted(customers, 'customer')}) in "
            f"{self._patience_seconds:.0f} s. A resume reads their results",
            code="results-overdue",
        )
