"""What a caller gets for every kind of answer, and what is retried."""

from __future__ import annotations

import asyncio
import gzip
import traceback
from random import Random

import aiohttp
import msgspec
import pytest
from aiohttp import web

from segsync.connectors.http.client import DOWNLOAD_RETRY_SECONDS, MAX_ANSWER_BYTES, ApiClient
from segsync.errors import AccessError, AnswerError, CallError, QuotaError, RefusedError, SegsyncError, TransientError
from segsync.events import CallAnswered, CallRetried, Throttled
from segsync.models import Connector
from tests.conftest import run_virtual
from tests.support.scripted import (
    ANYTHING,
    CREDENTIALS,
    Answer,
    Events,
    NoNames,
    Script,
    SilentSession,
    answer,
    client_at,
    client_to,
    hang_up,
    raw,
    scripted_server,
)

FINE = answer({"fine": True})
TOO_MANY = answer({"error": {"code": "rate_limit_error", "message": "slow down"}}, 429)


async def _get(client: ApiClient) -> dict[str, object]:
    return await client.call("GET", "/v1/thing?next=secret-cursor", ANYTHING)


class _Steady(Random):
    """Back-off of 5 seconds."""

    def uniform(self, _low: float, _high: float) -> float:
        return 5.0


async def test_an_answer_is_decoded() -> None:
    script = Script(FINE)
    async with client_to(script) as client:
        assert await _get(client) == {"fine": True}
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
    async with client_to(Script(trouble, trouble, FINE), on_event=events.append) as client:
        assert await _get(client) == {"fine": True}
    assert len(events.of(CallAnswered)) == 3
    assert [event.attempt for event in events.of(CallRetried)] == [1, 2]


async def test_a_cut_connection_is_tried_again() -> None:
    async with client_to(Script(hang_up, hang_up, hang_up, FINE)) as client:
        assert await _get(client) == {"fine": True}


async def test_an_answer_that_never_comes_is_tried_again() -> None:
    async def never(_request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(60)
        return web.Response()

    async with client_to(Script(never, FINE), timeout_seconds=0.05) as client:
        assert await _get(client) == {"fine": True}


async def test_an_answer_that_is_cut_half_way_is_tried_again() -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.content_length = 1000
        await response.prepare(request)
        await response.write(b'{"fine":')
        return await hang_up(request)

    async with client_to(Script(cut, FINE)) as client:
        assert await _get(client) == {"fine": True}


async def test_a_body_is_sent_again_with_every_try() -> None:
    script = Script(TOO_MANY, FINE)
    async with client_to(script) as client:
        await client.call("POST", "/v1/things", ANYTHING, b"[1]")
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
    async with client_to(script) as client:
        with pytest.raises(error):
            await _get(client)
    assert len(script.calls) == calls


async def test_when_the_tries_run_out_the_last_error_says_what_when_and_for_how_long() -> None:
    script = Script(answer({}, 503, Request_Id="req-1"), answer({"key": "internal"}, 500, Request_Id="req-2"))
    async with client_to(script, retry_seconds=0) as client:
        with pytest.raises(TransientError, match=r"503 to GET /v1/thing; given up .* 1 attempt \[request id req-1\]"):
            await _get(client)


async def test_no_message_holds_a_query_a_header_or_what_the_service_quoted() -> None:
    quoting = answer({"error": {"code": "validation_error", "message": "bad e-mail ada@example.com"}}, 400)
    async with client_to(Script(quoting)) as client:
        with pytest.raises(RefusedError) as caught:
            await _get(client)
    for secret in ("secret-cursor", "c2VjcmV0", "ada", "example.com"):
        assert secret not in str(caught.value)
    assert "validation_error" in str(caught.value)


@pytest.mark.parametrize("status", [400, 404, 413])
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"code": 400, "key": "invalid_customer", "message": "Customer was refused", "details": "it is too large"},
            r"answered \d+ \(invalid_customer\) to GET /v1/thing: Customer was refused: it is too large$",
        ),
        (
            {"error": {"code": "not_found", "message": "no such thing"}},
            r"\(not_found\) to GET /v1/thing: no such thing$",
        ),
        ({"message": "the same", "details": "the same"}, "to GET /v1/thing: the same$"),
        ({"message": "two\nlines"}, "to GET /v1/thing: two lines$"),
        ({"message": ""}, "to GET /v1/thing$"),
        ({"message": ["no", "text"], "details": 7}, "to GET /v1/thing$"),
        ([], "to GET /v1/thing$"),
    ],
)
async def test_a_refusal_is_reported_with_the_reason_that_the_service_gives(
    status: int, fields: object, message: str
) -> None:
    async with client_to(Script(answer(fields, status))) as client:
        with pytest.raises(RefusedError, match=message):
            await _get(client)


