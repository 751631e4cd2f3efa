"""How many profiles were read when: true at any length of a run, in bounded memory."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segsync.report.counters import MOST_BUCKETS, SAMPLE_SECONDS, Buckets, Throughput, sampled
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


@pytest.mark.parametrize("lateness_seconds", [0.0, 0.02])
def test_profiles_are_counted_where_they_were_read_and_pauses_show(lateness_seconds: float) -> None:
    buckets, read = Buckets(), 500  # by earlier processes

    async def run() -> None:
        nonlocal read
        with sampled(buckets, lambda: read):
            for a_second in (50, 60, 0, 0, 40):
                for _ in range(10):
                    read += a_second // 10
                    await asyncio.sleep(0.1)

    run_virtual(run(), lateness_seconds=lateness_seconds)
    profiles = buckets.throughput.profiles
    assert sum(profiles) == 150
    assert 0 in profiles
    assert profiles[0] >= 40


def test_what_was_read_in_the_last_moment_counts() -> None:
    buckets, read = Buckets(), 0

    async def run() -> None:
        nonlocal read
        with sampled(buckets, lambda: read):
            await asyncio.sleep(0.2)
            read = 9

    run_virtual(run())
    assert buckets.throughput.profiles == (9,)


def test_an_import_and_the_one_that_resumed_it_follow_each_other() -> None:
    first, second = Throughput(1.0, (5, 6)), Throughput(1.0, (7,))
    assert first.then(second, after_seconds=4.0).profiles == (5, 6, 0, 0, 7)
    long = Throughput(64.0, (100,) * 200)
    both = long.then(second, after_seconds=200 * 64)
    assert (sum(both.profiles), both.bucket_seconds) == (20_007, 64.0)
