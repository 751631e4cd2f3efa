"""The live display of an import at a terminal: drawn anew in place, from its numbers alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from textwrap import wrap
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.control import Control
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.segment import ControlType, Segment, SegmentLines
from rich.table import Table
from rich.text import Text

from segsync.formatting import duration, per_unit, printable
from segsync.monitor.activity import rate_words
from segsync.monitor.log import Log
from segsync.monitor.progress import Progress

LIVE_SECONDS: Final = 0.25
NARROWEST: Final = 20
WIDEST_BAR: Final = 100
COUNTED_APART: Final = {"POST": "uploads", "GET": "reads"}


class _Row(Struct, eq=False):
    """A row of the table; the higher its `rank`, the sooner it gives way where the window is low."""

    label: str
    number: str
    note: str = ""
    rank: int = 0
    style: str = ""


@dataclass(eq=False)
class Display:
    """Shows the import of a log on `console`, a terminal, while it is `running`.

    Other lines that are printed on the console meanwhile stand above it.
    """

    log: Log
    console: Console

    def __post_init__(self) -> None:
        self._width = self.console.width
        self._drawn: Sequence[int] = ()
        self._live = self._new_live()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Show it for as long as this is open."""
        self._live.start()
        ticker = asyncio.get_running_loop().create_task(self._tick())
        try:
            yield
        finally:
            ticker.cancel()
            self._live.stop()

    def picture(self, progress: Progress, elapsed_seconds: float) -> RenderableType:
        """What is drawn, no wider and no higher than the window."""
        width, height = self.console.size
        elapsed, activity = f"{duration(elapsed_seconds)}  ", self.log.activity.words(progress.held_up)
        head: list[RenderableType] = [Text.assemble((elapsed, "bold cyan"), (activity, "cyan"))]
        room = height - 1 - _height(elapsed + activity, width)  # one for the cursor
        if progress.share is not None:
            head.append(Padding(ProgressBar(total=1.0, completed=progress.share, width=min(width, WIDEST_BAR))))
            room -= 1
        if words := progress.words():
            head.append(Text(words, style="bold"))
            room -= _height(words, width)
        rows = [*self._rows(progress)]
        beside = width - 2 - max(cell_len(row.label) for row in rows) - max(cell_len(row.number) for row in rows)
        kept: set[_Row] = set()
        for row in sorted(rows, key=lambda row: row.rank):
            lines = len(wrap(row.note, max(beside, 1))) if " " in row.note else 1  # a note breaks if it must
            if lines <= room or not kept:
                kept.add(row)
                room -= lines
        if room > 0:
            source, sink = self.log.connectors
            route = f"{source.name} {source.identity} → {sink.name} {urlsplit(sink.host).netloc}"
            head.insert(0, Text(printable(route), style="dim", no_wrap=True, overflow="ellipsis"))
        grid = Table.grid(padding=(0, 1), pad_edge=False)
        grid.add_column(style="bold", no_wrap=True)
        grid.add_column(justify="right", no_wrap=True)
        grid.add_column(style="dim")
        for row in rows:
            if row in kept:
                # A cursor is cut, numbers are not.
                note = Text(row.note, no_wrap=" " not in row.note, overflow="ellipsis")
                grid.add_row(row.label, Text(row.number, style=row.style), note)
        return Group(*head, grid)

    def _rows(self, progress: Progress) -> Iterator[_Row]:
        counters = self.log.counters
        pace = f"{per_unit(progress.profiles_per_second)} per second"
        yield _Row("Profiles read", f"{counters.profiles_read:,}", pace)
        sent = f"{counters.confirmed + counters.sent:,}"
        if self.log.is_dry_run:
            yield _Row("Would be sent", sent, "a dry run", rank=1)
        else:
            yield _Row("Customers sent", sent, rank=1)
            yield _Row("  confirmed", f"{counters.confirmed:,}", rank=6, style="green")
        yield _Row("Without id", f"{counters.without_identifier:,}", rank=7)
        yield _Row("Rejected", f"{counters.rejected:,}", rank=2, style="red" if counters.rejected else "")
        if counters.unknown:
            yield _Row("Result unknown", f"{counters.unknown:,}", rank=2, style="red")
        for connector in self.log.connectors:
            name, calls = connector.name, counters.services[connector.name]
            yield _Row(name, f"{calls.calls:,}", rate_words(progress.calls_per_second[name], connector), rank=3)
            if calls.retries:
                yield _Row("  retries", f"{calls.retries:,}", f"{calls.rate_limited:,} x 429", rank=8)
            for (service, method), left in sorted(self.log.activity.calls_left.items()):
                if service == name:
                    of = "left" if left.limit is None else f"left of {left.limit:,}"
                    yield _Row(f"  {COUNTED_APART.get(method, method)}", f"{left.remaining:,}", of, rank=4)
        if counters.resume_offset is not None:
            # A cursor can be long; the log and the summary have all of it.
            offset = printable(counters.resume_offset)
            number, cursor = (offset, "") if offset.isdecimal() else ("", offset)
            yield _Row("Offset so far", number, cursor, rank=5)

    def _new_live(self) -> Live:
        return Live(console=self.console, auto_refresh=False, transient=True)

    async def _tick(self) -> None:
        clock = asyncio.get_running_loop().time
        started = clock()
        while True:
            if self.console.width < self._width and self._drawn:
                self._wipe_broken_lines()
            self._width = self.console.width
            picture = self.picture(self.log.meter.look(), clock() - started)
            lines = self.console.render_lines(picture, pad=False)
            self._drawn = [Segment.get_line_length(line) for line in lines]
            self._live.update(SegmentLines(lines, new_lines=True), refresh=True)
            await asyncio.sleep(LIVE_SECONDS)

    def _wipe_broken_lines(self) -> None:
        """A window that became narrower has broken the lines that are too long for it: remove what that added."""
        added = sum(max(drawn - 1, 0) // self.console.width for drawn in self._drawn)
        self._live.update(Text(""), refresh=True)
        self._live.stop()
        self.console.control(Control(*((ControlType.CURSOR_UP, 1), (ControlType.ERASE_IN_LINE, 2)) * added))
        self._live = self._new_live()
        self._live.start()


def _height(text: str, width: int) -> int:
    return len(wrap(text, max(width, NARROWEST)))
