"""How fast, how far, how long: and nothing silly where that is not known."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from segsync.events import (
    ActionEnded,
    BatchSent,
    CallAnswered,
    PageDone,
    PageListed,
    PageReplayed,
    ProfileRead,
    ProfileRejected,
    ProfileWithoutIdentifier,
    SentProfile,
)
from segsync.formatting import time_left
from segsync.models import Outcomes, Rejection
from segsync.monitor.progress import SURE_SECONDS, Progress, ProgressMeter
from segsync.report.counters import NOTHING_BEFORE, Counters
from tests.conftest import run_virtual
from tests.unit.monitor.connectors import CONNECTORS, connectors

Scenario = Callable[[Counters, ProgressMeter], Awaitable[None]]


def progress_after(
    scenario: Scenario,
    total: int | None = None,
    before: Outcomes = NOTHING_BEFORE,
    offset: str | None = "0",
    *,
    is_slow: bool = False,
    sends: bool = True,
    confirms: bool = True,
) -> Progress:
    """The progress after `scenario`. A sink that `is_slow` takes 6 calls per minute, with 50 customers each."""

    async def main() -> Progress:
        counters = Counters(offset, before)
        meter = ProgressMeter(
            counters,
            total,
            connectors(voucherify_per_minute=6) if is_slow else CONNECTORS,
            batch_size=50 if is_slow else 100,
            sends=sends,
            confirms=confirms,
        )
        meter.look()
        await scenario(counters, meter)
        return meter.look()

    return run_virtual(main())


def ten_a_second(seconds: int) -> Scenario:
    async def scenario(counters: Counters, meter: ProgressMeter) -> None:
        for _ in range(seconds):
            counters.count(PageListed("0", 10))
            for _ in range(10):
                counters.count(CallAnswered("Segment", 200, 0.1))
                counters.count(ProfileWithoutIdentifier("use_1"))
            await asyncio.sleep(1)
            meter.look()

    return scenario


async def nothing(_counters: Counters, _meter: ProgressMeter) -> None:
    pass


def test_rates_are_those_of_the_last_ten_seconds() -> None:
    async def fast_then_slow(counters: Counters, meter: ProgressMeter) -> None:
        await ten_a_second(20)(counters, meter)
        for _ in range(11):
            await asyncio.sleep(1)
            meter.look()

    busy, idle = progress_after(ten_a_second(20)), progress_after(fast_then_slow)
    assert (round(busy.profiles_per_second), busy.calls_per_second["Voucherify"]) == (10, 0)
    assert round(busy.calls_per_second["Segment"]) == 10
    assert (idle.profiles_per_second, {*idle.calls_per_second.values()}) == (0, {0})


def test_a_few_calls_at_the_start_are_no_breach_of_a_limit_per_minute() -> None:
    async def two_calls_in_half_a_second(counters: Counters, _meter: ProgressMeter) -> None:
        for service in ("Segment", "Voucherify"):
            for _ in range(2):
                counters.count(CallAnswered(service, 200, 0.1))
        await asyncio.sleep(0.5)

    rates = progress_after(two_calls_in_half_a_second).calls_per_second
    assert rates == pytest.approx({"Segment": 2, "Voucherify": 0.2})


def test_there_is_no_eta_at_the_start() -> None:
    assert progress_after(nothing, total=1000).eta_seconds is None
    assert progress_after(ten_a_second(int(SURE_SECONDS) - 1), total=1000).eta_seconds is None
    assert progress_after(ten_a_second(5), total=1000).eta_seconds == pytest.approx(95, rel=0.01)


def test_where_nothing_happens_there_is_no_eta() -> None:
    async def standing(_counters: Counters, _meter: ProgressMeter) -> None:
        await asyncio.sleep(9)

    progress = progress_after(standing, total=1000)
    assert (progress.share, progress.eta_seconds) == (0.0, None)


def test_without_a_total_there_is_neither_a_share_nor_an_eta() -> None:
    progress = progress_after(ten_a_second(5))
    assert (progress.total, progress.share, progress.eta_seconds) == (None, None, None)


def test_where_more_profiles_are_listed_than_expected_nobody_knows_how_many_there_are() -> None:
    progress = progress_after(ten_a_second(20), total=150)
    assert (progress.more_than, progress.total, progress.share, progress.eta_seconds) == (150, None, None, None)


def test_as_many_profiles_as_expected_are_not_a_surprise() -> None:
    progress = progress_after(ten_a_second(20), total=200)
    assert (progress.more_than, progress.total, progress.share, progress.eta_seconds) == (None, 200, 1.0, None)


def test_what_an_earlier_process_did_counts_for_the_share_and_not_for_the_rate() -> None:
    progress = progress_after(ten_a_second(10), total=1000, before=Outcomes(confirmed=400), offset="400")
    assert (progress.share, round(progress.profiles_per_second)) == (0.5, 10)
    assert progress.eta_seconds == pytest.approx(50, rel=0.01)


def test_once_all_is_listed_the_total_is_known() -> None:
    async def ending(counters: Counters, meter: ProgressMeter) -> None:
        await ten_a_second(10)(counters, meter)
        counters.count(PageDone(1, "0", None, Outcomes(without_identifier=100)))

    for expected in (50, 1000):
        progress = progress_after(ending, total=expected)
        assert (progress.more_than, progress.total, progress.share) == (None, 100, 1.0)


def test_profiles_that_are_replayed_make_neither_a_negative_eta_nor_too_much() -> None:
    async def again(counters: Counters, meter: ProgressMeter) -> None:
        counters.count(PageReplayed(50, is_retry=True))
        await asyncio.sleep(5)
        meter.look()
        for _ in range(25):
            counters.count(ProfileWithoutIdentifier("use_1"))

    progress = progress_after(again, before=Outcomes(confirmed=50, rejected=50), offset=None)
    assert (progress.done, progress.total, progress.share) == (75, 100, 0.75)
    assert progress.eta_seconds == pytest.approx(5, rel=0.01)


def test_an_empty_space_is_done() -> None:
    assert progress_after(nothing, offset=None).share == 1.0


# --- the sink is the slower side ------------------------------------------------------------------------------


def read(counters: Counters, profiles: int) -> None:
    counters.count(PageListed("0", profiles))
    for _ in range(profiles):
        counters.count(ProfileRead("use_1"))


def send(counters: Counters, profiles: int = 50) -> None:
    counters.count(BatchSent("aa_1", tuple(SentProfile(1, f"use_{each}", "u") for each in range(profiles))))


def fifty_every_ten_seconds(batches: int) -> Scenario:
    """All of 1,500 customers are read in 15 seconds; so many batches are sent."""

    async def scenario(counters: Counters, meter: ProgressMeter) -> None:
        for second in range(max(15, batches * 10)):
            if second < 15:
                read(counters, 100)
            if second % 10 == 0 and second // 10 < batches:
                send(counters)
            await asyncio.sleep(1)
            meter.look()

    return scenario


@pytest.mark.parametrize("batches", [1, 2, 4, 10, 29])
def test_the_eta_is_that_of_the_calls_to_the_sink_where_these_take_longer(batches: int) -> None:
    progress = progress_after(fifty_every_ten_seconds(batches), 1500, is_slow=True, confirms=False)
    assert progress.eta_seconds == pytest.approx((30 - batches) * 10, rel=0.05)


def test_it_is_that_of_the_calls_from_the_first_seconds_on() -> None:
    async def four_seconds(counters: Counters, meter: ProgressMeter) -> None:
        for _ in range(4):
            read(counters, 100)
            await asyncio.sleep(1)
            meter.look()

    for confirms, calls in ((False, 30), (True, 30 + 31)):  # a listing, and a result per batch
        progress = progress_after(four_seconds, 1500, is_slow=True, confirms=confirms)
        assert progress.eta_seconds == pytest.approx(calls * 10, rel=0.05)
    assert progress_after(four_seconds, 1500, is_slow=True, sends=False).eta_seconds == pytest.approx(15, rel=0.05), (
        "a dry run sends nothing"
    )


def test_profiles_without_identifier_take_no_calls_to_the_sink() -> None:
    async def every_second_one(counters: Counters, meter: ProgressMeter) -> None:
        for _ in range(4):
            read(counters, 50)
            counters.count(PageListed("0", 50))
            for _ in range(50):
                counters.count(ProfileWithoutIdentifier("use_1"))
            await asyncio.sleep(1)
            meter.look()

    progress = progress_after(every_second_one, 1500, is_slow=True, confirms=False)
    assert progress.eta_seconds == pytest.approx(150, rel=0.05)


def test_where_the_sink_takes_nothing_for_long_there_is_no_eta() -> None:
    async def an_outage(counters: Counters, meter: ProgressMeter) -> None:
        await fifty_every_ten_seconds(2)(counters, meter)
        for _ in range(60):
            await asyncio.sleep(1)
            meter.look()

    assert progress_after(an_outage, 1500, is_slow=True).eta_seconds is None


def test_customers_wait_where_more_are_read_than_the_sink_takes() -> None:
    async def reading(counters: Counters, meter: ProgressMeter) -> None:
        read(counters, 150)
        await asyncio.sleep(1)
        meter.look()

    assert progress_after(reading, 1500, is_slow=True).held_up == 0, "these may be on their way"
    for total in (1500, None):
        assert progress_after(fifty_every_ten_seconds(1), total, is_slow=True).held_up == 1450
        assert progress_after(fifty_every_ten_seconds(29), total, is_slow=True).held_up == 50


def test_nobody_waits_who_was_refused() -> None:
    async def refused(counters: Counters, meter: ProgressMeter) -> None:
        await fifty_every_ten_seconds(29)(counters, meter)
        for _ in range(50):
            counters.count(ProfileRejected(Rejection("use_1", "u1", "upsert", "answered 400"), 1))

    assert progress_after(refused, is_slow=True).held_up == 0


# --- all is sent, the results are not known ----------------------------------------------------------------------


def test_where_only_results_are_left_the_way_is_that_of_the_confirmed_customers() -> None:
    async def reading_results(counters: Counters, meter: ProgressMeter) -> None:
        for _ in range(5):
            await asyncio.sleep(1)
            counters.count(ActionEnded("aa_1", 100, 100))
            meter.look()

    before = Outcomes(sent=1000, without_identifier=200)
    start, later = progress_after(nothing, None, before, None), progress_after(reading_results, None, before, None)
    assert (start.waits_for_results, start.share, start.eta_seconds) == (True, 0.0, None)
    assert (later.waits_for_results, later.done, later.total, later.share) == (True, 500, 1000, 0.5)
    assert later.eta_seconds == pytest.approx(5, rel=0.01)
    without_results = progress_after(nothing, None, before, None, confirms=False)
    assert (without_results.waits_for_results, without_results.total, without_results.share) == (False, 1200, 1.0)


def test_results_take_calls_too() -> None:
    async def one_result(counters: Counters, meter: ProgressMeter) -> None:
        for _ in range(11):
            await asyncio.sleep(1)
            meter.look()
        counters.count(ActionEnded("aa_1", 50, 50))

    progress = progress_after(one_result, None, Outcomes(sent=500), None, is_slow=True)
    assert progress.eta_seconds == pytest.approx((9 + 1) * 10, rel=0.05)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.01, "0:00:01"),
        (61, "0:01:01"),
        (86_000, "23:53:20"),
        (90_000, "1 d 1 h"),
        (86_399.9 * 2, "1 d 23 h"),
        (1e12, "over 99 days"),
    ],
)
def test_an_eta_is_as_fine_as_it_is_known(seconds: float, text: str) -> None:
    assert time_left(seconds) == text


def test_the_words_have_the_share_and_the_eta_as_far_as_they_are_known() -> None:
    def words(**fields: Any) -> str:
        return Progress(
            **{"profiles_per_second": 1.0, "calls_per_second": {}, "done": 500, "total": 1000, **fields}
        ).words()

    assert words() == "50% of 1,000 done"
    assert words(eta_seconds=61) == "50% of 1,000 done, ETA 0:01:01"
    assert words(waits_for_results=True) == "50% of 1,000 confirmed"
    assert words(total=None, more_than=1000) == "more profiles than --profiles 1000"
    assert words(total=None) == ""
