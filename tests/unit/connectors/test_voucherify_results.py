"""What Voucherify says of an action, and what its report files say."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from io import StringIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segsync.connectors.base import RefusedCustomer, UpsertResult
from segsync.connectors.voucherify import VoucherifySink, refused_in_report
from segsync.errors import AccessError, AnswerError, RefusedError
from segsync.redact import MOST_CHARACTERS
from tests.support.scripted import Script, answer, client_to, raw

NO_REASON = "Voucherify gives no reason"


async def outcome_of(action: object, status: int = 200) -> UpsertResult | None:
    async with client_to(Script(answer(action, status)), service="Voucherify") as client:
        return await VoucherifySink(client).upsert_result("aa_1")


# --- actions --------------------------------------------------------------------------------------------------


async def test_an_action_is_read_as_voucherify_documents_it() -> None:
    action = {
        "id": "aa_1",
        "type": "CUSTOMERS_BULK_UPDATE",
        "status": "DONE",
        "operation_status": "FAILED",
        "request_id": "v-0a1",
        "result": {
            "done_count": 97,
            "failed_count": 3,
            "reports": ["https://files/1.csv"],
            "reports_available_till": "2026-09-01T00:00:00Z",
            "errors": [
                {"source_id": "ada", "key": "invalid_customer", "message": "Invalid", "details": "'plan' property"},
                {"source_id": "ben", "key": None, "message": "Invalid"},
                {"source_id": "cyd"},
            ],
        },
    }
    assert await outcome_of(action) == UpsertResult(
        status="DONE",
        is_success=False,
        done_count=97,
        failed_count=3,
        refused=(
            RefusedCustomer("ada", "invalid_customer: Invalid: 'plan' property"),
            RefusedCustomer("ben", "Invalid"),
            RefusedCustomer("cyd", NO_REASON),
        ),
        reports=("https://files/1.csv",),
        request_id="v-0a1",
    )


@pytest.mark.parametrize(
    ("status", "has_ended"), [("ENQUEUED", False), ("IN_PROGRESS", False), ("DONE", True), ("FAILED", True)]
)
async def test_which_statuses_are_an_end(status: str, *, has_ended: bool) -> None:
    outcome = await outcome_of({"status": status})
    assert outcome is not None
    assert outcome.has_ended is has_ended
    assert (outcome.done_count, outcome.failed_count, outcome.refused, outcome.reports) == (None, None, (), ())


@pytest.mark.parametrize(
    "result",
    [
        None,
        {},
        {"done_count": None, "failed_count": None, "reports": None, "errors": None},
        {"errors": [{"key": "no source id"}, {"source_id": None}, {"source_id": ""}]},
    ],
)
async def test_what_an_action_leaves_out_is_not_known(result: object) -> None:
    outcome = await outcome_of({"status": "DONE", "operation_status": "SUCCESS", "result": result})
    assert outcome == UpsertResult("DONE", True, None, None, (), (), None)


@pytest.mark.parametrize(
    "error",
    [
        {"source_id": "ada", "key": 400, "message": {"text": "Invalid"}, "details": ["Invalid"]},
        {"source_id": "ada", "key": "", "message": " \n", "details": None},
    ],
)
async def test_a_reason_of_another_shape_costs_the_reason_and_not_the_rejection(error: dict[str, Any]) -> None:
    outcome = await outcome_of({"status": "DONE", "result": {"errors": [error]}})
    assert outcome is not None
    assert outcome.refused == (RefusedCustomer("ada", NO_REASON),)


@pytest.mark.parametrize(
    "message",
    ["Customer ada@example.com was refused", "phone +48 123 456 789 is taken", "name 'Ada Lovelace' is taken"],
)
async def test_a_reason_does_not_quote_the_customer(message: str) -> None:
    error = {"source_id": "ada-1", "key": "invalid_customer", "message": message, "details": f"ada-1: {message}"}
    outcome = await outcome_of({"status": "DONE", "result": {"errors": [error]}})
    assert outcome is not None
    [refused] = outcome.refused
    assert refused.source_id == "ada-1"
    assert refused.reason.startswith("invalid_customer")
    for secret in ("ada@example.com", "456", "Lovelace", "ada-1"):
        assert secret not in refused.reason


async def test_an_action_that_voucherify_does_not_know_has_no_outcome() -> None:
    assert await outcome_of({"code": 404, "key": "not_found"}, 404) is None


async def test_other_refusals_are_reported() -> None:
    with pytest.raises(RefusedError):
        await outcome_of({"code": 400}, 400)
    with pytest.raises(AccessError):
        await outcome_of({"code": 401}, 401)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        ({"id": "aa_1"}, "missing required field `status`"),
        ({"status": 3}, r"Expected `str`, got `int` - at `\$.status`"),
        ({"status": "DONE", "result": {"failed_count": "3"}}, r"\$.result.failed_count"),
        ({"status": "DONE", "result": {"errors": [{"source_id": 7}]}}, r"\$.result.errors"),
        ([], "Expected `object`, got `array`"),
    ],
)
async def test_an_action_of_another_shape_is_named_by_its_field(action: object, message: str) -> None:
    with pytest.raises(AnswerError, match=message):
        await outcome_of(action)


async def test_the_id_of_an_action_is_one_part_of_the_path() -> None:
    script = Script(answer({"status": "DONE"}))
    async with client_to(script, service="Voucherify") as client:
        await VoucherifySink(client).upsert_result("aa/../1?x=ż")
    assert script.calls == ["GET /v1/async-actions/aa%2F..%2F1%3Fx%3D%C5%BC"]


async def test_a_listing_shows_the_status_of_the_newest_actions() -> None:
    listed = {
        "object": "list",
        "async_actions": [
            {"id": "aa_2", "status": "IN_PROGRESS"},
            {"id": "aa_1", "status": "DONE"},
            {"status": "DONE"},
        ],
        "has_more": True,
    }
    script = Script(answer(listed))
    async with client_to(script, service="Voucherify") as client:
        assert await VoucherifySink(client).action_statuses() == {"aa_2": "IN_PROGRESS", "aa_1": "DONE"}
    assert script.calls == ["GET /v1/async-actions?limit=100"]


async def test_a_report_is_read_from_where_it_lies() -> None:
    script = Script(raw(b"source_id,status\nada,FAILED\nben,SUCCESS\n", "text/csv"))
    async with client_to(script, service="Voucherify") as client:
        url = f"{client._base_url}/reports/1.csv"
        assert await VoucherifySink(client).reported(url) == [RefusedCustomer("ada", NO_REASON)]


# --- reports --------------------------------------------------------------------------------------------------


def report(*rows: Sequence[str]) -> bytes:
    text = StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def refused(content: bytes) -> dict[str, str]:
    return {each.source_id: each.reason for each in refused_in_report(content)}


def test_a_status_says_who_was_refused() -> None:
    rows = [
        ("source_id", "status", "message"),
        ("ada", "SUCCESS", ""),
        ("ben", "FAILED", "Invalid"),
        ("cyd", " failed ", ""),
        ("dan", "SUCCESS", "was updated"),
    ]
    assert refused(report(*rows)) == {"ben": "Invalid", "cyd": NO_REASON}


def test_without_a_status_a_reason_says_it() -> None:
    rows = [("source_id", "message"), ("ada", ""), ("ben", "Invalid")]
    assert refused(report(*rows)) == {"ben": "Invalid"}


def test_without_either_all_who_are_named_were_refused() -> None:
    assert refused(report(("source_id",), ("ada",), ("ben",))) == {"ada": NO_REASON, "ben": NO_REASON}


@pytest.mark.parametrize("name", ["source_id", "SOURCE_ID", "Source Id", " sourceId ", "customer_source_id"])
def test_columns_are_known_by_their_names(name: str) -> None:
    assert refused(report(("row", name, "Error Message"), ("1", "ada", "Invalid"))) == {"ada": "Invalid"}


@pytest.mark.parametrize("result", ["FAILED", "Failure", "error", "rejected", "INVALID"])
def test_a_result_is_a_status_too(result: str) -> None:
    assert refused(report(("source_id", "result"), ("ada", result), ("ben", "created"))) == {"ada": NO_REASON}


def test_an_id_may_have_commas_quotes_line_breaks_and_any_script() -> None:
    ids = ['a,"b"', "a\nb", "żółć", " ada ", "=cmd|x"]
    rows = [("source_id", "status"), *((each, "FAILED") for each in ids)]
    assert list(refused(report(*rows))) == ids
    assert list(refused(b"\xef\xbb\xbf" + report(*rows))) == ids


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n",
        b"source_id,status\n",
        b"<html><body>Access denied</body></html>",
        b'{"error": "expired"}',
        b"\x00\xff\xfe\x89PNG",
        b"name,status\nada,FAILED\n",
        b"source_id,status\n,FAILED\n",
        b'source_id,status\n"' + b"x" * 200_000 + b'",FAILED\n',
    ],
)
def test_what_is_not_a_report_names_nobody(content: bytes) -> None:
    assert refused(content) == {}


def test_rows_that_are_too_short_or_too_long_are_read_as_far_as_they_go() -> None:
    content = b"source_id,status,message\nada\nben,FAILED\ncyd,FAILED,Invalid,more,and more\n"
    assert refused(content) == {"ben": NO_REASON, "cyd": "Invalid"}


def test_a_reason_in_a_report_does_not_quote_the_customer() -> None:
    content = report(("source_id", "message"), ("ada@example.com", "Customer ada@example.com of 'Ada K' is invalid"))
    [reason] = refused(content).values()
    assert "ada" not in reason.lower()
    assert "invalid" in reason


def test_a_long_reason_is_cut() -> None:
    [reason] = refused(report(("source_id", "message"), ("ada", "refused " * 10_000))).values()
    assert len(reason) <= MOST_CHARACTERS


@given(st.binary())
def test_nothing_that_a_file_may_hold_breaks_it(content: bytes) -> None:
    refused_in_report(content)
    refused_in_report(b"source_id,status\n" + content)


IDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)


@given(st.dictionaries(IDS, st.booleans()))
def test_those_that_a_report_calls_failed_are_refused_and_no_others(customers: dict[str, bool]) -> None:
    rows = [(source_id, "FAILED" if failed else "SUCCESS") for source_id, failed in customers.items()]
    assert list(refused(report(("source_id", "status"), *rows))) == [
        each for each, failed in customers.items() if failed
    ]
