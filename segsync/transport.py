"""One HTTP exchange: pace, call, decode, typed error; and tries again where that helps.

Both clients go through here and nothing else does, so this is the one place that knows about rate limits,
retries and what a status means. The first try takes no detour through the retry machinery: most calls
need none.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from io import BytesIO
from random import Random
from typing import Any, TypeVar

import aiohttp
import msgspec
import tenacity
from multidict import CIMultiDictProxy
from yarl import URL

from segsync import answers
from segsync.errors import AccessError, AnswerError, CallError, QuotaError, RefusedError, TransientError
from segsync.models import CallAnswered, CallRetried, OnEvent, ServicePaused
from segsync.pacer import Pacer

T = TypeVar("T")

MAX_ANSWER_BYTES = 16 * 1024 * 1024
"""No answer that the two APIs document comes near this; a larger one is not read to its end."""

LARGE_BODY_BYTES = 1 << 20
"""aiohttp writes bytes at once and a stream in pieces: a larger body would hold up the loop."""

BACKOFF_START_SECONDS = 0.5
BACKOFF_MAX_SECONDS = 30.0

LONGEST_ANNOUNCED_WAIT_SECONDS = 3700.0
"""Voucherify's longest rate window is an hour (sandbox projects). A longer wait is a plan that is used up."""

_RETRIED_STATUSES = frozenset({408, 425, 429})


