"""The next steps after a run, each with its command, and the exit code."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rich.text import Text

from segsync.commands.ledger_steps import (
    RESUME,
    RETRY,
    SEND_AGAIN_WORDS,
    Left,
    flag,
    hint,
    of_ids,
    of_left,
    unread_words,
)
from segsync.commands.output import error_line
from segsync.connectors.file import Output
from segsync.errors import AccessError
from segsync.formatting import counted, printable, profiles
from segsync.models import FIRST_OFFSET, NextStep
from segsync.options import PATH_FLAGS, STANDARD_OUTPUT, ImportOptions, Invocation, beside_ledger
from segsync.report.import_report import ImportReport
from segsync.report.profile_lists import REJECTED, list_path

EXIT_DONE, EXIT_STOPPED, EXIT_USAGE, EXIT_REJECTED, EXIT_INTERRUPTED = 0, 1, 2, 3, 130

RETRY_WORDS = "After fixing the causes, run"

BEGIN_ANEW = ("--offset", FIRST_OFFSET)
"""The flags of a new run from the first profile, whatever the ledger holds."""


def exit_code(report: ImportReport, signal_number: int) -> int:
    """What the shell gets; `signal_number` is that of the signal that ended the run."""
    if report.state == "done" and report.unwritten:
        return EXIT_STOPPED
    if report.state == "done":
        are_left = report.rejected_now or report.unknown_now or report.unknown_ids
        return EXIT_REJECTED if are_left else EXIT_DONE
    if report.state == "interrupted" and not signal_number:
        return EXIT_REJECTED  # a resume that read the results of a run of ids, and could not read the ids that it left
    if report.state == "interrupted":
        return 128 + signal_number  # 130 for Ctrl-C, 143 for SIGTERM
    return EXIT_USAGE if isinstance(report.error, AccessError) else EXIT_STOPPED


def could_go_on(options: ImportOptions, report: ImportReport) -> bool:
    """Whether to ask the user to resume in this process: the settings that it began with cannot change."""
    is_listing = not options.retry_rejected and not options.ids
    has_more = report.resume_offset is not None and _left(options, report) != 0
    return options.may_ask and is_listing and has_more and not isinstance(report.error, AccessError)


def conclusion(report: ImportReport, steps: Iterable[NextStep], notes: Iterable[str] = ()) -> list[Text]:
    """What a terminal shows when a run has ended: the error, what to know, and the next steps."""
    lines = [error_line(report.error)] if report.error else []
    lines += [Text(printable(note)) for note in notes]
    return [*lines, *(line for step in steps for line in step_lines(step))]


def notes_on_lists(options: ImportOptions, report: ImportReport) -> Iterator[str]:
    """What to know about the list of rejected profiles: whom it names, and that it may hold values."""
    if report.is_dry_run or report.unwritten or not report.rejected_now:
        return
    name = list_path(REJECTED, options.lists_directory, options.ledger)
    if report.rejected_now > report.outcomes.rejected:
        yield f"{name} lists {profiles(report.rejected_now)}, including those that earlier runs rejected."
    if options.show_values:
        yield (
            f"{name} holds Voucherify's own words about profiles that this process rejected (--show-values). It is "
            "personal data, readable by you alone: delete it when you have fixed the causes."
        )


def step_lines(step: NextStep) -> list[Text]:
    return [Text(step.words), *([Text(f"  {step.command}", style="bold")] if step.command else [])]


def dry_run_notes(path: Path | None, output: Output | None) -> list[str]:
    """What to know about a dry run and its file."""
    nothing = "Nothing was sent to Voucherify, and no ledger or list of profiles was changed."
    if not output or not output.customers:
        return [nothing]
    about = f"{counted(output.customers, 'customer')}. It is personal data"
    if str(path) == STANDARD_OUTPUT:
        return [f"Standard output has what would be sent: {about}.", nothing]
    about = f"{path} holds what would be sent: {about}, readable by you alone"
    return [f"{about}: delete it when you have looked at it.", *output.notes, nothing]


def flags_to_keep(command: Invocation, ledger: Path) -> list[Sequence[str]]:
    """The flags that a later process repeats, all but the ledger, which it is asked about."""
    left_out = {*command.of_one_run} - {"--limit"} | {"--ledger"}
    return [
        [flag, beside_ledger(words[-1], ledger)] if flag in PATH_FLAGS else words
        for flag, words in command.flags.items()
        if flag not in left_out
    ]


def to_resume(options: ImportOptions, listed: int) -> NextStep:
    """The step that resumes an import that has `listed` so many profiles: a `--limit` below that leaves nothing."""
    limit = options.limit if options.limit and options.limit > listed else None
    return _step("To resume the import, run:", options.command.command(RESUME, *flag("--limit", limit)))


def to_begin_anew(options: ImportOptions) -> NextStep:
    command = options.command.command(BEGIN_ANEW, *flag("--limit", options.limit))
    return _step("To begin again from the first profile, run:", command)


def of_run(options: ImportOptions, report: ImportReport, left: Left | None = None) -> list[NextStep]:
    """The next steps after a run, the first one first; none where nothing is left. `left` is what its ledger has."""
    steps = list(_steps(options, report, left or Left("ids" if options.ids else "done", options.command)))
    if options.is_sandbox:  # it ends with its run, so no command can resume that
        steps = [step for step in steps if not step.command]
        if report.state != "done" and not report.is_dry_run:
            steps.append(_step("To begin again with a new sandbox, run:", options.command.again()))
    return steps


def _steps(options: ImportOptions, report: ImportReport, left: Left) -> Iterator[NextStep]:
    outcomes = report.outcomes
    if report.unwritten:
        words = "Nothing is lost: the lists of profiles come from the ledger. Fix this, then write them:"
        yield _step(words, options.command.other("status", "--ledger", "--env-file", "--directory"))
    if report.is_dry_run:
        if report.resume_offset is not None and report.state != "done":
            yield _step(f"Dry run stopped at offset {report.resume_offset}. Dry runs can't be resumed.")
    elif isinstance(report.error, AccessError) and not (outcomes.done if options.ids else outcomes.profiles):
        yield _step("Nothing was imported. Fix this and retry.")
    elif report.state != "done" and options.ids and outcomes.pending:
        yield of_ids(options.command, str(options.ids), outcomes.pending)
    elif report.state != "done" and options.retry_rejected:
        if outcomes.pending or outcomes.rejected or outcomes.unknown:
            yield _step("To retry the profiles that are not done, run:", options.command.command(RETRY))
        yield from _of_left(report, left)
    elif report.state != "done" and (options.ids or left.state == "ids"):
        yield from _of_left(report, left)
    else:
        yield from _of_import(options, report, left)
        yield from _of_rejections(options, report)


def _of_left(report: ImportReport, left: Left) -> Iterator[NextStep]:
    """What is left of the ledger beside what this run did: it was not an import of the space."""
    unread = _unread(report) if report.state != "done" else ""
    return of_left(left._replace(has_open_ends=left.has_open_ends or bool(unread)), unread)


def _of_import(options: ImportOptions, report: ImportReport, left: Left) -> Iterator[NextStep]:
    """The steps of an import of the space, or after a run that was not one."""
    if report.state != "done":
        yield from _when_stopped(options, report)
        yield from [left.ids_step] if left.ids_step else []
        return
    if options.retry_rejected or options.ids:
        yield from _of_left(report, left)
    elif left.ids_step:
        yield left.ids_step
    yield from _when_done(options, report)


def _of_rejections(options: ImportOptions, report: ImportReport) -> Iterator[NextStep]:
    rejected, unknown = report.rejected_now, report.unknown_now
    if rejected or unknown:
        whose = "Rejected" if report.outcomes.rejected else "Rejected by earlier runs"
        counts = [f"{whose}: {profiles(rejected)}."] if rejected else []
        whose = "Result unknown" if report.outcomes.unknown else "Result unknown, of earlier runs"
        counts += [f"{whose}: {profiles(unknown)}."] if unknown else []
        stages = {group.stage for group in report.rejections}
        words = f"{RETRY_WORDS}{hint(options.command, stages)}:" if rejected else SEND_AGAIN_WORDS
        yield _step(f"{' '.join(counts)} {words}", options.command.command(RETRY))


def _when_done(options: ImportOptions, report: ImportReport) -> Iterator[NextStep]:
    outcomes, settings = report.outcomes, options.settings
    if report.resume_offset is not None:
        words = (
            f"--limit {options.limit} reached. The next profiles begin at --offset {shlex.quote(report.resume_offset)}"
            ". When the customers look right in Voucherify, import the rest:"
        )
        yield _step(words, options.command.command(RESUME))
    elif outcomes.profiles == 0 and not options.ids:
        where = "" if report.offset == FIRST_OFFSET else f" from offset {report.offset}"
        yield _step(
            f"Segment lists no profiles in space {settings.segment_space_id}{where}: nothing to import. "
            "Check SEGMENT_SPACE_ID and SEGMENT_REGION if you expected some."
        )
    if outcomes.profiles and outcomes.without_identifier == outcomes.profiles:
        check = options.command.other("check", "--ledger", "--env-file")
        yield _step(
            f"No profile has an external id of type '{settings.identifier_saved_as_source_id}', so nothing was sent. "
            f"Check IDENTIFIER_SAVED_AS_SOURCE_ID: `{check}` shows which external ids your profiles carry."
        )


def _when_stopped(options: ImportOptions, report: ImportReport) -> Iterator[NextStep]:
    pending, command = report.outcomes.pending, options.command
    left = [f"the {unread}"] if (unread := _unread(report)) else []
    if pending:
        left.append(f"{profiles(pending)} {'is' if pending == 1 else 'are'} pending")
    offset, profiles_left = report.resume_offset, _left(options, report)
    if offset is None and left:
        words = f"All profiles are listed, but {' and '.join(left)}. To resume, run:"
        yield _step(words, command.command(RESUME))
    elif offset is not None and (left or profiles_left != 0):
        words = f"The current offset is: {offset}. To resume from it, run:"
        yield _step(words, command.command(RESUME, *flag("--limit", options.limit)))
        if profiles_left != 0:
            expected = options.profiles and max(options.profiles - report.checkpointed.profiles, 1)
            new_run = [("--offset", offset), *flag("--limit", profiles_left), *flag("--profiles", expected)]
            yield _step("To start a new run at this offset:", command.command(*new_run))


def _unread(report: ImportReport) -> str:
    return unread_words(report.outcomes.sent if report.is_confirmed else 0)


def _left(options: ImportOptions, report: ImportReport) -> int | None:
    """What is left of --limit behind the resume point."""
    return None if options.limit is None else max(options.limit - report.checkpointed.profiles, 0)


def _step(words: str, command: str | None = None) -> NextStep:
    return NextStep(printable(words), command)
