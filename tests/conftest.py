"""What tests share: a sandbox in a process of its own, and an event loop whose time costs nothing."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings

from segsync.sandbox import SandboxOptions
from segsync.sandbox.process import SandboxProcess

T = TypeVar("T")

# A fresh clone builds Hypothesis's tables first, and a busy machine is slow: neither is a failure.
settings.register_profile("segsync", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("segsync")

StartSandbox = Callable[[SandboxOptions], SandboxProcess]
RunVirtual = Callable[[Coroutine[Any, Any, T]], T]


@pytest.fixture
def start_sandbox() -> Iterator[StartSandbox]:
    """Starts sandboxes that end with the test."""
    with ExitStack() as stack:
        yield lambda options: stack.enter_context(SandboxProcess(options))


ITERATION_SECONDS = 1e-6
"""What one turn of the loop takes: time has to pass for who looks at the clock again and again."""


class _VirtualTime(selectors.DefaultSelector):
    """Instead of waiting for a timer, moves the clock to it, and a little beyond as real timers do."""

    def __init__(self, lateness_seconds: float) -> None:
        super().__init__()
        self.now = 0.0
        self._lateness_seconds = lateness_seconds

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "everything waits for something that will never happen"
            self.now += timeout + (self._lateness_seconds if timeout > 0 else 0) + ITERATION_SECONDS
        return ready


def run_virtual(main: Coroutine[Any, Any, T], *, lateness_seconds: float = 0.0) -> T:
    """Run `main` on a loop that sleeps without waiting. No sockets: real time does not pass for them."""

    def make_loop() -> asyncio.AbstractEventLoop:
        selector = _VirtualTime(lateness_seconds)
        loop = asyncio.SelectorEventLoop(selector)
        loop.time = lambda: selector.now  # type: ignore[method-assign]
        return loop

    with asyncio.Runner(loop_factory=make_loop) as runner:
        return runner.run(main)
