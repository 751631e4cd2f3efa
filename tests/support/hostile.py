"""Both APIs over a handful of profiles, where calls that a test chooses are answered as no service should.

Every other call is answered strictly: credentials, limits, paths that are percent-encoded as they must be, and
customers with the attributes that the vendor documents.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import zlib
from base64 import b64encode
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, Literal
from urllib.parse import quote, unquote

from aiohttp import web

from segsync.settings import Settings
from tests.support.scripted import Answer, answer, raw

SPACE_ID: Final = "spa_hostile"
ACCESS_TOKEN: Final = "hostile-access-token-Zq7"
APPLICATION_ID: Final = "hostile-application-id-Xk4"
SECRET_KEY: Final = "hostile-secret-key-Wj9"
CREDENTIALS: Final = tuple(
    form
    for secret in (ACCESS_TOKEN, APPLICATION_ID, SECRET_KEY)
    for form in (secret, b64encode(secret.encode()).decode().rstrip("="), b64encode(f"{secret}:".encode()).decode())
)
"""In every form in which they could be seen."""

BASE: Final = f"/v1/spaces/{SPACE_ID}/collections/users/profiles"
BULK_UPSERT: Final = "POST /v1/customers/bulk/async"
TEXTS: Final = ("source_id", "name", "email", "description", "phone")
ADDRESS: Final = {"city", "state", "line_1", "line_2", "country", "postal_code"}
ATTRIBUTES: Final = {*TEXTS, "birthdate", "address", "metadata", "system_metadata"}
MAX_BODY_BYTES: Final = 10 * 1024 * 1024


Garble = Callable[[str], Answer | None]
"""What a call, as it was written, is answered with instead; None for what it should be."""

Trouble = Literal["none", "gone", "refused at once", "refused later"]


@dataclass(frozen=True)
class Someone:
    """A profile. `source_id` is any JSON value; without one the profile is anonymous.

    A profile that is "gone" is listed and then answered 404; one that is refused, at once or after a 202, is quoted in
    the reason.
    """

    segment_id: str
    source_id: Any = None
    traits: Mapping[str, Any] = field(default_factory=dict)
    trouble: Trouble = "none"


def people(count: int, **traits: Any) -> list[Someone]:
    """Profiles with nothing the matter."""
    return [Someone(f"use_{index}", f"user-{index}", {"name": f"Zoë {index}", **traits}) for index in range(count)]


@dataclass(frozen=True)
class _Instead:
    call: re.Pattern[str]
    respond: Answer
    takes_effect: bool
    body: bytes


class Hostile:
    """The two services; `customers` are those accepted, in their order, `calls` all calls as they were written."""

    def __init__(self, profiles: Sequence[Someone]) -> None:
        self.profiles = {profile.segment_id: profile for profile in profiles}
        assert len(self.profiles) == len(profiles), "a segment id names one profile"
        self.url = ""
        self.calls: list[str] = []
        self.customers: list[dict[str, Any]] = []
        self.problems: list[str] = []
        self._actions: list[list[dict[str, Any]]] = []
        self._instead: list[_Instead] = []
        self._has_troubles = True
        self.garble: Garble = _as_it_should_be

    def instead(self, call: str, respond: Answer, *, takes_effect: bool = False, body: str = "") -> None:
        """Answer calls ("GET /path?query", as written) that match the pattern, and hold `body`, with `respond`.

        One that `takes_effect` is carried out all the same.
        """
        self._instead.append(_Instead(re.compile(call), respond, takes_effect, body.encode()))

    def behave(self) -> None:
        """From now on nothing is answered as it should not be, and nobody is in trouble."""
        self._instead.clear()
        self._has_troubles = False
        self.garble = _as_it_should_be

    def customers_of(self, action_id: str) -> list[dict[str, Any]]:
        """The customers of a bulk upsert."""
        return self._actions[int(action_id.removeprefix("aa_"))]

    def is_in(self, trouble: Trouble, source_id: str) -> bool:
        """Whether a profile with this source id is in that trouble."""
        in_it = (profile for profile in self.profiles.values() if profile.trouble == trouble)
        return self._has_troubles and any(profile.source_id == source_id for profile in in_it)

    def settings(self, **changed: Any) -> Settings:
        """Settings to use it with: without limits, and with little patience."""
        values: dict[str, Any] = {
            "segment_access_token": ACCESS_TOKEN,
            "segment_space_id": SPACE_ID,
            "segment_base_url": self.url,
            "voucherify_application_id": APPLICATION_ID,
            "voucherify_secret_key": SECRET_KEY,
            "voucherify_base_url": self.url,
            "segment_requests_per_second": 5000,
            "voucherify_requests_per_minute": 100_000,
            "retry_seconds": 0.2,
            "confirm_seconds": 60,
        }
        return Settings(**{**values, **changed})

    @property
    def variables(self) -> dict[str, str]:
        """The same for another process."""
        return {
            "SEGMENT_ACCESS_TOKEN": ACCESS_TOKEN,
            "SEGMENT_SPACE_ID": SPACE_ID,
            "SEGMENT_BASE_URL": self.url,
            "VOUCHERIFY_APPLICATION_ID": APPLICATION_ID,
            "VOUCHERIFY_SECRET_KEY": SECRET_KEY,
            "VOUCHERIFY_BASE_URL": self.url,
            "SEGSYNC_RETRY_SECONDS": "0.2",
            "SEGSYNC_CONFIRM_SECONDS": "60",
        }

    async def handle(self, request: web.Request) -> web.StreamResponse:
        call = f"{request.method} {request.raw_path}"
        self.calls.append(call)
        respond = self._segment if request.raw_path.startswith("/v1/spaces/") else self._voucherify
        garbled = self.garble(call)
        for instead in self._instead:
            if instead.call.search(call) and instead.body in await request.read():
                if instead.takes_effect:
                    await respond(request)
                return await (garbled or instead.respond)(request)
        answered = await respond(request)  # what is garbled was carried out all the same
        return await garbled(request) if garbled else answered

    # --- Segment ------------------------------------------------------------------------------------------

    async def _segment(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Basic {b64encode(f'{ACCESS_TOKEN}:'.encode()).decode()}":
            return await _segment_error(401, "authentication_error")(request)
        path = request.raw_path.partition("?")[0]
        if path == BASE:
            return await self._list(request)
        named = re.fullmatch(rf"{BASE}/segment_id:([^/]*)/(traits|external_ids)", path)
        profile = self.profiles.get(unquote(named[1])) if named else None
        is_gone = self._has_troubles and profile and profile.trouble == "gone"
        if not named or not profile or is_gone or named[1] != quote(profile.segment_id, safe=""):
            return await _segment_error(404, "not_found")(request)
        cursor = {"url": path, "has_more": False, "next": "", "limit": 25}
        if named[2] == "traits":
            return await _json({"traits": dict(profile.traits), "cursor": cursor})(request)
        others = [{"id": "anon-1", "type": "anonymous_id", "source_id": "src", "collection": "users"}]
        own = [{"id": profile.source_id, "type": "user_id"}] if profile.source_id is not None else []
        return await _json({"data": others + own, "cursor": cursor})(request)

    async def _list(self, request: web.Request) -> web.StreamResponse:
        limit, start = int(request.query["limit"]), int(request.query["next"])
        assert 1 <= limit <= 100
        ids = list(self.profiles)
        following = str(start + limit) if start + limit < len(ids) else ""
        data = [{"segment_id": segment_id} for segment_id in ids[start : start + limit]]
        cursor = {"url": "", "has_more": bool(following), "next": following, "limit": limit}
        return await _json({"data": data, "cursor": cursor})(request)

    # --- Voucherify ---------------------------------------------------------------------------------------

    async def _voucherify(self, request: web.Request) -> web.StreamResponse:
        if (request.headers.get("X-App-Id"), request.headers.get("X-App-Token")) != (APPLICATION_ID, SECRET_KEY):
            return await voucherify_error(401, "unauthorized")(request)
        call = f"{request.method} {request.raw_path.partition('?')[0]}"
        if call == BULK_UPSERT:
            return await self._upsert(request)
        if call == "GET /v1/async-actions":
            actions = [self._action(number) for number in range(len(self._actions))]
            return await _json({"async_actions": [{**action, "result": None} for action in actions[-100:]]})(request)
        named = re.fullmatch(r"GET /v1/async-actions/aa_(\d+)", call)
        if not named or int(named[1]) >= len(self._actions):
            return await voucherify_error(404, "not_found")(request)
        return await _json(self._action(int(named[1])))(request)

    async def _upsert(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if len(body) > MAX_BODY_BYTES:
            return await voucherify_error(413, "payload_too_large")(request)
        customers = json.loads(body)
        for customer in customers:
            if problem := _problem(customer):
                self.problems.append(problem)
                return await voucherify_error(400, "invalid_customer", problem)(request)
            if self.is_in("refused at once", customer["source_id"]):
                return await voucherify_error(400, "invalid_customer", _quoted(customer))(request)
        self.customers += customers
        self._actions.append(customers)
        return await _json({"async_action_id": f"aa_{len(self._actions) - 1}"}, 202)(request)

    def _action(self, number: int) -> dict[str, Any]:
        customers = self._actions[number]
        refused = [each for each in customers if self.is_in("refused later", each["source_id"])]
        errors = [{"source_id": each["source_id"], "key": "invalid", "message": _quoted(each)} for each in refused]
        result = {
            "done_count": len(customers) - len(refused),
            "failed_count": len(refused),
            "reports": [],
            "errors": errors,
        }
        ended = {"status": "DONE", "operation_status": "FAILED" if refused else "SUCCESS", "result": result}
        return {"id": f"aa_{number}", **ended}

    @property
    def source_ids(self) -> list[str]:
        """Of all customers that were accepted, those that were refused later too."""
        return [customer["source_id"] for customer in self.customers]


def _as_it_should_be(_call: str) -> Answer | None:
    return None


def _quoted(customer: dict[str, Any]) -> str:
    """The error of a service that redacts nothing."""
    who = {name: customer[name] for name in TEXTS if name in customer}
    return f"The customer {json.dumps(who)} ({customer['source_id']}) was refused"


def _problem(customer: dict[str, Any]) -> str | None:
    """What Voucherify's documentation does not allow about a customer."""
    address = customer.get("address", {})
    checks = {
        "not an attribute": set(customer) <= ATTRIBUTES and set(address) <= ADDRESS,
        "source_id is required": bool(customer.get("source_id")),
        "not text": all(isinstance(customer.get(name, ""), str) for name in TEXTS)
        and all(isinstance(value, str) for value in address.values()),
        "birthdate is not YYYY-MM-DD": re.fullmatch(r"\d{4}-\d\d-\d\d", customer.get("birthdate") or "2000-01-01"),
        "metadata is not an object": isinstance(customer.get("metadata", {}), dict),
    }
    return next((problem for problem, is_fine in checks.items() if not is_fine), None)


