"""What an import is doing, in words: the most important thing first."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable

import pytest

from segsync.events import (
    CallAnswered,
    CallRetried,
    CallsLeft,
    PaceChanged,
    PageReplayed,
    ReadingEnded,
    Throttled,
)
from segsync.models import Connector
from segsync.monitor.activity import READING, REPLAYING, RETRYING, STOPPING, Activity
from tests.conftest import run_virtual
from tests.unit.monitor.connectors import CONNECTORS


def words_after(scenario: Callable[[Activity], Awaitable[None]]) -> str:
    async def main() -> str:
        activity = Activity(CONNECTORS)
        await asyncio.sleep(100)
        await scenario(activity)
        return activity.words()

    return run_virtual(main())


def failed(service: str = "Segment", status: int | None = 503, elapsed_seconds: float = 0.0) -> CallRetried:
    return CallRetried(service, "trouble", 1, 2.0, elapsed_seconds, status)


def test_at_first_it_reads_and_at_the_end_it_waits_for_results() -> None:
    async def until_all_is_sent(activity: Activity) -> None:
        assert activity.words() == READING
        activity.on_event(ReadingEnded(3))
        assert activity.words() == "waiting for Voucherify's results"
        activity.on_event(PageReplayed(100, is_retry=False))
        assert activity.words() == REPLAYING
        activity.on_event(ReadingEnded(1))

    assert words_after(until_all_is_sent) == "waiting for Voucherify's results"


def test_a_retry_reads_the_profiles_that_were_rejected() -> None:
    async def retry(activity: Activity) -> None:
        activity.on_event(PageReplayed(100, is_retry=True))

    assert words_after(retry) == RETRYING


def test_the_services_are_those_of_the_connectors() -> None:
    async def another_sink(_activity: Activity) -> None:
        activity = Activity((CONNECTORS[0], Connector("Table", identity="customers", scope="table")))
        activity.on_event(ReadingEnded(3))
        assert activity.words() == "waiting for Table's results"
        assert activity.words(held_up=5) == "sending to Table: 5 customers waiting"
        activity.on_event(PaceChanged("Table", 2.0, 4.0))
        assert activity.words() == (
            "slowed down to 2.0 calls per second: 429 below the configured rate; another client may be using this table"
        )

    words_after(another_sink)


def test_an_outage_has_its_status_and_how_long_it_lasts() -> None:
    async def forty_seconds(activity: Activity) -> None:
        for second in range(40):
            activity.on_event(CallAnswered("Segment", 503, 0.1))
            activity.on_event(failed(elapsed_seconds=second))
            await asyncio.sleep(1)

    assert words_after(forty_seconds) == "Segment answers 503, retrying, 40 s so far"


@pytest.mark.parametrize(("status", "answer"), [(None, "does not answer"), (429, "answers 429"), (500, "answers 500")])
def test_a_service_that_does_not_answer_is_named(status: int | None, answer: str) -> None:
    async def once(activity: Activity) -> None:
        activity.on_event(failed(status=status, elapsed_seconds=7))

    assert words_after(once) == f"Segment {answer}, retrying, 7 s so far"


def test_it_stays_an_outage_while_a_try_hangs_and_has_passed_with_the_first_good_answer() -> None:
    async def hanging(activity: Activity) -> None:
        activity.on_event(failed())
        await asyncio.sleep(35)
        assert activity.words() == "Segment does not answer, retrying, 35 s so far".replace(
            "does not answer", "answers 503"
        )
        activity.on_event(CallAnswered("Voucherify", 202, 0.1))
        assert "35 s" in activity.words(), "the other service is another"
        activity.on_event(CallAnswered("Segment", 404, 0.1))

    assert words_after(hanging) == READING


def test_one_call_that_fails_for_long_is_not_an_outage_of_the_service() -> None:
    async def one_of_many(activity: Activity) -> None:
        await asyncio.sleep(60)
        activity.on_event(CallAnswered("Segment", 200, 0.1))
        activity.on_event(failed(elapsed_seconds=60))

    assert words_after(one_of_many) == "Segment answers 503, retrying, 0 s so far"


def test_the_longest_outage_counts() -> None:
    async def both(activity: Activity) -> None:
        activity.on_event(failed("Segment", 503, 3))
        activity.on_event(failed("Segment", 500, 1))
        activity.on_event(failed("Voucherify", 502, 9))

    assert words_after(both) == "Voucherify answers 502, retrying, 9 s so far"


def test_a_pause_that_was_asked_for_is_shown_with_its_end_and_no_longer() -> None:
    async def a_minute(activity: Activity) -> None:
        activity.on_event(failed(elapsed_seconds=5))
        activity.on_event(Throttled("Voucherify", 60.0))
        assert re.fullmatch(r"waiting for Voucherify until \d\d:\d\d:\d\d", activity.words())
        await asyncio.sleep(61)
        activity.on_event(CallAnswered("Segment", 200, 0.1))

    assert words_after(a_minute) == READING


def test_what_slows_it_down_is_said_as_the_guess_that_it_is() -> None:
    async def slowed(activity: Activity) -> None:
        activity.on_event(PaceChanged("Segment", 61.23, 100.0))
        assert activity.words() == (
            "slowed down to 61.2 of 100 calls per second: 429 below the configured rate; "
            "another client may be using this space"
        )
        activity.on_event(PaceChanged("Segment", 100.0, 100.0))
        assert activity.words() == READING
        activity.on_event(PaceChanged("Voucherify", 1.0, 100 / 60))

    assert words_after(slowed) == (
        "slowed down to 60.0 of 100 calls per minute: 429 below the configured rate; "
        "another client may be using this project"
    )


def test_a_pause_of_bulk_upserts_alone_says_so() -> None:
    async def an_hour(activity: Activity) -> None:
        activity.on_event(Throttled("Voucherify", 20.0, "GET"))
        activity.on_event(Throttled("Voucherify", 3000.0, "POST"))
        activity.on_event(Throttled("Segment", 10.0))
        assert re.fullmatch(r"bulk upserts wait for Voucherify until \d\d:\d\d:\d\d", activity.words())
        await asyncio.sleep(3001)

    assert words_after(an_hour) == READING


@pytest.mark.parametrize(("status", "words"), [(401, "answers 401"), (200, "answers 200 with an unreadable body")])
def test_what_is_retried_though_it_looks_like_an_answer_is_an_outage(status: int, words: str) -> None:
    async def forty_seconds(activity: Activity) -> None:
        for second in range(40):
            activity.on_event(CallAnswered("Segment", status, 0.1))
            activity.on_event(failed(status=status, elapsed_seconds=second))
            await asyncio.sleep(1)

    assert words_after(forty_seconds) == f"Segment {words}, retrying, 40 s so far"


def test_that_it_stops_is_more_important_than_all_else() -> None:
    async def stopping(activity: Activity) -> None:
        activity.on_event(Throttled("Voucherify", 60.0))
        activity.is_stopping = True

    assert words_after(stopping) == STOPPING


def test_the_calls_left_are_the_latest_by_method() -> None:
    async def main() -> Activity:
        activity = Activity(CONNECTORS)
        for left in (57, 56):
            activity.on_event(CallsLeft("Voucherify", "POST", left, 100))
        activity.on_event(CallsLeft("Voucherify", "GET", 99, None))
        return activity

    left = run_virtual(main()).calls_left
    assert [(key, each.remaining) for key, each in left.items()] == [
        (("Voucherify", "POST"), 56),
        (("Voucherify", "GET"), 99),
    ]
