"""Probing the services: which region answers, which host is asked, and what to do about each failure."""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import AsyncExitStack
from typing import Any

import pytest

from segsync.check.probe import Hosts, ServiceProbe
from segsync.events import Throttled
from segsync.mapping.metadata_schema import MetadataSchema
from tests.support.configured import settings
from tests.support.scripted import Answer, Events, Script, answer, hang_up, raw, scripted_server

UNKNOWN = answer({"error": {"code": "authentication_error", "message": "no"}}, 401)
NO_SPACE = answer({"error": {"code": "not_found", "message": "Space was not found."}}, 404)
EMPTY_SPACE = answer({"data": [], "cursor": {"next": ""}})
NO_ACTIONS = answer({"async_actions": []})
FAR = {"X_Rate_Limit_Remaining": "0", "X_Rate_Limit_Retry": str(int(time.time()) + 3000)}
SCHEMA = answer({"properties": {"plan": {"type": "string"}}, "allow_defined_only": True})


class World:
    """Hosts of both services by region, each with its script."""

    def __init__(self, segment: dict[str, Answer], voucherify: dict[str, list[Answer]]) -> None:
        self.segment = {region: Script(given) for region, given in segment.items()}
        self.voucherify = {region: Script(*given) for region, given in voucherify.items()}

    async def hosts(self, stack: AsyncExitStack) -> Hosts:
        segment, voucherify = [
            {region: await stack.enter_async_context(scripted_server(script)) for region, script in scripts.items()}
            for scripts in (self.segment, self.voucherify)
        ]
        return {"segment": segment, "voucherify": voucherify}


async def test_the_configured_region_is_named_where_it_answers_and_no_other_is_asked() -> None:
    world = World(
        {"us": EMPTY_SPACE, "eu": EMPTY_SPACE}, {"eu": [NO_ACTIONS, SCHEMA], "us": [UNKNOWN], "asia": [UNKNOWN]}
    )
    async with AsyncExitStack() as stack:
        probe = ServiceProbe(settings(), await world.hosts(stack))
        segment, sample = await probe.sample(100)
        voucherify, schema = await probe.schema()
    assert (segment.state, voucherify.state) == ("ok", "ok")
    assert "SEGMENT_REGION=us" in segment.detail
    assert "VOUCHERIFY_REGION=eu" in voucherify.detail
    assert sample is not None
    assert isinstance(schema, MetadataSchema)
    assert schema.allow_defined_only
    assert not world.segment["eu"].calls
    assert not world.voucherify["us"].calls


@pytest.mark.parametrize("refusal", [UNKNOWN, NO_SPACE])
async def test_credentials_of_the_other_region_are_found_there(refusal: Answer) -> None:
    world = World({"us": refusal, "eu": EMPTY_SPACE}, {"eu": [UNKNOWN], "us": [UNKNOWN], "asia": [NO_ACTIONS]})
    async with AsyncExitStack() as stack:
        probe = ServiceProbe(settings(), await world.hosts(stack))
        segment, sample = await probe.sample(100)
        voucherify, schema = await probe.schema()
    assert (segment.state, sample) == ("failed", None)
    assert segment.fix == "Set SEGMENT_REGION=eu."
    assert (voucherify.state, schema) == ("failed", None)
    assert voucherify.fix == "Set VOUCHERIFY_REGION=asia."
    assert all("Authorization" not in headers for script in world.voucherify.values() for headers in script.headers)
    assert all("X-App-Token" not in headers for script in world.segment.values() for headers in script.headers)


async def test_credentials_that_no_region_knows_are_wrong() -> None:
    world = World({"us": UNKNOWN, "eu": UNKNOWN}, {"eu": [UNKNOWN], "us": [UNKNOWN], "asia": [UNKNOWN]})
    async with AsyncExitStack() as stack:
        probe = ServiceProbe(settings(), await world.hosts(stack))
        (segment, _), (voucherify, _) = await probe.sample(100), await probe.schema()
    assert "SEGMENT_ACCESS_TOKEN" in segment.fix
    assert "VOUCHERIFY_SECRET_KEY" in voucherify.fix
    assert len(world.segment["eu"].calls) == 1


async def test_with_a_base_url_the_credentials_go_there_alone() -> None:
    world = World(
        {"us": EMPTY_SPACE, "eu": EMPTY_SPACE}, {"eu": [NO_ACTIONS], "us": [NO_ACTIONS], "asia": [NO_ACTIONS]}
    )
    own = Script(UNKNOWN)
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(scripted_server(own))
        hosts = await world.hosts(stack)
        probe = ServiceProbe(settings(segment_base_url=url, voucherify_base_url=url), hosts)
        (segment, _), (voucherify, _) = await probe.sample(100), await probe.schema()
    assert (segment.state, voucherify.state) == ("failed", "failed")
    assert len(own.calls) == 2
    assert not [script.calls for script in (*world.segment.values(), *world.voucherify.values()) if script.calls]


