"""Spaces the calls to a service, and heeds what its answers say of its limits.

Both services count calls in a sliding second or a minute, and answer 429 to one too many. A leaky bucket that lets the
whole allowance go at once and drips more in the same second runs into that; one that holds a single call loses a little
time with every timer that fires late. So the bucket here holds one call plus what a few milliseconds of lateness are
worth: calls leave evenly, and a late one is caught up with.
"""

from __future__ import annotations

import asyncio
import math

from aiolimiter import AsyncLimiter
from multidict import CIMultiDictProxy

from segsync.connectors.http import responses as answers
from segsync.connectors.http.retry import LONGEST_ANNOUNCED_WAIT_SECONDS
from segsync.connectors.http.throttle import Throttle
from segsync.events import CallsLeft, OnEvent, PaceChanged, Throttled, ignore
from segsync.models import Usage

REPORT_SECONDS = 1.0
"""A changing pace is reported this often."""

BRIEF_SECONDS = 1.0
"""A wait, and a time over which a service counts calls, of at most this length: the others need not stand still."""

MARGIN, MOST_MARGIN = 0.01, 0.05
"""Share of the allowed rate that is left unused, at 100 calls per second. With the carry below it, any second (or
minute) holds at most the allowed calls even where the network delivers some of them `MARGIN - CARRY_SECONDS`
(6 ms of each second) closer together than they were sent. A longer stall means more refusals the more calls per
second there are, so the share grows with the root of the rate: 3% at 1,000."""

CARRY_SECONDS = 0.004
"""How late a timer may fire without a call being lost: an event loop's timers are about 1 ms late, more under load."""

MANY_IN_LINE = 5
"""With this many calls in line some nine in ten turns are taken."""

TICK_SECONDS = 0.001
"""The shortest sleep: the carry makes up for what is too long."""

GLANCE_SECONDS, LOOK_SECONDS, ENOUGH_CALLS = 0.25, 1.0, 50
"""A glance shows that half of the allowance is unused; more than that takes a longer look. Either needs this many
allowed calls."""

_METHODS = ("GET", "POST")
"""How events name the other calls and bulk calls."""


def net_of_margin(calls_per_second: float) -> float:
    """The calls per second that are made, of those that are allowed."""
    return calls_per_second * (1 - min(MARGIN * max(math.sqrt(calls_per_second / 100), 1), MOST_MARGIN))


