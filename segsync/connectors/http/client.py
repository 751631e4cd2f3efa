"""A client of one API: rate limit, call, decoding, typed errors, and retries where they help.

Every call to a service goes through here, so this is the one place that knows about rate limits, retries and what a
status means. The first try takes no detour through the retry machinery: most calls need none.
"""

from __future__ import annotations

import asyncio
import math
import os
import re
from base64 import b64decode
from collections.abc import Mapping
from functools import partial
from io import BytesIO
from random import Random
from typing import Any, NamedTuple, TypeVar

import aiohttp
import msgspec
from multidict import CIMultiDict
from yarl import URL

from segsync.connectors.http import responses as answers
from segsync.connectors.http.rate_limiter import RateLimiter
from segsync.connectors.http.retry import Retries
from segsync.errors import AccessError, AnswerError, CallError, QuotaError, RefusedError, TransientError
from segsync.events import CallAnswered, OnEvent
from segsync.models import CallLimit, Connector
from segsync.settings import is_this_machine

T = TypeVar("T")

MAX_ANSWER_BYTES = 16 * 1024 * 1024
"""The largest answer that is read to its end; no documented one comes near it."""

LARGE_BODY_BYTES = 1 << 20
"""A larger body is sent as a stream: aiohttp writes bytes at once, which would hold up the event loop."""

DOWNLOAD_RETRY_SECONDS = 60.0

NO_LIMIT = CallLimit(1_000_000, "second")
"""A limit that is never reached, for a service that names none."""

_ABOUT = re.compile("(?<=/segment_id:)[^/]+")
"""The profile that a call is about, which is left out of messages, as the query is."""

_CONTENT_TYPE = re.compile("[a-z0-9.+-]{1,40}/[a-z0-9.+-]{1,60}")

_NO_ANSWER = (
    (TimeoutError, "no answer came in time"),
    (aiohttp.ClientConnectorDNSError, "its host name was not found. Is the network up, and the base URL right?"),
    (aiohttp.ClientSSLError, "no trusted TLS connection could be made"),
    (aiohttp.ClientConnectorError, "no connection{cause}. Is the network up, and the base URL right?"),
    (aiohttp.ClientPayloadError, "the answer was cut off"),
    (Exception, "the connection was cut"),
)
"""Why there was no answer, by the first class that an exception is of."""


class _Call(NamedTuple):
    """A call as messages name it, put together only where there is a message."""

    method: str
    url: URL

    def __str__(self) -> str:
        return f"{self.method} {_ABOUT.sub('…', self.url.raw_path)}"


