"""How an import ended, in sentences for who asked for it."""

from __future__ import annotations

from datetime import datetime

from segsync.formatting import profiles, share
from segsync.models import NextStep, Outcomes
from segsync.report.import_report import ImportReport

NOTHING_LEFT = NextStep("Nothing is left to do. A look at a few customers in Voucherify does no harm.")


def state_words(report: ImportReport) -> str:
    if report.state != "done":
        return {"interrupted": "Interrupted", "stopped": "Stopped early"}[report.state]
    if report.resume_offset is not None:
        return "First part done"
    if report.outcomes.rejected:
        return "Done, with rejected profiles"
    return "Done" if came_over(report) else "Done, but with no customers"


def came_over(report: ImportReport) -> int:
    """The customers that are in Voucherify as far as anybody asked: where nobody did, those that were sent."""
    return report.outcomes.confirmed if report.is_confirmed else report.outcomes.customers


def came_over_words(report: ImportReport) -> str:
    return "came over" if report.is_confirmed else "were sent"


def headline(report: ImportReport) -> str:
    customers = came_over(report)
    count = f"{customers:,}" if customers else "No"
    return f"{count} {'customer' if customers == 1 else 'customers'} {came_over_words(report)}"


def summary(report: ImportReport) -> str:
    outcomes = report.outcomes
    if not outcomes.profiles:
        return "Segment has listed no profiles."
    words = [
        f"That is {share(came_over(report), outcomes.profiles)} of {profiles(outcomes.profiles)} that Segment listed."
    ]
    if report.state == "done" and report.resume_offset is not None:
        words = [f"Of the first {profiles(outcomes.profiles)} in Segment, as was asked for. More are to come."]
    elif report.state != "done":
        words = [f"Of {profiles(outcomes.profiles)} that Segment had listed by then; there may be more."]
    if outcomes.sent:
        which, whether = ("more", "is not known yet") if report.is_confirmed else ("of these", "was not asked")
        words.append(
            f"Voucherify accepted {outcomes.sent:,} {which} customers; whether it could write them into its database "
            f"{whether}."
        )
    return " ".join(words)


def identifier_advice(outcomes: Outcomes) -> str:
    if outcomes.without_identifier == outcomes.profiles:
        return (
            'No profile at all has it, so it is most likely the wrong type. "segsync check" shows which identifiers '
            "the profiles carry; the setting IDENTIFIER_SAVED_AS_SOURCE_ID chooses the right one."
        )
    return (
        "Nothing, where they are anonymous visitors. If you miss customers, their id may be of another type: "
        '"segsync check" shows which identifiers the profiles carry, and the setting IDENTIFIER_SAVED_AS_SOURCE_ID '
        "chooses one. Who signs in later comes over with Segment's live Voucherify destination."
    )


def when(report: ImportReport) -> str:
    if report.began_at is None or report.ended_at is None:
        return ""
    began, ended = datetime.fromisoformat(report.began_at), datetime.fromisoformat(report.ended_at)
    until = f"{ended:%H:%M}" if ended.date() == began.date() else f"{ended.day} {ended:%B %Y, %H:%M}"
    return f"{began.day} {began:%B %Y, %H:%M} to {until} UTC"
