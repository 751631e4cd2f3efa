"""Starts a sandbox in another process, and asks it what it received."""

from __future__ import annotations

import subprocess
import sys
import time
from types import TracebackType
from typing import Self
from urllib.request import ProxyHandler, Request, build_opener

import msgspec

from segsync.errors import StopError
from segsync.sandbox.options import Faults, SandboxOptions, connection
from segsync.sandbox.server import Verdict

SETTLE_SECONDS = 10.0

_open = build_opener(ProxyHandler({})).open
"""Opens a URL of a sandbox on this machine, so without the proxy that the environment may name."""


class SandboxProcess:
    """A sandbox in another process, which ends with the context. Raises `StopError` if it cannot start."""

    def __init__(self, options: SandboxOptions) -> None:
        self.options = options
        self.url = ""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(  # noqa: S603 - this interpreter, this package
            [sys.executable, "-m", "segsync.sandbox", msgspec.json.encode(self.options).decode()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a Ctrl-C in the terminal is for the import alone
        )
        self.url = self._process.stdout.readline().strip() if self._process.stdout else ""
        if not self.url:
            self._end()
            raise StopError("The sandbox did not start: see the output of its process above", code="sandbox-failed")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        try:
            self._process.communicate(timeout=SETTLE_SECONDS)  # closing its standard input asks it to end
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    @property
    def connection(self) -> dict[str, str]:
        """The settings for an import from it, by variable."""
        return connection(self.url, self.options)

    def verdict(self, first: int = 0, last: int | None = None) -> Verdict:
        """What it received from the profiles `first` up to `last`, once its queued actions have ended."""
        query = f"first={first}" + ("" if last is None else f"&last={last}")
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            with _open(f"{self.url}/sandbox/verdict?{query}") as answer:
                verdict = msgspec.json.decode(answer.read(), type=Verdict)
            if verdict.pending_actions == 0 or time.monotonic() > deadline:
                return verdict
            time.sleep(0.1)

    def set_faults(self, **changes: Faults | float | str) -> None:
        """Change what goes wrong from now on: `segment` and `voucherify` faults, and other names of `Switches`."""
        request = Request(f"{self.url}/sandbox/faults", msgspec.json.encode(changes), method="PUT")  # noqa: S310
        with _open(request):
            pass
