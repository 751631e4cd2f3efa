"""A circuit breaker: too many failures in a row mean that something is wrong with all, and stop the import.

What is held back by one: rejections until a success comes, and profiles that a service asks to leave for later.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Generic, Literal, TypeVar

from segsync.errors import StopError, TransientError
from segsync.events import OnEvent, ProfileRejected
from segsync.formatting import in_seconds, profiles
from segsync.models import Rejection, Stage
from segsync.pipeline.engine.checkpoint import Checkpoint, OpenPage

T = TypeVar("T")

POSTPONED_IN_A_ROW: Final = {"read": 25, "upsert": 3}
"""After this many reads or upserts that are postponed, with no success between them, the service means all of them."""


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


class Rejections:
    """Rejects profiles, each once a success at the same stage has shown that it is an accident of this profile.

    `rejected_in_a_row` with no success between them stop the import; for None each is rejected at once.
    """

    def __init__(self, checkpoint: Checkpoint, on_event: OnEvent, rejected_in_a_row: int | None) -> None:
        self._checkpoint = checkpoint
        self._on_event = on_event
        self._holds_back = rejected_in_a_row is not None
        stages: tuple[Stage, ...] = ("read", "map", "upsert")
        self._breakers = {stage: CircuitBreaker[tuple[OpenPage, Rejection]](rejected_in_a_row) for stage in stages}

    def reject(self, page: OpenPage, rejection: Rejection) -> None:
        """Reject a profile at once."""
        self._on_event(ProfileRejected(rejection, page.number))
        self._checkpoint.rejected(page)

    def hold(self, page: OpenPage, rejection: Rejection) -> None:
        """Hold a rejection back until a success shows that it is an accident of this profile."""
        if self._holds_back:
            self._breakers[rejection.stage].hold((page, rejection))
        else:
            self.reject(page, rejection)

    def stop_if_open(self, stage: Stage) -> None:
        """Raise `StopError` where the circuit breaker of this stage is open."""
        breaker = self._breakers[stage]
        if breaker.is_open:
            _, rejection = breaker.held[-1]
            were = "was" if len(breaker.held) == 1 else "were"
            raise StopError(
                f"{profiles(len(breaker.held))} in a row {were} rejected, so the import stopped instead of "
                f"rejecting all the others too. The last one: {rejection.reason}",
                code="too-many-rejections",
            )

    def release(self, stage: Stage) -> None:
        """After a success: reject the profiles that were held back."""
        breaker = self._breakers[stage]
        if breaker.held:
            for page, rejection in breaker.release():
                self.reject(page, rejection)

    def release_all(self) -> None:
        """At the end: reject all that were held back."""
        for stage in self._breakers:
            self.release(stage)


class Postponed:
    """Profiles that stay pending, since a service asks to wait for hours before it is called for them again."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self._breakers = {stage: CircuitBreaker[TransientError](most) for stage, most in POSTPONED_IN_A_ROW.items()}
        self._profiles = 0
        self._until = in_seconds(0)
        self._last: TransientError | None = None

    def add(self, stage: Literal["read", "upsert"], pages: Sequence[OpenPage], error: TransientError) -> None:
        """Leave a profile of each of these pages for later. Raises the error where the service does not answer others.

        A page is there as often as profiles of it are left.
        """
        for page in pages:
            self._checkpoint.postponed(page)
        self._profiles += len(pages)
        self._until = max(self._until, in_seconds(error.retry_after_seconds or 0.0))
        self._last = error
        self._breakers[stage].hold(error)
        if self._breakers[stage].is_open:
            raise error

    def succeeded(self, stage: Literal["read", "upsert"]) -> None:
        """The service answered another call of this kind."""
        self._breakers[stage].release()

    @property
    def error(self) -> TransientError | None:
        """What ends the import, when all others are through; None where nobody is left for later."""
        if self._last is None:
            return None
        return TransientError(
            f"{profiles(self._profiles)} left pending, since {self._last.service} asks to wait until "
            f"{self._until:%F %R} UTC. Resume the import then. The last error: {self._last.message}",
            service=self._last.service,
            status=self._last.status,
            request_id=self._last.request_id,
            code="wait-requested",
            retry_after_seconds=self._last.retry_after_seconds,
        )
