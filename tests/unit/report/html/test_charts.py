"""The pictures: right numbers, no script, nothing from elsewhere, a description for those who do not see them."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segsync.formatting import clock
from segsync.report.counters import Throughput
from segsync.report.html.charts import MOST_POINTS, outcomes_ring, rates, standstills, throughput_plot

SVG = "{http://www.w3.org/2000/svg}"
THROUGHPUT = Throughput(1.0, (50, 60, 0, 0, 0, 0, 0, 0, 40, 10))


def shown(svg: str) -> ElementTree.Element:
    """The picture, when it is fit for a page: nothing in it acts or asks for something."""
    root = ElementTree.fromstring(svg)  # noqa: S314 - our own
    assert root.tag == f"{SVG}svg"
    assert not list(root.iter(f"{SVG}script"))
    assert not re.search(r"<!--|href|url\(|@import|javascript", svg)
    assert re.sub(r"http://www\.w3\.org/\S+?\"", "", svg).count("http") == 0
    assert root.get("role") == "img"
    labels = [each.text for each in root if each.get("id") in str(root.get("aria-labelledby")).split()]
    assert len(labels) == 2
    assert all(labels)
    return root


def slices(root: ElementTree.Element) -> int:
    return len([path for path in root.iter(f"{SVG}path") if "slice" in str(path.get("class"))])


def test_a_outcome_that_nobody_met_has_no_part_of_the_ring() -> None:
    root = shown(outcomes_ring({"confirmed": 423, "sent": 0, "without": 77, "rejected": 1}, "423, 77 and 1"))
    assert slices(root) == 3
    assert "var(--without)" in ElementTree.tostring(root, encoding="unicode")
    assert "var(--sent)" not in ElementTree.tostring(root, encoding="unicode")


def test_one_outcome_for_all_is_a_whole_ring() -> None:
    assert slices(shown(outcomes_ring({"confirmed": 5}, "all"))) == 1


def test_the_plot_is_described_in_numbers() -> None:
    root = shown(throughput_plot(THROUGHPUT, 9.5, [(2.0, 8.0)], width=800))
    assert "Up to 60 profiles a second, over 10 s." in ElementTree.tostring(root, encoding="unicode")


@settings(max_examples=25)
@given(
    st.lists(st.integers(0, 10**6), min_size=1, max_size=240).filter(any),
    st.sampled_from([1.0, 2.0, 64.0, 4096.0]),
    st.sampled_from([330, 860]),
)
def test_there_is_a_plot_of_any_run(profiles: list[int], bucket_seconds: float, width: int) -> None:
    throughput = Throughput(bucket_seconds, tuple(profiles))
    seconds = bucket_seconds * (len(profiles) - 0.5)
    shown(throughput_plot(throughput, seconds, standstills(throughput, until_the_end=True), width=width))


def test_a_rate_is_that_of_the_time_it_was_measured_in() -> None:
    assert rates(Throughput(2.0, (10, 20)), 3.0) == [(0.0, 5.0), (2.0, 5.0), (2.0, 20.0), (3.0, 20.0)]


def test_a_plot_has_no_more_points_than_one_can_see_and_their_rates_are_means() -> None:
    points = rates(Throughput(1.0, (10, 30) * 120), 240.0)
    assert len(points) <= 2 * MOST_POINTS
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
def test_a_time_is_told_in_few_signs(seconds: float, words: str) -> None:
    assert clock(seconds) == words
