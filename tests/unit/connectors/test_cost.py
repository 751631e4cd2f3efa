"""Calls and time of an import, worked out by hand."""

from __future__ import annotations

import pytest

from segsync.connectors.cost import Shares, estimate
from tests.support.configured import settings


def test_two_calls_a_customer_one_for_the_others_and_one_a_page() -> None:
    made = estimate(1_000_000, Shares(0.4), settings())
    assert (made.listing_calls, made.external_ids_calls, made.traits_calls) == (10_000, 1_000_000, 400_000)
    assert made.segment_calls == 1_410_000
    assert made.segment_seconds == pytest.approx(1_410_000 / 99, rel=0.001), "1% of the rate stays unused"
    assert (made.customers, made.upserts, made.result_calls) == (400_000, 4_000, 4_040)
    assert made.voucherify_seconds == pytest.approx(8_040 / (100 / 60 * 0.99), rel=0.001)
    assert made.seconds == made.segment_seconds
    assert not made.is_example


def test_where_the_identifier_is_a_trait_only_the_others_are_asked_for_external_ids() -> None:
    made = estimate(1_000, Shares(0.9, identifier_trait=0.8), settings(identifier_lookup="traits"))
    assert (made.external_ids_calls, made.traits_calls) == (200, 1_000)


def test_traits_of_several_pages_take_several_calls() -> None:
    assert estimate(1_000, Shares(0.5, trait_calls=2.0), settings()).traits_calls == 1_000


def test_the_slower_service_decides() -> None:
    made = estimate(10_000, Shares(1.0), settings(voucherify_requests_per_minute=1, segment_request_limit=50))
    assert made.listing_calls == 200
    assert made.seconds == made.voucherify_seconds == pytest.approx(201 * 60 / 0.99, rel=0.001)


def test_the_size_of_a_bulk_upsert_counts() -> None:
    assert estimate(10_000, Shares(1.0), settings(batch_size=1000)).upserts == 10


def test_no_customer_needs_no_call_to_voucherify() -> None:
    made = estimate(1, Shares(0.0), settings())
    assert (made.segment_calls, made.voucherify_calls, made.customers) == (2, 0, 0)
