"""The live display of an import at a terminal: drawn anew in place, from its numbers alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
from segsync.models import Connector
from segsync.monitor.activity import Activity, rate_words
from segsync.monitor.progress import Progress, ProgressMeter
from segsync.report.counters import Counters

NARROWEST: Final = 20

WIDEST_BAR: Final = 100

COUNTED_APART: Final = {"POST": "uploads", "GET": "reads"}


class Snapshot(Struct, frozen=True):
    """What there is to draw; `elapsed` in seconds, `width` and `height` those of the window."""

    connectors: Sequence[Connector]
    counters: Counters
    activity: Activity
    progress: Progress
    elapsed: float
    width: int
    height: int
    is_dry_run: bool = False


class _Row(Struct, frozen=True):
    """A row of the table; the higher its `rank`, the sooner it gives way where the window is low."""

    label: str
    number: str
    note: str = ""
    rank: int = 0
    style: str = ""


def picture(view: Snapshot) -> RenderableType:
    """The display, no wider and no higher than the window."""
    progress = view.progress
    activity = view.activity.words(progress.held_up)
    head: list[RenderableType] = [Text.assemble((f"{duration(view.elapsed)}  ", "bold cyan"), (activity, "cyan"))]
    room = view.height - 1 - _height(f"{duration(view.elapsed)}  {activity}", view.width)  # one for the cursor
    if progress.share is not None:
        bar = ProgressBar(total=1.0, completed=progress.share, width=min(view.width, WIDEST_BAR))
        head.append(Padding(bar))
        room -= 1
    if words := progress.words():
        head.append(Text(words, style="bold"))
        room -= _height(words, view.width)
    kept = _that_fit(list(_rows(view)), view.width - 2, room)
    if sum(high for _, high in kept) < room:
        head.insert(0, _route(view.connectors))
    grid = Table.grid(padding=(0, 1), pad_edge=False)
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(style="dim")
    for row, _ in kept:
        note = Text(row.note, no_wrap=" " not in row.note, overflow="ellipsis")  # a cursor is cut, numbers are not
        grid.add_row(row.label, Text(row.number, style=row.style), note)
    return Group(*head, grid)


def _height(text: str, width: int) -> int:
    """The lines that words take."""
    return len(wrap(text, max(width, NARROWEST)))


def _that_fit(rows: Sequence[_Row], width: int, height: int) -> list[tuple[_Row, int]]:
    """The rows that matter most, in their order, each with the lines that it takes: a note breaks if it must."""
    beside = width - max(cell_len(row.label) for row in rows) - max(cell_len(row.number) for row in rows)
    kept: list[tuple[int, _Row, int]] = []
    for at, row in sorted(enumerate(rows), key=lambda each: each[1].rank):
        high = len(wrap(row.note, max(beside, 1))) if " " in row.note else 1
        if high <= height or not kept:
            kept.append((at, row, high))
            height -= high
    return [(row, high) for _, row, high in sorted(kept, key=lambda each: each[0])]


def _route(connectors: Sequence[Connector]) -> Text:
    source, sink = connectors
    route = f"{source.name} {source.identity} → {sink.name} {urlsplit(sink.host).netloc}"
    return Text(printable(route), style="dim", no_wrap=True, overflow="ellipsis")


def _rows(view: Snapshot) -> Iterator[_Row]:
    counters, progress = view.counters, view.progress
    yield _Row(
        "Profiles read", f"{counters.profiles_read:,}", f"{per_unit(progress.profiles_per_second)} per second", 0
    )
    sent = f"{counters.confirmed + counters.sent:,}"
    if view.is_dry_run:
        yield _Row("Would be sent", sent, "a dry run", rank=1)
    else:
        yield _Row("Customers sent", sent, rank=1)
        yield _Row("  confirmed", f"{counters.confirmed:,}", rank=6, style="green")
    yield _Row("Without id", f"{counters.without_identifier:,}", rank=7)
    yield _Row("Rejected", f"{counters.rejected:,}", rank=2, style="red" if counters.rejected else "")
    for connector in view.connectors:
        yield from _service(view, connector)
    if counters.resume_offset is not None:
        # A cursor can be long; the log and the summary have all of it.
        yield _Row("Offset so far", *_offset(printable(counters.resume_offset)), rank=5)


def _offset(offset: str) -> tuple[str, str]:
    """A number to stand with the others, or a cursor where there is room."""
    return (f"{offset}", "") if offset.isdecimal() else ("", offset)


def _service(view: Snapshot, connector: Connector) -> Iterator[_Row]:
    """The calls to a service: how many of those that its limit allows, and how many are left."""
    calls = view.counters.services[connector.name]
    yield _Row(
        connector.name, f"{calls.calls:,}", rate_words(view.progress.calls_per_second[connector.name], connector), 3
    )
    if calls.retries:
        yield _Row("  retries", f"{calls.retries:,}", f"{calls.rate_limited:,} x 429", 8)
    for (name, method), left in sorted(view.activity.calls_left.items()):
        if name == connector.name:
            of = "left" if left.limit is None else f"left of {left.limit:,}"
            yield _Row(f"  {COUNTED_APART.get(method, method)}", f"{left.remaining:,}", of, 4)


LIVE_SECONDS = 0.25


class Display:
    """Shows one import on `console`, a terminal, while it is `running`.

    Other lines that are printed on the console meanwhile stand above it.
    """

    def __init__(
        self,
        connectors: Sequence[Connector],
        counters: Counters,
        activity: Activity,
        meter: ProgressMeter,
        console: Console,
        *,
        is_dry_run: bool = False,
    ) -> None:
        self._connectors = connectors
        self._counters = counters
        self._activity = activity
        self._meter = meter
        self._console = console
        self._is_dry_run = is_dry_run
        self._clock = asyncio.get_running_loop().time
        self._started = self._clock()
        self._width = console.width
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
        view = Snapshot(
            self._connectors,
            self._counters,
            self._activity,
            self._meter.look(),
            self._clock() - self._started,
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
