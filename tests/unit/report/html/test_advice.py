"""Every rejection has words for someone who has never used a terminal, and the right ones."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segsync.connectors.segment_profile import damaged_identifier
from segsync.models import RejectionGroup, Stage
from segsync.report.html.advice import KINDS, STAGES, advised, kind_of, warning_meaning


@pytest.mark.parametrize(
    ("stage", "reason", "title"),
    [
        ("read", "Segment answered 404 (not_found) to GET /v1/…: Profile was not found.", "No longer in Segment"),
        ("read", "Segment answered 503 to GET /v1/…", "Segment could not read them"),
        ("read", "Segment at https://x did not answer GET /v1/…: timed out", "Segment could not read them"),
        ("read", "Segment returned has_more without a cursor for the list", "Segment's answer could not be used"),
        ("read", str(damaged_identifier("user_id")), "The customer id is damaged"),
        ("map", "12,345,678 bytes, more than the 10,485,760 that a request may have", "Too large to send"),
        ("upsert", "Voucherify answered 413 to POST /v1/customers/bulk/async", "Too large to send"),
        ("map", "cannot be written in JSON: RecursionError", "A value cannot be sent"),
        (
            "confirm",
            "invalid_customer: 'metadata.tier' is not defined",
            "Voucherify's metadata schema does not allow it",
        ),
        ("upsert", "Voucherify answered 400: email is not valid", "Voucherify refused the customer"),
        ("upsert", "Voucherify answered 500 to POST /v1/…", "Voucherify could not accept them"),
        ("confirm", "Customer was refused", "Voucherify refused the customer"),
        ("confirm", "the bulk upsert aa_1 FAILED", "The upload failed twice"),
        (
            "confirm",
            "Voucherify refused the customer and does not say why (a report cannot be read)",
            "Voucherify refused the customer without a reason",
        ),
    ],
)
def test_a_reason_is_known_for_what_it_is(stage: Stage, reason: str, title: str) -> None:
    assert kind_of(stage, reason).title == title


STAGE = st.sampled_from(get_args(Stage))


@given(STAGE, st.text())
def test_there_is_a_fix_for_any_rejection(stage: Stage, reason: str) -> None:
    kind = kind_of(stage, reason)
    assert kind.title
    assert kind.meaning
    assert kind.fix
    assert STAGES[stage]


GROUPS = st.lists(
    st.builds(RejectionGroup, STAGE, st.sampled_from(["a", "answered 404", "schema"]), st.integers(1, 99))
)


@given(GROUPS)
def test_kinds_add_up_to_the_rejections_the_largest_first(rejections: list[RejectionGroup]) -> None:
    kinds = advised(rejections)
    counts = [each.profiles for each in kinds]
    assert sum(counts) == sum(group.profiles for group in rejections)
    assert counts == sorted(counts, reverse=True)
    assert len({each.kind.title for each in kinds}) == len(kinds) <= len(KINDS)


def test_a_warning_says_what_the_customer_has_instead() -> None:
    assert "the birthdate is empty" in warning_meaning("birthdate")
    assert warning_meaning("address.city") == warning_meaning("address")
    assert "left out" in warning_meaning("anything")
