"""batches → uploaders → bulk upserts, and the halving that finds the customers to blame for a failed one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from segsync.connectors.base import CONFLICT, Patient, Sink
from segsync.errors import RefusedError, TransientError
from segsync.events import BatchSent, KeepWords, OnEvent, SentProfile
from segsync.models import Rejection
from segsync.pipeline.engine.batching import Batch
from segsync.pipeline.engine.checkpoint import Checkpoint
from segsync.pipeline.engine.circuit_breaker import Postponed, Rejections
from segsync.pipeline.engine.identifiers import Identifiers
from segsync.redact import redacted

UPLOADS_IN_FLIGHT = 16
"""Sixteen uploads of two seconds each keep up with 800 customers per second; an idle uploader costs nothing."""

BATCHES_WAITING = 8

NOT_ABOUT_CUSTOMERS: Final = frozenset({*range(401, 409), 415, 423, 425, 429, 499})
"""The 4xx that say nothing about what was sent: they are about credentials, plan, address, form, locks, or limits."""

MOST_SUSPECTS = 25
"""After this many customers that failed one by one, with none accepted in between, the sink may be away."""

DOUBT_FACTOR, LEAST_DOUBT_SECONDS = 2.0, 60.0
"""It may be away too where it accepts nobody for this many times what the whole batch took to fail, and at least
this long. Half the patience each time makes the way down to a single customer about once as long as that."""

LAST_PATIENCE = 1 / 8
"""The share of the patience with which a single customer is sent once more, before it is rejected."""


class Uploads:
    """Uploads `batches` until a None comes, by any number of tasks that `work()`.

    One bad customer costs one customer: a batch that is refused for its content is halved until the customers to blame
    stand alone. One that the sink fails on (a 5xx, for as long as it is retried) is halved too, with half the patience
    each time. Where a half is accepted, the sink is there, and fails on customers; where nothing is, it is away.
    """

    def __init__(
        self,
        sink: Sink,
        checkpoint: Checkpoint,
        identifiers: Identifiers,
        rejections: Rejections,
        postponed: Postponed,
        *,
        released: Callable[[], list[Batch]],
        keep_words: KeepWords,
        on_event: OnEvent,
    ) -> None:
        self.batches: asyncio.Queue[Batch | None] = asyncio.Queue(BATCHES_WAITING)
        self._sink = sink
        self._checkpoint = checkpoint
        self._identifiers = identifiers
        self._rejections = rejections
        self._postponed = postponed
        self._released = released
        self._keep_words = keep_words
        self._on_event = on_event
        self._accepted = 0  # upserts
        self._known: Batch | None = None  # a customer that was accepted

    async def work(self) -> None:
        """Upload batches until there are no more. Raises the error that stops the import."""
        while (batch := await self.batches.get()) is not None:
            waiting = [batch]
            while waiting:
                for each in waiting:
                    await self._upload_first_ones(each)
                waiting = self._released()  # they waited for customers of these

    async def _upload_first_ones(self, batch: Batch) -> None:
        """Upload a batch without those whose identifier another profile has."""
        items = await self._identifiers.first_ones(batch.items)
        if not items:
            return
        accepted_before = self._accepted
        await self._upload(Batch(items))
        if self._accepted > accepted_before:
            self._rejections.release("upsert")
        else:
            self._rejections.stop_if_open("upsert")

    async def _upload(self, batch: Batch) -> None:
        """Upload a batch, and reject the customers whom the sink refuses, or fails on while it accepts others."""
        search = _Search(_now())
        await self._upload_part(batch, 1.0, search)
        for suspect in search.suspects:
            failure = await self._send(suspect.batch, suspect.patience)  # it may have failed for a while only
            if failure is None:
                continue
            if self._accepted == suspect.accepted_before and not await self._is_there():
                raise search.first_failure or failure
            self._reject(suspect.batch, failure)

    async def _upload_part(
        self, batch: Batch, patience: float, search: _Search, accepted_before: int | None = None
    ) -> None:
        """Upload a part of a batch; `accepted_before` is how many upserts were when the part that it halves failed."""
        failure = await self._send(batch, patience)
        if failure is None:
            return
        accepted = self._accepted
        if isinstance(failure, TransientError):
            search.first_failure = search.first_failure or failure
            if search.is_in_doubt(accepted, _now()) and not await self._is_there():
                raise search.first_failure
        if len(batch.items) > 1:
            is_retried = isinstance(failure, TransientError) or failure.status == CONFLICT
            for half in batch.halves():
                await self._upload_part(half, patience / 2 if is_retried else patience, search, accepted)
        elif isinstance(failure, TransientError) or failure.status == CONFLICT:
            patience = LAST_PATIENCE if isinstance(failure, TransientError) else 1.0
            search.suspects.append(_Suspect(batch, accepted if accepted_before is None else accepted_before, patience))
        else:
            self._reject(batch, failure)
            if not self._accepted:  # neighbours in a batch may all be bad, but not everybody from the start
                self._rejections.stop_if_open("upsert")

    async def _send(self, batch: Batch, patience: float) -> RefusedError | TransientError | None:
        """Send customers; what it failed with where that may be because of them. Raises any other error.

        Where they are to be sent later, there is nothing more to be done about them now either.
        """
        try:
            action_id = await self._upsert(batch, patience)
        except RefusedError as error:
            if not _is_about_customers(error):
                raise
            return error
        except TransientError as error:
            if error.asks_for_later:
                for item in batch.items:
                    self._identifiers.not_sent(item)
                self._postponed.add("upsert", [item.page for item in batch.items], error)
                return None
            if _may_be_about_customers(error) or (error.status is None and await self._is_there()):
                return error
            if patience == 1.0:
                raise
            return await self._send(batch, 1.0)  # e.g. a rate limit: that is worth all of the patience
        self._accepted += 1
        self._postponed.succeeded("upsert")
        self._known = Batch(batch.items[:1])
        sent = [SentProfile(item.page.number, item.segment_id, item.source_id, item.encoded) for item in batch.items]
        self._on_event(BatchSent(action_id, tuple(sent)))
        for item in batch.items:
            self._identifiers.sent(item, action_id)
            self._checkpoint.sent(item.page)
        return None

    async def _upsert(self, batch: Batch, patience: float) -> str:
        if isinstance(self._sink, Patient):
            return await self._sink.upsert_within(batch.body(), patience)
        return await self._sink.upsert(batch.body())

    async def _is_there(self) -> bool:
        """Whether the sink accepts a customer that it accepted before, which is harmless."""
        if self._known is None:
            return False
        try:
            await self._upsert(self._known, LAST_PATIENCE)
        except (RefusedError, TransientError):
            return False
        self._accepted += 1
        return True

    def _reject(self, batch: Batch, failure: RefusedError | TransientError) -> None:
        """Reject the only customer of a batch."""
        [item] = batch.items
        reason = redacted(failure.message, item.source_id)
        rejection = Rejection(item.segment_id, item.source_id, "upsert", reason, failure.request_id, failure.code)
        self._keep_words(rejection, failure.words)
        self._rejections.hold(item.page, rejection)
        self._identifiers.not_sent(item)


@dataclass(frozen=True, slots=True)
class _Suspect:
    """A customer that an upsert failed on; `accepted_before` counts the upserts until one with it had failed.

    `patience` is the share of it with which the customer is sent once more.
    """

    batch: Batch
    accepted_before: int
    patience: float


class _Search:
    """The search for the customers of one batch that the sink fails on.

    `first_failure` had the most patience: it is raised where this is an outage.
    """

    def __init__(self, now: float) -> None:
        self.first_failure: TransientError | None = None
        self.suspects: list[_Suspect] = []
        self._began_at = self._since = now
        self._doubt_seconds: float | None = None
        self._accepted = self._suspects_before = 0

    def is_in_doubt(self, accepted: int, now: float) -> bool:
        """Whether the sink has accepted nothing for long, with this failure; `accepted` counts its upserts so far."""
        is_first = self._doubt_seconds is None
        if self._doubt_seconds is None:
            self._doubt_seconds = max(DOUBT_FACTOR * (now - self._began_at), LEAST_DOUBT_SECONDS)
        if is_first or accepted != self._accepted:
            self._since, self._accepted, self._suspects_before = now, accepted, len(self.suspects)
        return now - self._since > self._doubt_seconds or len(self.suspects) - self._suspects_before >= MOST_SUSPECTS


def _is_about_customers(error: RefusedError) -> bool:
    return error.status is not None and 400 <= error.status < 500 and error.status not in NOT_ABOUT_CUSTOMERS


def _may_be_about_customers(error: TransientError) -> bool:
    """No answer at all is about the service, unless the others get one."""
    return error.others_succeed if error.status is None else error.status >= 500


def _now() -> float:
    return asyncio.get_running_loop().time()
