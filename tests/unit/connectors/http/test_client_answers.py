"""What a proxy on the way does to an answer: long headers, and compression that nobody asked for."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable

import pytest
from aiohttp import compression_utils, web

from segsync.connectors.factory import connect_services
from segsync.connectors.http.client import MAX_ANSWER_BYTES
from segsync.connectors.http.failures import MAX_HEADER_BYTES
from segsync.errors import AnswerError, CallError, TransientError
from segsync.events import CallRetried, ignore
from tests.support.configured import settings
from tests.support.hostile import gzip_bomb, packed
from tests.support.scripted import Answer, Events, Script, answer, scripted_server

JSON = b'{"async_actions": []}'
FINE = answer({"async_actions": []})

NOT_HERE = [
    name
    for name, is_here in (("br", compression_utils.HAS_BROTLI), ("zstd", compression_utils.HAS_ZSTD))
    if not is_here
]
"""The compressions that aiohttp cannot undo, since a library for them is not installed."""


async def _ask(*given: Answer, calls: int = 1, retry_seconds: float = 0) -> tuple[Script, Events]:
    """Ask with the program's own connections; the script of the server and the events."""
    script, events = Script(*given), Events()
    async with scripted_server(script) as url:
        own = settings(voucherify_base_url=url, retry_seconds=retry_seconds)
        async with connect_services(own, events.append) as (_, sink):
            for _call in range(calls):
                assert await sink.action_statuses() == {}
    return script, events


def _with_header(size: int) -> Answer:
    async def respond(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=JSON, content_type="application/json", headers={"Content-Security-Policy": "a" * size})

    return respond


@pytest.mark.parametrize("size", [8_000, 40_000, MAX_HEADER_BYTES - 100])
async def test_headers_may_be_long(size: int) -> None:
    await _ask(_with_header(size))


async def test_a_header_that_is_too_long_is_named() -> None:
    with pytest.raises(TransientError, match=r"a header of the answer has more than 65,536 bytes"):
        await _ask(_with_header(MAX_HEADER_BYTES + 1000))


@pytest.mark.parametrize(("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
async def test_what_can_be_unpacked_is(encoding: str, compress: Callable[[bytes], bytes]) -> None:
    script, _ = await _ask(packed(compress(JSON), encoding))
    assert script.headers[0]["Accept-Encoding"] == "identity"


async def test_not_more_of_it_than_of_any_answer() -> None:
    with pytest.raises(AnswerError, match=f"more than {MAX_ANSWER_BYTES:,} bytes"):
        await _ask(packed(gzip_bomb(100)))


@pytest.mark.parametrize("encoding", [*NOT_HERE, *(name.upper() for name in NOT_HERE), "X-Company"])
async def test_another_compression_is_named_and_final_at_first(encoding: str) -> None:
    with pytest.raises(
        AnswerError, match=rf"in {encoding.lower()} compression, though none was asked for. A proxy"
    ) as caught:
        await _ask(packed(b"\x8b\x00ada@example.com", encoding))
    assert "ada" not in str(caught.value)


@pytest.mark.parametrize("encoding", [*NOT_HERE, "x-company"])
async def test_in_mid_run_it_may_pass(encoding: str) -> None:
    _, events = await _ask(FINE, packed(b"\x8b\x00", encoding), FINE, calls=2, retry_seconds=60)
    [retried] = events.of(CallRetried)
    assert f"in {encoding} compression" in retried.reason


@pytest.mark.parametrize("encoding", [*NOT_HERE, "x-company"])
async def test_an_upsert_that_is_answered_so_all_the_time_has_no_customers_to_blame(encoding: str) -> None:
    fine = answer({"async_action_id": "aa_1"}, 202)
    async with (
        scripted_server(Script(fine, packed(b"\x8b\x00", encoding))) as url,
        connect_services(settings(voucherify_base_url=url, retry_seconds=0), ignore) as (_, sink),
    ):
        await sink.upsert(b"[]")
        with pytest.raises(CallError) as caught:
            await sink.upsert(b"[]")
    assert type(caught.value) is AnswerError
