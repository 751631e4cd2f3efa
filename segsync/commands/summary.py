"""The table at the end of a run."""

from __future__ import annotations

from rich import box
from rich.table import Table
from rich.text import Text

from segsync.formatting import duration, printable
from segsync.report.import_report import ImportReport
from segsync.report.profile_lists import REJECTED, WARNINGS, WITHOUT_IDENTIFIER


def summary(report: ImportReport) -> Table:
    """What an import did, as a table in which the outcomes add up to the profiles."""
    outcomes = report.outcomes
    table = Table(box=box.SIMPLE, show_header=False, title=_title(report), title_justify="left", title_style="bold")
    table.add_column()
    table.add_column(justify="right")
    table.add_column(style="dim", overflow="fold")
    table.add_row("Profiles listed", f"{outcomes.profiles:,}", "")
    if report.is_confirmed or outcomes.confirmed:
        table.add_row("  Customers confirmed", f"{outcomes.confirmed:,}", "written by Voucherify")
    if report.is_dry_run:
        table.add_row("  Would be sent", f"{outcomes.sent:,}", "")
    elif outcomes.sent or not report.is_confirmed:
        table.add_row("  Customers sent", f"{outcomes.sent:,}", "accepted by Voucherify, result not read")
    table.add_row(
        "  Without identifier",
        f"{outcomes.without_identifier:,}",
        _file(report, WITHOUT_IDENTIFIER, outcomes.without_identifier),
    )
    table.add_row("  Rejected", f"{outcomes.rejected:,}", _file(report, REJECTED, outcomes.rejected))
    table.add_row("  Pending", f"{outcomes.pending:,}", _from_offset(report) if outcomes.pending else "")
    table.add_section()
    left_out = sum(report.warnings.values())
    table.add_row("Warnings", f"{left_out:,}", _file(report, WARNINGS, left_out))
    for name, service in report.calls.items():
        notes = f"{service.retries:,} retries, {service.rate_limited:,} answered 429"
        table.add_row(f"{name} calls", f"{service.calls:,}", notes)
    table.add_row("Time", duration(report.seconds), "")
    for what, seconds in (
        ("customers", report.seconds_per_100_customers),
        ("profiles", report.seconds_per_100_profiles),
    ):
        if seconds is not None:
            table.add_row(f"  per 100 {what}", f"{seconds:.2f} s", "")
    return table


def _file(report: ImportReport, name: str, profiles: int) -> str:
    """The file that lists these profiles; a dry run writes none."""
    return name if profiles and not report.is_dry_run else ""


def _from_offset(report: ImportReport) -> Text:
    """The offset as it is: brackets in a cursor are not markup."""
    return Text("to be replayed" if report.resume_offset is None else f"from offset {printable(report.resume_offset)}")


def _title(report: ImportReport) -> str:
    title = {"interrupted": "Interrupted", "stopped": "Stopped early"}.get(report.state, "Done")
    if report.state == "done" and report.outcomes.rejected:
        title = "Done, with rejected profiles"
    return f"Dry run: {title.lower()}, nothing was sent" if report.is_dry_run else title
