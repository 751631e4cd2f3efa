"""How fast, how far, how long: and nothing silly where that is not known."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from segsync.log import time_left
from segsync.models import CallAnswered, Fates, PageListed, PageSettled, PageTakenAgain, ProfileWithoutIdentifier
from segsync.speed import SURE_SECONDS, Speed, Speedometer
from segsync.tally import NOTHING_BEFORE, Tally
from tests.conftest import run_virtual

Scenario = Callable[[Tally, Speedometer], Awaitable[None]]


def speed_after(
    scenario: Scenario, total: int | None = None, before: Fates = NOTHING_BEFORE, offset: str | None = "0"
) -> Speed:
    async def main() -> Speed:
        tally = Tally(offset, before)
        speedometer = Speedometer(tally, total)
        speedometer.look()
        await scenario(tally, speedometer)
        return speedometer.look()

    return run_virtual(main())


def ten_a_second(seconds: int) -> Scenario:
    async def scenario(tally: Tally, speedometer: Speedometer) -> None:
        for _ in range(seconds):
            tally.count(PageListed("0", 10))
            for _ in range(10):
                tally.count(CallAnswered("Segment", 200, 0.1))
                tally.count(ProfileWithoutIdentifier("use_1"))
            await asyncio.sleep(1)
            speedometer.look()

    return scenario


async def nothing(_tally: Tally, _speedometer: Speedometer) -> None:
    pass


def test_rates_are_those_of_the_last_ten_seconds() -> None:
    async def fast_then_slow(tally: Tally, speedometer: Speedometer) -> None:
        await ten_a_second(20)(tally, speedometer)
        for _ in range(11):
            await asyncio.sleep(1)
            speedometer.look()

    busy, idle = speed_after(ten_a_second(20)), speed_after(fast_then_slow)
    assert (round(busy.profiles), round(busy.segment), busy.voucherify) == (10, 10, 0)
    assert (idle.profiles, idle.segment) == (0, 0)


def test_nothing_is_said_of_the_time_left_at_the_start() -> None:
    assert speed_after(nothing, total=1000).seconds_left is None
    assert speed_after(ten_a_second(int(SURE_SECONDS) - 1), total=1000).seconds_left is None
    assert speed_after(ten_a_second(5), total=1000).seconds_left == pytest.approx(95, rel=0.01)


def test_where_nothing_happens_no_time_is_left_rather_than_all_of_it() -> None:
    async def standing(_tally: Tally, _speedometer: Speedometer) -> None:
        await asyncio.sleep(9)

    speed = speed_after(standing, total=1000)
    assert (speed.share, speed.seconds_left) == (0.0, None)


def test_without_a_total_there_is_neither_a_share_nor_a_time() -> None:
    speed = speed_after(ten_a_second(5))
    assert (speed.total, speed.share, speed.seconds_left) == (None, None, None)


def test_more_profiles_than_were_said_fill_the_bar_and_the_total_is_at_least_so_many() -> None:
    speed = speed_after(ten_a_second(20), total=150)
    assert (speed.total, speed.is_at_least, speed.share, speed.seconds_left) == (200, True, 1.0, None)


def test_as_many_profiles_as_were_said_are_no_surprise() -> None:
    speed = speed_after(ten_a_second(20), total=200)
    assert (speed.total, speed.is_at_least, speed.share, speed.seconds_left) == (200, False, 1.0, None)


def test_what_an_earlier_process_did_counts_for_the_share_and_not_for_the_rate() -> None:
    speed = speed_after(ten_a_second(10), total=1000, before=Fates(confirmed=400), offset="400")
    assert (speed.share, round(speed.profiles)) == (0.5, 10)
    assert speed.seconds_left == pytest.approx(50, rel=0.01)


def test_once_all_is_listed_the_total_is_known() -> None:
    async def ending(tally: Tally, speedometer: Speedometer) -> None:
        await ten_a_second(10)(tally, speedometer)
        tally.count(PageSettled(1, "0", None, Fates(without_identifier=100)))

    assert speed_after(ending, total=1000).total == 100
    resumed = speed_after(nothing, before=Fates(confirmed=70, sent=30), offset=None)
    assert (resumed.total, resumed.share) == (100, 1.0)


def test_profiles_that_are_taken_again_make_neither_a_negative_time_nor_too_much() -> None:
    async def again(tally: Tally, speedometer: Speedometer) -> None:
        tally.count(PageTakenAgain(50, were_rejected=True))
        await asyncio.sleep(5)
        speedometer.look()
        for _ in range(25):
            tally.count(ProfileWithoutIdentifier("use_1"))

    speed = speed_after(again, before=Fates(confirmed=50, rejected=50), offset=None)
    assert (speed.done, speed.total, speed.share) == (75, 100, 0.75)
    assert speed.seconds_left == pytest.approx(5, rel=0.01)


def test_an_empty_space_is_done() -> None:
    assert speed_after(nothing, offset=None).share == 1.0


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
