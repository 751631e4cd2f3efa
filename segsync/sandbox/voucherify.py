"""The sandbox's Voucherify API: bulk upserts, async actions and reports, customers, the metadata schema."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice
from types import UnionType
from typing import Any

import msgspec
from aiohttp import web

from segsync.sandbox.actions import Action, Customer, quoted
from segsync.sandbox.limits import SlidingWindow
from segsync.sandbox.options import APPLICATION_ID, SECRET_KEY, SandboxOptions
from segsync.sandbox.profiles import Space
from segsync.sandbox.service import Handler, Service, json_response

BULK_UPSERT = "/v1/customers/bulk/async"

ACTIONS = "/v1/async-actions"

ACTION = "/v1/async-actions/{id}"

REPORT = "/reports/{id}.csv"

FOREIGN_HOST = "localhost"
"""Another name of 127.0.0.1, and so to a client another host than the API's."""

CREDENTIALS = ("X-App-Id", "X-App-Token", "Authorization")
"""Headers that a host which is not the API's must never see."""

MAX_BODY_BYTES = 10 * 1024 * 1024

BIRTHDATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)

TEXTS = ("name", "email", "description", "phone")

ADDRESS = {"city", "state", "line_1", "line_2", "country", "postal_code"}

METADATA_TYPES: dict[str, tuple[str, type | UnionType, bool]] = {
    "plan": ("string", str, False),
    "lifetime_value": ("number", int | float, False),
    "tags": ("string", str, True),
    "nested": ("object", dict, False),
}
"""The defined metadata: Voucherify's name of the type, ours, and whether it is an array of them."""


