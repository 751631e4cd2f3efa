"""What does each stage of an import cost by itself? Prints CPU microseconds per customer by stage, as JSON.

The answers are fetched from a sandbox once. Then the same work is done as in an import, with nothing around it:
`python -m benchmarks.stages CUSTOMERS`, in the environment of a sandbox without limits and anonymous profiles.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final, TypeVar

import aiohttp
import msgspec

from segsync.connectors import segment
from segsync.connectors.base import MAX_BODY_BYTES
from segsync.connectors.http.client import ApiClient
from segsync.connectors.http.rate_limiter import RateLimiter
from segsync.events import BatchSent, PageDone, SentProfile, ignore
from segsync.ledger import batches, runs
from segsync.ledger.database import Ledger
from segsync.ledger.recorder import for_listing
from segsync.mapping.customer import MAPPED_TRAITS, to_customer
from segsync.models import FIRST_OFFSET, CallLimit, Connector, Customer, Outcomes, Page, Profile
from segsync.pipeline.engine.batching import BatchBuilder, Item
from segsync.pipeline.engine.checkpoint import Checkpoint
from segsync.runtime import run_event_loop
from segsync.settings import Settings

ROUNDS: Final = 3
A_PAGE: Final = 100

NO_LIMIT: Final = 1e9
"""Calls per second that nothing here comes near: a turn needs no wait."""

WAITING_WORKERS: Final = 16
WAITING_CALLS_PER_SECOND: Final = 500.0
WAITING_TURNS: Final = 500

T = TypeVar("T")

Stage = Callable[[], Awaitable[object]]

SOURCE, SINK = Connector("source", "bench"), Connector("sink", "bench")


class Remembering(ApiClient):
    """Fetches each answer once. From then on it decodes that answer anew, and makes no call."""

    def __init__(self, session: aiohttp.ClientSession, settings: Settings) -> None:
        super().__init__(
            session,
            Connector(segment.SERVICE, settings.segment_space_id, settings.segment_url, CallLimit(NO_LIMIT, "second")),
            headers=segment.headers(settings.segment_access_token),
            credentials="SEGMENT_ACCESS_TOKEN",
            retry_seconds=0.0,
            on_event=ignore,
        )
        self._fetch = session.request
        self._fetched_from = settings.segment_url
        self.answers: dict[str, bytes] = {}

    async def call(
        self,
        method: str,
        target: str,
        answer: msgspec.json.Decoder[T],
        body: bytes | None = None,
        *,
        retry_seconds: float | None = None,
        patience: float = 1.0,
        is_urgent: bool = True,
        has_own_right: bool = False,
    ) -> T:
        if target not in self.answers:
            async with self._fetch(method, f"{self._fetched_from}{target}", data=body) as response:
                self.answers[target] = await response.read()
        return answer.decode(self.answers[target])


async def read_all(source: segment.SegmentSource, customers: int) -> list[Profile]:
    """Read the pages, and the two parts of each profile."""
    profiles = []
    async for page in source.pages(FIRST_OFFSET, customers):
        for segment_id in page.profiles:
            assert isinstance(segment_id, str), "pages of Segment hold ids"  # noqa: S101
            profile = await source.read(segment_id)
            assert profile is not None, "a space for this has no anonymous profiles"  # noqa: S101
            profiles.append(profile)
    return profiles


async def map_all(profiles: Sequence[Profile]) -> list[Customer]:
    return [to_customer(profile, lambda _trait, _problem: None) for profile in profiles]


async def encode_all(customers: Sequence[Customer]) -> list[bytes]:
    encode = msgspec.json.Encoder().encode
    return [encode(customer) for customer in customers]


async def batch_all(profiles: Sequence[Profile], encoded: Sequence[bytes]) -> int:
    """Make bulk upserts of a hundred, and their bodies; the bytes of all bodies."""
    page = Checkpoint(ignore).open(Page(FIRST_OFFSET, tuple(each.segment_id for each in profiles), None))
    builder = BatchBuilder(A_PAGE, MAX_BODY_BYTES)
    size = 0
    for profile, content in zip(profiles, encoded, strict=True):
        for batch in builder.add(Item(page, profile.segment_id, profile.source_id, content)):
            size += len(batch.body())
    return size


async def take_turns(calls_per_second: float, turns: int, workers: int) -> None:
    limiter, left = RateLimiter(calls_per_second), iter(range(turns))

    async def work() -> None:
        for _ in left:
            await limiter.turn()

    await asyncio.gather(*(work() for _ in range(workers)))


async def write_ledger(profiles: Sequence[Profile], *, is_confirmed: bool) -> None:
    """Write the ledger of an import, with the results of its upserts or without."""
    with (
        tempfile.TemporaryDirectory() as directory,
        Ledger(Path(directory, "segsync.db"), owner=SINK, source=SOURCE) as ledger,
    ):
        run = await ledger.ask(partial(runs.begin_run, first_offset=FIRST_OFFSET, source=ledger.source))
        recorder = for_listing(ledger, run.id, done_pages=0, is_followed=is_confirmed)
        for number, first in enumerate(range(0, len(profiles), A_PAGE), start=1):
            members = [SentProfile(number, each.segment_id, each.source_id) for each in profiles[first:][:A_PAGE]]
            recorder.record(BatchSent(f"aa_{number}", tuple(members)))
            recorder.record(PageDone(number, str(first), str(first + A_PAGE), Outcomes(sent=len(members))))
            await ledger.keep_up()
            if is_confirmed:
                await read_result(ledger, run.id)


async def read_result(ledger: Ledger, run: int) -> None:
    """Record that no customer of the one open batch was refused."""
    [batch] = await ledger.ask(partial(batches.open_upserts, since=run, most=1000))
    await ledger.ask(partial(batches.members_of, batch=batch.id))
    await ledger.ask(partial(batches.end_batch, batch=batch, rejections=[], again=[]))


async def cpu_microseconds(stage: Stage, count: int) -> float:
    """CPU microseconds of this process, all its threads, for each of `count`: the median of some rounds."""
    taken = []
    for _ in range(ROUNDS):
        before = time.process_time()
        await stage()
        taken.append(time.process_time() - before)
    return 1e6 * median(taken) / count


async def main(customers: int) -> None:
    settings = Settings.load()
    async with aiohttp.ClientSession(headers=segment.headers(settings.segment_access_token)) as session:
        client = Remembering(session, settings)
        source = segment.SegmentSource(
            client,
            identifier_type=settings.identifier_saved_as_source_id,
            traits=MAPPED_TRAITS,
        )
        profiles = await read_all(source, customers)
    calls = len(client.answers)
    mapped = await map_all(profiles)
    encoded = await encode_all(mapped)
    stages: dict[str, Stage] = {
        "read": lambda: read_all(source, customers),
        "map": lambda: map_all(profiles),
        "encode": lambda: encode_all(mapped),
        "batch": lambda: batch_all(profiles, encoded),
        "pace": lambda: take_turns(NO_LIMIT, calls, workers=1),
        "ledger": lambda: write_ledger(profiles, is_confirmed=False),
        "ledger_confirmed": lambda: write_ledger(profiles, is_confirmed=True),
    }
    costs = {name: await cpu_microseconds(stage, len(profiles)) for name, stage in stages.items()}
    # Turns that have to be waited for cost more than those that are free: a timer and a switch each.
    waiting = await cpu_microseconds(
        lambda: take_turns(WAITING_CALLS_PER_SECOND, WAITING_TURNS, WAITING_WORKERS), WAITING_TURNS
    )
    costs["pace_waiting"] = waiting * calls / len(profiles)
    print(msgspec.json.encode(costs).decode())


if __name__ == "__main__":
    run_event_loop(main(int(sys.argv[1])))
