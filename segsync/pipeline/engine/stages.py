"""The stages of an import and the bounded queues between them.

    lister → listed → workers → customers → batcher → batches → uploaders

It takes a source of profiles and a sink of customers, and knows neither Segment nor Voucherify, no SQL and
no terminal. Every queue is bounded, so that a slow sink slows the source down instead of filling memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from itertools import count
from typing import Final, Literal

import msgspec

from segsync import events
from segsync.connectors.base import Sink, Source
from segsync.errors import AnswerError, MappingError, RefusedError, SegsyncError, TransientError, first_of
from segsync.events import KeepWords, OnEvent, both, ignore_words
from segsync.mapping.customer import Warn
from segsync.models import Customer, Page, Profile, Rejection, WithoutIdentifier
from segsync.pipeline.engine.batching import Batch, BatchBuilder, Item
from segsync.pipeline.engine.checkpoint import Checkpoint, OpenPage
from segsync.pipeline.engine.circuit_breaker import Postponed, Rejections
from segsync.pipeline.engine.concurrency import FIRST, ConcurrencyController, most_workers
from segsync.pipeline.engine.identifiers import Identifiers, Others
from segsync.pipeline.engine.uploads import UPLOADS_IN_FLIGHT, Uploads

PROFILES_WAITING = 200
"""How many listed profiles wait for a worker."""

IDLE_FLUSH_SECONDS = 10.0
"""A batch that is not full is sent when no customer came for this long, so that it does not wait out an outage."""

FLUSH: Final = "flush"
"""In the queue of customers: send what there is, though it does not fill a batch."""

REJECTED_IN_A_ROW = 25
"""This many rejections with no success between them open the circuit breaker: the import stops instead of rejecting
the whole space one by one."""

Listed = str | Profile | WithoutIdentifier
"""A profile of a page: its id, which has to be read, or the whole of it."""

_ENCODER = msgspec.json.Encoder()


class Pipeline:
    """The stages of one import, from `source` to `sink`, with bounded queues between them.

    `to_customer` maps a profile; `concurrency` is how many profiles are read at a time (None: as many as the
    latency asks for), `batch_size` how many customers go in one upsert. `others` asks who was sent with an identifier
    before (None: nobody). `rejected_in_a_row` profiles with no success between them stop the import; None is for
    profiles that were chosen because they failed before. `keep_words` gets the sink's own words about a rejection.
    Where they `are_given_ids`, which nobody listed, an id that the source does not know is left out. `run()` may be
    called once.
    """

    def __init__(
        self,
        source: Source,
        sink: Sink,
        *,
        to_customer: Callable[[Profile, Warn], Customer],
        concurrency: int | None,
        batch_size: int,
        on_event: OnEvent,
        others: Others | None = None,
        rejected_in_a_row: int | None = REJECTED_IN_A_ROW,
        keep_words: KeepWords = ignore_words,
        are_given_ids: bool = False,
    ) -> None:
        self._source = source
        self._sink = sink
        self._to_customer = to_customer
        self._controller = ConcurrencyController(concurrency or FIRST, most_workers())
        self._finds_concurrency = concurrency is None
        self._workers: set[asyncio.Task[None]] = set()
        self._on_event = on_event
        self._identifiers = Identifiers(source, others, self._count_duplicate, most_waiting=batch_size)
        self._checkpoint = Checkpoint(both(on_event, self._identifiers.forget))
        self._builder = BatchBuilder(batch_size, sink.max_body_bytes)
        # None in a queue marks its end.
        self._listed: asyncio.Queue[tuple[OpenPage, int, Listed] | None] = asyncio.Queue(PROFILES_WAITING)
        self._customers: asyncio.Queue[Item | Literal["flush"] | None] = asyncio.Queue(batch_size)
        self._taken = 0  # customers that have reached the batcher
        self._has_all_customers = False
        self._stopping = False
        self._read_error: SegsyncError | None = None
        self._are_given_ids = are_given_ids
        self._rejections = Rejections(self._checkpoint, on_event, rejected_in_a_row)
        self._postponed = Postponed(self._checkpoint)
        self._uploads = Uploads(
            sink,
            self._checkpoint,
            self._identifiers,
            self._rejections,
            self._postponed,
            released=self._released,
            keep_words=keep_words,
            on_event=on_event,
        )

    async def run(self, pages: AsyncGenerator[Page, None], stop: asyncio.Event) -> None:
        """Import the profiles of all `pages`.

        Once `stop` is set no new profile is begun; those under way are finished and sent. After an error of
        the source, what the workers have handed on is still sent; an error of the sink ends everything at
        once. Raises the error that stopped the import. The events say how far it came, and `unfinished` is the error
        for profiles that are left to a later run, None where there are none.
        """
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._write())
                try:
                    await self._read(pages, stop)
                except* SegsyncError as errors:
                    self._read_error = self._read_error or first_of(errors)
                if (task := asyncio.current_task()) and task.cancelling():
                    # The writing has failed too, or all was cancelled, while the reading was already failing: the
                    # inner group reports only its own errors, and nothing takes what is put into the queue now.
                    raise asyncio.CancelledError
                await self._customers.put(None)
        except BaseExceptionGroup as errors:
            raise first_of(errors) from None
        if self._read_error is not None:
            raise self._read_error
        if not self._stopping:
            self._rejections.release_all()

    @property
    def unfinished(self) -> TransientError | None:
        return self._postponed.error

    # --- reading: lister → listed → workers → customers ------------------------------------------------------

    async def _read(self, pages: AsyncGenerator[Page, None], stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            lister = group.create_task(self._list(pages))
            self._on_event(events.ConcurrencyChanged(self._controller.size))
            self._hire(group)
            stopper = group.create_task(self._stop_when(stop, lister))
            finder = group.create_task(self._find_concurrency(group)) if self._finds_concurrency else None
            await asyncio.wait({lister})
            if finder:
                finder.cancel()  # the last profiles are not a reason to read more at a time
            await self._listed.put(None)
            while self._workers:
                await asyncio.wait(self._workers)
            stopper.cancel()

    def _hire(self, group: asyncio.TaskGroup) -> None:
        while len(self._workers) < self._controller.size:
            worker = group.create_task(self._work())
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)

    async def _find_concurrency(self, group: asyncio.TaskGroup) -> None:
        def can_use_more() -> bool:
            return not self._listed.empty() and not self._customers.full()

        async with aclosing(self._controller.sizes(self._source.usage, can_use_more)) as sizes:
            async for size in sizes:
                self._on_event(events.ConcurrencyChanged(size))
                self._hire(group)

    async def _stop_when(self, stop: asyncio.Event, lister: asyncio.Task[None]) -> None:
        await stop.wait()
        self._stopping = True
        lister.cancel()

    async def _list(self, pages: AsyncGenerator[Page, None]) -> None:
        places = count()
        async with aclosing(pages):
            try:
                async for page in pages:
                    if not await self._checkpoint.room():
                        return  # the oldest page has profiles that are left for later
                    self._on_event(events.PageListed(page.cursor, len(page.profiles)))
                    opened = self._checkpoint.open(page)
                    for listed in page.profiles:
                        await self._listed.put((opened, next(places), listed))
            except SegsyncError as error:
                self._read_error = error  # the pages listed before it are still worth finishing

    async def _work(self) -> None:
        while len(self._workers) <= self._controller.size:
            entry = await self._listed.get()
            if entry is None:
                self._listed.put_nowait(None)  # for the next one
                return
            if not self._stopping:
                await self._process(*entry)
        # One worker too many: it leaves at once, so that the next one that looks does not leave as well.
        if worker := asyncio.current_task():
            self._workers.discard(worker)

    async def _process(self, page: OpenPage, place: int, listed: Listed) -> None:
        """Read a profile unless the page brought the whole of it, and hand on the customer that it becomes."""
        if isinstance(listed, str):
            segment_id = listed
            try:
                profile = await self._source.read(segment_id)
            except (RefusedError, AnswerError, TransientError) as error:
                await self._cannot_read(page, segment_id, error)
                return
            self._rejections.release("read")
            self._postponed.succeeded("read")
        else:
            segment_id = listed.segment_id
            profile = listed if isinstance(listed, Profile) else None
        if profile is None:
            self._on_event(events.ProfileWithoutIdentifier(segment_id))
            self._checkpoint.without_identifier(page)
            return
        encoded = self._encode(profile)
        if isinstance(encoded, bytes):
            self._rejections.release("map")
            self._on_event(events.ProfileRead(segment_id))
            await self._customers.put(Item(page, segment_id, profile.source_id, encoded, place))
        else:
            self._rejections.hold(page, encoded)
            self._rejections.stop_if_open("map")

    async def _cannot_read(
        self, page: OpenPage, segment_id: str, error: RefusedError | AnswerError | TransientError
    ) -> None:
        if isinstance(error, TransientError) and not await self._source.answers():
            raise error  # not this profile fails, but the source
        if isinstance(error, TransientError) and error.asks_for_later:
            self._postponed.add("read", [page], error)
            return
        if error.status == 404 and self._are_given_ids:
            self._on_event(events.IdUnknown(segment_id))
            self._checkpoint.unknown_id(page)
            return
        rejection = Rejection(segment_id, None, "read", error.message, error.request_id, error.code)
        if error.status == 404:  # merged away or deleted since it was listed: nothing is wrong with the others
            self._rejections.reject(page, rejection)
        else:
            self._rejections.hold(page, rejection)
            self._rejections.stop_if_open("read")

    def _encode(self, profile: Profile) -> bytes | Rejection:
        """The customer as JSON, or the rejection of the profile."""

        def warn(trait: str, problem: str) -> None:
            self._on_event(events.TraitLeftOut(profile.segment_id, trait, problem))

        code: str | None
        try:
            encoded = _ENCODER.encode(self._to_customer(profile, warn))
        except MappingError as error:
            reason, code = str(error), error.code
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            reason = f"cannot be written in JSON: {type(error).__name__}"
            code = "value-unsendable"
        else:
            if len(encoded) + 2 <= self._sink.max_body_bytes:
                return encoded
            reason = f"{len(encoded):,} bytes, more than the {self._sink.max_body_bytes:,} that a request may have"
            code = "too-large"
        return Rejection(profile.segment_id, profile.source_id, "map", reason, code=code)

    # --- writing: customers → batcher → batches → uploaders -----------------------------------------------

    async def _write(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(UPLOADS_IN_FLIGHT):
                group.create_task(self._uploads.work())
            reminder = group.create_task(self._remind_of_idle_batches())
            while (item := await self._customers.get()) is not None:
                if isinstance(item, Item):
                    self._taken += 1
                    if self._identifiers.admit(item):
                        await self._put(self._builder.add(item))
                    elif self._identifiers.is_full:
                        await self._put(self._builder.flush())
                        await self._identifiers.room()
                else:
                    await self._put(self._builder.flush())
            reminder.cancel()
            self._has_all_customers = True
            await self._put(self._builder.flush())
            for _ in range(UPLOADS_IN_FLIGHT):
                await self._uploads.batches.put(None)

    def _count_duplicate(self, page: OpenPage, duplicate: events.DuplicateIdentifier) -> None:
        self._on_event(duplicate)
        self._checkpoint.duplicate(page, was_sent=duplicate.action_id is not None)

    async def _remind_of_idle_batches(self) -> None:
        """Flush a batch that stays idle. One task does: a timer per customer would cost more than to batch it."""
        clock = asyncio.get_running_loop().time
        seen, since = self._taken, clock()
        while True:
            await asyncio.sleep(IDLE_FLUSH_SECONDS / 10)
            if self._taken != seen or self._builder.is_empty:
                seen, since = self._taken, clock()
            elif clock() - since >= IDLE_FLUSH_SECONDS:
                await self._customers.put(FLUSH)
                since = clock()

    async def _put(self, batches: list[Batch]) -> None:
        for batch in batches:
            await self._uploads.batches.put(batch)

    def _released(self) -> list[Batch]:
        """Batches of customers that waited for another one with their identifier, as far as they fill one."""
        items = self._identifiers.released()
        full = [batch for item in items for batch in self._builder.add(item)]
        return full + self._builder.flush() if items and self._has_all_customers else full
