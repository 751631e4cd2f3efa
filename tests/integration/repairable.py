"""A sandbox that can be broken and repaired while it serves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self, TypeVar

from aiohttp import web
from msgspec.structs import replace

from segsync.sandbox.process import SandboxProcess
from segsync.sandbox.profiles import SandboxProfile
from segsync.sandbox.server import serve

T = TypeVar("T")

AN_HOUR = 3600.0
"""Longer than a test: actions of this length end by `pass_time(AN_HOUR)`."""


class RepairableSandbox(SandboxProcess):
    """A sandbox in a thread of this process, where a test can change it."""

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._stack = AsyncExitStack()
        self._sandbox, self.url = self._do(self._stack.enter_async_context(serve(self.options)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._do(self._stack.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def repair(self, *, action_seconds: float = 0.0) -> None:
        """Refuse nobody from now on. What was refused before stays so: those actions have ended."""
        self.options = replace(self.options, refused_at_once=0.0, refused_later=0.0, action_seconds=action_seconds)
        self._sandbox.switch(self.options)

    def pass_time(self, seconds: float) -> None:
        """Put the clock of Voucherify forward, by which its actions end."""
        voucherify = self._sandbox.voucherify
        clock = voucherify._clock
        voucherify._clock = lambda: clock() + seconds

    def break_profile(self, segment_id: str) -> None:
        """Answer 503 to every call about this profile, and to no other."""
        segment = self._sandbox.segment
        find = segment._profile

        def broken(request: web.Request) -> SandboxProfile | None:
            if request.match_info["profile"].endswith(segment_id):
                raise web.HTTPServiceUnavailable
            return find(request)

        segment._profile = broken  # type: ignore[method-assign]

    def _do(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)
