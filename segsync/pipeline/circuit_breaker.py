"""A circuit breaker: too many failures in a row mean that something is wrong with all, and stop the import."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")


class CircuitBreaker(Generic[T]):
    """Holds failures back until a success shows that each is an accident.

    It is open once `threshold` failures came with no success between them; None never opens. Whoever opens it stops,
    and nothing that it holds has taken effect: so the checkpoint is still before the first of them.
    """

    def __init__(self, threshold: int | None) -> None:
        self.held: list[T] = []
        self._threshold = threshold

    @property
    def is_open(self) -> bool:
        return self._threshold is not None and len(self.held) >= self._threshold

    def hold(self, failure: T) -> None:
        """Hold one more failure back."""
        self.held.append(failure)

    def release(self) -> list[T]:
        """The failures that were held back, after a success or at the end: they may take effect now."""
        held, self.held = self.held, []
        return held