@pytest.mark.parametrize(("status", "kind"), [(400, RefusedError), (409, RefusedError), (503, TransientError)])
async def test_what_the_service_itself_says_is_beside_the_message_without_our_secrets(
    status: int, kind: type[CallError]
) -> None:
    fields = {"message": "bad e-mail ada@example.com", "details": "of Ada, asked with c2VjcmV0"}
    for keep_words in (True, False):
        async with client_to(Script(answer(fields, status)), retry_seconds=0, keep_words=keep_words) as client:
            client.secrets = ("c2VjcmV0",)
            with pytest.raises(kind) as caught:
                await _get(client)
        assert caught.value.words == ("bad e-mail ada@example.com: of Ada, asked with …" if keep_words else None)
        assert "ada@" not in f"{caught.value} {caught.value!r}"


@pytest.mark.parametrize("status", [401, 402, 302, 503])
async def test_other_errors_are_reported_without_what_the_service_says_of_them(status: int) -> None:
    async with client_to(Script(answer({"message": "long story"}, status)), retry_seconds=0) as client:
        with pytest.raises(SegsyncError) as caught:
            await _get(client)
    assert "long story" not in str(caught.value)


@pytest.mark.parametrize("headers", [{"Request_Id": "req-1"}, {"X_Request_Id": "req-1"}, {}])
async def test_a_refusal_is_reported_with_the_id_that_support_asks_for(headers: dict[str, str]) -> None:
    fields = {} if headers else {"message": "no", "request_id": "req-1"}
    async with client_to(Script(answer(fields, 400, **headers))) as client:
        with pytest.raises(RefusedError, match=r"\[request id req-1\]$") as caught:
            await _get(client)
    assert caught.value.request_id == "req-1"


async def test_a_refused_credential_is_named() -> None:
    async with client_to(Script(answer({}, 401))) as client:
        with pytest.raises(AccessError, match=r"Segment answered 401 .* refuses SEGMENT_ACCESS_TOKEN"):
            await _get(client)


@pytest.mark.parametrize(
    ("body", "content_type", "message"),
    [
        (b"<html>", "text/html", "text/html instead of JSON. Is the base URL right"),
        (b'{"a":', "application/json", "truncated"),
        (b'{"a": nan}', "application/json", "malformed"),
        (b"[1, 2]", "application/json", "Expected `object`, got `array`"),
        (b"", "application/json", "truncated"),
        (b'{"a": "\xff"', "application/json", "it is not UTF-8"),
        (b'{"a":' * 100_000, "application/json", "recursion"),
    ],
)
async def test_an_answer_that_is_not_the_documented_one_is_reported_in_words(
    body: bytes, content_type: str, message: str
) -> None:
    async with client_to(Script(raw(body, content_type))) as client:
        with pytest.raises(AnswerError, match=message):
            await _get(client)


