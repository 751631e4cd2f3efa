"""A client of one API: rate limit, call, decoding, typed errors, and retries where they help.

Every call to a service goes through here, so this is the one place that knows about rate limits, retries and what a
status means. The first try takes no detour through the retry machinery: most calls need none.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Mapping
from functools import partial
from io import BytesIO
from random import Random
from typing import Any, TypeVar

import aiohttp
import msgspec
from multidict import CIMultiDict
from yarl import URL

from segsync.connectors.http import lenient
from segsync.connectors.http import responses as answers
from segsync.connectors.http.credentials import FOR_DOWNLOADS, file_url, secrets_in
from segsync.connectors.http.failures import (
    NO_ACCESS,
    OF_THE_MOMENT,
    Call,
    compressed,
    given_up,
    may_pass,
    no_access,
    no_answer,
    not_decoded,
    same_where,
    where_from,
)
from segsync.connectors.http.proxy import proxy_for
from segsync.connectors.http.rate_limiter import RateLimiter
from segsync.connectors.http.retry import Retries
from segsync.errors import (
    AccessError,
    AnswerError,
    BlockedError,
    CallError,
    QuotaError,
    RefusedError,
    SettingsError,
    TransientError,
)
from segsync.events import CallAnswered, OnEvent
from segsync.models import CallLimit, Connector

T = TypeVar("T")

MAX_ANSWER_BYTES = 16 * 1024 * 1024
"""The largest answer that is read to its end; no documented one comes near it."""

LARGE_BODY_BYTES = 1 << 20
"""A larger body is sent as a stream: aiohttp writes bytes at once, which would hold up the event loop."""

DOWNLOAD_RETRY_SECONDS = 60.0

FIRST_ANSWERS_SECONDS = 5.0
"""The first calls of a kind leave side by side: a garbled answer waits this long for the others to be understood."""

NO_LIMIT = CallLimit(1_000_000, "second")
"""A limit that is never reached, for a service that names none."""


class ApiClient:
    """The calls to one service. Made for one event loop, shared by all workers.

    `about` and `credentials` name it and its settings in messages; `headers` go to its host alone, since redirects
    are not followed. The one exception are the vendor's own `download_hosts`, which get the two `X-App-…` headers where
    they want them. `secrets` are what no message may hold, since an answer may quote it.

    A kind of call, known by its decoder, is understood once an answer to it was decoded: then base URL and credentials
    are right, and what comes in the place of an answer may pass. Raises `SettingsError` where the environment names a
    proxy that is none.
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
        download_hosts: Iterable[str] = (),
        keep_words: bool = False,
    ) -> None:
        self.about = about
        self._service = about.name
        limit = about.limit or NO_LIMIT
        self.limiter = RateLimiter(limit.per_second, limit.window_seconds, service=about.name, on_event=on_event)
        self._session = session
        self._base_url = URL(about.host, encoded=True)
        self._base_path = self._base_url.raw_path.rstrip("/")
        self._proxy = proxy_for(self._base_url)
        self.secrets = (*secrets_in(headers), *(self._proxy.secrets if self._proxy else ()))
        self._headers = CIMultiDict(headers)  # as aiohttp wants them: it would make one for every call
        self._download_origins = {URL.build(scheme="https", host=host) for host in download_hosts}
        self._understood: set[object] = set()
        self._keep_words = keep_words
        self._under_way = 0  # calls that have no result yet
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
        patience: float = 1.0,
        is_urgent: bool = True,
        has_own_right: bool = False,
    ) -> T:
        """The decoded answer of `method` on `target` (path and query, percent-encoded already).

        `retry_seconds` can only shorten the time for retries, of which `patience` is the share that is used; one that
        is not urgent lets the others go first. For one that `has_own_right` a 401 or 403 is about that right, whatever
        else the credentials open.

        Raises one of the `CallError` classes; `TransientError` only when the retries have run out, and for a call with
        a `body` never because its answers were garbled: it may have been carried out, so `AnswerError` is raised.
        """
        seconds = self._retry_seconds if retry_seconds is None else min(retry_seconds, self._retry_seconds)
        seconds *= patience
        self._under_way += 1
        try:
            try:
                return await self._try(method, target, answer, body, is_urgent, has_own_right)
            except TransientError as error:
                first = error
            except AnswerError as error:
                first = await self._once_understood(error, answer, seconds)
            again = partial(self._try, method, target, answer, body, is_urgent, has_own_right)
            return await self._retries.again(first, again, seconds)
        except TransientError as error:
            last = error
        finally:
            self._under_way -= 1
        raise given_up(last, is_write=body is not None)

    async def _once_understood(self, error: AnswerError, answer: object, patience: float) -> TransientError:
        """The error as one that may pass, where other calls of the kind are understood meanwhile. Else raises it.

        Where nothing at all was understood the base URL is wrong, and there is nothing to wait for.
        """
        if not self._understood or answer in self._understood:
            raise error
        ends_at = self._clock() + min(FIRST_ANSWERS_SECONDS, patience)
        while answer not in self._understood:
            if self._under_way < 2 or self._clock() >= ends_at:
                raise error
            await asyncio.sleep(FIRST_ANSWERS_SECONDS / 50)
        return TransientError(error.message, is_garbled=True, **same_where(error))

    async def download(self, url: str) -> bytes:
        """The content of a file that an answer names, on any host.

        The credentials go to the API's own host, and to the vendor's download host if it refuses the call without them.
        Raises `AnswerError` for a URL that is not https, `RefusedError` where there is no such file, `TransientError`
        when the retries have run out.
        """
        where = file_url(url, self._base_url)
        if where is None:
            message = f"{self._service} names a report file that is not at an https URL"
            raise AnswerError(message, service=self._service, code="report-file-unreadable")
        try:
            call = Call("GET", where, proxy_for(where), "the call for a report file")
        except SettingsError as error:  # the API's host may be one of NO_PROXY, this one is not
            message = f"{error}, for a report file of {self._service}"
            raise AnswerError(message, service=self._service, code="proxy-invalid") from None
        try:
            return await self._try_download(call)
        except TransientError as error:
            first = error
        patience = min(DOWNLOAD_RETRY_SECONDS, self._retry_seconds)
        return await self._retries.again(first, partial(self._try_download, call), patience)

    async def _try(
        self,
        method: str,
        target: str,
        answer: msgspec.json.Decoder[T],
        body: bytes | None,
        is_urgent: bool,
        has_own_right: bool,
    ) -> T:
        left_at = await (self.limiter.turn if is_urgent else self.limiter.spare_turn)(method == "POST")
        url = self._url(target)
        call = Call(method, url, self._proxy)
        response, content = await self._exchange(call, self._headers, body, answer)
        if 200 <= response.status < 300:
            self.limiter.answered(method, response.headers)
            decoded = self._decode(response, content, call, answer)
            self._understood.add(answer)
            self._retries.answered_at = left_at
            return decoded
        if response.status == 429:
            self.limiter.refused(left_at, method, response.headers)
        raise self._error(response, content, call, answer, has_own_right=has_own_right)

    def _url(self, target: str) -> URL:
        """The URL of a target, built of known parts: a whole one would be parsed for every call."""
        base, (path, _, query) = self._base_url, target.partition("?")
        path = f"{self._base_path}{path}"
        return URL.build(scheme=base.scheme, authority=base.raw_authority, path=path, query_string=query, encoded=True)

    async def _try_download(self, call: Call) -> bytes:
        origin = call.url.origin()
        is_own = origin == self._base_url.origin()
        left_at = await self.limiter.spare_turn() if is_own else math.inf
        headers = {**(self._headers if is_own else {}), "Accept": "*/*"}
        response, content = await self._exchange(call, headers)
        if response.status in (401, 403) and origin in self._download_origins:
            headers |= {name: value for name, value in self._headers.items() if name in FOR_DOWNLOADS}
            response, content = await self._exchange(call, headers)
        if 200 <= response.status < 300:
            return content
        if is_own and response.status == 429:
            self.limiter.refused(left_at, "GET", response.headers)
        message = f"{call.url.host} answered {response.status} to {call} of {self._service}"
        error = TransientError if may_pass(response.status) else RefusedError
        raise error(message, service=self._service, status=response.status, code="report-file-unreadable")

    async def _exchange(
        self, call: Call, headers: Mapping[str, str], body: bytes | None = None, answer: object = None
    ) -> tuple[aiohttp.ClientResponse, bytes]:
        """One HTTP exchange. `answer` is the kind of the call, None for a file."""
        started = self._clock()
        status: int | None = None
        data = BytesIO(body) if body and len(body) > LARGE_BODY_BYTES else body
        proxy = call.proxy and call.proxy.url
        try:
            async with self._session.request(
                call.method, call.url, headers=headers, data=data, allow_redirects=False, proxy=proxy
            ) as response:
                content = await self._read(response, call)
                status = response.status
                return response, content
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            failure = self._failure(error, call, answer)
        finally:
            self._on_event(CallAnswered(self._service, status, self._clock() - started))
        raise failure  # out here, where nothing is chained to it: aiohttp's errors quote what was sent and answered

    def _failure(self, error: Exception, call: Call, answer: object) -> CallError:
        is_network = isinstance(error, OSError)  # the error of a certificate is a ValueError too
        if isinstance(error, ValueError) and not is_network:  # the host is not valid; aiohttp finds that out late
            message = f"{self._service} cannot be called at this address. Is the base URL right?"
            return AnswerError(message, service=self._service, code="base-url-invalid")
        if how := compressed(error):
            message = f"{self._service} answered {call} {how}"
            return self._garbled(answer, message, service=self._service, code="answer-compressed")
        why = no_answer(error, call)
        message = f"{self._service} at {call.url.origin()} did not answer {call}: {why.problem}"
        is_final = not why.may_pass and not self._understood and answer is not None
        return (BlockedError if is_final else TransientError)(message, service=self._service, code=why.code)

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
                message = f"{self._service} answered more than {MAX_ANSWER_BYTES:,} bytes to {call}"
                where: dict[str, Any] = {"status": response.status, "request_id": answers.request_id(response.headers)}
                raise AnswerError(message, service=self._service, code="answer-undocumented", **where)
            chunks.append(chunk)
        return b"".join(chunks)

    def _decode(
        self, response: aiohttp.ClientResponse, content: bytes, call: Call, answer: msgspec.json.Decoder[T]
    ) -> T:
        try:
            return lenient.decode(content, answer)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            problem, code = not_decoded(response, content, error, is_first=answer not in self._understood)
        message = f"{self._service} answered {response.status} to {call} with {problem}"
        where = {"status": response.status, "request_id": answers.request_id(response.headers)}
        raise self._garbled(answer, message, service=self._service, code=code, **where)

    def _garbled(self, answer: object, message: str, *, code: str, **where: Any) -> AnswerError | TransientError:
        """The error for what is not an answer: it may pass where answers of its kind were understood before."""
        if answer in self._understood:
            return TransientError(message, is_garbled=True, code=code, **where)
        return AnswerError(message, code=code, **where)

    def _error(
        self, response: aiohttp.ClientResponse, content: bytes, call: Call, answer: object, *, has_own_right: bool
    ) -> CallError:
        """The error that this status stands for."""
        status, headers, fields = response.status, response.headers, answers.error_fields(content)
        request_id = answers.request_id(headers) or answers.identifier(fields.get("request_id"))
        where: dict[str, Any] = {"service": self._service, "status": status, "request_id": request_id}
        key = answers.identifier(fields.get("key")) or answers.identifier(fields.get("code"))
        message = f"{self._service} answered {status}{f' ({key})' if key else ''} to {call}"
        if status in NO_ACCESS:
            is_blocked = status == 407 or (not fields and answers.is_web_page(headers, content))
            may_pass_now = bool(self._understood) and (is_blocked or not has_own_right)
            why = no_access(call, status, self._credentials, is_blocked=is_blocked, was_accepted=may_pass_now)
            final = BlockedError if is_blocked else AccessError
            return (TransientError if may_pass_now else final)(message + why.problem, code=why.code, **where)
        if status == 402 or (status == 429 and headers.get("X-Rate-Limit-Type") == "api_calls_cycle"):
            return QuotaError(f"{message}: {answers.spent_cycle(headers)}", **where)
        causes = (fields.get("message"), fields.get("details"))
        reason = answers.reason(*causes, hidden=self.secrets)
        if self._keep_words:
            where["words"] = answers.words(*causes, hidden=self.secrets)
        refusal = f"{message}: {reason}" if reason else message
        if status in OF_THE_MOMENT:
            wait = answers.retry_after_seconds(headers)
            return TransientError(refusal, retry_after_seconds=wait, code="conflict", **where)
        if may_pass(status):
            # Some services send `X-Rate-Limit-Retry` with every answer: it counts where the limit was reached.
            wait = answers.limit_wait_seconds(headers) if status == 429 else answers.retry_after_seconds(headers)
            if status == 429:
                self.limiter.asked_to_wait(wait or 0.0, answers.is_bulk(call.method, headers))
            code = "rate-limited" if status == 429 else "service-failed"
            return TransientError(message, retry_after_seconds=wait, code=code, **where)
        if 300 <= status < 400:
            hint = where_from(is_first=answer not in self._understood)
            message += f": a redirect, which is not followed. {hint}"
            return self._garbled(answer, message, code="redirected", **where)
        code = {404: "not-found", 410: "not-found", 413: "too-large"}.get(status, "refused")
        return RefusedError(refusal, code=code, **where)
