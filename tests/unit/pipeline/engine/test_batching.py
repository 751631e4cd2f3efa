"""Batches: every customer in exactly one, none too large, as few as can be."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segsync.models import Page
from segsync.pipeline.engine.batching import Batch, BatchBuilder, Item
from segsync.pipeline.engine.checkpoint import OpenPage

PAGE = OpenPage(Page("0", (), None), 1)
LARGEST = 40
"""Bytes of the largest customer below, so that every one fits alone into `MAX_BYTES`."""

SIZES = st.integers(1, 6)
MAX_BYTES = st.integers(LARGEST + 2, 4 * LARGEST) | st.just(10_485_760)
CUSTOMER_BYTES = st.lists(st.integers(2, LARGEST), max_size=40)
ARRIVALS = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(2, LARGEST)), max_size=40)


def item(number: int, source_id: str, size: int = 2) -> Item:
    return Item(PAGE, f"use_{number}", source_id, b'"' + b"x" * (size - 2) + b'"')


def items_of(arrivals: list[tuple[str, int]]) -> list[Item]:
    return [item(number, source_id, size) for number, (source_id, size) in enumerate(arrivals)]


def batched(items: list[Item], size: int, max_bytes: int = 10_485_760) -> list[Batch]:
    builder = BatchBuilder(size, max_bytes)
    batches = [batch for arrival in items for batch in builder.add(arrival)]
    batches += builder.flush()
    assert builder.is_empty
    return batches


@given(ARRIVALS, SIZES, MAX_BYTES)
def test_no_batch_is_empty_or_too_large(arrivals: list[tuple[str, int]], size: int, max_bytes: int) -> None:
    for batch in batched(items_of(arrivals), size, max_bytes):
        assert 1 <= len(batch.items) <= size
        assert len(batch.body()) <= max_bytes


@given(ARRIVALS, SIZES, MAX_BYTES)
def test_every_customer_comes_out_once_in_the_order_in_which_they_came(
    arrivals: list[tuple[str, int]], size: int, max_bytes: int
) -> None:
    items = items_of(arrivals)
    assert [each for batch in batched(items, size, max_bytes) for each in batch.items] == items


@given(CUSTOMER_BYTES, SIZES, MAX_BYTES)
def test_a_batch_falls_short_only_where_the_next_customer_would_not_fit_and_at_the_end(
    customer_bytes: list[int], size: int, max_bytes: int
) -> None:
    distinct = [item(number, f"u{number}", length) for number, length in enumerate(customer_bytes)]
    for batch, following in pairwise(batched(distinct, size, max_bytes)):
        assert len(batch.items) == size or len(batch.body()) + 1 + len(following.items[0].encoded) > max_bytes


def test_batches_are_full_across_pages_and_only_the_last_is_not() -> None:
    pages = [OpenPage(Page(str(number), (), None), number + 1) for number in range(4)]
    items = [Item(pages[number // 70], f"use_{number}", f"u{number}", b"{}") for number in range(250)]
    assert [len(batch.items) for batch in batched(items, 100)] == [100, 100, 50]


def test_a_full_batch_does_not_wait_for_the_next_customer() -> None:
    builder = BatchBuilder(2, 1000)
    came_out, was_empty = [], []
    for number, source_id in enumerate("abc"):
        came_out.append([each.source_id for batch in builder.add(item(number, source_id)) for each in batch.items])
        was_empty.append(builder.is_empty)
    assert came_out == [[], ["a", "b"], []]
    assert was_empty == [False, True, False]


@pytest.mark.parametrize(("max_bytes", "sizes"), [(22, [2]), (21, [1, 1])])
def test_a_body_may_have_exactly_the_bytes_allowed_and_not_one_more(max_bytes: int, sizes: list[int]) -> None:
    batches = batched([item(1, "a", 10), item(2, "b", 9)], 100, max_bytes)
    assert [len(batch.items) for batch in batches] == sizes


def test_a_body_is_the_json_array_of_its_customers() -> None:
    items = [Item(PAGE, f"use_{number}", f"u{number}", json.dumps({"n": number}).encode()) for number in range(3)]
    for count in (1, 3):
        assert json.loads(Batch(tuple(items[:count])).body()) == [{"n": number} for number in range(count)]


@given(st.integers(2, 50))
def test_the_halves_of_a_batch_are_both_smaller_and_together_the_batch(count: int) -> None:
    batch = Batch(tuple(item(number, f"u{number}") for number in range(count)))
    first, second = batch.halves()
    assert first.items + second.items == batch.items
    assert 0 <= len(second.items) - len(first.items) <= 1
