"""What the terminal shows while an import runs and when it ends, from its events and numbers alone."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from types import TracebackType
from typing import Literal, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from segsync.files import REJECTED, WARNINGS
from segsync.models import (
    CallRetried,
    ConcurrencyChanged,
    Event,
    MetadataUnchecked,
    ProfileRejected,
    ReadingEnded,
    ServicePaused,
    TraitLeftOut,
)
from segsync.printable import printable
from segsync.settings import Settings
from segsync.summary import duration
from segsync.tally import Tally

Mode = Literal["live", "lines", "quiet"]
"""A display that is drawn anew in place, a log line every few seconds, or nothing but problems."""

LIVE_SECONDS = 0.25
LINE_SECONDS = 5.0
RATE_WINDOW_SECONDS = 10.0
REJECTIONS_SHOWN = 10


class Progress:
    """Shows one import on `console` (standard error), in one of the modes; `verbose` tells every single event.

    It is a context manager around the import, and its `on_event` wants the import's events.
    """

    def __init__(
        self,
        settings: Settings,
        tally: Tally,
        console: Console,
        mode: Mode,
        *,
        verbose: bool = False,
        is_dry_run: bool = False,
    ) -> None:
        self.tally = tally
        self._settings = settings
        self._console = console
        self._mode: Mode = mode
        self._verbose = verbose
        self._is_dry_run = is_dry_run
        self._state = "reading profiles"
        self._trouble = ""
        self._trouble_until = 0.0
        self._told: dict[str, float] = {}
        self._clock: Callable[[], float] = asyncio.get_running_loop().time
        self._started = self._clock()
        self._history: deque[tuple[float, int, int, int]] = deque()
        self._live = Live(console=console, auto_refresh=False, transient=True) if mode == "live" else None
        self._ticker: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        if self._mode != "quiet":
            self._ticker = asyncio.get_running_loop().create_task(self._tick())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._ticker:
            self._ticker.cancel()
        if self._live:
            self._live.stop()

    def say(self, message: str) -> None:
        """A line of its own, with the time."""
        self._console.print(Text(f"{datetime.now():%H:%M:%S} {printable(message)}"), soft_wrap=True)

    def is_stopping(self) -> None:
        """The import was asked to end."""
        self._state = "finishing what is under way"
        ending = "finished" if self._is_dry_run else "finished and sent"
        self.say(f"Stopping: what is under way is {ending}. Press Ctrl-C again to stop at once.")

    def on_event(self, event: Event) -> None:
        """Tell what is worth a line of its own."""
        match event:
            case CallRetried(service, reason, attempt, wait_seconds, elapsed_seconds):
                self._is_in_trouble(
                    f"{service} is not answering well, trying again for {elapsed_seconds:.0f} s so far", wait_seconds
                )
                self._say_now_and_then(
                    service,
                    f"{reason}; attempt {attempt + 1} in {wait_seconds:.1f} s, {elapsed_seconds:.0f} s so far",
                )
            case ServicePaused(service, seconds):
                until = datetime.now() + timedelta(seconds=seconds)
                self._is_in_trouble(f"waiting for {service} until {until:%H:%M:%S}", seconds)
                self._say_now_and_then(f"{service} pause", f"{service} asks to wait until {until:%H:%M:%S}")
            case ConcurrencyChanged(profiles) if self._verbose:
                self.say(f"Reading {profiles} profiles at a time")
            case ProfileRejected(rejection):
                self._say_first(
                    "rejected",
                    REJECTIONS_SHOWN,
                    f"Rejected: {rejection.segment_id} ({rejection.stage}): {rejection.reason}",
                    REJECTED,
                )
            case ReadingEnded(open_actions) if open_actions:
                self._state = "hearing from Voucherify what became of the customers"
                self.say(f"All is sent. Waiting for the outcome of {open_actions:,} bulk upserts")
            case MetadataUnchecked(reason):
                self.say(f"Warning: {reason}, so metadata goes as it is: Voucherify may refuse it")
            case TraitLeftOut(segment_id, trait, problem):
                sent = "sent as null" if trait == "birthdate" else "left out"
                self._say_first(trait, 1, f"Warning: {segment_id} {trait} {problem}: {sent}", WARNINGS)

    def _is_in_trouble(self, trouble: str, seconds: float) -> None:
        """Show this as the state for that long, and a moment more: then it has passed, or it is told again."""
        self._trouble = trouble
        self._trouble_until = self._clock() + seconds + LIVE_SECONDS

    def _say_now_and_then(self, topic: str, message: str) -> None:
        """At most one line a topic in `LINE_SECONDS`: an outage is told, not recited."""
        now = self._clock()
        if self._verbose or now - self._told.get(topic, -LINE_SECONDS) >= LINE_SECONDS:
            self._told[topic] = now
            self.say(message)

    def _say_first(self, topic: str, most: int, message: str, file: str) -> None:
        """The first few of a kind; the others are in the file."""
        count = self._told[topic] = self._told.get(topic, 0) + 1
        if self._verbose or count <= most:
            self.say(message)
        elif file not in self._told:
            self._told[file] = 1
            self.say("--verbose tells of all of these" if self._is_dry_run else f"More of these are in {file}")

    # --- what is drawn ------------------------------------------------------------------------------------

    async def _tick(self) -> None:
        """Draw until the import ends."""
        while True:
            self._remember()
            if self._live:
                self._live.update(self._picture(), refresh=True)
                await asyncio.sleep(LIVE_SECONDS)
            else:
                await asyncio.sleep(LINE_SECONDS)
                self._remember()
                self.say(self._line())

    def _remember(self) -> None:
        now, tally = self._clock(), self.tally
        services = tally.services
        self._history.append(
            (now, tally.read + tally.without_identifier, services["Segment"].calls, services["Voucherify"].calls)
        )
        while now - self._history[0][0] > RATE_WINDOW_SECONDS:
            self._history.popleft()

    def _rates(self) -> tuple[float, float, float]:
        """Profiles, Segment calls and Voucherify calls a second, over the last ten seconds."""
        (start, *before), (end, *after) = self._history[0], self._history[-1]
        seconds = end - start or math.inf
        profiles, segment, voucherify = (new - old for old, new in zip(before, after, strict=True))
        return profiles / seconds, segment / seconds, voucherify / seconds

    def _line(self) -> str:
        profiles, segment, voucherify = self._rates()
        tally, services = self.tally, self.tally.services
        offset = "" if tally.resume_offset is None else f"; offset {tally.resume_offset}"
        sent = f"{tally.confirmed + tally.sent} customers sent, {tally.confirmed} of them confirmed"
        if self._is_dry_run:
            sent = f"{tally.sent} customers would be sent"
        return (
            f"{tally.read + tally.without_identifier} profiles read ({profiles:.0f}/s), {sent}, "
            f"{tally.without_identifier} without identifier, {tally.rejected} rejected; "
            f"Segment {segment:.1f} calls/s of {self._settings.segment_requests_per_second:g}, "
            f"Voucherify {voucherify * 60:.0f}/min of {self._settings.voucherify_requests_per_minute:g}; "
            f"{sum(service.retries for service in services.values())} retries, "
            f"{sum(service.rate_limited for service in services.values())} x 429{offset}"
        )

    def _picture(self) -> RenderableType:
        profiles, segment, voucherify = self._rates()
        tally = self.tally
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="bold")
        grid.add_column(justify="right")
        grid.add_column(style="dim")
        grid.add_row("Profiles read", f"{tally.read + tally.without_identifier:,}", f"{profiles:.1f} a second")
        if self._is_dry_run:
            grid.add_row("Would be sent", f"{tally.sent:,}", "a dry run: nothing is sent")
        else:
            confirmed = f"[green]{tally.confirmed:,} confirmed[/]"
            grid.add_row("Customers sent", f"{tally.confirmed + tally.sent:,}", confirmed)
        grid.add_row("Without identifier", f"{tally.without_identifier:,}")
        grid.add_row("Rejected", f"[red]{tally.rejected:,}[/]" if tally.rejected else "0")
        grid.add_row(*self._budget("Segment", f"{segment:.1f}", self._settings.segment_requests_per_second, "second"))
        per_minute = self._settings.voucherify_requests_per_minute
        grid.add_row(*self._budget("Voucherify", f"{voucherify * 60:.0f}", per_minute, "minute"))
        elapsed = duration(self._clock() - self._started)
        settings = self._settings
        state = self._trouble if self._clock() < self._trouble_until else self._state
        route = Text(f"Segment space {settings.segment_space_id} → {settings.voucherify_url}", style="dim")
        if tally.resume_offset is not None:
            grid.add_row("Offset so far", Text(printable(tally.resume_offset)))
        return Group(route, Text.assemble((f"{elapsed}  ", "bold cyan"), (state, "cyan")), grid)

    def _budget(self, service: str, rate: str, allowed: float, unit: str) -> tuple[str, str, str]:
        calls = self.tally.services[service]
        return (
            f"{service} calls",
            f"{calls.calls:,}",
            f"{rate} of {allowed:g} a {unit}, {calls.retries} retries, {calls.rate_limited} x 429",
        )
