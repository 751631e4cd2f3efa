"""Why a call failed, in words: connections, and answers that are none."""

from __future__ import annotations

import os
import re
from typing import Final, NamedTuple

import aiohttp
from yarl import URL

_NO_ANSWER: Final = (
    (TimeoutError, "no answer came in time"),
    (aiohttp.ClientConnectorDNSError, "its host name was not found. Is the network up, and the base URL right?"),
    (aiohttp.ClientSSLError, "no trusted TLS connection could be made"),
    (aiohttp.ClientConnectorError, "no connection{cause}. Is the network up, and the base URL right?"),
    (aiohttp.ClientPayloadError, "the answer was cut off"),
    (Exception, "the connection was cut"),
)
"""Why there was no answer, by the first class that an exception is of."""

_ABOUT: Final = re.compile("(?<=/segment_id:)[^/]+")
"""The profile that a call is about, which is left out of messages, as the query is."""

_CONTENT_TYPE: Final = re.compile("[a-z0-9.+-]{1,40}/[a-z0-9.+-]{1,60}")


class Call(NamedTuple):
    """A call as messages name it, put together only where there is one: by method and path, or `what` it is."""

    method: str
    url: URL
    what: str = ""

    def __str__(self) -> str:
        return self.what or f"{self.method} {_ABOUT.sub('…', self.url.raw_path)}"


def no_answer(error: Exception) -> str:
    """Why a call ended with this error of aiohttp's or of the system's."""
    cause = f" ({os.strerror(error.errno).lower()})" if isinstance(error, OSError) and error.errno else ""
    return next(sentence for kind, sentence in _NO_ANSWER if isinstance(error, kind)).format(cause=cause)


def where_from(*, is_first: bool) -> str:
    """Where what is no answer may come from; `is_first` if none of its kind was understood before."""
    return "Is the base URL right?" if is_first else "A proxy on the way may have answered"


def not_decoded(response: aiohttp.ClientResponse, content: bytes, error: Exception, *, is_first: bool) -> str:
    """What an answer was instead of the documented one; `is_first` if none of its kind was understood before."""
    kind = response.content_type
    if kind != "application/json" and content:
        shown = kind if _CONTENT_TYPE.fullmatch(kind) else "something"
        return f"{shown} instead of JSON. {where_from(is_first=is_first)}"
    # An error about the encoding quotes the answer, msgspec's do not.
    return f"not what its API documents: {'it is not UTF-8' if isinstance(error, UnicodeDecodeError) else error}"


def no_access(call: Call, credentials: str, *, is_blocked: bool, was_accepted: bool) -> str:
    """Why a call was answered 401 or 403; `was_accepted` is whether the same credentials were before."""
    if is_blocked:
        ask = f"Ask whoever runs it to let {call.url.host} through"
        return f" with a web page: a proxy or firewall on the way may have refused the call. {ask}"
    return f": it refuses {credentials}{', which it accepted before in this run' if was_accepted else ''}"


def may_pass(status: int) -> bool:
    return status in (408, 425, 429) or status >= 500
