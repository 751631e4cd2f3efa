"""A server that answers what a test tells it to, call by call."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

from segsync.models import Event, OnEvent, ignore
from segsync.pacer import Pacer
from segsync.transport import Transport

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]

UNLIMITED = 100_000.0


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
    """The answers to come, the last one for ever; and the calls that came."""

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
async def scripted_server(script: Script) -> AsyncGenerator[str, None]:
    """The URL of a server on 127.0.0.1 that follows the script."""
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", script.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        addresses: list[Any] = runner.addresses
        yield f"http://127.0.0.1:{addresses[0][1]}"
    finally:
        await runner.cleanup()


class NoJitter(Random):
    """Back-off without waiting."""

    def uniform(self, _low: float, _high: float) -> float:
        return 0.0


@asynccontextmanager
async def transport_to(
    script: Script,
    *,
    retry_seconds: float = 60.0,
    timeout_seconds: float = 5.0,
    on_event: OnEvent = ignore,
    service: str = "Segment",
    random: Random | None = None,
) -> AsyncGenerator[Transport, None]:
    """A transport to a scripted server that does not wait between its tries, except where it is told to."""
    async with (
        scripted_server(script) as url,
        aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=timeout_seconds), cookie_jar=aiohttp.DummyCookieJar()
        ) as session,
    ):
        yield Transport(
            session,
            service=service,
            base_url=url,
            headers={"Authorization": "Basic c2VjcmV0Og=="},
            credentials="SEGMENT_ACCESS_TOKEN",
            pacer=Pacer(UNLIMITED),
            retry_seconds=retry_seconds,
            on_event=on_event,
            random=random or NoJitter(),
        )


class Events(list[Event]):
    """Remembers events; `events.of(Kind)` are those of one kind."""

    def of(self, kind: type[Event]) -> list[Any]:
        return [event for event in self if isinstance(event, kind)]


ANYTHING = msgspec.json.Decoder(dict[str, Any])
