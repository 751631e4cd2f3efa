"""What a caller gets for every kind of answer, and what is tried again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random

import aiohttp
import msgspec
import pytest
from aiohttp import web

from segsync.errors import AccessError, AnswerError, QuotaError, RefusedError, SegsyncError, TransientError
from segsync.models import CallAnswered, CallRetried, ServicePaused
from segsync.pacer import Pacer
from segsync.transport import MAX_ANSWER_BYTES, Transport
from tests.scripted import ANYTHING, Answer, Events, Script, answer, hang_up, raw, transport_to

FINE = answer({"fine": True})
TOO_MANY = answer({"error": {"code": "rate_limit_error", "message": "slow down"}}, 429)


async def _get(transport: Transport) -> dict[str, object]:
    return await transport.call("GET", "/v1/thing?next=secret-cursor", ANYTHING)


async def test_an_answer_is_decoded() -> None:
    script = Script(FINE)
    async with transport_to(script) as transport:
        assert await _get(transport) == {"fine": True}
    assert script.calls == ["GET /v1/thing?next=secret-cursor"]


@pytest.mark.parametrize(
    "trouble",
    [
        TOO_MANY,
        answer({}, 500),
        answer({}, 502),
        raw(b"<html>gateway</html>", "text/html", 503),
        answer({}, 504),
        answer({}, 408),
    ],
)
async def test_trouble_that_passes_is_tried_again_until_it_has_passed(trouble: Answer) -> None:
    events = Events()
    async with transport_to(Script(trouble, trouble, FINE), on_event=events.append) as transport:
        assert await _get(transport) == {"fine": True}
    assert len(events.of(CallAnswered)) == 3
    assert [event.attempt for event in events.of(CallRetried)] == [1, 2]


async def test_a_cut_connection_is_tried_again() -> None:
    async with transport_to(Script(hang_up, hang_up, hang_up, FINE)) as transport:
        assert await _get(transport) == {"fine": True}


async def test_an_answer_that_never_comes_is_tried_again() -> None:
    async def never(_request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(60)
        return web.Response()

    async with transport_to(Script(never, FINE), timeout_seconds=0.05) as transport:
        assert await _get(transport) == {"fine": True}


async def test_an_answer_that_is_cut_half_way_is_tried_again() -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.content_length = 1000
        await response.prepare(request)
        await response.write(b'{"fine":')
        return await hang_up(request)

    async with transport_to(Script(cut, FINE)) as transport:
        assert await _get(transport) == {"fine": True}


async def test_a_body_is_sent_again_with_every_try() -> None:
    script = Script(TOO_MANY, FINE)
    async with transport_to(script) as transport:
        await transport.call("POST", "/v1/things", ANYTHING, b"[1]")
    assert script.bodies == [b"[1]", b"[1]"]


@pytest.mark.parametrize(
    ("refusal", "error", "calls"),
    [
        (answer({}, 400), RefusedError, 1),
        (answer({}, 404), RefusedError, 1),
        (answer({}, 413), RefusedError, 1),
        (answer({}, 401), AccessError, 1),
        (answer({}, 403), AccessError, 1),
        (answer({}, 402), QuotaError, 1),
        (answer({}, 429, X_Rate_Limit_Type="api_calls_cycle", Retry_After="86400"), QuotaError, 1),
        (answer({}, 302, Location="https://elsewhere.example/"), AnswerError, 1),
        (raw(b"<html>hello</html>", "text/html"), AnswerError, 1),
    ],
)
async def test_what_will_not_change_is_not_tried_again(refusal: Answer, error: type[SegsyncError], calls: int) -> None:
    script = Script(refusal)
    async with transport_to(script) as transport:
        with pytest.raises(error):
            await _get(transport)
    assert len(script.calls) == calls


async def test_when_the_tries_run_out_the_last_error_says_what_when_and_for_how_long() -> None:
    script = Script(answer({}, 503, Request_Id="req-1"), answer({"key": "internal"}, 500, Request_Id="req-2"))
    async with transport_to(script, retry_seconds=0) as transport:
        with pytest.raises(TransientError, match=r"503 to GET /v1/thing; given up .* 1 attempts \[request id req-1\]"):
            await _get(transport)


async def test_no_message_holds_a_query_a_header_or_what_the_service_quoted() -> None:
    quoting = answer({"error": {"code": "validation_error", "message": "bad e-mail ada@example.com"}}, 400)
    async with transport_to(Script(quoting)) as transport:
        with pytest.raises(RefusedError) as caught:
            await _get(transport)
    for secret in ("secret-cursor", "c2VjcmV0", "ada@example.com"):
        assert secret not in str(caught.value)
    assert "validation_error" in str(caught.value)


async def test_a_refused_credential_is_named() -> None:
    async with transport_to(Script(answer({}, 401))) as transport:
        with pytest.raises(AccessError, match=r"Segment answered 401 .* refuses SEGMENT_ACCESS_TOKEN"):
            await _get(transport)


@pytest.mark.parametrize(
    ("body", "content_type", "said"),
    [
        (b"<html>", "text/html", "text/html instead of JSON. Is the base URL right"),
        (b'{"a":', "application/json", "truncated"),
        (b'{"a": NaN}', "application/json", "malformed"),
        (b"[1, 2]", "application/json", "Expected `object`, got `array`"),
        (b"", "application/json", "truncated"),
        (b'{"a": "\xff"}', "application/json", "can't decode byte"),
        (b'{"a":' * 100_000, "application/json", "recursion"),
    ],
)
async def test_an_answer_that_is_not_the_documented_one_is_said_in_words(
    body: bytes, content_type: str, said: str
) -> None:
    async with transport_to(Script(raw(body, content_type))) as transport:
        with pytest.raises(AnswerError, match=said):
            await _get(transport)


async def test_a_missing_field_is_named() -> None:
    class Wanted(msgspec.Struct):
        cursor: str

    async with transport_to(Script(FINE)) as transport:
        with pytest.raises(AnswerError, match="missing required field `cursor`"):
            await transport.call("GET", "/v1/thing", msgspec.json.Decoder(Wanted))


async def test_an_endless_answer_is_not_read_to_its_end() -> None:
    written = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal written
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        while written < 4 * MAX_ANSWER_BYTES:
            await response.write(b" " * 65536)
            written += 65536
        return response

    async with transport_to(Script(endless)) as transport:
        with pytest.raises(AnswerError, match=r"more than 16,777,216 bytes"):
            await _get(transport)
    assert written < 4 * MAX_ANSWER_BYTES


@pytest.mark.parametrize("status", [429, 503])
async def test_it_never_comes_back_earlier_than_it_was_asked_to(status: int) -> None:
    clock = asyncio.get_running_loop().time
    times: list[float] = []

    def timed(respond: Answer) -> Answer:
        async def remember(request: web.Request) -> web.StreamResponse:
            times.append(clock())
            return await respond(request)

        return remember

    script = Script(timed(answer({}, status, Retry_After="0.3")), timed(FINE))
    async with transport_to(script, retry_seconds=0.1) as transport:
        await _get(transport)
    assert times[1] - times[0] >= 0.3


async def test_after_an_announced_wait_the_patience_begins_again() -> None:
    script = Script(answer({}, 429, Retry_After="0.3"), answer({}, 503), FINE)
    async with transport_to(script, retry_seconds=0.1) as transport:
        await _get(transport)


async def test_announced_waits_that_never_end_are_given_up() -> None:
    script = Script(answer({}, 429, Retry_After="0.2"))
    async with transport_to(script, retry_seconds=0.1) as transport:
        with pytest.raises(TransientError):
            await _get(transport)
    assert len(script.calls) == 2


async def test_the_end_of_a_rate_window_is_no_reason_to_wait_when_the_limit_was_not_reached() -> None:
    trouble = answer({}, 503, X_Rate_Limit_Remaining="99", X_Rate_Limit_Retry="1000000030", Date=_date(1_000_000_000))
    async with transport_to(Script(trouble, FINE)) as transport:
        await asyncio.wait_for(_get(transport), 5)


async def test_a_wait_that_no_rate_limit_explains_is_not_waited_for() -> None:
    async with transport_to(Script(answer({}, 429, Retry_After="999999"))) as transport:
        with pytest.raises(TransientError):
            await _get(transport)


@pytest.mark.parametrize("value", ["soon", "nan", "inf", "-5", ""])
async def test_a_retry_after_that_makes_no_sense_is_not_waited_for(value: str) -> None:
    async with transport_to(Script(answer({}, 503, Retry_After=value), FINE), timeout_seconds=1) as transport:
        if value == "inf":
            await asyncio.wait_for(_get(transport), 1)
        else:
            await _get(transport)


async def test_the_last_call_of_a_window_pauses_everybody_until_the_next_one() -> None:
    events = Events()
    last = answer({}, 200, X_Rate_Limit_Remaining="0", X_Rate_Limit_Retry="1000000030", Date=_date(1_000_000_000))
    async with transport_to(Script(last, FINE), on_event=events.append) as transport:
        await _get(transport)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(_get(transport), 0.05)
    assert [event.seconds for event in events.of(ServicePaused)] == [30.0]


class _Steady(Random):
    """Back-off of 50 ms."""

    def uniform(self, _low: float, _high: float) -> float:
        return 0.05


async def test_a_last_try_is_made_when_the_patience_ends() -> None:
    script = Script(answer({}, 503))
    async with transport_to(script, retry_seconds=0.12, random=_Steady()) as transport:
        with pytest.raises(TransientError, match="4 attempts"):
            await _get(transport)
    assert len(script.calls) == 4, "at 0, 50, 100 and 120 ms"


async def test_a_success_before_an_outage_is_no_success_of_others() -> None:
    is_away = False

    async def respond(request: web.Request) -> web.StreamResponse:
        return await (answer({}, 503) if is_away or "broken" in request.path else FINE)(request)

    async with transport_to(Script(respond), retry_seconds=0.5, random=_Steady()) as transport:
        broken = asyncio.create_task(transport.call("GET", "/broken", ANYTHING))
        await asyncio.sleep(0.08)
        await transport.call("GET", "/other", ANYTHING)
        is_away = True
        with pytest.raises(TransientError) as caught:
            await broken
    assert not caught.value.others_succeed


async def test_others_success_tells_a_broken_call_from_a_broken_service() -> None:
    async def by_path(request: web.Request) -> web.StreamResponse:
        respond: Callable[[web.Request], object] = FINE if "good" in request.path else answer({}, 500)
        return await respond(request)  # type: ignore[misc,no-any-return]

    async with transport_to(Script(by_path), retry_seconds=0.3, random=_Steady()) as transport:

        async def good_calls() -> None:
            while True:
                await transport.call("GET", "/good", ANYTHING)

        others = asyncio.create_task(good_calls())
        with pytest.raises(TransientError) as alone:
            await transport.call("GET", "/bad", ANYTHING)
        others.cancel()
        with pytest.raises(TransientError) as like_all:
            await transport.call("GET", "/bad", ANYTHING)
    assert alone.value.others_succeed
    assert not like_all.value.others_succeed


async def test_an_unreachable_service_is_said_to_be_unreachable() -> None:
    async with aiohttp.ClientSession() as session:
        transport = Transport(
            session,
            service="Segment",
            base_url="http://127.0.0.1:1",
            headers={},
            credentials="SEGMENT_ACCESS_TOKEN",
            pacer=Pacer(100),
            retry_seconds=0,
            on_event=lambda _event: None,
        )
        with pytest.raises(TransientError, match=r"Segment at http://127.0.0.1:1 .* refused.* Is the network up"):
            await _get(transport)


def _date(unix_seconds: float) -> str:
    from email.utils import formatdate

    return formatdate(unix_seconds, usegmt=True)


async def test_a_large_body_is_sent_whole_and_again() -> None:
    script = Script(TOO_MANY, FINE)
    body = b"[" + b"1," * 1_500_000 + b"1]"
    async with transport_to(script) as transport:
        await transport.call("POST", "/v1/things", ANYTHING, body)
    assert script.bodies == [body, body]
