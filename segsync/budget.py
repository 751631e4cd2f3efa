"""What a service lets us do, as its answers show: how fast calls may leave, and how many are left."""

from __future__ import annotations

import asyncio

from multidict import CIMultiDictProxy

from segsync import answers
from segsync.events import CallsLeft, OnEvent, PaceChanged, ServicePaused
from segsync.pacer import Pacer
from segsync.retries import LONGEST_ANNOUNCED_WAIT_SECONDS

TOLD_SECONDS = 1.0
"""How often it is told that the pace is another."""


BRIEF_SECONDS = 1.0
"""A wait, and a time over which a service counts, that is no longer: others need not stand still for it."""


class Budget:
    """Heeds what the answers of one service say of its limits, and tells of it."""

    def __init__(self, service: str, pacer: Pacer, on_event: OnEvent) -> None:
        self._service = service
        self._pacer = pacer
        self._on_event = on_event
        self._clock = asyncio.get_running_loop().time
        self._was_slowed = False
        self._told_at = 0.0

    def answered(self, method: str, headers: CIMultiDictProxy[str]) -> None:
        """A call was answered well. Stop before the limit instead of at it, where the service says what is left."""
        if self._was_slowed or self._pacer.is_slowed:
            self._tell_pace()
        remaining = headers.get("X-Rate-Limit-Remaining")
        if remaining is None:
            return
        self._tell_left(method, remaining, headers)
        if remaining == "0":
            self.pause(answers.limit_wait_seconds(headers) or 0.0)

    def refused(self, left_at: float, method: str, headers: CIMultiDictProxy[str]) -> None:
        """The service answered 429 to the call that left then."""
        self._pacer.refused(left_at)
        self._tell_pace()
        self._tell_left(method, headers.get("X-Rate-Limit-Remaining", ""), headers)

    def asked_to_wait(self, seconds: float) -> None:
        """The answer to a call too many says when to come back.

        A second, of a service that counts by the second, is for this call alone: the pacer slows the others down, and
        were they to stand still for each call too many, half of a limit would go unused.
        """
        if max(seconds, self._pacer.window_seconds) > BRIEF_SECONDS:
            self.pause(seconds)

    def pause(self, seconds: float) -> None:
        """Nobody calls for this long, unless it is so long that it is no pause."""
        if 0 < seconds <= LONGEST_ANNOUNCED_WAIT_SECONDS:
            self._pacer.pause(seconds)
            self._on_event(ServicePaused(self._service, seconds))

    def _tell_left(self, method: str, remaining: str, headers: CIMultiDictProxy[str]) -> None:
        left = answers.count(remaining)
        if left is not None:
            limit = answers.count(headers.get("X-Rate-Limit-Limit", ""))
            self._on_event(CallsLeft(self._service, method, left, limit))

    def _tell_pace(self) -> None:
        rate = self._pacer.current_calls_per_second  # which notices that it is the full one again
        is_slowed, now = self._pacer.is_slowed, self._clock()
        is_news = is_slowed != self._was_slowed or now - self._told_at >= TOLD_SECONDS
        if is_news and (is_slowed or self._was_slowed):
            self._was_slowed, self._told_at = is_slowed, now
            self._on_event(PaceChanged(self._service, rate, self._pacer.calls_per_second))
