"""How an import ended, in sentences for people who need not know segsync."""

from __future__ import annotations

from datetime import datetime

from segsync.formatting import counted, first_profiles, profiles, share
from segsync.models import NextStep, Outcomes
from segsync.report.import_report import ImportReport

NOTHING_LEFT = NextStep("Nothing is left to do. You may check a few customers in Voucherify.")


def state_words(report: ImportReport) -> str:
    if report.state != "done":
        return {"interrupted": "Interrupted", "stopped": "Stopped early"}[report.state]
    if report.resume_offset is not None:
        return "First part done"
    if report.left:
        return f"Done, with {report.left}"
    return "Done" if imported(report) else "Done, but with no customers"


def imported(report: ImportReport) -> int:
    """The customers that are in Voucherify; where results were not read, those that were sent."""
    return report.outcomes.confirmed if report.is_confirmed else report.outcomes.customers


def imported_words(report: ImportReport) -> str:
    return "imported" if report.is_confirmed else "sent"


def headline(report: ImportReport) -> str:
    customers = imported(report)
    count = counted(customers, "customer") if customers else "No customers"
    return f"{count} {imported_words(report)}"


def summary(report: ImportReport) -> str:
    outcomes, are_given_ids = report.outcomes, report.unknown_ids is not None
    if not outcomes.profiles:
        return "Segment knows none of the given ids." if are_given_ids else "Segment has listed no profiles."
    which = "whose ids were given" if are_given_ids else "that Segment listed"
    words = [f"That is {share(imported(report), outcomes.profiles)} of {profiles(outcomes.profiles)} {which}."]
    if report.state == "done" and report.resume_offset is not None:
        first = first_profiles(outcomes.profiles)
        words = [f"Of {first} in Segment, as requested; the others were not imported yet."]
    elif report.state != "done":
        which = "whose ids were read" if are_given_ids else "that Segment had listed"
        words = [f"Of {profiles(outcomes.profiles)} {which} by then; there may be more."]
    if outcomes.sent:
        sent, whether = f"{outcomes.sent:,} of these customers", "was not checked"
        if report.is_confirmed:
            sent, whether = counted(outcomes.sent, "more customer"), "is not known yet"
        words.append(f"Voucherify accepted {sent}; whether it wrote them {whether}.")
    return " ".join(words)


def identifier_advice(outcomes: Outcomes) -> str:
    if outcomes.without_identifier == outcomes.profiles:
        return (
            "No profile has it, so it is most likely the wrong type. A check by segsync shows which identifiers the "
            "profiles have; the setting IDENTIFIER_SAVED_AS_SOURCE_ID chooses the right one."
        )
    return (
        "Nothing, if they are anonymous visitors. If customers are missing, their id may be of another type: "
        "A check by segsync shows which identifiers the profiles have, and the setting IDENTIFIER_SAVED_AS_SOURCE_ID "
        "chooses one. Visitors who sign in later are imported by Segment's live Voucherify destination."
    )


def when(report: ImportReport) -> str:
    if report.began_at is None or report.ended_at is None:
        return ""
    began, ended = datetime.fromisoformat(report.began_at), datetime.fromisoformat(report.ended_at)
    until = f"{ended:%H:%M}" if ended.date() == began.date() else f"{ended.day} {ended:%B %Y, %H:%M}"
    return f"{began.day} {began:%B %Y, %H:%M} to {until} UTC"
