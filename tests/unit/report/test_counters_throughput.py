"""How many profiles were read when: true at any length of a run, in bounded memory."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segsync.models import Outcomes
from segsync.report.counters import MOST_BUCKETS, SAMPLE_SECONDS, Buckets, Counters, Throughput, measured
from tests.conftest import run_virtual

TIMES = st.lists(st.tuples(st.floats(0, 50 * 86_400), st.integers(0, 1000)))


@given(TIMES)
def test_however_long_it_takes_no_profile_is_lost_and_the_numbers_stay_few(counted: list[tuple[float, int]]) -> None:
    buckets = Buckets()
    for at_seconds, profiles in counted:
        buckets.add(at_seconds, profiles)
    throughput = buckets.throughput
    assert sum(throughput.profiles) == sum(profiles for _, profiles in counted)
    assert len(throughput.profiles) <= MOST_BUCKETS
    longest = max((at_seconds for at_seconds, _ in counted), default=0)
    assert throughput.bucket_seconds <= max(SAMPLE_SECONDS, 2 * longest / (MOST_BUCKETS - 1))


def test_each_second_has_its_own_until_there_are_too_many() -> None:
    buckets = Buckets()
    for second in range(MOST_BUCKETS):
        buckets.add(second + 0.5, second)
    assert buckets.throughput == Throughput(1.0, tuple(range(MOST_BUCKETS)))
    buckets.add(MOST_BUCKETS + 0.5, 7)
    assert buckets.throughput.bucket_seconds == 2.0
    assert buckets.throughput.profiles[:3] == (1, 5, 9)
    assert buckets.throughput.profiles[-1] == 7


async def read(counters: Counters, *a_second: int) -> None:
    """Read so many profiles in each second, ten times in a second."""
    for profiles in a_second:
        for _ in range(10):
            counters.read += profiles // 10
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("lateness_seconds", [0.0, 0.02])
def test_profiles_are_counted_where_they_were_read_and_pauses_show(lateness_seconds: float) -> None:
    counters = Counters("0", Outcomes(sent=500))  # by earlier processes

    async def run() -> None:
        with measured(counters):
            await read(counters, 50, 60, 0, 0, 40)

    run_virtual(run(), lateness_seconds=lateness_seconds)
    profiles = counters.buckets.throughput.profiles
    assert sum(profiles) == 150
    assert 0 in profiles
    assert profiles[0] >= 40


def test_what_was_read_in_the_last_moment_counts() -> None:
    counters = Counters("0")

    async def run() -> None:
        with measured(counters):
            await asyncio.sleep(0.2)
            counters.read = 9

    run_virtual(run())
    assert counters.buckets.throughput.profiles == (9,)


def test_an_import_that_is_resumed_in_its_process_is_measured_on() -> None:
    counters = Counters("0")

    async def run(*a_second: int) -> None:
        with measured(counters):
            await read(counters, *a_second)

    run_virtual(run(50, 60, 0, 0))
    began_at = counters.began_at
    assert counters.seconds == pytest.approx(4, abs=0.01)
    counters.resume("100", Outcomes(sent=100))  # ten of those read are read again
    run_virtual(run(70))
    assert counters.seconds == pytest.approx(5, abs=0.01)
    assert counters.began_at == began_at
    profiles = counters.buckets.throughput.profiles
    assert sum(profiles) == 180
    assert sum(profiles[:3]) == 110
    assert sum(profiles[4:]) == 70
