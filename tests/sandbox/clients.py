"""A client of the sandbox's two services that shares no code with segsync: paths, headers, JSON."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec
from yarl import URL

from segsync.sandbox.options import ACCESS_TOKEN, APPLICATION_ID, SECRET_KEY, SPACE_ID, SandboxOptions
from segsync.sandbox.server import Sandbox


def basic(user: str, password: str = "") -> dict[str, str]:
    """The header of HTTP Basic."""
    return {"Authorization": f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"}


SEGMENT_HEADERS = basic(ACCESS_TOKEN)
VOUCHERIFY_HEADERS = {"X-App-Id": APPLICATION_ID, "X-App-Token": SECRET_KEY}
BULK = "/v1/customers/bulk/async"
TOO_MANY = {"code": 429, "message": "Too many requests hit the API too quickly."}
"""The body of a 429, on the vendor's page "API overview"."""

QUICK = SandboxOptions(
    messy=True, latency_ms=0, action_seconds=0, segment_requests_per_second=0, voucherify_requests_per_minute=0
)


def quick(**changes: Any) -> SandboxOptions:
    """Options of a sandbox of every shape and without any wait, but with these changes."""
    return msgspec.structs.replace(QUICK, **changes)


@dataclass(frozen=True, slots=True)
class Answer:
    """`body` is decoded where it is JSON and text where it is not."""

    status: int
    headers: Mapping[str, str]
    body: Any


class Client:
    """Calls a sandbox. `sandbox` is None where it runs in another process."""

    def __init__(self, session: aiohttp.ClientSession, url: str, sandbox: Sandbox | None = None) -> None:
        self._session = session
        self.url = url
        self._sandbox = sandbox

    @property
    def sandbox(self) -> Sandbox:
        assert self._sandbox is not None
        return self._sandbox

    async def call(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        query: Mapping[str, Any] | None = None,
        data: Any = None,
    ) -> Answer:
        """`path` goes out as it is: what needs to be percent-encoded is so already."""
        return await self._fetch(method, URL(self.url + path, encoded=True).with_query(query or {}), headers, data)

    async def download(self, url: str, headers: Mapping[str, str] | None = None) -> Answer:
        """GET of a URL that the sandbox gave."""
        return await self._fetch("GET", URL(url), headers or {})

    async def _fetch(self, method: str, url: URL, headers: Mapping[str, str], data: Any = None) -> Answer:
        async with self._session.request(method, url, headers=headers, data=data) as response:
            text = await response.text()
            body = msgspec.json.decode(text) if response.content_type == "application/json" else text
            return Answer(response.status, response.headers, body)

    async def segment(
        self, path: str = "", space: str = SPACE_ID, headers: Mapping[str, str] = SEGMENT_HEADERS, **query: Any
    ) -> Answer:
        """GET below the profiles of `space`."""
        return await self.call("GET", f"/v1/spaces/{space}/collections/users/profiles{path}", headers, query)

    async def traits(self, segment_id: str, **query: Any) -> Answer:
        return await self.segment(f"/segment_id:{segment_id}/traits", **query)

    async def external_ids(self, segment_id: str, **query: Any) -> Answer:
        return await self.segment(f"/segment_id:{segment_id}/external_ids", **query)

    async def voucherify(self, path: str, headers: Mapping[str, str] = VOUCHERIFY_HEADERS, **query: Any) -> Answer:
        return await self.call("GET", path, headers, query)

    async def post(self, body: bytes, headers: Mapping[str, str] = VOUCHERIFY_HEADERS) -> Answer:
        return await self.call("POST", BULK, {"Content-Type": "application/json", **headers}, data=BytesIO(body))

    async def upsert(self, *customers: object) -> Answer:
        return await self.post(msgspec.json.encode(customers))

    async def customer(self, source_id: str) -> Answer:
        return await self.voucherify(f"/v1/customers/{quote(source_id, safe='')}")

    async def action(self, accepted: Answer) -> dict[str, Any]:
        """The action of an accepted upsert, as it is now."""
        assert accepted.status == 202
        answer = await self.voucherify(f"/v1/async-actions/{accepted.body['async_action_id']}")
        assert answer.status == 200
        body: dict[str, Any] = answer.body
        return body


def segment_error(answer: Answer) -> tuple[int, str]:
    """Status and code of an error in Segment's shape."""
    assert set(answer.body) == {"error"}
    assert set(answer.body["error"]) == {"code", "message"}
    assert answer.body["error"]["message"]
    return answer.status, answer.body["error"]["code"]


def voucherify_error(answer: Answer) -> tuple[int, str]:
    """Status and key of an error in Voucherify's shape; 413 and 429 have other ones."""
    assert set(answer.body) == {"code", "key", "message", "details", "request_id"}
    assert answer.body["code"] == answer.status
    assert answer.body["message"]
    assert answer.body["request_id"] == answer.headers["Request-Id"]
    return answer.status, answer.body["key"]
