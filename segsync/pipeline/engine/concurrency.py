"""Finds how many profiles to read at a time, where that is not configured: as many as the latency asks for.

The calls allowed per second times the seconds that a call takes is how many calls have to be under way to use the
whole allowance. Neither has to be known: while some of it is unused, more workers are tried, and they stay if more
gets done with them. Where something else than the latency is the bottleneck (a slow sink, a busy processor, a service
at its own limit), they do not stay.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Callable
from time import process_time

from segsync.models import Usage

FIRST = 16

MOST = 500

ENOUGH = 0.98
"""The share of the allowance that counts as all of it."""

MOST_GROWTH, SPARE = 4.0, 1.1
"""How many more workers are tried at once: as many as would use the allowance at this latency and a little more, but
at most four times as many."""

WORTH = 0.3
"""More workers stay if they bring this share of what they could bring at best."""

LOOK_SECONDS = 0.25
"""How often it is judged how many there should be."""

BUSY = 0.7
"""Share of a processor: where this much is used, it is not the latency that holds the reading up."""

CONTENT_SECONDS = 30.0
"""How long no more workers are tried after some brought nothing."""


class ConcurrencyController:
    """The number of workers, `size`, which `judge` adjusts to the usage."""

    def __init__(self, size: int = FIRST, most: int = MOST) -> None:
        self.size = size
        self._most = most
        self._before: tuple[int, Usage] | None = None
        self._settled_at = self._content_until = -math.inf

    async def sizes(
        self, usage: Callable[[], Usage | None], can_use_more: Callable[[], bool]
    ) -> AsyncGenerator[int, None]:
        """Each new size, for as long as it is asked for the next one.

        `usage` is that of the workers since its last call; `can_use_more` is whether there is more to read, and room
        for what more workers would bring.
        """
        clock = asyncio.get_running_loop().time
        looked_at, worked = clock(), process_time()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            used = usage()
            is_busy = process_time() - worked > BUSY * (clock() - looked_at)
            looked_at, worked = clock(), process_time()
            if used is None or is_busy or not can_use_more():
                continue
            before = self.size
            if self.judge(used, clock()) != before:
                yield self.size

    def judge(self, usage: Usage, now: float) -> int:
        """The number of workers there should be, given the usage of `size` workers until `now` (seconds)."""
        if not usage.calls_per_second or now < self._settled_at:
            return self.size  # an outage shows nothing, nor does a time in which the new ones had yet to begin
        is_enough = usage.share >= ENOUGH
        if self._before:
            (size, before), self._before = self._before, None
            if not is_enough and usage.calls_per_second / before.calls_per_second - 1 < WORTH * (self.size / size - 1):
                self._content_until = now + CONTENT_SECONDS
                self.size = size
        if not is_enough and now >= self._content_until and self.size < self._most:
            self._before = (self.size, usage)
            # Where turns are unused all workers have a call under way, so this is how long a call takes, twice.
            self._settled_at = now + 2 * self.size / usage.calls_per_second
            self.size = min(math.ceil(self.size * min(SPARE / usage.share, MOST_GROWTH)), self._most)
        return self.size


def most_workers() -> int:
    """The most workers: half of the files that this process may open, since each has a connection."""
    try:
        from resource import RLIM_INFINITY, RLIMIT_NOFILE, getrlimit  # noqa: PLC0415 - there is none on Windows
    except ImportError:
        return MOST
    files, _ = getrlimit(RLIMIT_NOFILE)
    return MOST if files == RLIM_INFINITY else max(min(files // 2, MOST), FIRST)