def _json(fields: object, status: int = 200) -> Answer:
    """JSON with lone surrogates, NaN and null characters in it where they are in `fields`."""
    return raw(json.dumps(fields).encode(), status=status)


def _segment_error(status: int, code: str) -> Answer:
    return answer({"error": {"code": code, "message": "Profile was not found."}}, status, Request_Id="req_1")


def voucherify_error(status: int, key: str, message: str = "No.") -> Answer:
    """An error in Voucherify's own shape."""
    return answer({"code": status, "key": key, "message": message, "details": message, "request_id": "v-1"}, status)


@asynccontextmanager
async def hostile_server(
    profiles: Sequence[Someone], tls: ssl.SSLContext | None = None
) -> AsyncGenerator[Hostile, None]:
    """Both services at `url` for as long as the context lasts, over `tls` if there is one."""
    hostile = Hostile(profiles)
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/{path:(?s:.*)}", hostile.handle)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        addresses: list[Any] = runner.addresses
        hostile.url = f"{'https' if tls else 'http'}://127.0.0.1:{addresses[0][1]}"
        yield hostile
    finally:
        await runner.cleanup()


# --- answers that no service should give ------------------------------------------------------------------


class Endless:
    """A 200 whose body goes on for `megabytes`, if somebody reads it; `sent` counts those that were."""

    def __init__(self, megabytes: int, content: bytes = b" " * 1024 * 1024, **headers: str) -> None:
        self._megabytes = megabytes
        self._content = content
        self._headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.sent = 0

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json", **self._headers})
        response.enable_chunked_encoding()
        await response.prepare(request)
        with suppress(ConnectionError):
            for _ in range(self._megabytes):
                await response.write(self._content)
                self.sent += 1
            await response.write_eof()
        return response


