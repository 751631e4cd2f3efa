"""One import at a terminal: signals, the resume question, the summary, the exit code."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

from msgspec import structs
from rich.console import Console
from rich.table import Table
from rich.text import Text

from segsync.commands.next_steps import (
    EXIT_DONE,
    EXIT_REJECTED,
    conclusion,
    could_go_on,
    dry_run_notes,
    exit_code,
    next_steps,
)
from segsync.commands.prompt import answer, choose, resume_question
from segsync.commands.summary import summary
from segsync.connectors.factory import describe
from segsync.connectors.file import DryRunSink, output_at
from segsync.errors import OutputError
from segsync.formatting import printable
from segsync.ledger import runs as accounts
from segsync.ledger.database import Ledger
from segsync.models import FIRST_OFFSET, Plan
from segsync.monitor.observers import Streams, channels, observing
from segsync.options import ImportOptions
from segsync.pipeline.plan import last_run, plan_new, plan_resume
from segsync.pipeline.run import open_ledger, read_report, run_plan
from segsync.report.counters import Counters, measured
from segsync.report.import_report import EndState, ImportReport
from segsync.report.profile_lists import REJECTED
from segsync.report.writer import leave
from segsync.runtime import _signals_to, run_event_loop, standard_output


def import_at_terminal(options: ImportOptions) -> tuple[ImportReport | None, int]:
    """Run an import, show how it ended, and give its report and exit code.

    There is no report where there was nothing to do or the user chose to do nothing. After an error the user is
    asked once whether to go on from where it happened, where there is a user. Raises `LedgerError` and
    `OutputError` where the ledger cannot be used, `SettingsError` where the log or the metrics' port cannot.
    """
    with channels(options) as told, open_ledger(options.settings, options.ledger) as ledger:
        said = told.console
        plan = choose(options, ledger, said)
        if isinstance(plan, int):
            if plan == EXIT_DONE and options.outputs.are_wanted:
                past = run_event_loop(_of_the_past(options, ledger))
                leave(options, past, plan, said, steps=next_steps(options, past))
            return None, plan
        if options.profiles:
            ledger.write(partial(accounts.expect, run=plan.runs[-1], profiles=options.profiles))
        counters = Counters(plan.offset, plan.before)
        report, signal_number = run_event_loop(_watched(options, ledger, plan, counters, told))
        if report.state == "stopped" and options.may_ask and could_go_on(options, report):
            said.print(Text(printable(f"Error: {report.error}"), style="bold red"), soft_wrap=True)
            if answer(resume_question(report.resume_offset) + 'Type "yes" or "no": ') == "yes":
                later = plan_resume(ledger) or plan
                counters.resume(later.offset, later.before)
                report, signal_number = run_event_loop(_watched(options, ledger, later, counters, told))
    if report.outcomes.profiles or report.state == "done":
        _show(summary(report), options, said)
    steps = next_steps(options, report)
    for line in conclusion(report, steps):
        said.print(line, soft_wrap=True)
    code = exit_code(report, signal_number)
    if code == EXIT_DONE and not plan.begins_anew and _has_content(options.directory / REJECTED):
        said.print(f"{REJECTED} names profiles that an earlier run rejected")
        code = EXIT_REJECTED
    leave(options, report, code, said, steps=steps)
    return report, code


def dry_run_at_terminal(options: ImportOptions) -> tuple[ImportReport, int]:
    """The same without sending: what would be sent goes into `options.output`, where there is one.

    It asks nothing, and its ledger is a temporary one. Raises `SettingsError` where the file exists or cannot be made,
    and in the end `OutputError` where it cannot be written.
    """
    with (
        channels(options) as told,
        open_ledger(options.settings, None) as ledger,
        output_at(options.output) as output,
    ):
        plan = plan_new(ledger, options.offset or FIRST_OFFSET)
        counters = Counters(plan.offset, plan.before)
        report, signal_number = run_event_loop(_watched(options, ledger, plan, counters, told, DryRunSink(output)))
    if report.outcomes.profiles or report.state == "done":
        _show(summary(report), options, told.console)
    steps = next_steps(options, report)
    for line in conclusion(report, steps, dry_run_notes(options.output, output)):
        told.console.print(line, soft_wrap=True)
    code = exit_code(report, signal_number)
    leave(options, report, code, told.console, steps=steps)
    return report, code


async def _of_the_past(options: ImportOptions, ledger: Ledger) -> ImportReport:
    """What the last run came to, as the ledger has it: this process has no share in it."""
    run = last_run(ledger)
    report = await read_report(
        Counters(run.offset, run.outcomes) if run else Counters(FIRST_OFFSET),
        ledger,
        (run.id,) if run else (),
        state="interrupted" if run and run.is_unfinished else "done",
        error=None,
        # Customers that are neither confirmed nor waited for were sent with --no-confirm.
        is_confirmed=not run or not run.outcomes.sent or run.open_upserts > 0,
        most_ids=options.outputs.report_ids,
    )
    return structs.replace(report, began_at=run and run.began_at, ended_at=run and run.ended_at)


async def _watched(
    options: ImportOptions,
    ledger: Ledger,
    plan: Plan,
    counters: Counters,
    told: Streams,
    dry_run: DryRunSink | None = None,
) -> tuple[ImportReport, int]:
    """The report of an import, and the number of the signal that ended it: 0 for none."""
    stop = asyncio.Event()
    received: list[int] = []
    state: EndState
    connectors = describe(options.settings)
    with observing(options, plan, counters, connectors, stop, told) as (log, on_event):
        running = asyncio.ensure_future(
            run_plan(
                options.settings,
                plan,
                counters,
                ledger=ledger,
                limit=plan.left_of(options.limit),
                confirm=options.confirm,
                on_event=on_event,
                stop=stop,
                directory=None if dry_run else options.directory,
                dry_run=dry_run,
            )
        )

        def on_signal(number: int) -> None:
            if received:
                running.cancel()
            else:
                stop.set()
            received.append(number)

        with _signals_to(on_signal):
            with measured(counters):
                try:
                    state, error = await running
                except asyncio.CancelledError:
                    if not received:
                        raise
                    state, error = "interrupted", None
            report = await read_report(
                counters,
                ledger,
                plan.runs,
                state=state,
                error=error,
                is_confirmed=options.confirm,
                is_dry_run=dry_run is not None,
                most_ids=options.outputs.report_ids,
            )
        log.ended(report)
    return report, received[0] if received else 0


def _show(table: Table, options: ImportOptions, said: Console) -> None:
    """The summary, where standard output is for it."""
    if options.outputs.use_standard_output:
        said.print(table)
    else:
        try:
            with standard_output() as console:
                console.print(table)
        except OutputError as error:  # the next steps follow
            said.print(Text(f"Error: {error}", style="bold red"), soft_wrap=True)


def _has_content(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0
