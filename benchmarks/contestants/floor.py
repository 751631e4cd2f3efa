"""The floor: a bare aiohttp loop that makes the Segment calls that an import needs, and throws the answers away.

It maps nothing and sends nothing. It makes the same calls as segsync, and reads no traits of a profile without the
identifier. It does whatever makes aiohttp cheaper at no other price: one session, its headers given once, no cookies,
URLs that need no quoting.

Without a limit there is no pace either. With `CALLS_PER_SECOND` calls leave by one schedule, and one that is answered
429 is retried in another turn.
"""

from __future__ import annotations

import os
from asyncio import TaskGroup, gather, get_running_loop, sleep
from base64 import b64encode
from collections.abc import Awaitable, Callable

import aiohttp
import msgspec
from uvloop import run
from yarl import URL

from segsync.mapping.customer import MAPPED_TRAITS

WORKERS = 16
CALLS_PER_SECOND = float(os.environ.get("CALLS_PER_SECOND", "0"))
TOO_MANY = 429

PROFILES = f"{os.environ['SEGMENT_BASE_URL']}/v1/spaces/{os.environ['SEGMENT_SPACE_ID']}/collections/users/profiles"
IDENTIFIER = f"include={os.environ['IDENTIFIER_SAVED_AS_SOURCE_ID']}&limit=25"
TRAITS = f"include={','.join(MAPPED_TRAITS)}&limit=200"
HEADERS = {
    "Authorization": f"Basic {b64encode(os.environ['SEGMENT_ACCESS_TOKEN'].encode() + b':').decode()}",
    "Accept": "application/json",
    "Accept-Encoding": "identity",
}


Get = Callable[[str], Awaitable[bytes]]


async def main() -> None:
    async with aiohttp.ClientSession(
        headers=HEADERS,
        cookie_jar=aiohttp.DummyCookieJar(),
        raise_for_status=True,
        # A call whose turn it is must not wait for a connection.
        connector=aiohttp.TCPConnector(limit=0) if CALLS_PER_SECOND else None,
    ) as session:

        async def get(url: str) -> bytes:
            async with session.get(URL(url, encoded=True)) as response:
                return await response.read()

        await (import_at_pace(paced(get)) if CALLS_PER_SECOND else import_at_once(get))


async def import_at_once(get: Get) -> None:
    """List all, then read with a few workers."""

    async def work() -> None:
        while ids:
            await read(get, ids.pop())

    ids: list[str] = []
    following = "0"
    while following:
        page, following = await listed(get, following)
        ids += page
    await gather(*(work() for _ in range(WORKERS)))


async def import_at_pace(get: Get) -> None:
    """A task for each profile, and the next page asked for before its predecessor is read: no turn is left unused."""
    following = "0"
    async with TaskGroup() as tasks:
        while following:
            page, following = await listed(get, following)
            for segment_id in page:
                tasks.create_task(read(get, segment_id))


async def listed(get: Get, cursor: str) -> tuple[list[str], str]:
    """The profiles of a page, and where the next one begins."""
    page = msgspec.json.decode(await get(f"{PROFILES}?limit=100&next={cursor}"))
    return [profile["segment_id"] for profile in page["data"]], page["cursor"]["next"]


async def read(get: Get, segment_id: str) -> None:
    profile = f"{PROFILES}/segment_id:{segment_id}"
    if msgspec.json.decode(await get(f"{profile}/external_ids?{IDENTIFIER}"))["data"]:
        await get(f"{profile}/traits?{TRAITS}")


def paced(get: Get) -> Get:
    """`get` with each call at its turn. Turns are given in the order in which they are asked for."""
    now = get_running_loop().time
    following = 0.0

    async def turn() -> None:
        nonlocal following
        mine = max(following, now())
        following = mine + 1 / CALLS_PER_SECOND
        await sleep(mine - now())

    async def get_at_turn(url: str) -> bytes:
        while True:
            await turn()
            try:
                return await get(url)
            except aiohttp.ClientResponseError as error:
                if error.status != TOO_MANY:
                    raise

    return get_at_turn


if __name__ == "__main__":
    run(main())
