"""What goes wrong on demand, as a client sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp
import msgspec
import pytest
from yarl import URL

from segsync.sandbox.options import Faults
from segsync.sandbox.server import serve
from tests.conftest import StartSandbox
from tests.sandbox.clients import TOO_MANY, Answer, Client, quick, segment_error, voucherify_error
from tests.sandbox.conftest import Connect

Call = Callable[[Client], Awaitable[Answer]]

CALLS: dict[str, Call] = {
    "listing": lambda client: client.segment(),
    "traits": lambda client: client.traits(client.sandbox.space.segment_id(0)),
    "external ids": lambda client: client.external_ids(client.sandbox.space.segment_id(0)),
    "upsert": lambda client: client.upsert({"source_id": "ada"}),
    "read": lambda client: client.voucherify("/v1/async-actions"),
}

every_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


async def _connect(connect: Connect, faults: Faults) -> Client:
    return await connect(quick(segment_faults=faults, voucherify_faults=faults))


class _Raw(Client):
    """Keeps the body as it came."""

    async def _fetch(self, method: str, url: URL, headers: Mapping[str, str], data: Any = None) -> Answer:
        async with self._session.request(method, url, headers=headers, data=data) as response:
            return Answer(response.status, {"Content-Type": response.content_type}, await response.read())


async def _raw(call: Call, client: Client) -> tuple[int, str, bytes]:
    """Status, content type and body of an answer that may be no JSON."""
    answer = await call(_Raw(client._session, client.url, client.sandbox))
    return answer.status, answer.headers["Content-Type"], answer.body


async def _statuses(call: Call, client: Client, count: int) -> list[int]:
    return [(await call(client)).status for _ in range(count)]


@every_call
async def test_nothing_goes_wrong_unasked(connect: Connect, call: Call) -> None:
    assert set(await _statuses(call, await connect(quick()), 20)) <= {200, 202}


@every_call
async def test_too_many_is_answered_429(connect: Connect, call: Call) -> None:
    assert await _statuses(call, await _connect(connect, Faults(too_many=1.0)), 10) == [429] * 10


async def test_too_many_looks_as_the_limit_itself_does(connect: Connect) -> None:
    client = await _connect(connect, Faults(too_many=1.0))
    assert segment_error(await client.segment()) == (429, "rate_limit_error")
    assert (await client.upsert({"source_id": "ada"})).body == TOO_MANY
    assert client.sandbox.voucherify.accepted == 0
    verdict = client.sandbox.verdict()
    assert (verdict.segment_rate_limited, verdict.voucherify_rate_limited) == (1, 1)


@pytest.mark.parametrize(("call", "kind"), [("upsert", "bulk_api_calls"), ("read", "api_calls")])
async def test_too_many_gives_the_wait_as_the_limit_itself_does(connect: Connect, call: str, kind: str) -> None:
    answer = await CALLS[call](await _connect(connect, Faults(too_many=1.0)))
    assert int(answer.headers.get("Retry-After", 0)) >= 1
    assert answer.headers.get("X-Rate-Limit-Type") == kind


@every_call
async def test_server_errors_are_of_every_kind(connect: Connect, call: Call) -> None:
    client = await _connect(connect, Faults(server_error=1.0))
    assert set(await _statuses(call, client, 60)) == {500, 502, 503, 504}


async def test_a_server_error_has_the_shape_of_its_service_and_no_effect(connect: Connect) -> None:
    client = await _connect(connect, Faults(server_error=1.0))
    assert segment_error(await client.segment())[0] >= 500
    assert voucherify_error(await client.upsert({"source_id": "ada"}))[0] >= 500
    assert client.sandbox.voucherify.accepted == 0


@every_call
async def test_garbled_is_a_success_that_says_nothing(connect: Connect, call: Call) -> None:
    client = await _connect(connect, Faults(garbled=1.0))
    answers = [await _raw(call, client) for _ in range(60)]
    assert {status for status, _, _ in answers} <= {200, 202}
    bodies = {body for _, _, body in answers}
    assert {b"", b"{}"} < bodies
    assert any(kind == "text/html" and body.startswith(b"<!DOCTYPE") for _, kind, body in answers)
    halves = [body for body in bodies if body.startswith(b'{"')]
    assert halves
    for half in halves:
        with pytest.raises(msgspec.DecodeError, match="truncated"):
            msgspec.json.decode(half)


async def test_what_is_garbled_has_had_its_effect_and_errors_are_left_as_they_are(connect: Connect) -> None:
    client = await _connect(connect, Faults(garbled=1.0))
    await _raw(CALLS["upsert"], client)
    assert client.sandbox.voucherify.accepted == 1
    assert voucherify_error(await client.upsert({})) == (400, "invalid_customer")


@every_call
async def test_cut_breaks_every_connection(connect: Connect, call: Call) -> None:
    client = await _connect(connect, Faults(cut=1.0))
    for _ in range(20):
        with pytest.raises(aiohttp.ClientError):
            await call(client)


async def test_some_cuts_come_before_the_effect_some_after_it_and_some_in_the_middle_of_the_answer(
    connect: Connect,
) -> None:
    client = await _connect(connect, Faults(cut=1.0))
    outcomes = set()
    for number in range(60):
        before = client.sandbox.voucherify.accepted
        with pytest.raises(aiohttp.ClientError) as cut:
            await client.upsert({"source_id": str(number)})
        has_begun = isinstance(cut.value, aiohttp.ClientPayloadError)
        outcomes.add((client.sandbox.voucherify.accepted > before, has_begun))
    assert outcomes == {(False, False), (True, False), (True, True)}


@every_call
async def test_hang_is_never_answered(connect: Connect, call: Call) -> None:
    client = await _connect(connect, Faults(hang=1.0))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await call(client)


async def test_a_sandbox_ends_at_once_although_calls_hang(session: aiohttp.ClientSession) -> None:
    async with asyncio.timeout(30), serve(quick(segment_faults=Faults(hang=1.0))) as (sandbox, url):
        hanging = asyncio.create_task(Client(session, url, sandbox).segment())
        while sandbox.segment.calls == 0:  # noqa: ASYNC110 - it has no event for that
            await asyncio.sleep(0.01)
        assert not hanging.done()
    with pytest.raises(aiohttp.ClientError):
        await hanging


async def test_shares_add_up(connect: Connect) -> None:
    client = await _connect(connect, Faults(too_many=0.5, server_error=0.5))
    statuses = await _statuses(CALLS["listing"], client, 60)
    assert set(statuses) == {429, 500, 502, 503, 504}
    assert 15 < statuses.count(429) < 45


async def test_a_share_of_the_calls_goes_wrong_and_the_same_ones_for_the_same_seed(connect: Connect) -> None:
    async def outcome(seed: int) -> list[int]:
        client = await connect(quick(seed=seed, segment_faults=Faults(too_many=0.3)))
        return await _statuses(CALLS["listing"], client, 100)

    first, again, other = await outcome(1), await outcome(1), await outcome(2)
    assert set(first) == {200, 429}
    assert 15 < first.count(429) < 45
    assert first == again != other


async def test_the_faults_of_one_service_leave_the_other_alone(connect: Connect) -> None:
    client = await connect(quick(segment_faults=Faults(too_many=1.0)))
    assert (await client.segment()).status == 429
    assert (await client.upsert({"source_id": "ada"})).status == 202


async def test_a_call_that_is_not_allowed_is_refused_whatever_else_goes_wrong(connect: Connect) -> None:
    client = await _connect(connect, Faults(server_error=1.0))
    assert (await client.segment(headers={})).status == 401
    assert (await client.voucherify("/v1/async-actions", headers={})).status == 401


async def test_faults_are_changed_while_the_sandbox_runs_each_service_by_itself(
    start_sandbox: StartSandbox, session: aiohttp.ClientSession
) -> None:
    sandbox = start_sandbox(quick())
    client = Client(session, sandbox.url)

    async def statuses() -> tuple[int, int]:
        return (await client.segment()).status, (await client.voucherify("/v1/async-actions")).status

    assert await statuses() == (200, 200)
    sandbox.set_faults(segment=Faults(too_many=1.0), voucherify=Faults(too_many=1.0))
    assert await statuses() == (429, 429)
    sandbox.set_faults(segment=Faults())
    assert await statuses() == (200, 429)
    sandbox.set_faults(voucherify=Faults())
    assert await statuses() == (200, 200)
