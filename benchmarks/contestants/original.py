"""The algorithm of the Node script that segsync replaces, from its description, in Python.

Page by page: a hundred profiles are listed; each has its traits asked for and then its external ids, the first page
of either; one bulk upsert sends them all, and only then comes the next page. A throttle lets one Segment call begin
each 10 ms. What a profile does not have is sent as null, the source id too. There are no retries, and no result of an
upsert is read: the first answer that is not a success ends the import.
"""

from __future__ import annotations

import asyncio
import os
import sys
from base64 import b64encode
from typing import Any

import aiohttp
import msgspec
from uvloop import run

from segsync.mapping.customer import to_customer
from segsync.models import Profile

SPACING_SECONDS = 0.01

IDENTIFIER = os.environ["IDENTIFIER_SAVED_AS_SOURCE_ID"]
PROFILES = f"{os.environ['SEGMENT_BASE_URL']}/v1/spaces/{os.environ['SEGMENT_SPACE_ID']}/collections/users/profiles"
BULK_UPSERT = f"{os.environ['VOUCHERIFY_BASE_URL']}/v1/customers/bulk/async"
TO_SEGMENT = {"Authorization": f"Basic {b64encode(os.environ['SEGMENT_ACCESS_TOKEN'].encode() + b':').decode()}"}
TO_VOUCHERIFY = {
    "X-App-Id": os.environ["VOUCHERIFY_APPLICATION_ID"],
    "X-App-Token": os.environ["VOUCHERIFY_SECRET_KEY"],
    "Content-Type": "application/json",
}
NULLS = dict.fromkeys(("name", "email", "description", "phone", "birthdate", "address", "metadata"))


class RefusedError(Exception):
    """An answer that is not a success."""


class Throttle:
    """Lets one call begin each `SPACING_SECONDS`, in the order in which they come."""

    def __init__(self) -> None:
        self._next = 0.0

    async def turn(self) -> None:
        now = asyncio.get_running_loop().time()
        turn = max(now, self._next)
        self._next = turn + SPACING_SECONDS
        await asyncio.sleep(turn - now)


class Script:
    """One import."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._throttle = Throttle()

    async def run(self) -> None:
        following = "0"
        while following:
            page = await self._get(f"?limit=100&next={following}", "the list of profiles")
            customers = await asyncio.gather(*(self._customer(listed["segment_id"]) for listed in page["data"]))
            await self._upsert(customers)
            following = page["cursor"]["next"]

    async def _customer(self, segment_id: str) -> dict[str, Any]:
        profile = f"/segment_id:{segment_id}"
        traits = await self._get(f"{profile}/traits?limit={os.environ['SEGMENT_TRAITS_LIMIT']}", "a profile's traits")
        ids = await self._get(f"{profile}/external_ids", "a profile's external ids")
        source_id = next((each["id"] for each in ids["data"] if each["type"] == IDENTIFIER), None)
        customer = to_customer(Profile(segment_id, source_id or "", traits["traits"]), lambda _trait, _problem: None)
        return {**NULLS, **msgspec.to_builtins(customer), "source_id": source_id}

    async def _get(self, target: str, what: str) -> Any:
        await self._throttle.turn()
        async with self._session.get(f"{PROFILES}{target}", headers=TO_SEGMENT) as response:
            return await _content(response, f"Segment answered {response.status} to {what}")

    async def _upsert(self, customers: list[dict[str, Any]]) -> None:
        body = msgspec.json.encode(customers)
        async with self._session.post(BULK_UPSERT, data=body, headers=TO_VOUCHERIFY) as response:
            await _content(response, f"Voucherify answered {response.status} to a bulk upsert")


async def _content(response: aiohttp.ClientResponse, reason: str) -> Any:
    content = msgspec.json.decode(await response.read())
    if response.ok:
        return content
    error = content.get("error", content)
    raise RefusedError(f"{reason}: {error['message']}")


async def main() -> None:
    async with aiohttp.ClientSession() as session:
        await Script(session).run()


if __name__ == "__main__":
    try:
        run(main())
    except RefusedError as error:
        sys.exit(str(error))
