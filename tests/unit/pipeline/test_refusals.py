"""What a search for refused customers may cost, and in which order it goes."""

from __future__ import annotations

import pytest

from segsync.ledger.batches import SEARCH_ATTEMPT, Replay
from segsync.pipeline.refusals import calls_left, half, next_step


def replays(*customers: int) -> list[Replay]:
    return [Replay(number, 1, SEARCH_ATTEMPT, each) for number, each in enumerate(customers, 1)]


@pytest.mark.parametrize(
    ("upserts", "budget"),
    [(1, 100), (900, 100), (1_000, 100), (10_000, 1_005), (100_000, 10_050)],
)
def test_a_search_may_cost_5_percent_of_the_planned_calls_and_100_at_least(upserts: int, budget: int) -> None:
    """An upsert, its result, and a listing per 100 of them."""
    assert calls_left(upserts, 0) == budget
    assert calls_left(upserts, 60) == budget - 60


def test_the_smallest_batches_come_first_so_that_one_search_ends_before_the_next() -> None:
    assert {each.customers for each in next_step(replays(100, 14, 13, 50), 1000)} == {14, 13}


def test_only_so_many_are_searched_as_can_be_searched_to_the_end() -> None:
    assert len(next_step(replays(*[100] * 9), 100)) == 3  # 28 calls each


def test_the_last_calls_narrow_a_search_down_even_if_they_cannot_end_it() -> None:
    assert len(next_step(replays(100, 100), 4)) == 1
    assert next_step(replays(100, 100), 3) == []


@pytest.mark.parametrize(("customers", "expected"), [(1, 1), (2, 1), (3, 2), (100, 50)])
def test_halves(customers: int, expected: int) -> None:
    assert half(customers) == expected
