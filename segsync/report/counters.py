"""The numbers of an import, counted from its events alone."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from msgspec import Struct

from segsync.events import (
    ActionEnded,
    BatchSent,
    CallAnswered,
    CallRetried,
    Event,
    PageDone,
    PageListed,
    PageReplayed,
    ProfileRead,
    ProfileRejected,
    ProfileWithoutIdentifier,
    TraitLeftOut,
)
from segsync.models import Outcomes

SAMPLE_SECONDS = 1.0
"""How often the profiles read so far are looked at: nothing is done for each of them."""

MOST_BUCKETS = 240
"""The most stretches that a throughput has: beyond them they become longer."""


class Throughput(Struct, frozen=True):
    """Profiles that were read in each stretch of `bucket_seconds`, from the start of the process on.

    A profile without identifier counts, one that could not be read does not. The last stretch may be shorter.
    """

    bucket_seconds: float = SAMPLE_SECONDS
    profiles: tuple[int, ...] = ()


class Buckets:
    """Collects a `Throughput`: when there are too many buckets, each becomes twice as wide."""

    def __init__(self) -> None:
        self._seconds = SAMPLE_SECONDS
        self._profiles: list[int] = []

    def add(self, at_seconds: float, profiles: int) -> None:
        """Count profiles at this time since the start."""
        while (number := int(at_seconds / self._seconds)) >= MOST_BUCKETS:
            self._seconds *= 2
            pairs = range(0, len(self._profiles), 2)
            self._profiles = [sum(self._profiles[start : start + 2]) for start in pairs]
        self._profiles += [0] * (number + 1 - len(self._profiles))
        self._profiles[number] += profiles

    @property
    def throughput(self) -> Throughput:
        return Throughput(self._seconds, tuple(self._profiles))


NOTHING_BEFORE = Outcomes()


class ServiceCounters:
    """The calls to one service: all of them, the retries, and how many were answered 429."""

    __slots__ = ("calls", "rate_limited", "retries")

    def __init__(self) -> None:
        self.calls = self.retries = self.rate_limited = 0


class Counters:
    """Counts the events of an import. `resume_offset` is where it can resume; None at the end of the space.

    `before` are the outcomes of earlier processes of the same import, `waiting` the customers that are read and not
    sent yet, `services` the calls by the name of the service. `began_at` and `seconds` are this process's, and so are
    the calls and what was left out.
    """

    def __init__(self, offset: str | None, before: Outcomes = NOTHING_BEFORE) -> None:
        self.offset = offset
        self.before = before
        self.left_out: Counter[str] = Counter()
        self.services: defaultdict[str, ServiceCounters] = defaultdict(ServiceCounters)
        self.buckets = Buckets()
        self.began_at: datetime | None = None
        self.seconds = 0.0
        self.resume(offset, before)

    def resume(self, offset: str | None, done: Outcomes) -> None:
        """Go on at `offset` in the same process with what is `done` before it: what lies beyond is repeated."""
        self.resume_offset = offset
        self.checkpointed = done
        self.listed = done.profiles
        self.confirmed, self.sent = done.confirmed, done.sent
        self.without_identifier, self.rejected = done.without_identifier, done.rejected
        self.read = done.done - done.without_identifier
        self.waiting = 0

    def count(self, event: Event) -> None:  # noqa: PLR0912 - a branch per event
        match event:
            case CallAnswered(service, status):
                calls = self.services[service]
                calls.calls += 1
                if status == 429:
                    calls.rate_limited += 1
            case ProfileRead():
                self.read += 1
                self.waiting += 1
            case TraitLeftOut(_, trait):
                self.left_out[trait] += 1
            case ProfileWithoutIdentifier():
                self.without_identifier += 1
            case BatchSent(_, profiles):
                self.sent += len(profiles)
                self.waiting -= len(profiles)
            case ActionEnded(_, customers, confirmed, rejected):
                self.sent -= customers - rejected
                self.confirmed += confirmed
            case PageListed(_, profiles):
                self.listed += profiles
            case PageReplayed(profiles, is_retry):
                if is_retry:
                    self.rejected -= profiles
            case PageDone(_, _, next_cursor, outcomes):
                self.resume_offset = next_cursor
                self.checkpointed += outcomes
            case ProfileRejected(rejection):
                self.rejected += 1
                if rejection.stage == "confirm":
                    self.sent -= 1
                elif rejection.stage == "upsert":
                    self.waiting -= 1
            case CallRetried(service):
                self.services[service].retries += 1

    @property
    def profiles_read(self) -> int:
        """The profiles that were read, with or without an identifier."""
        return self.read + self.without_identifier

    @property
    def outcomes(self) -> Outcomes:
        """The outcomes of the profiles listed so far."""
        known = Outcomes(
            confirmed=self.confirmed,
            sent=self.sent,
            without_identifier=self.without_identifier,
            rejected=self.rejected,
        )
        return known + Outcomes(pending=self.listed - known.done)


@contextmanager
def measured(counters: Counters) -> Iterator[None]:
    """Measure the time of an import while this is open, and look once a second at how many profiles are read by now."""
    loop = asyncio.get_running_loop()
    started = looked = loop.time()
    earlier, before = counters.seconds, counters.profiles_read

    def look() -> None:
        nonlocal looked, before
        now, total = loop.time(), counters.profiles_read
        middle = (looked + now) / 2  # timers are late, and more so in time
        counters.buckets.add(earlier + middle - started, total - before)
        counters.seconds = earlier + now - started
        looked, before = now, total

    async def look_on() -> None:
        while True:
            await asyncio.sleep(SAMPLE_SECONDS)
            look()

    counters.began_at = counters.began_at or datetime.now(UTC)
    looking = loop.create_task(look_on())
    try:
        yield
    finally:
        looking.cancel()
        look()
