"""The process of a sandbox, started by a parent with `SandboxProcess`.

The options come as JSON in the one argument. The URL is written as a line of standard output. The process ends when its
standard input does: when the parent closes it, or ends.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading

import msgspec

from segsync.runtime import run_event_loop
from segsync.sandbox.options import SandboxOptions
from segsync.sandbox.server import serve_until


async def _serve(options: SandboxOptions) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def wait_for_the_parent() -> None:
        sys.stdin.buffer.read()
        loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=wait_for_the_parent, daemon=True).start()
    await serve_until(stop, options, 0, lambda url: print(url, flush=True))


if __name__ == "__main__":
    gc.set_threshold(100_000)  # a pause would let calls pile up, and a strict limit refuse them
    run_event_loop(_serve(msgspec.json.decode(sys.argv[1], type=SandboxOptions)))
