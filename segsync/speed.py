"""How fast an import is, how far, and how long it will take."""

from __future__ import annotations

import asyncio
import math
from collections import deque

from msgspec import Struct

from segsync.tally import Tally

WINDOW_SECONDS = 10.0
"""Rates are those of this time: what was before it says little about what comes."""

SURE_SECONDS = 3.0
"""After a shorter time nothing is said of how long it will take."""


class Speed(Struct, frozen=True):
    """Rates a second over the last ten seconds, and the way to the end.

    `total` is None where nobody knows it; it `is_at_least` so many where there were more profiles than had been said.
    `seconds_left` is None where it would be a wild guess.
    """

    profiles: float
    segment: float
    voucherify: float
    done: int
    total: int | None
    is_at_least: bool
    seconds_left: float | None

    @property
    def share(self) -> float | None:
        """How much of the total is done, from 0 to 1."""
        if self.total is None:
            return None
        return 1.0 if self.is_at_least or not self.total else min(self.done / self.total, 1.0)


class Speedometer:
    """Looks at the numbers of `tally` again and again.

    `total` is how many profiles there will be, as far as somebody said that; once everything is listed, it is known.
    """

    def __init__(self, tally: Tally, total: int | None) -> None:
        self._tally = tally
        self._total = total
        self._clock = asyncio.get_running_loop().time
        self._seen: deque[tuple[float, int, int, int]] = deque()

    def look(self) -> Speed:
        """How it is now."""
        now, tally = self._clock(), self._tally
        calls = tally.services
        self._seen.append(
            (now, tally.read + tally.without_identifier, calls["Segment"].calls, calls["Voucherify"].calls)
        )
        while now - self._seen[0][0] > WINDOW_SECONDS:
            self._seen.popleft()
        (start, *before), (end, *after) = self._seen[0], self._seen[-1]
        seconds = end - start
        profiles, segment, voucherify = (
            (new - old) / (seconds or math.inf) for old, new in zip(before, after, strict=True)
        )
        done = tally.fates.done
        total = tally.listed if tally.resume_offset is None else self._total
        is_at_least = total is not None and tally.listed > total
        if total is not None and is_at_least:
            total = tally.listed
        is_sure = seconds >= SURE_SECONDS and profiles > 0 and not is_at_least
        return Speed(
            profiles=profiles,
            segment=segment,
            voucherify=voucherify,
            done=done,
            total=total,
            is_at_least=is_at_least,
            seconds_left=(total - done) / profiles if is_sure and total is not None and total > done else None,
        )