class ApiClient:
    """The calls to one service. Made for one event loop, shared by all workers.

    `about` and `credentials` name it and its settings in messages; `headers` go to its host alone, since redirects
    are not followed. `secrets` are what no message may hold, since an answer may quote it.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        about: Connector,
        *,
        headers: Mapping[str, str],
        credentials: str,
        retry_seconds: float,
        on_event: OnEvent,
        random: Random | None = None,
    ) -> None:
        self.about = about
        self.secrets = _secrets_in(headers)
        self._service = about.name
        limit = about.limit or NO_LIMIT
        self.limiter = RateLimiter(limit.per_second, limit.window_seconds, service=about.name, on_event=on_event)
        self._session = session
        self._base_url = URL(about.host, encoded=True)
        self._base_path = self._base_url.raw_path.rstrip("/")
        self._headers = CIMultiDict(headers)  # as aiohttp wants them: it would make one for every call
        self._credentials = credentials
        self._retry_seconds = retry_seconds
        self._on_event = on_event
        self._retries = Retries(on_event, random or Random())
        self._clock = asyncio.get_running_loop().time

    async def call(
        self,
        method: str,
        target: str,
        answer: msgspec.json.Decoder[T],
        body: bytes | None = None,
        *,
        retry_seconds: float | None = None,
        is_urgent: bool = True,
    ) -> T:
        """The decoded answer of `method` on `target` (path and query, percent-encoded already).

        `retry_seconds` can only shorten the time for retries; one that is not urgent lets the others go first. Raises
        one of the `CallError` classes; `TransientError` only when the retries have run out.
        """
        try:
            return await self._try(method, target, answer, body, is_urgent=is_urgent)
        except TransientError as error:
            first = error
        again = partial(self._try, method, target, answer, body, is_urgent=is_urgent)
        patience = self._retry_seconds if retry_seconds is None else min(retry_seconds, self._retry_seconds)
        return await self._retries.again(first, again, patience)

    async def download(self, url: str) -> bytes:
        """The content of a file that an answer names, on any host.

        The credentials go to the API's own host alone. Raises `AnswerError` for a URL that is not https, `RefusedError`
        where there is no such file, `TransientError` when the retries have run out.
        """
        where = _file_url(url, self._base_url)
        if where is None:
            raise AnswerError(f"{self._service} names a report file that is not at an https URL", service=self._service)
        try:
            return await self._try_download(where)
        except TransientError as error:
            first = error
        patience = min(DOWNLOAD_RETRY_SECONDS, self._retry_seconds)
        return await self._retries.again(first, partial(self._try_download, where), patience)

    async def _try(
        self, method: str, target: str, answer: msgspec.json.Decoder[T], body: bytes | None, *, is_urgent: bool
    ) -> T:
        left_at = await (self.limiter.turn if is_urgent else self.limiter.spare_turn)(method == "POST")
        url = self._url(target)
        call = _Call(method, url)
        response, content = await self._exchange(method, url, self._headers, call, body)
        if 200 <= response.status < 300:
            self._retries.answered_at = left_at
            self.limiter.answered(method, response.headers)
            return self._decode(response, content, call, answer)
        if response.status == 429:
            self.limiter.refused(left_at, method, response.headers)
        raise self._error(response, content, call)

    def _url(self, target: str) -> URL:
        """The URL of a target, built of known parts: a whole one would be parsed for every call."""
        base, (path, _, query) = self._base_url, target.partition("?")
        path = f"{self._base_path}{path}"
        return URL.build(scheme=base.scheme, authority=base.raw_authority, path=path, query_string=query, encoded=True)

    async def _try_download(self, url: URL) -> bytes:
        is_own = url.origin() == self._base_url.origin()
        left_at = await self.limiter.spare_turn() if is_own else math.inf
        call = "the call for a report file"
        headers = {**(self._headers if is_own else {}), "Accept": "*/*"}
        response, content = await self._exchange("GET", url, headers, call)
        if 200 <= response.status < 300:
            return content
        if is_own and response.status == 429:
            self.limiter.refused(left_at, "GET", response.headers)
        message = f"{url.host} answered {response.status} to {call} of {self._service}"
        error = TransientError if _may_pass(response.status) else RefusedError
        raise error(message, service=self._service, status=response.status)

    async def _exchange(
        self, method: str, url: URL, headers: Mapping[str, str], call: object, body: bytes | None = None
    ) -> tuple[aiohttp.ClientResponse, bytes]:
        """One HTTP exchange; messages name it `call`."""
        started = self._clock()
        status: int | None = None
        data = BytesIO(body) if body and len(body) > LARGE_BODY_BYTES else body
        try:
            async with self._session.request(
                method, url, headers=headers, data=data, allow_redirects=False
            ) as response:
                content = await self._read(response, call)
                status = response.status
                return response, content
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            failure = self._failure(error, url, call)
        finally:
            self._on_event(CallAnswered(self._service, status, self._clock() - started))
        raise failure  # out here, where nothing is chained to it: aiohttp's errors quote what was sent and answered

    def _failure(self, error: Exception, url: URL, call: object) -> CallError:
        if isinstance(error, ValueError):  # the host is not valid; aiohttp finds that out late
            message = f"{self._service} is at no address that can be called. Is the base URL right?"
            return AnswerError(message, service=self._service)
        cause = f" ({os.strerror(error.errno).lower()})" if isinstance(error, OSError) and error.errno else ""
        problem = next(sentence for kind, sentence in _NO_ANSWER if isinstance(error, kind)).format(cause=cause)
        message = f"{self._service} at {url.origin()} did not answer {call}: {problem}"
        return TransientError(message, service=self._service)

    async def _read(self, response: aiohttp.ClientResponse, call: object) -> bytes:
        length = response.content_length
        if length is not None and length <= MAX_ANSWER_BYTES and "Content-Encoding" not in response.headers:
            return await response.read()
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if size > MAX_ANSWER_BYTES:
                response.close()
                raise self._unusable(response, f"more than {MAX_ANSWER_BYTES:,} bytes to {call}")
            chunks.append(chunk)
        return b"".join(chunks)

    def _decode(
        self, response: aiohttp.ClientResponse, content: bytes, call: object, answer: msgspec.json.Decoder[T]
    ) -> T:
        try:
            return answer.decode(content)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            is_text = not isinstance(error, UnicodeDecodeError)  # which quotes the answer
            problem = f"not what its API documents: {error if is_text else 'it is not UTF-8'}"
        kind = response.content_type
        if kind != "application/json":
            shown = kind if _CONTENT_TYPE.fullmatch(kind) else "something"
            problem = f"{shown} instead of JSON. Is the base URL right?"
        raise self._unusable(response, f"{response.status} to {call} with {problem}")

    def _unusable(self, response: aiohttp.ClientResponse, problem: str) -> AnswerError:
        message, request_id = f"{self._service} answered {problem}", answers.request_id(response.headers)
        return AnswerError(message, service=self._service, status=response.status, request_id=request_id)

    def _error(self, response: aiohttp.ClientResponse, content: bytes, call: _Call) -> CallError:
        """The error that this status stands for."""
        status, headers, fields = response.status, response.headers, answers.error_fields(content)
        request_id = answers.request_id(headers) or answers.identifier(fields.get("request_id"))
        where: dict[str, Any] = {"service": self._service, "status": status, "request_id": request_id}
        code = answers.identifier(fields.get("key")) or answers.identifier(fields.get("code"))
        message = f"{self._service} answered {status}{f' ({code})' if code else ''} to {call}"
        if status in (401, 403):
            return AccessError(f"{message}: it refuses {self._credentials}", **where)
        if status == 402 or (status == 429 and headers.get("X-Rate-Limit-Type") == "api_calls_cycle"):
            return QuotaError(f"{message}: {answers.spent_cycle(headers)}", **where)
        if _may_pass(status):
            # Some services send `X-Rate-Limit-Retry` with every answer: it counts where the limit was reached.
            wait = answers.limit_wait_seconds(headers) if status == 429 else answers.retry_after_seconds(headers)
            if status == 429:
                self.limiter.asked_to_wait(wait or 0.0, answers.is_bulk(call.method, headers))
            return TransientError(message, retry_after_seconds=wait, **where)
        if 300 <= status < 400:
            return AnswerError(f"{message}: a redirect, which is not followed. Is the base URL right?", **where)
        reason = answers.reason(fields.get("message"), fields.get("details"), hidden=self.secrets)
        return RefusedError(f"{message}: {reason}" if reason else message, **where)


def _may_pass(status: int) -> bool:
    return status in (408, 425, 429) or status >= 500


def _secrets_in(headers: Mapping[str, str]) -> tuple[str, ...]:
    """The credentials in headers, as they stand there and, for HTTP Basic, decoded too."""
    secrets: list[str] = []
    for name, value in headers.items():
        kind, _, encoded = value.rpartition(" ")
        if name in ("X-App-Id", "X-App-Token", "Authorization"):
            secrets.append(encoded)
        if kind == "Basic":
            secrets += b64decode(encoded).decode(errors="replace").split(":")
    return tuple(secrets)


def _file_url(url: str, base_url: URL) -> URL | None:
    """An https URL, or an http one of this machine if the API is there too."""
    try:
        where = URL(url, encoded=True)
        host = where.host or ""
    except ValueError:
        return None
    is_here = is_this_machine(host) and is_this_machine(base_url.host or "")
    is_safe = where.scheme == "https" or (where.scheme == "http" and is_here)
    return where if is_safe and host and host.isprintable() else None
