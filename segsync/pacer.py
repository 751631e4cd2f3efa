"""When the next call to a service may go.

Both services count calls in a sliding second or a minute, and answer 429 to one too many. A leaky bucket
that lets the whole allowance go at once and drips more in the same second runs into that; one that holds
a single call loses a little time with every timer that fires late. So the bucket here holds one call plus
what a few milliseconds of lateness are worth: calls leave evenly, and a late one is caught up with.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiolimiter import AsyncLimiter

MARGIN = 0.01
"""Share of the allowed rate that is left unused. With the carry below it, any window of one second (or
minute) holds no more than the allowed calls even where the network delivers some of them
`MARGIN - CARRY_SECONDS` (6 ms of each second) closer together than they were sent."""

CARRY_SECONDS = 0.004
"""How late a timer may fire without a call being lost: an event loop's timers are about 1 ms late, more under load."""

SLOWER = 0.85
"""Factor on the rate when the service says "too many"."""

RECOVERY_PER_SECOND = 0.02
"""How much of the configured rate comes back with every second without a refusal."""

LOWEST_SHARE = 0.02
"""The rate never falls below this share of the configured one."""

SETTLE_SECONDS = 1.0
"""Refusals this close together are one event: the calls had left before the first of them was answered."""


class Pacer:
    """Spaces the calls to one service evenly, `calls_per_second` at most, for all workers together.

    `refused()` slows everybody down, and the rate comes back by itself; `pause()` holds everybody.
    """

    def __init__(self, calls_per_second: float, *, clock: Callable[[], float] | None = None) -> None:
        self.calls_per_second = calls_per_second
        self._clock = clock or asyncio.get_running_loop().time
        self._share = 1.0
        self._limiter = _even(calls_per_second)
        self._slowed_at = -SETTLE_SECONDS
        self._sped_up_at = 0.0
        self._paused_until = 0.0

    @property
    def current_calls_per_second(self) -> float:
        """The rate at which calls leave now: the configured one, or less after a refusal."""
        return self.calls_per_second * self._share

    async def turn(self) -> None:
        """Wait until the next call may go."""
        while True:
            if self._paused_until and (wait := self._paused_until - self._clock()) > 0:
                await asyncio.sleep(wait)
            if self._share < 1.0:
                self._recover()
            limiter = self._limiter
            await limiter.acquire()
            # The rate may have changed, or a pause begun, while this call stood in line.
            if limiter is self._limiter and self._paused_until <= self._clock():
                return

    def refused(self) -> None:
        """The service answered "too many": everybody slows down, once for all calls that were under way."""
        now = self._clock()
        if now - self._slowed_at >= SETTLE_SECONDS:
            self._slowed_at = self._sped_up_at = now
            self._set_share(max(self._share * SLOWER, LOWEST_SHARE))

    def pause(self, seconds: float) -> None:
        """Nobody calls for this long: the service said when the next call may go."""
        self._paused_until = max(self._paused_until, self._clock() + seconds)

    def _recover(self) -> None:
        now = self._clock()
        if (waited := now - self._sped_up_at) >= SETTLE_SECONDS:
            self._sped_up_at = now
            self._set_share(min(self._share + waited * RECOVERY_PER_SECOND, 1.0))

    def _set_share(self, share: float) -> None:
        self._share = share
        self._limiter = _even(self.current_calls_per_second)


def _even(calls_per_second: float) -> AsyncLimiter:
    """A leaky bucket that holds one call and `CARRY_SECONDS` worth of more."""
    pace = calls_per_second * (1 - MARGIN)
    capacity = 1 + CARRY_SECONDS * pace
    return AsyncLimiter(capacity, capacity / pace)
