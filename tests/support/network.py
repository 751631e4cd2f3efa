"""A company network: a proxy that tunnels, certificates of its own, and TLS servers on this machine."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import trustme

LONG_AGO: Final = datetime(2020, 1, 1, tzinfo=UTC)


class Authority:
    """Issues certificates; `path` is a file that trusts it, for `SSL_CERT_FILE`."""

    def __init__(self, directory: Path) -> None:
        self._ca = trustme.CA()
        self.path = directory / "company.pem"
        self._ca.cert_pem.write_to_path(self.path)

    def server(self, *names: str, not_after: datetime | None = None) -> ssl.SSLContext:
        """What a TLS server of these names needs."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        not_before = datetime(2019, 1, 1, tzinfo=UTC) if not_after else None
        self._ca.issue_cert(*names, not_before=not_before, not_after=not_after).configure_cert(context)
        return context


class Proxy:
    """Tunnels every CONNECT, and forwards every plain call, to one port of this machine, whatever host is asked for.

    `calls` are the first lines that came, `authorizations` what came with them. With a `status` it refuses them all.
    """

    def __init__(self, to_url: str, status: int | None = None) -> None:
        self.lead_to(to_url)
        self.status = status
        self.url = ""
        self.calls: list[str] = []
        self.authorizations: list[str | None] = []
        self.tasks: set[asyncio.Task[None]] = set()

    def lead_to(self, url: str) -> None:
        """From now on, all goes to this server."""
        self._port = urlsplit(url).port

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if task := asyncio.current_task():
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
        async with _closing(writer):
            head = await reader.readuntil(b"\r\n\r\n")
            first, *lines = head.decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            self.calls.append(first)
            self.authorizations.append(headers.get("proxy-authorization"))
            if self.status is not None:
                writer.write(f"HTTP/1.1 {self.status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
                return
            from_server, to_server = await asyncio.open_connection("127.0.0.1", self._port)
            async with _closing(to_server):
                if first.startswith("CONNECT "):
                    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                else:
                    to_server.write(head)
                copies = [asyncio.create_task(_copy(*pair)) for pair in ((reader, to_server), (from_server, writer))]
                try:
                    await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for copy in copies:
                        copy.cancel()
                    await asyncio.gather(*copies, return_exceptions=True)


@asynccontextmanager
async def _closing(writer: asyncio.StreamWriter) -> AsyncGenerator[None, None]:
    try:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            yield
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while content := await reader.read(65_536):
        writer.write(content)
        await writer.drain()


@asynccontextmanager
async def proxy_to(
    url: str, status: int | None = None, tls: ssl.SSLContext | None = None
) -> AsyncGenerator[Proxy, None]:
    """A proxy in front of the server at `url`, which is itself called over `tls` if there is one."""
    proxy = Proxy(url, status)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, ssl=tls)
    proxy.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        for task in proxy.tasks:
            task.cancel()
        await asyncio.gather(*proxy.tasks, return_exceptions=True)
