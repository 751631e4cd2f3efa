"""The floor: a bare aiohttp loop that makes the Segment calls that an import needs, and throws the answers away.

No pace, no retries, no mapping, nothing sent. It asks for what segsync asks for, in the same words, and of a profile
without the identifier no traits. What makes aiohttp cheaper and has no other price is done: one session, its
headers given once, no cookies, URLs that need no quoting.
"""

from __future__ import annotations

import os
from asyncio import gather
from base64 import b64encode

import aiohttp
import msgspec
from uvloop import run
from yarl import URL

from segsync.mapping import MAPPED_TRAITS

WORKERS = 16

IDENTIFIER = f"include={os.environ['IDENTIFIER_SAVED_AS_SOURCE_ID']}&limit=25"
TRAITS = f"include={','.join(MAPPED_TRAITS)}&limit=200"
HEADERS = {
    "Authorization": f"Basic {b64encode(os.environ['SEGMENT_ACCESS_TOKEN'].encode() + b':').decode()}",
    "Accept": "application/json",
    "Accept-Encoding": "identity",
}


async def main() -> None:
    profiles = f"{os.environ['SEGMENT_BASE_URL']}/v1/spaces/{os.environ['SEGMENT_SPACE_ID']}/collections/users/profiles"
    async with aiohttp.ClientSession(
        headers=HEADERS, cookie_jar=aiohttp.DummyCookieJar(), raise_for_status=True
    ) as session:

        async def get(url: str) -> bytes:
            async with session.get(URL(url, encoded=True)) as response:
                return await response.read()

        async def work() -> None:
            while ids:
                profile = f"{profiles}/segment_id:{ids.pop()}"
                if msgspec.json.decode(await get(f"{profile}/external_ids?{IDENTIFIER}"))["data"]:
                    await get(f"{profile}/traits?{TRAITS}")

        ids: list[str] = []
        following = "0"
        while following:
            page = msgspec.json.decode(await get(f"{profiles}?limit=100&next={following}"))
            ids += [listed["segment_id"] for listed in page["data"]]
            following = page["cursor"]["next"]
        await gather(*(work() for _ in range(WORKERS)))


if __name__ == "__main__":
    run(main())
