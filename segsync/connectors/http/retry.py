"""Retries a failed call: exponential backoff with jitter, for a limited time."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable
from random import Random
from typing import Generic, TypeVar

import tenacity

from segsync.connectors.base import CONFLICT
from segsync.errors import RefusedError, TransientError
from segsync.events import CallRetried, OnEvent
from segsync.formatting import counted

T = TypeVar("T")

LONGEST_SHOWN_WAIT_SECONDS = 1e9
"""A longer wait is shown as longer than this."""

BACKOFF_START_SECONDS = 0.5

BACKOFF_MAX_SECONDS = 30.0

LONGEST_ANNOUNCED_WAIT_SECONDS = 3700.0
"""The longest wait that is honored. Voucherify's longest rate window is an hour; a longer wait is a used-up plan."""

CONFLICT_SHARE, LONGEST_CONFLICT_SECONDS = 1 / 30, 10.0
"""A conflict with another call passes in a moment, and one with what is stored never: it gets this share of the
patience, and no longer."""


class Retries:
    """The retries of calls to one service. `answered_at` is when it last answered any call with success."""

    def __init__(self, on_event: OnEvent, random: Random) -> None:
        self.on_event = on_event
        self.random = random
        self.clock = asyncio.get_running_loop().time
        self.answered_at = -math.inf

    async def again(self, first: TransientError, call: Callable[[], Awaitable[T]], patience_seconds: float) -> T:
        """Exponential backoff with full jitter, never earlier than the service asked for, with a last try at the end.

        `first` is what the call failed with, and counts as the first attempt. Raises the last `TransientError` when
        the time is up, and `RefusedError` for a conflict that lasts.
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
        joint = " It was" if last.message.endswith("?") else ";"
        attempts = counted(retried.attempts, "attempt")
        message = f"{last.message}{joint} given up after {retried.elapsed_seconds:.0f} s and {attempts}"
        if last.status == CONFLICT:
            raise RefusedError(
                message,
                service=last.service,
                status=last.status,
                request_id=last.request_id,
                code=last.code,
                words=last.words,
            )
        asked = last.retry_after_seconds or 0.0
        if asked > LONGEST_ANNOUNCED_WAIT_SECONDS:
            longer = "more than " if asked > LONGEST_SHOWN_WAIT_SECONDS else ""
            message += f", since it asks to wait {longer}{min(asked, LONGEST_SHOWN_WAIT_SECONDS):,.0f} s"
        raise TransientError(
            message,
            service=last.service,
            status=last.status,
            request_id=last.request_id,
            code=last.code,
            retry_after_seconds=last.retry_after_seconds,
            # Since the last try but one: earlier successes may be from before an outage.
            others_succeed=len(retried.tries) == 2 and self.answered_at > retried.tries[0],
            is_garbled=last.is_garbled,
            words=last.words,
        )


class _RetriedCall(Generic[T]):
    """One call that failed, last with `error`, and what decides when it is tried next."""

    def __init__(
        self, retries: Retries, error: TransientError, call: Callable[[], Awaitable[T]], patience_seconds: float
    ) -> None:
        self._retries = retries
        self._error = error
        self._call = call
        self._patience_seconds = patience_seconds
        self._failed_at = retries.clock()
        self._deadline = self._failed_at + patience_seconds
        self._conflict_at = self._failed_at
        self._has_waited_longer = False
        self.tries = deque([self._failed_at], maxlen=2)
        self.attempts = 0

    @property
    def elapsed_seconds(self) -> float:
        return self._retries.clock() - self._failed_at

    @property
    def _ends_at(self) -> float:
        if self._error.status != CONFLICT:
            return self._deadline
        return self._conflict_at + min(CONFLICT_SHARE * self._patience_seconds, LONGEST_CONFLICT_SECONDS)

    async def attempt(self) -> T:
        self.attempts += 1
        if self.attempts == 1:
            raise self._error  # the call has failed already
        self.tries.append(self._retries.clock())
        try:
            return await self._call()
        except TransientError as error:
            if self._error.status != CONFLICT:
                self._conflict_at = self._retries.clock()
            self._error = error
            raise

    def wait_seconds(self, _state: tenacity.RetryCallState) -> float:
        if announced := self._error.retry_after_seconds:
            return announced
        doublings = min(self.attempts, 10)  # an outage of a day makes thousands of attempts
        ceiling = min(BACKOFF_START_SECONDS * 2**doublings, BACKOFF_MAX_SECONDS)
        return min(self._retries.random.uniform(0, ceiling), max(self._ends_at - self._retries.clock(), 0.0))

    def is_out_of_time(self, _state: tenacity.RetryCallState) -> bool:
        announced, now = self._error.retry_after_seconds or 0.0, self._retries.clock()
        # It limits the rate, and answers others: an hour may allow fewer calls than wait for it.
        is_limited = self._error.status == 429 and announced > 0 and self._retries.answered_at > self.tries[0]
        if (now >= self._ends_at and not is_limited) or announced > LONGEST_ANNOUNCED_WAIT_SECONDS:
            return True
        if now + announced > self._deadline:
            # The service says when. Such a wait is not an outage: the time for retries begins anew after it.
            if self._has_waited_longer and not is_limited:
                return True
            self._has_waited_longer = True
            self._deadline = now + announced + self._patience_seconds
        return False

    def report(self, state: tenacity.RetryCallState) -> None:
        error, wait = self._error, state.upcoming_sleep
        retried = CallRetried(
            error.service, str(error), self.attempts, wait, self.elapsed_seconds, error.status, error.request_id
        )
        self._retries.on_event(retried)