@pytest.mark.parametrize(
    ("given", "detail", "fix"),
    [
        (hang_up, "the connection was cut", "Check the network"),
        (raw(b"<html>", "text/html"), "text/html instead of JSON", "Check SEGMENT_REGION or SEGMENT_BASE_URL"),
        (answer({}, 503), "503", "status page"),
        (answer({}, 402), "used up", "next cycle"),
        (raw(b"<h1>Blocked", "text/html", 403), "a proxy or firewall", "Ask your network administrator"),
        (answer({"data": 7, "cursor": {}}), "not what its API documents", "Check SEGMENT_REGION"),
    ],
)
async def test_each_failure_is_a_finding_with_what_to_do(given: Answer, detail: str, fix: str) -> None:
    async with scripted_server(Script(given)) as url:
        segment, sample = await ServiceProbe(settings(segment_base_url=url, retry_seconds=0)).sample(10)
    assert (segment.state, sample) == ("failed", None)
    assert detail in segment.detail
    assert fix in segment.fix


async def test_credentials_that_are_refused_in_the_middle_of_a_check_are_a_finding() -> None:
    one = answer({"data": [{"segment_id": "use_1"}], "cursor": {"next": ""}})
    async with scripted_server(Script(one, answer({}, 401))) as url:
        segment, sample = await ServiceProbe(settings(segment_base_url=url, retry_seconds=0)).sample(10)
    assert (segment.state, sample) == ("failed", None)
    assert "which it accepted before in this run" in segment.detail
    assert "Check SEGMENT_ACCESS_TOKEN" in segment.fix


async def test_bulk_calls_that_are_used_up_do_not_matter_to_a_check() -> None:
    far = {**FAR, "X_Rate_Limit_Type": "bulk_api_calls"}
    script = Script(answer({"async_actions": []}, 200, **far), SCHEMA)
    async with scripted_server(script) as url, asyncio.timeout(5):
        voucherify, schema = await ServiceProbe(settings(voucherify_base_url=url)).schema()
    assert voucherify.state == "ok"
    assert isinstance(schema, MetadataSchema)


LISTED = answer({"data": [{"segment_id": "use_1"}], "cursor": {"next": ""}})
DAMAGED_TRAIT = raw(rb'{"traits":{"user_id":"ada\ud83d"}}')


@pytest.mark.parametrize(
    ("answers", "unreadable"),
    [
        ([answer({"data": []}), DAMAGED_TRAIT], 1),
        ([answer({"data": [{"type": "user_id", "id": "ada"}]}), DAMAGED_TRAIT], 0),
        ([raw(rb'{"data":[{"type":"user_id","id":"ada\ud83d"}]}')], 1),
        (
            [
                answer({"data": [{"type": "user_id", "id": "ada"}], "cursor": {"next": "2"}}),
                raw(rb'{"data":[{"type":"user_id","id":"ada\ud83d"}]}'),
                answer({"traits": {}}),
            ],
            0,
        ),
    ],
)
async def test_a_profile_that_an_import_rejects_for_a_damaged_identifier_is_unreadable(
    answers: list[Answer], unreadable: int
) -> None:
    async with scripted_server(Script(LISTED, *answers)) as url:
        _, sample = await ServiceProbe(settings(segment_base_url=url, identifier_lookup="traits")).sample(1)
    assert sample is not None
    assert (len(sample.profiles), sum(sample.unreadable.values())) == (1 - unreadable, unreadable)


async def test_a_defect_is_a_finding_and_not_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_arguments: Any) -> None:
        raise KeyError("ada@example.com")

    monkeypatch.setattr("segsync.check.probe._listed", broken)
    segment, _ = await ServiceProbe(settings(segment_base_url="http://127.0.0.1:1")).sample(10)
    assert segment.state == "failed"
    assert "unexpected KeyError" in segment.detail
    assert "ada" not in segment.detail


@pytest.mark.parametrize(
    ("refusal", "problem"),
    [
        (answer({}, 403), "this application key may not read the metadata schema"),
        (answer({"properties": 7}), "the metadata schema for customers cannot be read"),
    ],
)
async def test_a_schema_that_cannot_be_read_leaves_the_credentials_accepted(refusal: Answer, problem: str) -> None:
    async with scripted_server(Script(NO_ACTIONS, refusal)) as url:
        voucherify, schema = await ServiceProbe(settings(voucherify_base_url=url)).schema()
    assert voucherify.state == "ok"
    assert isinstance(schema, str)
    assert problem in schema


async def test_nobody_waits_an_hour_for_a_check() -> None:
    """Voucherify may answer that the calls of this hour are used up."""
    events = Events()
    async with scripted_server(Script(answer({"async_actions": []}, 200, **FAR))) as url, asyncio.timeout(5):
        voucherify, schema = await ServiceProbe(settings(voucherify_base_url=url), on_event=events.append).schema()
    assert (voucherify.state, schema) == ("failed", None)
    assert re.search(r"Voucherify asks for no calls before \d\d:\d\d:\d\d", voucherify.detail)
    assert voucherify.fix.startswith("Check again then.")
    assert events.of(Throttled)


async def test_that_no_calls_are_left_does_not_matter_once_all_is_answered() -> None:
    last = answer({"properties": {}}, 200, **FAR)
    async with scripted_server(Script(NO_ACTIONS, last)) as url, asyncio.timeout(5):
        voucherify, schema = await ServiceProbe(settings(voucherify_base_url=url)).schema()
    assert voucherify.state == "ok"
    assert schema == MetadataSchema()
