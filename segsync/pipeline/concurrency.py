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

MOST = 500

ENOUGH = 0.98
"""So much of the allowance used is all of it."""

MOST_GROWTH, SPARE = 4.0, 1.1
"""What is tried at once: what would use the allowance if the latency stayed as it is and a little more, but no more
than four times as many workers."""

WORTH = 0.3
"""This share of what more workers should bring at best has to come of them."""

CONTENT_SECONDS = 30.0
"""How long after more workers brought nothing it is not tried again."""


class ConcurrencyController:
    """The number of workers: `size`, and what `judge` says of it as usage becomes known."""

    def __init__(self, size: int = FIRST, most: int = MOST) -> None:
        self.size = size
        self._most = most
        self._before: tuple[int, Usage] | None = None
        self._settled_at = self._content_until = -math.inf

    def judge(self, usage: Usage, now: float) -> int:
        """How many there should be, given what was used of the allowance by `size` workers until `now` (seconds)."""
        if not usage.calls_per_second or now < self._settled_at:
            return self.size  # an outage tells nothing, nor does a time in which the new ones had yet to begin
        is_enough = usage.share >= ENOUGH
        if self._before:
            (size, before), self._before = self._before, None
            if not is_enough and usage.calls_per_second / before.calls_per_second - 1 < WORTH * (self.size / size - 1):
                self._content_until = now + CONTENT_SECONDS
                self.size = size
        if not is_enough and now >= self._content_until and self.size < self._most:
            self._before = (self.size, usage)
            # All are under way where turns are unused, so this is how long a call takes. The look after that counts.
            self._settled_at = now + 2 * self.size / usage.calls_per_second
            self.size = min(math.ceil(self.size * min(SPARE / usage.share, MOST_GROWTH)), self._most)
        return self.size


def most_workers() -> int:
    """As many as half of the files that this process may open: each has a connection of its own."""
    try:
        from resource import RLIM_INFINITY, RLIMIT_NOFILE, getrlimit  # noqa: PLC0415 - there is none on Windows
    except ImportError:
        return MOST
    files, _ = getrlimit(RLIMIT_NOFILE)
    return MOST if files == RLIM_INFINITY else max(min(files // 2, MOST), FIRST)
