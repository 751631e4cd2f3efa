"""Where credentials may go, and what of them no message may hold."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from typing import Final

from yarl import URL

from segsync.settings import is_this_machine

FOR_DOWNLOADS: Final = ("X-App-Id", "X-App-Token")
"""Headers that authenticate a Voucherify project, also at the vendor's download hosts."""

_CREDENTIALS: Final = (*FOR_DOWNLOADS, "Authorization")


def secrets_in(headers: Mapping[str, str]) -> tuple[str, ...]:
    """The credentials in headers, as they stand there and, for HTTP Basic, decoded too."""
    secrets: list[str] = []
    for name, value in headers.items():
        kind, _, encoded = value.rpartition(" ")
        if name in _CREDENTIALS:
            secrets.append(encoded)
        if kind == "Basic":
            secrets += b64decode(encoded).decode(errors="replace").split(":")
    return tuple(secrets)


def file_url(url: str, base_url: URL) -> URL | None:
    """The URL of a file where it is an https one, or an http one of this machine if the API is there too."""
    try:
        where = URL(url, encoded=True)
        host = where.host or ""
    except ValueError:
        return None
    is_here = is_this_machine(host) and is_this_machine(base_url.host or "")
    is_safe = where.scheme == "https" or (where.scheme == "http" and is_here)
    return where if is_safe and host and host.isprintable() else None
