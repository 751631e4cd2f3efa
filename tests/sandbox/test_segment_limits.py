"""The limit of the sandbox's Profile API, its latency, and the id of each of its answers."""

from __future__ import annotations

import asyncio
import statistics

import pytest

from segsync.sandbox.limits import SlidingWindow
from segsync.sandbox.options import SPACE_ID, SandboxOptions
from tests.sandbox.clients import SEGMENT_HEADERS, quick, segment_error
from tests.sandbox.conftest import Connect

# --- Request-Id ---------------------------------------------------------------------------------------


async def test_every_answer_has_a_request_id_of_its_own(connect: Connect) -> None:
    client = await connect(quick(segment_requests_per_second=4))
    answers = [
        await client.segment(headers={}),
        await client.segment(),
        await client.segment(limit=0),
        await client.segment(space="other"),
        await client.segment("/segment_id:use_unknown/traits"),
        await client.segment(),
    ]
    assert [answer.status for answer in answers] == [401, 200, 400, 404, 404, 429]
    ids = [answer.headers.get("Request-Id", "") for answer in answers]
    assert all(ids)
    assert len(set(ids)) == len(ids)


async def test_calls_side_by_side_have_request_ids_of_their_own(connect: Connect) -> None:
    client = await connect(quick(latency_ms=5))
    answers = await asyncio.gather(*(client.segment() for _ in range(20)))
    assert len({answer.headers["Request-Id"] for answer in answers}) == 20


@pytest.mark.parametrize(("method", "path"), [("GET", "/segment_id:use_1/links"), ("POST", "")])
async def test_a_call_that_the_api_does_not_have_is_answered_with_a_request_id(
    connect: Connect, method: str, path: str
) -> None:
    client = await connect(quick())
    answer = await client.call(method, f"/v1/spaces/{SPACE_ID}/collections/users/profiles{path}", SEGMENT_HEADERS)
    assert answer.status in (404, 405)
    assert "Request-Id" in answer.headers


# --- the limit and the latency ------------------------------------------------------------------------


async def test_one_call_more_than_the_limit_within_a_second_is_answered_429(connect: Connect) -> None:
    client = await connect(quick(segment_requests_per_second=20))
    answers = [await client.segment(limit=1) for _ in range(21)]
    assert [answer.status for answer in answers] == [200] * 20 + [429]
    assert segment_error(answers[-1]) == (429, "rate_limit_error")
    assert "Retry-After" not in answers[-1].headers, "Segment promises none"


async def test_100_calls_per_second_are_allowed_by_default(connect: Connect) -> None:
    client = await connect(SandboxOptions(latency_ms=0))
    answers = await asyncio.gather(*(client.segment(limit=1) for _ in range(105)))
    assert sorted(answer.status for answer in answers) == [200] * 100 + [429] * 5


async def test_all_calls_for_a_space_count_towards_one_limit(connect: Connect) -> None:
    client = await connect(quick(segment_requests_per_second=3))
    segment_id = client.sandbox.space.segment_id(0)
    calls = [client.segment(), client.traits(segment_id), client.external_ids(segment_id), client.traits(segment_id)]
    assert [(await call).status for call in calls] == [200, 200, 200, 429]


async def test_voucherifys_calls_do_not_count_towards_segments_limit(connect: Connect) -> None:
    client = await connect(quick(segment_requests_per_second=1))
    assert [(await client.voucherify("/v1/async-actions")).status for _ in range(3)] == [200, 200, 200]
    assert (await client.segment()).status == 200


async def test_a_call_is_allowed_again_a_second_after_those_before(connect: Connect) -> None:
    client, now = await connect(quick()), [0.0]
    client.sandbox.segment.window = SlidingWindow(2, 1.0, lambda: now[0])
    statuses = []
    for now[0] in (0.0, 0.5, 0.75, 1.0, 1.25, 1.5):
        statuses.append((await client.segment()).status)
    assert statuses == [200, 200, 429, 200, 429, 200]


async def test_a_call_takes_about_the_latency_however_many_run_beside_it(connect: Connect) -> None:
    client = await connect(quick(latency_ms=60))
    clock = asyncio.get_running_loop().time

    async def seconds() -> float:
        start = clock()
        assert (await client.segment(limit=1)).status == 200
        return clock() - start

    taken = await asyncio.gather(*(seconds() for _ in range(25)))
    assert 0.04 < statistics.median(taken) < 0.5
    assert max(taken) - min(taken) > 0.02, "not all take the same time"
