"""The numbers of a run, as its report has them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from msgspec import structs

from segsync.errors import StopError
from segsync.events import (
    ActionEnded,
    BatchSent,
    CallAnswered,
    CallRetried,
    Event,
    PageDone,
    PageListed,
    ProfileRejected,
    ProfileWithoutIdentifier,
    SentProfile,
    TraitLeftOut,
)
from segsync.models import Outcomes, Rejection
from segsync.report.counters import NOTHING_BEFORE, Counters, ServiceCalls
from segsync.report.import_report import EndState, ImportReport, make_report


def sent(customers: int, action_id: str) -> BatchSent:
    return BatchSent(action_id, tuple(SentProfile(1, f"use_{each}", f"u{each}") for each in range(customers)))


def report_of(counters: Counters, events: Iterable[Event], seconds: float, error: StopError | None) -> ImportReport:
    """The report after these events, which took this long."""
    for event in events:
        counters.count(event)
    counters.seconds += seconds
    state: EndState = "stopped" if error else "done"
    return make_report(counters, state=state, error=error, is_confirmed=True)


def counted(
    offset: str,
    events: Iterable[Event],
    seconds: float,
    error: StopError | None = None,
    before: Outcomes = NOTHING_BEFORE,
) -> ImportReport:
    return report_of(Counters(offset, before), events, seconds, error)


def resumed(events: Iterable[Event], seconds: float, error: StopError | None = None) -> ImportReport:
    """The report of a process that stopped, went on where the ledger stood, and then had these events."""
    counters = Counters("0")
    report_of(counters, STOPPED_EVENTS, 10.0, StopError("enough"))
    counters.resume("100", BEFORE)
    return report_of(counters, events, seconds, error)


STOPPED_EVENTS: list[Event] = [
    *(PageListed("0", 100), PageListed("100", 100)),
    *(
        CallAnswered("Segment", 429, 0.1),
        CallRetried("Segment", "429", 1, 1.0, 0.0),
        CallAnswered("Segment", 200, 0.1),
    ),
    ProfileWithoutIdentifier("use_1"),
    ProfileRejected(Rejection("use_1", "u1", "read", "answered 404", "req_1"), 1),
    TraitLeftOut("use_1", "birthdate", "is not an ISO 8601 date"),
    sent(98, "aa_1"),
    PageDone(1, "0", "100", Outcomes(sent=98, without_identifier=1, rejected=1)),
    sent(40, "aa_2"),  # of the page that is not done
    ActionEnded("aa_1", 98, 98),
]
STOPPED = counted("0", STOPPED_EVENTS, 10.0, StopError("enough"))
BEFORE = Outcomes(confirmed=98, without_identifier=1, rejected=1)
"""The outcomes of the done page in the ledger: what is beyond it is repeated."""
RESUMED_EVENTS: list[Event] = [
    PageListed("100", 100),
    *(CallAnswered("Segment", 200, 0.1), CallAnswered("Voucherify", 202, 0.2)),
    TraitLeftOut("use_150", "birthdate", "is not an ISO 8601 date"),
    sent(100, "aa_3"),
    PageDone(1, "100", None, Outcomes(sent=100)),
    ActionEnded("aa_3", 100, 100),
]
RESUMED = counted("100", RESUMED_EVENTS, 5.0, before=BEFORE)


def test_a_report_counts_what_is_still_to_do() -> None:
    assert STOPPED.outcomes == Outcomes(confirmed=98, sent=40, without_identifier=1, rejected=1, pending=60)
    assert STOPPED.outcomes.profiles == 200
    assert (STOPPED.offset, STOPPED.resume_offset) == ("0", "100")
    assert STOPPED.checkpointed == Outcomes(sent=98, without_identifier=1, rejected=1)
    assert STOPPED.calls == {"Segment": ServiceCalls(calls=2, retries=1, rate_limited=1)}


def test_a_resumed_import_is_reported_whole_with_the_share_of_those_before_it() -> None:
    assert RESUMED.outcomes == Outcomes(confirmed=198, without_identifier=1, rejected=1)
    assert RESUMED.before == BEFORE
    assert RESUMED.checkpointed.profiles == 200


def test_an_import_that_is_resumed_in_its_process_adds_up_to_one_that_was_never_stopped() -> None:
    both = resumed(RESUMED_EVENTS, 5.0)
    assert both.outcomes == Outcomes(confirmed=198, without_identifier=1, rejected=1)
    assert (both.before, both.checkpointed.profiles) == (Outcomes(), 200)
    assert (both.state, both.error, both.offset, both.resume_offset) == ("done", None, "0", None)
    assert both.seconds == 15.0
    assert both.calls == {"Segment": ServiceCalls(3, 1, 1), "Voucherify": ServiceCalls(1)}
    assert both.warnings == {"birthdate": 2}


def test_a_second_error_leaves_the_offset_of_the_second_import() -> None:
    both = resumed([PageListed("100", 100)], 1.0, StopError("again"))
    assert (both.state, str(both.error), both.resume_offset) == ("stopped", "again", "100")
    assert both.outcomes == Outcomes(confirmed=98, without_identifier=1, rejected=1, pending=100)


def test_a_report_says_when_it_was_whatever_the_time_zone() -> None:
    counters = Counters("0")
    counters.began_at = datetime(2026, 3, 2, 21, 14, tzinfo=UTC)
    report = make_report(counters, state="done", error=None, is_confirmed=True)
    assert report.began_at == "2026-03-02T21:14:00+00:00"
    assert report.ended_at
    assert datetime.fromisoformat(report.ended_at).utcoffset() == timedelta(0)
    assert STOPPED.began_at is None, "nothing was measured"


@pytest.mark.parametrize("is_confirmed", [True, False])
def test_a_report_says_whether_outcomes_were_read(is_confirmed: bool) -> None:
    report = make_report(Counters("0"), state="done", error=None, is_confirmed=is_confirmed)
    assert report.is_confirmed is is_confirmed


def test_the_pace_is_per_hundred_and_none_where_nothing_was_done() -> None:
    assert STOPPED.seconds_per_100_customers == pytest.approx(100 * 10 / 138)
    assert STOPPED.seconds_per_100_profiles == pytest.approx(100 * 10 / 140)
    nothing = counted("0", [PageListed("0", 100)], seconds=3.0)
    assert nothing.outcomes.profiles == 100
    assert (nothing.seconds_per_100_customers, nothing.seconds_per_100_profiles) == (None, None)


@pytest.mark.parametrize(("profiles", "is_shown"), [(1, False), (99, False), (100, True), (101, True)])
def test_the_pace_of_fewer_than_100_profiles_is_none(profiles: int, is_shown: bool) -> None:
    outcomes = Outcomes(confirmed=1, without_identifier=profiles - 1)
    report = structs.replace(STOPPED, outcomes=outcomes, before=Outcomes(), seconds=8.0)
    assert report.seconds_per_100_customers == (800.0 if is_shown else None)
    assert report.seconds_per_100_profiles == (pytest.approx(800.0 / profiles) if is_shown else None)
    of_this_process = structs.replace(report, before=Outcomes(confirmed=1))
    assert (of_this_process.seconds_per_100_profiles is not None) == (profiles > 100)


def test_the_pace_is_that_of_this_process_whatever_others_did_before_it() -> None:
    assert RESUMED.seconds_per_100_customers == RESUMED.seconds_per_100_profiles == 5.0
    only_results = counted("100", [ActionEnded("aa_1", 50, 50)], seconds=3.0, before=Outcomes(sent=50))
    assert (only_results.seconds_per_100_customers, only_results.seconds_per_100_profiles) == (None, None)
    refused = counted("100", [ActionEnded("aa_1", 50, 0)], seconds=3.0, before=Outcomes(sent=50))
    assert (refused.seconds_per_100_customers, refused.seconds_per_100_profiles) == (None, None)
