"""How the sandbox counts calls."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable


class SlidingWindow:
    """Allows at most `limit` calls in any `seconds`. A limit of 0 allows all, and counts none.

    `limit` may be changed. Calls that were refused do not count. `clock` gives seconds.
    """

    def __init__(self, limit: int, seconds: float, clock: Callable[[], float]) -> None:
        self.limit = limit
        self._seconds = seconds
        self._clock = clock
        self._calls: deque[float] = deque()

    def allow(self) -> bool:
        """Count a call, and return whether it is within the limit."""
        if self.limit == 0:
            return True
        now = self._clock()
        self._forget(now)
        if len(self._calls) >= self.limit:
            return False
        self._calls.append(now)
        return True

    @property
    def remaining(self) -> int:
        """Calls that would be allowed now; 0 where there is no limit."""
        self._forget(self._clock())
        return max(self.limit - len(self._calls), 0)

    @property
    def seconds_until_next(self) -> float:
        """Seconds until the next call is allowed, 0 where it is allowed now."""
        if self.limit == 0 or self.remaining:
            return 0.0
        return self._calls[len(self._calls) - self.limit] + self._seconds - self._clock()

    def _forget(self, now: float) -> None:
        while self._calls and now - self._calls[0] >= self._seconds:
            self._calls.popleft()
