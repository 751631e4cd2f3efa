"""The client of bulk upserts and of their results."""

from __future__ import annotations

import csv
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from io import StringIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segsync.connectors.base import RefusedCustomer, UpsertResult
from segsync.connectors.voucherify import VoucherifySink, refused_in_report
from segsync.errors import AccessError, AnswerError, RefusedError
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
    ],
)
async def test_each_refusal_says_what_can_be_done_about_it(
    refusal: Answer, error: type[Exception], message: str
) -> None:
    async with client_to(Script(refusal), service="Voucherify") as client:
        with pytest.raises(error, match=message):
            await VoucherifySink(client).upsert(b"[]")


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
                "plan": Definition("string", optional=False),
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
        assert await sink.action_statuses() == {"aa_1": "DONE", "aa_2": "IN_PROGRESS"}
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


async def test_the_id_of_an_action_can_hold_anything() -> None:
    async with sink_of(answer(action())) as (sink, script):
        await sink.upsert_result("aa/../customers?a=b#c d")
    assert script.calls == ["GET /v1/async-actions/aa%2F..%2Fcustomers%3Fa%3Db%23c%20d"]


# --- report files ---------------------------------------------------------------------------------------------


def refused_in(*lines: str) -> list[str]:
    return [each.source_id for each in refused_in_report("\n".join(lines).encode())]


async def test_a_report_is_fetched_from_where_the_action_says() -> None:
    files = Script(raw(b"source_id,status\nada,FAILED\n", "text/csv"))
    async with scripted_server(files) as url, sink_of(answer({})) as (sink, script):
        assert await sink.reported(f"{url}/r.csv") == [RefusedCustomer("ada", "Voucherify gives no reason")]
    assert (files.calls, script.calls) == (["GET /r.csv"], [])


def test_a_status_column_says_who_was_refused_whatever_else_is_in_the_row() -> None:
    rows = [
        "source_id,status,message",
        "ada,SUCCESS,written",
        "grace,FAILED,",
        "mary,failed,no",
        "joan,ERROR,no",
        "x,,no",
    ]
    assert refused_in(*rows) == ["grace", "mary", "joan"]


def test_without_a_status_those_are_refused_who_have_a_reason() -> None:
    assert refused_in("source_id,error_message", "ada,", "grace,no consent") == ["grace"]


def test_a_file_of_nothing_but_ids_names_those_that_were_refused() -> None:
    assert refused_in("source_id", "ada", "grace", "") == ["ada", "grace"]


@pytest.mark.parametrize("header", ["source_id", "Source ID", "\ufeffsource_id", " SOURCE_ID ", "sourceId"])
def test_the_column_of_the_ids_is_known_however_it_is_spelt(header: str) -> None:
    assert refused_in(f"{header},name", "ada,Ada") == ["ada"]


def test_the_reason_of_a_report_is_reported_without_the_customer() -> None:
    report = b'source_id,status,key,details\nada@example.com,FAILED,invalid,"Customer ada@example.com, was refused"\n'
    [refused] = refused_in_report(report)
    assert refused.source_id == "ada@example.com"
    assert refused.reason.startswith("invalid: Customer ")
    assert "ada" not in refused.reason


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"\n", b"<html>gone</html>", b"\xff\xfe\x00", b"PK\x03\x04", b'"unfinished', b"source_id"),
        *(b"id,status\nada,FAILED\n", b'{"error": "gone"}'),
    ],
)
def test_what_is_not_a_report_names_nobody(content: bytes) -> None:
    assert refused_in_report(content) == []


def test_an_enormous_field_in_a_report_is_not_a_defect() -> None:
    report = b"source_id,status\n" + b"x" * 200_000 + b",FAILED\n"
    assert [each.source_id for each in refused_in_report(report)] in ([], ["x" * 200_000])


ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


@given(st.dictionaries(ANY_TEXT, st.booleans()), st.sampled_from(["\n", "\r\n"]))
def test_ids_of_a_report_are_read_as_they_are_whatever_they_hold(customers: dict[str, bool], newline: str) -> None:
    text = StringIO(newline="")
    rows = csv.writer(text, lineterminator=newline, quoting=csv.QUOTE_ALL)
    rows.writerow(["name", "source_id", "status"])
    rows.writerows(
        ["Ada, Lovelace", source_id, "FAILED" if is_refused else "SUCCESS"]
        for source_id, is_refused in customers.items()
    )
    refused = refused_in_report(text.getvalue().encode())
    assert [each.source_id for each in refused] == [
        source_id for source_id, is_refused in customers.items() if is_refused
    ]


@given(st.binary(max_size=300))
def test_no_content_of_a_report_is_a_defect(content: bytes) -> None:
    assert all(each.source_id for each in refused_in_report(b"source_id,status\n" + content))
