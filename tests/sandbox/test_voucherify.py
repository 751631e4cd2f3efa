"""The sandbox's Voucherify API, as a client of it would notice."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from tests.sandbox.clients import BULK, VOUCHERIFY_HEADERS, Client, basic, quick, voucherify_error
from tests.sandbox.conftest import Connect

ADA = {"source_id": "ada", "name": "Ada Lovelace"}
PATHS = [BULK, "/v1/customers/ada", "/v1/async-actions", "/v1/async-actions/aa_1", "/v1/metadata-schemas/customer"]


@pytest.fixture
async def client(connect: Connect) -> Client:
    return await connect(quick())


# --- who may call -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {},
        VOUCHERIFY_HEADERS | {"X-App-Id": "wrong"},
        VOUCHERIFY_HEADERS | {"X-App-Token": "wrong"},
        {"X-App-Token": VOUCHERIFY_HEADERS["X-App-Token"]},
        basic(*VOUCHERIFY_HEADERS.values()),
    ],
    ids=["nothing", "another id", "another token", "no id", "basic"],
)
@pytest.mark.parametrize("path", PATHS)
async def test_only_the_id_and_the_token_together_open_the_api(
    client: Client, path: str, headers: dict[str, str]
) -> None:
    answer = await client.call("POST" if path == BULK else "GET", path, headers)
    assert voucherify_error(answer) == (401, "unauthorized")


# --- upserts and their results ------------------------------------------------------------------------


async def test_an_upsert_is_accepted_before_it_is_done(connect: Connect) -> None:
    client = await connect(quick(action_seconds=60))
    accepted = await client.upsert(ADA)
    assert set(accepted.body) == {"async_action_id"}
    action = await client.action(accepted)
    assert (action["id"], action["status"]) == (accepted.body["async_action_id"], "IN_PROGRESS")
    assert action["operation_status"] == "UNKNOWN"
    assert "result" not in action
    assert voucherify_error(await client.customer("ada")) == (404, "not_found")


async def test_a_customer_can_be_read_when_its_action_is_done_and_not_before(connect: Connect) -> None:
    client, now = await connect(quick(action_seconds=5)), [0.0]
    client.sandbox.voucherify._clock = lambda: now[0]
    accepted = await client.upsert(ADA)
    for seconds, status, found in ((0.0, "IN_PROGRESS", 404), (4.9, "IN_PROGRESS", 404), (5.0, "DONE", 200)):
        now[0] = seconds
        assert (await client.action(accepted))["status"] == status
        assert (await client.customer("ada")).status == found


async def test_an_action_that_is_done_counts_the_customers_that_were_written(client: Client) -> None:
    action = await client.action(await client.upsert(ADA, {"source_id": "grace"}))
    assert (action["status"], action["operation_status"]) == ("DONE", "SUCCESS")
    assert (action["result"]["done_count"], action["result"]["failed_count"], action["result"]["errors"]) == (2, 0, [])


async def test_customers_refused_later_are_named_by_their_action_and_never_written(connect: Connect) -> None:
    client = await connect(quick(refused_later=0.3))
    source_ids = [f"person {number}" for number in range(60)]
    action = await client.action(await client.upsert(*({"source_id": source_id} for source_id in source_ids)))
    errors = action["result"]["errors"]
    refused = {error["source_id"] for error in errors}
    assert 5 < len(refused) < 40
    assert all(set(error) == {"source_id", "key", "message", "details"} for error in errors)
    assert action["operation_status"] == "FAILED"
    assert (action["result"]["done_count"], action["result"]["failed_count"]) == (60 - len(refused), len(refused))
    readable = {source_id for source_id in source_ids if (await client.customer(source_id)).status == 200}
    assert readable == set(source_ids) - refused


async def test_a_request_with_a_customer_refused_at_once_writes_nothing_of_it(connect: Connect) -> None:
    client = await connect(quick(refused_at_once=0.3))
    alone = {n: (await client.upsert({"source_id": f"person {n}"})).status for n in range(40)}
    assert set(alone.values()) == {202, 400}
    refused = next(n for n, status in alone.items() if status == 400)
    answer = await client.upsert({"source_id": "unknown"}, {"source_id": f"person {refused}"})
    assert voucherify_error(answer) == (400, "invalid_customer")
    assert (await client.customer("unknown")).status == 404


async def test_what_was_written_is_read_as_it_was_sent(client: Client) -> None:
    customer: dict[str, Any] = {
        "source_id": "käufer/1+a b?#%",
        "name": "Łucja 🎈",
        "birthdate": "1990-05-17",
        "address": {"city": "Katowice", "line_1": "Porcelanowa 23"},
        "metadata": {"nested": {"nothing": None}, "tags": ["a", "ü"], "undefined": [1, True, 2.5, None]},
        "system_metadata": {"source": "segmentio"},
    }
    assert (await client.upsert(customer)).status == 202
    read = (await client.customer(customer["source_id"])).body
    assert customer.items() <= read.items()
    assert read["object"] == "customer"


async def test_an_upsert_changes_what_it_names_and_leaves_the_rest(client: Client) -> None:
    await client.upsert({**ADA, "email": "old@example.com", "phone": "1"})
    await client.upsert({"source_id": "ada", "email": "new@example.com"})
    read = (await client.customer("ada")).body
    assert (read["name"], read["email"], read["phone"]) == ("Ada Lovelace", "new@example.com", "1")


async def test_actions_are_listed_newest_first_and_without_results(client: Client) -> None:
    ids = [(await client.upsert(ADA)).body["async_action_id"] for _ in range(12)]
    assert len(set(ids)) == 12
    for limit in (1, 5, 100):
        body = (await client.voucherify("/v1/async-actions", limit=limit)).body
        assert [action["id"] for action in body["async_actions"]] == ids[::-1][:limit]
        assert body["has_more"] == (limit < 12)
        assert all(action["status"] == "DONE" and "result" not in action for action in body["async_actions"])


@pytest.mark.parametrize("limit", ["0", "101", "-1", "all"])
async def test_fewer_than_1_or_more_than_100_actions_a_call_are_refused(client: Client, limit: str) -> None:
    assert voucherify_error(await client.voucherify("/v1/async-actions", limit=limit))[0] == 400


async def test_actions_beyond_100_are_listed_by_the_date_of_the_last(client: Client) -> None:
    """`end_date` limits the listing to actions that were scheduled before it (Voucherify, "List Async Actions")."""
    began_at = datetime(2026, 1, 15, 10, 30, tzinfo=UTC)
    for number in range(230):
        action_id = (await client.upsert()).body["async_action_id"]
        actions = client.sandbox.voucherify._actions
        actions[action_id] = replace(actions[action_id], accepted_at=began_at + timedelta(milliseconds=number))
    found: list[str] = []
    query: dict[str, Any] = {"limit": 100}
    sizes: list[int] = []
    while len(sizes) < 4:
        body = (await client.voucherify("/v1/async-actions", **query)).body
        sizes.append(len(body["async_actions"]))
        found += [action["id"] for action in body["async_actions"]]
        if not body["has_more"]:
            break
        query["end_date"] = body["async_actions"][-1]["created_at"]
    assert sizes == [100, 100, 30]
    assert found == [*reversed(client.sandbox.voucherify._actions)]


@pytest.mark.parametrize(
    ("end_date", "count"),
    [("2026-01-15", 0), ("2026-01-16", 1), ("2026-01-15T10:30:00Z", 0), ("2026-01-15T10:30:01Z", 1)],
)
async def test_an_end_date_may_be_a_day_or_a_moment(client: Client, end_date: str, count: int) -> None:
    action_id = (await client.upsert()).body["async_action_id"]
    actions = client.sandbox.voucherify._actions
    actions[action_id] = replace(actions[action_id], accepted_at=datetime(2026, 1, 15, 10, 30, tzinfo=UTC))
    listed = (await client.voucherify("/v1/async-actions", end_date=end_date)).body["async_actions"]
    assert len(listed) == count


async def test_an_action_that_never_was_is_not_found(client: Client) -> None:
    assert voucherify_error(await client.voucherify("/v1/async-actions/aa_unknown")) == (404, "not_found")


# --- what is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'"ada"', b"null", b'["ada"]', b"[[]]", b"[null]", b'[{"source_id": "ada"}', b"[\xff]"]
)
async def test_a_body_that_is_not_an_array_of_objects_is_refused(client: Client, body: bytes) -> None:
    assert voucherify_error(await client.post(body)) == (400, "invalid_payload")


INVALID: list[dict[str, Any]] = [
    {"name": "has no source id"},
    {"source_id": None},
    {"source_id": ""},
    {"source_id": 7},
    {"source_id": "x", "name": 7},
    {"source_id": "x", "email": ["x@example.com"]},
    {"source_id": "x", "phone": 48600000000},
    {"source_id": "x", "description": {}},
    {"source_id": "x", "birthdate": "17/05/1990"},
    {"source_id": "x", "birthdate": "1990-5-17"},
    {"source_id": "x", "birthdate": "1990-02-30"},
    {"source_id": "x", "birthdate": "1990-05-17T00:00:00Z"},
    {"source_id": "x", "birthdate": 19900517},
    {"source_id": "x", "birthdate": ""},
    {"source_id": "x", "metadata": "plan=pro"},
    {"source_id": "x", "metadata": ["plan"]},
    {"source_id": "x", "metadata": 7},
    {"source_id": "x", "address": "Porcelanowa 23"},
    {"source_id": "x", "address": []},
    {"source_id": "x", "address": {"street": "Porcelanowa 23"}},
    {"source_id": "x", "address": {"postal_code": 40246}},
    {"source_id": "x", "address": {"city": None}},
    *({"source_id": "x", name: None} for name in ("name", "email", "description", "phone", "birthday", "metadata")),
    {"source_id": "x", "birthday": "17/05/1990"},
    {"source_id": "x", "system_metadata": None},
    {"source_id": "x", "line_1": "Porcelanowa 23"},
    {"source_id": "x", "metadata": {}, "traits": {}},
]


@pytest.mark.parametrize("invalid", INVALID, ids=str)
async def test_one_invalid_customer_fails_its_whole_request(client: Client, invalid: dict[str, Any]) -> None:
    answer = await client.upsert(ADA, invalid)
    assert voucherify_error(answer) == (400, "invalid_customer")
    assert "1" in answer.body["message"], "it names the customer by its position"
    assert (await client.customer("ada")).status == 404
    assert (await client.voucherify("/v1/async-actions")).body["async_actions"] == []


async def test_an_address_may_be_null_and_so_may_a_birthdate_though_it_is_not_documented(client: Client) -> None:
    assert (await client.upsert({"source_id": "ada", "address": None, "birthdate": None})).status == 202
    assert {"address", "birthdate"}.isdisjoint((await client.customer("ada")).body)


async def test_nulls_may_be_taken_as_the_original_script_sends_them(connect: Connect) -> None:
    client = await connect(quick(take_nulls=True))
    names = ("name", "email", "description", "phone", "birthdate", "address", "metadata")
    assert (await client.upsert({"source_id": "ada", **dict.fromkeys(names)})).status == 202
    assert voucherify_error(await client.upsert({"source_id": None})) == (400, "invalid_customer")


@pytest.mark.parametrize("content_type", ["text/plain", "application/octet-stream", "multipart/form-data; boundary=x"])
async def test_only_json_is_taken(client: Client, content_type: str) -> None:
    answer = await client.post(b'[{"source_id": "ada"}]', {**VOUCHERIFY_HEADERS, "Content-Type": content_type})
    assert voucherify_error(answer) == (415, "unsupported_media_type")
    assert (await client.customer("ada")).status == 404


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8"])
async def test_json_may_name_its_charset(client: Client, content_type: str) -> None:
    headers = {**VOUCHERIFY_HEADERS, "Content-Type": content_type}
    assert (await client.post(b'[{"source_id": "ada"}]', headers)).status == 202


def _body_of(size_bytes: int) -> bytes:
    empty = msgspec.json.encode([{**ADA, "description": ""}])
    return empty.replace(b'"description":"', b'"description":"' + b"x" * (size_bytes - len(empty)))


async def test_a_request_may_have_10_mb_and_not_a_byte_more(client: Client) -> None:
    limit = 10 * 1024 * 1024
    refused = await client.post(_body_of(limit + 1))
    assert (refused.status, refused.body["statusCode"], refused.body["error"]) == (413, 413, "Request Entity Too Large")
    assert str(limit) in refused.body["message"]
    assert (await client.customer("ada")).status == 404
    assert (await client.post(_body_of(limit))).status == 202


# --- the metadata schema ------------------------------------------------------------------------------


@pytest.mark.parametrize("defined_only", [False, True])
async def test_the_metadata_schema_has_the_definitions_and_whether_nothing_else_is_allowed(
    connect: Connect, defined_only: bool
) -> None:
    client = await connect(quick(defined_metadata_only=defined_only))
    schema = (await client.voucherify("/v1/metadata-schemas/customer")).body
    assert schema["allow_defined_only"] is defined_only
    assert {name: (entry["type"], entry["array"]) for name, entry in schema["properties"].items()} == {
        "plan": ("string", False),
        "lifetime_value": ("number", False),
        "tags": ("string", True),
        "nested": ("object", False),
    }


@pytest.mark.parametrize(("defined_only", "status"), [(False, 202), (True, 400)])
async def test_undefined_metadata_is_refused_only_where_the_schema_forbids_it(
    connect: Connect, defined_only: bool, status: int
) -> None:
    client = await connect(quick(defined_metadata_only=defined_only))
    assert (await client.upsert({**ADA, "metadata": {"plan": "pro"}})).status == 202
    assert (await client.upsert({**ADA, "metadata": {"plan": "pro", "shoe_size": 42}})).status == status


@pytest.mark.parametrize(
    "metadata", [{"plan": 7}, {"lifetime_value": "7"}, {"tags": "a"}, {"tags": ["a", 1]}, {"nested": "object"}], ids=str
)
@pytest.mark.parametrize("defined_only", [False, True])
async def test_defined_metadata_of_another_type_is_never_written(
    connect: Connect, defined_only: bool, metadata: dict[str, Any]
) -> None:
    client = await connect(quick(defined_metadata_only=defined_only))
    await client.upsert({**ADA, "metadata": metadata})
    assert (await client.customer("ada")).status == 404
