"""The Voucherify API: bulk upserts of customers.

Facts are from Voucherify's OpenAPI and its pages "Import and Update Customers" and "Limits":
https://docs.voucherify.io/api-reference/customers/import-and-update-customers-asynchronously
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from segsync.errors import AccessError, RefusedError
from segsync.transport import Transport

SERVICE = "Voucherify"

MAX_BODY_BYTES = 10 * 1024 * 1024
"""A larger bulk request is answered 413."""


class _Accepted(msgspec.Struct):
    async_action_id: str


_ACCEPTED = msgspec.json.Decoder(_Accepted)


def headers(application_id: str, secret_key: str) -> Mapping[str, str]:
    """The two headers that Voucherify knows a project's server by."""
    return {"X-App-Id": application_id, "X-App-Token": secret_key, "Content-Type": "application/json"}


class VoucherifySink:
    """A Voucherify project as a sink of customers."""

    max_body_bytes = MAX_BODY_BYTES

    def __init__(self, transport: Transport) -> None:
        self._call = transport.call

    async def upsert(self, body: bytes) -> str:
        """Queue the upsert of a JSON array of customers; the id of the async action that will do it.

        Sending a customer twice is harmless: unknown ones are created, known ones updated, by `source_id`.
        Raises `RefusedError` (400: a customer that is not valid, 413: too large), and what `Transport.call` raises.
        """
        try:
            answer = await self._call("POST", "/v1/customers/bulk/async", _ACCEPTED, body)
        except RefusedError as error:
            if error.status != 404:
                raise
            raise AccessError(
                f"{error.message}. Is VOUCHERIFY_BASE_URL right?",
                service=SERVICE,
                status=404,
                request_id=error.request_id,
            ) from None
        return answer.async_action_id
