"""Reads request ids, error codes and waits from the headers and errors of an answer."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec
from multidict import CIMultiDictProxy

from segsync.connectors.http import lenient
from segsync.redact import redacted, without_secrets

_IDENTIFIER = re.compile("[A-Za-z0-9][A-Za-z0-9_.:/=+-]{0,99}")

_ANYTHING = msgspec.json.Decoder[Any](Any)

MOST_DIGITS = 15
"""The most digits of a count of calls."""

A_YEAR_SECONDS = 366 * 86_400.0


def request_id(headers: CIMultiDictProxy[str]) -> str | None:
    """Segment's `Request-Id` (Profile API, "Support"), or the customary spelling."""
    return identifier(headers.get("Request-Id")) or identifier(headers.get("X-Request-Id"))


def reason(*fields: object, hidden: Iterable[str] = ()) -> str:
    """The fields of an error as one redacted line, without anything `hidden`."""
    return redacted(_joined(fields), *hidden)


def words(*fields: object, hidden: Iterable[str] = ()) -> str:
    """The fields of an error as the service wrote them, but for anything `hidden`: they may be personal."""
    return without_secrets(_joined(fields), *hidden)


def _joined(fields: Iterable[object]) -> str:
    return ": ".join(dict.fromkeys(text.strip() for text in fields if isinstance(text, str) and text.strip()))


def identifier(value: object) -> str | None:
    """A request id, an error code or the like; None for what looks like something else, since that may be personal."""
    return value if isinstance(value, str) and _IDENTIFIER.fullmatch(value) else None


def count(text: str) -> int | None:
    """A whole number that is not negative, from a header; None for anything else."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS else None


def error_fields(content: bytes) -> dict[str, object]:
    """The fields of an error, not redacted: they can quote a customer.

    `key` of Voucherify's or `code` of Segment's (in `error`) says which error it is; `message` and `details` say why;
    `request_id` is Voucherify's, for an answer without such a header.
    """
    try:
        fields = lenient.decode(content, _ANYTHING)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
    if not isinstance(fields, dict):
        return {}
    return fields["error"] if isinstance(fields.get("error"), dict) else fields


def is_web_page(headers: CIMultiDictProxy[str], content: bytes) -> bool:
    """Whether an answer is HTML: what a proxy, a firewall or a load balancer answers in the place of an API."""
    return "html" in headers.get("Content-Type", "").lower() or content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")


def is_bulk(method: str, headers: CIMultiDictProxy[str]) -> bool:
    """Whether the limit that an answer is about is that of bulk calls, which Voucherify counts apart from the others.

    `X-Rate-Limit-Type` says which one it is (Voucherify, "Limits"); where it does not, the method of the call does.
    """
    kind = headers.get("X-Rate-Limit-Type")
    return kind == "bulk_api_calls" if kind in ("bulk_api_calls", "api_calls") else method == "POST"


def spent_cycle(headers: CIMultiDictProxy[str]) -> str:
    """That the calls of the plan are used up, and until when, as far as the headers say so."""
    kinds = map(identifier, (headers.get("X-Rate-Limit-Type"), headers.get("X-Rate-Limit-Limit")))
    kind = ", ".join(filter(None, kinds))
    used_up = f"the plan's calls for this cycle are used up{f' ({kind})' if kind else ''}"
    wait = limit_wait_seconds(headers)
    if not wait or wait > A_YEAR_SECONDS:
        return used_up
    return f"{used_up}; the next one is allowed at {datetime.now(UTC) + timedelta(seconds=wait):%F %R} UTC"


def limit_wait_seconds(headers: CIMultiDictProxy[str]) -> float | None:
    """How long a service that is at its limit asks to wait: `Retry-After`, else `X-Rate-Limit-Retry` (Unix seconds)."""
    if "Retry-After" in headers:
        return retry_after_seconds(headers)
    return _seconds_until(_number(headers.get("X-Rate-Limit-Retry", "")), headers)


def retry_after_seconds(headers: CIMultiDictProxy[str]) -> float | None:
    """`Retry-After`, in seconds or as a date; None where it is neither."""
    after = headers.get("Retry-After", "")
    seconds = _number(after)
    return _seconds_until(_unix_seconds(after), headers) if seconds is None else max(seconds, 0.0)


def _seconds_until(unix_seconds: float | None, headers: CIMultiDictProxy[str]) -> float | None:
    """The seconds until a time of the service's clock, so compared with its `Date` and not with our clock."""
    if unix_seconds is None:
        return None
    return max(unix_seconds - (_unix_seconds(headers.get("Date", "")) or time.time()), 0.0)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _unix_seconds(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp()
    except ValueError:
        return None
