"""How many profiles were read when: a few hundred numbers, however long the import takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from msgspec import Struct

SAMPLE_SECONDS = 1.0


MOST_BUCKETS = 240


class Throughput(Struct, frozen=True):
    """Profiles that were read from Segment in each stretch of `bucket_seconds`, from the start of the process on.

    One that has no identifier counts, one that could not be read does not. The last stretch may be shorter.
    """

    bucket_seconds: float = SAMPLE_SECONDS
    profiles: tuple[int, ...] = ()

    def then(self, later: Throughput, after_seconds: float) -> Throughput:
        """These and those that began `after_seconds` later, as one."""
        both = Buckets()
        for part, begun in ((self, 0.0), (later, after_seconds)):
            for number, profiles in enumerate(part.profiles):
                both.add(begun + (number + 0.5) * part.bucket_seconds, profiles)
        return both.throughput


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


@contextmanager
def sampled(buckets: Buckets, profiles_read: Callable[[], int]) -> Iterator[None]:
    """While this is open, look once a second at how many profiles are read by now: nothing is done for each of them."""
    loop = asyncio.get_running_loop()
    started = looked = loop.time()
    before = profiles_read()

    def look() -> None:
        nonlocal looked, before
        now, total = loop.time(), profiles_read()
        buckets.add((looked + now) / 2 - started, total - before)  # the middle: timers are late, and more so in time
        looked, before = now, total

    async def look_on() -> None:
        while True:
            await asyncio.sleep(SAMPLE_SECONDS)
            look()

    looking = loop.create_task(look_on())
    try:
        yield
    finally:
        looking.cancel()
        look()
