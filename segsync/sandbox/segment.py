"""The sandbox's Profile API."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Any, TypeVar

from aiohttp import web

from segsync.sandbox.options import ACCESS_TOKEN, SPACE_ID, Faults, SandboxOptions
from segsync.sandbox.profiles import SandboxProfile, Space
from segsync.sandbox.service import Service, json_response

T = TypeVar("T")

AUTHORIZATION = f"Basic {b64encode(f'{ACCESS_TOKEN}:'.encode()).decode()}"

PROFILES = "/v1/spaces/{space}/collections/users/profiles"

DEFAULT_TRAITS, MOST_TRAITS = 10, 200

MOST_EXTERNAL_IDS = 25

MOST_PROFILES = 100


class SegmentSandbox(Service):
    """`GET` of a space's profiles, and of one profile's traits and external ids."""

    def __init__(self, space: Space, options: SandboxOptions) -> None:
        super().__init__(options, limit=options.segment_requests_per_second, seconds=1.0)
        self._space = space
        self.listed = 0

    @property
    def faults(self) -> Faults:
        return self.options.segment_faults

    def switch(self, options: SandboxOptions) -> None:
        self.options = options
        self.window.limit = options.segment_requests_per_second

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(PROFILES, self.handler(self._profiles)),
            web.get(f"{PROFILES}/{{profile}}/traits", self.handler(self._traits)),
            web.get(f"{PROFILES}/{{profile}}/external_ids", self.handler(self._external_ids)),
            web.route("*", "/v1/spaces/{space}{rest:.*}", self.handler(self.unknown)),
        ]

    def refuse(self, request: web.Request) -> web.Response | None:
        if request.headers.get("Authorization") != AUTHORIZATION:
            return self.error(401, "authentication_error", "The access token is not valid.")
        if not self.window.allow():
            return self.too_many(request)
        if request.match_info["space"] != SPACE_ID:
            return self.error(404, "not_found", "Space was not found.")
        return None

    def too_many(self, request: web.Request) -> web.Response:
        return self.error(429, "rate_limit_error", "Too many requests.")

    def error(self, status: int, code: str, message: str) -> web.Response:
        return json_response({"error": {"code": code, "message": message}}, status, self.request_id())

    async def _profiles(self, request: web.Request) -> web.Response:
        limit = _whole(request.query.get("limit", "10"))
        start = _whole(request.query.get("next") or "0")
        if limit is None or not 1 <= limit <= MOST_PROFILES:
            return self.error(400, "validation_error", "limit must be from 1 to 100.")
        if start is None:
            return self.error(400, "validation_error", "next is not a cursor of this space.")
        end = min(start + limit, len(self._space))
        following = str(end) if end < len(self._space) else ""
        data = [{"segment_id": self._space.segment_id(index)} for index in range(start, end)]
        self.listed += len(data)
        return self._page({"data": data}, request, following, limit)

    async def _traits(self, request: web.Request) -> web.Response:
        limit = _whole(request.query.get("limit", str(DEFAULT_TRAITS)))
        if limit is None or not 1 <= limit <= MOST_TRAITS:
            return self.error(400, "validation_error", "limit must be from 1 to 200.")
        profile = self._profile(request)
        if profile is None:
            return self.error(404, "not_found", "Profile was not found.")
        wanted = self._wanted(request)
        names = [name for name in profile.traits if wanted is None or name in wanted]
        start = _start(request)
        if start is None:
            return self.error(400, "validation_error", "next is not a cursor of this list.")
        part, following = _part(names, start, limit)
        return self._page({"traits": {name: profile.traits[name] for name in part}}, request, following, limit)

    async def _external_ids(self, request: web.Request) -> web.Response:
        limit = _whole(request.query.get("limit", str(MOST_EXTERNAL_IDS)))
        if limit is None or limit < 1:
            return self.error(400, "validation_error", "limit must be 1 or more.")
        profile = self._profile(request)
        if profile is None:
            return self.error(404, "not_found", "Profile was not found.")
        wanted = self._wanted(request)
        found = [entry for entry in profile.external_ids if wanted is None or entry["type"] in wanted]
        limit = min(limit, MOST_EXTERNAL_IDS)
        start = _start(request)
        if start is None:
            return self.error(400, "validation_error", "next is not a cursor of this list.")
        part, following = _part(found, start, limit)
        return self._page({"data": part}, request, following, limit)

    def _profile(self, request: web.Request) -> SandboxProfile | None:
        kind, _, segment_id = request.match_info["profile"].partition(":")
        index = self._space.index(segment_id) if kind == "segment_id" else None
        return None if index is None or self._space.is_missing(index) else self._space.profile(index)

    def _wanted(self, request: web.Request) -> set[str] | None:
        include = request.query.get("include")
        return None if include is None or self.options.ignore_include else set(include.split(","))

    def _page(self, fields: dict[str, Any], request: web.Request, following: str, limit: int) -> web.Response:
        cursor = {"url": request.path, "has_more": bool(following), "next": following, "limit": limit}
        return json_response({**fields, "cursor": cursor}, 200, self.request_id())


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() else None


def _start(request: web.Request) -> int | None:
    """The position that an opaque cursor points to, None where this sandbox did not make it."""
    cursor = request.query.get("next", "")
    try:
        start = int(urlsafe_b64decode(cursor)) if cursor else 0
    except ValueError:
        return None
    return start if start >= 0 else None


def _part(entries: Sequence[T], start: int, limit: int) -> tuple[list[T], str]:
    """The entries from `start` on, and the cursor of the next ones ("" at the end)."""
    end = start + limit
    following = urlsafe_b64encode(b"%d" % end).decode() if end < len(entries) else ""
    return list(entries[start:end]), following
