"""How fast, how far, how long: and nothing silly where that is not known."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

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
from segsync.settings import Settings
from tests.conftest import run_virtual

SIX_A_MINUTE = Settings(
    segment_access_token="token",
    segment_space_id="spa_1",
    voucherify_application_id="id",
    voucherify_secret_key="key",
    voucherify_requests_per_minute=6,
    batch_size=50,
)
SETTINGS = replace(SIX_A_MINUTE, voucherify_requests_per_minute=100, batch_size=100)
Scenario = Callable[[Counters, ProgressMeter], Awaitable[None]]


def speed_after(
    scenario: Scenario,
    total: int | None = None,
    before: Outcomes = NOTHING_BEFORE,
    offset: str | None = "0",
    settings: Settings = SETTINGS,
    *,
    sends: bool = True,
    confirms: bool = True,
) -> Progress:
    async def main() -> Progress:
        counters = Counters(offset, before)
        meter = ProgressMeter(counters, total, settings, sends=sends, confirms=confirms)
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

    busy, idle = speed_after(ten_a_second(20)), speed_after(fast_then_slow)
    assert (round(busy.profiles), round(busy.segment), busy.voucherify) == (10, 10, 0)
    assert (idle.profiles, idle.segment) == (0, 0)


def test_nothing_is_said_of_the_time_left_at_the_start() -> None:
    assert speed_after(nothing, total=1000).seconds_left is None
    assert speed_after(ten_a_second(int(SURE_SECONDS) - 1), total=1000).seconds_left is None
    assert speed_after(ten_a_second(5), total=1000).seconds_left == pytest.approx(95, rel=0.01)


def test_where_nothing_happens_no_time_is_left_rather_than_all_of_it() -> None:
    async def standing(_counters: Counters, _meter: ProgressMeter) -> None:
        await asyncio.sleep(9)

    speed = speed_after(standing, total=1000)
    assert (speed.share, speed.seconds_left) == (0.0, None)


def test_without_a_total_there_is_neither_a_share_nor_a_time() -> None:
    speed = speed_after(ten_a_second(5))
    assert (speed.total, speed.share, speed.seconds_left) == (None, None, None)


def test_where_more_profiles_are_listed_than_were_said_nobody_knows_how_many_there_are() -> None:
    speed = speed_after(ten_a_second(20), total=150)
    assert (speed.more_than, speed.total, speed.share, speed.seconds_left) == (150, None, None, None)


def test_as_many_profiles_as_were_said_are_no_surprise() -> None:
    speed = speed_after(ten_a_second(20), total=200)
    assert (speed.more_than, speed.total, speed.share, speed.seconds_left) == (None, 200, 1.0, None)


def test_what_an_earlier_process_did_counts_for_the_share_and_not_for_the_rate() -> None:
    speed = speed_after(ten_a_second(10), total=1000, before=Outcomes(confirmed=400), offset="400")
    assert (speed.share, round(speed.profiles)) == (0.5, 10)
    assert speed.seconds_left == pytest.approx(50, rel=0.01)


def test_once_all_is_listed_the_total_is_known() -> None:
    async def ending(counters: Counters, meter: ProgressMeter) -> None:
        await ten_a_second(10)(counters, meter)
        counters.count(PageDone(1, "0", None, Outcomes(without_identifier=100)))

    for said in (50, 1000):
        speed = speed_after(ending, total=said)
        assert (speed.more_than, speed.total, speed.share) == (None, 100, 1.0)


def test_profiles_that_are_taken_again_make_neither_a_negative_time_nor_too_much() -> None:
    async def again(counters: Counters, meter: ProgressMeter) -> None:
        counters.count(PageReplayed(50, is_retry=True))
        await asyncio.sleep(5)
        meter.look()
        for _ in range(25):
            counters.count(ProfileWithoutIdentifier("use_1"))

    speed = speed_after(again, before=Outcomes(confirmed=50, rejected=50), offset=None)
    assert (speed.done, speed.total, speed.share) == (75, 100, 0.75)
    assert speed.seconds_left == pytest.approx(5, rel=0.01)


def test_an_empty_space_is_done() -> None:
    assert speed_after(nothing, offset=None).share == 1.0


# --- Voucherify is the slower side ------------------------------------------------------------------------------


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
def test_the_time_left_is_that_of_the_calls_to_voucherify_where_these_take_longer(batches: int) -> None:
    speed = speed_after(fifty_every_ten_seconds(batches), 1500, settings=SIX_A_MINUTE, confirms=False)
    assert speed.seconds_left == pytest.approx((30 - batches) * 10, rel=0.05)


def test_it_is_that_of_the_calls_from_the_first_seconds_on() -> None:
    async def four_seconds(counters: Counters, meter: ProgressMeter) -> None:
        for _ in range(4):
            read(counters, 100)
            await asyncio.sleep(1)
            meter.look()

    for confirms, calls in ((False, 30), (True, 30 + 31)):  # a listing, and an outcome a batch
        speed = speed_after(four_seconds, 1500, settings=SIX_A_MINUTE, confirms=confirms)
        assert speed.seconds_left == pytest.approx(calls * 10, rel=0.05)
    assert speed_after(four_seconds, 1500, settings=SIX_A_MINUTE, sends=False).seconds_left == pytest.approx(
        15, rel=0.05
    ), "a dry run sends nothing"


def test_profiles_without_identifier_take_no_calls_to_voucherify() -> None:
    async def every_second_one(counters: Counters, meter: ProgressMeter) -> None:
        for _ in range(4):
            read(counters, 50)
            counters.count(PageListed("0", 50))
            for _ in range(50):
                counters.count(ProfileWithoutIdentifier("use_1"))
            await asyncio.sleep(1)
            meter.look()

    speed = speed_after(every_second_one, 1500, settings=SIX_A_MINUTE, confirms=False)
    assert speed.seconds_left == pytest.approx(150, rel=0.05)


def test_where_voucherify_takes_nothing_for_long_no_time_is_told() -> None:
    async def an_outage(counters: Counters, meter: ProgressMeter) -> None:
        await fifty_every_ten_seconds(2)(counters, meter)
        for _ in range(60):
            await asyncio.sleep(1)
            meter.look()

    assert speed_after(an_outage, 1500, settings=SIX_A_MINUTE).seconds_left is None


def test_customers_wait_where_more_are_read_than_voucherify_takes() -> None:
    async def reading(counters: Counters, meter: ProgressMeter) -> None:
        read(counters, 150)
        await asyncio.sleep(1)
        meter.look()

    assert speed_after(reading, 1500, settings=SIX_A_MINUTE).held_up == 0, "these may be on their way"
    for total in (1500, None):
        assert speed_after(fifty_every_ten_seconds(1), total, settings=SIX_A_MINUTE).held_up == 1450
        assert speed_after(fifty_every_ten_seconds(29), total, settings=SIX_A_MINUTE).held_up == 50


def test_nobody_waits_who_was_refused() -> None:
    async def refused(counters: Counters, meter: ProgressMeter) -> None:
        await fifty_every_ten_seconds(29)(counters, meter)
        for _ in range(50):
            counters.count(ProfileRejected(Rejection("use_1", "u1", "upsert", "answered 400"), 1))

    assert speed_after(refused, settings=SIX_A_MINUTE).held_up == 0


# --- all is sent, its outcome is not known ----------------------------------------------------------------------


def test_where_only_outcomes_are_left_the_way_is_that_of_the_confirmed_customers() -> None:
    async def hearing(counters: Counters, meter: ProgressMeter) -> None:
        for _ in range(5):
            await asyncio.sleep(1)
            counters.count(ActionEnded("aa_1", 100, 100))
            meter.look()

    before = Outcomes(sent=1000, without_identifier=200)
    start, later = speed_after(nothing, None, before, None), speed_after(hearing, None, before, None)
    assert (start.waits_for_results, start.share, start.seconds_left) == (True, 0.0, None)
    assert (later.waits_for_results, later.done, later.total, later.share) == (True, 500, 1000, 0.5)
    assert later.seconds_left == pytest.approx(5, rel=0.01)
    unheard = speed_after(nothing, None, before, None, confirms=False)
    assert (unheard.waits_for_results, unheard.total, unheard.share) == (False, 1200, 1.0)


def test_outcomes_take_calls_too() -> None:
    async def one_outcome(counters: Counters, meter: ProgressMeter) -> None:
        for _ in range(11):
            await asyncio.sleep(1)
            meter.look()
        counters.count(ActionEnded("aa_1", 50, 50))

    speed = speed_after(one_outcome, None, Outcomes(sent=500), None, settings=SIX_A_MINUTE)
    assert speed.seconds_left == pytest.approx((9 + 1) * 10, rel=0.05)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.01, "0:00:01"),
        (61, "0:01:01"),
        (86_000, "23:53:20"),
        (90_000, "1 d 1 h"),
        (86_399.9 * 2, "1 d 23 h"),
        (1e12, "over 99 days"),
    ],
)
def test_time_is_said_as_finely_as_it_is_known(seconds: float, said: str) -> None:
    assert time_left(seconds) == said
