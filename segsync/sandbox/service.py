"""What both services of the sandbox share: limits, latency, faults, request ids."""

from __future__ import annotations

import asyncio
import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from random import Random

import msgspec
from aiohttp import web

from segsync.sandbox.limits import SlidingWindow
from segsync.sandbox.options import Faults, SandboxOptions

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

LATENCY_SPREAD = 0.3
"""Sigma of the log-normal latencies: one in twenty takes 1.6 times the median or longer."""

HANG_SECONDS = 24 * 3600.0

WEB_PAGE = b"<!DOCTYPE html><html><body><h1>Please sign in</h1></body></html>"

_encode = msgspec.json.Encoder().encode


def json_response(
    fields: object, status: int, request_id: str, headers: Mapping[str, str] | None = None
) -> web.Response:
    """An answer as both services give them."""
    return web.Response(
        body=_encode(fields),
        status=status,
        content_type="application/json",
        headers={"Request-Id": request_id, **(headers or {})},
    )


class Service(ABC):
    """One of the two APIs: a sliding-window limit, a latency, and faults on demand."""

    def __init__(self, options: SandboxOptions, *, limit: int, seconds: float) -> None:
        self.options = options
        self.window = SlidingWindow(limit, seconds, asyncio.get_running_loop().time)
        self.calls = 0
        self.calls_of: Counter[str] = Counter()  # by the path of their route
        self.rate_limited = 0
        self.first_call_at = self.last_call_at = 0.0
        self._clock: Callable[[], float] = asyncio.get_running_loop().time
        self._answers = count(1)
        self._random = Random(f"{options.seed}/{type(self).__name__}")

    @property
    @abstractmethod
    def faults(self) -> Faults:
        """What goes wrong with its calls now."""

    @abstractmethod
    def switch(self, options: SandboxOptions) -> None:
        """Go on with these options, and with the calls that were counted before."""

    @abstractmethod
    def refuse(self, request: web.Request) -> web.Response | None:
        """An error for a call that is not allowed, None for one that is."""

    @abstractmethod
    def error(self, status: int, code: str, message: str) -> web.Response:
        """An error in this service's own shape."""

    @abstractmethod
    def too_many(self, request: web.Request) -> web.Response:
        """This service's 429."""

    def request_id(self) -> str:
        """A new id for each answer."""
        return f"req-{next(self._answers):08d}"

    async def unknown(self, _request: web.Request) -> web.Response:
        return self.error(404, "not_found", "There is no such call.")

    def handler(self, answer: Handler) -> Handler:
        """`answer` behind this service's limit, latency and faults."""

        async def handle(request: web.Request) -> web.StreamResponse:
            self.last_call_at = self._clock()
            if not self.calls:
                self.first_call_at = self.last_call_at
            self.calls += 1
            resource = request.match_info.route.resource
            self.calls_of[resource.canonical if resource else ""] += 1
            response = await self._answer(request, answer)
            if response.status == 429:
                self.rate_limited += 1
            return response

        return handle

    async def _answer(self, request: web.Request, answer: Handler) -> web.StreamResponse:
        refusal = self.refuse(request)
        if refusal is not None:
            return refusal
        if self.options.latency_ms:
            await asyncio.sleep(self.options.latency_ms / 1000 * math.exp(self._random.gauss(0, LATENCY_SPREAD)))
        if self.faults == NO_FAULTS:
            return await answer(request)
        return await self._with_faults(request, answer)

    async def _with_faults(self, request: web.Request, answer: Handler) -> web.StreamResponse:
        faults, draw = self.faults, self._random.random()
        if draw < faults.too_many:
            return self.too_many(request)
        draw -= faults.too_many
        if draw < faults.server_error:
            return self.error(self._random.choice((500, 502, 503, 504)), "internal_error", "Try again.")
        draw -= faults.server_error
        if draw < faults.hang:
            await asyncio.sleep(HANG_SECONDS)
        draw -= faults.hang
        if draw < faults.garbled:
            return self._garbled(await answer(request))
        draw -= faults.garbled
        return await (self._cut(request, answer) if draw < faults.cut else answer(request))

    async def _cut(self, request: web.Request, answer: Handler) -> web.StreamResponse:
        if self._random.random() < 0.5:
            return self._hang_up(request)  # before the call has had any effect
        response = await answer(request)
        if self._random.random() < 0.5 or not isinstance(response, web.Response):
            return self._hang_up(request)  # after it, and the caller cannot know
        return await self._hang_up_half_way(request, response)

    def _garbled(self, response: web.StreamResponse) -> web.StreamResponse:
        """An answer of success that says nothing; an error is left as it is."""
        if not isinstance(response, web.Response) or not isinstance(response.body, bytes) or response.status >= 300:
            return response
        half = response.body[: len(response.body) // 2]
        response.body = self._random.choice((half, b"", WEB_PAGE, b"{}"))
        if response.body == WEB_PAGE:
            response.content_type = "text/html"
        return response

    def _hang_up(self, request: web.Request) -> web.Response:
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    async def _hang_up_half_way(self, request: web.Request, response: web.Response) -> web.StreamResponse:
        body = response.body if isinstance(response.body, bytes) else b""
        half = web.StreamResponse(status=response.status, headers={"Content-Type": "application/json"})
        half.content_length = len(body)
        await half.prepare(request)
        await half.write(body[: len(body) // 2])
        if request.transport is not None:
            request.transport.close()
        return half


NO_FAULTS = Faults()
