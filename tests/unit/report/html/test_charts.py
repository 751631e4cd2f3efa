"""The numbers behind the pictures: what is drawn is what was counted, and nothing lies outside the picture."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segsync.formatting import clock
from segsync.report.counters import Throughput
from segsync.report.html.charts import (
    BOTTOM,
    MOST_STEPS,
    TOP,
    rates,
    standstills,
    throughput_plot,
)

THROUGHPUT = Throughput(1.0, (50, 60, 0, 0, 0, 0, 0, 0, 40, 10))


def test_the_plot_is_described_in_numbers() -> None:
    plot = throughput_plot(THROUGHPUT, 9.5, [(2.0, 8.0)], width=800)
    assert plot.description == "Up to 60 profiles per second, over 10 s."


def test_the_axes_have_round_numbers_and_a_pause_lies_where_it_was() -> None:
    plot = throughput_plot(Throughput(1.0, (60, 0)), 2.0, [(1.0, 2.0)], width=100)
    assert [label.text for label in plot.rates] == ["0", "20", "40", "60"]
    assert [label.position for label in plot.rates] == [205, 146.7, 88.3, 30]
    assert [label.text for label in plot.times] == ["0", "2 s"]
    assert plot.pauses == [(49, 70)]
    assert plot.line == "M28.0,30.0 L49.0,30.0 L49.0,205.0 L70.0,205.0"


@given(
    st.lists(st.integers(0, 10**6), min_size=1, max_size=240).filter(any),
    st.sampled_from([1.0, 2.0, 64.0, 4096.0]),
    st.sampled_from([330, 860]),
)
def test_there_is_a_plot_of_any_run(profiles: list[int], bucket_seconds: float, width: int) -> None:
    throughput = Throughput(bucket_seconds, tuple(profiles))
    seconds = bucket_seconds * (len(profiles) - 0.5)
    pauses = standstills(throughput, until_the_end=True)
    plot = throughput_plot(throughput, seconds, pauses, width=width)
    points = [(float(x), float(y)) for x, y in re.findall(r"([\d.]+),([\d.]+)", plot.line)]
    assert all(plot.left <= x <= plot.right < width and TOP <= y <= BOTTOM for x, y in points)
    assert min(y for _, y in points) == TOP
    assert [x for x, _ in points] == sorted(x for x, _ in points)
    assert all(plot.left <= start < end <= plot.right for start, end in plot.pauses)
    for labels in (plot.times, plot.rates):
        assert labels[0].text == "0"
        assert 1 <= len(labels) <= 7
        assert len({label.text for label in labels}) == len(labels)


def test_a_rate_is_that_of_the_time_it_was_measured_in() -> None:
    assert rates(Throughput(2.0, (10, 20)), 3.0) == [(0.0, 5.0), (2.0, 5.0), (2.0, 20.0), (3.0, 20.0)]


def test_a_plot_has_no_more_steps_than_one_can_see_and_their_rates_are_means() -> None:
    points = rates(Throughput(1.0, (10, 30) * 120), 240.0)
    assert len(points) <= 2 * MOST_STEPS
    assert {rate for _, rate in points} == {20.0}


def test_a_pause_is_one_when_it_goes_on_and_the_end_is_none_where_all_was_read() -> None:
    assert standstills(THROUGHPUT, until_the_end=False) == [(2.0, 8.0)]
    ended = Throughput(1.0, (50, *(0,) * 9))
    assert standstills(ended, until_the_end=False) == []
    assert standstills(ended, until_the_end=True) == [(1.0, 10.0)]
    assert standstills(Throughput(1.0, (5, 0, 0, 5)), until_the_end=True) == []


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0"), (5, "5 s"), (60, "1 min"), (150, "2:30 min"), (3600, "1 h"), (5400, "1 h 30"), (90_000, "25 h")],
)
def test_a_time_is_written_in_few_signs(seconds: float, words: str) -> None:
    assert clock(seconds) == words
