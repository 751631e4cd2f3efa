"""What an import did, as a table."""

from __future__ import annotations

from datetime import timedelta

from rich import box
from rich.table import Table
from rich.text import Text

from segsync.files import REJECTED, WARNINGS, WITHOUT_IDENTIFIER
from segsync.printable import printable
from segsync.report import ImportReport


def summary(report: ImportReport) -> Table:
    """What an import did, as a table in which the fates add up to the profiles."""
    fates = report.fates
    table = Table(box=box.SIMPLE, show_header=False, title=_title(report), title_justify="left", title_style="bold")
    table.add_column()
    table.add_column(justify="right")
    table.add_column(style="dim")
    table.add_row("Profiles listed", f"{fates.profiles:,}", "")
    if report.is_confirmed or fates.confirmed:
        table.add_row("  Customers confirmed", f"{fates.confirmed:,}", "written by Voucherify")
    if fates.sent or not report.is_confirmed:
        table.add_row("  Customers sent", f"{fates.sent:,}", "accepted by Voucherify, outcome not read")
    table.add_row(
        "  Without identifier", f"{fates.without_identifier:,}", WITHOUT_IDENTIFIER if fates.without_identifier else ""
    )
    table.add_row("  Rejected", f"{fates.rejected:,}", REJECTED if fates.rejected else "")
    table.add_row("  Still to do", f"{fates.to_do:,}", _from_offset(report) if fates.to_do else "")
    table.add_section()
    left_out = sum(report.warnings.values())
    table.add_row("Warnings", f"{left_out:,}", WARNINGS if left_out else "")
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


def _from_offset(report: ImportReport) -> Text:
    """As it is: brackets in a cursor are no markup."""
    return Text("taken again" if report.resume_offset is None else f"from offset {printable(report.resume_offset)}")


def _title(report: ImportReport) -> str:
    if report.outcome == "done":
        return "Done, with rejected profiles" if report.fates.rejected else "Done"
    return {"interrupted": "Interrupted", "stopped": "Stopped early"}[report.outcome]


def duration(seconds: float) -> str:
    """Hours, minutes and seconds."""
    return f"{timedelta(seconds=round(seconds))}"