class RateLimiter:
    """Spaces the calls to one service evenly, `calls_per_second` at most, for all workers together.

    It heeds the answers: one of too many calls slows everybody down, and the rate comes back by itself; one that asks
    to wait, or says that no calls are left, pauses the calls that are counted with it: bulk calls, or the others.
    Events of `service` report both. `window_seconds` is the time over which the service counts calls.
    """

    def __init__(
        self, calls_per_second: float, window_seconds: float = 1.0, *, service: str = "", on_event: OnEvent = ignore
    ) -> None:
        self._service = service
        self._on_event = on_event
        self._reported_slow, self._reported_at = False, 0.0
        self._calls_per_second = calls_per_second
        self._window_seconds = window_seconds
        self._clock = asyncio.get_running_loop().time
        self._pace = net_of_margin(calls_per_second)
        capacity = 1 + CARRY_SECONDS * self._pace
        self._limiter = AsyncLimiter(capacity, capacity / self._pace)
        self._throttle = Throttle(calls_per_second, window_seconds)
        self._first_in_line = asyncio.Lock()
        self._room_at = 0.0  # when the limiter has room for one more
        self._owed_turns = 0.0
        self._paused_until = [0.0, 0.0]  # of the other calls, and of bulk calls
        self._in_line = 0  # without those that wait for the end of a pause
        self._watch()

    async def turn(self, is_bulk: bool = False) -> float:
        """Wait until the next call may leave; when it does, on the event loop's clock."""
        if self._is_free(is_bulk):
            await self._take()
            return self._leave(self._clock())
        while True:
            await self._end_of_pause(is_bulk)
            self._in_line += 1
            try:
                # Only the first in line waits for the clock: the others would wake up for nothing, and when they have
                # to give up turns, all would do so first and then leave together.
                async with self._first_in_line:
                    if self._is_paused(is_bulk):
                        continue  # and leave the line to the calls that are not paused
                    if self._throttle.is_slowed:
                        await self._give_up_turns()
                    await self._take_turn()
            finally:
                self._in_line -= 1
            if not self._is_paused(is_bulk):  # else a pause began while this call waited
                return self._leave(self._clock())

    def _is_free(self, is_bulk: bool) -> bool:
        """Whether no call waits and there is nothing to wait for."""
        is_held_back = self._in_line or self._throttle.is_slowed or self._is_paused(is_bulk)
        return not is_held_back and self._limiter.has_capacity()

    def _is_paused(self, is_bulk: bool) -> bool:
        return self._paused_until[is_bulk] > self._clock()

    async def _end_of_pause(self, is_bulk: bool) -> None:
        while (wait := self._paused_until[is_bulk] - self._clock()) > 0:  # noqa: ASYNC110 - as for a turn
            await asyncio.sleep(max(wait, TICK_SECONDS))

    def _leave(self, now: float) -> float:
        self._calls += 1
        self._throttle.left(now)
        return now

    async def spare_turn(self, is_bulk: bool = False) -> float:
        """Wait until a call may leave and no urgent one wants to; when it does."""
        await self._end_of_pause(is_bulk)
        while self._in_line:  # noqa: ASYNC110 - an event would cost every turn of the others something
            await asyncio.sleep(1 / self._throttle.rate(self._clock()))
        return await self.turn(is_bulk)

    def usage(self) -> Usage | None:
        """How much of the allowance was used since the last usage; None where the time is too short to know.

        Also None where a service asked for a pause, and where many stand in line: then late timers leave turns unused.
        """
        now = self._clock()
        seconds = now - self._watched_since
        allowed = seconds * self._pace
        if max(self._paused_until) > self._watched_since or self._in_line >= MANY_IN_LINE:
            self._watch()
            return None
        if allowed < ENOUGH_CALLS or seconds < (GLANCE_SECONDS if self._taken < allowed / 2 else LOOK_SECONDS):
            return None
        usage = Usage(self._calls / seconds, self._taken / allowed)
        self._watch()
        return usage

    def _watch(self) -> None:
        self._watched_since = self._clock()
        self._taken = self._calls = 0

    def answered(self, method: str, headers: CIMultiDictProxy[str]) -> None:
        """A call succeeded. Stop before the limit instead of at it, where the service says how many calls are left."""
        if self._reported_slow or self._throttle.is_slowed:
            self._report_pace()
        if "X-Rate-Limit-Remaining" in headers and self._report_left(method, headers) == 0:
            self.pause(answers.limit_wait_seconds(headers) or 0.0, answers.is_bulk(method, headers))

    def refused(self, left_at: float, method: str, headers: CIMultiDictProxy[str]) -> None:
        """The service answered 429 to the call that left then: everybody slows down.

        A spent hour of bulk calls shows nothing of the rate that all calls may have together.
        """
        wait = answers.limit_wait_seconds(headers) or 0.0
        if wait <= self._window_seconds or not answers.is_bulk(method, headers):
            if seconds := self._throttle.refused(left_at, self._clock()):
                for is_bulk in (False, True):
                    self._hold_for(seconds, is_bulk)
            self._report_pace()
        self._report_left(method, headers)

    def asked_to_wait(self, seconds: float, is_bulk: bool = False) -> None:
        """The answer 429 says when to come back.

        A second, of a service that counts by the second, is for this call alone: the others slow down, and were they to
        stand still for each call too many, half of a limit would go unused.
        """
        if max(seconds, self._window_seconds) > BRIEF_SECONDS:
            self.pause(seconds, is_bulk)

    def pause(self, seconds: float, is_bulk: bool = False) -> None:
        """No bulk call, or none of the others, leaves for this long, since the service asks for it.

        A wait too long to be a pause is ignored.
        """
        if 0 < seconds <= LONGEST_ANNOUNCED_WAIT_SECONDS:
            self._hold_for(seconds, is_bulk)
            self._on_event(Throttled(self._service, seconds, _METHODS[is_bulk]))

    def _hold_for(self, seconds: float, is_bulk: bool) -> None:
        self._paused_until[is_bulk] = max(self._paused_until[is_bulk], self._clock() + seconds)

    def _report_left(self, method: str, headers: CIMultiDictProxy[str]) -> int | None:
        left = answers.count(headers.get("X-Rate-Limit-Remaining", ""))
        if left is not None:
            limit = answers.count(headers.get("X-Rate-Limit-Limit", ""))
            self._on_event(CallsLeft(self._service, _METHODS[answers.is_bulk(method, headers)], left, limit))
        return left

    def _report_pace(self) -> None:
        now = self._clock()
        rate = self._throttle.rate(now)  # which notices that it is the full one again
        is_slowed = self._throttle.is_slowed
        is_news = is_slowed != self._reported_slow or now - self._reported_at >= REPORT_SECONDS
        if is_news and (is_slowed or self._reported_slow):
            self._reported_slow, self._reported_at = is_slowed, now
            self._on_event(PaceChanged(self._service, rate, self._calls_per_second))

    async def _give_up_turns(self) -> None:
        """At half the rate every call gives up one turn for the one it takes, and so on."""
        self._owed_turns += self._calls_per_second / self._throttle.rate(self._clock()) - 1
        while self._owed_turns >= 1:
            self._owed_turns -= 1
            await self._take_turn()

    async def _take_turn(self) -> None:
        # The limiter's own waiting sets timers to fractions of a millisecond. uvloop's have whole ones: they fire too
        # early, and it sets the next, as fast as the loop turns, until the time has come.
        while not self._limiter.has_capacity():  # noqa: ASYNC110 - the time is known, and no event would come
            await asyncio.sleep(max(self._room_at - self._clock(), TICK_SECONDS))
        await self._take()

    async def _take(self) -> None:
        """Take a turn that the limiter has room for."""
        await self._limiter.acquire()
        self._room_at = max(self._room_at, self._clock() - CARRY_SECONDS) + 1 / self._pace
        self._taken += 1