class Transport:
    """The calls to one service. Made for one event loop, shared by all workers.

    `service` and `credentials` name it and its settings in messages; `headers` go to `base_url`'s host
    alone, since redirects are not followed.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        service: str,
        base_url: str,
        headers: Mapping[str, str],
        credentials: str,
        pacer: Pacer,
        retry_seconds: float,
        on_event: OnEvent,
        random: Random | None = None,
    ) -> None:
        self.service = service
        self.pacer = pacer
        self._session = session
        self._base_url = base_url
        self._headers = headers
        self._credentials = credentials
        self._retry_seconds = retry_seconds
        self._on_event = on_event
        self._random = random or Random()
        self._clock = asyncio.get_running_loop().time
        self._answered_at = -math.inf

    async def call(
        self,
        method: str,
        target: str,
        answer: msgspec.json.Decoder[T],
        body: bytes | None = None,
        *,
        retry_seconds: float | None = None,
    ) -> T:
        """The decoded answer of `method` on `target` (path and query, percent-encoded already).

        `retry_seconds` is the patience with this call, where it is not the transport's own. Raises one of the
        `CallError` classes; `TransientError` only when the tries have run out.
        """
        try:
            return await self._try(method, target, answer, body)
        except TransientError as first:
            patience = self._retry_seconds if retry_seconds is None else min(retry_seconds, self._retry_seconds)
            return await self._try_again(first, patience, lambda: self._try(method, target, answer, body))

    async def _try(self, method: str, target: str, answer: msgspec.json.Decoder[T], body: bytes | None) -> T:
        await self.pacer.turn()
        started = self._clock()
        status: int | None = None
        try:
            async with self._session.request(
                method,
                URL(self._base_url + target, encoded=True),
                headers=self._headers,
                data=BytesIO(body) if body and len(body) > LARGE_BODY_BYTES else body,
                allow_redirects=False,
            ) as response:
                content = await self._read(response)
                status = response.status
        except TimeoutError:
            raise self._cut(method, target, "no answer came in time") from None
        except aiohttp.ClientConnectorError as error:
            raise self._cut(method, target, _why_unreachable(error)) from None
        except aiohttp.ClientPayloadError:
            raise self._cut(method, target, "the answer was cut off") from None
        except (aiohttp.ClientError, OSError):
            raise self._cut(method, target, "the connection was cut") from None
        finally:
            self._on_event(CallAnswered(self.service, status, self._clock() - started))
        if 200 <= status < 300:
            self._answered_at = started
            self._heed(response.headers)
            return self._decode(response, content, answer)
        raise self._error(response, _describe(method, target), content)

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        length = response.content_length
        if length is not None and length <= MAX_ANSWER_BYTES and "Content-Encoding" not in response.headers:
            return await response.read()
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if size > MAX_ANSWER_BYTES:
                response.close()
                raise AnswerError(
                    f"{self.service} answered more than {MAX_ANSWER_BYTES:,} bytes to {_describe_response(response)}",
                    service=self.service,
                    status=response.status,
                    request_id=answers.request_id(response.headers),
                )
            chunks.append(chunk)
        return b"".join(chunks)

    def _decode(self, response: aiohttp.ClientResponse, content: bytes, answer: msgspec.json.Decoder[T]) -> T:
        try:
            return answer.decode(content)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            problem = f"not what its API documents: {error}"
            if response.content_type != "application/json":
                problem = f"{response.content_type} instead of JSON. Is the base URL right?"
            raise AnswerError(
                f"{self.service} answered {response.status} to {_describe_response(response)} with {problem}",
                service=self.service,
                status=response.status,
                request_id=answers.request_id(response.headers),
            ) from None

    def _error(self, response: aiohttp.ClientResponse, call: str, content: bytes) -> CallError:
        """The error that this status stands for."""
        status, headers = response.status, response.headers
        where: dict[str, Any] = {
            "service": self.service,
            "status": status,
            "request_id": answers.request_id(headers) or answers.error_text(content, "request_id"),
        }
        said = answers.error_text(content, "key", "code")
        message = f"{self.service} answered {status}{f' ({said})' if said else ''} to {call}"
        if status in (401, 403):
            return AccessError(f"{message}: it refuses {self._credentials}", **where)
        if status == 402 or (status == 429 and headers.get("X-Rate-Limit-Type") == "api_calls_cycle"):
            return QuotaError(f"{message}: the calls of the plan are used up for this cycle", **where)
        if status in _RETRIED_STATUSES or status >= 500:
            # `X-Rate-Limit-Retry` is on every answer of Voucherify's: it counts where the limit was reached.
            wait = answers.limit_wait_seconds(headers) if status == 429 else answers.retry_after_seconds(headers)
            if status == 429:
                self.pacer.refused()
                self._pause(wait or 0.0)
            return TransientError(message, retry_after_seconds=wait, **where)
        if 300 <= status < 400:
            return AnswerError(f"{message}: a redirect, which is not followed. Is the base URL right?", **where)
        return RefusedError(message, **where)

    def _heed(self, headers: CIMultiDictProxy[str]) -> None:
        """Stop before the limit instead of at it, where the service says how much of it is left (Voucherify)."""
        if headers.get("X-Rate-Limit-Remaining") == "0":
            self._pause(answers.limit_wait_seconds(headers) or 0.0)

    def _pause(self, seconds: float) -> None:
        if 0 < seconds <= LONGEST_ANNOUNCED_WAIT_SECONDS:
            self.pacer.pause(seconds)
            self._on_event(ServicePaused(self.service, seconds))

    def _cut(self, method: str, target: str, problem: str) -> TransientError:
        return TransientError(
            f"{self.service} at {self._base_url} did not answer {_describe(method, target)}: {problem}",
            service=self.service,
        )

    async def _try_again(self, first: TransientError, patience_seconds: float, call: Callable[[], Awaitable[T]]) -> T:
        """Full-jitter exponential back-off, never earlier than the service asked for, with a last try at the end."""
        failed_at = self._clock()
        deadline = failed_at + patience_seconds
        has_waited_longer = False
        tries = deque([failed_at], maxlen=2)
        pending: TransientError | None = first

        def wait(state: tenacity.RetryCallState) -> float:
            if announced := _error_of(state).retry_after_seconds:
                return announced
            doublings = min(state.attempt_number, 10)  # an outage of a day makes thousands of attempts
            ceiling = min(BACKOFF_START_SECONDS * 2**doublings, BACKOFF_MAX_SECONDS)
            return min(self._random.uniform(0, ceiling), max(deadline - self._clock(), 0.0))

        def is_out_of_time(state: tenacity.RetryCallState) -> bool:
            nonlocal deadline, has_waited_longer
            announced, now = _error_of(state).retry_after_seconds or 0.0, self._clock()
            if now >= deadline or announced > LONGEST_ANNOUNCED_WAIT_SECONDS:
                return True
            if now + announced > deadline:
                # The service says when. To wait that long is no outage: the patience begins again after it, once.
                if has_waited_longer:
                    return True
                has_waited_longer = True
                deadline = now + announced + patience_seconds
            return False

        def tell(state: tenacity.RetryCallState) -> None:
            self._on_event(
                CallRetried(
                    self.service,
                    str(_error_of(state)),
                    state.attempt_number,
                    state.upcoming_sleep,
                    self._clock() - failed_at,
                )
            )

        async def attempt() -> T:
            nonlocal pending
            if pending is not None:  # the call that failed before we came here counts as the first attempt
                error, pending = pending, None
                raise error
            tries.append(self._clock())
            return await call()

        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(TransientError),
            wait=wait,
            stop=is_out_of_time,
            before_sleep=tell,
            reraise=True,
        )
        try:
            return await retrying(attempt)
        except TransientError as last:
            asked = last.retry_after_seconds or 0.0
            raise TransientError(
                f"{last.message}; given up after {self._clock() - failed_at:.0f} s and "
                f"{retrying.statistics['attempt_number']} attempts"
                + (f", since it asks to wait {asked:,.0f} s" if asked > LONGEST_ANNOUNCED_WAIT_SECONDS else ""),
                service=last.service,
                status=last.status,
                request_id=last.request_id,
                retry_after_seconds=last.retry_after_seconds,
                # Since the last try but one: earlier successes may be from before an outage.
                others_succeed=len(tries) == 2 and self._answered_at > tries[0],
            ) from None


def _error_of(state: tenacity.RetryCallState) -> TransientError:
    error = state.outcome.exception() if state.outcome else None
    if not isinstance(error, TransientError):
        raise TypeError(f"only a TransientError is tried again, not {error!r}")
    return error


def _describe(method: str, target: str) -> str:
    """The call without its query: a cursor or an identifier has no place in a message."""
    return f"{method} {target.partition('?')[0]}"


def _describe_response(response: aiohttp.ClientResponse) -> str:
    return f"{response.method} {response.url.raw_path}"


def _why_unreachable(error: aiohttp.ClientConnectorError) -> str:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its host name was not found. Is the network up, and the base URL right?"
    if isinstance(error, aiohttp.ClientSSLError | aiohttp.ClientConnectorCertificateError):
        return "no trusted TLS connection could be made"
    if error.errno:
        return f"no connection ({os.strerror(error.errno).lower()}). Is the network up, and the base URL right?"
    return "no connection. Is the network up, and the base URL right?"
