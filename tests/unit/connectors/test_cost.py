"""Calls and time of an import, worked out by hand."""

from __future__ import annotations

import pytest

from segsync.connectors.cost import Shares, cost_of_rest, estimate
from segsync.models import Cost, Outcomes, Plan
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


# --- what is ahead of an import -----------------------------------------------------------------------------------


def rest(plan: Plan, total: int | None, *, confirm: bool = True, sends: bool = True) -> Cost | None:
    return cost_of_rest(plan, total, settings(), confirm=confirm, sends=sends)


NEW = Plan("new", (1,), 1, "0", Outcomes())
HALF = Plan("resume", (1,), 1, "500", Outcomes(confirmed=90, sent=10, without_identifier=400))
RETRY = Plan(
    "retry", (1, 2), 1, None, Outcomes(confirmed=9, rejected=80, unknown=40), retried=Outcomes(rejected=60, unknown=40)
)


def test_a_new_import_costs_at_most_what_it_does_where_all_have_the_identifier() -> None:
    made = rest(NEW, 400_000)
    assert made == Cost(400_000, {"Segment": 804_000, "Voucherify": 8_040}, made.seconds if made else 0.0, False)
    assert made.seconds == pytest.approx(804_000 / 99, rel=0.001)


def test_a_resume_costs_the_rest_with_as_many_identifiers_as_there_were() -> None:
    made = rest(HALF, 1_500)
    assert made is not None
    assert (made.profiles, made.is_measured) == (1_000, True)
    assert made.calls == {"Segment": 10 + 1_000 + 200, "Voucherify": 2 + 3}


def test_a_retry_knows_how_many_it_takes() -> None:
    made = rest(RETRY, None)
    assert made is not None
    assert (made.profiles, made.calls["Voucherify"]) == (100, 1 + 2)


@pytest.mark.parametrize(
    ("plan", "total"),
    [(NEW, None), (HALF, None), (HALF, 500), (HALF, 400), (Plan("resume", (1,), 1, None, Outcomes(sent=9)), 1_000)],
    ids=["no total", "none for a resume", "all are done", "more than expected", "all are listed"],
)
def test_where_nobody_knows_what_is_left_there_is_no_cost(plan: Plan, total: int | None) -> None:
    assert rest(plan, total) is None


def test_results_that_are_not_read_and_customers_that_are_not_sent_cost_nothing() -> None:
    unread, dry = rest(NEW, 1_000, confirm=False), rest(NEW, 1_000, confirm=False, sends=False)
    assert unread is not None
    assert dry is not None
    assert (unread.calls["Voucherify"], dry.calls) == (10, {"Segment": 2_010})


@pytest.mark.parametrize(
    ("profiles", "limit", "expected", "total"),
    [
        (None, None, None, None),
        (9, None, None, 9),
        (None, None, 8, 8),
        (9, None, 8, 9),
        (9, 5, None, 5),
        (None, 5, 3, 3),
    ],
)
def test_the_total_is_what_the_user_expects_now_or_did_before_or_a_limit(
    profiles: int | None, limit: int | None, expected: int | None, total: int | None
) -> None:
    plan = Plan("resume", (1,), 1, "0", Outcomes(), expected=expected)
    assert plan.total(profiles, limit) == total
