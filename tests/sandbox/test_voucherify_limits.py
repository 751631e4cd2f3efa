"""The limit of the sandbox's Voucherify API, and how each of its answers describes it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from segsync.sandbox.limits import SlidingWindow
from segsync.sandbox.options import SandboxOptions
from tests.sandbox.clients import BULK, TOO_MANY, VOUCHERIFY_HEADERS, Answer, Client, quick
from tests.sandbox.conftest import Connect

ADA = {"source_id": "ada"}
TOO_BIG = 10 * 1024 * 1024 + 1


def _limits(answer: Answer) -> tuple[int, int]:
    """The limit, and what is left of it."""
    return int(answer.headers["X-Rate-Limit-Limit"]), int(answer.headers["X-Rate-Limit-Remaining"])


async def test_every_answer_to_a_bulk_call_shows_what_is_left_of_the_limit(connect: Connect) -> None:
    client = await connect(quick(voucherify_requests_per_minute=3))
    answers = [
        await client.post(b"[]", headers={}),
        await client.upsert(ADA),
        await client.upsert({}),
        await client.post(b" " * TOO_BIG),
        await client.upsert(ADA),
    ]
    assert [answer.status for answer in answers] == [401, 202, 400, 413, 429]
    assert [_limits(answer) for answer in answers] == [(3, left) for left in (3, 2, 1, 0, 0)]
    assert len({answer.headers["Request-Id"] for answer in answers}) == len(answers)


async def test_every_answer_to_a_read_shows_what_is_left_of_the_limit(connect: Connect) -> None:
    client = await connect(quick(voucherify_requests_per_minute=4))
    answers = [
        await client.voucherify("/v1/async-actions", headers={}),
        await client.voucherify("/v1/async-actions"),
        await client.voucherify("/v1/async-actions/aa_unknown"),
        await client.voucherify("/v1/customers/unknown"),
        await client.voucherify("/v1/metadata-schemas/customer"),
        await client.voucherify("/v1/async-actions"),
    ]
    assert [answer.status for answer in answers] == [401, 200, 404, 404, 200, 429]
    assert [_limits(answer) for answer in answers] == [(4, left) for left in (4, 3, 2, 1, 0, 0)]
    assert len({answer.headers["Request-Id"] for answer in answers}) == len(answers)


async def test_one_call_more_than_the_limit_within_a_minute_is_answered_429(connect: Connect) -> None:
    client = await connect(quick(voucherify_requests_per_minute=5))
    answers = [await client.upsert(ADA) for _ in range(6)]
    assert [answer.status for answer in answers] == [202] * 5 + [429]
    assert answers[-1].body == TOO_MANY
    assert answers[-1].headers["X-Rate-Limit-Type"] == "bulk_api_calls"
    assert 45 < int(answers[-1].headers["Retry-After"]) <= 61
    assert all(not {"Retry-After", "X-Rate-Limit-Type"} & set(answer.headers) for answer in answers[:-1])


async def test_100_calls_per_minute_are_allowed_by_default(connect: Connect) -> None:
    client = await connect(SandboxOptions(latency_ms=0))
    answers = await asyncio.gather(*(client.upsert(ADA) for _ in range(103)))
    assert sorted(answer.status for answer in answers) == [202] * 100 + [429] * 3


async def test_a_refused_call_has_no_effect(connect: Connect) -> None:
    client = await connect(quick(voucherify_requests_per_minute=1))
    assert (await client.upsert(ADA)).status == 202
    assert (await client.upsert({"source_id": "grace"})).status == 429
    assert client.sandbox.voucherify.customers == {"ada": ADA}


async def test_a_call_that_waits_for_retry_after_is_allowed(connect: Connect) -> None:
    client, now = await connect(quick()), [0.0]
    client.sandbox.voucherify.window = SlidingWindow(1, 60.0, lambda: now[0])
    assert (await client.upsert(ADA)).status == 202
    now[0] = 10.5
    before = time.time()
    refused = await client.upsert(ADA)
    after = time.time()
    retry_after = int(refused.headers["Retry-After"])
    assert 49.5 <= retry_after <= 51
    assert before + 49.5 <= int(refused.headers["X-Rate-Limit-Retry"]) <= after + 50.5
    now[0] += retry_after - 2
    assert (await client.upsert(ADA)).status == 429
    now[0] += 2
    assert (await client.upsert(ADA)).status == 202


async def test_segments_calls_do_not_count_towards_voucherifys_limit(connect: Connect) -> None:
    client = await connect(quick(voucherify_requests_per_minute=1))
    assert [(await client.segment()).status for _ in range(3)] == [200, 200, 200]
    assert (await client.upsert(ADA)).status == 202


async def _spend_the_limit_on_reads(client: Client) -> Answer:
    answers = [await client.voucherify("/v1/async-actions") for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    return answers[-1]


async def test_a_refused_read_names_the_limit_of_reads(connect: Connect) -> None:
    client = await connect(quick(voucherify_requests_per_minute=2))
    assert (await _spend_the_limit_on_reads(client)).headers["X-Rate-Limit-Type"] == "api_calls"


async def test_a_bulk_call_counts_apart_from_a_read(connect: Connect) -> None:
    client = await connect(quick(voucherify_requests_per_minute=2))
    await _spend_the_limit_on_reads(client)
    assert (await client.upsert(ADA)).status == 202


# --- bulk calls by the hour ---------------------------------------------------------------------------


async def test_bulk_calls_may_count_by_the_hour_and_reads_then_go_on(connect: Connect) -> None:
    client = await connect(quick(bulk_requests_per_hour=2, voucherify_requests_per_minute=3))
    answers = [await client.upsert(ADA) for _ in range(3)]
    assert [answer.status for answer in answers] == [202, 202, 429]
    assert [_limits(answer) for answer in answers] == [(2, 1), (2, 0), (2, 0)]
    assert answers[-1].headers["X-Rate-Limit-Type"] == "bulk_api_calls"
    assert 3590 <= int(answers[-1].headers["Retry-After"]) <= 3601
    reads = [await client.voucherify("/v1/async-actions") for _ in range(3)]
    assert [(read.status, *_limits(read)) for read in reads] == [(200, 3, 2), (200, 3, 1), (200, 3, 0)]


async def test_without_a_limit_by_the_hour_bulk_calls_count_by_the_minute(connect: Connect) -> None:
    client = await connect(quick(voucherify_requests_per_minute=1))
    refused = [await client.upsert(ADA) for _ in range(2)][-1]
    assert int(refused.headers["Retry-After"]) <= 61


@pytest.mark.parametrize("megabytes", [10, 25])
async def test_a_request_beyond_10_mb_that_does_not_declare_its_size_is_refused(
    connect: Connect, megabytes: int
) -> None:
    client = await connect(quick(voucherify_requests_per_minute=5))

    async def chunks() -> AsyncIterator[bytes]:
        yield b'[{"source_id": "ada", "description": "'
        for _ in range(megabytes):
            yield b"x" * (1024 * 1024)
        yield b'"}]'

    answer = await client.call("POST", BULK, {"Content-Type": "application/json", **VOUCHERIFY_HEADERS}, data=chunks())
    assert answer.status == 413
    assert {"Request-Id", "X-Rate-Limit-Limit"} <= set(answer.headers)


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/vouchers"), ("DELETE", "/v1/customers/ada")])
async def test_a_call_that_the_sandbox_does_not_have_is_answered_as_others_are(
    connect: Connect, method: str, path: str
) -> None:
    answer = await (await connect(quick(voucherify_requests_per_minute=5))).call(method, path, VOUCHERIFY_HEADERS)
    assert answer.status in (404, 405)
    assert {"Request-Id", "X-Rate-Limit-Limit"} <= set(answer.headers)
