"""How many profiles are read at a time, where nobody has said it: as many as the latency asks for.

What is allowed a second times the seconds that a call takes is how many calls have to be under way for the
allowance to be used. Neither has to be known: while some of it is left unused, more workers are tried, and they
stay if more gets done with them. Where it is not the latency that holds things up (a slow sink, a busy processor,
a service at its own limit), they do not.
"""

from __future__ import annotations

import math

from segsync.models import Usage

FIRST = 16
MOST = 1000

ENOUGH = 0.98
"""So much of the allowance used is all of it."""

MOST_GROWTH, SPARE = 4.0, 1.1
"""What is tried at once: what would use the allowance if the latency stayed as it is and a little more, but no more
than four times as many workers."""

WORTH = 0.3
"""This share of what more workers should bring at best has to come of them."""

CONTENT_SECONDS = 30.0
"""How long after more workers brought nothing it is not tried again."""


class Crew:
    """The number of workers: `size`, and what `judge` says of it as usage becomes known."""

    def __init__(self, size: int = FIRST) -> None:
        self.size = size
        self._before: tuple[int, Usage] | None = None
        self._content_until = 0.0

    def judge(self, usage: Usage, now: float) -> int:
        """How many there should be, given what was used of the allowance by `size` workers until `now` (seconds)."""
        is_enough = usage.share >= ENOUGH
        if self._before:
            (size, before), self._before = self._before, None
            best = usage.calls_per_second / before.calls_per_second - 1 if before.calls_per_second else math.inf
            if not is_enough and best < WORTH * (self.size / size - 1):
                self._content_until = now + CONTENT_SECONDS
                self.size = size
        if not is_enough and now >= self._content_until and self.size < MOST:
            self._before = (self.size, usage)
            growth = min(SPARE / usage.share, MOST_GROWTH) if usage.share else MOST_GROWTH
            self.size = min(math.ceil(self.size * growth), MOST)
        return self.size
