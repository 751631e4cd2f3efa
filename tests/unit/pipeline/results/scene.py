"""An import with a Voucherify in memory and a real ledger, whose results a test reads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from msgspec import structs

from segsync.connectors.base import Results, UpsertResult
from segsync.events import (
    ActionEnded,
    BatchSent,
    Event,
    OnEvent,
    PageDone,
    PageListed,
    PageReplayed,
    ProfileRejected,
    SentProfile,
)
from segsync.ledger import batches, recorder
from segsync.ledger.batches import LAST_ATTEMPT, SEARCH_ATTEMPT, SECOND_ATTEMPT
from segsync.ledger.database import Ledger
from segsync.ledger.result_writer import ResultWriter
from segsync.models import CallLimit, Outcomes, Rejection
from segsync.pipeline.results import ResultReader
from segsync.report.counters import Counters
from tests.support.ledgers import MemoryVoucherify, begin, outcomes_of, run_of


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what must happen, for as long as a busy machine needs."""
    while not holds():  # noqa: ASYNC110 - there is no event for it
        await asyncio.sleep(0.001)


class Scene:
    """An import that sends a batch per page, and reads the results."""

    def __init__(
        self,
        ledger: Ledger,
        voucherify: Results | None = None,
        *,
        patience_seconds: float = 30.0,
        calls_per_second: float = 1e6,
    ) -> None:
        self.ledger = ledger
        self.run = begin(ledger)
        self.voucherify = MemoryVoucherify()
        self.pages = self.actions = 0
        self.patience_seconds = patience_seconds
        self.voucherify.about = structs.replace(self.voucherify.about, limit=CallLimit(calls_per_second, "second"))
        self.begin_process(voucherify)

    def begin_process(self, voucherify: Results | None = None) -> None:
        """Begin a process, to which all that was sent is of an earlier one."""
        self.events: list[Event] = []
        self.counters = Counters(str(self.pages), outcomes_of(self.ledger, self.run))
        self.writer = ResultWriter(self.ledger, lambda _run: self.emit)
        self.reader = ResultReader(
            voucherify or self.voucherify,
            self.ledger,
            since=self.run,
            writer=self.writer,
            patience_seconds=self.patience_seconds,
        )

    def emit(self, event: Event) -> None:
        self.events.append(event)
        self.counters.count(event)

    def send(self, customers: int | Sequence[str], result: UpsertResult | None) -> list[str]:
        """Send a page of customers in one upsert with this result, and return their source ids."""
        number = self.pages + 1
        ids = customers if not isinstance(customers, int) else [f"c{number}-{i}" for i in range(customers)]
        record = recorder.for_listing(self.ledger, self.run, done_pages=0, is_followed=True).record
        self.pages = number
        self.emit(PageListed(str(number), len(ids)))
        self._send(record, number, ids, result)
        record(PageDone(number, "", str(number), Outcomes(sent=len(ids))))
        return list(ids)

    def replay(self, result: Callable[[list[str]], UpsertResult | None]) -> None:
        """Replay what is pending, in upserts with these results."""
        for replay in self.ledger.read(partial(batches.replays, since=0)):
            attempt = max(replay.attempt, SECOND_ATTEMPT)
            if attempt == SEARCH_ATTEMPT and replay.customers == 1:
                attempt = LAST_ATTEMPT
            record = recorder.for_replays(
                self.ledger, self.run, [replay.batch], attempt=attempt, is_followed=True
            ).record
            members = self.ledger.read(partial(batches.members_of, batch=replay.batch))
            ids = [each.segment_id.removeprefix("use_") for each in members if each.counts]
            self.emit(PageReplayed(len(ids), is_retry=False))
            self._send(record, 1, ids, result(ids))
            record(PageDone(1, "", None, Outcomes(sent=len(ids))))

    def _send(self, record: OnEvent, page: int, ids: Sequence[str], result: UpsertResult | None) -> None:
        self.actions += 1
        action_id = f"aa_{self.actions}"
        self.voucherify.results[action_id] = result
        event = BatchSent(action_id, tuple(SentProfile(page, f"use_{each}", each) for each in ids))
        record(event)
        self.emit(event)
        self.writer.remember(event)

    async def begin(self) -> None:
        """Begin the process, so that what is sent from here on is of this one."""
        await self.follow()
        self.voucherify.calls.clear()

    async def follow(self) -> None:
        all_sent = asyncio.Event()
        all_sent.set()
        async with asyncio.timeout(100):
            await self.reader.follow(all_sent)

    @property
    def outcomes(self) -> Outcomes:
        """The outcomes in the ledger, which are those that the events report."""
        outcomes = outcomes_of(self.ledger, self.run)
        assert outcomes == self.counters.outcomes
        return outcomes

    @property
    def rejections(self) -> list[Rejection]:
        return [event.rejection for event in self.events if isinstance(event, ProfileRejected)]

    @property
    def rejected(self) -> list[str | None]:
        return [each.source_id for each in self.rejections]

    @property
    def ended(self) -> list[str]:
        return [event.action_id for event in self.events if isinstance(event, ActionEnded)]

    def open_upserts(self) -> int:
        return run_of(self.ledger, self.run).open_upserts
