"""The rate follows what a service allows: down to a limit that was not known, and back when it has gone."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import pytest

from segsync.connectors.http.rate_limiter import RateLimiter
from segsync.connectors.http.throttle import Throttle
from tests.conftest import run_virtual
from tests.support.scripted import NO_HEADERS

LATENCY_SECONDS, LATENCY_SPREAD = 0.08, 0.3
A_THOUSAND_A_SECOND = pytest.param(1000, 900, 128, marks=pytest.mark.slow)
ON_ITS_WAY = 0.1
"""Share of the latency that passes before the service counts the call."""


@dataclass
class Calls:
    """When calls were allowed and when they were refused, by the service's clock."""

    allowed: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)

    def allowed_a_second(self, start: float, end: float) -> float:
        return sum(start <= time < end for time in self.allowed) / (end - start)

    def refused_share(self, start: float, end: float) -> float:
        refused = sum(start <= time < end for time in self.refused)
        return refused / (refused + self.allowed_a_second(start, end) * (end - start))


def _calls(
    configured: float,
    limit: Callable[[float], float],
    seconds: float,
    *,
    workers: int = 16,
    by_chance: float = 0.0,
    counts_refused: bool = False,
) -> Calls:
    """The calls of that many workers to a service that allows `limit` of its clock in any second.

    A refused call is tried again after a while; `by_chance` is the share of calls that are refused for no reason.
    """

    async def run() -> Calls:
        limiter, clock, random = RateLimiter(configured), asyncio.get_running_loop().time, Random(1)
        calls = Calls()
        counted: deque[float] = deque()

        def is_allowed() -> bool:
            now = clock()
            while counted and now - counted[0] >= 1:
                counted.popleft()
            allowed = len(counted) < limit(now) and random.random() >= by_chance
            if allowed or counts_refused:
                counted.append(now)
            (calls.allowed if allowed else calls.refused).append(now)
            return allowed

        async def work() -> None:
            failures = 0
            while clock() < seconds:
                left_at = await limiter.turn()
                latency = LATENCY_SECONDS * random.lognormvariate(0, LATENCY_SPREAD)
                await asyncio.sleep(ON_ITS_WAY * latency)
                allowed = is_allowed()
                await asyncio.sleep((1 - ON_ITS_WAY) * latency)
                failures = 0 if allowed else failures + 1
                if failures:
                    limiter.refused(left_at, "GET", NO_HEADERS)
                    await asyncio.sleep(random.uniform(0, min(0.5 * 2**failures, 30)))

        await asyncio.gather(*(work() for _ in range(workers)))
        return calls

    return run_virtual(run(), lateness_seconds=0.001)


@pytest.mark.parametrize(
    ("configured", "limit", "workers"),
    [(100, 90, 16), (100, 50, 16), (100, 25, 16), (100, 10, 16), A_THOUSAND_A_SECOND, (1000, 100, 128)],
)
def test_it_settles_just_below_a_true_limit_that_is_lower_than_the_configured_one(
    configured: float, limit: float, workers: int
) -> None:
    calls = _calls(configured, lambda _: limit, 180, workers=workers)

    assert calls.allowed_a_second(60, 180) >= 0.9 * limit
    assert calls.refused_share(60, 180) <= 0.02


def test_it_does_so_too_where_refused_calls_count_against_the_limit() -> None:
    calls = _calls(100, lambda _: 50, 180, counts_refused=True)

    assert calls.allowed_a_second(60, 180) >= 0.9 * 50
    assert calls.refused_share(60, 180) <= 0.02


@pytest.mark.parametrize(("configured", "others_leave", "workers"), [(100, 50, 16), (100, 90, 16), A_THOUSAND_A_SECOND])
def test_it_is_back_within_a_minute_when_the_others_stop(configured: float, others_leave: float, workers: int) -> None:
    calls = _calls(configured, lambda now: configured - others_leave if now < 60 else configured, 140, workers=workers)

    assert calls.allowed_a_second(120, 140) >= 0.95 * configured


def test_others_that_come_in_the_middle_are_noticed_at_once() -> None:
    calls = _calls(100, lambda now: 100 if now < 30 else 60, 90)

    assert calls.refused_share(30, 90) <= 0.03
    assert calls.allowed_a_second(35, 90) >= 0.9 * 60


def test_at_the_configured_limit_itself_nothing_is_refused_to_speak_of() -> None:
    calls = _calls(100, lambda _: 100, 120)

    assert calls.allowed_a_second(0, 120) >= 0.97 * 100
    assert calls.refused_share(0, 120) <= 0.0015, "with a network that delivers calls up to 8 ms too close together"


@pytest.mark.parametrize(("configured", "workers"), [(100, 16), (1000, 128)])
def test_refusals_by_chance_do_not_bring_everything_to_a_halt(configured: float, workers: int) -> None:
    calls = _calls(configured, lambda _: configured, 60, workers=workers, by_chance=0.02)

    assert calls.allowed_a_second(0, 60) >= 0.75 * configured


# --- the rule itself ------------------------------------------------------------------------------------------


def _throttle_after(calls: int, refused_from: int, rate: float = 100) -> tuple[Throttle, float]:
    """After `calls` calls at `rate`, those from `refused_from` on refused; and for how long it is to pause."""
    throttle = Throttle(rate, window_seconds=1.0)
    times = [number / rate for number in range(1, calls + 1)]
    for time in times:
        throttle.left(time)
    return throttle, max((throttle.refused(time, times[-1]) for time in times[refused_from:]), default=0.0)


def test_a_refusal_costs_two_percent_for_a_few_seconds() -> None:
    throttle, pause = _throttle_after(300, refused_from=299)

    assert throttle.rate(3.0) == pytest.approx(98)
    assert throttle.rate(6.0) < 99
    assert throttle.rate(11.0) == 100
    assert pause == 0


def test_many_refusals_show_what_is_allowed_and_what_was_too_much_is_waited_out() -> None:
    throttle, pause = _throttle_after(60, refused_from=30)

    assert throttle.rate(0.6) == pytest.approx(0.98 * 30, rel=0.03)
    assert 0.3 < pause <= 1.0


def test_a_few_refusals_of_calls_that_left_before_it_slowed_down_change_nothing() -> None:
    throttle, _ = _throttle_after(300, refused_from=299)

    for time in (2.8, 2.9, 2.99):
        assert throttle.refused(time, 3.01) == 0

    assert throttle.rate(3.01) == pytest.approx(98)


def test_it_never_slows_down_to_nothing() -> None:
    throttle = Throttle(100, window_seconds=1.0)
    for second in range(1000):
        throttle.left(second)
        throttle.refused(second, second + 0.5)

    assert throttle.rate(1000) >= 1


def test_it_remembers_a_bounded_number_of_calls() -> None:
    throttle = Throttle(100_000, window_seconds=60.0)
    for call in range(25_000):
        throttle.left(call / 50_000)

    assert throttle.refused(0.5, 0.5) == 0
    assert throttle.rate(0.5) < 100_000
