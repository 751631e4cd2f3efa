"""One import at a terminal: signals, the resume question, what is said in the end, the exit code."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.table import Table
from rich.text import Text

from segsync.errors import AccessError
from segsync.files import REJECTED
from segsync.models import FIRST_OFFSET
from segsync.progress import Mode, Progress, summary
from segsync.report import ImportReport, make_report
from segsync.runner import run_counted
from segsync.settings import Settings
from segsync.tally import Tally

EXIT_DONE, EXIT_STOPPED, EXIT_USAGE, EXIT_REJECTED = 0, 1, 2, 3
EXIT_SIGNAL = 128
"""Plus the number of the signal: 130 for Ctrl-C, 143 for SIGTERM."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line asks for.

    `command` is how this program was called, `resume_flags` what to repeat in the command that resumes;
    the files that name profiles go into `directory`.
    """

    settings: Settings
    offset: str
    limit: int | None
    mode: Mode
    verbose: bool
    may_ask: bool
    command: Sequence[str]
    resume_flags: Sequence[str] = ()
    directory: Path = Path()


def import_at_terminal(request: Request) -> tuple[ImportReport, int]:
    """Run the import that was asked for, tell how it ended, and give its report and exit code.

    After an error the user is asked once whether to go on from where it happened, where there is a user.
    """
    said = Console(stderr=True)
    has_earlier_rejections = request.offset != FIRST_OFFSET and _has_content(request.directory / REJECTED)
    report, signal_number = _run(request, request.offset, request.limit, said)
    if report.outcome == "stopped" and request.may_ask and _could_go_on(request, report):
        said.print(Text(f"Error: {report.error}", style="bold red"), soft_wrap=True)
        if _answers_yes(report.resume_offset):
            later, signal_number = _run(request, str(report.resume_offset), _left(request, report), said)
            report = report.then(later)
    if report.fates.profiles or report.outcome == "done":
        _write_out(summary(report))
    for line in _conclusion(request, report):
        said.print(line, soft_wrap=True)
    code = _exit_code(report, signal_number)
    if code == EXIT_DONE and has_earlier_rejections:
        said.print(f"{REJECTED} names profiles that an earlier run rejected")
        code = EXIT_REJECTED
    return report, code


def _run(request: Request, offset: str, limit: int | None, console: Console) -> tuple[ImportReport, int]:
    return run_event_loop(_watched(request, offset, limit, console))


async def _watched(request: Request, offset: str, limit: int | None, console: Console) -> tuple[ImportReport, int]:
    """The report of an import, and the number of the signal that ended it: 0 for none."""
    loop, stop, tally = asyncio.get_running_loop(), asyncio.Event(), Tally(offset)
    received: list[int] = []
    started = loop.time()
    with Progress(request.settings, tally, console, request.mode, verbose=request.verbose) as progress:
        running = loop.create_task(
            run_counted(
                request.settings,
                tally,
                limit=limit,
                on_event=progress.on_event,
                stop=stop,
                directory=request.directory,
            )
        )

        def on_signal(number: int) -> None:
            if received:
                running.cancel()
            else:
                stop.set()
                progress.is_stopping()
            received.append(number)

        with _signals_to(on_signal):
            try:
                report = await running
            except asyncio.CancelledError:
                if not received:
                    raise
                report = make_report(tally, outcome="interrupted", error=None, seconds=loop.time() - started)
    return report, received[0] if received else 0


@contextmanager
def _signals_to(handler: Callable[[int], None]) -> Iterator[None]:
    """Ctrl-C and SIGTERM go to `handler`, and in the end where they went before: a question can be interrupted."""
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        try:
            loop.add_signal_handler(number, handler, number)
        except NotImplementedError:  # Windows' event loop
            signal.signal(number, lambda got, _frame: loop.call_soon_threadsafe(handler, got))
    try:
        yield
    finally:
        for number, previous in before.items():
            with suppress(NotImplementedError):
                loop.remove_signal_handler(number)
            signal.signal(number, previous)


def run_event_loop(main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run`, on uvloop where there is one."""
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    with suppress(ImportError):  # there is no uvloop on Windows
        from uvloop import new_event_loop as loop_factory  # noqa: PLC0415
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(main)


def _answers_yes(offset: str | None) -> bool:
    question = f'Do you wish to resume the process from the offset: {offset}? Type "yes" or "no": '
    sys.stderr.write(question)
    sys.stderr.flush()
    try:
        return sys.stdin.readline().strip().lower() == "yes"
    except KeyboardInterrupt:
        return False


def _write_out(table: Table) -> None:
    """To standard output. That may be closed or full: what comes after it still has to be said."""
    terminal, drawn = Console(), StringIO()
    Console(file=drawn, width=terminal.width, force_terminal=terminal.is_terminal).print(table)
    try:
        sys.stdout.write(drawn.getvalue())
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nor should Python try again at its exit
        Console(stderr=True).print(f"The summary could not be written: {error.strerror}")


def _has_content(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def _could_go_on(request: Request, report: ImportReport) -> bool:
    """Whether a resume in this process makes sense: the settings that it began with cannot change."""
    return _is_anything_left(request, report) and not isinstance(report.error, AccessError)


def _is_anything_left(request: Request, report: ImportReport) -> bool:
    return report.resume_offset is not None and _left(request, report) != 0


def _left(request: Request, report: ImportReport) -> int | None:
    """What is left of --limit behind the resume point."""
    return None if request.limit is None else request.limit - report.settled.profiles


def _conclusion(request: Request, report: ImportReport) -> list[Text]:
    """What to know and what to do next."""
    fates, lines = report.fates, []
    if report.error:
        lines.append(Text(f"Error: {report.error}", style="bold red"))
    if isinstance(report.error, AccessError) and not fates.profiles:
        lines.append(Text("Nothing has been imported. Set that right, then run the same again."))
    elif report.outcome != "done" and _is_anything_left(request, report):
        lines.append(Text(f"The current offset is: {report.resume_offset}. To resume from it, run:"))
        lines.append(Text(f"  {_resume_command(request, report)}", style="bold"))
    elif report.resume_offset is not None:
        lines.append(
            Text(f"--limit {request.limit} reached. The next profiles begin at --offset {report.resume_offset}")
        )
    elif fates.profiles == 0:
        where = "" if report.offset == "0" else f" from offset {report.offset} on"
        lines.append(
            Text(f"Segment lists no profiles in space {request.settings.segment_space_id}{where}: nothing to import.")
        )
    if report.outcome == "done" and fates.profiles and fates.without_identifier == fates.profiles:
        identifier = request.settings.identifier_saved_as_source_id
        lines.append(
            Text(
                f"No profile has an external id of type '{identifier}', so nothing was sent. "
                "Does IDENTIFIER_SAVED_AS_SOURCE_ID name the right one? Segment's Profile explorer shows "
                "which external ids your profiles carry.",
                style="yellow",
            )
        )
    return lines


def _resume_command(request: Request, report: ImportReport) -> str:
    left = _left(request, report)
    flags = [*request.resume_flags, *(() if left is None else ("--limit", str(left)))]
    return shlex.join([*request.command, "--offset", str(report.resume_offset), *flags])


def _exit_code(report: ImportReport, signal_number: int) -> int:
    if report.outcome == "done":
        return EXIT_REJECTED if report.fates.rejected else EXIT_DONE
    if report.outcome == "interrupted":
        return EXIT_SIGNAL + signal_number
    return EXIT_USAGE if isinstance(report.error, AccessError) else EXIT_STOPPED
