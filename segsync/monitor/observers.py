"""What shows an import to its user: the log, the live display and the metrics, as the command line asks for them."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from segsync.events import OnEvent, both
from segsync.models import Connector, Cost, Plan
from segsync.monitor.display import Display
from segsync.monitor.log import Log
from segsync.monitor.log_handlers import ConsoleHandler, JsonHandler, LogFile, console_for, logging_to
from segsync.options import ImportOptions
from segsync.report.counters import Counters
from segsync.runtime import QuietConsole

if TYPE_CHECKING:
    from segsync.monitor.metrics import Metrics

SHOWN_OTHERWISE = "summary"
"""At a terminal the summary's table says the same."""

ALL_IS_WELL = frozenset({"run_started", "page_replayed", "reading_ended"})
"""Events that `--quiet` hides at a terminal, beside the progress: they are no problems."""


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
    console: Console = QuietConsole(stderr=True)
    is_live = options.mode == "live" and not console.is_dumb_terminal
    hidden = {"progress"} if is_live or options.mode == "quiet" else set()
    handlers: list[logging.Handler] = []
    if options.stderr_is_json:
        handlers.append(json := JsonHandler(sys.stderr))
        console = console_for(json)
    else:
        handlers.append(ConsoleHandler(console))
        hidden |= {SHOWN_OTHERWISE, *ALL_IS_WELL} if options.mode == "quiet" else {SHOWN_OTHERWISE}
    handlers[0].addFilter(lambda record: getattr(record, "event", None) not in hidden)
    if options.log_file:
        handlers.append(
            LogFile(options.log_file, options.log_format, lambda text: console.print(Text(text), soft_wrap=True))
        )
    with ExitStack() as stack:
        stack.enter_context(logging_to(handlers, logging.DEBUG if options.verbose else logging.INFO))
        metrics = None
        if options.metrics_port is not None:
            from segsync.monitor.metrics import serving  # noqa: PLC0415 - an extra, for those who want it

            metrics = stack.enter_context(serving(options.metrics_host, options.metrics_port))
        yield Streams(console, is_live, metrics)


@contextmanager
def observing(
    options: ImportOptions,
    plan: Plan,
    counters: Counters,
    connectors: Sequence[Connector],
    stop: asyncio.Event,
    streams: Streams,
    cost: Cost | None = None,
) -> Iterator[tuple[Log, OnEvent]]:
    """Show one import for as long as this is open; gives its log, and what takes its events for all that show it.

    `connectors` are the source and the sink. `counters` has counted an event before; `stop` is set when the import is
    asked to end. `cost` is what is ahead, where that is known.
    """
    log = Log(
        plan,
        counters,
        connectors,
        stop=stop,
        batch_size=options.settings.batch_size,
        ledger=None if options.dry_run else options.ledger,
        profiles=options.profiles,
        limit=options.limit,
        identifier=options.settings.identifier_saved_as_source_id,
        cost=cost,
        confirms=options.confirm,
        is_dry_run=options.dry_run,
        is_sandbox=options.is_sandbox,
        has_lists=not options.dry_run,
        lists=options.lists_directory,
    )
    metrics = streams.metrics
    with log.running(), ExitStack() as stack:
        if streams.is_live:
            stack.enter_context(Display(log, streams.console).running())
        if metrics:
            metrics.show(connectors, counters)
        yield log, both(log.on_event, metrics.on_event) if metrics else log.on_event
