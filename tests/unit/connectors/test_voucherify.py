"""The client of bulk upserts and of their results."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from segsync.connectors.base import ActionStatus, Patient, RefusedCustomer, UpsertResult
from segsync.connectors.voucherify import VoucherifySink
from segsync.errors import AccessError, AnswerError, RefusedError, TransientError
from segsync.mapping.metadata_schema import Definition, MetadataSchema
from tests.support.scripted import Answer, Script, answer, client_to, raw, scripted_server


async def test_an_upsert_is_one_post_of_the_customers_and_gives_its_action() -> None:
    script = Script(answer({"async_action_id": "aa_1", "anything": "else"}, 202))
    async with client_to(script, service="Voucherify") as client:
        assert await VoucherifySink(client).upsert(b'[{"source_id":"ada"}]') == "aa_1"
    assert script.calls == ["POST /v1/customers/bulk/async"]
    assert script.bodies == [b'[{"source_id":"ada"}]']


@pytest.mark.parametrize(
    ("refusal", "error", "message"),
    [
        (answer({"key": "invalid_customer"}, 400), RefusedError, "invalid_customer"),
        (answer({}, 413), RefusedError, "413"),
        (answer({}, 404), AccessError, "Is VOUCHERIFY_BASE_URL right"),
        (answer({"id": "aa_1"}, 202), AnswerError, "missing required field `async_action_id`"),
        (answer({"async_action_id": ""}, 202), AnswerError, "the response has no async action id"),
    ],
)
async def test_each_refusal_says_what_can_be_done_about_it(
    refusal: Answer, error: type[Exception], message: str
) -> None:
    async with client_to(Script(refusal), service="Voucherify") as client:
        with pytest.raises(error, match=message):
            await VoucherifySink(client).upsert(b"[]")


async def test_an_upsert_within_a_share_of_the_patience_is_the_same_with_fewer_retries() -> None:
    script = Script(answer({"async_action_id": "aa_1"}, 202), answer({}, 503))
    async with client_to(script, service="Voucherify", retry_seconds=1e6) as client:
        sink = VoucherifySink(client)
        assert isinstance(sink, Patient)
        assert await sink.upsert_within(b"[]", 0.5) == "aa_1"
        with pytest.raises(TransientError, match="given up after 0 s"):
            await sink.upsert_within(b"[]", 1e-9)


# --- the metadata schema --------------------------------------------------------------------------------------


async def test_the_schema_says_what_metadata_may_hold() -> None:
    properties = {
        "plan": {"type": "string", "optional": False, "eq": ["free"]},
        "tags": {"type": "string", "array": True, "optional": None, "deleted": None},
        "colour": {"type": None, "array": None},
        "gone": None,
    }
    async with sink_of(answer({"id": "ms_1", "properties": properties, "allow_defined_only": True})) as (sink, script):
        assert await sink.metadata_schema() == MetadataSchema(
            {
                "plan": Definition("string", optional=False, criteria=(("eq", ("free",)),)),
                "tags": Definition("string", array=True),
                "colour": Definition(),
            },
            allow_defined_only=True,
        )
    assert script.calls == ["GET /v1/metadata-schemas/customer"]


@pytest.mark.parametrize(
    "nothing", [answer({"key": "not_found"}, 404), answer({"properties": None, "allow_defined_only": None})]
)
async def test_a_project_without_a_schema_allows_everything(nothing: Answer) -> None:
    async with sink_of(nothing) as (sink, _):
        assert await sink.metadata_schema() == MetadataSchema()


# --- how an action stands -------------------------------------------------------------------------------------


@asynccontextmanager
async def sink_of(*answers: Answer) -> AsyncGenerator[tuple[VoucherifySink, Script], None]:
    script = Script(*answers)
    async with client_to(script, service="Voucherify") as client:
        yield VoucherifySink(client), script


def action(status: str = "DONE", **fields: Any) -> dict[str, Any]:
    return {"id": "aa_1", "status": status, "type": "CUSTOMERS_BULK_UPDATE", "request_id": "v-1", **fields}


async def outcome_of(fields: object) -> UpsertResult:
    async with sink_of(answer(fields)) as (sink, _):
        outcome = await sink.upsert_result("aa_1")
    assert outcome is not None
    return outcome


async def test_one_call_shows_the_status_of_many_actions() -> None:
    fields = {"object": "list", "async_actions": [action(), action("IN_PROGRESS", id="aa_2"), {"status": "DONE"}]}
    async with sink_of(answer(fields)) as (sink, script):
        assert await sink.action_statuses() == {"aa_1": ActionStatus("DONE"), "aa_2": ActionStatus("IN_PROGRESS")}
    assert script.calls == ["GET /v1/async-actions?limit=100"]


@pytest.mark.parametrize(
    ("status", "has_ended"), [("ENQUEUED", False), ("IN_PROGRESS", False), ("DONE", True), ("FAILED", True)]
)
async def test_an_action_has_ended_when_it_is_done_or_failed(status: str, has_ended: bool) -> None:
    outcome = await outcome_of(action(status, result=None))
    assert (outcome.status, outcome.has_ended) == (status, has_ended)


async def test_an_action_that_wrote_everybody() -> None:
    result = {"done_count": 100, "failed_count": 0, "errors": [], "reports": []}
    outcome = await outcome_of(action(operation_status="SUCCESS", result=result))
    assert outcome == UpsertResult("DONE", True, 100, 0, (), (), "v-1")


async def test_customers_that_an_action_refused_are_reported_with_the_reason_but_nothing_of_the_customer() -> None:
    errors = [
        {
            "source_id": "ada@example.com",
            "key": "invalid",
            "message": "No",
            "details": "ada@example.com is not a customer",
        },
        {"source_id": "grace", "message": "Customer grace was refused"},
        {"source_id": "mary"},
        {"message": "a customer without a source id"},
    ]
    result = {"done_count": 97, "failed_count": 4, "errors": errors, "reports": ["https://files.example/r.csv"]}
    outcome = await outcome_of(action(operation_status="PARTIAL_SUCCESS", result=result))
    assert [each.source_id for each in outcome.refused] == ["ada@example.com", "grace", "mary"]
    first, second, third = (each.reason for each in outcome.refused)
    assert first.startswith("invalid: No: ")
    assert "ada" not in first
    assert second == "Customer … was refused"
    assert third == "Voucherify gives no reason"
    assert (outcome.failed_count, outcome.reports, outcome.is_success) == (4, ("https://files.example/r.csv",), False)


@pytest.mark.parametrize(
    "result", [None, {}, {"failed_count": None, "errors": None, "reports": None}, {"anything": ["else"]}]
)
async def test_an_action_that_does_not_say_how_it_ended_is_not_taken_for_a_success(result: object) -> None:
    outcome = await outcome_of(action(result=result))
    assert outcome == UpsertResult("DONE", False, None, None, (), (), "v-1")


async def test_an_action_that_voucherify_does_not_know_is_not_an_error() -> None:
    async with sink_of(answer({"key": "not_found"}, 404)) as (sink, _):
        assert await sink.upsert_result("aa_1") is None


async def test_other_refusals_to_show_an_action_are_errors() -> None:
    async with sink_of(answer({"key": "no"}, 400)) as (sink, _):
        with pytest.raises(RefusedError):
            await sink.upsert_result("aa_1")
    async with sink_of(answer({"id": "aa_1"})) as (sink, _):
        with pytest.raises(AnswerError, match="missing required field `status`"):
            await sink.upsert_result("aa_1")


@pytest.mark.parametrize(
    "garbled", [{}, {"async_action_id": ""}, {"async_action_id": None}, {"async_action_id": "a b"}]
)
async def test_an_upsert_without_a_usable_action_id_is_sent_again_where_one_was_understood(garbled: object) -> None:
    fine = answer({"async_action_id": "aa_1"}, 202)
    async with sink_of(fine, answer(garbled, 202), fine) as (sink, script):
        await sink.upsert(b"[1]")
        assert await sink.upsert(b"[2]") == "aa_1"
    assert script.bodies == [b"[1]", b"[2]", b"[2]"]


async def test_a_schema_that_may_not_be_read_is_a_matter_of_that_right_alone() -> None:
    async with sink_of(answer({"async_actions": []}), answer({}, 403)) as (sink, script):
        await sink.action_statuses()
        with pytest.raises(AccessError):
            await sink.metadata_schema()
    assert len(script.calls) == 2


async def test_the_id_of_an_action_can_hold_anything() -> None:
    async with sink_of(answer(action())) as (sink, script):
        await sink.upsert_result("aa/../customers?a=b#c d")
    assert script.calls == ["GET /v1/async-actions/aa%2F..%2Fcustomers%3Fa%3Db%23c%20d"]


# --- report files ---------------------------------------------------------------------------------------------


async def test_a_report_is_fetched_from_where_the_action_says() -> None:
    files = Script(raw(b"source_id,status\nada,FAILED\n", "text/csv"))
    async with scripted_server(files) as url, sink_of(answer({})) as (sink, script):
        assert await sink.reported(f"{url}/r.csv") == [
            RefusedCustomer("ada", "Voucherify gives no reason", "refused-without-reason")
        ]
    assert (files.calls, script.calls) == (["GET /r.csv"], [])
