"""The next steps after a run, each with its command, and the exit code."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from rich.text import Text

from segsync.commands.output import error_line
from segsync.connectors.file import Output
from segsync.errors import AccessError
from segsync.formatting import counted, printable, profiles
from segsync.models import FIRST_OFFSET, NextStep
from segsync.options import STANDARD_INPUT, STANDARD_OUTPUT, ImportOptions, Invocation, ids_in_words
from segsync.report.import_report import ImportReport
from segsync.report.profile_lists import REJECTED, list_path

EXIT_DONE, EXIT_STOPPED, EXIT_USAGE, EXIT_REJECTED, EXIT_INTERRUPTED = 0, 1, 2, 3, 130

RETRY_WORDS = "After fixing the causes, run"

REFUSED_STAGES = ("upsert", "confirm")
"""The stages of rejections by Voucherify: in the words that are shown, its own are redacted."""

SHOW_VALUES_WORDS = " (add --show-values to see Voucherify's own words)"

SEND_AGAIN_WORDS = "To send them again, which is safe, run:"

RESUME, RETRY = ("--resume",), ("--retry-rejected",)

BEGIN_ANEW = ("--offset", FIRST_OFFSET)
"""The flags of a new run from the first profile, whatever the ledger holds."""

OF_LEDGER: Final[Mapping[str | None, tuple[str, Sequence[Sequence[str]] | None]]] = {
    None: ("No import has run yet. To begin, run:", []),
    "running": ("An import is running.", None),
    "complete": ("Nothing is left to do.", None),
    "rejected": ("To retry rejected profiles", [RETRY]),
    "unknown": (f"Results are unknown. {SEND_AGAIN_WORDS}", [RETRY]),
    "done": ("Some customers are sent but not confirmed, or pending. To resume, run:", [RESUME]),
    "limited": ("The profiles of --limit are done. To import the rest, run:", [RESUME]),
}
"""The next step by how the last run on a ledger stands, None where there was no run: its words, and the flags of its
command, None where there is no command."""


def exit_code(report: ImportReport, signal_number: int) -> int:
    """What the shell gets; `signal_number` is that of the signal that ended the run."""
    if report.state == "done" and report.unwritten:
        return EXIT_STOPPED
    if report.state == "done":
        are_left = report.rejected_now or report.unknown_now or report.unknown_ids
        return EXIT_REJECTED if are_left else EXIT_DONE
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


def flags_to_keep(command: Invocation) -> list[Sequence[str]]:
    """The flags that a later process repeats, all but the ledger, which it is asked about."""
    left_out = {*command.of_one_run} - {"--limit"} | {"--ledger"}
    return [words for flag, words in command.flags.items() if flag not in left_out]


def of_ledger(
    command: Invocation,
    state: str | None,
    *,
    has_open_ends: bool,
    rejected_at: Collection[str] = (),
    has_unknown: bool = False,
) -> NextStep:
    """The next step after the last run on a ledger, which ended in this state; None where there was no run.

    `rejected_at` are the stages of the rejections that are left. `command` is how segsync is called for this ledger,
    with the flags of the last run.
    """
    if state == "done" and not has_open_ends:
        state = "rejected" if rejected_at else "unknown" if has_unknown else "complete"
    limit = [words for flag, words in command.flags.items() if flag == "--limit"]
    words, flags = OF_LEDGER.get(state, ("To resume, run:", [RESUME, *limit]))
    if state == "rejected":
        words += f"{_hint(command, rejected_at)}:"
    if flags and "--sandbox" in command.flags:
        return _step("Its sandbox ended with the import, which cannot be resumed.")
    return _step(words, None if flags is None else command.command(*flags, without={"--limit"}))


def to_resume(options: ImportOptions) -> NextStep:
    return _step("To resume the import, run:", options.command.command(RESUME, *_flag("--limit", options.limit)))


def to_begin_anew(options: ImportOptions) -> NextStep:
    command = options.command.command(BEGIN_ANEW, *_flag("--limit", options.limit))
    return _step("To begin again from the first profile, run:", command)


def of_ids(command: Invocation, file: str) -> NextStep:
    """The next step after a run of the ids in `file` that did not finish."""
    words = f"The profiles of {ids_in_words(file)} are not all done."
    if file == STANDARD_INPUT:
        return _step(f"{words} Give the same ids again, which is safe.")
    return _step(f"{words} To begin again with them, which is safe, run:", command.command(("--ids", file)))


def of_run(options: ImportOptions, report: ImportReport) -> list[NextStep]:
    """The next steps after a run, the first one first; none where nothing is left."""
    steps = list(_steps(options, report))
    if options.is_sandbox:  # it ends with its run, so no command can resume that
        steps = [step for step in steps if not step.command]
        if report.state != "done" and not report.is_dry_run:
            steps.append(_step("To begin again with a new sandbox, run:", options.command.again()))
    return steps


def _steps(options: ImportOptions, report: ImportReport) -> Iterator[NextStep]:
    if report.unwritten:
        words = "Nothing is lost: the lists of profiles come from the ledger. Fix this, then write them:"
        yield _step(words, options.command.other("status", "--ledger", "--env-file", "--directory"))
    if report.is_dry_run:
        if report.resume_offset is not None and report.state != "done":
            yield _step(f"Dry run stopped at offset {report.resume_offset}. Dry runs can't be resumed.")
    elif isinstance(report.error, AccessError) and not report.outcomes.profiles:
        yield _step("Nothing was imported. Fix this and retry.")
    elif report.state != "done" and options.ids:
        yield of_ids(options.command, str(options.ids))
    elif report.state != "done" and options.retry_rejected:
        if report.outcomes.pending or report.outcomes.rejected or report.outcomes.unknown:
            yield _step("To retry the profiles that are not done, run:", options.command.command(RETRY))
        if unread := _unread(report):
            yield _step(f"The {unread}. To read them, run:", options.command.command(RESUME))
    else:
        yield from (_when_done if report.state == "done" else _when_stopped)(options, report)
        rejected, unknown = report.rejected_now, report.unknown_now
        if rejected or unknown:
            whose = "Rejected" if report.outcomes.rejected else "Rejected by earlier runs"
            counts = [f"{whose}: {profiles(rejected)}."] if rejected else []
            whose = "Result unknown" if report.outcomes.unknown else "Result unknown, of earlier runs"
            counts += [f"{whose}: {profiles(unknown)}."] if unknown else []
            stages = {group.stage for group in report.rejections}
            words = f"{RETRY_WORDS}{_hint(options.command, stages)}:" if rejected else SEND_AGAIN_WORDS
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
        check = options.command.other("check", "--env-file")
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
        yield _step(words, command.command(RESUME, *_flag("--limit", options.limit)))
        if profiles_left != 0:
            expected = options.profiles and max(options.profiles - report.checkpointed.profiles, 1)
            new_run = [("--offset", offset), *_flag("--limit", profiles_left), *_flag("--profiles", expected)]
            yield _step("To start a new run at this offset:", command.command(*new_run))


def _unread(report: ImportReport) -> str:
    sent = report.outcomes.sent if report.is_confirmed else 0
    return f"results of {counted(sent, 'customer')} are not read" if sent else ""


def _left(options: ImportOptions, report: ImportReport) -> int | None:
    """What is left of --limit behind the resume point."""
    return None if options.limit is None else max(options.limit - report.checkpointed.profiles, 0)


def _hint(command: Invocation, stages: Collection[str]) -> str:
    """That there is --show-values, where it was not given and Voucherify itself rejected profiles, at these stages."""
    is_of_use = "--show-values" not in command.flags and not {*REFUSED_STAGES}.isdisjoint(stages)
    return SHOW_VALUES_WORDS if is_of_use else ""


def _flag(name: str, value: int | None) -> list[tuple[str, str]]:
    return [] if value is None else [(name, str(value))]


def _step(words: str, command: str | None = None) -> NextStep:
    return NextStep(printable(words), command)
