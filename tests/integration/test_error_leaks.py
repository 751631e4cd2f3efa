"""No error holds anything personal or secret, with all the errors behind it."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from segsync import run_import
from segsync.connectors import segment, voucherify
from segsync.connectors.http.client import ApiClient
from segsync.connectors.segment import SegmentSource
from segsync.connectors.voucherify import VoucherifySink
from segsync.errors import CallError, SegsyncError
from segsync.events import Event, ignore
from segsync.models import Connector
from tests.integration.leaks import forms, leaks
from tests.support.hostile import CREDENTIALS, Endless, cut_short, hostile_server, no_http, packed, people, redirect
from tests.support.scripted import Answer, NoJitter, Script, answer, hang_up, raw, scripted_server

pytestmark = pytest.mark.slow

ADA = "ada.lovelace@example.com"
TOKEN = "Qx7vN2kLw9RtZb4mYc8sJd3hGf6pAe1u"
APPLICATION = "5f0c1d2e-93ab-4c7d-8e6f-1a2b3c4d5e6f"
KEY = "c0ffee12-3456-4789-9abc-def012345678"
NEVER = {form for secret in (TOKEN, APPLICATION, KEY, ADA, "Lovelace") for form in forms(secret)}
SPOKEN = f"Ada Lovelace <{ADA}>, phone +48 600 123 456"
ECHO = (
    f"{SPOKEN}: {TOKEN}, X-App-Id: {APPLICATION}, X-App-Token: {KEY}, Basic {b64encode(f'{TOKEN}:'.encode()).decode()}"
)


def chain(error: BaseException | None, seen: set[int] | None = None) -> Iterator[str]:
    """All that can be read off an error and the errors behind it, shown or not."""
    seen = set() if seen is None else seen
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    yield from (str(error), repr(error), repr(error.args), repr(getattr(error, "__notes__", None)))
    yield repr(getattr(error, "__dict__", None))
    yield from chain(error.__cause__, seen)
    yield from chain(error.__context__, seen)
    for inner in error.exceptions if isinstance(error, BaseExceptionGroup) else ():
        yield from chain(inner, seen)


def assert_holds_nothing(error: BaseException) -> None:
    assert leaks("\n".join(chain(error)), NEVER) == set()


def _json_error(status: int, **headers: str) -> Answer:
    """An error that repeats what was sent: a service in debug mode does that."""
    fields = {"code": status, "key": "invalid", "message": ECHO, "details": ECHO, "request_id": "req_1"}
    return answer({**fields, "error": {"code": "invalid", "message": ECHO}}, status, **headers)


def _everywhere(text: str) -> str:
    """JSON that has this, as it is, wherever an answer has text."""
    return (
        f'{{"data":[{{"segment_id":{text},"id":{text},"type":"user_id"}}],"traits":{{"email":{text}}},"cursor":{{}},'
        f'"id":{text},"async_action_id":{text},"status":{text},"async_actions":[{{"id":{text},"status":{text}}}]}}'
    )


FAILURES: dict[str, Answer] = {
    **{f"answered {status}": _json_error(status) for status in (300, 400, 401, 402, 403, 404, 409, 413, 422, 429)},
    **{f"answered {status}": _json_error(status) for status in (500, 502, 503, 504)},
    "a spent cycle": _json_error(429, X_Rate_Limit_Type="api_calls_cycle"),
    "a long wait": _json_error(503, Retry_After="99999"),
    "a redirect": redirect(302, f"https://example.invalid/{ADA}?token={TOKEN}"),
    "an error key": answer({"key": ADA, "error": {"code": ADA}}, 400),
    "a request id in a header": answer({}, 400, Request_Id=ADA),
    "a request id in an error": answer({"request_id": ADA}, 400),
    "a content type": raw(b"", f"{ADA}/x"),
    "HTML": raw(ECHO.encode(), "text/html"),
    "an HTML error": raw(ECHO.encode(), "text/html", 500),
    "no JSON": raw(_everywhere(f'"{ADA}",').encode()),
    "cut JSON": raw(_everywhere(f'"{ADA}"').encode()[:-1]),
    "no UTF-8": raw(_everywhere(f'"{ADA} é"').encode("latin-1")[:-1]),
    "a lone surrogate": raw(_everywhere(f'"{ADA} \\ud800"').encode()[:-1]),
    "another type": raw(_everywhere(f'{{"{ADA}":["{ADA}"]}}').encode()),
    "other keys": raw(json.dumps({ADA: {ADA: ADA}}).encode()),
    "deep": raw(f'{{"{ADA}":'.encode() + b"[" * 100_000),
    "too large": Endless(17, (ADA * 50_000).encode()[: 1 << 20]),
    "no gzip": packed(ECHO.encode()),
    "an encoding that is unknown": packed(ECHO.encode(), "br"),
    "a cut body": cut_short(ECHO.encode(), missing=10),
    "a hang-up": hang_up,
    "no HTTP": no_http(ECHO.encode() + b"\r\n\r\n"),
    "no header": no_http(f"HTTP/1.1 200 OK\r\n{ECHO}\r\n\r\n".encode()),
    "an endless header": no_http(b"HTTP/1.1 200 OK\r\nX-Debug: " + ECHO.encode() * 200 + b"\r\n\r\n"),
    "no length": no_http(f"HTTP/1.1 200 OK\r\nContent-Length: {ADA}\r\n\r\n".encode()),
    "no chunk": no_http(f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{ADA}\r\n".encode()),
    "a reason": no_http(f"HTTP/1.1 500 {ECHO}\r\nContent-Length: 0\r\n\r\n".encode()),
}


@dataclass(frozen=True)
class Services:
    """Both clients, at one server."""

    source: SegmentSource
    sink: VoucherifySink
    url: str


@asynccontextmanager
async def services_at(url: str, *, timeout_seconds: float = 60.0) -> AsyncGenerator[Services, None]:
    timeout = aiohttp.ClientTimeout(total=timeout_seconds)
    async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:

        def client(service: str, headers: Mapping[str, str], credentials: str) -> ApiClient:
            return ApiClient(
                session,
                Connector(service, identity="spa_1", host=url),
                headers=headers,
                credentials=credentials,
                retry_seconds=0.0,
                on_event=ignore,
                random=NoJitter(),
            )

        to_segment = client(segment.SERVICE, segment.headers(TOKEN), "SEGMENT_ACCESS_TOKEN")
        to_voucherify = client(voucherify.SERVICE, voucherify.headers(APPLICATION, KEY), "VOUCHERIFY_SECRET_KEY")
        source = SegmentSource(to_segment, identifier_type="user_id", traits=("email",))
        yield Services(source, VoucherifySink(to_voucherify), url)


async def _first_page(services: Services) -> None:
    async for _ in services.source.pages("0"):
        return


async def _profile(services: Services) -> None:
    await services.source.read(ADA)


CUSTOMERS = json.dumps([{"source_id": ADA, "name": "Ada Lovelace"}]).encode()
CALLS: dict[str, Callable[[Services], Awaitable[object]]] = {
    "pages": _first_page,
    "profile": _profile,
    "upsert": lambda services: services.sink.upsert(CUSTOMERS),
    "statuses": lambda services: services.sink.action_statuses(),
    "state": lambda services: services.sink.upsert_result("aa_1"),
    "report": lambda services: services.sink.reported(f"{services.url}/reports/1.csv?email={ADA}&token={KEY}"),
}


async def leaks_of_calls(services: Services) -> dict[str, set[str]]:
    """What the errors of the calls hold that they should not, by call; most calls, if not all, have to fail."""
    errors: dict[str, Exception] = {}
    for name, call in CALLS.items():
        try:
            await call(services)
        except SegsyncError as error:
            errors[name] = error
    assert len(errors) >= len(CALLS) - 2
    assert all(isinstance(error, CallError) for error in errors.values())
    found = {name: leaks("\n".join(chain(error)), NEVER) for name, error in errors.items()}
    return {name: leaked for name, leaked in found.items() if leaked}


@pytest.mark.parametrize("failure", FAILURES)
async def test_no_error_of_a_call_holds_a_credential_or_a_customer(failure: str) -> None:
    async with scripted_server(Script(FAILURES[failure])) as url, services_at(url) as services:
        assert await leaks_of_calls(services) == {}


@pytest.mark.parametrize("trouble", ["no connection", "no host", "no TLS", "no answer"])
async def test_no_error_of_a_call_without_an_answer_holds_a_credential_or_a_customer(trouble: str) -> None:
    async def never(_request: object) -> Any:
        await asyncio.sleep(60)

    async with scripted_server(Script(never)) as url:
        urls = {
            "no connection": "http://127.0.0.1:1",
            "no host": "https://segsync.invalid",
            "no TLS": url.replace("http", "https"),
            "no answer": url,
        }
        async with services_at(urls[trouble], timeout_seconds=0.1) as services:
            assert await leaks_of_calls(services) == {}


@pytest.mark.parametrize(
    "url",
    [
        f"http://198.51.100.1/{ADA}",
        f"file:///home/{ADA}",
        f"https://{ADA}:{KEY}@127.0.0.1:1/1.csv?email={ADA}",
        f"http://127.0.0.1:1/1.csv?email={ADA}#{KEY}",
        ADA,
    ],
)
async def test_no_error_of_a_report_holds_what_its_url_holds_beside_its_place(url: str) -> None:
    async with services_at("http://127.0.0.1:1") as services:
        with pytest.raises(CallError) as caught:
            await services.sink.reported(url)
    assert_holds_nothing(caught.value)


@pytest.mark.parametrize("credential", ["lettersonlycredential", "short7"])
async def test_a_credential_that_looks_like_any_word_is_hidden_as_well(credential: str) -> None:
    """A service that quotes the credential: "token … is bad". No rule knows its shape, but we know the credential."""
    refusal = answer({"message": f"the token {credential} is bad", "key": "bad"}, 400)
    async with scripted_server(Script(refusal)) as url, aiohttp.ClientSession() as session:
        client = ApiClient(
            session,
            Connector("Voucherify", identity=credential, host=url),
            headers=voucherify.headers(credential, credential),
            credentials="VOUCHERIFY_SECRET_KEY",
            retry_seconds=0.0,
            on_event=ignore,
        )
        with pytest.raises(CallError) as caught:
            await VoucherifySink(client).upsert(CUSTOMERS)
    assert leaks("\n".join(chain(caught.value)), {credential}) == set()


async def test_the_error_in_a_report_holds_nothing_of_what_stopped_the_import(tmp_path: Path) -> None:
    """Whether a service or a defect did: somebody may log it with all that is behind it."""

    def broken(event: Event) -> None:
        raise LookupError(f"{ECHO} {event}")

    async with hostile_server(people(3, name="Ada Lovelace", email=ADA)) as hostile:
        by_defect = await asyncio.create_task(run_import(hostile.settings(), on_event=broken))
        hostile.instead("^POST", no_http(f"{ECHO}\r\n\r\n".encode()))
        by_service = await asyncio.create_task(run_import(hostile.settings(), directory=tmp_path))
    for report in (by_defect, by_service):
        assert report.error is not None
        assert_holds_nothing(report.error)
        assert leaks("\n".join(chain(report.error)), CREDENTIALS) == set()
