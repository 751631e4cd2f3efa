"""When the next call to a service may go.

Both services count calls in a sliding second or a minute, and answer 429 to one too many. A leaky bucket
that lets the whole allowance go at once and drips more in the same second runs into that; one that holds
a single call loses a little time with every timer that fires late. So the bucket here holds one call plus
what a few milliseconds of lateness are worth: calls leave evenly, and a late one is caught up with.
"""

from __future__ import annotations

import asyncio
import math

from aiolimiter import AsyncLimiter

from segsync.models import Usage
from segsync.throttle import Throttle

MARGIN, MOST_MARGIN = 0.01, 0.05
"""Share of the allowed rate that is left unused, at 100 calls a second. With the carry below it, any second (or
minute) holds no more than the allowed calls even where the network delivers some of them `MARGIN - CARRY_SECONDS`
(6 ms of each second) closer together than they were sent. A longer stall means more refusals the more calls a second
there are, so the share grows with the root of the rate: 3% at 1,000."""

CARRY_SECONDS = 0.004
"""How late a timer may fire without a call being lost: an event loop's timers are about 1 ms late, more under load."""


GLANCE_SECONDS, LOOK_SECONDS, ENOUGH_CALLS = 0.25, 1.0, 50
"""A glance shows that half of the allowance is not used; to tell more takes a longer look. Either wants so many calls
allowed."""


class Pacer:
    """Spaces the calls to one service evenly, `calls_per_second` at most, for all workers together.

    `refused()` slows everybody down, and the rate comes back by itself; `pause()` holds everybody.
    `window_seconds` is the time over which the service counts calls.
    """

    def __init__(self, calls_per_second: float, window_seconds: float = 1.0) -> None:
        self.calls_per_second = calls_per_second
        self._clock = asyncio.get_running_loop().time
        margin = min(MARGIN * max(math.sqrt(calls_per_second / 100), 1), MOST_MARGIN)
        pace = calls_per_second * (1 - margin)
        capacity = 1 + CARRY_SECONDS * pace
        self._limiter = AsyncLimiter(capacity, capacity / pace)
        self._throttle = Throttle(calls_per_second, window_seconds)
        self._one_by_one = asyncio.Lock()  # else all would give up their turns first, and go together then
        self._owed_turns = 0.0
        self._pace = pace
        self._watch()
        self._paused_until = 0.0
        self._in_line = 0

    @property
    def current_calls_per_second(self) -> float:
        """The rate at which calls leave now: the configured one, or less after a refusal."""
        return self._throttle.rate(self._clock())

    @property
    def is_slowed(self) -> bool:
        """Whether a refusal holds the rate down."""
        return self._throttle.is_slowed

    async def turn(self) -> float:
        """Wait until the next call may go; when it does, on the event loop's clock."""
        self._in_line += 1
        try:
            while True:
                if self._paused_until and (wait := self._paused_until - self._clock()) > 0:
                    await asyncio.sleep(wait)
                if self._throttle.is_slowed:
                    async with self._one_by_one:
                        await self._give_up_turns()
                        await self._limiter.acquire()
                else:
                    await self._limiter.acquire()
                self._taken += 1
                now = self._clock()
                if self._paused_until <= now:  # else a pause began while this call stood in line
                    self._calls += 1
                    self._throttle.left(now)
                    return now
        finally:
            self._in_line -= 1

    async def spare_turn(self) -> float:
        """Wait until a call may go and no other wants to; when it does."""
        while self._in_line:  # noqa: ASYNC110 - an event would cost every turn of the others something
            await asyncio.sleep(1 / self.current_calls_per_second)
        return await self.turn()

    def usage(self) -> Usage | None:
        """How much of the allowance has been used since this was last told; None where it is too early to tell.

        It is also None where calls were held back meanwhile: what was not used then tells nothing.
        """
        seconds = self._clock() - self._watched_since
        allowed = seconds * self._pace
        if self._was_held_back:
            self._watch()
            return None
        if allowed < ENOUGH_CALLS or seconds < (GLANCE_SECONDS if self._taken < allowed / 2 else LOOK_SECONDS):
            return None
        usage = Usage(self._calls / seconds, self._taken / allowed)
        self._watch()
        return usage

    def _watch(self) -> None:
        self._watched_since = self._clock()
        self._was_held_back = False
        self._taken = self._calls = 0

    def refused(self, left_at: float) -> None:
        """The service answered "too many" to the call that left then: everybody slows down."""
        self._was_held_back = True
        if seconds := self._throttle.refused(left_at, self._clock()):
            self.pause(seconds)

    def pause(self, seconds: float) -> None:
        """Nobody calls for this long: the service said when the next call may go."""
        self._was_held_back = True
        self._paused_until = max(self._paused_until, self._clock() + seconds)

    async def _give_up_turns(self) -> None:
        """At half the rate every call gives up one turn for the one it takes, and so on."""
        self._owed_turns += self.calls_per_second / self.current_calls_per_second - 1
        while self._owed_turns >= 1:
            self._owed_turns -= 1
            self._taken += 1
            await self._limiter.acquire()
