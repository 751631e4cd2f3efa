"""One import at a terminal: signals, the resume question, the summary, the exit code."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext
from functools import partial
from sqlite3 import Connection

from msgspec import structs
from rich.console import Console
from rich.table import Table
from rich.text import Text

from segsync.commands import next_steps
from segsync.commands.ledger_steps import Left, of_left, read_left
from segsync.commands.next_steps import EXIT_DONE, EXIT_REJECTED, EXIT_STOPPED
from segsync.commands.output import error_line, print_outcomes
from segsync.commands.prompt import ask, choose, nothing_to_retry, resume_question
from segsync.commands.summary import summary
from segsync.commands.unknown_ids import unknown_ids_notes
from segsync.connectors.cost import cost_of_rest
from segsync.connectors.factory import describe
from segsync.connectors.file import DryRunSink, output_at
from segsync.errors import OutputError, SegsyncError
from segsync.formatting import printable
from segsync.ledger import runs
from segsync.ledger.database import Ledger, check_exists, reading
from segsync.ledger.rejections import UNKNOWN, to_retry
from segsync.models import FIRST_OFFSET, NextStep, Outcomes, Plan
from segsync.monitor.observers import Streams, channels, observing
from segsync.options import ImportOptions
from segsync.pipeline.chosen import ChosenIds
from segsync.pipeline.chosen import chosen as chosen_ids
from segsync.pipeline.plan import last_run, plan_ids, plan_new, plan_resume
from segsync.pipeline.run import open_ledger, read_report, run_plan, write_lists
from segsync.report.counters import Counters, measured
from segsync.report.destinations import check_destinations
from segsync.report.import_report import EndState, ImportReport
from segsync.report.list_writer import ProfileLists
from segsync.report.notify import notify
from segsync.report.writer import leave
from segsync.runtime import hearing_signals, ignoring_signals, run_event_loop, signals_to, standard_output


def import_at_terminal(options: ImportOptions) -> tuple[ImportReport | None, int]:
    """Run an import, show how it ended, and give its report and exit code.

    There is no report where nothing was done. After an error a user who may be asked is asked once whether to resume.
    Raises `LedgerError` and `OutputError` where the ledger cannot be used, `SettingsError` where a file, a folder or
    the metrics' port cannot: nothing has been read then.
    """
    check_destinations(options)
    if options.dry_run:
        return _dry_run(options)
    if options.retry_rejected:
        check_exists(options.ledger)  # a mistyped name has nothing to retry, and becomes no ledger
    with ExitStack() as the_end:
        return _import(options, the_end)


def _import(options: ImportOptions, the_end: ExitStack) -> tuple[ImportReport | None, int]:
    """`import_at_terminal`, but for a dry run; `the_end` holds off signals from the run on, until all is shown."""
    with (
        chosen_ids(options.ids) as chosen,
        channels(options) as streams,
        closing(ProfileLists(options.lists_directory, options.ledger, shows_values=options.show_values)) as lists,
        open_ledger(options.settings, options.ledger) as ledger,
    ):
        console = streams.console
        if ledger.backup:
            migrated = f"The ledger {options.ledger} was migrated to a newer format. The old one is {ledger.backup}."
            console.print(Text(printable(migrated)), soft_wrap=True)
        plan = choose(options, ledger, console, chosen)
        if isinstance(plan, int):
            return None, run_event_loop(_nothing_done(options, ledger, lists, plan, console))
        if options.profiles:
            ledger.write(partial(runs.expect, run=plan.runs[-1], profiles=options.profiles))
        if plan.kind != "retry":
            flags = next_steps.flags_to_keep(options.command, options.ledger)
            ledger.write(partial(runs.keep_flags, run=plan.runs[-1], flags=flags))
        counters = Counters(plan.offset, plan.before)
        wants_more = None
        watched = _watched(options, ledger, plan, counters, streams, lists=lists, chosen=chosen)
        the_end.enter_context(ignoring_signals())  # which a run takes itself: how it ended is always shown
        report, code = run_event_loop(watched)
        notified: ImportReport | None = None
        if report.error and report.state == "stopped" and next_steps.could_go_on(options, report):
            console.print(error_line(report.error), soft_wrap=True)
            notify(options, report, code, console, steps=next_steps.of_run(options, report))  # nobody may be there
            notified = report
            if wants_more := _wants_to_resume(report):
                later = plan_resume(ledger) or plan
                counters.resume(later.offset, later.before)
                report, code = run_event_loop(_watched(options, ledger, later, counters, streams, lists=lists))
        more = [next_steps.to_begin_anew(options)] if wants_more is False and not options.is_sandbox else []
        notes = unknown_ids_notes(chosen, report, options) if chosen else []
        left = _read_left(options, ledger)
    is_notified = report is notified
    return report, _finish(options, report, code, console, notes=notes, more=more, is_notified=is_notified, left=left)


def _wants_to_resume(report: ImportReport) -> bool | None:
    """The answer to the question after an error; None for Ctrl-C and the end of the input."""
    try:
        with hearing_signals():
            return ask(resume_question(report.resume_offset))
    except KeyboardInterrupt:
        return None


def _dry_run(options: ImportOptions) -> tuple[ImportReport | None, int]:
    """The same without sending: what would be sent goes into `options.output`, where there is one.

    It asks nothing, and its ledger is a temporary one; that of `options` is read where its rejected profiles are
    retried. Raises `SettingsError` where the file cannot be made, and at the end `OutputError` where it cannot be
    written.
    """
    with ExitStack() as the_end:
        return _import_without_sending(options, the_end)


def _import_without_sending(options: ImportOptions, the_end: ExitStack) -> tuple[ImportReport | None, int]:
    with (
        _chosen_for_dry_run(options) as (chosen, retried),
        channels(options) as streams,
        open_ledger(options.settings, None) as ledger,
    ):
        if chosen and not chosen.count:
            streams.console.print(Text(printable(nothing_to_retry(options))), soft_wrap=True)
            return None, EXIT_DONE
        with output_at(options.output) as output:
            plan = plan_ids(ledger, chosen) if chosen else plan_new(ledger, options.offset or FIRST_OFFSET)
            plan = structs.replace(plan, retried=retried)
            counters = Counters(plan.offset, plan.before)
            watched = _watched(options, ledger, plan, counters, streams, sink=DryRunSink(output), chosen=chosen)
            the_end.enter_context(ignoring_signals())
            report, code = run_event_loop(watched)
        notes = unknown_ids_notes(chosen, report, options) if chosen else []
    notes += next_steps.dry_run_notes(options.output, output)
    return report, _finish(options, report, code, streams.console, notes=notes)


@contextmanager
def _chosen_for_dry_run(options: ImportOptions) -> Iterator[tuple[ChosenIds | None, Outcomes]]:
    """The ids of `--ids`, or of the profiles that a retry would take, and what these are; None where all are listed."""
    if not options.retry_rejected:
        with chosen_ids(options.ids) as chosen:
            yield chosen, Outcomes()
        return
    source, _ = describe(options.settings)
    stages: Counter[str] = Counter()

    def ids(db: Connection) -> Iterator[str]:
        for letter in to_retry(db, source):
            stages[letter.stage] += 1
            yield letter.segment_id

    with reading(options.ledger) as db:
        rejected = ChosenIds(ids(db), f"the ledger {options.ledger}")
    with closing(rejected):
        yield rejected, Outcomes(rejected=stages.total() - stages[UNKNOWN], unknown=stages[UNKNOWN])


def _finish(
    options: ImportOptions,
    report: ImportReport,
    code: int,
    console: Console,
    *,
    notes: Sequence[str] = (),
    more: Sequence[NextStep] = (),
    is_notified: bool = False,
    left: Left | None = None,
) -> int:
    """Show how the import ended, and `more` steps that follow from that; write its files, and give the exit code.

    `left` is what its ledger has left, None where that is not known. The summary is posted where that was asked for,
    unless it `is_notified` already.
    """
    if report.outcomes.profiles or report.state == "done":
        table = summary(report, options.ledger, options.lists_directory, is_retry=options.retry_rejected)
        _show(table, options, console)
    notes = [*notes, *next_steps.notes_on_lists(options, report)]
    steps = next_steps.of_run(options, report, left)
    steps += [step for step in more if step.command not in {each.command for each in steps}]
    if options.has_notify_flag and any(step.command for step in steps):
        notes = [*notes, "--notify is left out of the commands below, since its URL is a secret: add it again."]
    for line in next_steps.conclusion(report, steps, notes):
        console.print(line, soft_wrap=True)
    leave(options, report, code, console, steps=steps)
    if not is_notified:
        notify(options, report, code, console, steps=steps)
    return code


async def _nothing_done(
    options: ImportOptions, ledger: Ledger, lists: ProfileLists, code: int, console: Console
) -> int:
    """Where there was nothing to do: write the lists, which a crash may have kept from that, and the files of the past.

    Gives the exit code. Nothing is written where the user has yet to decide.
    """
    if code != EXIT_DONE:
        return code
    past = await _of_the_past(options, ledger, await write_lists(lists, ledger))
    for problem in past.unwritten:
        console.print(error_line(OutputError(problem, code="list-unwritable")), soft_wrap=True)
    left = _read_left(options, ledger)
    # A retry that found nothing to do has none to name: what is rejected is from another space.
    steps = [*of_left(left)] if left and options.retry_rejected else next_steps.of_run(options, past, left)
    is_left = past.rejected_now or past.unknown_now
    has_open_results = bool(options.retry_rejected and left and left.has_open_ends)  # which may reject them again
    code = EXIT_STOPPED if past.unwritten or has_open_results else EXIT_REJECTED if is_left else EXIT_DONE
    for line in (line for step in steps for line in next_steps.step_lines(step)):
        console.print(line, soft_wrap=True)
    if options.outputs.are_wanted:
        leave(options, past, code, console, steps=steps)
    return code


def _read_left(options: ImportOptions, ledger: Ledger) -> Left | None:
    """What the ledger has left, None where it cannot be read."""
    question = partial(read_left, command=options.command, ledger=options.ledger)
    try:
        return ledger.read(question)
    except SegsyncError:
        return ledger.salvage(question)


async def _of_the_past(options: ImportOptions, ledger: Ledger, unwritten: Sequence[str]) -> ImportReport:
    """The report of the last run, as the ledger has it: this process did nothing."""
    run = last_run(ledger)
    report = await read_report(
        options.settings,
        Counters(run.offset, run.outcomes) if run else Counters(FIRST_OFFSET),
        ledger,
        (run.id,) if run else (),
        state="interrupted" if run and run.is_unfinished else "done",
        error=None,
        # Customers that are neither confirmed nor waited for were sent with --no-confirm.
        is_confirmed=not run or not run.outcomes.sent or run.open_upserts > 0,
        most_ids=options.outputs.report_ids,
        unwritten=unwritten,
    )
    return structs.replace(report, began_at=run and run.began_at, ended_at=run and run.ended_at)


async def _watched(
    options: ImportOptions,
    ledger: Ledger,
    plan: Plan,
    counters: Counters,
    to: Streams,
    *,
    lists: ProfileLists | None = None,
    sink: DryRunSink | None = None,
    chosen: ChosenIds | None = None,
) -> tuple[ImportReport, int]:
    """Run the plan, write the lists, and give report and exit code; a `sink` takes what a dry run would send.

    `chosen` are the ids of a plan for given ones.
    """
    stop = asyncio.Event()
    received: list[int] = []
    connectors = describe(options.settings)
    total = plan.total(options.profiles, options.limit)
    cost = cost_of_rest(plan, total, options.settings, confirm=options.confirm, sends=not options.dry_run)
    running: asyncio.Future[tuple[EndState, SegsyncError | None]] | None = None

    def on_signal(number: int) -> None:
        if received and running:
            running.cancel()
        else:
            stop.set()
        received.append(number)

    with signals_to(on_signal), observing(options, plan, counters, connectors, stop, to, cost) as (log, on_event):
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
                lists=lists,
                dry_run=sink,
                chosen=chosen,
            )
        )
        with measured(counters):
            try:
                state, error = await running
            except asyncio.CancelledError:
                if not received:
                    raise
                state, error = "interrupted", None
        unwritten = await write_lists(lists, ledger)
        report = await read_report(
            options.settings,
            counters,
            ledger,
            plan.runs,
            state=state,
            error=error,
            is_confirmed=options.confirm,
            is_dry_run=options.dry_run,
            most_ids=options.outputs.report_ids,
            unwritten=unwritten,
        )
        log.ended(report)
    return report, next_steps.exit_code(report, received[0] if received else 0)


def _show(table: Table, options: ImportOptions, console: Console) -> None:
    """The summary, where standard output is for it."""
    try:
        with nullcontext(console) if options.use_standard_output else standard_output() as output:
            print_outcomes(output, table)
    except OutputError as error:  # the next steps follow
        console.print(error_line(error), soft_wrap=True)