class VoucherifySandbox(Service):
    """`POST /v1/customers/bulk/async`, and the calls that read its result."""

    def __init__(self, space: Space, options: SandboxOptions) -> None:
        super().__init__(
            limit=options.voucherify_requests_per_minute,
            seconds=60.0,
            faults=options.voucherify_faults,
            seed=options.seed,
            latency_ms=options.latency_ms,
        )
        self._reads = SlidingWindow(options.voucherify_requests_per_minute, 60.0, asyncio.get_running_loop().time)
        self._space = space
        self._options = options
        self._actions: dict[str, Action] = {}
        self._queue: deque[Action] = deque()
        self._customers: dict[str, Customer] = {}
        self.accepted = 0
        self.repeated_in_a_request = 0
        self.leaked_credentials = 0
        self.batch_sizes: list[int] = []

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post(BULK_UPSERT, self.handler(self._upsert)),
            web.get("/v1/customers/{source_id}", self.handler(self._customer)),
            web.get(ACTIONS, self.handler(self._list_actions)),
            web.get(ACTION, self.handler(self._action)),
            web.get(REPORT, self._report),  # a file, not a call of the API: no credentials, no limit, no faults
            web.get("/v1/metadata-schemas/customer", self.handler(self._metadata_schema)),
            web.route("*", "/v1/{path:.*}", self.handler(self.unknown)),
        ]

    @property
    def customers(self) -> dict[str, Customer]:
        """The customers written by now, by source id."""
        self._write_what_is_due()
        return self._customers

    @property
    def pending(self) -> int:
        """Actions that have not ended yet."""
        self._write_what_is_due()
        return len(self._queue)

    @property
    def failed_actions(self) -> int:
        """Actions that have ended FAILED: they wrote nothing."""
        now = self._clock()
        return sum(action.fails and action.due <= now for action in self._actions.values())

    def _write_what_is_due(self) -> None:
        now = self._clock()
        while self._queue and self._queue[0].due <= now:
            for customer in self._queue.popleft().written:
                source_id = customer["source_id"]
                # An upsert changes what it names and leaves the rest alone.
                self._customers[source_id] = {**self._customers.get(source_id, {}), **customer}

    def is_refused_later(self, source_id: str) -> bool:
        return self._space.draw("refused later", source_id) < self._options.refused_later

    def is_refused_at_once(self, source_id: str) -> bool:
        return self._space.draw("refused at once", source_id) < self._options.refused_at_once

    # --- the calls ----------------------------------------------------------------------------------------

    def refuse(self, request: web.Request) -> web.Response | None:
        credentials = (request.headers.get("X-App-Id"), request.headers.get("X-App-Token"))
        if credentials != (APPLICATION_ID, SECRET_KEY):
            return self.error(401, "unauthorized", "The application id or token is not valid.")
        window, _ = self._window_of(request)
        return None if window.allow() else self.too_many(request)

    def too_many(self, request: web.Request) -> web.Response:
        window, kind = self._window_of(request)
        wait = {"Retry-After": str(int(window.seconds_until_next) + 1), "X-Rate-Limit-Type": kind}
        return self.error(429, "too_many_requests", "Too many requests.", wait)

    def _window_of(self, request: web.Request) -> tuple[SlidingWindow, str]:
        """A bulk call counts apart from a read."""
        if request.path == BULK_UPSERT:
            return self.window, "bulk_api_calls"
        return self._reads, "api_calls"

    def error(
        self,
        status: int,
        code: str,
        message: str,
        headers: Mapping[str, str] | None = None,
        details: str | None = None,
    ) -> web.Response:
        request_id = self.request_id()
        fields = {"code": status, "key": code, "message": message, "details": details or message}
        return json_response({**fields, "request_id": request_id}, status, request_id, headers)

    def handler(self, answer: Handler) -> Handler:
        handle = super().handler(answer)

        async def with_limit_headers(request: web.Request) -> web.StreamResponse:
            response = await handle(request)
            window, _ = self._window_of(request)
            if window.limit and not response.prepared:
                response.headers["X-Rate-Limit-Limit"] = str(window.limit)
                response.headers["X-Rate-Limit-Remaining"] = str(window.remaining)
                response.headers["X-Rate-Limit-Retry"] = str(math.ceil(time.time() + window.seconds_until_next))
            return response

        return with_limit_headers

    def _answer_with(self, fields: object, status: int = 200) -> web.Response:
        return json_response(fields, status, self.request_id())

    async def _upsert(self, request: web.Request) -> web.Response:
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return self.error(413, "payload_too_large", "The request is larger than 10 MB.")
        try:
            customers = msgspec.json.decode(body, type=list[Customer])
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return self.error(400, "invalid_payload", "The request is not a JSON array of objects.")
        for position, customer in enumerate(customers):
            if problem := self._problem(customer):
                details = f"{quoted(customer) or 'The customer'} was refused: {problem}"
                return self.error(400, "invalid_customer", f"Customer {position}: {problem}", details=details)
        self._accept(customers)
        return self._answer_with({"async_action_id": next(reversed(self._actions))}, 202)

    def _problem(self, customer: Customer) -> str | None:
        """What is wrong with a customer by Voucherify's documentation, None if nothing is."""
        source_id, address = customer.get("source_id"), customer.get("address")
        metadata, birthdate = customer.get("metadata"), customer.get("birthdate")
        checks = {
            "source_id is required": isinstance(source_id, str) and source_id != "",
            "an attribute is not text": all(isinstance(customer.get(name), str | None) for name in TEXTS),
            "birthdate is not YYYY-MM-DD": birthdate is None or _is_day(birthdate),
            "address is not an address": address is None or _is_address(address),
            "metadata is not an object": metadata is None or isinstance(metadata, dict),
            "metadata is not defined": not self._options.defined_metadata_only
            or set(metadata or {}) <= set(METADATA_TYPES),
            "metadata is not of its defined type": not isinstance(metadata, dict) or _is_of_defined_types(metadata),
            "refused": not self.is_refused_at_once(str(source_id)),
        }
        return next((problem for problem, is_fine in checks.items() if not is_fine), None)

    def _accept(self, customers: list[Customer]) -> None:
        source_ids = [customer["source_id"] for customer in customers]
        self.repeated_in_a_request += len(source_ids) - len(set(source_ids))
        self.accepted += len(customers)
        self.batch_sizes.append(len(customers))
        number = len(self._actions)
        action = Action(
            id=f"aa_{number:010d}",
            accepted_at=datetime.now(UTC),
            due=self._clock() + self._options.action_seconds,
            customers=customers,
            refused=frozenset(filter(self.is_refused_later, source_ids)),
            fails=self._space.draw("failed action", number) < self._options.failed_actions,
        )
        self._actions[action.id] = action
        self._queue.append(action)

    async def _customer(self, request: web.Request) -> web.Response:
        source_id = request.match_info["source_id"]
        customer = self.customers.get(source_id)
        if customer is None:
            return self.error(404, "not_found", "Customer was not found.")
        return self._answer_with({"id": f"cust_{source_id}", "object": "customer", **customer})

    async def _list_actions(self, request: web.Request) -> web.Response:
        limit = request.query.get("limit", "10")
        if not limit.isdecimal() or not 1 <= int(limit) <= 100:
            return self.error(400, "invalid_query_params", "limit must be from 1 to 100.")
        now = self._clock()
        newest = [action.describe(now) for action in islice(reversed(self._actions.values()), int(limit))]
        has_more = len(self._actions) > int(limit)
        return self._answer_with(
            {"object": "list", "data_ref": "async_actions", "async_actions": newest, "has_more": has_more}
        )

    async def _action(self, request: web.Request) -> web.Response:
        action = self._actions.get(request.match_info["id"])
        if action is None:
            return self.error(404, "not_found", "Async action was not found.")
        now = self._clock()
        described = action.describe(now)
        if action.due <= now:
            described["result"] = action.result(self._report_url(request, action), self._options.errors_listed)
        return self._answer_with(described)

    def _report_url(self, request: web.Request, action: Action) -> str:
        origin = request.url.origin()
        host = origin.with_host(FOREIGN_HOST) if self._options.foreign_reports else origin
        return str(host.with_path(REPORT.format(id=action.id)))

    async def _report(self, request: web.Request) -> web.Response:
        is_foreign = self._options.foreign_reports and request.url.host == FOREIGN_HOST
        if is_foreign and any(name in request.headers for name in CREDENTIALS):
            self.leaked_credentials += 1
        action = self._actions.get(request.match_info["id"])
        if action is None or not action.has_report or action.due > self._clock():
            return self.error(404, "not_found", "Report was not found.")
        return web.Response(text=action.report(), content_type="text/csv")

    async def _metadata_schema(self, _request: web.Request) -> web.Response:
        return self._answer_with(
            {
                "id": "ms_sandbox",
                "related_object": "customer",
                "properties": {
                    name: {"type": kind, "array": is_array, "optional": True, "deleted": False}
                    for name, (kind, _, is_array) in METADATA_TYPES.items()
                },
                "allow_defined_only": self._options.defined_metadata_only,
                "object": "metadata_schema",
            }
        )


def _is_day(value: object) -> bool:
    if not isinstance(value, str) or not BIRTHDATE.fullmatch(value):
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _is_of_defined_types(metadata: dict[str, Any]) -> bool:
    for name, (_, kind, is_array) in METADATA_TYPES.items():
        value = metadata.get(name)
        if value is None:
            continue
        if is_array != isinstance(value, list):
            return False
        entries = value if is_array else [value]
        if not all(isinstance(entry, kind) and not isinstance(entry, bool) for entry in entries):
            return False
    return True


def _is_address(value: object) -> bool:
    return (
        isinstance(value, dict)
        and set(value) <= ADDRESS
        and all(isinstance(entry, str | None) for entry in value.values())
    )
