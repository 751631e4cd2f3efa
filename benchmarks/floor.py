"""The floor: a bare aiohttp loop that makes the two Segment calls of every profile, and throws the answers away."""

from __future__ import annotations

import os
from asyncio import Queue, gather

import aiohttp
import msgspec

from segsync.mapping import MAPPED_TRAITS
from segsync.terminal import run_event_loop

WORKERS = 16


async def main() -> None:
    profiles = f"/v1/spaces/{os.environ['SEGMENT_SPACE_ID']}/collections/users/profiles"
    ids: Queue[str] = Queue()
    async with aiohttp.ClientSession(
        os.environ["SEGMENT_BASE_URL"], auth=aiohttp.BasicAuth(os.environ["SEGMENT_ACCESS_TOKEN"])
    ) as session:
        following = "0"
        while following:
            async with session.get(f"{profiles}?limit=100&next={following}") as response:
                page = msgspec.json.decode(await response.read())
            for listed in page["data"]:
                ids.put_nowait(listed["segment_id"])
            following = page["cursor"]["next"]

        async def work() -> None:
            while not ids.empty():
                profile = f"{profiles}/segment_id:{ids.get_nowait()}"
                for part in ("external_ids?include=user_id&limit=25", f"traits?include={','.join(MAPPED_TRAITS)}"):
                    async with session.get(f"{profile}/{part}") as response:
                        await response.read()

        await gather(*(work() for _ in range(WORKERS)))


if __name__ == "__main__":
    run_event_loop(main())
