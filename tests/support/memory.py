"""A source and a sink in memory, and an import from one to the other on a clock that costs no time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

import msgspec

from segsync.errors import MappingError, RefusedError, SegsyncError
from segsync.events import Event, ProfileRejected
from segsync.mapping.customer import Warn, to_customer
from segsync.models import Connector, Customer, Page, Profile, Usage, WithoutIdentifier
from segsync.pipeline.engine.identifiers import Others
from segsync.pipeline.engine.stages import REJECTED_IN_A_ROW, Pipeline
from segsync.report.counters import Counters
from tests.conftest import run_virtual

READ_SECONDS = 0.1


def refused(status: int, reason: str = "", *, words: str | None = None) -> RefusedError:
    message = f"answered {status}: {reason}" if reason else f"answered {status}"
    return RefusedError(message, service="Test", status=status, request_id="req-1", words=words)


class MemorySource:
    """`profiles` of them, in pages of 100; every read takes a tenth of a second. With
    `brings_profiles` its pages hold whole ones, which need no read.
    """

    about = Connector("Memory", identity="spa_mine")

    def __init__(self, profiles: int, page_size: int = 100, *, brings_profiles: bool = False) -> None:
        self.profiles = profiles
        self.page_size = page_size
        self.brings_profiles = brings_profiles
        self.reads = 0
        self.under_way = self.most_under_way = 0
        self.levels: list[int] = []  # how many were under way with each read
        self.usage: Callable[[], Usage | None] = lambda: None
        self.trouble: Callable[[int], SegsyncError | None] = lambda _index: None
        self.listing_trouble: Callable[[int], SegsyncError | None] = lambda _offset: None
        self.seconds: Callable[[int], float] = lambda _index: READ_SECONDS
        self.source_id: Callable[[int], str | None] = lambda index: f"user-{index}"
        self.traits: dict[str, Any] = {}
        self.is_away = False

    async def pages(self, offset: str, limit: int | None) -> AsyncGenerator[Page, None]:
        end = self.profiles if limit is None else min(self.profiles, int(offset) + limit)
        for start in range(int(offset), end, self.page_size):
            await asyncio.sleep(READ_SECONDS)
            if trouble := self.listing_trouble(start):
                raise trouble
            stop = min(start + self.page_size, end)
            listed = tuple(self._listed(index) for index in range(start, stop))
            yield Page(str(start), listed, None if stop == self.profiles else str(stop))

    def _listed(self, index: int) -> str | Profile | WithoutIdentifier:
        if not self.brings_profiles:
            return str(index)
        return self._profile(index) or WithoutIdentifier(str(index))

    def _profile(self, index: int) -> Profile | None:
        source_id = self.source_id(index)
        return None if source_id is None else Profile(str(index), source_id, self.traits)

    async def answers(self) -> bool:
        return not self.is_away

    async def read(self, segment_id: str) -> Profile | None:
        index = int(segment_id)
        self.reads += 1
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        self.levels.append(self.under_way)
        await asyncio.sleep(self.seconds(index))
        self.under_way -= 1
        if trouble := self.trouble(index):
            raise trouble
        return self._profile(index)


class MemorySink:
    """Keeps the batches; every upsert takes `seconds`."""

    about = Connector("Memory", identity="app-of-the-project")
    max_body_bytes = 10_000_000

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.batches: list[list[str]] = []
        self.times: list[float] = []
        self.trouble: Callable[[list[str]], SegsyncError | None] = lambda _source_ids: None

    async def upsert(self, body: bytes) -> str:
        source_ids = [customer["source_id"] for customer in msgspec.json.decode(body)]
        await asyncio.sleep(self.seconds)
        if trouble := self.trouble(source_ids):
            raise trouble
        self.batches.append(source_ids)
        self.times.append(asyncio.get_running_loop().time())
        return f"aa_{len(self.batches)}"

    @property
    def received(self) -> list[str]:
        return [source_id for batch in self.batches for source_id in batch]


class Import:
    """One import from memory to memory, with its counters and events."""

    def __init__(
        self,
        source: MemorySource,
        sink: MemorySink,
        *,
        concurrency: int | None = 16,
        batch_size: int = 100,
        others: Others | None = None,
        rejected_in_a_row: int | None = REJECTED_IN_A_ROW,
    ) -> None:
        self.source, self.sink = source, sink
        self.counters = Counters("0")
        self.events: list[Event] = []
        self._concurrency, self._batch_size = concurrency, batch_size
        self._others = others
        self._rejected_in_a_row = rejected_in_a_row
        self.stop: asyncio.Event | None = None
        self.unfinished: SegsyncError | None = None
        self.to_customer: Callable[[Profile, Warn], Customer] = to_customer

    def _on_event(self, event: Event) -> None:
        self.counters.count(event)
        self.events.append(event)

    async def start(self, offset: str, limit: int | None, meanwhile: Coroutine[Any, Any, None] | None) -> None:
        self.stop = asyncio.Event()
        pipeline = Pipeline(
            self.source,
            self.sink,
            to_customer=self.to_customer,
            on_event=self._on_event,
            concurrency=self._concurrency,
            batch_size=self._batch_size,
            others=self._others,
            rejected_in_a_row=self._rejected_in_a_row,
        )
        other = asyncio.create_task(meanwhile) if meanwhile else None
        try:
            await pipeline.run(self.source.pages(offset, limit), self.stop)
            self.unfinished = pipeline.unfinished
        finally:
            if other:
                other.cancel()

    def run(
        self, offset: str = "0", limit: int | None = None, meanwhile: Coroutine[Any, Any, None] | None = None
    ) -> None:
        self.counters = Counters(offset)
        run_virtual(self.start(offset, limit, meanwhile))

    def rejections(self) -> list[tuple[str, str]]:
        return [(e.rejection.segment_id, e.rejection.stage) for e in self.events if isinstance(e, ProfileRejected)]


def user_ids(*numbers: int) -> list[str]:
    return [f"user-{number}" for number in numbers]


def rejecting(is_rejected: Callable[[int], bool]) -> Callable[[Profile, Warn], Customer]:
    """A mapping that rejects the profiles of these numbers."""

    def to_customer(profile: Profile, _warn: Warn) -> Customer:
        if is_rejected(int(profile.segment_id)):
            raise MappingError("metadata.plan is not defined")
        return Customer(profile.source_id)

    return to_customer
