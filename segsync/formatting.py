"""Numbers, durations, times of day and foreign text, written for people."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def clock(seconds: float) -> str:
    """A time in few characters: "5 s", "2 min", "2:30 min", "34 min", "1 h", "1 h 30"."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 10:
        minutes, rest = round(seconds / 60), 0  # a guess of so long is not known by the second
    if minutes == 0:
        return f"{rest} s" if rest else "0"
    if minutes < 60:
        return f"{minutes}:{rest:02} min" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02}" if minutes % 60 else f"{minutes // 60} h"


def in_seconds(seconds: float) -> datetime:
    """The moment that is this many seconds away."""
    return datetime.now(UTC) + timedelta(seconds=seconds)


def time_of_day(moment: datetime, *, in_utc: bool) -> str:
    """A moment as the user's clock shows it, or in UTC, with its name."""
    return f"{moment:%H:%M:%S} UTC" if in_utc else f"{moment.astimezone():%H:%M:%S}"


def minute(time: str) -> str:
    """A time in ISO 8601 up to its minute."""
    return time[:16].replace("T", " ")


def per_unit(rate: float) -> str:
    """A rate with a useful number of digits."""
    return f"{rate:,.1f}" if rate < 100 else f"{rate:,.0f}"


def time_left(seconds: float) -> str:
    """A time left, in days and hours where it is days: it is a guess."""
    hours = seconds / 3600
    if hours >= 24 * 100:
        return "over 99 days"
    return duration(max(seconds, 1)) if hours < 24 else f"{int(hours // 24)} d {int(hours % 24)} h"


def duration(seconds: float) -> str:
    """Hours, minutes and seconds."""
    return f"{timedelta(seconds=round(seconds))}"


def counted(count: int, one: str, many: str = "") -> str:
    """A number and what it counts: "1 retry", "2 retries", "1,000 calls". `many` is a plural other than `one` + s."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def profiles(count: int) -> str:
    return counted(count, "profile")


def first_profiles(count: int) -> str:
    return "the first profile" if count == 1 else f"the first {profiles(count)}"


def segment_ids(count: int) -> str:
    return counted(count, "Segment id")


def share(part: int, whole: int) -> str:
    """A percentage that is 0% or 100% only where it is exactly that."""
    if not whole or part in (0, whole):
        return "100%" if whole and part == whole else "0%"
    percent = 100 * part / whole
    if percent < 0.1:
        return "under 0.1%"
    return "over 99.9%" if percent > 99.9 else f"{percent:.1f}%"


def printable(text: str) -> str:
    """The text in one line, with what a terminal would obey, or would not show, as its escape (ESC as `\\x1b`)."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)
