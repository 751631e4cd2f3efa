"""Dates in texts, as ISO 8601 writes them. No time zone moves a day: it is the one that is written."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import Final, TypeGuard


def _forms(dash: str, colon: str) -> re.Pattern[str]:
    """The extended form of ISO 8601, with dashes and colons, or the basic one without: a day and perhaps a time."""
    day = rf"(?P<month>\d\d){dash}(?P<day>\d\d)|W(?P<week>\d\d){dash}(?P<weekday>\d)|(?P<day_of_year>\d{{3}})"
    # The Node script's README writes milliseconds behind a colon.
    hour = rf"(?:[01]\d|2[0-3])(?:{colon}[0-5]\d(?:{colon}[0-5]\d(?:[.,:]\d+)?)?)?"
    midnight = rf"24(?:{colon}00(?:{colon}00(?:[.,:]0+)?)?)?"
    zone = r"(?: ?Z|[+-]\d\d(?::?\d\d)?)?"
    return re.compile(rf"(?:\+00)?(?P<year>\d{{4}}){dash}(?:{day})(?:[T ](?:{hour}|{midnight}){zone})?", re.ASCII)


_DAYS: Final = (_forms("-", ":"), _forms("", ""))

_PERIOD: Final = re.compile(r"(?P<year>\d{4})(?:-?(?:(?P<month>\d\d)|W(?P<week>\d\d)))?", re.ASCII)
"""A year, month or week, without a time: its first day is meant."""

_TIMESTAMP: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}(?:T(?:[01]\d|2[0-3])(?::\d{2}(?::\d{2}(?:[.,]\d+)?)?)?(?:Z|[+-]\d{2}(?::?\d{2})?)?)?",
    re.ASCII,
)


def iso_day(value: object) -> str | None:
    """The day of an ISO 8601 date in any of its forms, as `YYYY-MM-DD`; None for anything else.

    It takes what the Node script takes, which is what moment.js calls strict ISO 8601: `1990-05-17`, `19900517`, a week
    (`1990-W20`, `1990-W20-4`), a day of the year (`1990-137`), a month or year alone, and a time behind `T` or a blank.
    Blanks around it do not matter. Years are from 1 to 9999.
    """
    if not isinstance(value, str):
        return None
    text = value.strip()
    match = next(filter(None, (form.fullmatch(text) for form in (*_DAYS, _PERIOD))), None)
    if match is None:
        return None
    parts = {name: int(digits) for name, digits in match.groupdict().items() if digits is not None}
    try:
        if "week" in parts:
            return date.fromisocalendar(parts["year"], parts["week"], parts.get("weekday", 1)).isoformat()
        day = date(parts["year"], parts.get("month", 1), parts.get("day", 1))
        day += timedelta(days=parts.get("day_of_year", 1) - 1)
    except (ValueError, OverflowError):  # there is no such day
        return None
    return day.isoformat() if day.year == parts["year"] else None


def is_iso_8601(value: object) -> TypeGuard[str]:
    """Whether this begins with `YYYY-MM-DD`, a day that exists, alone or with a time."""
    if not isinstance(value, str) or not _TIMESTAMP.fullmatch(value):
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True