async def test_a_missing_field_is_named() -> None:
    class Wanted(msgspec.Struct):
        cursor: str

    async with client_to(Script(FINE)) as client:
        with pytest.raises(AnswerError, match="missing required field `cursor`"):
            await client.call("GET", "/v1/thing", msgspec.json.Decoder(Wanted))


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

    async with client_to(Script(endless)) as client:
        with pytest.raises(AnswerError, match=r"more than 16,777,216 bytes"):
            await _get(client)
    assert written < 4 * MAX_ANSWER_BYTES


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("retry_after", ["30", "Thu, 01 Jan 1970 00:01:30 GMT"])
def test_it_never_comes_back_earlier_than_it_was_asked_to(status: int, retry_after: str) -> None:
    async def run() -> list[tuple[str, float]]:
        session = SilentSession()
        headers = {"Retry-After": retry_after, "Date": "Thu, 01 Jan 1970 00:01:00 GMT"}
        session.answer = lambda _path: (200, {}) if len(session.calls) > 1 else (status, headers)
        await session.client(retry_seconds=10).call("GET", "/thing", ANYTHING)
        return session.calls

    (_, first), (_, second) = run_virtual(run())
    assert 30 <= second - first < 31


async def test_the_end_of_a_rate_window_is_not_a_reason_to_wait_when_the_limit_was_not_reached() -> None:
    trouble = answer({}, 503, X_Rate_Limit_Remaining="99", X_Rate_Limit_Retry="1000000030", Date=_date(1_000_000_000))
    async with client_to(Script(trouble, FINE)) as client:
        await asyncio.wait_for(_get(client), 5)


async def test_a_wait_that_no_rate_limit_explains_is_not_waited_for() -> None:
    async with client_to(Script(answer({}, 429, Retry_After="999999"))) as client:
        with pytest.raises(TransientError):
            await _get(client)


@pytest.mark.parametrize("value", ["soon", "nan", "inf", "-5", ""])
async def test_a_retry_after_that_makes_no_sense_is_not_waited_for(value: str) -> None:
    async with client_to(Script(answer({}, 503, Retry_After=value), FINE), timeout_seconds=1) as client:
        if value == "inf":
            await asyncio.wait_for(_get(client), 1)
        else:
            await _get(client)


async def test_the_last_call_of_a_window_pauses_everybody_until_the_next_one() -> None:
    events = Events()
    last = answer({}, 200, X_Rate_Limit_Remaining="0", X_Rate_Limit_Retry="1000000030", Date=_date(1_000_000_000))
    async with client_to(Script(last, FINE), on_event=events.append) as client:
        await _get(client)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(_get(client), 0.05)
    assert [event.seconds for event in events.of(Throttled)] == [30.0]


def test_a_success_before_an_outage_is_not_a_success_of_others() -> None:
    async def run() -> TransientError:
        session, is_away = SilentSession(), False
        session.answer = lambda path: (503 if is_away or "broken" in path else 200, {})
        client = session.client(retry_seconds=50, random=_Steady())
        broken = asyncio.create_task(client.call("GET", "/broken", ANYTHING))
        await asyncio.sleep(8)
        await client.call("GET", "/other", ANYTHING)
        is_away = True
        with pytest.raises(TransientError) as caught:
            await broken
        return caught.value

    assert not run_virtual(run()).others_succeed


def test_others_success_distinguishes_a_broken_call_from_a_broken_service() -> None:
    async def run() -> tuple[TransientError, TransientError]:
        session = SilentSession()
        session.answer = lambda path: (200 if "good" in path else 500, {})
        client = session.client(retry_seconds=30, random=_Steady())

        async def good_calls() -> None:
            while True:
                await client.call("GET", "/good", ANYTHING)
                await asyncio.sleep(1)

        others = asyncio.create_task(good_calls())
        with pytest.raises(TransientError) as alone:
            await client.call("GET", "/bad", ANYTHING)
        others.cancel()
        with pytest.raises(TransientError) as like_all:
            await client.call("GET", "/bad", ANYTHING)
        return alone.value, like_all.value

    alone, like_all = run_virtual(run())
    assert alone.others_succeed
    assert not like_all.others_succeed


