"""What is said when a run has ended: what to know, what to do next, and the exit code."""

from __future__ import annotations

import shlex
from pathlib import Path

from rich.text import Text

from segsync.connectors.file import Output
from segsync.errors import AccessError
from segsync.formatting import printable
from segsync.models import FIRST_OFFSET
from segsync.options import Request
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
    if report.resume_offset is not None and report.outcome != "done":
        lines.append(Text(f"It ended early, at offset {report.resume_offset}, and cannot be resumed: run it again."))
    lines.append(Text("Nothing was sent to Voucherify, and no ledger or list of profiles was changed."))
    return lines


EXIT_DONE, EXIT_STOPPED, EXIT_USAGE, EXIT_REJECTED = 0, 1, 2, 3


EXIT_SIGNAL = 128
"""Plus the number of the signal: 130 for Ctrl-C, 143 for SIGTERM."""


def could_go_on(request: Request, report: ImportReport) -> bool:
    """Whether a resume in this process makes sense: the settings that it began with cannot change."""
    is_listing = report.resume_offset is not None and _left(request, report) != 0 and not request.retry_rejected
    return is_listing and not isinstance(report.error, AccessError)


def conclusion(request: Request, report: ImportReport) -> list[Text]:
    """What to know and what to do next."""
    lines = [Text(f"Error: {report.error}", style="bold red")] if report.error else []
    if isinstance(report.error, AccessError) and not report.fates.profiles:
        lines.append(Text("Nothing has been imported. Set that right, then run the same again."))
    elif report.outcome == "done":
        lines += _when_done(request, report)
    elif _is_anything_left(request, report):
        lines += _way_on(request, report)
    return [Text(printable(line.plain), style=line.style) for line in lines]


def next_command(request: Request, report: ImportReport) -> str | None:
    """The command that does what is left to do, None where nothing is, or a setting has to be changed first."""
    if report.is_dry_run or (isinstance(report.error, AccessError) and not report.fates.profiles):
        return None
    if report.outcome == "done" and report.resume_offset is None:
        flags = ["--retry-rejected"] if report.fates.rejected else []
    elif report.outcome == "done":
        flags = ["--resume"]
    elif not _is_anything_left(request, report):
        return None
    elif request.retry_rejected:
        flags = ["--retry-rejected"]
    else:
        flags = ["--resume", *_limit(request.limit if report.resume_offset is not None else None)]
    return printable(_command(request, *flags).plain.strip()) if flags else None


def exit_code(report: ImportReport, signal_number: int) -> int:
    """What the shell gets; `signal_number` is that of the signal that ended the run."""
    if report.outcome == "done":
        return EXIT_REJECTED if report.fates.rejected else EXIT_DONE
    if report.outcome == "interrupted":
        return EXIT_SIGNAL + signal_number
    return EXIT_USAGE if isinstance(report.error, AccessError) else EXIT_STOPPED


def _when_done(request: Request, report: ImportReport) -> list[Text]:
    fates, lines = report.fates, []
    if report.resume_offset is not None:
        lines.append(
            Text(
                f"--limit {request.limit} reached. The next profiles begin at "
                f"--offset {shlex.quote(report.resume_offset)}; --resume goes on there"
            )
        )
    elif fates.profiles == 0:
        where = "" if report.offset == FIRST_OFFSET else f" from offset {report.offset} on"
        lines.append(
            Text(f"Segment lists no profiles in space {request.settings.segment_space_id}{where}: nothing to import.")
        )
    if fates.profiles and fates.without_identifier == fates.profiles:
        identifier = request.settings.identifier_saved_as_source_id
        lines.append(
            Text(
                f"No profile has an external id of type '{identifier}', so nothing was sent. "
                "Does IDENTIFIER_SAVED_AS_SOURCE_ID name the right one? Segment's Profile explorer shows "
                "which external ids your profiles carry.",
                style="yellow",
            )
        )
    if fates.rejected:
        lines.append(Text("When what they were rejected for is mended, --retry-rejected takes just these again."))
    return lines


def _way_on(request: Request, report: ImportReport) -> list[Text]:
    fates = report.fates
    if request.retry_rejected:
        lines = []
        if fates.to_do or fates.rejected:
            lines.append(Text("Those that are not done are rejected still. To take them again, run:"))
            lines.append(_command(request, "--retry-rejected"))
        if fates.sent and report.is_confirmed:
            lines.append(Text(f"Of {fates.sent:,} customers it is not known what became of them. To hear of it, run:"))
            lines.append(_command(request, "--resume"))
        return lines
    if report.resume_offset is None:
        left = []
        if fates.sent and report.is_confirmed:
            left.append(f"of {fates.sent:,} customers it is not known what became of them")
        if fates.to_do:
            left.append(f"{fates.to_do:,} profiles are to be taken again")
        return [
            Text(f"All profiles are listed, but {' and '.join(left)}. To go on, run:"),
            _command(request, "--resume"),
        ]
    lines = [
        Text(f"The current offset is: {report.resume_offset}. To resume from it, run:"),
        _command(request, "--resume", *_limit(request.limit)),
    ]
    profiles_left = _left(request, report)
    if profiles_left != 0:
        lines += [
            Text("or, as a run of its own:"),
            _command(request, "--offset", str(report.resume_offset), *_limit(profiles_left)),
        ]
    return lines


def _is_anything_left(request: Request, report: ImportReport) -> bool:
    """Whether there are profiles to list, to send again, or whose outcome is not known."""
    if report.resume_offset is not None and _left(request, report) != 0:
        return True
    return bool(report.fates.to_do or (report.is_confirmed and report.fates.sent) or request.retry_rejected)


def _left(request: Request, report: ImportReport) -> int | None:
    """What is left of --limit behind the resume point."""
    return None if request.limit is None else max(request.limit - report.settled.profiles, 0)


def _limit(limit: int | None) -> tuple[str, ...]:
    return () if limit is None else ("--limit", str(limit))


def _command(request: Request, *flags: str) -> Text:
    return Text(f"  {shlex.join([*request.command, *flags, *request.resume_flags])}", style="bold")
