"""The Voucherify API: bulk upserts of customers, their results, and the metadata schema.

Facts are from Voucherify's OpenAPI and its pages "Import and Update Customers", "Async Action Object" and "Limits":
https://docs.voucherify.io/api-reference/customers/import-and-update-customers-asynchronously
https://docs.voucherify.io/api-reference/async-actions/async-action-object
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import Struct

from segsync.connectors.base import LISTED_ACTIONS, MAX_BODY_BYTES, ActionStatus, RefusedCustomer, UpsertResult
from segsync.connectors.http import responses as answers
from segsync.connectors.http.client import ApiClient
from segsync.connectors.report_file import refused_customer, refused_in_report
from segsync.errors import AccessError, RefusedError, TransientError
from segsync.mapping.metadata_schema import MetadataSchema, object_types, schema_of
from segsync.settings import VOUCHERIFY_HOSTS

T = TypeVar("T")

SERVICE = "Voucherify"

CALLS_PER_CYCLE = 100_000
"""The calls of Voucherify's Business plan in a billing cycle (Voucherify, "Limits")."""

DOWNLOAD_HOSTS: Final[Mapping[str, str]] = {
    VOUCHERIFY_HOSTS["eu"]: "download.voucherify.io",
    VOUCHERIFY_HOSTS["us"]: "us1.download.voucherify.io",
    VOUCHERIFY_HOSTS["asia"]: "as1.download.voucherify.io",
}
"""Where a project's files are, by the host of its API (Voucherify, "Exports")."""


class _Accepted(Struct):
    async_action_id: str

    def __post_init__(self) -> None:
        if not answers.identifier(self.async_action_id):
            raise ValueError("the response has no async action id")


class _ActionError(Struct):
    source_id: str | int | None = None
    key: Any = None
    message: Any = None
    details: Any = None


class _Result(Struct):
    done_count: int | None = None
    failed_count: int | None = None
    reports: list[str] | None = None
    errors: list[_ActionError] | None = None


class _Action(Struct):
    status: str
    id: str | None = None
    operation_status: str | None = None
    request_id: str | None = None
    result: _Result | None = None


class _Schema(Struct):
    properties: dict[str, Any] | None = None
    allow_defined_only: bool | None = None


class _Actions(Struct):
    async_actions: list[_Action]


_ACCEPTED = msgspec.json.Decoder(_Accepted)
_ACTION = msgspec.json.Decoder(_Action)
_ACTIONS = msgspec.json.Decoder(_Actions)
_SCHEMA = msgspec.json.Decoder(_Schema)


def headers(application_id: str, secret_key: str) -> Mapping[str, str]:
    """The headers that authenticate a project, and the content type."""
    return {"X-App-Id": application_id, "X-App-Token": secret_key, "Content-Type": "application/json"}


def download_hosts(api_host: str) -> Sequence[str]:
    """The vendor's hosts that may have a project's files. For a dedicated API host it is not documented which one."""
    return [DOWNLOAD_HOSTS[api_host]] if api_host in DOWNLOAD_HOSTS else [*DOWNLOAD_HOSTS.values()]


class VoucherifySink:
    """A Voucherify project as a sink of customers."""

    max_body_bytes = MAX_BODY_BYTES

    def __init__(self, client: ApiClient) -> None:
        self.about = client.about
        self._call = client.call
        self._download = client.download
        self._secrets = client.secrets
        self._silent_hosts: dict[str, TransientError] = {}

    async def upsert(self, body: bytes) -> str:
        """Queue the upsert of a JSON array of customers; the id of its async action.

        It is idempotent: by `source_id`, unknown customers are created and known ones updated.
        Raises `RefusedError` (413: too large; how a customer that is not valid is answered is not documented), and what
        `ApiClient.call` raises.
        """
        return await self.upsert_within(body, 1.0)

    async def upsert_within(self, body: bytes, patience: float) -> str:
        """`upsert`, with this share of the time for retries."""
        try:
            answer = await self._call("POST", "/v1/customers/bulk/async", _ACCEPTED, body, patience=patience)
        except RefusedError as error:
            if error.status != 404:
                raise
            hint = "Is VOUCHERIFY_BASE_URL right?"
            raise AccessError(
                f"{error.message}. {hint}",
                service=SERVICE,
                status=404,
                request_id=error.request_id,
                code="voucherify-not-found",
            ) from None
        return answer.async_action_id

    async def metadata_schema(self) -> MetadataSchema:
        """What a customer's metadata may hold; a project without such a schema allows everything.

        The nested schemas of objects take one more call each. Raises what `ApiClient.call` raises.
        """
        return await self._schema("customer", {}) or MetadataSchema()

    async def _schema(self, name: str, known: dict[str, MetadataSchema | None]) -> MetadataSchema | None:
        """The schema of this name with the nested ones in it, except itself; None where Voucherify has none."""
        if name not in known:
            known[name] = None
            answer = await self._get(f"/v1/metadata-schemas/{quote(name, safe='')}", _SCHEMA, has_own_right=True)
            if answer:
                properties = answer.properties or {}
                nested = {each: await self._schema(each, known) for each in object_types(properties)}
                known[name] = schema_of(properties, bool(answer.allow_defined_only), nested)
        return known[name]

    async def action_statuses(self) -> dict[str, ActionStatus]:
        """How the newest async actions stand, by id: one call for up to 100 of them.

        The schema of the listing has `operation_status`, and an older example of Voucherify's leaves it out. This and
        the calls below are made when no upsert waits. They raise what `ApiClient.call` raises.
        """
        answer = await self._call("GET", f"/v1/async-actions?limit={LISTED_ACTIONS}", _ACTIONS, is_urgent=False)
        return {action.id: _status_of(action) for action in answer.async_actions if action.id}

    async def upsert_result(self, action_id: str) -> UpsertResult | None:
        """How an async action stands; None where Voucherify does not know it."""
        action = await self._get(f"/v1/async-actions/{quote(action_id, safe='')}", _ACTION, is_urgent=False)
        if action is None:
            return None
        result = action.result or _Result()
        return UpsertResult(
            status=action.status,
            is_success=action.operation_status == "SUCCESS",
            done_count=result.done_count,
            failed_count=result.failed_count,
            refused=tuple(
                refused_customer(str(error.source_id), (error.key, error.message, error.details), self._secrets)
                for error in result.errors or ()
                if error.source_id not in (None, "")
            ),
            reports=tuple(result.reports or ()),
            request_id=answers.identifier(action.request_id),
        )

    async def reported(self, url: str) -> list[RefusedCustomer]:
        """The customers that a report file says were refused. Raises what `ApiClient.download` raises.

        A host that did not answer in time is not called again: that takes a minute each time.
        """
        host = url.partition("://")[2].partition("/")[0]
        if host in self._silent_hosts:
            raise self._silent_hosts[host]
        try:
            return refused_in_report(await self._download(url), self._secrets)
        except TransientError as error:
            self._silent_hosts[host] = error
            raise

    async def _get(
        self, target: str, answer: msgspec.json.Decoder[T], *, is_urgent: bool = True, has_own_right: bool = False
    ) -> T | None:
        """The decoded answer; None for 404."""
        try:
            return await self._call("GET", target, answer, is_urgent=is_urgent, has_own_right=has_own_right)
        except RefusedError as error:
            if error.status != 404:
                raise
            return None


def _status_of(action: _Action) -> ActionStatus:
    operation = action.operation_status
    return ActionStatus(action.status, None if operation is None else operation == "SUCCESS")
