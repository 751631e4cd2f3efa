"""Retries a failed call: exponential backoff with jitter, for a limited time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from random import Random
from typing import TypeVar

import tenacity

from segsync.errors import TransientError
from segsync.events import CallRetried, OnEvent

T = TypeVar("T")

LONGEST_SHOWN_WAIT_SECONDS = 1e9
"""A longer wait is shown as longer than this."""

BACKOFF_START_SECONDS = 0.5

BACKOFF_MAX_SECONDS = 30.0

LONGEST_ANNOUNCED_WAIT_SECONDS = 3700.0
"""The longest wait that is honored. Voucherify's longest rate window is an hour; a longer wait is a used-up plan."""


class Retries:
    """The retries of calls to one service."""

    def __init__(self, service: str, on_event: OnEvent, random: Random) -> None:
        self._service = service
        self._on_event = on_event
        self._random = random
        self._clock = asyncio.get_running_loop().time

    async def again(
        self,
        first: TransientError,
        call: Callable[[], Awaitable[T]],
        *,
        patience_seconds: float,
        last_answer_at: Callable[[], float],
    ) -> T:
        """Exponential backoff with full jitter, never earlier than the service asked for, with a last try at the end.

        `first` is what the call failed with, and counts as the first attempt; `last_answer_at` is when the
        service last answered any call with success. Raises the last `TransientError` when the time is up.
        """
        failed_at = self._clock()
        deadline = failed_at + patience_seconds
        has_waited_longer = False
        tries = deque([failed_at], maxlen=2)
        pending: TransientError | None = first

        def wait(state: tenacity.RetryCallState) -> float:
            if announced := _error_of(state).retry_after_seconds:
                return announced
            doublings = min(state.attempt_number, 10)  # an outage of a day makes thousands of attempts
            ceiling = min(BACKOFF_START_SECONDS * 2**doublings, BACKOFF_MAX_SECONDS)
            return min(self._random.uniform(0, ceiling), max(deadline - self._clock(), 0.0))

        def is_out_of_time(state: tenacity.RetryCallState) -> bool:
            nonlocal deadline, has_waited_longer
            announced, now = _error_of(state).retry_after_seconds or 0.0, self._clock()
            if now >= deadline or announced > LONGEST_ANNOUNCED_WAIT_SECONDS:
                return True
            if now + announced > deadline:
                # The service says when. Such a wait is not an outage: the time for retries begins anew after it, once.
                if has_waited_longer:
                    return True
                has_waited_longer = True
                deadline = now + announced + patience_seconds
            return False

        def report(state: tenacity.RetryCallState) -> None:
            error = _error_of(state)
            self._on_event(
                CallRetried(
                    self._service,
                    str(error),
                    state.attempt_number,
                    state.upcoming_sleep,
                    self._clock() - failed_at,
                    error.status,
                    error.request_id,
                )
            )

        async def attempt() -> T:
            nonlocal pending
            if pending is not None:  # the call that failed before counts as the first attempt
                error, pending = pending, None
                raise error
            tries.append(self._clock())
            return await call()

        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(TransientError),
            wait=wait,
            stop=is_out_of_time,
            before_sleep=report,
            reraise=True,
        )
        try:
            return await retrying(attempt)
        except TransientError as error:
            last = error
        asked = last.retry_after_seconds or 0.0
        raise TransientError(
            f"{last.message}; given up after {self._clock() - failed_at:.0f} s and "
            f"{retrying.statistics['attempt_number']} attempts"
            + (f", since it asks to wait {_shown(asked)}" if asked > LONGEST_ANNOUNCED_WAIT_SECONDS else ""),
            service=last.service,
            status=last.status,
            request_id=last.request_id,
            retry_after_seconds=last.retry_after_seconds,
            # Since the last try but one: earlier successes may be from before an outage.
            others_succeed=len(tries) == 2 and last_answer_at() > tries[0],
        )


def _shown(seconds: float) -> str:
    longer = "more than " if seconds > LONGEST_SHOWN_WAIT_SECONDS else ""
    return f"{longer}{min(seconds, LONGEST_SHOWN_WAIT_SECONDS):,.0f} s"


def _error_of(state: tenacity.RetryCallState) -> TransientError:
    error = state.outcome.exception() if state.outcome else None
    if not isinstance(error, TransientError):
        raise TypeError(f"only a TransientError is retried, not {error!r}")
    return error
