"""The live display of an import at a terminal: drawn anew in place, from its numbers alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from math import ceil
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

from msgspec import Struct
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.control import Control
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.segment import ControlType, Segment, SegmentLines
from rich.table import Table
from rich.text import Text

from segsync.formatting import duration, per_unit, printable, time_left
from segsync.monitor.activity import Activity
from segsync.monitor.progress import Progress, ProgressMeter, more_than
from segsync.report.counters import Counters
from segsync.settings import Settings

WIDE: Final = 72
"""From this width on there is room for whole words."""

NARROWEST: Final = 20

COUNTED_APART: Final = {"POST": "uploads", "GET": "reads"}


class Snapshot(Struct, frozen=True):
    """What there is to draw; `elapsed` in seconds, `width` and `height` those of the window."""

    settings: Settings
    counters: Counters
    activity: Activity
    speed: Progress
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
    is_wide = view.width >= WIDE
    state = Text.assemble(
        (f"{duration(view.elapsed)}  ", "bold cyan"), (view.activity.words(view.speed.held_up), "cyan")
    )
    head: list[RenderableType] = [state]
    taken = 1 + ceil(1.3 * cell_len(state.plain) / max(view.width, NARROWEST))  # one for the cursor; words break early
    if view.speed.total is not None:
        head += _bar(view, is_wide=is_wide)
    elif view.speed.more_than is not None:
        head.append(Text(more_than(view.speed.more_than), style="bold"))
    taken += len(head) - 1
    rows = list(_rows(view, is_wide=is_wide))
    padding = 2 if is_wide else 1
    kept = _that_fit(rows, view.width - 2 * padding, view.height - taken)
    if sum(high for _, high in kept) < view.height - taken:
        head.insert(0, _route(view.settings, is_wide=is_wide))
    grid = Table.grid(padding=(0, padding), pad_edge=False)
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(style="dim")
    for row, _ in kept:
        note = Text(row.note, no_wrap=" " not in row.note, overflow="ellipsis")  # a cursor is cut, numbers are not
        grid.add_row(row.label, Text(row.number, style=row.style), note)
    return Group(*head, grid)


def _that_fit(rows: Sequence[_Row], width: int, height: int) -> list[tuple[_Row, int]]:
    """The rows that matter most, in their order, each with the lines that it takes: a note breaks if it must."""
    beside = width - max(cell_len(row.label) for row in rows) - max(cell_len(row.number) for row in rows)
    kept: list[tuple[int, _Row, int]] = []
    for at, row in sorted(enumerate(rows), key=lambda each: each[1].rank):
        high = ceil(cell_len(row.note) / max(beside, 1)) if " " in row.note else 1
        if high <= height or not kept:
            kept.append((at, row, high))
            height -= high
    return [(row, high) for _, row, high in sorted(kept, key=lambda each: each[0])]


def _route(settings: Settings, *, is_wide: bool) -> Text:
    where = settings.voucherify_url if is_wide else urlsplit(settings.voucherify_url).netloc
    whence = f"Segment space {settings.segment_space_id}" if is_wide else settings.segment_space_id
    return Text(f"{printable(whence)} → {printable(where)}", style="dim", no_wrap=True, overflow="ellipsis")


def _bar(view: Snapshot, *, is_wide: bool) -> list[RenderableType]:
    """How far it is: a bar and a share, and where there is no room beside them, the time left below."""
    speed = view.speed
    share = speed.share or 0.0
    left = "" if speed.seconds_left is None else f"{time_left(speed.seconds_left)} left"
    words = f"{int(100 * share)}% of {speed.total:,}{' confirmed' if speed.waits_for_results else ''}"
    if is_wide and left:
        words = f"{words}, {left}"
    width = max(min(view.width, 100) - cell_len(words) - 1, 1)
    bar = Table.grid(padding=(0, 1), pad_edge=False)
    bar.add_column(width=width, no_wrap=True)
    bar.add_column(no_wrap=True)
    bar.add_row(ProgressBar(total=1.0, completed=share, width=width), Text(words, style="bold"))
    return [bar] if is_wide or not left else [bar, Text(left, style="bold")]


def _rows(view: Snapshot, *, is_wide: bool) -> Iterator[_Row]:
    counters, speed, settings = view.counters, view.speed, view.settings
    read = counters.profiles_read
    pace = f"{per_unit(speed.profiles)} a second" if is_wide else f"{per_unit(speed.profiles)}/s"
    yield _Row("Profiles read" if is_wide else "Read", f"{read:,}", pace, 0)
    sent = counters.confirmed + counters.sent
    if view.is_dry_run:
        yield _Row("Would be sent" if is_wide else "Would send", f"{sent:,}", "a dry run", rank=1)
    else:
        yield _Row("Customers sent" if is_wide else "Sent", f"{sent:,}", rank=1)
        yield _Row("  confirmed", f"{counters.confirmed:,}", rank=6, style="green")
    yield _Row("Without identifier" if is_wide else "Without id", f"{counters.without_identifier:,}", rank=7)
    yield _Row("Rejected", f"{counters.rejected:,}", rank=2, style="red" if counters.rejected else "")
    yield from _service(view, "Segment", speed.segment, settings.segment_requests_per_second, is_wide=is_wide)
    per_minute = settings.voucherify_requests_per_minute
    yield from _service(view, "Voucherify", speed.voucherify * 60, per_minute, is_wide=is_wide)
    if counters.resume_offset is not None:
        # A cursor can be long; it is told whole in the log and in the end.
        yield _Row("Offset so far" if is_wide else "Offset", *_offset(printable(counters.resume_offset)), rank=5)


def _offset(offset: str) -> tuple[str, str]:
    """A number to stand with the others, or a cursor where there is room."""
    return (f"{offset}", "") if offset.isdecimal() else ("", offset)


def _service(view: Snapshot, service: str, rate: float, allowed: float, *, is_wide: bool) -> Iterator[_Row]:
    """What is spent of a budget."""
    calls = view.counters.services[service]
    unit = "second" if service == "Segment" else "minute"
    trouble = f"{calls.retries:,} retries, {calls.rate_limited:,} x 429"
    if is_wide:
        yield _Row(f"{service} calls", f"{calls.calls:,}", f"{per_unit(rate)} of {allowed:,g} a {unit}, {trouble}", 3)
    else:
        short = {"second": "s", "minute": "min"}[unit]
        yield _Row(service, f"{calls.calls:,}", f"{per_unit(rate)} of {allowed:g}/{short}".replace(",", ""), 3)
        if calls.retries:
            yield _Row("  retries", f"{calls.retries:,}", f"{calls.rate_limited:,} x 429", 8)
    for (name, method), left in sorted(view.activity.calls_left.items()):
        if name == service:
            of = "left" if left.limit is None else f"left of {left.limit:,}"
            yield _Row(f"  {COUNTED_APART.get(method, method)}", f"{left.remaining:,}", of, 4)


LIVE_SECONDS = 0.25


class Display:
    """Shows one import on `console`, a terminal. It is a context manager around the import.

    Other lines that are printed on the console meanwhile stand above it.
    """

    def __init__(
        self,
        settings: Settings,
        counters: Counters,
        activity: Activity,
        meter: ProgressMeter,
        console: Console,
        *,
        is_dry_run: bool = False,
    ) -> None:
        self._settings = settings
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
        view = Snapshot(
            self._settings,
            self._counters,
            self._activity,
            self._meter.look(),
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
