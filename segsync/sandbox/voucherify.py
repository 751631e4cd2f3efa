"""The sandbox's Voucherify API: bulk upserts, async actions and reports, customers, the metadata schema."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import msgspec
from aiohttp import web

from segsync.sandbox.actions import NOT_IN_A_SHORT_LISTING, Action, Customer, quoted, timestamp
from segsync.sandbox.customers import METADATA_TYPES, NOTHING_BOUGHT, problem_with
from segsync.sandbox.limits import SlidingWindow
from segsync.sandbox.options import APPLICATION_ID, SECRET_KEY, Faults, SandboxOptions
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

BEGAN_AT = datetime(2026, 1, 15, 10, 30, tzinfo=UTC)
"""When the sandbox's metadata schema was made."""


class VoucherifySandbox(Service):
    """`POST /v1/customers/bulk/async`, and the calls that read its result."""

    def __init__(self, space: Space, options: SandboxOptions) -> None:
        super().__init__(options, limit=options.voucherify_requests_per_minute, seconds=60.0)
        clock = asyncio.get_running_loop().time
        self._reads = SlidingWindow(options.voucherify_requests_per_minute, 60.0, clock)
        self._bulk_hour = SlidingWindow(options.bulk_requests_per_hour, 3600.0, clock)
        self._space = space
        self._actions: dict[str, Action] = {}
        self._queue: list[Action] = []
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
    def faults(self) -> Faults:
        return self.options.voucherify_faults

    def switch(self, options: SandboxOptions) -> None:
        self.options = options
        self.window.limit = self._reads.limit = options.voucherify_requests_per_minute
        self._bulk_hour.limit = options.bulk_requests_per_hour

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
        for action in [each for each in self._queue if each.due <= now]:
            self._queue.remove(action)
            action.found.update(each["source_id"] for each in action.customers if each["source_id"] in self._customers)
            for customer in filter(action.is_written, action.customers):
                source_id = customer["source_id"]
                # An upsert changes what it names and leaves the rest alone.
                self._customers[source_id] = {**self._customers.get(source_id, {}), **customer}

    def is_refused(self, source_id: str) -> bool:
        """Whether this customer is refused, as the sandbox is switched now."""
        return self.is_refused_at_once(source_id) or self.is_refused_later(source_id)

    def is_refused_later(self, source_id: str) -> bool:
        return self._space.draw("refused later", source_id) < self.options.refused_later

    def is_refused_at_once(self, source_id: str) -> bool:
        return self._space.draw("refused at once", source_id) < self.options.refused_at_once

    def request_id(self) -> str:
        return f"v-{next(self._answers):018x}"

    # --- the calls ----------------------------------------------------------------------------------------

    def refuse(self, request: web.Request) -> web.Response | None:
        if not _has_credentials(request):
            return self.error(401, "unauthorized", "The application id or token is not valid.")
        window, _ = self._window_of(request)
        return None if window.allow() else self.too_many(request)

    def too_many(self, request: web.Request) -> web.Response:
        window, kind = self._window_of(request)
        wait = {"Retry-After": str(int(window.seconds_until_next) + 1), "X-Rate-Limit-Type": kind}
        fields = {"code": 429, "message": "Too many requests hit the API too quickly."}
        return json_response(fields, 429, self.request_id(), wait)

    def _window_of(self, request: web.Request) -> tuple[SlidingWindow, str]:
        """A bulk call counts apart from a read, and by the hour where such a limit is set."""
        if request.path == BULK_UPSERT:
            return self._bulk_hour if self._bulk_hour.limit else self.window, "bulk_api_calls"
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
        if request.content_type != "application/json":
            return self.error(415, "unsupported_media_type", "The request is not application/json.")
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return self._too_large()
        try:
            customers = msgspec.json.decode(body, type=list[Customer])
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return self.error(400, "invalid_payload", "The request is not a JSON array of objects.")
        for position, customer in enumerate(customers):
            given = {
                name: value for name, value in customer.items() if value is not None or not self.options.take_nulls
            }
            problem = problem_with(given, defined_only=self.options.defined_metadata_only)
            if problem is None and self.is_refused_at_once(customer["source_id"]):
                problem = "refused"
            if problem:
                details = f"{quoted(customer) or 'The customer'} was refused: {problem}"
                return self.error(400, "invalid_customer", f"Customer {position}: {problem}", details=details)
        action = self._accept(customers)
        return json_response({"async_action_id": action.id}, 202, action.request_id)

    def _too_large(self) -> web.Response:
        """Not in the shape of other errors: an answer of the server before the API (Voucherify, OpenAPI)."""
        message = f"Payload content length greater than maximum allowed: {MAX_BODY_BYTES}"
        fields = {"statusCode": 413, "error": "Request Entity Too Large", "message": message}
        return json_response(fields, 413, self.request_id())

    def _accept(self, customers: list[Customer]) -> Action:
        source_ids = [customer["source_id"] for customer in customers]
        self.repeated_in_a_request += len(source_ids) - len(set(source_ids))
        self.accepted += len(customers)
        self.batch_sizes.append(len(customers))
        number = len(self._actions)
        action = Action(
            id=f"aa_{number:010d}",
            request_id=self.request_id(),
            accepted_at=datetime.now(UTC),
            seconds=self.options.action_seconds,
            due=self._clock() + self.options.action_seconds,
            customers=customers,
            refused=frozenset(filter(self.is_refused_later, source_ids)),
            fails=self._space.draw("failed action", number) < self.options.failed_actions,
        )
        self._actions[action.id] = action
        self._queue.append(action)
        return action

    async def _customer(self, request: web.Request) -> web.Response:
        source_id = request.match_info["source_id"]
        customer = self.customers.get(source_id)
        if customer is None:
            return self.error(404, "not_found", "Customer was not found.")
        known = {name: value for name, value in customer.items() if value is not None}
        return self._answer_with({"id": f"cust_{source_id}", "object": "customer", **NOTHING_BOUGHT, **known})

    async def _list_actions(self, request: web.Request) -> web.Response:
        limit = request.query.get("limit", "10")
        if not limit.isdecimal() or not 1 <= int(limit) <= 100:
            return self.error(400, "invalid_query_params", "limit must be from 1 to 100.")
        try:
            before = _end_date(request.query.get("end_date"))
        except ValueError:
            return self.error(400, "invalid_query_params", "end_date is not an ISO 8601 date.")
        now = self._clock()
        older = (each for each in reversed(self._actions.values()) if before is None or each.accepted_at < before)
        newest = [action.describe(now) for action in islice(older, int(limit))]
        if self.options.short_listing:
            newest = [_without(action, NOT_IN_A_SHORT_LISTING) for action in newest]
        has_more = next(older, None) is not None
        return self._answer_with(
            {"object": "list", "data_ref": "async_actions", "async_actions": newest, "has_more": has_more}
        )

    async def _action(self, request: web.Request) -> web.Response:
        action = self._actions.get(request.match_info["id"])
        if action is None:
            return self.error(404, "not_found", "Async action was not found.")
        now = self._clock()
        described = action.describe(now)
        if described["status"] == "DONE":
            described["result"] = action.result(self._report_url(request, action), self.options.errors_listed)
        return self._answer_with(described)

    def _report_url(self, request: web.Request, action: Action) -> str:
        origin = request.url.origin()
        host = origin.with_host(FOREIGN_HOST) if self.options.foreign_reports else origin
        return str(host.with_path(REPORT.format(id=action.id)))

    async def _report(self, request: web.Request) -> web.Response:
        is_foreign = self.options.foreign_reports and request.url.host == FOREIGN_HOST
        if is_foreign and any(name in request.headers for name in CREDENTIALS):
            self.leaked_credentials += 1
        if self.options.reports_want_credentials and not _has_credentials(request):
            return self.error(401, "unauthorized", "The application id or token is not valid.")
        action = self._actions.get(request.match_info["id"])
        if action is None or action.due > self._clock():
            return self.error(404, "not_found", "Report was not found.")
        self._write_what_is_due()
        return web.Response(text=action.report(self.options.report_columns.split(",")), content_type="text/csv")

    async def _metadata_schema(self, _request: web.Request) -> web.Response:
        return self._answer_with(
            {
                "id": "ms_sandbox",
                "related_object": "customer",
                "properties": {
                    name: {"type": kind, "array": is_array, "optional": True, "deleted": False, "objectType": None}
                    for name, (kind, _, is_array) in METADATA_TYPES.items()
                },
                "allow_defined_only": self.options.defined_metadata_only,
                "created_at": timestamp(BEGAN_AT),
                "updated_at": timestamp(BEGAN_AT),
                "object": "metadata_schema",
            }
        )


def _has_credentials(request: web.Request) -> bool:
    return (request.headers.get("X-App-Id"), request.headers.get("X-App-Token")) == (APPLICATION_ID, SECRET_KEY)


def _end_date(text: str | None) -> datetime | None:
    """The time before which actions were scheduled; a date alone is its midnight. Raises `ValueError`."""
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _without(action: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in action.items() if name not in names}
