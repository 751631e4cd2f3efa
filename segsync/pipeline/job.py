"""What an import does from its beginning to its end: list, send, hear what became of it, take again what failed.

the listing, or the rejected profiles  →  outcomes  →  the profiles of upserts that FAILED  →  outcomes
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from segsync.connectors.base import Results, Schemas, Sink, Source
from segsync.errors import first_of
from segsync.events import (
    ActionEnded,
    BatchSent,
    Event,
    OnEvent,
    PageDone,
    PageListed,
    PageReplayed,
    ProfileRejected,
    ProfileWithoutIdentifier,
    ReadingEnded,
    TraitLeftOut,
)
from segsync.ledger import batches as entries
from segsync.ledger import recorder
from segsync.ledger.database import Ledger
from segsync.ledger.recorder import Recorder
from segsync.mapping.customer import MetadataOf, Warn, to_customer
from segsync.models import Customer, Page, Plan, Profile
from segsync.pipeline import plan as pages
from segsync.pipeline.mapper import read_metadata_rules
from segsync.pipeline.results import ResultReader
from segsync.pipeline.stages import REJECTED_IN_A_ROW, Pipeline
from segsync.report.profile_lists import ProfileLists
from segsync.settings import Settings

_KEPT: Final = frozenset(
    {PageListed, ProfileWithoutIdentifier, ProfileRejected, TraitLeftOut, BatchSent, PageDone, ActionEnded}
)
"""What the files and the ledger want to know of; the other events are many."""


class ImportJob:
    """Carries out a plan.

    `schemas` says what customers' metadata may hold (None where nothing is known of that), `tell` gets the events of
    the runs that the plan counts, and `confirm` says whether results are read, of a sink that has any.
    """

    def __init__(
        self,
        settings: Settings,
        plan: Plan,
        source: Source,
        sink: Sink,
        schemas: Schemas | None,
        *,
        ledger: Ledger,
        confirm: bool,
        tell: OnEvent,
        files: ProfileLists | None,
        stop: asyncio.Event,
    ) -> None:
        self._settings = settings
        self._plan = plan
        self._source = source
        self._sink = sink
        self._schemas = schemas
        self._ledger = ledger
        self._tell = tell
        self._files = files
        self._stop = stop
        self._metadata_of: MetadataOf | None = None
        self._results: ResultReader | None = None
        if confirm and isinstance(sink, Results):
            self._results = ResultReader(
                sink,
                ledger,
                since=plan.followed_since,
                on_event_of=self._tell_result_of,
                patience_seconds=settings.confirm_seconds,
            )
        self._confirm = self._results is not None

    async def run(self, limit: int | None) -> None:
        """Do it all, or what can be done until `stop` is set. Raises the error that stopped it."""
        plan, ledger = self._plan, self._ledger
        if plan.kind == "retry":
            for run in plan.runs:
                rejected = recorder.for_retry(ledger, run, is_followed=self._confirm)
                await self._take(run, pages.of_rejected(ledger, run), rejected, is_retry=True)
        elif plan.offset is not None:
            [run] = plan.runs
            listed = recorder.for_listing(ledger, run, done_pages=plan.done_pages, is_followed=self._confirm)
            await self._take(run, pages.listed(self._source, ledger, run, plan.offset, limit), listed, is_listing=True)
        else:
            await self._read_results(_already())
        for run, batches in (await ledger.ask(partial(entries.replays, since=plan.followed_since))).items():
            again = recorder.for_replays(ledger, run, batches, is_followed=self._confirm)
            await self._take(run, pages.of_batches(ledger, batches), again)
        await ledger.keep_up(0)

    async def _take(
        self,
        run: int,
        from_pages: AsyncGenerator[Page, None],
        record: Recorder,
        *,
        is_listing: bool = False,
        is_retry: bool = False,
    ) -> None:
        """Take the profiles of these pages from source to sink, and hear what became of them."""
        mapping = None if self._stop.is_set() else await self._mapping()
        if mapping is None or self._stop.is_set():
            return
        all_sent = asyncio.Event()
        pipeline = Pipeline(
            self._source,
            self._sink,
            to_customer=mapping,
            concurrency=self._settings.concurrency,
            batch_size=self._settings.batch_size,
            on_event=self._tell_of(run, record, is_listing=is_listing, is_retry=is_retry),
            # Profiles that are taken again were chosen because they failed: that many do so once more says nothing.
            rejected_in_a_row=REJECTED_IN_A_ROW if is_listing else None,
        )
        async with _task_group() as group:
            hearing = group.create_task(self._read_results(all_sent))
            await pipeline.run(from_pages, self._stop)
            all_sent.set()
            await hearing

    async def _mapping(self) -> Callable[[Profile, Warn], Customer] | None:
        """The mapping of this import; None if it is asked to end before the metadata schema is read."""
        if self._metadata_of is None:
            async with _task_group() as group:
                reading = group.create_task(read_metadata_rules(self._settings, self._schemas, self._tell))
                stopping = group.create_task(self._stop.wait())
                await asyncio.wait({reading, stopping}, return_when=asyncio.FIRST_COMPLETED)
                reading.cancel()
                stopping.cancel()
            if reading.cancelled():
                return None
            self._metadata_of = reading.result()
        return partial(to_customer, metadata_of=self._metadata_of)

    async def _read_results(self, all_sent: asyncio.Event) -> None:
        """Follow the upserts to their end, or until `stop` when all is sent: what is not read by then stays open."""
        results = self._results
        if results is None:
            return

        async def end_early(following: asyncio.Task[None]) -> None:
            await all_sent.wait()
            batches, _ = await self._ledger.ask(partial(entries.count_open, since=self._plan.followed_since))
            if not self._stop.is_set():
                self._tell(ReadingEnded(batches))
            await self._stop.wait()
            following.cancel()

        async with _task_group() as group:
            following = group.create_task(results.follow(all_sent))
            ending = group.create_task(end_early(following))
            await asyncio.wait({following})
            ending.cancel()

    def _tell_of(self, run: int, record: Recorder, *, is_listing: bool, is_retry: bool) -> OnEvent:
        """What happens to the profiles of a run: into the files, then into the ledger, then to who watches."""
        is_counted = run in self._plan.runs

        def tell(event: Event) -> None:
            if type(event) in _KEPT:
                if self._files:
                    self._files.write(event)
                record.record(event)
                if self._results:
                    self._results.remember(event)
            if not is_listing:
                if isinstance(event, PageDone):
                    return  # the page was counted when it was listed
                if isinstance(event, PageListed):
                    event = PageReplayed(event.profiles, is_retry)
            if is_counted:
                self._tell(event)

        return tell

    def _tell_result_of(self, run: int) -> OnEvent:
        """What becomes of customers that were sent; the confirmation writes the ledger itself, after the files."""
        is_counted = run in self._plan.runs

        def tell(event: Event) -> None:
            if self._files:
                self._files.write(event)
            if is_counted:
                self._tell(event)

        return tell


@asynccontextmanager
async def _task_group() -> AsyncGenerator[asyncio.TaskGroup, None]:
    """A group that raises the error that came first, and not a group of errors."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as errors:
        raise first_of(errors) from None


def _already() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event
