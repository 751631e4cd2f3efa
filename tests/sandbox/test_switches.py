"""`/sandbox/faults`: what goes wrong is switched while the sandbox runs, so that a cause can be fixed and retried."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from segsync.sandbox.options import Faults, SandboxOptions, Switches, switched, switches, takes
from tests.conftest import StartSandbox
from tests.sandbox.clients import Answer, Client, quick
from tests.sandbox.conftest import Connect

PEOPLE = [{"source_id": f"person {number}"} for number in range(40)]


async def _switch(client: Client, changes: object) -> Answer:
    body = changes if isinstance(changes, bytes) else msgspec.json.encode(changes)
    return await client.call("PUT", "/sandbox/faults", {}, data=body)


async def _shown(client: Client) -> dict[str, Any]:
    answer = await client.call("GET", "/sandbox/faults", {})
    assert answer.status == 200
    return dict(answer.body)


# --- one by one ---------------------------------------------------------------------------------------


OTHERS: dict[type, list[Any]] = {bool: [True], float: [0.5, 1], int: [7, 0], str: ["found,updated"]}


def _changes() -> list[dict[str, Any]]:
    """A change of every switch, and of every share of the faults of either service."""
    found: list[dict[str, Any]] = []
    for name, value in msgspec.to_builtins(switches(SandboxOptions())).items():
        if isinstance(value, dict):
            found += [{name: {share: 0.25}} for share in value]
        else:
            found += [{name: other} for other in OTHERS[type(value)] if other != value]
    return found


@pytest.mark.parametrize("change", _changes(), ids=str)
async def test_every_switch_is_switched_alone_and_shown(connect: Connect, change: dict[str, Any]) -> None:
    faults = Faults(*[0.05] * len(Faults.__struct_fields__))
    client = await connect(quick(segment_faults=faults, voucherify_faults=faults))
    before = await _shown(client)
    answer = await _switch(client, change)
    [(name, value)] = change.items()
    expected = {**before, name: {**before[name], **value} if isinstance(value, dict) else value}
    assert (answer.status, answer.body) == (200, expected)
    assert await _shown(client) == expected


def test_there_is_a_switch_for_all_that_is_not_a_property_of_the_space() -> None:
    of_the_space = {"profiles", "seed", "identifier", "anonymous", "messy", "identifier_trait", "crowded"}
    assert set(SandboxOptions.__struct_fields__) - set(Switches.__struct_fields__) == of_the_space


def test_the_space_stays_as_it_is() -> None:
    options = quick(profiles=7, seed=3, identifier="email")
    assert switched(options, b'{"missing": 0.5}') == msgspec.structs.replace(options, missing=0.5)


# --- a bad body ---------------------------------------------------------------------------------------


BAD: list[tuple[bytes, str]] = [
    (b"", "truncated"),
    (b"refused_later=0", "malformed"),
    (b'{"report_columns": "\xff"}', "utf-8"),
    (b'{"segment": ' + b"[" * 100_000, "depth"),
    (b'[{"refused_later": 0}]', "object"),
    (b"null", "object"),
    (b'{"refuse_later": 0}', "refuse_later"),
    (b'{"profiles": 7}', "profiles"),
    (b'{"refused_later": "0"}', "refused_later"),
    (b'{"refused_later": null}', "refused_later"),
    (b'{"refused_later": true}', "refused_later"),
    (b'{"refused_later": 1.01}', "refused_later"),
    (b'{"refused_later": -0.01}', "refused_later"),
    (b'{"refused_later": 1e999}', "range"),
    (b'{"latency_ms": 1e300}', "latency_ms"),
    (b'{"errors_listed": 1.5}', "errors_listed"),
    (b'{"foreign_reports": 1}', "foreign_reports"),
    (b'{"segment": 0.5}', "segment"),
    (b'{"segment": {"cuts": 0.5}}', "cuts"),
    (b'{"voucherify": {"cut": 2}}', "voucherify.cut"),
    (b'{"action_seconds": 3, "missing": 2}', "missing"),
]


@pytest.mark.parametrize(("body", "word"), BAD, ids=[str(body) for body, _ in BAD])
async def test_a_bad_body_changes_nothing_and_is_answered_with_what_it_takes(
    connect: Connect, body: bytes, word: str
) -> None:
    client = await connect(quick())
    before = await _shown(client)
    answer = await _switch(client, body)
    assert (answer.status, set(answer.body)) == (400, {"problem", "takes"})
    assert word in answer.body["problem"]
    assert answer.body["takes"] == takes()
    assert await _shown(client) == before


def test_what_it_takes_is_every_name_with_its_values() -> None:
    found = takes()
    assert set(found) == set(msgspec.to_builtins(switches(SandboxOptions())))
    assert (found["refused_later"], found["foreign_reports"]) == ("0 to 1", "true or false")
    assert found["errors_listed"].startswith("a whole number, 0 to")
    assert found["segment"] == dict.fromkeys(Faults.__struct_fields__, "0 to 1")


# --- with effect --------------------------------------------------------------------------------------


async def _refused(client: Client) -> int:
    failed: int = (await client.action(await client.upsert(*PEOPLE)))["result"]["failed_count"]
    return failed


async def test_those_who_are_refused_are_written_by_a_retry_when_the_cause_is_fixed(connect: Connect) -> None:
    client = await connect(quick(profiles=60, refused_later=0.2))
    space = client.sandbox.space
    customers = [each for index in range(60) if (each := space.profile(index).customer)]
    errors = (await client.action(await client.upsert(*customers)))["result"]["errors"]
    assert 0 < len(errors) < 30
    assert client.sandbox.verdict().is_right
    assert (await _switch(client, {"refused_later": 0})).status == 200
    assert client.sandbox.verdict().missing_count == len(errors), "they could be customers now"
    refused = {error["source_id"] for error in errors}
    await client.upsert(*(customer for customer in customers if customer["source_id"] in refused))
    assert client.sandbox.verdict().is_right
    assert client.sandbox.verdict().refused == 0


async def test_those_who_were_written_before_are_not_wrong_when_they_would_be_refused_now(connect: Connect) -> None:
    client = await connect(quick(profiles=60))
    customers = [each for index in range(60) if (each := client.sandbox.space.profile(index).customer)]
    await client.upsert(*customers)
    await _switch(client, {"refused_later": 1.0})
    assert client.sandbox.verdict().is_right
    assert client.sandbox.verdict().arrived == len(customers)


async def test_the_same_are_refused_when_it_is_switched_back(connect: Connect) -> None:
    client = await connect(quick(refused_later=0.3))
    first = await _refused(client)
    await _switch(client, {"refused_later": 0})
    assert await _refused(client) == 0
    await _switch(client, {"refused_later": 0.3})
    assert await _refused(client) == first > 0


async def test_limits_and_whatever_else_a_service_keeps_are_switched(connect: Connect) -> None:
    client = await connect(quick(profiles=40))
    changes = {
        "segment_requests_per_second": 1,
        "voucherify_requests_per_minute": 1,
        "defined_metadata_only": True,
        "missing": 1,
    }
    assert (await _switch(client, changes)).status == 200
    assert [(await client.segment()).status for _ in range(2)] == [200, 429]
    schemas = [await client.voucherify("/v1/metadata-schemas/customer") for _ in range(2)]
    assert [schema.status for schema in schemas] == [200, 429]
    assert schemas[0].body["allow_defined_only"]
    await _switch(client, {"segment_requests_per_second": 0})
    assert (await client.traits(client.sandbox.space.segment_id(0))).status == 404
    await _switch(client, {"missing": 0})
    assert (await client.traits(client.sandbox.space.segment_id(0))).status == 200


async def test_a_later_action_can_end_before_an_earlier_one_that_was_slower(connect: Connect) -> None:
    client = await connect(quick(action_seconds=60))
    slow = await client.upsert({"source_id": "ada"})
    await _switch(client, {"action_seconds": 0})
    quick_one = await client.upsert({"source_id": "grace"})
    assert [(await client.action(each))["status"] for each in (slow, quick_one)] == ["IN_PROGRESS", "DONE"]
    assert [(await client.customer(each)).status for each in ("ada", "grace")] == [404, 200]


async def test_a_limit_that_is_set_later_counts_from_then_on(connect: Connect) -> None:
    client = await connect(quick())
    assert [(await client.upsert()).status for _ in range(3)] == [202] * 3
    await _switch(client, {"bulk_requests_per_hour": 1})
    assert [(await client.upsert()).status for _ in range(2)] == [202, 429]
    await _switch(client, {"bulk_requests_per_hour": 0})
    assert (await client.upsert()).status == 202


async def test_a_process_is_switched_too(start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(quick(profiles=40, missing=1.0))
    assert sandbox.verdict().expected == 0
    sandbox.set_faults(missing=0)
    assert sandbox.verdict().expected > 0
