"""A sandbox in this process, and a client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import aiohttp
import pytest

from segsync.sandbox.options import SandboxOptions
from segsync.sandbox.server import serve
from tests.sandbox.clients import Client

Connect = Callable[[SandboxOptions], Awaitable[Client]]


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as open_session:
        yield open_session


@pytest.fixture
async def connect(session: aiohttp.ClientSession) -> AsyncIterator[Connect]:
    """Serves sandboxes that end with the test, and gives a client of each."""
    async with AsyncExitStack() as stack:

        async def open_client(options: SandboxOptions) -> Client:
            sandbox, url = await stack.enter_async_context(serve(options))
            return Client(session, url, sandbox)

        yield open_client
