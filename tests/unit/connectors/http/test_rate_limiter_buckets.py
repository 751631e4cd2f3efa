"""Bulk calls and the others pause apart, as the headers say, and keep to one rate together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from segsync.connectors.http.rate_limiter import RateLimiter
from segsync.events import CallsLeft, Throttled
from tests.conftest import run_virtual
from tests.support.scripted import ANYTHING, Events, SilentSession
from tests.unit.connectors.http.test_rate_limiter_headers import headers

AN_HOUR = 3000.0


async def _times(
    turn: Callable[[bool], Awaitable[float]], calls: int, *, is_bulk: bool, workers: int = 4
) -> list[float]:
    times: list[float] = []
    left = iter(range(calls))

    async def work() -> None:
        for _ in left:
            times.append(await turn(is_bulk))

    await asyncio.gather(*(work() for _ in range(workers)))
    return times


@pytest.mark.parametrize(("method", "kind", "is_bulk"), [
    ("POST", None, True),
    ("GET", None, False),
    ("GET", "bulk_api_calls", True),
    ("POST", "api_calls", False),
    ("POST", "something_new", True),
])  # fmt: skip
@pytest.mark.parametrize("is_refused", [True, False])
def test_a_pause_holds_the_calls_that_the_type_names_or_else_the_method(
    method: str, kind: str | None, is_bulk: bool, is_refused: bool
) -> None:
    async def run() -> tuple[float, float, Events]:
        session, events = SilentSession(), Events()
        spent = {"X-Rate-Limit-Remaining": "0", "Retry-After": str(int(AN_HOUR))}
        spent |= {"X-Rate-Limit-Type": kind} if kind else {}
        session.answer = lambda _path: (429 if is_refused else 200, spent)
        client = session.client(retry_seconds=0, calls_per_second=100, window_seconds=60, on_event=events.append)
        task = asyncio.create_task(client.call(method, "/thing", ANYTHING))
        await asyncio.sleep(1)
        free = await client.limiter.turn(not is_bulk)
        held = await client.limiter.turn(is_bulk)
        await asyncio.gather(task, return_exceptions=True)
        return free, held, events

    free, held, events = run_virtual(run())
    assert free < 2
    assert held >= AN_HOUR
    name = "POST" if is_bulk else "GET"
    assert events.of(CallsLeft)[0].method == name
    assert events.of(Throttled)[0] == Throttled("Voucherify", AN_HOUR, name)


@pytest.mark.parametrize("spare", [True, False])
def test_bulk_calls_that_wait_for_an_hour_hold_up_no_read(spare: bool) -> None:
    async def run() -> tuple[list[float], list[float]]:
        limiter = RateLimiter(100, 60)
        limiter.pause(AN_HOUR, is_bulk=True)
        bulk = asyncio.create_task(_times(limiter.turn, 20, is_bulk=True, workers=16))
        await asyncio.sleep(1)
        reads = await _times(limiter.spare_turn if spare else limiter.turn, 500, is_bulk=False)
        return reads, await bulk

    reads, bulk = run_virtual(run())
    assert reads[-1] == pytest.approx(1 + 5, rel=0.03)
    assert bulk[0] >= AN_HOUR
    assert bulk[-1] < AN_HOUR + 1


def test_a_pause_that_begins_while_bulk_calls_stand_in_line_lets_the_reads_behind_them_go() -> None:
    async def run() -> tuple[list[float], list[float]]:
        limiter = RateLimiter(1, 60)
        bulk = asyncio.create_task(_times(limiter.turn, 10, is_bulk=True, workers=10))
        await asyncio.sleep(2.5)
        reads = asyncio.create_task(_times(limiter.turn, 10, is_bulk=False))
        await asyncio.sleep(1)
        limiter.pause(AN_HOUR, is_bulk=True)
        return await reads, await bulk

    reads, bulk = run_virtual(run())
    assert reads[-1] < 16, "one turn may be lost to a bulk call that no longer leaves"
    assert len([time for time in bulk if 4 < time < AN_HOUR]) == 0
    assert bulk[-1] > AN_HOUR


def test_both_keep_to_the_configured_rate_together() -> None:
    async def run() -> list[float]:
        limiter = RateLimiter(100)
        both = await asyncio.gather(*(_times(limiter.turn, 200, is_bulk=is_bulk) for is_bulk in (True, False)))
        return sorted(time for times in both for time in times)

    times = run_virtual(run())
    assert all(later - earlier >= 1.0 for earlier, later in zip(times, times[101:], strict=False))


def test_calls_of_one_kind_are_refused_by_the_hour_and_the_rate_of_all_stays() -> None:
    """Sixteen uploads meet a spent hour at the very start: no other call was ever let through by then."""

    async def run() -> list[float]:
        limiter = RateLimiter(100, 60)
        spent = headers(X_Rate_Limit_Type="bulk_api_calls", Retry_After="3000", X_Rate_Limit_Remaining="0")
        for left_at in [await limiter.turn(True) for _ in range(16)]:
            limiter.refused(left_at, "POST", spent)
            limiter.asked_to_wait(AN_HOUR, is_bulk=True)
        begun = asyncio.get_running_loop().time()
        return [time - begun for time in await _times(limiter.turn, 200, is_bulk=False)]

    assert run_virtual(run())[-1] == pytest.approx(2, rel=0.05)


def test_a_minute_of_bulk_calls_is_learnt_from_like_any_refusal() -> None:
    async def run() -> bool:
        limiter = RateLimiter(100, 60)
        for left_at in [await limiter.turn(True) for _ in range(16)]:
            limiter.refused(left_at, "POST", headers(Retry_After="30"))
        begun = asyncio.get_running_loop().time()
        await _times(limiter.turn, 200, is_bulk=False)
        return asyncio.get_running_loop().time() - begun > 10

    assert run_virtual(run())


def test_a_pause_of_bulk_calls_shows_nothing_of_what_is_used() -> None:
    async def run() -> object:
        limiter = RateLimiter(100)
        limiter.pause(20, is_bulk=True)
        await _times(limiter.turn, 300, is_bulk=False)
        return limiter.usage()

    assert run_virtual(run()) is None
