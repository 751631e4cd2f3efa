"""The live display of an import at a terminal: drawn anew in place, from its numbers alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.control import Control
from rich.live import Live
from rich.segment import ControlType, Segment, SegmentLines
from rich.text import Text

from segsync.picture import View, picture
from segsync.report.counters import Tally
from segsync.settings import Settings
from segsync.situation import Situation
from segsync.speed import Speedometer

LIVE_SECONDS = 0.25


class Progress:
    """Shows one import on `console`, a terminal. It is a context manager around the import.

    Other lines that are printed on the console meanwhile stand above it.
    """

    def __init__(
        self,
        settings: Settings,
        tally: Tally,
        situation: Situation,
        speedometer: Speedometer,
        console: Console,
        *,
        is_dry_run: bool = False,
    ) -> None:
        self._settings = settings
        self._tally = tally
        self._situation = situation
        self._speedometer = speedometer
        self._console = console
        self._is_dry_run = is_dry_run
        self._clock = asyncio.get_running_loop().time
        self._started = self._clock()
        self._width = console.width
        self._drawn: Sequence[int] = ()
        self._live = self._new_live()
        self._ticker: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        self._live.start()
        self._ticker = asyncio.get_running_loop().create_task(self._tick())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._ticker:
            self._ticker.cancel()
        self._live.stop()

    def _new_live(self) -> Live:
        return Live(console=self._console, auto_refresh=False, transient=True)

    async def _tick(self) -> None:
        """Draw until the import ends."""
        while True:
            self._draw()
            await asyncio.sleep(LIVE_SECONDS)

    def _draw(self) -> None:
        console = self._console
        width, height = console.size
        if width < self._width and self._drawn:
            self._wipe(width)
        self._width = width
        elapsed = self._clock() - self._started
        view = View(
            self._settings,
            self._tally,
            self._situation,
            self._speedometer.look(),
            elapsed,
            width,
            height,
            is_dry_run=self._is_dry_run,
        )
        lines = console.render_lines(picture(view), pad=False)
        self._drawn = [Segment.get_line_length(line) for line in lines]
        self._live.update(SegmentLines(lines, new_lines=True), refresh=True)

    def _wipe(self, width: int) -> None:
        """A window that became narrower has broken the lines that are too long for it: remove what that added."""
        added = sum(max(drawn - 1, 0) // width for drawn in self._drawn)
        self._live.update(Text(""), refresh=True)
        self._live.stop()
        self._console.control(Control(*((ControlType.CURSOR_UP, 1), (ControlType.ERASE_IN_LINE, 2)) * added))
        self._live = self._new_live()
        self._live.start()
