"""How fast an import is, how far it has come, and its ETA."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass

from msgspec import Struct

from segsync.connectors.base import result_calls
from segsync.connectors.http.rate_limiter import net_of_margin
from segsync.formatting import time_left
from segsync.models import Connector
from segsync.report.counters import Counters

WINDOW_SECONDS = 10.0
"""Rates are those of this time: what was before it says little about what comes."""

SURE_SECONDS = 3.0
"""There is no ETA before this much time has passed."""

HELD_UP_BATCHES = 18
"""More batches than can be on their way at a time: the others wait for calls that the sink allows."""

CALLS_WITHOUT_NEWS = 3
"""As many calls in a row may bring nothing forward: some of them only ask."""


class Progress(Struct, frozen=True):
    """Rates over the last ten seconds, and the way to the end.

    `calls_per_second` is by service. `done` of `total` profiles have their outcomes. `total` is None where nobody knows
    it; where more were listed than expected, `more_than` is the number that was expected. Once all are sent it
    `waits_for_results`: then `done` and `total` are customers, those confirmed of those sent. `held_up` customers wait
    to be sent, where the import waits for the sink's pace, else 0. `eta_seconds`, results included, is None where it
    would be a wild guess.
    """

    profiles_per_second: float
    calls_per_second: Mapping[str, float]
    done: int
    total: int | None
    eta_seconds: float | None = None
    more_than: int | None = None
    waits_for_results: bool = False
    held_up: int = 0

    @property
    def share(self) -> float | None:
        """How much of the total is done, from 0 to 1."""
        if self.total is None:
            return None
        return min(self.done / self.total, 1.0) if self.total else 1.0

    def words(self) -> str:
        """How far it is and the ETA; nothing where nobody knows."""
        if self.more_than is not None:
            return f"more profiles than --profiles {self.more_than}"
        if self.share is None:
            return ""
        eta = "" if self.eta_seconds is None else f", ETA {time_left(self.eta_seconds)}"
        return f"{int(100 * self.share)}% of {self.total:,} {'confirmed' if self.waits_for_results else 'done'}{eta}"


class _Sample(Struct, frozen=True):
    at: float
    read: int
    calls: Mapping[str, int]
    done: int
    confirmed: int


@dataclass(eq=False)
class ProgressMeter:
    """Looks at the numbers of `counters` again and again.

    `connectors` are the source and the sink. `total` is how many profiles are expected; once everything is listed, it
    is known. Customers go to the sink in batches of `batch_size` if it `sends`; results are read if it `confirms`.
    """

    counters: Counters
    total: int | None
    connectors: Sequence[Connector]
    _: KW_ONLY
    batch_size: int
    sends: bool = True
    confirms: bool = True

    def __post_init__(self) -> None:
        limit = self.connectors[-1].limit
        self._sink_calls_per_second = net_of_margin(limit.per_second) if limit else math.inf
        self._clock = asyncio.get_running_loop().time
        self._samples: deque[_Sample] = deque()
        self._forward_at = -math.inf

    def look(self) -> Progress:
        """The progress now."""
        before, now = self._window()
        seconds = now.at - before.at

        def rate(old: int, new: int) -> float:
            return (new - old) / (seconds or math.inf)

        def calls_rate(each: Connector) -> float:  # two calls in the first second are not 120 in the minute
            least = min(each.limit.window_seconds, WINDOW_SECONDS) if each.limit else 0.0
            return (now.calls[each.name] - before.calls[each.name]) / (max(seconds, least) or math.inf)

        counters, outcomes = self.counters, self.counters.outcomes
        total = counters.listed if counters.resume_offset is None else self.total
        more_than = total if total is not None and counters.listed > total else None
        total = total if more_than is None else None
        unread = None if total is None else max(total - outcomes.done - counters.waiting, 0)
        waits_for_results = self.confirms and total is not None and outcomes.done >= total and counters.sent > 0
        reading = rate(before.read, now.read)
        is_sure = seconds >= SURE_SECONDS
        reads_nothing = unread == 0 or (is_sure and not reading)
        is_held_up = reads_nothing or counters.waiting >= HELD_UP_BATCHES * self.batch_size
        eta_seconds = None
        if is_sure and waits_for_results:
            eta_seconds = self._eta_seconds(counters.sent, rate(before.confirmed, now.confirmed), 0)
        elif is_sure and total is not None and unread is not None:
            # While there is more to read, the reading sets the pace of all: it waits for a sending that is slower.
            pace = reading if unread else rate(before.done, now.done)
            eta_seconds = self._eta_seconds(total - outcomes.done, pace, unread)
        return Progress(
            profiles_per_second=reading,
            calls_per_second={each.name: calls_rate(each) for each in self.connectors},
            done=counters.confirmed if waits_for_results else outcomes.done,
            total=outcomes.customers if waits_for_results else total,
            eta_seconds=eta_seconds,
            more_than=more_than,
            waits_for_results=waits_for_results,
            held_up=counters.waiting if is_held_up else 0,
        )

    def _window(self) -> tuple[_Sample, _Sample]:
        """The first and the last sample of the window."""
        counters = self.counters
        done, confirmed = counters.outcomes.done, counters.confirmed
        calls = {each.name: counters.services[each.name].calls for each in self.connectors}
        now = _Sample(self._clock(), counters.profiles_read, calls, done, confirmed)
        if self._samples and (done, confirmed) != (self._samples[-1].done, self._samples[-1].confirmed):
            self._forward_at = now.at
        self._samples.append(now)
        while len(self._samples) > 1 and now.at - self._samples[1].at >= WINDOW_SECONDS:
            self._samples.popleft()
        return self._samples[0], now

    def _eta_seconds(self, left: int, rate: float, unread: int) -> float | None:
        """For what is left at this rate, or for the calls to the sink at their limit: whichever is longer."""
        if left <= 0:
            return None
        at_the_limit = self._calls_left(unread) / self._sink_calls_per_second if self.sends else 0.0
        if rate > 0:
            return max(left / rate, at_the_limit)
        # Calls per minute can be so few that nothing happens in ten seconds; in an outage nobody knows.
        patience_seconds = WINDOW_SECONDS + CALLS_WITHOUT_NEWS / self._sink_calls_per_second
        is_going_on = self._clock() - self._forward_at <= patience_seconds
        waits_for_calls = self.counters.waiting > 0 or unread == 0
        return at_the_limit if is_going_on and waits_for_calls and at_the_limit else None

    def _calls_left(self, unread: int) -> int:
        """The calls to the sink that are left where `unread` profiles are as those before them."""
        counters, outcomes = self.counters, self.counters.outcomes
        customers, known = outcomes.customers + counters.waiting, outcomes.done + counters.waiting
        to_send = counters.waiting + unread * (customers / known if known else 1.0)
        upserts = math.ceil(to_send / self.batch_size)
        unconfirmed = upserts + math.ceil(counters.sent / self.batch_size)
        return upserts + (result_calls(unconfirmed) if self.confirms else 0)