def cut_short(body: bytes, *, missing: int, status: int = 200) -> Answer:
    """An answer whose Content-Length is `missing` bytes more than its body."""

    async def respond(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=status, headers={"Content-Type": "application/json"})
        response.content_length = len(body) + missing
        await response.prepare(request)
        await response.write(body)
        assert request.transport is not None
        request.transport.close()
        return response

    return respond


def no_http(content: bytes) -> Answer:
    """These bytes instead of an HTTP answer, and the end of the connection."""

    async def respond(request: web.Request) -> web.StreamResponse:
        assert isinstance(request.transport, asyncio.Transport)
        request.transport.write(content)
        request.transport.close()
        return web.Response()

    return respond


def packed(body: bytes, encoding: str = "gzip") -> Answer:
    """A body in a `Content-Encoding` that nobody asked for."""

    async def respond(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, headers={"Content-Encoding": encoding, "Content-Type": "application/json"})

    return respond


@cache
def gzip_bomb(megabytes: int) -> bytes:
    """So many megabytes of blanks, a thousandth of that as they travel."""
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    return b"".join(packer.compress(b" " * (1 << 20)) for _ in range(megabytes)) + packer.flush()


def redirect(status: int, location: str) -> Answer:
    """To somewhere else."""
    return answer({"error": {"code": "moved", "message": "Moved."}}, status, Location=location)
