"""What Voucherify says of an action."""

from __future__ import annotations

from typing import Any

import pytest

from segsync.connectors.base import ActionStatus, RefusedCustomer, UpsertResult
from segsync.connectors.voucherify import VoucherifySink
from segsync.errors import AccessError, AnswerError, RefusedError, TransientError
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
            RefusedCustomer("ada", reason := "invalid_customer: Invalid: 'plan' property", words=reason),
            RefusedCustomer("ben", "Invalid", words="Invalid"),
            RefusedCustomer("cyd", NO_REASON, "refused-without-reason"),
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
    assert outcome.refused == (RefusedCustomer("ada", NO_REASON, "refused-without-reason"),)


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
        ({"status": "DONE", "result": {"errors": [{"source_id": [7]}]}}, r"\$.result.errors"),
        ([], "Expected `object`, got `array`"),
    ],
)
async def test_an_action_of_another_shape_is_named_by_its_field(action: object, message: str) -> None:
    with pytest.raises(AnswerError, match=message):
        await outcome_of(action)


async def test_a_source_id_that_is_a_number_names_that_customer() -> None:
    outcome = await outcome_of({"status": "DONE", "result": {"errors": [{"source_id": 7}, {"source_id": 0}]}})
    assert outcome is not None
    assert [each.source_id for each in outcome.refused] == ["7", "0"]


async def test_a_report_host_that_does_not_answer_is_not_called_for_each_report() -> None:
    calls: list[str] = []

    async def silent(url: str) -> bytes:
        calls.append(url)
        raise TransientError("files.example did not answer", service="Voucherify")

    async with client_to(Script(answer({})), service="Voucherify") as client:
        sink = VoucherifySink(client)
        sink._download = silent
        for url in ("https://files.example/1.csv", "https://files.example/2.csv", "https://other.example/1.csv"):
            with pytest.raises(TransientError, match="did not answer"):
                await sink.reported(url)
    assert calls == ["https://files.example/1.csv", "https://other.example/1.csv"]


async def test_the_id_of_an_action_is_one_part_of_the_path() -> None:
    script = Script(answer({"status": "DONE"}))
    async with client_to(script, service="Voucherify") as client:
        await VoucherifySink(client).upsert_result("aa/../1?x=ż")
    assert script.calls == ["GET /v1/async-actions/aa%2F..%2F1%3Fx%3D%C5%BC"]


async def test_a_listing_shows_the_status_of_the_newest_actions() -> None:
    listed = {
        "object": "list",
        "async_actions": [
            {"id": "aa_4", "status": "IN_PROGRESS", "operation_status": "UNKNOWN"},
            {"id": "aa_3", "status": "DONE", "operation_status": "SUCCESS"},
            {"id": "aa_2", "status": "DONE", "operation_status": "FAILED"},
            {"id": "aa_1", "status": "DONE"},
            {"status": "DONE"},
        ],
        "has_more": True,
    }
    script = Script(answer(listed))
    async with client_to(script, service="Voucherify") as client:
        assert await VoucherifySink(client).action_statuses() == {
            "aa_4": ActionStatus("IN_PROGRESS", is_success=False),
            "aa_3": ActionStatus("DONE", is_success=True),
            "aa_2": ActionStatus("DONE", is_success=False),
            "aa_1": ActionStatus("DONE", is_success=None),
        }
    assert script.calls == ["GET /v1/async-actions?limit=100"]


async def test_a_report_is_read_from_where_it_lies() -> None:
    script = Script(raw(b"source_id,status\nada,FAILED\nben,SUCCESS\n", "text/csv"))
    async with client_to(script, service="Voucherify") as client:
        url = f"{client._base_url}/reports/1.csv"
        assert await VoucherifySink(client).reported(url) == [
            RefusedCustomer("ada", NO_REASON, "refused-without-reason")
        ]
