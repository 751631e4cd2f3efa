"""The connections of this process: trusted certificates, headers, time-outs, host names."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from threading import Thread
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from segsync.__about__ import __version__
from segsync.connectors.http.failures import MAX_HEADER_BYTES

HEADERS: Final[Mapping[str, str]] = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",  # answers are small; what is not packed cannot unpack into a bomb
    "User-Agent": f"segsync/{__version__}",
}


def open_session(timeout_seconds: float, resolver: AbstractResolver | None = None) -> aiohttp.ClientSession:
    """A session whose calls end after that time, and which keeps no cookies. `resolver` looks up host names."""
    trusted = ssl.create_default_context()  # aiohttp's own knows no SSL_CERT_FILE that was set after its import
    trusted.set_alpn_protocols(["http/1.1"])
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=trusted, resolver=resolver),  # workers and uploaders are the limit
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=HEADERS,
        timeout=aiohttp.ClientTimeout(total=timeout_seconds),
        max_line_size=MAX_HEADER_BYTES,
        max_field_size=MAX_HEADER_BYTES,
    )
    # aiohttp repeats a cut GET by itself, past the limiter and uncounted; the client does that better.
    session._retry_connection = False
    return session


class DetachedResolver(AbstractResolver):
    """Looks up each name in a thread that the end of the process does not wait for.

    The system's own look-up cannot be interrupted, and without a name server it can take minutes.
    """

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        loop = asyncio.get_running_loop()
        found = loop.create_future()

        def finish(infos: list[Any] | OSError) -> None:
            if found.done():
                return
            if isinstance(infos, OSError):
                found.set_exception(infos)
            else:
                found.set_result(infos)

        def look_up() -> None:
            infos: list[Any] | OSError
            try:
                infos = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
            except OSError as error:
                infos = error
            except UnicodeError:  # one of its parts is too long
                infos = socket.gaierror(socket.EAI_NONAME, "not a host name")
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(finish, infos)

        Thread(target=look_up, daemon=True).start()
        return [
            {"hostname": host, "host": address[0], "port": port, "family": kind, "proto": proto, "flags": _NUMERIC}
            for kind, _, proto, _, address in await found
        ]

    async def close(self) -> None:
        """There is nothing to close."""


_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
