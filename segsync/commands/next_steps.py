"""The next steps after a run, each with its command, and the exit code."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path

from rich.text import Text

from segsync.connectors.file import Output
from segsync.errors import AccessError
from segsync.formatting import printable, profiles
from segsync.models import FIRST_OFFSET, NextStep
from segsync.options import ImportOptions
from segsync.report.import_report import ImportReport

EXIT_DONE, EXIT_STOPPED, EXIT_USAGE, EXIT_REJECTED = 0, 1, 2, 3

EXIT_SIGNAL = 128
"""Plus the number of the signal: 130 for Ctrl-C, 143 for SIGTERM."""

RETRY_WORDS = "After fixing the causes, run:"


def exit_code(report: ImportReport, signal_number: int) -> int:
    """What the shell gets; `signal_number` is that of the signal that ended the run."""
    if report.state == "done":
        return EXIT_REJECTED if report.outcomes.rejected else EXIT_DONE
    if report.state == "interrupted":
        return EXIT_SIGNAL + signal_number
    return EXIT_USAGE if isinstance(report.error, AccessError) else EXIT_STOPPED


def could_go_on(options: ImportOptions, report: ImportReport) -> bool:
    """Whether a resume in this process makes sense: the settings that it began with cannot change."""
    is_listing = report.resume_offset is not None and _left(options, report) != 0 and not options.retry_rejected
    return is_listing and not isinstance(report.error, AccessError)


def conclusion(report: ImportReport, steps: Iterable[NextStep], notes: Iterable[str] = ()) -> list[Text]:
    """What a terminal shows when a run has ended: the error, what to know, and the next steps."""
    lines = [Text(printable(f"Error: {report.error}"), style="bold red")] if report.error else []
    lines += [Text(printable(note)) for note in notes]
    for step in steps:
        lines.append(Text(step.words))
        if step.command:
            lines.append(Text(f"  {step.command}", style="bold"))
    return lines


def dry_run_notes(path: Path | None, output: Output | None) -> list[str]:
    """What to know about a dry run and its file."""
    notes = ["Nothing was sent to Voucherify, and no ledger or list of profiles was changed."]
    if not output or not output.customers:
        return notes
    about = (
        f"{path} holds what would be sent: {output.customers:,} customers. It is personal data, readable by "
        "you alone: delete it when you have looked at it."
    )
    return [about, *output.notes, *notes]


def next_steps(options: ImportOptions, report: ImportReport) -> list[NextStep]:
    """The next steps after a run, the first one first; none where nothing is left."""
    if report.is_dry_run:
        if report.resume_offset is None or report.state == "done":
            return []
        return [_step(f"Dry run stopped at offset {report.resume_offset}. Dry runs can't be resumed.")]
    if isinstance(report.error, AccessError) and not report.outcomes.profiles:
        return [_step("Nothing was imported. Fix this and retry.")]
    if report.state == "done":
        steps = _when_done(options, report)
    elif options.retry_rejected:
        return _when_a_retry_stopped(options, report)
    else:
        steps = _when_stopped(options, report)
    if report.outcomes.rejected:
        words = f"Rejected: {profiles(report.outcomes.rejected)}. {RETRY_WORDS}"
        steps.append(_step(words, options, "--retry-rejected"))
    return steps


def next_step_of_ledger(state: str | None, *, has_open_ends: bool, has_rejections: bool) -> NextStep:
    """The next step after the last run on a ledger, which ended in this state; None where there was no run."""
    if state == "done" and not has_open_ends:
        if not has_rejections:
            return NextStep("Nothing is left to do.")
        return NextStep(f"Profiles are rejected. {RETRY_WORDS}", "python -m segsync --retry-rejected")
    if state == "running":
        return NextStep("An import is running.")
    if state is None:
        return NextStep("No import has run yet. To begin, run:", "python -m segsync")
    words = {
        "done": "Some customers are sent but not confirmed, or pending. To resume, run:",
        "limited": "The profiles of --limit are done. To import the rest, run:",
    }
    return NextStep(words.get(state, "To resume, run:"), "python -m segsync --resume")


def _when_done(options: ImportOptions, report: ImportReport) -> list[NextStep]:
    outcomes, steps = report.outcomes, []
    if report.resume_offset is not None:
        offset = shlex.quote(report.resume_offset)
        words = (
            f"--limit {options.limit} reached. The next profiles begin at --offset {offset}. "
            "When the customers look right in Voucherify, import the rest:"
        )
        steps.append(_step(words, options, "--resume"))
    elif outcomes.profiles == 0:
        where = "" if report.offset == FIRST_OFFSET else f" from offset {report.offset} on"
        space = options.settings.segment_space_id
        steps.append(
            _step(
                f"Segment lists no profiles in space {space}{where}: nothing to import. "
                "Check SEGMENT_SPACE_ID and SEGMENT_REGION if you expected some."
            )
        )
    if outcomes.profiles and outcomes.without_identifier == outcomes.profiles:
        identifier = options.settings.identifier_saved_as_source_id
        steps.append(
            _step(
                f"No profile has an external id of type '{identifier}', so nothing was sent. Check "
                "IDENTIFIER_SAVED_AS_SOURCE_ID: `segsync check` shows which external ids your profiles carry."
            )
        )
    return steps


def _when_a_retry_stopped(options: ImportOptions, report: ImportReport) -> list[NextStep]:
    outcomes, steps = report.outcomes, []
    if outcomes.pending or outcomes.rejected:
        steps.append(
            _step("Profiles that are not done stay rejected. To retry them, run:", options, "--retry-rejected")
        )
    if outcomes.sent and report.is_confirmed:
        words = f"The results of {outcomes.sent:,} customers are not read. To read them, run:"
        steps.append(_step(words, options, "--resume"))
    return steps


def _when_stopped(options: ImportOptions, report: ImportReport) -> list[NextStep]:
    outcomes, left = report.outcomes, []
    if outcomes.sent and report.is_confirmed:
        left.append(f"the results of {outcomes.sent:,} customers are not read")
    if outcomes.pending:
        left.append(f"{profiles(outcomes.pending)} {'is' if outcomes.pending == 1 else 'are'} pending")
    if report.resume_offset is None:
        words = f"All profiles are listed, but {' and '.join(left)}. To resume, run:"
        return [_step(words, options, "--resume")] if left else []
    profiles_left = _left(options, report)
    if not left and profiles_left == 0:
        return []
    words = f"The current offset is: {report.resume_offset}. To resume from it, run:"
    steps = [_step(words, options, "--resume", *_limit(options.limit))]
    if profiles_left != 0:
        flags = ["--offset", report.resume_offset, *_limit(profiles_left)]
        steps.append(_step("Or, to start a new run at this offset:", options, *flags))
    return steps


def _left(options: ImportOptions, report: ImportReport) -> int | None:
    """What is left of --limit behind the resume point."""
    return None if options.limit is None else max(options.limit - report.checkpointed.profiles, 0)


def _limit(limit: int | None) -> tuple[str, ...]:
    return () if limit is None else ("--limit", str(limit))


def _step(words: str, options: ImportOptions | None = None, *flags: str) -> NextStep:
    """A step in words, and with `options` the command for it: as the program was called, with these flags."""
    command = shlex.join([*options.command, *flags, *options.resume_flags]) if options else None
    return NextStep(printable(words), printable(command) if command else None)
