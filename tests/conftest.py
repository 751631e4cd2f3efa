"""What tests share: a sandbox in another process, and an event loop whose time costs nothing."""

from __future__ import annotations

import asyncio
import os
import selectors
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings

from segsync.sandbox.options import SandboxOptions
from segsync.sandbox.process import SandboxProcess

T = TypeVar("T")

# Programs are started hundreds of times: they keep their bytecode, as installed ones do.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# The proxies of the machine that the tests run on are none of theirs.
for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
    del os.environ[name]

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
"""What one turn of the loop takes: time has to pass for code that polls the clock."""


class VirtualTime(selectors.DefaultSelector):
    """Instead of waiting for a timer, moves the clock to it, and a little beyond as real timers do.

    With a resolution, timers have whole multiples of it and fire too early, as uvloop's do.
    """

    def __init__(self, *, lateness_seconds: float = 0.0, resolution_seconds: float = 0.0) -> None:
        super().__init__()
        self.now = 0.0
        self.turns_of_the_loop = 0
        self.resolution_seconds = resolution_seconds
        self._lateness_seconds = lateness_seconds

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.turns_of_the_loop += 1
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "everything waits for something that will never happen"
            if self.resolution_seconds:
                timeout = timeout // self.resolution_seconds * self.resolution_seconds
            self.now += timeout + (self._lateness_seconds if timeout > 0 else 0) + ITERATION_SECONDS
        return ready


def run_virtual(main: Coroutine[Any, Any, T], *, lateness_seconds: float = 0.0, on: VirtualTime | None = None) -> T:
    """Run `main` on a loop that sleeps without waiting. No sockets: real time does not pass for them."""
    clock = on or VirtualTime(lateness_seconds=lateness_seconds)

    def make_loop() -> asyncio.AbstractEventLoop:
        loop = asyncio.SelectorEventLoop(clock)
        loop.time = lambda: clock.now  # type: ignore[method-assign]
        if clock.resolution_seconds:
            loop._clock_resolution = clock.resolution_seconds  # type: ignore[attr-defined]
        return loop

    with asyncio.Runner(loop_factory=make_loop) as runner:
        return runner.run(main)
