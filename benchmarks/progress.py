"""What the terminal shows while the benchmarks run."""

from __future__ import annotations

import sys
import time

_started = time.monotonic()


def announce(what: str) -> None:
    """A line to standard error, with the minutes and seconds since the start."""
    seconds = int(time.monotonic() - _started)
    print(f"{seconds // 60}:{seconds % 60:02d} {what}", file=sys.stderr, flush=True)