async def test_an_unreachable_service_is_reported_as_unreachable() -> None:
    async with aiohttp.ClientSession() as session:
        client = ApiClient(
            session,
            Connector("Segment", identity="spa", host="http://127.0.0.1:1"),
            headers={},
            credentials="SEGMENT_ACCESS_TOKEN",
            retry_seconds=0,
            on_event=lambda _event: None,
        )
        message = (
            r"Segment at http://127.0.0.1:1 .* refused.* and the base URL right\? It was given up after 0 s and 1 att"
        )
        with pytest.raises(TransientError, match=message):
            await _get(client)


def _date(unix_seconds: float) -> str:
    from email.utils import formatdate

    return formatdate(unix_seconds, usegmt=True)


async def test_a_large_body_is_sent_whole_and_again() -> None:
    script = Script(TOO_MANY, FINE)
    body = b"[" + b"1," * 1_500_000 + b"1]"
    async with client_to(script) as client:
        await client.call("POST", "/v1/things", ANYTHING, body)
    assert script.bodies == [body, body]


# --- files that an answer names -------------------------------------------------------------------------------

REPORT = raw(b"source_id,status\nada,FAILED\n", "text/csv")
SIGNED = "/reports/aa_1.csv?X-Amz-Signature=s3cret&user=ada@example.com#frag"


async def test_a_file_is_given_as_it_is_whatever_it_holds() -> None:
    content = bytes(range(256)) * 10
    script = Script(raw(content, "application/octet-stream"))
    async with scripted_server(script) as url, client_at(url) as client:
        assert await client.download(f"{url}{SIGNED}") == content
    assert script.calls == ["GET /reports/aa_1.csv?X-Amz-Signature=s3cret&user=ada@example.com"]


async def test_the_apis_own_host_gets_the_credentials() -> None:
    script = Script(REPORT)
    async with scripted_server(script) as url, client_at(f"{url}/api") as client:
        await client.download(f"{url}{SIGNED}")
    [headers] = script.headers
    assert {name: headers.get(name) for name in CREDENTIALS} == CREDENTIALS


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_no_other_host_gets_them_not_even_another_port_or_name_of_the_same(host: str) -> None:
    files = Script(REPORT)
    async with scripted_server(Script(FINE)) as api, scripted_server(files) as url, client_at(api) as client:
        await client.download(f"{url}{SIGNED}".replace("127.0.0.1", host))
    [headers] = files.headers
    sent = " ".join([*headers, *headers.values()])
    assert not [word for pair in CREDENTIALS.items() for word in pair if word.lower() in sent.lower()]


async def test_another_name_of_the_apis_own_host_does_not_get_them_either() -> None:
    script = Script(REPORT)
    async with scripted_server(script) as url, client_at(url) as client:
        await client.download(f"{url}{SIGNED}".replace("127.0.0.1", "localhost"))
    assert not script.headers[0].keys() & CREDENTIALS.keys()


async def test_a_redirect_takes_them_nowhere() -> None:
    elsewhere = Script(REPORT)
    async with scripted_server(elsewhere) as foreign:
        script = Script(answer({}, 302, Location=f"{foreign}/stolen"))
        async with scripted_server(script) as url, client_at(url) as client:
            with pytest.raises(
                RefusedError, match=r"127\.0\.0\.1 answered 302 to the call for a report file of Segment"
            ):
                await client.download(f"{url}{SIGNED}")
    assert elsewhere.calls == []


