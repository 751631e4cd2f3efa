"""The rate that a service really allows, learned from the calls that it refuses.

The configured rate is what a space is granted, and others may use some of that. What is left can be read off a
refusal: a call that is refused by a limit per second comes behind exactly as many calls as the limit allows.
"""

from __future__ import annotations

import math
from collections import deque

SLOWER = 0.98
"""The share of the rate, or of what a refusal shows to be allowed, that is left after the refusal."""

CAUTIOUS_SECONDS = 7.5

CAUTIOUS_CALLS = 60
"""After this many seconds, or the time of this many calls if longer, the rate is back where it was refused.

It grows with the cube of the time: near a limit it creeps, and where the limit has gone it is back within a minute from
a tenth.
"""

MANY, FEW = 0.10, 4
"""More than this share of refused calls, and more than a few, come from a limit, whatever was allowed before."""

CHANCE = 0.92

BELIEF_SECONDS = 60.0
"""A few refusals at less than this share of what went through in the last minute are by chance: slowing down
further would not help against them."""

LONGEST_PAUSE_SECONDS = 1.0
"""What was too much is waited out: until the service has forgotten it, calls at the right rate would be refused too.
A service that counts over longer than a second says itself when to come back."""

LOWEST_SHARE, LOWEST = 0.02, 1.0
"""The rate never falls below this share of the configured one, or one call per second where that is less."""

MOST_REMEMBERED = 4_000
"""The most calls of one window that are remembered: where more are allowed, the limit does not hold us up."""


class Throttle:
    """The rate at which calls may leave, `most` per second unless the service refuses some.

    `window_seconds` is the time over which the service counts. Times are those of one clock, in seconds.
    """

    def __init__(self, most: float, window_seconds: float) -> None:
        self._most = most
        self._lowest = min(LOWEST_SHARE * most, LOWEST)
        self._window_seconds = window_seconds
        size = min(math.ceil(most * window_seconds * 1.5) + 1, MOST_REMEMBERED)
        self._left: deque[float] = deque(maxlen=size)
        self._refused: deque[float] = deque(maxlen=size)
        self._cut_to = most
        self._cut_at: float | None = None
        self._allowed, self._knows_limit = 0.0, False
        self._proven, self._proven_at = 0.0, -math.inf

    @property
    def is_slowed(self) -> bool:
        return self._cut_at is not None

    def rate(self, now: float) -> float:
        """The calls per second that may leave now."""
        if self._cut_at is None:
            return self._most
        steps = (now - self._cut_at) / max(CAUTIOUS_SECONDS, CAUTIOUS_CALLS / self._cut_to)
        rate = self._cut_to * math.exp(-math.log(SLOWER) * min(steps, 10.0) ** 3)
        if rate < self._most:
            return rate
        self._cut_at = None
        return self._most

    def left(self, now: float) -> None:
        """A call leaves."""
        self._left.append(now)

    def refused(self, left_at: float, now: float) -> float:
        """The call that left at `left_at` was one too many. The seconds for which no call should leave."""
        self._refused.append(left_at)
        rate, cut_at = self.rate(now), self._cut_at
        left, refused = (self._in_the_window_before(left_at, times) for times in (self._left, self._refused))
        is_by_limit = refused > max(MANY * left, FEW)
        if cut_at is not None and left_at <= cut_at + self._window_seconds:
            # What left before we slowed down still counted: that explains a few. The first refusal showed what is
            # allowed; the later ones may be counted too, and show less.
            if self._knows_limit or not is_by_limit:
                return 0.0
        else:
            self._allowed = max(left - refused, 0) / self._window_seconds
            if not is_by_limit and self._is_by_chance(self._allowed, now):
                return 0.0
        self._knows_limit = is_by_limit
        if is_by_limit or self._allowed > self._proven or now - self._proven_at >= BELIEF_SECONDS:
            self._proven, self._proven_at = self._allowed, now
        self._cut_to = max(SLOWER * (min(rate, self._allowed) if is_by_limit else rate), self._lowest)
        self._cut_at = now
        if not is_by_limit:
            return 0.0
        too_much = 1 - self._cut_to * self._window_seconds / max(left, 1)
        return min(max(2 * too_much, 0.0), 1.0) * min(self._window_seconds, LONGEST_PAUSE_SECONDS)

    def _is_by_chance(self, allowed: float, now: float) -> bool:
        """Whether clearly more went through a while ago."""
        one_more = allowed + 1 / self._window_seconds
        return one_more < CHANCE * self._proven and now - self._proven_at < BELIEF_SECONDS

    def _in_the_window_before(self, left_at: float, times: deque[float]) -> int:
        return sum(left_at - self._window_seconds < time <= left_at for time in times)
