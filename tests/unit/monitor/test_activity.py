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
    PageTakenAgain,
    ReadingEnded,
    ServicePaused,
)
from segsync.monitor.activity import HEARING, READING, READING_AGAIN, STOPPING, Situation
from tests.conftest import run_virtual


def words_after(scenario: Callable[[Situation], Awaitable[None]]) -> str:
    async def main() -> str:
        situation = Situation()
        await asyncio.sleep(100)
        await scenario(situation)
        return situation.words()

    return run_virtual(main())


def failed(service: str = "Segment", status: int | None = 503, elapsed_seconds: float = 0.0) -> CallRetried:
    return CallRetried(service, "trouble", 1, 2.0, elapsed_seconds, status)


def test_at_first_it_reads_and_in_the_end_it_hears_of_outcomes() -> None:
    async def until_all_is_sent(situation: Situation) -> None:
        assert situation.words() == READING
        situation.on_event(ReadingEnded(3))
        assert situation.words() == HEARING
        situation.on_event(PageTakenAgain(100, were_rejected=False))
        assert situation.words() == READING_AGAIN
        situation.on_event(ReadingEnded(1))

    assert words_after(until_all_is_sent) == HEARING


def test_an_outage_is_told_with_its_status_and_for_how_long() -> None:
    async def forty_seconds(situation: Situation) -> None:
        for second in range(40):
            situation.on_event(CallAnswered("Segment", 503, 0.1))
            situation.on_event(failed(elapsed_seconds=second))
            await asyncio.sleep(1)

    assert words_after(forty_seconds) == "Segment answers 503, retrying, 40 s so far"


@pytest.mark.parametrize(("status", "says"), [(None, "does not answer"), (429, "answers 429"), (500, "answers 500")])
def test_a_service_that_does_not_answer_is_told_as_such(status: int | None, says: str) -> None:
    async def once(situation: Situation) -> None:
        situation.on_event(failed(status=status, elapsed_seconds=7))

    assert words_after(once) == f"Segment {says}, retrying, 7 s so far"


def test_it_stays_an_outage_while_a_try_hangs_and_has_passed_with_the_first_good_answer() -> None:
    async def hanging(situation: Situation) -> None:
        situation.on_event(failed())
        await asyncio.sleep(35)
        assert situation.words() == "Segment does not answer, retrying, 35 s so far".replace(
            "does not answer", "answers 503"
        )
        situation.on_event(CallAnswered("Voucherify", 202, 0.1))
        assert "35 s" in situation.words(), "the other service is another"
        situation.on_event(CallAnswered("Segment", 404, 0.1))

    assert words_after(hanging) == READING


def test_one_call_that_fails_for_long_is_no_outage_of_the_service() -> None:
    async def one_of_many(situation: Situation) -> None:
        await asyncio.sleep(60)
        situation.on_event(CallAnswered("Segment", 200, 0.1))
        situation.on_event(failed(elapsed_seconds=60))

    assert words_after(one_of_many) == "Segment answers 503, retrying, 0 s so far"


def test_the_longest_outage_counts() -> None:
    async def both(situation: Situation) -> None:
        situation.on_event(failed("Segment", 503, 3))
        situation.on_event(failed("Segment", 500, 1))
        situation.on_event(failed("Voucherify", 502, 9))

    assert words_after(both) == "Voucherify answers 502, retrying, 9 s so far"


def test_a_pause_that_was_asked_for_is_told_with_its_end_and_no_longer() -> None:
    async def a_minute(situation: Situation) -> None:
        situation.on_event(failed(elapsed_seconds=5))
        situation.on_event(ServicePaused("Voucherify", 60.0))
        assert re.fullmatch(r"waiting for Voucherify until \d\d:\d\d:\d\d", situation.words())
        await asyncio.sleep(61)
        situation.on_event(CallAnswered("Segment", 200, 0.1))

    assert words_after(a_minute) == READING


def test_others_who_use_the_space_are_told_of_while_they_do() -> None:
    async def slowed(situation: Situation) -> None:
        situation.on_event(PaceChanged("Segment", 61.23, 100.0))
        assert situation.words() == "slowed down to 61.2 of 100 calls a second: others use the Segment space too"
        situation.on_event(PaceChanged("Segment", 100.0, 100.0))
        assert situation.words() == READING
        situation.on_event(PaceChanged("Voucherify", 10.0, 20.0))

    said = words_after(slowed)
    assert said == "slowed down to 600 of 1,200 calls a minute: others use the Voucherify project too"


def test_that_it_stops_is_more_important_than_all_else() -> None:
    async def stopping(situation: Situation) -> None:
        situation.on_event(ServicePaused("Voucherify", 60.0))
        situation.is_stopping = True

    assert words_after(stopping) == STOPPING


def test_the_calls_left_are_what_was_said_last_by_method() -> None:
    async def main() -> Situation:
        situation = Situation()
        for left in (57, 56):
            situation.on_event(CallsLeft("Voucherify", "POST", left, 100))
        situation.on_event(CallsLeft("Voucherify", "GET", 99, None))
        return situation

    left = run_virtual(main()).calls_left
    assert [(key, each.remaining) for key, each in left.items()] == [
        (("Voucherify", "POST"), 56),
        (("Voucherify", "GET"), 99),
    ]
