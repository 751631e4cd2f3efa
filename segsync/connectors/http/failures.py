"""Why a call failed, in words: connections, certificates, proxies, and answers that are none."""

from __future__ import annotations

import os
import re
import ssl
from typing import Any, Final, NamedTuple

import aiohttp
from yarl import URL

from segsync.connectors.base import CONFLICT
from segsync.connectors.http import responses as answers
from segsync.connectors.http.proxy import Proxy
from segsync.errors import AccessLostError, AnswerError, CallError, TransientError

MAX_HEADER_BYTES: Final = 64 * 1024
"""The longest header that is read: a proxy's policies and cookies can be long."""

OF_THE_MOMENT: Final = frozenset({CONFLICT, 423, 499})
"""Refusals that may be of this moment: a conflict, something that is locked, a connection closed in between."""

NO_ACCESS: Final = (401, 403, 407)

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
    """Why there was no answer, or no access, and whether that may pass: a certificate and a proxy's rules stay."""

    problem: str
    code: str
    may_pass: bool = True


_NO_ANSWER: Final = (
    (TimeoutError, NoAnswer("no answer came in time", code="no-answer")),
    (
        aiohttp.ClientConnectorDNSError,
        NoAnswer("its host name was not found. Is the network up, and the base URL right?", code="no-connection"),
    ),
    (aiohttp.ClientSSLError, NoAnswer("no trusted TLS connection could be made", code="tls-failed")),
    (
        aiohttp.ClientConnectorError,
        NoAnswer("no connection{cause}. Is the network up, and the base URL right?", code="no-connection"),
    ),
    (aiohttp.ClientPayloadError, NoAnswer("the answer was cut off", code="no-answer")),
    (Exception, NoAnswer("the connection was cut", code="no-answer")),
)
"""Why there was no answer, by the first class that an exception is of."""


def no_answer(error: Exception, call: Call) -> NoAnswer:
    """Why a call ended with this error of aiohttp's or of the system's."""
    cause = f" ({os.strerror(error.errno).lower()})" if isinstance(error, OSError) and error.errno else ""
    if isinstance(error, ssl.CertificateError):
        return _certificate_problem(error, call.url)
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return _refused_by_proxy(error.status, call.url)
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return NoAnswer(
            f"the proxy cannot be reached{cause}. Is it up, and its address right?", code="proxy-unreachable"
        )
    if call.proxy and isinstance(error, aiohttp.ClientConnectorDNSError):
        problem = "the host name of the proxy was not found. Is its address right?"
        return NoAnswer(problem, code="proxy-unreachable")
    if isinstance(error, aiohttp.ClientResponseError) and error.message.startswith("Got more than"):
        return NoAnswer(f"a header of the answer has more than {MAX_HEADER_BYTES:,} bytes", code="answer-header")
    why = next(why for kind, why in _NO_ANSWER if isinstance(error, kind))
    return why._replace(problem=why.problem.format(cause=cause))


def compressed(error: Exception) -> str | None:
    """That an answer is compressed in a way that cannot be undone here, where aiohttp ended with that."""
    known = _COMPRESSION.search(error.message) if isinstance(error, aiohttp.ClientResponseError) else None
    return known and _compressed(known[1].lower())


def _compressed(how: str) -> str:
    return f"in {how} compression, though none was asked for. A proxy on the way may do that"


def where_from(*, is_first: bool) -> str:
    """Where what is not an answer may come from; `is_first` if none of its kind was understood before."""
    return "Is the base URL right?" if is_first else "A proxy on the way may have answered"


