"""Calls leave evenly, never more than allowed in any second, and slow down together."""

from __future__ import annotations

import asyncio
from bisect import bisect_left

import pytest

from segsync.connectors.http.rate_limiter import RateLimiter
from segsync.models import Usage
from tests.conftest import VirtualTime, run_virtual
from tests.support.scripted import NO_HEADERS


async def _times_of(limiter: RateLimiter, calls: int, workers: int = 16) -> list[float]:
    """When each of `calls` calls of that many workers left."""
    clock, times = asyncio.get_running_loop().time, []
    left = iter(range(calls))

    async def work() -> None:
        for _ in left:
            await limiter.turn()
            times.append(clock())

    await asyncio.gather(*(work() for _ in range(workers)))
    return times


def _most_in_any(seconds: float, times: list[float]) -> int:
    return max(bisect_left(times, start + seconds) - bisect_left(times, start) for start in times)


@pytest.mark.parametrize("rate", [10, 100, 1000])
@pytest.mark.parametrize("lateness_seconds", [0.0, 0.001, 0.003])
def test_no_second_holds_more_calls_than_allowed_however_late_the_timers(rate: int, lateness_seconds: float) -> None:
    async def run() -> list[float]:
        return await _times_of(RateLimiter(rate), 4 * rate)

    times = run_virtual(run(), lateness_seconds=lateness_seconds)

    assert _most_in_any(1.0, times) <= rate


@pytest.mark.parametrize(("rate", "share"), [(100, 0.985), (1000, 0.965)])
@pytest.mark.parametrize("lateness_seconds", [0.0, 0.001, 0.003])
def test_late_timers_cost_no_throughput(rate: int, share: float, lateness_seconds: float) -> None:
    async def run() -> list[float]:
        return await _times_of(RateLimiter(rate), 10 * rate)

    times = run_virtual(run(), lateness_seconds=lateness_seconds)

    assert len(times) / times[-1] >= share * rate


@pytest.mark.parametrize("rate", [100, 1000])
def test_waiting_for_a_turn_does_not_keep_the_loop_busy_where_timers_have_whole_milliseconds(rate: int) -> None:
    async def run() -> list[float]:
        return await _times_of(RateLimiter(rate), 3 * rate)

    clock = VirtualTime(resolution_seconds=0.001)
    times = run_virtual(run(), on=clock)

    assert len(times) / times[-1] >= 0.96 * rate
    assert clock.turns_of_the_loop <= 6 * len(times)


def test_a_burst_after_an_idle_while_is_not_a_burst() -> None:
    async def run() -> list[float]:
        limiter = RateLimiter(100)
        await asyncio.sleep(60)
        return await _times_of(limiter, 50)

    times = run_virtual(run())

    assert _most_in_any(0.1, times) <= 11


def test_one_refusal_by_chance_costs_next_to_nothing() -> None:
    async def run() -> list[float]:
        limiter = RateLimiter(100)
        limiter.refused(await limiter.turn(), "GET", NO_HEADERS)
        return await _times_of(limiter, 1000)

    assert run_virtual(run())[-1] < 1000 / 99 * 1.02


@pytest.mark.parametrize("share", [0.5, 0.1])
def test_slowed_down_calls_leave_as_evenly_as_ever(share: float) -> None:
    async def run() -> list[float]:
        limiter = RateLimiter(100)
        allowed = int(100 * share)
        for number in [await limiter.turn() for _ in range(90)][allowed:]:
            limiter.refused(number, "GET", NO_HEADERS)
        limiter.refused(await limiter.turn(), "GET", NO_HEADERS)
        await asyncio.sleep(1)
        return await _times_of(limiter, 3 * allowed)

    times = run_virtual(run())

    assert _most_in_any(1.0, times) <= 1.1 * 100 * share
    assert _most_in_any(0.2, times) <= 0.2 * 1.1 * 100 * share + 1, "16 workers do not go together"


def test_a_pause_holds_everybody_even_those_already_in_line() -> None:
    async def run() -> list[float]:
        limiter = RateLimiter(100)
        line = asyncio.create_task(_times_of(limiter, 40))
        await asyncio.sleep(0.1)
        limiter.pause(20)
        return await line

    times = run_virtual(run())

    assert not [time for time in times if 0.1 < time < 20.1]
    assert _most_in_any(0.1, times) <= 11


# --- calls that are not urgent --------------------------------------------------------------------------------


async def _spare_times_of(limiter: RateLimiter, calls: int, workers: int = 4) -> list[float]:
    """When each of `calls` spare calls of that many workers left."""
    clock, times = asyncio.get_running_loop().time, []
    left = iter(range(calls))

    async def work() -> None:
        for _ in left:
            await limiter.spare_turn()
            times.append(clock())

    await asyncio.gather(*(work() for _ in range(workers)))
    return times


@pytest.mark.parametrize("rate", [100 / 60, 100])
def test_urgent_calls_go_first_however_many_others_wait_and_since_when(rate: float) -> None:
    async def run() -> tuple[list[float], list[float]]:
        limiter = RateLimiter(rate)
        urgent = asyncio.create_task(_times_of(limiter, 100))
        await asyncio.sleep(5 / rate)
        spare = asyncio.create_task(_spare_times_of(limiter, 20))
        return await urgent, await spare

    urgent, spare = run_virtual(run())

    assert urgent[-1] == pytest.approx(99 / rate, rel=0.02), "they lose nothing to the others"
    assert spare[0] > urgent[-1]
    assert spare[0] - urgent[-1] < 3 / rate, "and the others lose little time when their turn has come"


