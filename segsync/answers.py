"""What an answer says beside its content: who to ask about it, what went wrong, when to come back."""

from __future__ import annotations

import math
import time
from email.utils import parsedate_to_datetime

import msgspec
from multidict import CIMultiDictProxy


def request_id(headers: CIMultiDictProxy[str]) -> str | None:
    """Segment's `Request-Id` (Profile API, "Support"), or the customary spelling."""
    return headers.get("Request-Id") or headers.get("X-Request-Id")


def error_text(content: bytes, *names: str) -> str | None:
    """The first of these fields of an error answer that is a short string: `error.code` of Segment, `key` of
    Voucherify. Their `message` and `details` can quote a customer, so they are left alone.
    """
    try:
        fields = msgspec.json.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if isinstance(fields, dict) and isinstance(fields.get("error"), dict):
        fields = fields["error"]
    if not isinstance(fields, dict):
        return None
    found = (fields.get(name) for name in names)
    return next((text for text in found if isinstance(text, str) and len(text) <= 100 and text.isprintable()), None)


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
    """Until a time of the service's clock, so compared with its `Date` and not with our clock."""
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
