"""Tries a failed call again: when, how often, and when to give it up."""

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

FOR_EVER_SECONDS = 1e9

BACKOFF_START_SECONDS = 0.5

BACKOFF_MAX_SECONDS = 30.0

LONGEST_ANNOUNCED_WAIT_SECONDS = 3700.0
"""Voucherify's longest rate window is an hour (sandbox projects). A longer wait is a plan that is used up."""


class Retries:
    """The patience with one service."""

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
        """Full-jitter exponential back-off, never earlier than the service asked for, with a last try at the end.

        `first` is what the call failed with, and counts as the first attempt; `last_answer_at` tells when the
        service last answered any call well. Raises the last `TransientError` when the time is up.
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
                # The service says when. To wait that long is no outage: the patience begins again after it, once.
                if has_waited_longer:
                    return True
                has_waited_longer = True
                deadline = now + announced + patience_seconds
            return False

        def tell(state: tenacity.RetryCallState) -> None:
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
            if pending is not None:  # the call that failed before we came here counts as the first attempt
                error, pending = pending, None
                raise error
            tries.append(self._clock())
            return await call()

        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(TransientError),
            wait=wait,
            stop=is_out_of_time,
            before_sleep=tell,
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
            + (f", since it asks to wait {_said(asked)}" if asked > LONGEST_ANNOUNCED_WAIT_SECONDS else ""),
            service=last.service,
            status=last.status,
            request_id=last.request_id,
            retry_after_seconds=last.retry_after_seconds,
            # Since the last try but one: earlier successes may be from before an outage.
            others_succeed=len(tries) == 2 and last_answer_at() > tries[0],
        )


def _said(seconds: float) -> str:
    return f"{seconds:,.0f} s" if seconds < FOR_EVER_SECONDS else "for ever"


def _error_of(state: tenacity.RetryCallState) -> TransientError:
    error = state.outcome.exception() if state.outcome else None
    if not isinstance(error, TransientError):
        raise TypeError(f"only a TransientError is tried again, not {error!r}")
    return error