def test_a_spare_call_goes_at_once_where_nobody_else_wants_to() -> None:
    async def run() -> float:
        await RateLimiter(0.5).spare_turn()
        return asyncio.get_running_loop().time()

    assert run_virtual(run()) < 0.01


def test_spare_calls_take_what_a_sink_that_is_not_busy_leaves() -> None:
    async def run() -> tuple[list[float], list[float]]:
        limiter, clock = RateLimiter(100), asyncio.get_running_loop().time
        urgent: list[float] = []

        async def upload() -> None:
            while True:
                await limiter.turn()
                urgent.append(clock())
                await asyncio.sleep(0.05)

        uploads = [asyncio.create_task(upload()) for _ in range(2)]
        spare = await _spare_times_of(limiter, 200)
        for task in uploads:
            task.cancel()
        return urgent, spare

    urgent, spare = run_virtual(run())

    assert spare[-1] < 10, "an allowance of 100 a second, of which the urgent ones use 40"
    assert len(urgent) / spare[-1] >= 30
    assert _most_in_any(1.0, sorted([*urgent, *spare])) <= 100, "together they are no more than allowed"


def test_an_urgent_call_waits_for_one_spare_call_at_most() -> None:
    async def run() -> float:
        limiter, clock = RateLimiter(1), asyncio.get_running_loop().time
        spare = asyncio.create_task(_spare_times_of(limiter, 1000, workers=50))
        await asyncio.sleep(100.5)
        asked_at = clock()
        await limiter.turn()
        waited = clock() - asked_at
        spare.cancel()
        return waited

    assert run_virtual(run()) <= 2.1


def test_an_urgent_call_that_was_given_up_holds_up_nobody() -> None:
    async def run() -> float:
        limiter, clock = RateLimiter(1), asyncio.get_running_loop().time
        urgent = asyncio.create_task(_times_of(limiter, 1000))
        await asyncio.sleep(10)
        urgent.cancel()
        await asyncio.wait({urgent})
        await limiter.spare_turn()
        return clock()

    assert run_virtual(run()) < 13


def test_spare_calls_heed_a_pause_too() -> None:
    async def run() -> list[float]:
        limiter = RateLimiter(100)
        limiter.pause(20)
        return await _spare_times_of(limiter, 10)

    assert run_virtual(run())[0] >= 20


# --- usage ------------------------------------------------------------------------------------------------------


async def _usage_of(limiter: RateLimiter, workers: int, latency_seconds: float, seconds: float) -> Usage | None:
    """The usage after `seconds` of calls by that many workers."""

    async def work() -> None:
        while True:
            await limiter.turn()
            await asyncio.sleep(latency_seconds)

    tasks = [asyncio.create_task(work()) for _ in range(workers)]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    return limiter.usage()


@pytest.mark.parametrize(("workers", "share"), [(9, 0.9), (8, 0.81), (2, 0.2)])
def test_usage_is_the_share_of_the_turns_that_were_taken(workers: int, share: float) -> None:
    async def run() -> Usage | None:
        return await _usage_of(RateLimiter(100), workers, latency_seconds=0.1, seconds=5)

    usage = run_virtual(run())

    assert usage is not None
    assert usage.share == pytest.approx(share, abs=0.03)
    assert usage.calls_per_second == pytest.approx(share * 99, abs=3)


def test_where_many_calls_stand_in_line_it_is_not_they_that_leave_turns_unused() -> None:
    async def run() -> Usage | None:
        limiter = RateLimiter(100)
        tasks = [asyncio.create_task(_times_of(limiter, 1000, workers=1)) for _ in range(16)]
        await asyncio.sleep(5)
        usage = limiter.usage()
        for task in tasks:
            task.cancel()
        return usage

    assert run_virtual(run(), lateness_seconds=0.03) is None


def test_usage_begins_anew_when_it_was_read() -> None:
    async def run() -> tuple[Usage | None, Usage | None, Usage | None]:
        limiter = RateLimiter(100)
        busy = await _usage_of(limiter, 9, latency_seconds=0.1, seconds=5)
        at_once = limiter.usage()
        await asyncio.sleep(5)
        return busy, at_once, limiter.usage()

    busy, at_once, idle = run_virtual(run())

    assert busy is not None
    assert at_once is None, "it is too early to tell"
    assert idle is not None
    assert busy.share > 0.85
    assert idle.share == 0


@pytest.mark.parametrize("seconds", [0.2, 0.7])
def test_it_takes_a_longer_look_to_see_that_little_is_unused(seconds: float) -> None:
    async def run(workers: int) -> Usage | None:
        return await _usage_of(RateLimiter(1000), workers, latency_seconds=0.1, seconds=seconds)

    assert run_virtual(run(90)) is None
    assert (run_virtual(run(10)) is not None) == (seconds > 0.25)


def test_usage_shows_nothing_of_a_pause_however_often_it_is_asked() -> None:
    async def run() -> tuple[list[Usage | None], Usage | None]:
        limiter = RateLimiter(100)
        limiter.pause(20)
        waiting = asyncio.create_task(_usage_of(limiter, 3, latency_seconds=0.1, seconds=60))
        paused = []
        for _ in range(79):
            await asyncio.sleep(0.25)
            paused.append(limiter.usage())
        await asyncio.sleep(2)
        limiter.usage()
        await asyncio.sleep(5)
        later = limiter.usage()
        waiting.cancel()
        return paused, later

    paused, later = run_virtual(run())

    assert set(paused) == {None}
    assert later is not None
    assert later.share == pytest.approx(0.3, abs=0.05)
