"""Calls leave evenly, never more than allowed in any second, and slow down together."""

from __future__ import annotations

import asyncio

import pytest

from segsync.pacer import Pacer
from tests.conftest import run_virtual


async def _times_of(pacer: Pacer, calls: int, workers: int = 16) -> list[float]:
    """When each of `calls` calls of that many workers left."""
    clock, times = asyncio.get_running_loop().time, []
    left = iter(range(calls))

    async def work() -> None:
        for _ in left:
            await pacer.turn()
            times.append(clock())

    await asyncio.gather(*(work() for _ in range(workers)))
    return times


def _most_in_any(seconds: float, times: list[float]) -> int:
    return max(sum(start <= time < start + seconds for time in times) for start in times)


@pytest.mark.parametrize("rate", [10, 100, 1000])
@pytest.mark.parametrize("lateness_seconds", [0.0, 0.001, 0.003])
def test_no_second_holds_more_calls_than_allowed_however_late_the_timers(rate: int, lateness_seconds: float) -> None:
    async def run() -> list[float]:
        return await _times_of(Pacer(rate), 4 * rate)

    times = run_virtual(run(), lateness_seconds=lateness_seconds)

    assert _most_in_any(1.0, times) <= rate


@pytest.mark.parametrize("rate", [100, 1000])
@pytest.mark.parametrize("lateness_seconds", [0.0, 0.001, 0.003])
def test_late_timers_cost_no_throughput(rate: int, lateness_seconds: float) -> None:
    async def run() -> list[float]:
        return await _times_of(Pacer(rate), 10 * rate)

    times = run_virtual(run(), lateness_seconds=lateness_seconds)

    assert len(times) / times[-1] >= 0.985 * rate


def test_a_burst_after_an_idle_while_is_no_burst() -> None:
    async def run() -> list[float]:
        pacer = Pacer(100)
        await asyncio.sleep(60)
        return await _times_of(pacer, 50)

    times = run_virtual(run())

    assert _most_in_any(0.1, times) <= 11


def test_one_refusal_by_chance_costs_next_to_nothing() -> None:
    async def run() -> list[float]:
        pacer = Pacer(100)
        pacer.refused()
        return await _times_of(pacer, 1000)

    assert run_virtual(run())[-1] < 1000 / 99 * 1.02


def test_after_many_refusals_the_rate_comes_back_within_a_minute() -> None:
    async def run() -> tuple[float, float]:
        pacer = Pacer(100)
        for _ in range(50):
            pacer.refused()
        slow = pacer.current_calls_per_second
        before = await _times_of(pacer, 3000)
        now = asyncio.get_running_loop().time()
        assert now - before[0] <= 60
        return slow, pacer.current_calls_per_second

    slow, later = run_virtual(run())

    assert slow < 50
    assert later == 100


def test_it_settles_just_below_a_true_limit_that_is_lower_than_the_configured_one() -> None:
    async def run() -> tuple[int, int]:
        pacer, clock = Pacer(100), asyncio.get_running_loop().time
        allowed: list[float] = []
        refusals: list[float] = []
        while clock() < 120:
            await pacer.turn()
            recent = [time for time in allowed[-60:] if clock() - time < 1.0]
            if len(recent) < 50:
                allowed.append(clock())
            else:
                refusals.append(clock())
                pacer.refused()
        return sum(time > 60 for time in allowed), sum(time > 60 for time in refusals)

    allowed, refused = run_virtual(run())

    assert allowed >= 0.9 * 50 * 60
    assert refused <= 0.02 * allowed


def test_a_pause_holds_everybody_even_those_already_in_line() -> None:
    async def run() -> list[float]:
        pacer = Pacer(100)
        line = asyncio.create_task(_times_of(pacer, 40))
        await asyncio.sleep(0.1)
        pacer.pause(20)
        return await line

    times = run_virtual(run())

    assert not [time for time in times if 0.1 < time < 20.1]
    assert _most_in_any(0.1, times) <= 11


# --- calls that are not urgent --------------------------------------------------------------------------------


async def _spare_times_of(pacer: Pacer, calls: int, workers: int = 4) -> list[float]:
    """When each of `calls` spare calls of that many workers left."""
    clock, times = asyncio.get_running_loop().time, []
    left = iter(range(calls))

    async def work() -> None:
        for _ in left:
            await pacer.spare_turn()
            times.append(clock())

    await asyncio.gather(*(work() for _ in range(workers)))
    return times


@pytest.mark.parametrize("rate", [100 / 60, 100])
def test_urgent_calls_go_first_however_many_others_wait_and_since_when(rate: float) -> None:
    async def run() -> tuple[list[float], list[float]]:
        pacer = Pacer(rate)
        urgent = asyncio.create_task(_times_of(pacer, 100))
        await asyncio.sleep(5 / rate)
        spare = asyncio.create_task(_spare_times_of(pacer, 20))
        return await urgent, await spare

    urgent, spare = run_virtual(run())

    assert urgent[-1] == pytest.approx(99 / rate, rel=0.02), "they lose nothing to the others"
    assert spare[0] > urgent[-1]
    assert spare[0] - urgent[-1] < 3 / rate, "and the others lose little time when their turn has come"


def test_a_spare_call_goes_at_once_where_nobody_else_wants_to() -> None:
    async def run() -> float:
        await Pacer(0.5).spare_turn()
        return asyncio.get_running_loop().time()

    assert run_virtual(run()) < 0.01


def test_spare_calls_take_what_a_sink_that_is_not_busy_leaves() -> None:
    async def run() -> tuple[list[float], list[float]]:
        pacer, clock = Pacer(100), asyncio.get_running_loop().time
        urgent: list[float] = []

        async def upload() -> None:
            while True:
                await pacer.turn()
                urgent.append(clock())
                await asyncio.sleep(0.05)

        uploads = [asyncio.create_task(upload()) for _ in range(2)]
        spare = await _spare_times_of(pacer, 200)
        for task in uploads:
            task.cancel()
        return urgent, spare

    urgent, spare = run_virtual(run())

    assert spare[-1] < 10, "an allowance of 100 a second, of which the urgent ones use 40"
    assert len(urgent) / spare[-1] >= 30
    assert _most_in_any(1.0, sorted([*urgent, *spare])) <= 100, "together they are no more than allowed"


def test_an_urgent_call_waits_for_one_spare_call_at_most() -> None:
    async def run() -> float:
        pacer, clock = Pacer(1), asyncio.get_running_loop().time
        spare = asyncio.create_task(_spare_times_of(pacer, 1000, workers=50))
        await asyncio.sleep(100.5)
        asked_at = clock()
        await pacer.turn()
        waited = clock() - asked_at
        spare.cancel()
        return waited

    assert run_virtual(run()) <= 2.1


def test_an_urgent_call_that_was_given_up_holds_up_nobody() -> None:
    async def run() -> float:
        pacer, clock = Pacer(1), asyncio.get_running_loop().time
        urgent = asyncio.create_task(_times_of(pacer, 1000))
        await asyncio.sleep(10)
        urgent.cancel()
        await asyncio.wait({urgent})
        await pacer.spare_turn()
        return clock()

    assert run_virtual(run()) < 13


def test_spare_calls_heed_a_pause_too() -> None:
    async def run() -> list[float]:
        pacer = Pacer(100)
        pacer.pause(20)
        return await _spare_times_of(pacer, 10)

    assert run_virtual(run())[0] >= 20