def not_decoded(
    response: aiohttp.ClientResponse, content: bytes, error: Exception, *, is_first: bool
) -> tuple[str, str]:
    """What an answer was instead of the documented one, and the code of that.

    It `is_first` if none of its kind was understood before.
    """
    kind, compression = response.content_type, response.headers.get("Content-Encoding", "").lower()
    if compression not in _PLAIN:
        problem = f"it is {_compressed(answers.identifier(compression) or 'unknown')}"
        code = "answer-compressed"
    elif kind != "application/json" and content:
        shown = kind if _CONTENT_TYPE.fullmatch(kind) else "something"
        code = "answer-not-json"
        return f"{shown} instead of JSON. {where_from(is_first=is_first)}", code
    else:  # an error about the encoding quotes the answer, msgspec's do not
        problem = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        code = "answer-undocumented"
    return f"not what its API documents: {problem}", code


def no_access(call: Call, status: int, credentials: str, *, is_blocked: bool, was_accepted: bool) -> NoAnswer:
    """Why a call was answered 401, 403 or 407; `was_accepted` is whether the same credentials were before."""
    if status == 407:
        return NoAnswer(f": {_BY_PROXY}", may_pass=False, code="proxy-credentials")
    if is_blocked:
        ask = f"Ask whoever runs it to let {call.url.host} through"
        problem = f" with a web page: a proxy or firewall on the way may have refused the call. {ask}"
        return NoAnswer(problem, may_pass=False, code="blocked")
    if was_accepted:
        problem = f": it refuses {credentials}, which it accepted before in this run"
        return NoAnswer(problem, code="credentials-lost")
    return NoAnswer(f": it refuses {credentials}", may_pass=False, code="credentials-refused")


def may_pass(status: int) -> bool:
    return status in (408, 425, 429) or status in OF_THE_MOMENT or status >= 500


def _refused_by_proxy(status: int, url: URL) -> NoAnswer:
    if status == 407:
        return NoAnswer(_BY_PROXY, may_pass=False, code="proxy-credentials")
    problem = f"the proxy answered {status} to CONNECT"
    if may_pass(status):
        return NoAnswer(problem, code="proxy-refused")
    ask = f"Ask whoever runs it to let {url.host} through, or name that host in NO_PROXY"
    return NoAnswer(f"{problem}. {ask}", may_pass=False, code="proxy-refused")


def _certificate_problem(error: ssl.CertificateError, url: URL) -> NoAnswer:
    """What is wrong with a certificate, which can be that of a proxy that is called over https."""
    certificate = f"the certificate of {getattr(error, 'host', url.host)}"
    found = getattr(error, "certificate_error", error)
    verdict = getattr(found, "verify_code", None)
    if verdict in (_EXPIRED, _NOT_YET_VALID):
        problem = (
            f"{certificate} {'has expired' if verdict == _EXPIRED else 'is not valid yet'}. Is this machine's clock "
            "right, and the file that SSL_CERT_FILE names up to date? If so, its owner has to renew it"
        )
        return NoAnswer(problem, may_pass=False, code="certificate-expired")
    if verdict in (_HOST_MISMATCH, _IP_MISMATCH):
        problem = (
            f"{certificate} is for another host. Is the base URL right? Something else may answer in its place, "
            "against which no SSL_CERT_FILE helps"
        )
        return NoAnswer(problem, may_pass=False, code="certificate-of-another-host")
    named = os.environ.get("SSL_CERT_FILE")
    unreadable = "" if not named or os.access(named, os.R_OK) else ". The file that it names now cannot be read"
    problem = (
        f"{certificate} is not trusted ({getattr(found, 'verify_message', 'no reason is given')}). If it is one of "
        f"your company's, name a file with the company's authority in SSL_CERT_FILE{unreadable}"
    )
    return NoAnswer(problem, may_pass=False, code="certificate-untrusted")


def given_up(error: TransientError, *, is_write: bool) -> CallError:
    """What a caller gets when the retries have run out."""
    if error.status in NO_ACCESS:
        return AccessLostError(error.message, **same_where(error))
    if is_write and error.is_garbled:
        return AnswerError(error.message, **same_where(error))
    return error


def same_where(error: CallError) -> dict[str, Any]:
    """What another error about the same answer says too."""
    return {name: getattr(error, name) for name in ("service", "status", "request_id", "code")}
