"""Carries a plan out, from its beginning to its end.

the listing, or the rejected profiles  →  results  →  upserts that FAILED  →  results  →  the search  →  results
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Final, Literal

from segsync import events
from segsync.connectors.base import Results, Schemas, Sink, Source
from segsync.errors import first_of
from segsync.events import Event, OnEvent
from segsync.ledger import batches, recorder
from segsync.ledger.batches import LAST_ATTEMPT, SEARCH_ATTEMPT, SECOND_ATTEMPT, Replay
from segsync.ledger.database import Ledger
from segsync.ledger.identifiers import SentIdentifiers
from segsync.ledger.recorder import Recorder
from segsync.ledger.rejections import IS_UNKNOWN
from segsync.ledger.result_writer import ResultWriter
from segsync.mapping.customer import MetadataOf, Warn, to_customer
from segsync.models import Customer, Page, Plan, Profile
from segsync.pipeline import plan as pages
from segsync.pipeline import refusals
from segsync.pipeline.chosen import ChosenIds
from segsync.pipeline.engine.stages import REJECTED_IN_A_ROW, Pipeline
from segsync.pipeline.mapper import read_metadata_rules
from segsync.pipeline.results import ResultReader
from segsync.report.list_writer import ProfileLists
from segsync.settings import Settings

_KEPT: Final = frozenset(
    {
        *(events.PageListed, events.PageDone, events.BatchSent, events.ActionEnded),
        *(events.ProfileWithoutIdentifier, events.ProfileRejected, events.DuplicateIdentifier, events.TraitLeftOut),
    }
)
"""The events that the ledger needs; the others are many."""

Kind = Literal["listing", "ids", "replay", "search", "retry", "retry of unknown"]
"""What profiles are imported: those listed; those of given ids; those of upserts that failed, or in which some are
refused; or retried."""

_run_of = attrgetter("run")


class ImportJob:
    """Carries out a plan.

    `schemas` says what customers' metadata may hold, None where nothing is known of that. `on_event` gets the events
    of the runs that the plan counts, and `confirm` says whether results are read, of a sink that has any. `chosen` are
    the ids of a plan for given ones.
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
        on_event: OnEvent,
        lists: ProfileLists | None,
        stop: asyncio.Event,
        chosen: ChosenIds | None = None,
    ) -> None:
        self._settings = settings
        self._plan = plan
        self._source = source
        self._sink = sink
        self._schemas = schemas
        self._ledger = ledger
        self._sent_identifiers = SentIdentifiers(ledger)
        self._on_event = on_event
        self._lists = lists
        self._stop = stop
        self._chosen = chosen
        self._metadata_of: MetadataOf | None = None
        self._keep_words = lists.keep if lists else events.ignore_words
        self._writer = ResultWriter(ledger, self._on_result_of, self._keep_words)
        self._results: ResultReader | None = None
        if confirm and isinstance(sink, Results):
            self._results = ResultReader(
                sink,
                ledger,
                since=plan.followed_since,
                writer=self._writer,
                patience_seconds=settings.confirm_seconds,
            )

    async def run(self, limit: int | None) -> None:
        """Do all of it, or what can be done until `stop` is set. Raises the error that stopped it."""
        plan, ledger, is_followed = self._plan, self._ledger, self._results is not None
        if plan.kind == "retry":
            for run in plan.runs:
                record = recorder.for_retry(ledger, run, is_followed=is_followed)
                await self._import(run, pages.of_rejected(ledger, run), record, "retry")
                await self._import(run, pages.of_rejected(ledger, run, IS_UNKNOWN), record, "retry of unknown")
        elif self._chosen:
            [run] = plan.runs
            record = recorder.for_ids(ledger, run, is_followed=is_followed)
            await self._import(run, pages.of_ids(ledger, self._chosen), record, "ids")
        elif plan.offset is not None:
            [run] = plan.runs
            record = recorder.for_listing(ledger, run, done_pages=plan.done_pages, is_followed=is_followed)
            listed = pages.listed(self._source, ledger, plan, plan.offset, limit, self._on_event)
            await self._import(run, listed, record, "listing")
        else:
            all_sent = asyncio.Event()
            all_sent.set()
            await self._read_results(all_sent)
        await self._replay()
        await ledger.keep_up(0)

    async def _replay(self) -> None:
        """Replay the batches that failed as a whole, then search those in which somebody is refused who is not named.

        A search goes on until each of the refused is alone, or the calls that it may cost are spent.
        """
        kept = refusals.KeptReads(self._source, refusals.MOST_AT_A_TIME * self._settings.batch_size)
        calls_before, done, is_searching = 0, set[int](), False
        while not self._stop.is_set():
            found = await self._ledger.ask(partial(batches.replays, since=self._plan.followed_since))
            found = [replay for replay in found if replay.batch not in done]
            whole = [replay for replay in found if replay.attempt < SEARCH_ATTEMPT or not self._results]
            if whole:
                await self._replay_batches(whole, SECOND_ATTEMPT, self._settings.batch_size, self._source)
            elif found and self._results:
                if not is_searching:
                    is_searching, calls_before = True, self._results.calls
                    self._results.begin_search()
                imports, searches = await self._ledger.ask(
                    partial(batches.upserts_by_purpose, since=self._plan.followed_since)
                )
                spent = searches + self._results.calls - calls_before
                step = refusals.next_step(found, refusals.calls_left(imports, spent))
                if not step:
                    await self._results.end_search(gives_up=True)
                    reason = f"{self._sink.about.name} did not write all of these customers, and does not say which"
                    await self._writer.give_up(found, reason)
                    return
                attempt = SEARCH_ATTEMPT if step[-1].customers > 1 else LAST_ATTEMPT
                await self._replay_batches(step, attempt, refusals.half(step[-1].customers), kept)
                whole = step
            else:
                break
            done.update(replay.batch for replay in whole)
        if is_searching and self._results and not self._stop.is_set():
            await self._results.end_search()

    async def _replay_batches(self, replays: Sequence[Replay], attempt: int, batch_size: int, source: Source) -> None:
        for run, of_run in groupby(sorted(replays, key=_run_of), key=_run_of):
            replayed = [replay.batch for replay in of_run]
            record = recorder.for_replays(
                self._ledger, run, replayed, attempt=attempt, is_followed=self._results is not None
            )
            from_pages = pages.of_batches(self._ledger, replayed)
            kind: Kind = "search" if attempt >= SEARCH_ATTEMPT else "replay"
            await self._import(run, from_pages, record, kind, batch_size=batch_size, source=source)

    async def _import(
        self,
        run: int,
        from_pages: AsyncGenerator[Page, None],
        record: Recorder,
        kind: Kind,
        *,
        batch_size: int | None = None,
        source: Source | None = None,
    ) -> None:
        """Take the profiles of these pages from source to sink, and read the results of their upserts."""
        mapping = None if self._stop.is_set() else await self._mapping()
        if mapping is None or self._stop.is_set():
            return
        all_sent = asyncio.Event()
        pipeline = Pipeline(
            source or self._source,
            self._sink,
            to_customer=mapping,
            concurrency=self._settings.concurrency,
            batch_size=max(batch_size or self._settings.batch_size, 1),
            on_event=self._on_profiles_of(run, record, kind),
            others=self._sent_identifiers.others,
            # Profiles that are replayed were chosen because they failed: many failures in a row say nothing new.
            rejected_in_a_row=REJECTED_IN_A_ROW if kind == "listing" else None,
            keep_words=self._keep_words,
            are_given_ids=kind == "ids",
        )
        async with _task_group() as group:
            results = group.create_task(self._read_results(all_sent))
            await pipeline.run(from_pages, self._stop)
            all_sent.set()
            await results
        if pipeline.unfinished:
            raise pipeline.unfinished

    async def _mapping(self) -> Callable[[Profile, Warn], Customer] | None:
        """The mapping of this import; None if it is asked to end before the metadata schema is read."""
        if self._metadata_of is None:
            async with _task_group() as group:
                reading = group.create_task(read_metadata_rules(self._settings, self._schemas, self._on_event))
                stopping = group.create_task(self._stop.wait())
                await asyncio.wait({reading, stopping}, return_when=asyncio.FIRST_COMPLETED)
                reading.cancel()
                stopping.cancel()
            if reading.cancelled():
                return None
            self._metadata_of = reading.result()
        return partial(
            to_customer,
            metadata_of=self._metadata_of,
            invalid_birthdate=self._settings.birthdate_invalid,
            named=dict(self._settings.attribute_traits.named),
        )

    async def _read_results(self, all_sent: asyncio.Event) -> None:
        """Follow the upserts to their end, or until `stop` when all is sent: what is not read by then stays open."""
        if self._results is None:
            return

        async def end_early(following: asyncio.Task[None]) -> None:
            await all_sent.wait()
            upserts, _ = await self._ledger.ask(partial(batches.count_open, since=self._plan.followed_since))
            if not self._stop.is_set():
                self._on_event(events.ReadingEnded(upserts))
            await self._stop.wait()
            following.cancel()

        async with _task_group() as group:
            following = group.create_task(self._results.follow(all_sent))
            ending = group.create_task(end_early(following))
            await asyncio.wait({following})
            ending.cancel()

    def _on_profiles_of(self, run: int, record: Recorder, kind: Kind) -> OnEvent:
        """What happens to the profiles of a run goes into the ledger, then to the observer."""
        is_counted = run in self._plan.runs

        def on_event(event: Event) -> None:
            if type(event) in _KEPT:
                self._keep(event)
                record.record(event)
                self._writer.remember(event)
            if isinstance(event, events.IdUnknown) and self._chosen:
                self._chosen.mark_unknown(event.segment_id)
            if kind not in ("listing", "ids"):
                if isinstance(event, events.PageDone):
                    return  # the page was counted when it was listed
                if isinstance(event, events.PageListed):
                    event = events.PageReplayed(
                        event.profiles, kind.startswith("retry"), kind == "retry of unknown", kind == "search"
                    )
            if is_counted:
                self._on_event(event)

        return on_event

    def _on_result_of(self, run: int) -> OnEvent:
        """A result goes to the observer; whoever read it writes the ledger behind it."""
        is_counted = run in self._plan.runs

        def on_event(event: Event) -> None:
            self._keep(event)
            if is_counted:
                self._on_event(event)

        return on_event

    def _keep(self, event: Event) -> None:
        """Keep the source id of a rejection for the list: the ledger does not hold it."""
        if self._lists and isinstance(event, events.ProfileRejected):
            self._lists.keep(event.rejection)


@asynccontextmanager
async def _task_group() -> AsyncGenerator[asyncio.TaskGroup, None]:
    """A group that raises the error that came first, and not a group of errors."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as errors:
        raise first_of(errors) from None
