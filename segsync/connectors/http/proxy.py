"""The proxy that the environment names for a URL: `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, in capitals or not.

aiohttp's own `trust_env` is not used: it would take credentials for a host from `~/.netrc` as well, leave out proxies
that are called over https, and not say which proxy a call went through.
"""

from __future__ import annotations

import re
from base64 import b64encode
from typing import NamedTuple
from urllib.request import getproxies, proxy_bypass

from yarl import URL

from segsync.errors import SettingsError
from segsync.settings import is_this_machine


class Proxy(NamedTuple):
    """A proxy, as messages name it: without user name and password. `url` has them, as aiohttp takes them."""

    url: URL
    variable: str

    def __str__(self) -> str:
        return f"the proxy {self.url.host}:{self.url.port} ({self.variable})"

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no message may hold."""
        credentials = f"{self.url.user or ''}:{self.url.password or ''}".encode("latin-1")
        return (self.url.password, b64encode(credentials).decode()) if self.url.password else ()


def proxy_for(url: URL) -> Proxy | None:
    """The proxy for calls to this URL; None for a host that `NO_PROXY` names, and always for this machine.

    Raises `SettingsError` where the variable is not the URL of a proxy.
    """
    text = getproxies().get(url.scheme)
    host = url.raw_host or ""  # decoding it can fail, and no list of hosts needs that
    if not text or is_this_machine(host) or proxy_bypass(f"{host}:{url.port}"):
        return None
    variable = f"{url.scheme.upper()}_PROXY"
    try:
        return Proxy(_proxy_url(text), variable)
    except ValueError:
        # Its value is not shown: it may hold a password, in whatever place.
        problem = (
            f"{variable} must be the URL of an HTTP proxy, such as http://user:password@proxy.example:3128. "
            "Write the special characters of a password percent-encoded"
        )
        raise SettingsError([problem], code="proxy-invalid") from None


def _proxy_url(text: str) -> URL:
    """Raises ValueError. A host and port alone are common too; a path is the rest of a password with a slash in it."""
    url = URL(text if "://" in text else f"http://{text}")
    has_more = url.path_qs not in ("", "/") or url.fragment
    if url.scheme not in ("http", "https") or not url.port or not re.fullmatch(r"[\w.:-]+", url.host or ""):
        raise ValueError(text)
    if has_more or ":" in (url.user or ""):
        raise ValueError(text)
    f"{url.user}{url.password}".encode("latin-1")  # as aiohttp sends them
    return url
