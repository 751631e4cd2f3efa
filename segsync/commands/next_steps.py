"""What is said when a run has ended: what to know, what to do next, and the exit code."""

from __future__ import annotations

import shlex
from pathlib import Path

from rich.text import Text

from segsync.connectors.file import Output
from segsync.errors import AccessError
from segsync.formatting import printable
from segsync.models import FIRST_OFFSET
from segsync.options import ImportOptions
from segsync.report.import_report import ImportReport


def what_it_means(report: ImportReport, path: Path | None, output: Output | None) -> list[Text]:
    """What to know of a dry run when it has ended."""
    lines = [Text(f"Error: {report.error}", style="bold red")] if report.error else []
    if output and output.customers:
        lines.append(
            Text(
                f"{path} holds what would be sent: {output.customers:,} customers. It is personal data, readable by "
                "you alone: delete it when you have looked at it."
            )
        )
        lines += [Text(note, style="yellow") for note in output.notes]
    if report.resume_offset is not None and report.state != "done":
        lines.append(Text(f"It ended early, at offset {report.resume_offset}, and cannot be resumed: run it again."))
    lines.append(Text("Nothing was sent to Voucherify, and no ledger or list of profiles was changed."))
    return lines


EXIT_DONE, EXIT_STOPPED, EXIT_USAGE, EXIT_REJECTED = 0, 1, 2, 3

EXIT_SIGNAL = 128
"""Plus the number of the signal: 130 for Ctrl-C, 143 for SIGTERM."""


def could_go_on(options: ImportOptions, report: ImportReport) -> bool:
    """Whether a resume in this process makes sense: the settings that it began with cannot change."""
    is_listing = report.resume_offset is not None and _left(options, report) != 0 and not options.retry_rejected
    return is_listing and not isinstance(report.error, AccessError)


def conclusion(options: ImportOptions, report: ImportReport) -> list[Text]:
    """What to know and what to do next."""
    lines = [Text(f"Error: {report.error}", style="bold red")] if report.error else []
    if isinstance(report.error, AccessError) and not report.outcomes.profiles:
        lines.append(Text("Nothing has been imported. Set that right, then run the same again."))
    elif report.state == "done":
        lines += _when_done(options, report)
    elif _is_anything_left(options, report):
        lines += _way_on(options, report)
    return [Text(printable(line.plain), style=line.style) for line in lines]


def next_command(options: ImportOptions, report: ImportReport) -> str | None:
    """The command that does what is left to do, None where nothing is, or a setting has to be changed first."""
    if report.is_dry_run or (isinstance(report.error, AccessError) and not report.outcomes.profiles):
        return None
    if report.state == "done" and report.resume_offset is None:
        flags = ["--retry-rejected"] if report.outcomes.rejected else []
    elif report.state == "done":
        flags = ["--resume"]
    elif not _is_anything_left(options, report):
        return None
    elif options.retry_rejected:
        flags = ["--retry-rejected"]
    else:
        flags = ["--resume", *_limit(options.limit if report.resume_offset is not None else None)]
    return printable(_command(options, *flags).plain.strip()) if flags else None


def exit_code(report: ImportReport, signal_number: int) -> int:
    """What the shell gets; `signal_number` is that of the signal that ended the run."""
    if report.state == "done":
        return EXIT_REJECTED if report.outcomes.rejected else EXIT_DONE
    if report.state == "interrupted":
        return EXIT_SIGNAL + signal_number
    return EXIT_USAGE if isinstance(report.error, AccessError) else EXIT_STOPPED


def _when_done(options: ImportOptions, report: ImportReport) -> list[Text]:
    outcomes, lines = report.outcomes, []
    if report.resume_offset is not None:
        lines.append(
            Text(
                f"--limit {options.limit} reached. The next profiles begin at "
                f"--offset {shlex.quote(report.resume_offset)}; --resume goes on there"
            )
        )
    elif outcomes.profiles == 0:
        where = "" if report.offset == FIRST_OFFSET else f" from offset {report.offset} on"
        lines.append(
            Text(f"Segment lists no profiles in space {options.settings.segment_space_id}{where}: nothing to import.")
        )
    if outcomes.profiles and outcomes.without_identifier == outcomes.profiles:
        identifier = options.settings.identifier_saved_as_source_id
        lines.append(
            Text(
                f"No profile has an external id of type '{identifier}', so nothing was sent. "
                "Does IDENTIFIER_SAVED_AS_SOURCE_ID name the right one? Segment's Profile explorer shows "
                "which external ids your profiles carry.",
                style="yellow",
            )
        )
    if outcomes.rejected:
        lines.append(Text("When what they were rejected for is mended, --retry-rejected takes just these again."))
    return lines


def _way_on(options: ImportOptions, report: ImportReport) -> list[Text]:
    outcomes = report.outcomes
    if options.retry_rejected:
        lines = []
        if outcomes.pending or outcomes.rejected:
            lines.append(Text("Those that are not done are rejected still. To take them again, run:"))
            lines.append(_command(options, "--retry-rejected"))
        if outcomes.sent and report.is_confirmed:
            lines.append(
                Text(f"Of {outcomes.sent:,} customers it is not known what became of them. To hear of it, run:")
            )
            lines.append(_command(options, "--resume"))
        return lines
    if report.resume_offset is None:
        left = []
        if outcomes.sent and report.is_confirmed:
            left.append(f"of {outcomes.sent:,} customers it is not known what became of them")
        if outcomes.pending:
            left.append(f"{outcomes.pending:,} profiles are to be taken again")
        return [
            Text(f"All profiles are listed, but {' and '.join(left)}. To go on, run:"),
            _command(options, "--resume"),
        ]
    lines = [
        Text(f"The current offset is: {report.resume_offset}. To resume from it, run:"),
        _command(options, "--resume", *_limit(options.limit)),
    ]
    profiles_left = _left(options, report)
    if profiles_left != 0:
        lines += [
            Text("or, as a run of its own:"),
            _command(options, "--offset", str(report.resume_offset), *_limit(profiles_left)),
        ]
    return lines


def _is_anything_left(options: ImportOptions, report: ImportReport) -> bool:
    """Whether there are profiles to list, to send again, or whose outcome is not known."""
    if report.resume_offset is not None and _left(options, report) != 0:
        return True
    return bool(report.outcomes.pending or (report.is_confirmed and report.outcomes.sent) or options.retry_rejected)


def _left(options: ImportOptions, report: ImportReport) -> int | None:
    """What is left of --limit behind the resume point."""
    return None if options.limit is None else max(options.limit - report.checkpointed.profiles, 0)


def _limit(limit: int | None) -> tuple[str, ...]:
    return () if limit is None else ("--limit", str(limit))


def _command(options: ImportOptions, *flags: str) -> Text:
    return Text(f"  {shlex.join([*options.command, *flags, *options.resume_flags])}", style="bold")
