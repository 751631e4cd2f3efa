"""When the next call to a service may go.

Both services count calls in a sliding second or a minute, and answer 429 to one too many. A leaky bucket
that lets the whole allowance go at once and drips more in the same second runs into that; one that holds
a single call loses a little time with every timer that fires late. So the bucket here holds one call plus
what a few milliseconds of lateness are worth: calls leave evenly, and a late one is caught up with.
"""

from __future__ import annotations

import asyncio

from aiolimiter import AsyncLimiter

MARGIN = 0.01
"""Share of the allowed rate that is left unused. With the carry below it, any window of one second (or
minute) holds no more than the allowed calls even where the network delivers some of them
`MARGIN - CARRY_SECONDS` (6 ms of each second) closer together than they were sent."""

CARRY_SECONDS = 0.004
"""How late a timer may fire without a call being lost: an event loop's timers are about 1 ms late, more under load."""

SLOWER = 0.98
"""Factor on the rate for every call that was answered "too many": one by chance costs little, and where the
true limit is half of ours, the refusals of one second are enough."""

RECOVERY = 0.002
MOST_RECOVERY = 0.02
"""A second brings back `RECOVERY` of the configured rate for every second that has passed since the last
refusal, and no more than `MOST_RECOVERY`: near the true limit the rate creeps, far below it it is back soon."""

LOWEST_SHARE = 0.02
"""The rate never falls below this share of the configured one."""


class Pacer:
    """Spaces the calls to one service evenly, `calls_per_second` at most, for all workers together.

    `refused()` slows everybody down, and the rate comes back by itself; `pause()` holds everybody.
    """

    def __init__(self, calls_per_second: float) -> None:
        self.calls_per_second = calls_per_second
        self._clock = asyncio.get_running_loop().time
        pace = calls_per_second * (1 - MARGIN)
        capacity = 1 + CARRY_SECONDS * pace
        self._limiter = AsyncLimiter(capacity, capacity / pace)
        self._share = 1.0
        self._owed_turns = 0.0
        self._refused_at = self._looked_at = 0.0
        self._paused_until = 0.0
        self._in_line = 0

    @property
    def current_calls_per_second(self) -> float:
        """The rate at which calls leave now: the configured one, or less after a refusal."""
        return self.calls_per_second * self._share

    async def turn(self) -> None:
        """Wait until the next call may go."""
        self._in_line += 1
        try:
            while True:
                if self._paused_until and (wait := self._paused_until - self._clock()) > 0:
                    await asyncio.sleep(wait)
                await self._limiter.acquire()
                if self._share < 1.0:
                    await self._give_up_turns()
                if self._paused_until <= self._clock():  # else a pause began while this call stood in line
                    return
        finally:
            self._in_line -= 1

    async def spare_turn(self) -> None:
        """Wait until a call may go and no other wants to."""
        while self._in_line:  # noqa: ASYNC110 - an event would cost every turn of the others something
            await asyncio.sleep(1 / self.current_calls_per_second)
        await self.turn()

    def refused(self) -> None:
        """The service answered "too many": everybody slows down."""
        self._refused_at = self._looked_at = self._clock()
        self._share = max(self._share * SLOWER, LOWEST_SHARE)

    def pause(self, seconds: float) -> None:
        """Nobody calls for this long: the service said when the next call may go."""
        self._paused_until = max(self._paused_until, self._clock() + seconds)

    async def _give_up_turns(self) -> None:
        """At half the rate every call gives up one turn for the one it takes, and so on."""
        now = self._clock()
        recovery = min(RECOVERY * (now - self._refused_at), MOST_RECOVERY)
        self._share = min(self._share + recovery * (now - self._looked_at), 1.0)
        self._looked_at = now
        self._owed_turns += 1 / self._share - 1
        while self._owed_turns >= 1:
            self._owed_turns -= 1
            await self._limiter.acquire()