@pytest.mark.parametrize(
    "url",
    [
        *("http://files.example/r.csv?sig=s3cret", "http://10.0.0.1/r.csv", "http://0.0.0.0/r.csv"),
        *("http://localhost.files.example/r.csv", "http://127.0.0.1@files.example/r.csv", "http://127.1/r.csv"),
        *("ftp://files.example/r.csv", "file:///etc/passwd", "data:text/csv,a", "javascript:alert(1)", "//x.io/r.csv"),
        *("", " ", "r.csv", "/reports/aa_1.csv", "https://", "https:///r.csv", "https://?sig=s3cret", "https://[::1"),
    ],
)
async def test_a_url_that_is_not_https_is_not_called_nor_repeated(url: str) -> None:
    events, names = Events(), NoNames()
    async with client_at("http://127.0.0.1:1", on_event=events.append, resolver=names) as client:
        with pytest.raises(AnswerError, match=r"^Segment names a report file that is not at an https URL$"):
            await client.download(url)
    assert (events, names.asked) == ([], [])


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("https://files.example:99999/r.csv?sig=s3cret", id="a port beyond all"),
        pytest.param("https://files.example:port/r.csv", id="a port that is none"),
        pytest.param("https://xn--/r.csv", id="a punycode that is none"),
        pytest.param("https://files example/r.csv?sig=s3cret", id="a space"),
        pytest.param("https://files.example/a b\r\nX: y?sig=s3cret", id="a line break"),
        pytest.param("https://files.example/\x1b[31mr.csv?sig=s3cret", id="an escape sequence in its path"),
        pytest.param("https://files\x1bc/r.csv?sig=s3cret", id="an escape sequence in its host"),
        pytest.param("https://./?s3cret", id="a dot"),
        pytest.param("https://a..b/r.csv", id="an empty label"),
        pytest.param("https://" + "a" * 300 + ".example/", id="a long label"),
        pytest.param("https://user:s3cret@files.example/r.csv", id="user info"),
    ],
)
async def test_a_url_that_leads_nowhere_is_an_error_of_the_call_and_no_defect(url: str) -> None:
    async with client_at("http://127.0.0.1:1", retry_seconds=0, resolver=NoNames()) as client:
        with pytest.raises((AnswerError, TransientError)) as caught:
            await client.download(url)
    assert "s3cret" not in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("trouble", "error"),
    [
        (answer({}, 404), RefusedError),
        (answer({}, 403), RefusedError),
        (answer({}, 400), RefusedError),
        (answer({}, 503), TransientError),
        (answer({}, 429), TransientError),
        (hang_up, TransientError),
        (raw(b" " * (MAX_ANSWER_BYTES + 1), "text/csv"), AnswerError),
    ],
)
@pytest.mark.parametrize("is_own", [True, False])
async def test_no_message_about_a_file_holds_the_query_of_its_url(
    trouble: Answer, error: type[SegsyncError], is_own: bool
) -> None:
    async with scripted_server(Script(trouble)) as url:
        api = url if is_own else "http://127.0.0.1:1"
        async with client_at(api, retry_seconds=0) as client:
            with pytest.raises(error) as caught:
                await client.download(f"{url}{SIGNED}")
    shown = "".join(traceback.format_exception(caught.value))
    for secret in ("s3cret", "Signature", "ada", "frag", *CREDENTIALS.values()):
        assert secret not in str(caught.value)
        assert secret not in "".join(line for line in shown.splitlines() if "Error" in line)


@pytest.mark.parametrize("status", [400, 403, 404, 410])
async def test_a_file_that_is_not_there_is_refused_at_once(status: int) -> None:
    script = Script(answer({}, status))
    async with scripted_server(script) as url, client_at(url) as client:
        with pytest.raises(
            RefusedError, match=f"127.0.0.1 answered {status} to the call for a report file of Segment"
        ) as caught:
            await client.download(f"{url}/r.csv")
    assert caught.value.status == status
    assert len(script.calls) == 1


@pytest.mark.parametrize("trouble", [answer({}, 500), answer({}, 503), answer({}, 429), answer({}, 408), hang_up])
@pytest.mark.parametrize("is_own", [True, False])
async def test_trouble_with_a_file_that_passes_is_waited_out(trouble: Answer, is_own: bool) -> None:
    events, script = Events(), Script(trouble, trouble, REPORT)
    async with scripted_server(script) as url:
        api = url if is_own else "http://127.0.0.1:1"
        async with client_at(api, on_event=events.append) as client:
            assert (await client.download(f"{url}/r.csv")).startswith(b"source_id")
    assert len(script.calls) == 3
    assert len(events.of(CallRetried)) == 2


