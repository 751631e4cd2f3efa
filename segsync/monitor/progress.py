"""How fast an import is, how far, and how long it will take."""

from __future__ import annotations

import asyncio
import math
from collections import deque

from msgspec import Struct

from segsync.connectors.base import result_calls
from segsync.connectors.http.rate_limiter import net_of_margin
from segsync.formatting import time_left
from segsync.report.counters import Counters
from segsync.settings import Settings

WINDOW_SECONDS = 10.0
"""Rates are those of this time: what was before it says little about what comes."""

SURE_SECONDS = 3.0
"""After a shorter time nothing is said of how long it will take."""

HELD_UP_BATCHES = 18
"""So many are more than can be on their way at a time: they wait for the calls that Voucherify allows."""

CALLS_WITHOUT_NEWS = 3
"""As many calls in a row may bring nothing forward: some of them only ask."""


class Progress(Struct, frozen=True):
    """Rates a second over the last ten seconds, and the way to the end.

    `done` of `total` profiles have their outcomes. `total` is None where nobody knows it; where more were listed than
    expected, `more_than` is the number that was expected. Once all are sent it `waits_for_results`: then `done` and
    `total` are customers, those confirmed of those sent. `held_up` customers wait to be sent, where the import waits
    for Voucherify's pace, else 0. `seconds_left`, results included, is None where it would be a wild guess.
    """

    profiles: float
    segment: float
    voucherify: float
    done: int
    total: int | None
    seconds_left: float | None = None
    more_than: int | None = None
    waits_for_results: bool = False
    held_up: int = 0

    @property
    def share(self) -> float | None:
        """How much of the total is done, from 0 to 1."""
        if self.total is None:
            return None
        return min(self.done / self.total, 1.0) if self.total else 1.0


class _Sample(Struct, frozen=True):
    """The numbers at a moment: what rates are made of."""

    at: float
    read: int
    segment: int
    voucherify: int
    done: int
    confirmed: int


class ProgressMeter:
    """Looks at the numbers of `counters` again and again.

    `total` is how many profiles there will be, as far as somebody said that; once everything is listed, it is known.
    Customers go to Voucherify if it `sends`, at the limit of the settings; their outcomes are read if it `confirms`.
    """

    def __init__(
        self, counters: Counters, total: int | None, settings: Settings, *, sends: bool = True, confirms: bool = True
    ) -> None:
        self._counters = counters
        self._total = total
        self._sends = sends
        self._confirms = confirms
        self._batch_size = settings.batch_size
        self._calls_per_second = net_of_margin(settings.voucherify_requests_per_minute / 60)
        self._patience_seconds = WINDOW_SECONDS + CALLS_WITHOUT_NEWS / self._calls_per_second
        self._clock = asyncio.get_running_loop().time
        self._seen: deque[_Sample] = deque()
        self._forward_at = -math.inf

    def look(self) -> Progress:
        """How it is now."""
        before, now = self._sights()
        seconds = now.at - before.at

        def rate(old: int, new: int) -> float:
            return (new - old) / (seconds or math.inf)

        counters, outcomes = self._counters, self._counters.outcomes
        total = counters.listed if counters.resume_offset is None else self._total
        more_than = total if total is not None and counters.listed > total else None
        if more_than is not None:
            total = None
        unread = None if total is None else max(total - outcomes.done - counters.waiting, 0)
        waits_for_results = self._confirms and total is not None and outcomes.done >= total and counters.sent > 0
        reading = rate(before.read, now.read)
        is_sure = seconds >= SURE_SECONDS
        reads_nothing = unread == 0 or (is_sure and not reading)
        is_held_up = reads_nothing or counters.waiting >= HELD_UP_BATCHES * self._batch_size
        seconds_left = None
        if is_sure and waits_for_results:
            seconds_left = self._seconds_left(counters.sent, rate(before.confirmed, now.confirmed), 0)
        elif is_sure and total is not None and unread is not None:
            # While there is more to read, the reading tells the pace of all: it waits for a sending that is slower.
            pace = reading if unread else rate(before.done, now.done)
            seconds_left = self._seconds_left(total - outcomes.done, pace, unread)
        return Progress(
            profiles=reading,
            segment=rate(before.segment, now.segment),
            voucherify=rate(before.voucherify, now.voucherify),
            done=counters.confirmed if waits_for_results else outcomes.done,
            total=outcomes.customers if waits_for_results else total,
            seconds_left=seconds_left,
            more_than=more_than,
            waits_for_results=waits_for_results,
            held_up=counters.waiting if is_held_up else 0,
        )

    def _sights(self) -> tuple[_Sample, _Sample]:
        """The first and the last one of the window."""
        counters, calls = self._counters, self._counters.services
        read, done = counters.profiles_read, counters.outcomes.done
        now = _Sample(self._clock(), read, calls["Segment"].calls, calls["Voucherify"].calls, done, counters.confirmed)
        if self._seen and (done, counters.confirmed) != (self._seen[-1].done, self._seen[-1].confirmed):
            self._forward_at = now.at
        self._seen.append(now)
        while len(self._seen) > 1 and now.at - self._seen[1].at >= WINDOW_SECONDS:
            self._seen.popleft()
        return self._seen[0], now

    def _seconds_left(self, left: int, rate: float, unread: int) -> float | None:
        """For what is left at this rate, or for the calls to Voucherify at their limit: whichever is longer."""
        at_the_limit = self._calls_left(unread) / self._calls_per_second if self._sends else 0.0
        if left <= 0:
            return None
        if rate > 0:
            return max(left / rate, at_the_limit)
        # Calls a minute can be so few that nothing happens in ten seconds; in an outage nobody knows.
        is_going_on = self._clock() - self._forward_at <= self._patience_seconds
        waits_for_calls = self._counters.waiting > 0 or unread == 0
        return at_the_limit if is_going_on and waits_for_calls and at_the_limit else None

    def _calls_left(self, unread: int) -> int:
        """The calls to Voucherify that are left where `unread` profiles are as those before them."""
        counters, outcomes = self._counters, self._counters.outcomes
        customers, told = outcomes.customers + counters.waiting, outcomes.done + counters.waiting
        to_send = counters.waiting + unread * (customers / told if told else 1.0)
        upserts = math.ceil(to_send / self._batch_size)
        unheard = upserts + math.ceil(counters.sent / self._batch_size)
        return upserts + (result_calls(unheard) if self._confirms else 0)


def outlook(speed: Progress) -> str:
    """How far it is to the end, for the end of a line."""
    if speed.more_than is not None:
        return f"; {more_than(speed.more_than)}"
    if speed.total is None or speed.share is None:
        return ""
    left = "" if speed.seconds_left is None else f", {time_left(speed.seconds_left)} left"
    return f"; {int(100 * speed.share)}% of {speed.total:,} {'confirmed' if speed.waits_for_results else 'done'}{left}"


def more_than(profiles: int) -> str:
    """That there are more profiles than somebody said: nobody knows how many."""
    return f"more than the {profiles:,} that were said"
