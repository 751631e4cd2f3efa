"""The sandbox answers as Voucherify's OpenAPI documents it, and segsync asks so: a validator that is not ours looks."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from aiohttp import web
from pydantic import BaseModel
from voucherify.models.async_action_base import AsyncActionBase
from voucherify.models.async_actions_list_response_body import AsyncActionsListResponseBody
from voucherify.models.customers_get_response_body import CustomersGetResponseBody
from voucherify.models.customers_update_in_bulk_request_body import CustomersUpdateInBulkRequestBody
from voucherify.models.customers_update_in_bulk_response_body import CustomersUpdateInBulkResponseBody
from voucherify.models.error import Error
from voucherify.models.metadata_schemas_get_response_body import MetadataSchemasGetResponseBody

from segsync import Settings, run_import
from segsync.sandbox.options import Faults, SandboxOptions, connection
from segsync.sandbox.server import Sandbox
from tests.sandbox.clients import BULK, VOUCHERIFY_HEADERS, Answer, Client, quick
from tests.sandbox.conftest import Connect
from tests.support.voucherify_openapi import SCHEMAS, problems, problems_with_429

ACTIONS, SCHEMA = "/v1/async-actions", "/v1/metadata-schemas/customer"

ADA: dict[str, Any] = {
    "source_id": "ada",
    "name": "Ada Lovelace",
    "birthdate": "1815-12-10",
    "address": {"city": "London", "postal_code": "SW1Y"},
    "metadata": {"plan": "pro", "tags": ["a"], "nested": {"nothing": None}},
    "system_metadata": {"source": "segmentio"},
}

DONE: dict[str, Any] = {
    "done_count": 1,
    "failed_count": 0,
    "reports": [],
    "reports_available_till": "2026-01-15T10:30:00.000Z",
    "errors": [],
}

SCHEMAS_OF_200 = {
    BULK: "CustomersUpdateInBulkResponseBody",
    ACTIONS: "AsyncActionsListResponseBody",
    SCHEMA: "MetadataSchemasGetResponseBody",
}


def problems_with_answer(path: str, status: int, body: Any) -> list[str]:
    """What is wrong with an answer to a call of this path."""
    if status == 429:
        return problems_with_429(body)
    if status >= 400:
        return problems("BadRequest" if status == 413 else "Error", body)
    if path.startswith(f"{ACTIONS}/"):
        base = {name: value for name, value in body.items() if name != "result"}
        result = body.get("result", DONE)
        return problems("AsyncActionBase", base) + problems("AsyncActionResultCustomersBulkUpdateResponseBody", result)
    return problems(SCHEMAS_OF_200.get(path, "CustomersGetResponseBody"), body)


def problems_with_request(customers: list[dict[str, Any]]) -> list[str]:
    """What is wrong with the customers of a bulk upsert, but for the two exceptions that the original made."""
    found = []
    for customer in customers:
        documented = {name: value for name, value in customer.items() if name != "system_metadata"}
        if documented.get("birthdate", "") is None:
            del documented["birthdate"]
        found += problems("CustomersUpdateInBulkRequestBody", documented)
    return found


# --- the validator would notice -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"reports_available_till": None},
        {"reports_available_till": "tomorrow"},
        {"done_count": "1"},
        {"reports": None},
        {"errors": [{"source_id": "ada"}]},
    ],
    ids=str,
)
def test_a_result_that_is_not_as_documented_is_noticed(change: dict[str, Any]) -> None:
    action = {"id": "aa_1", "type": "CUSTOMERS.BULK_UPDATE", "status": "DONE"}
    assert problems_with_answer(f"{ACTIONS}/aa_1", 200, {**action, "result": dict(DONE)}) == []
    assert problems_with_answer(f"{ACTIONS}/aa_1", 200, {**action, "result": {**DONE, **change}})
    assert problems_with_answer(f"{ACTIONS}/aa_1", 200, {**action, "type": "CUSTOMERS_BULK_UPDATE"})


@pytest.mark.parametrize(
    "change",
    [{"name": None}, {"phone": 48}, {"birthdate": "1990-02-30"}, {"address": {"city": None}}, {"metadata": ["a"]}],
    ids=str,
)
def test_a_customer_that_is_not_as_documented_is_noticed(change: dict[str, Any]) -> None:
    assert problems_with_request([ADA, {**ADA, "birthdate": None}]) == []
    assert problems_with_request([{**ADA, **change}])
    assert problems_with_request([{"name": "has no source id"}])


@pytest.mark.parametrize(
    "model",
    [
        CustomersUpdateInBulkRequestBody,
        CustomersUpdateInBulkResponseBody,
        AsyncActionBase,
        AsyncActionsListResponseBody,
        MetadataSchemasGetResponseBody,
        CustomersGetResponseBody,
        Error,
    ],
    ids=lambda model: model.__name__,
)
def test_no_field_is_taken_that_the_vendors_own_client_does_not_know(model: type[BaseModel]) -> None:
    assert set(SCHEMAS[model.__name__]["properties"]) <= set(model.model_fields)


# --- answers ------------------------------------------------------------------------------------------


async def _checked(
    client: Client, method: str, path: str, data: bytes | None = None, headers: Mapping[str, str] | None = None
) -> Answer:
    """The answer to a call, which is as documented."""
    path, _, query = path.partition("?")
    sent = {**VOUCHERIFY_HEADERS, "Content-Type": "application/json", **(headers or {})}
    fields = dict(each.split("=") for each in query.split("&") if each)
    answer = await client.call(method, path, sent, fields, data and BytesIO(data))
    assert problems_with_answer(path, answer.status, answer.body) == []
    return answer


UPSERTS: dict[str, tuple[int, bytes, dict[str, str]]] = {
    "an upsert": (202, msgspec.json.encode([ADA]), {}),
    "an upsert of nobody": (202, b"[]", {}),
    "no JSON": (400, b"[", {}),
    "an invalid customer": (400, b'[{"source_id": 7}]', {}),
    "too large": (413, b" " * (10 * 1024 * 1024 + 1), {}),
    "no JSON by its type": (415, b"[]", {"Content-Type": "text/plain"}),
    "no credentials": (401, b"[]", {"X-App-Id": ""}),
}


@pytest.mark.parametrize(("status", "body", "headers"), UPSERTS.values(), ids=UPSERTS)
async def test_an_upsert_is_answered_as_documented(
    connect: Connect, status: int, body: bytes, headers: dict[str, str]
) -> None:
    assert (await _checked(await connect(quick()), "POST", BULK, body, headers)).status == status


READS = {
    SCHEMA: 200,
    ACTIONS: 200,
    f"{ACTIONS}?end_date=2026-01-15&limit=1": 200,
    f"{ACTIONS}?limit=0": 400,
    f"{ACTIONS}?end_date=today": 400,
    f"{ACTIONS}/aa_unknown": 404,
    "/v1/customers/nobody": 404,
    "/v1/vouchers": 404,
}


@pytest.mark.parametrize(("path", "status"), READS.items())
async def test_a_read_is_answered_as_documented(connect: Connect, path: str, status: int) -> None:
    assert (await _checked(await connect(quick()), "GET", path)).status == status


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"action_seconds": 60}, "IN_PROGRESS"),
        ({"refused_later": 1.0}, "DONE"),
        ({"refused_later": 1.0, "errors_listed": 0}, "DONE"),
        ({"short_listing": True}, "DONE"),
        ({"failed_actions": 1.0}, "FAILED"),
    ],
    ids=str,
)
async def test_an_action_is_as_documented_however_it_stands(
    connect: Connect, changes: dict[str, Any], status: str
) -> None:
    client = await connect(quick(**changes))
    accepted = await _checked(client, "POST", BULK, msgspec.json.encode([ADA, {"source_id": "grace"}]))
    action = await _checked(client, "GET", f"{ACTIONS}/{accepted.body['async_action_id']}")
    [listed] = (await _checked(client, "GET", ACTIONS)).body["async_actions"]
    assert action.body["status"] == listed["status"] == status
    assert action.body["type"] == "CUSTOMERS.BULK_UPDATE"
    assert re.fullmatch(r"v-[0-9a-f]{18}", action.body["request_id"])
    assert action.body["request_id"] == accepted.headers["Request-Id"], "the request that was accepted"
    assert ("operation_status" in listed) != changes.get("short_listing", False)


async def test_a_customer_and_a_strict_schema_are_read_as_documented(connect: Connect) -> None:
    client = await connect(quick(defined_metadata_only=True))
    await _checked(client, "POST", BULK, msgspec.json.encode([{**ADA, "birthdate": None}]))
    assert (await _checked(client, "GET", "/v1/customers/ada")).body["name"] == "Ada Lovelace"
    assert (await _checked(client, "GET", SCHEMA)).body["allow_defined_only"]


@pytest.mark.parametrize("path", [BULK, ACTIONS, f"{ACTIONS}/aa_1", SCHEMA])
@pytest.mark.parametrize("faults", [Faults(too_many=1.0), Faults(server_error=1.0)], ids=["429", "5xx"])
async def test_what_goes_wrong_is_answered_as_documented(connect: Connect, path: str, faults: Faults) -> None:
    client = await connect(quick(voucherify_faults=faults))
    answer = await _checked(client, "POST" if path == BULK else "GET", path, b"[]" if path == BULK else None)
    assert answer.status >= 429


# --- a whole import -----------------------------------------------------------------------------------


class Exchange(NamedTuple):
    """A call to Voucherify with its answer."""

    path: str
    content_type: str
    body: bytes
    status: int
    answer: bytes


@pytest.fixture
async def sandbox_and_exchanges() -> AsyncIterator[tuple[Sandbox, Settings, list[Exchange]]]:
    """A sandbox in which something goes wrong everywhere, and all that is sent to and from its Voucherify."""
    options: SandboxOptions = quick(
        profiles=240,
        refused_later=0.05,
        refused_at_once=0.02,
        failed_actions=0.1,
        voucherify_faults=Faults(too_many=0.05, server_error=0.1),
    )
    sandbox, exchanges = Sandbox(options), list[Exchange]()

    @web.middleware
    async def record(request: web.Request, handler: Any) -> web.StreamResponse:
        body = await request.read()
        response: web.Response = await handler(request)
        if "X-App-Id" in request.headers:
            answer = bytes(response.body or b"")  # type: ignore[arg-type]
            exchanges.append(Exchange(request.path, request.content_type, body, response.status, answer))
        return response

    app = sandbox.app()
    app.middlewares.append(record)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        fast = {"SEGMENT_REQUESTS_PER_SECOND": "5000", "VOUCHERIFY_REQUESTS_PER_MINUTE": "100000"}
        more = {"METADATA_TRAITS": "*", "SEGSYNC_BATCH_SIZE": "25"}
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield sandbox, Settings.load(environ={**connection(url, options), **fast, **more}), exchanges
    finally:
        await runner.cleanup()


@pytest.mark.slow
async def test_all_that_an_import_sends_and_gets_is_as_documented(
    sandbox_and_exchanges: tuple[Sandbox, Settings, list[Exchange]], tmp_path: Path
) -> None:
    sandbox, settings, exchanges = sandbox_and_exchanges
    report = await run_import(settings, ledger=tmp_path / "segsync.db")
    assert report.state == "done", report.error
    seen = {(exchange.path.startswith(f"{ACTIONS}/"), exchange.status) for exchange in exchanges}
    assert {(False, 202), (False, 400), (True, 200)} <= seen
    assert {429} < {status for _, status in seen}
    for exchange in exchanges:
        answer = msgspec.json.decode(exchange.answer)
        assert problems_with_answer(exchange.path, exchange.status, answer) == [], exchange
        if exchange.path == BULK:
            assert exchange.content_type == "application/json"
            assert problems_with_request(msgspec.json.decode(exchange.body)) == []
    assert sandbox.verdict().arrived + sandbox.verdict().wrong_count == report.outcomes.confirmed
