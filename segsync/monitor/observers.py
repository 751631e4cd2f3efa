"""Who watches an import: the log, the live display and the metrics, put together as the command line asks for it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.text import Text

from segsync.events import Event
from segsync.models import Plan
from segsync.monitor.activity import Activity
from segsync.monitor.display import Display
from segsync.monitor.log import NEVER_TOLD, Log
from segsync.monitor.log_handlers import ConsoleWriter, FileWriter, JsonWriter, Writer, console_for
from segsync.monitor.progress import ProgressMeter
from segsync.options import ImportOptions
from segsync.report.counters import Counters
from segsync.report.import_report import ImportReport

if TYPE_CHECKING:
    from segsync.monitor.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Streams:
    """What this process tells its user with: `console` for words, `writers` for the log, `metrics` where asked for.

    The live display is on `console` where it `is_live`.
    """

    console: Console
    is_live: bool
    writers: Sequence[Writer]
    metrics: Metrics | None


@contextmanager
def channels(options: ImportOptions) -> Iterator[Streams]:
    """What was asked for, for as long as the process works.

    Raises `SettingsError` where the log's file cannot be written, or the metrics cannot be served.
    """
    console = console_for()
    is_live = options.mode == "live" and not console.is_dumb_terminal
    tells_progress = not is_live and options.mode != "quiet"
    writers: list[Writer] = [ConsoleWriter(console, tells_progress=tells_progress)]
    if options.stderr_is_json:
        writers = [JsonWriter(sys.stderr, tells_progress=tells_progress)]
        console = console_for(writers[0])

    def say(problem: str) -> None:
        console.print(Text(problem), soft_wrap=True)

    with ExitStack() as stack:
        if options.log_file:
            file = FileWriter(options.log_file, options.log_format, on_failure=say)
            stack.callback(file.close)
            writers.append(file)
        metrics = None
        if options.metrics_port is not None:
            from segsync.monitor.metrics import serving  # noqa: PLC0415 - an extra, for those who want it

            metrics = stack.enter_context(serving(options.metrics_host, options.metrics_port))
        yield Streams(console, is_live, writers, metrics)


class Observers:
    """Takes the events of one import and shows them everywhere. It is a context manager around the import.

    `counters` has counted an event before `on_event` gets it.
    """

    def __init__(self, options: ImportOptions, plan: Plan, counters: Counters, to: Streams) -> None:
        settings = options.settings
        self._activity = Activity()
        meter = ProgressMeter(
            counters, _total(options, plan), settings, sends=not options.dry_run, confirms=options.confirm
        )
        self._log = Log(
            settings,
            plan,
            counters,
            self._activity,
            meter,
            to.writers,
            verbose=options.verbose,
            is_dry_run=options.dry_run,
        )
        self._progress = (
            Display(settings, counters, self._activity, meter, to.console, is_dry_run=options.dry_run)
            if to.is_live
            else None
        )
        self._metrics = to.metrics
        if to.metrics:
            to.metrics.watch(settings, counters)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self._log)
            if self._progress:
                stack.enter_context(self._progress)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def on_event(self, event: Event) -> None:
        """Take an event of the import."""
        self._activity.on_event(event)
        if type(event) not in NEVER_TOLD:
            self._log.on_event(event)
        if self._metrics:
            self._metrics.on_event(event)

    def is_stopping(self) -> None:
        """The import was asked to end."""
        self._activity.is_stopping = True
        self._log.is_stopping()

    def ended(self, report: ImportReport) -> None:
        """The import has ended."""
        self._log.ended(report)


def _total(options: ImportOptions, plan: Plan) -> int | None:
    """How many profiles there will be in all of the import, as far as the user has said it, now or before."""
    said = [number for number in (options.profiles or plan.expected, options.limit) if number is not None]
    return min(said, default=None)
