"""What shows an import to its user: the log, the live display and the metrics, as the command line asks for them."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.text import Text

from segsync.events import Event
from segsync.models import Connector, Plan
from segsync.monitor.display import Display
from segsync.monitor.log import Log
from segsync.monitor.log_handlers import ConsoleHandler, JsonHandler, LogFile, console_for, logging_to
from segsync.options import ImportOptions
from segsync.report.counters import Counters
from segsync.report.import_report import ImportReport

if TYPE_CHECKING:
    from segsync.monitor.metrics import Metrics

SHOWN_OTHERWISE = frozenset({"run_started", "summary"})
"""At a terminal other words and the summary's table say the same."""


@dataclass(frozen=True, slots=True)
class Streams:
    """What this process shows its user: words on `console`, the live display there if it `is_live`, and `metrics`."""

    console: Console
    is_live: bool
    metrics: Metrics | None


@contextmanager
def channels(options: ImportOptions) -> Iterator[Streams]:
    """What was asked for, for as long as the process works; meanwhile the log goes to handlers of ours alone.

    Raises `SettingsError` where the log's file cannot be written, or the metrics cannot be served.
    """
    console = console_for()
    is_live = options.mode == "live" and not console.is_dumb_terminal
    shows_progress = not is_live and options.mode != "quiet"
    hidden = frozenset() if shows_progress else frozenset({"progress"})
    handlers: list[logging.Handler]
    if options.stderr_is_json:
        handlers = [json := JsonHandler(sys.stderr)]
        console = console_for(json)
    else:
        handlers = [ConsoleHandler(console)]
        hidden |= SHOWN_OTHERWISE
    handlers[0].addFilter(lambda record: getattr(record, "event", None) not in hidden)

    def show(problem: str) -> None:
        console.print(Text(problem), soft_wrap=True)

    if options.log_file:
        handlers.append(LogFile(options.log_file, options.log_format, on_failure=show))
    with ExitStack() as stack:
        stack.enter_context(logging_to(handlers, logging.DEBUG if options.verbose else logging.INFO))
        metrics = None
        if options.metrics_port is not None:
            from segsync.monitor.metrics import serving  # noqa: PLC0415 - an extra, for those who want it

            metrics = stack.enter_context(serving(options.metrics_host, options.metrics_port))
        yield Streams(console, is_live, metrics)


class Observers:
    """Takes the events of one import while it is `running`, and shows them everywhere.

    `connectors` are the source and the sink. `counters` has counted an event before `on_event` gets it; `stop` is set
    when the import is asked to end.
    """

    def __init__(
        self,
        options: ImportOptions,
        plan: Plan,
        counters: Counters,
        connectors: Sequence[Connector],
        stop: asyncio.Event,
        to: Streams,
    ) -> None:
        self._log = Log(
            plan,
            counters,
            connectors,
            stop=stop,
            batch_size=options.settings.batch_size,
            ledger=None if options.dry_run else options.ledger,
            profiles=options.profiles,
            limit=options.limit,
            confirms=options.confirm,
            is_dry_run=options.dry_run,
            has_lists=not options.dry_run,
        )
        self._display = None
        if to.is_live:
            log = self._log
            self._display = Display(
                connectors, counters, log.activity, log.meter, to.console, is_dry_run=options.dry_run
            )
        self._metrics = to.metrics
        if to.metrics:
            to.metrics.show(connectors, counters)

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Show the import for as long as this is open."""
        with ExitStack() as stack:
            stack.enter_context(self._log.running())
            if self._display:
                stack.enter_context(self._display.running())
            yield self

    def on_event(self, event: Event) -> None:
        """Take an event of the import."""
        self._log.on_event(event)
        if self._metrics:
            self._metrics.on_event(event)

    def ended(self, report: ImportReport) -> None:
        """Log the summary of the import, which has ended."""
        self._log.ended(report)
