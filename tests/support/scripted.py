"""A server that answers by a script, call by call."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any, Self, cast

import aiohttp
import msgspec
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from segsync.connectors.http.client import ApiClient
from segsync.events import Event, OnEvent, ignore
from segsync.models import CallLimit, Connector

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]

UNLIMITED = 100_000.0

CREDENTIALS = {"Authorization": "Basic c2VjcmV0Og==", "X-App-Id": "id-of-app", "X-App-Token": "key-of-app"}
"""Those of both services, so that none of them goes where it should not."""

NO_HEADERS = CIMultiDictProxy(CIMultiDict[str]())


def answer(fields: object, status: int = 200, **headers: str) -> Answer:
    """A JSON answer; underscores in header names stand for hyphens."""

    async def respond(_request: web.Request) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.json_response(fields, status=status, headers=named)

    return respond


def raw(body: bytes, content_type: str = "application/json", status: int = 200) -> Answer:
    """Any bytes at all."""

    async def respond(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, status=status, content_type=content_type)

    return respond


async def hang_up(request: web.Request) -> web.StreamResponse:
    """No answer: the connection is cut."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


class Script:
    """The answers to come, of which the last is repeated; and the calls that came."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.calls: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.bodies: list[bytes] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.calls.append(f"{request.method} {request.raw_path}")
        self.headers.append(dict(request.headers))
        self.bodies.append(await request.read())
        respond = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return await respond(request)


@asynccontextmanager
async def scripted_server(script: Script, tls: ssl.SSLContext | None = None) -> AsyncGenerator[str, None]:
    """The URL of a server on 127.0.0.1 that follows the script, over `tls` if there is one."""
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", script.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        addresses: list[Any] = runner.addresses
        yield f"{'https' if tls else 'http'}://127.0.0.1:{addresses[0][1]}"
    finally:
        await runner.cleanup()


class NoJitter(Random):
    """Back-off without waiting."""

    def uniform(self, _low: float, _high: float) -> float:
        return 0.0


@asynccontextmanager
async def client_at(
    url: str,
    *,
    retry_seconds: float = 60.0,
    timeout_seconds: float = 60.0,
    on_event: OnEvent = ignore,
    service: str = "Segment",
    identity: str = "spa/1",
    random: Random | None = None,
    resolver: AbstractResolver | None = None,
    keep_words: bool = False,
) -> AsyncGenerator[ApiClient, None]:
    """A client that does not wait between its tries, except where the server asks for it."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(resolver=resolver),
        timeout=aiohttp.ClientTimeout(total=timeout_seconds),
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as session:
        session._retry_connection = False  # as in the program: the client counts its tries itself
        yield ApiClient(
            session,
            Connector(service, identity=identity, host=url, limit=CallLimit(UNLIMITED, "second")),
            headers=CREDENTIALS,
            credentials="SEGMENT_ACCESS_TOKEN",
            retry_seconds=retry_seconds,
            on_event=on_event,
            random=random or NoJitter(),
            keep_words=keep_words,
        )


@asynccontextmanager
async def client_to(
    script: Script,
    *,
    retry_seconds: float = 60.0,
    timeout_seconds: float = 60.0,
    on_event: OnEvent = ignore,
    service: str = "Segment",
    identity: str = "spa/1",
    random: Random | None = None,
    keep_words: bool = False,
) -> AsyncGenerator[ApiClient, None]:
    """The same, with a scripted server."""
    async with (
        scripted_server(script) as url,
        client_at(
            url,
            retry_seconds=retry_seconds,
            timeout_seconds=timeout_seconds,
            on_event=on_event,
            service=service,
            identity=identity,
            random=random,
            keep_words=keep_words,
        ) as client,
    ):
        yield client


class _SilentResponse:
    """An answer with a body that is there at once."""

    content_type = "application/json"
    method = "GET"
    url = URL("http://127.0.0.1/v1")

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.content_length = len(body)
        self._body = body
        self.headers = CIMultiDictProxy(CIMultiDict(headers))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        pass

    async def read(self) -> bytes:
        return self._body


class SilentSession:
    """Answers at once, without a socket, so that waits can be those of a clock that costs no time.

    `calls` are the paths that were called, and when; `answer` gives status and headers for a path, `body` what goes
    with a status.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[str, float]] = []
        self.answer: Callable[[str], tuple[int, dict[str, str]]] = lambda _path: (200, {})
        self.body: Callable[[int], bytes] = lambda _status: b"{}"
        self._clock = asyncio.get_running_loop().time

    def request(self, _method: str, url: URL, **_more: object) -> _SilentResponse:
        self.calls.append((url.path, self._clock()))
        status, headers = self.answer(url.path)
        return _SilentResponse(status, headers, self.body(status))

    def client(
        self,
        retry_seconds: float = 0,
        calls_per_second: float = UNLIMITED,
        random: Random | None = None,
        *,
        window_seconds: float = 1.0,
        on_event: OnEvent = ignore,
    ) -> ApiClient:
        limit = CallLimit(calls_per_second * window_seconds, "second" if window_seconds == 1.0 else "minute")
        return ApiClient(
            cast(aiohttp.ClientSession, self),
            Connector("Voucherify", "app", "http://127.0.0.1", limit),
            headers={},
            credentials="",
            retry_seconds=retry_seconds,
            on_event=on_event,
            random=random,
        )


class NoNames(AbstractResolver):
    """Knows no host; remembers which ones it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        raise OSError("there are no names in a test")

    async def close(self) -> None:
        pass


class Events(list[Event]):
    """Remembers events; `events.of(Kind)` are those of one kind."""

    def of(self, kind: type[Event]) -> list[Any]:
        return [event for event in self if isinstance(event, kind)]


ANYTHING = msgspec.json.Decoder(dict[str, Any])
