"""How the sandbox counts calls, on a clock that the test moves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segsync.sandbox.limits import SlidingWindow


class Clock:
    """Whole numbers, so that sums are exact."""

    def __init__(self) -> None:
        self.now = 100

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_the_limit_is_allowed_and_one_more_is_not(clock: Clock) -> None:
    window = SlidingWindow(3, 10, clock)
    assert [window.allow() for _ in range(5)] == [True, True, True, False, False]


def test_a_call_leaves_the_window_when_its_seconds_have_passed_and_not_before(clock: Clock) -> None:
    window = SlidingWindow(1, 10, clock)
    assert window.allow()
    clock.now += 9
    assert not window.allow()
    clock.now += 1
    assert window.allow()


def test_the_window_slides_instead_of_starting_anew(clock: Clock) -> None:
    window = SlidingWindow(2, 10, clock)
    assert window.allow()
    clock.now += 9
    assert window.allow()
    clock.now += 1
    assert [window.allow(), window.allow()] == [True, False], "only the first of the two calls is 10 seconds old"


def test_refused_calls_do_not_count(clock: Clock) -> None:
    window = SlidingWindow(1, 10, clock)
    assert window.allow()
    for _ in range(9):
        clock.now += 1
        assert not window.allow()
    clock.now += 1
    assert window.allow()


def test_remaining_counts_down_and_comes_back(clock: Clock) -> None:
    window = SlidingWindow(2, 10, clock)
    seen = [window.remaining]
    for _ in range(3):
        window.allow()
        seen.append(window.remaining)
    clock.now += 10
    assert [*seen, window.remaining] == [2, 1, 0, 0, 2]


def test_asking_what_remains_is_not_a_call(clock: Clock) -> None:
    window = SlidingWindow(1, 10, clock)
    assert [window.remaining, window.remaining, window.seconds_until_next] == [1, 1, 0]
    assert window.allow()


def test_the_next_call_is_allowed_after_the_seconds_that_the_window_gives(clock: Clock) -> None:
    window = SlidingWindow(2, 10, clock)
    waits = [window.seconds_until_next]
    window.allow()
    clock.now += 4
    window.allow()
    waits.append(window.seconds_until_next)
    clock.now += 5
    waits.append(window.seconds_until_next)
    clock.now += 1
    assert [*waits, window.seconds_until_next] == [0, 6, 1, 0]
    assert window.allow()


def test_a_limit_that_is_lowered_holds_until_so_many_calls_have_left_the_window(clock: Clock) -> None:
    window = SlidingWindow(3, 10, clock)
    for _ in range(3):
        window.allow()
        clock.now += 1
    window.limit = 1
    assert (window.remaining, window.seconds_until_next) == (0, 9)
    clock.now += 8
    assert not window.allow()
    clock.now += 1
    assert window.allow()


def test_a_limit_of_0_allows_all(clock: Clock) -> None:
    window = SlidingWindow(0, 10, clock)
    assert all(window.allow() for _ in range(1_000))
    assert window.seconds_until_next == 0


@given(limit=st.integers(1, 5), seconds=st.integers(1, 10), pauses=st.lists(st.integers(0, 6), min_size=1, max_size=80))
def test_a_call_is_refused_exactly_when_the_seconds_before_it_are_full(
    limit: int, seconds: int, pauses: list[int]
) -> None:
    clock = Clock()
    window = SlidingWindow(limit, seconds, clock)
    allowed: list[int] = []
    for pause in pauses:
        clock.now += pause
        recent = sum(clock.now - call < seconds for call in allowed)
        assert window.allow() == (recent < limit)
        if recent < limit:
            allowed.append(clock.now)
