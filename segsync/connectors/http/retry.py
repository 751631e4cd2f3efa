"""Retries a failed call: exponential backoff with jitter, for a limited time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from random import Random
from typing import Generic, TypeVar

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
        self.service = service
        self.on_event = on_event
        self.random = random
        self.clock = asyncio.get_running_loop().time

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
        retried = _RetriedCall(self, first, call, patience_seconds)
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(TransientError),
            wait=retried.wait_seconds,
            stop=retried.is_out_of_time,
            before_sleep=retried.report,
            reraise=True,
        )
        try:
            return await retrying(retried.attempt)
        except TransientError as error:
            last = error
        asked = last.retry_after_seconds or 0.0
        raise TransientError(
            f"{last.message}; given up after {self.clock() - retried.failed_at:.0f} s and "
            f"{retrying.statistics['attempt_number']} attempts"
            + (f", since it asks to wait {_shown(asked)}" if asked > LONGEST_ANNOUNCED_WAIT_SECONDS else ""),
            service=last.service,
            status=last.status,
            request_id=last.request_id,
            retry_after_seconds=last.retry_after_seconds,
            # Since the last try but one: earlier successes may be from before an outage.
            others_succeed=len(retried.tries) == 2 and last_answer_at() > retried.tries[0],
        )


class _RetriedCall(Generic[T]):
    """One call that failed, and what decides when it is tried next."""

    def __init__(
        self, retries: Retries, first: TransientError, call: Callable[[], Awaitable[T]], patience_seconds: float
    ) -> None:
        self._retries = retries
        self._first: TransientError | None = first
        self._call = call
        self._patience_seconds = patience_seconds
        self.failed_at = retries.clock()
        self.tries = deque([self.failed_at], maxlen=2)
        self._deadline = self.failed_at + patience_seconds
        self._has_waited_longer = False

    async def attempt(self) -> T:
        if self._first is not None:  # the call that failed before counts as the first attempt
            error, self._first = self._first, None
            raise error
        self.tries.append(self._retries.clock())
        return await self._call()

    def wait_seconds(self, state: tenacity.RetryCallState) -> float:
        if announced := _error_of(state).retry_after_seconds:
            return announced
        doublings = min(state.attempt_number, 10)  # an outage of a day makes thousands of attempts
        ceiling = min(BACKOFF_START_SECONDS * 2**doublings, BACKOFF_MAX_SECONDS)
        return min(self._retries.random.uniform(0, ceiling), max(self._deadline - self._retries.clock(), 0.0))

    def is_out_of_time(self, state: tenacity.RetryCallState) -> bool:
        announced, now = _error_of(state).retry_after_seconds or 0.0, self._retries.clock()
        if now >= self._deadline or announced > LONGEST_ANNOUNCED_WAIT_SECONDS:
            return True
        if now + announced > self._deadline:
            # The service says when. Such a wait is not an outage: the time for retries begins anew after it, once.
            if self._has_waited_longer:
                return True
            self._has_waited_longer = True
            self._deadline = now + announced + self._patience_seconds
        return False

    def report(self, state: tenacity.RetryCallState) -> None:
        error = _error_of(state)
        self._retries.on_event(
            CallRetried(
                self._retries.service,
                str(error),
                state.attempt_number,
                state.upcoming_sleep,
                self._retries.clock() - self.failed_at,
                error.status,
                error.request_id,
            )
        )


def _shown(seconds: float) -> str:
    longer = "more than " if seconds > LONGEST_SHOWN_WAIT_SECONDS else ""
    return f"{longer}{min(seconds, LONGEST_SHOWN_WAIT_SECONDS):,.0f} s"


def _error_of(state: tenacity.RetryCallState) -> TransientError:
    error = state.outcome.exception() if state.outcome else None
    if not isinstance(error, TransientError):
        raise TypeError(f"only a TransientError is retried, not {error!r}")
    return error
