"""Why a call failed, in words: connections, certificates, proxies, and answers that are none."""

from __future__ import annotations

import os
import re
import ssl
from typing import Final, NamedTuple

import aiohttp
from yarl import URL

from segsync.connectors.base import CONFLICT
from segsync.connectors.http import responses as answers
from segsync.connectors.http.proxy import Proxy

MAX_HEADER_BYTES: Final = 64 * 1024
"""The longest header that is read: a proxy's policies and cookies can be long."""

OF_THE_MOMENT: Final = frozenset({CONFLICT, 423, 499})
"""Refusals that may be of this moment: a conflict, something that is locked, a connection closed in between."""

_NO_ANSWER: Final = (
    (TimeoutError, "no answer came in time"),
    (aiohttp.ClientConnectorDNSError, "its host name was not found. Is the network up, and the base URL right?"),
    (aiohttp.ClientSSLError, "no trusted TLS connection could be made"),
    (aiohttp.ClientConnectorError, "no connection{cause}. Is the network up, and the base URL right?"),
    (aiohttp.ClientPayloadError, "the answer was cut off"),
    (Exception, "the connection was cut"),
)
"""Why there was no answer, by the first class that an exception is of."""

_BY_PROXY: Final = "the proxy answered 407: it wants a user name and password, or refuses those given"

# OpenSSL's codes, X509_V_ERR_… in its x509_vfy.h.
_NOT_YET_VALID, _EXPIRED, _HOST_MISMATCH, _IP_MISMATCH = 9, 10, 62, 64

_ABOUT: Final = re.compile("(?<=/segment_id:)[^/]+")
"""The profile that a call is about, which is left out of messages, as the query is."""

_CONTENT_TYPE: Final = re.compile("[a-z0-9.+-]{1,40}/[a-z0-9.+-]{1,60}")

_PLAIN: Final = ("", "identity", "gzip", "deflate")
"""The compressions that aiohttp can always undo; the others take a library that is not required here."""

_COMPRESSION: Final = re.compile(r"content-encoding:.*\b(br|zstd)\b", re.IGNORECASE)


class Call(NamedTuple):
    """A call as messages name it, put together only where there is one: by method and path, or `what` it is."""

    method: str
    url: URL
    proxy: Proxy | None = None
    what: str = ""

    def __str__(self) -> str:
        what = self.what or f"{self.method} {_ABOUT.sub('…', self.url.raw_path)}"
        return f"{what} through {self.proxy}" if self.proxy else what


class NoAnswer(NamedTuple):
    """Why there was no answer, and whether that may pass: a certificate and a proxy's rules stay as they are."""

    problem: str
    may_pass: bool = True


def no_answer(error: Exception, call: Call) -> NoAnswer:
    """Why a call ended with this error of aiohttp's or of the system's."""
    cause = f" ({os.strerror(error.errno).lower()})" if isinstance(error, OSError) and error.errno else ""
    if isinstance(error, ssl.CertificateError):
        return NoAnswer(_certificate_problem(error, call.url), may_pass=False)
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return _refused_by_proxy(error.status, call.url)
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return NoAnswer(f"the proxy cannot be reached{cause}. Is it up, and its address right?")
    if call.proxy and isinstance(error, aiohttp.ClientConnectorDNSError):
        return NoAnswer("the host name of the proxy was not found. Is its address right?")
    if isinstance(error, aiohttp.ClientResponseError) and error.message.startswith("Got more than"):
        return NoAnswer(f"a header of the answer has more than {MAX_HEADER_BYTES:,} bytes")
    return NoAnswer(next(sentence for kind, sentence in _NO_ANSWER if isinstance(error, kind)).format(cause=cause))


def compressed(error: Exception) -> str | None:
    """That an answer is compressed in a way that cannot be undone here, where aiohttp ended with that."""
    known = _COMPRESSION.search(error.message) if isinstance(error, aiohttp.ClientResponseError) else None
    return known and _compressed(known[1].lower())


def _compressed(how: str) -> str:
    return f"in {how} compression, though none was asked for. A proxy on the way may do that"


def where_from(*, is_first: bool) -> str:
    """Where what is no answer may come from; `is_first` if none of its kind was understood before."""
    return "Is the base URL right?" if is_first else "A proxy on the way may have answered"


def not_decoded(response: aiohttp.ClientResponse, content: bytes, error: Exception, *, is_first: bool) -> str:
    """What an answer was instead of the documented one; `is_first` if none of its kind was understood before."""
    kind, compression = response.content_type, response.headers.get("Content-Encoding", "").lower()
    if compression not in _PLAIN:
        problem = f"it is {_compressed(answers.identifier(compression) or 'unknown')}"
    elif kind != "application/json" and content:
        shown = kind if _CONTENT_TYPE.fullmatch(kind) else "something"
        return f"{shown} instead of JSON. {where_from(is_first=is_first)}"
    else:  # an error about the encoding quotes the answer, msgspec's do not
        problem = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
    return f"not what its API documents: {problem}"


def no_access(call: Call, status: int, credentials: str, *, is_blocked: bool, was_accepted: bool) -> str:
    """Why a call was answered 401, 403 or 407; `was_accepted` is whether the same credentials were before."""
    if status == 407:
        return f": {_BY_PROXY}"
    if is_blocked:
        ask = f"Ask whoever runs it to let {call.url.host} through"
        return f" with a web page: a proxy or firewall on the way may have refused the call. {ask}"
    return f": it refuses {credentials}{', which it accepted before in this run' if was_accepted else ''}"


def may_pass(status: int) -> bool:
    return status in (408, 425, 429) or status in OF_THE_MOMENT or status >= 500


def _refused_by_proxy(status: int, url: URL) -> NoAnswer:
    if status == 407:
        return NoAnswer(_BY_PROXY, may_pass=False)
    problem = f"the proxy answered {status} to CONNECT"
    if may_pass(status):
        return NoAnswer(problem)
    ask = f"Ask whoever runs it to let {url.host} through, or name that host in NO_PROXY"
    return NoAnswer(f"{problem}. {ask}", may_pass=False)


def _certificate_problem(error: ssl.CertificateError, url: URL) -> str:
    """What is wrong with a certificate, which can be that of a proxy that is called over https."""
    certificate = f"the certificate of {getattr(error, 'host', url.host)}"
    found = getattr(error, "certificate_error", error)
    code = getattr(found, "verify_code", None)
    if code in (_EXPIRED, _NOT_YET_VALID):
        return (
            f"{certificate} {'has expired' if code == _EXPIRED else 'is not valid yet'}. Is this machine's clock "
            "right, and the file that SSL_CERT_FILE names up to date? If so, its owner has to renew it"
        )
    if code in (_HOST_MISMATCH, _IP_MISMATCH):
        return (
            f"{certificate} is for another host. Is the base URL right? Something else may answer in its place, "
            "against which no SSL_CERT_FILE helps"
        )
    named = os.environ.get("SSL_CERT_FILE")
    unreadable = "" if not named or os.access(named, os.R_OK) else ". The file that it names now cannot be read"
    return (
        f"{certificate} is not trusted ({getattr(found, 'verify_message', 'no reason is given')}). If it is one of "
        f"your company's, name a file with the company's authority in SSL_CERT_FILE{unreadable}"
    )
