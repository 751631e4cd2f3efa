"""What a service says of its limits is heeded and told; one that says nothing costs nothing."""

from __future__ import annotations

import asyncio

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from segsync.connectors.http.rate_limiter import Budget, RateLimiter
from segsync.events import CallsLeft, PaceChanged, Throttled
from tests.conftest import run_virtual
from tests.support.scripted import Events


def headers(**values: str) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict({name.replace("_", "-"): value for name, value in values.items()}))


def told_of(method: str, said: CIMultiDictProxy[str]) -> Events:
    async def main() -> Events:
        events = Events()
        Budget("Voucherify", RateLimiter(100), events.append).answered(method, said)
        return events

    return run_virtual(main())


def test_the_calls_left_are_told_by_method() -> None:
    said = headers(X_Rate_Limit_Remaining="57", X_Rate_Limit_Limit="100")
    assert told_of("POST", said) == [CallsLeft("Voucherify", "POST", 57, 100)]


@pytest.mark.parametrize(
    ("remaining", "limit", "told"),
    [
        ("57", "many", [CallsLeft("Voucherify", "GET", 57, None)]),
        ("", "100", []),
        ("-1", "100", []),
        ("1e3", "100", []),
        ("9" * 400, "100", []),
    ],
)
def test_what_is_no_number_is_not_told(remaining: str, limit: str, told: list[CallsLeft]) -> None:
    assert told_of("GET", headers(X_Rate_Limit_Remaining=remaining, X_Rate_Limit_Limit=limit)) == told


def test_a_service_without_such_headers_is_not_told_of() -> None:
    assert told_of("GET", headers(Request_Id="req-1")) == []


def test_at_none_left_everybody_waits() -> None:
    events = told_of("GET", headers(X_Rate_Limit_Remaining="0", Retry_After="30"))
    assert events == [CallsLeft("Voucherify", "GET", 0, None), Throttled("Voucherify", 30.0)]


@pytest.mark.parametrize(
    ("window_seconds", "wait", "told"),
    [
        (1.0, 0.0, []),
        (1.0, 1.0, []),
        (1.0, 2.0, [Throttled("a service", 2.0)]),
        (60.0, 1.0, [Throttled("a service", 1.0)]),
    ],
)
def test_a_second_after_one_call_too_many_a_second_is_for_that_call_alone(
    window_seconds: float, wait: float, told: list[Throttled]
) -> None:
    async def main() -> Events:
        events = Events()
        Budget("a service", RateLimiter(100, window_seconds), events.append).asked_to_wait(wait)
        return events

    assert run_virtual(main()) == told


def test_a_refusal_and_the_way_back_to_the_full_rate_are_told_about_once_a_second() -> None:
    async def main() -> Events:
        events, limiter = Events(), RateLimiter(100)
        budget = Budget("Segment", limiter, events.append)
        times = [await limiter.turn() for _ in range(100)]
        for left_at in times[50:]:
            budget.refused(left_at, "GET", headers())
        for _ in range(60 * 20):
            await asyncio.sleep(0.05)
            budget.answered("GET", headers())
        return events

    events = run_virtual(main())
    paces = events.of(PaceChanged)
    assert len(events) == len(paces)
    assert paces[0].calls_per_second <= 98
    assert paces[-1] == PaceChanged("Segment", 100.0, 100.0)
    assert 3 < len(paces) < 65
    assert [pace for pace in paces[:-1] if pace.calls_per_second == 100.0] == []
