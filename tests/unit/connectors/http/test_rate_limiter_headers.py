"""What the answers of a service say of its limits is heeded and reported."""

from __future__ import annotations

import asyncio

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from segsync.connectors.http.rate_limiter import RateLimiter
from segsync.events import CallsLeft, PaceChanged, Throttled
from tests.conftest import run_virtual
from tests.support.scripted import Events


def headers(**values: str) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict({name.replace("_", "-"): value for name, value in values.items()}))


def events_of(method: str, received: CIMultiDictProxy[str]) -> Events:
    async def main() -> Events:
        events = Events()
        RateLimiter(100, service="Voucherify", on_event=events.append).answered(method, received)
        return events

    return run_virtual(main())


def test_the_calls_left_are_reported_by_method() -> None:
    received = headers(X_Rate_Limit_Remaining="57", X_Rate_Limit_Limit="100")
    assert events_of("POST", received) == [CallsLeft("Voucherify", "POST", 57, 100)]


@pytest.mark.parametrize(
    ("remaining", "limit", "reported"),
    [
        ("57", "many", [CallsLeft("Voucherify", "GET", 57, None)]),
        ("", "100", []),
        ("-1", "100", []),
        ("1e3", "100", []),
        ("9" * 400, "100", []),
    ],
)
def test_what_is_not_a_number_is_not_reported(remaining: str, limit: str, reported: list[CallsLeft]) -> None:
    assert events_of("GET", headers(X_Rate_Limit_Remaining=remaining, X_Rate_Limit_Limit=limit)) == reported


def test_without_such_headers_nothing_is_reported() -> None:
    assert events_of("GET", headers(Request_Id="req-1")) == []


def test_at_none_left_everybody_waits() -> None:
    events = events_of("GET", headers(X_Rate_Limit_Remaining="0", Retry_After="30"))
    assert events == [CallsLeft("Voucherify", "GET", 0, None), Throttled("Voucherify", 30.0)]


@pytest.mark.parametrize(
    ("window_seconds", "wait", "reported"),
    [
        (1.0, 0.0, []),
        (1.0, 1.0, []),
        (1.0, 2.0, [Throttled("a service", 2.0)]),
        (60.0, 1.0, [Throttled("a service", 1.0)]),
    ],
)
def test_a_second_after_one_call_too_many_a_second_is_for_that_call_alone(
    window_seconds: float, wait: float, reported: list[Throttled]
) -> None:
    async def main() -> Events:
        events = Events()
        RateLimiter(100, window_seconds, service="a service", on_event=events.append).asked_to_wait(wait)
        return events

    assert run_virtual(main()) == reported


def test_a_refusal_and_the_way_back_to_the_full_rate_are_reported_about_once_per_second() -> None:
    async def main() -> Events:
        events = Events()
        limiter = RateLimiter(100, service="Segment", on_event=events.append)
        times = [await limiter.turn() for _ in range(100)]
        for left_at in times[50:]:
            limiter.refused(left_at, "GET", headers())
        for _ in range(60 * 20):
            await asyncio.sleep(0.05)
            limiter.answered("GET", headers())
        return events

    events = run_virtual(main())
    paces = events.of(PaceChanged)
    assert len(events) == len(paces)
    assert paces[0].calls_per_second <= 98
    assert paces[-1] == PaceChanged("Segment", 100.0, 100.0)
    assert 3 < len(paces) < 65
    assert [pace for pace in paces[:-1] if pace.calls_per_second == 100.0] == []