def test_the_patience_with_a_file_is_no_longer_than_a_minute_and_no_longer_than_that_with_any_call() -> None:
    async def given_up_after(retry_seconds: float) -> float:
        session = SilentSession()
        session.answer = lambda _path: (503, {})
        client = session.client(retry_seconds)
        with pytest.raises(TransientError):
            await client.download("https://files.example/r.csv")
        return asyncio.get_running_loop().time()

    assert run_virtual(given_up_after(86_400)) == pytest.approx(DOWNLOAD_RETRY_SECONDS, abs=1)
    assert run_virtual(given_up_after(10)) == pytest.approx(10, abs=1)


async def test_an_endless_file_is_not_read_to_its_end() -> None:
    written = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal written
        response = web.StreamResponse(headers={"Content-Type": "text/csv"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        while written < 4 * MAX_ANSWER_BYTES:
            await response.write(b"a,b\n" * 16384)
            written += 65536
        return response

    async with scripted_server(Script(endless)) as url, client_at("http://127.0.0.1:1") as client:
        with pytest.raises(AnswerError, match=r"more than 16,777,216 bytes"):
            await client.download(f"{url}/r.csv")
    assert written < 4 * MAX_ANSWER_BYTES


async def test_a_packed_bomb_of_a_file_is_not_unpacked() -> None:
    bomb = gzip.compress(b"0" * (8 * MAX_ANSWER_BYTES))

    async def packed(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=bomb, headers={"Content-Encoding": "gzip", "Content-Type": "text/csv"})

    async with scripted_server(Script(packed)) as url, client_at("http://127.0.0.1:1") as client:
        with pytest.raises(AnswerError, match=r"more than 16,777,216 bytes"):
            await client.download(f"{url}/r.csv")


def test_a_file_does_not_show_that_the_api_itself_answers() -> None:
    async def run() -> TransientError:
        session = SilentSession()
        session.answer = lambda path: (200 if path == "/r.csv" else 500, {})
        client = session.client(retry_seconds=30, random=_Steady())

        async def downloads() -> None:
            while True:
                await client.download("https://files.example/r.csv")
                await asyncio.sleep(1)

        others = asyncio.create_task(downloads())
        with pytest.raises(TransientError) as caught:
            await client.call("GET", "/thing", ANYTHING)
        others.cancel()
        return caught.value

    assert not run_virtual(run()).others_succeed


# --- calls that are not urgent, on a clock that costs no time ---------------------------------------------------


def test_calls_that_are_not_urgent_and_files_let_all_the_others_go_first() -> None:
    async def run() -> list[tuple[str, float]]:
        session = SilentSession()
        client = session.client(calls_per_second=100 / 60)
        async with asyncio.TaskGroup() as group:
            for _ in range(10):
                group.create_task(client.call("POST", "/upsert", ANYTHING))
            await asyncio.sleep(0.1)
            for _ in range(3):
                group.create_task(client.call("GET", "/status", ANYTHING, is_urgent=False))
            group.create_task(client.download("http://127.0.0.1/report"))
            await asyncio.sleep(1)
            for _ in range(10):
                group.create_task(client.call("POST", "/upsert", ANYTHING))
        return session.calls

    calls = run_virtual(run())
    assert [path for path, _ in calls[:20]] == ["/upsert"] * 20
    assert sorted(path for path, _ in calls[20:]) == ["/report", "/status", "/status", "/status"]
    assert calls[19][1] == pytest.approx(19 * 0.6, rel=0.02)
    assert calls[-1][1] > calls[19][1] + 3 * 0.6, "they keep to the limit themselves"


def test_a_file_of_another_host_takes_no_turn_of_the_api() -> None:
    async def run() -> float:
        session = SilentSession()
        client = session.client(calls_per_second=1)
        async with asyncio.TaskGroup() as group:
            for _ in range(10):
                group.create_task(client.call("POST", "/upsert", ANYTHING))
            await asyncio.sleep(0.5)
            await client.download("https://files.example/r.csv")
            return asyncio.get_running_loop().time()

    assert run_virtual(run()) < 0.6
