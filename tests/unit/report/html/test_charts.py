"""The numbers behind the pictures: what is drawn is what was counted, and nothing lies outside the picture."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segsync.formatting import clock
from segsync.report.counters import Throughput
from segsync.report.html.charts import (
    BOTTOM,
    LEAST_LABELLED,
    MOST_STEPS,
    RING_CENTER,
    RING_RADIUS,
    TOP,
    rates,
    ring_labels,
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
    assert ([label.text for label in plot.times], plot.time_unit) == (["0", "2"], "seconds")
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
    ("seconds", "unit", "labels"),
    [
        (9.0, "seconds", ["0", "2", "4", "6", "8"]),
        (170.0, "seconds", ["0", "30", "60", "90", "120", "150"]),
        (190.0, "minutes", ["0", "1", "2", "3"]),
        (3_000.0, "minutes", ["0", "10", "20", "30", "40", "50"]),
        (20_000.0, "hours", ["0", "1", "2", "3", "4", "5"]),
        (400_000.0, "hours", ["0", "24", "48", "72", "96"]),
    ],
)
def test_the_time_axis_has_one_unit_and_whole_numbers_of_it(seconds: float, unit: str, labels: list[str]) -> None:
    plot = throughput_plot(Throughput(seconds, (5,)), seconds, [], width=860)
    assert (plot.time_unit, [label.text for label in plot.times]) == (unit, labels)


@given(st.lists(st.integers(0, 10**7), max_size=7))
def test_each_large_part_of_the_ring_has_its_share_in_it(profiles: list[int]) -> None:
    labels = ring_labels(profiles)
    assert len(labels) == sum(part / max(sum(profiles), 1) >= LEAST_LABELLED for part in profiles)
    for label in labels:
        from_center = math.hypot(label.x - RING_CENTER, label.y - RING_CENTER)
        assert from_center == pytest.approx(RING_RADIUS, abs=0.2)


def test_the_parts_of_the_ring_begin_at_the_top_and_go_clockwise() -> None:
    assert [(each.x, each.y, each.text) for each in ring_labels([1, 1, 2])] == [
        (186.5, 53.5, "25%"),
        (186.5, 186.5, "25%"),
        (26.0, 120.0, "50%"),
    ]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0"), (5, "5 s"), (60, "1 min"), (150, "2:30 min"), (3600, "1 h"), (5400, "1 h 30"), (90_000, "25 h")],
)
def test_a_time_is_written_in_few_signs(seconds: float, words: str) -> None:
    assert clock(seconds) == words
