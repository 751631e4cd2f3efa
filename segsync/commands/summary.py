"""The table at the end of a run."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table
from rich.text import Text, TextType

from segsync.commands.output import LABELS, NOTES, add_warnings, outcome_table
from segsync.formatting import counted, duration, minute, printable
from segsync.models import LastCheck
from segsync.report.import_report import ImportReport
from segsync.report.profile_lists import DUPLICATES, REJECTED, UNKNOWN_IDS, WARNINGS, WITHOUT_IDENTIFIER, list_path


def summary(
    report: ImportReport, ledger: Path | None = None, directory: Path = Path(), *, is_retry: bool = False
) -> Table:
    """What an import did, as a table in which the outcomes add up to the profiles.

    Outcomes and warnings are those of the whole import, as `status` shows them; the rest is about this process. The
    lists are those of the `ledger`, in `directory`.
    """

    def shown(name: str) -> str:
        return printable(str(list_path(name, directory, ledger)))

    offset = "to be replayed" if report.resume_offset is None else f"from offset {printable(report.resume_offset)}"
    if report.unknown_ids is not None:
        offset = "to be sent again"
    notes: dict[str, TextType] = {**NOTES, "pending": Text(offset)}  # brackets in a cursor are not markup
    if report.before.done:
        notes["profiles"] = f"{report.before.done:,} of them done by earlier processes"
    if not report.is_dry_run:
        notes["confirmed"], notes["sent"] = "written by Voucherify", "accepted by Voucherify, result not read"
        lists = {"without_identifier": WITHOUT_IDENTIFIER, "duplicate": DUPLICATES, "rejected": REJECTED}
        notes |= {outcome: Text(shown(name)) for outcome, name in lists.items()}
    given = "Rejected profiles" if is_retry else "Profiles of --ids"  # whose ids a dry run of a retry was given
    profiles = "Profiles listed" if report.unknown_ids is None else given
    labels = LABELS | {"profiles": profiles} | ({"sent": "  Would be sent"} if report.is_dry_run else {})
    optional = "sent" if report.is_confirmed else "confirmed"
    table = outcome_table(_title(report), report.outcomes, labels, notes, optional)
    if report.unknown_ids:
        where = None if report.is_dry_run else Text(shown(UNKNOWN_IDS))
        table.add_row("Unknown ids", f"{report.unknown_ids:,}", where)
    name = None if report.is_dry_run else shown(WARNINGS)
    add_warnings(table, report.warnings, report.warned_profiles, name)
    table.add_section()
    if report.not_imported and report.not_imported.traits:
        table.add_row("Traits not imported", f"{report.not_imported.traits:,}", _as_checked(report.not_imported))
    table.add_row("This process:")
    for service, calls in report.calls.items():
        retries = counted(calls.retries, "retry", "retries")
        table.add_row(f"{service} calls", f"{calls.calls:,}", f"{retries}, {calls.rate_limited:,} answered 429")
    table.add_row("Time", duration(report.seconds))
    if report.seconds_per_100_customers is not None:
        table.add_row("  per 100 customers", f"{report.seconds_per_100_customers:.2f} s")
    if report.seconds_per_100_profiles is not None:
        table.add_row("  per 100 profiles", f"{report.seconds_per_100_profiles:.2f} s")
    return table


def _as_checked(check: LastCheck) -> Text:
    more = check.traits - len(check.names)
    names = ", ".join(check.names) + (f" and {more:,} more" if more > 0 else "")
    return Text(printable(f"check of {minute(check.checked_at)} UTC: {names}; to import them: {check.setting}"))


def _title(report: ImportReport) -> str:
    title = {"interrupted": "Interrupted", "stopped": "Stopped early"}.get(report.state, "Done")
    if report.state == "done" and report.left:
        title = f"Done, with {report.left}"
    return f"Dry run: {title.lower()}, nothing was sent" if report.is_dry_run else title
