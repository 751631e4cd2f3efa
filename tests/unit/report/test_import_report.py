"""The numbers of a run, as its report has them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

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
from segsync.models import Outcomes, Rejection, RejectionGroup
from segsync.report.counters import NOTHING_BEFORE, Counters, Throughput
from segsync.report.import_report import EndState, ImportReport, ServiceCalls, make_report


def sent(customers: int, action_id: str) -> BatchSent:
    return BatchSent(action_id, tuple(SentProfile(1, f"use_{each}", f"u{each}") for each in range(customers)))


def counted(
    offset: str,
    events: Sequence[Event],
    seconds: float,
    error: StopError | None = None,
    before: Outcomes = NOTHING_BEFORE,
) -> ImportReport:
    counters = Counters(offset, before)
    for event in events:
        counters.count(event)
    state: EndState = "stopped" if error else "done"
    return make_report(counters, state=state, error=error, seconds=seconds, is_confirmed=True)


STOPPED = counted(
    "0",
    [
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
        sent(40, "aa_2"),  # of the page that is not settled
        ActionEnded("aa_1", 98, 98),
    ],
    seconds=10.0,
    error=StopError("enough"),
)
BEFORE = Outcomes(confirmed=98, without_identifier=1, rejected=1)
"""What the ledger says of the settled page: what is beyond it is done again."""
RESUMED = counted(
    "100",
    [
        PageListed("100", 100),
        *(CallAnswered("Segment", 200, 0.1), CallAnswered("Voucherify", 202, 0.2)),
        TraitLeftOut("use_150", "birthdate", "is not an ISO 8601 date"),
        sent(100, "aa_3"),
        PageDone(1, "100", None, Outcomes(sent=100)),
        ActionEnded("aa_3", 100, 100),
    ],
    seconds=5.0,
    before=BEFORE,
)


def test_a_report_counts_what_is_still_to_do() -> None:
    assert STOPPED.outcomes == Outcomes(confirmed=98, sent=40, without_identifier=1, rejected=1, pending=60)
    assert STOPPED.outcomes.profiles == 200
    assert (STOPPED.offset, STOPPED.resume_offset) == ("0", "100")
    assert STOPPED.settled == Outcomes(sent=98, without_identifier=1, rejected=1)
    assert STOPPED.calls == {"Segment": ServiceCalls(calls=2, retries=1, rate_limited=1)}


def test_a_resumed_import_is_reported_whole_with_the_share_of_those_before_it() -> None:
    assert RESUMED.outcomes == Outcomes(confirmed=198, without_identifier=1, rejected=1)
    assert RESUMED.before == BEFORE
    assert RESUMED.settled.profiles == 200


def test_an_import_and_the_one_that_resumed_it_add_up_to_one_that_was_never_stopped() -> None:
    both = STOPPED.then(RESUMED)
    assert both.outcomes == Outcomes(confirmed=198, without_identifier=1, rejected=1)
    assert (both.before, both.settled.profiles) == (Outcomes(), 200)
    assert (both.state, both.error, both.offset, both.resume_offset) == ("done", None, "0", None)
    assert both.seconds == 15.0
    assert both.calls == {"Segment": ServiceCalls(3, 1, 1), "Voucherify": ServiceCalls(1)}
    assert both.warnings == {"birthdate": 2}


def test_the_times_of_both_and_what_the_later_one_knows_of_rejections_are_told() -> None:
    first = structs.replace(
        STOPPED, throughput=Throughput(1.0, (50, 49)), rejections=(RejectionGroup("read", "answered 404", 1),)
    )
    second = structs.replace(RESUMED, throughput=Throughput(1.0, (100,)), rejections=(RejectionGroup("map", "no", 1),))
    both = first.then(second)
    assert (both.began_at, both.ended_at) == (first.began_at, second.ended_at)
    assert both.throughput.profiles == (50, 49, *(0,) * 8, 100)
    assert both.rejections == second.rejections


def test_a_report_says_when_it_was_and_no_time_zone_changes_it() -> None:
    assert STOPPED.began_at
    assert STOPPED.ended_at
    began, ended = datetime.fromisoformat(STOPPED.began_at), datetime.fromisoformat(STOPPED.ended_at)
    assert abs((ended - began).total_seconds() - 10) <= 1
    assert began.utcoffset() == ended.utcoffset() == timedelta(0)


def test_a_second_error_leaves_the_offset_of_the_second_import() -> None:
    again = counted("100", [PageListed("100", 100)], seconds=1.0, error=StopError("again"), before=BEFORE)
    both = STOPPED.then(again)
    assert (both.state, str(both.error), both.resume_offset) == ("stopped", "again", "100")
    assert both.outcomes == Outcomes(confirmed=98, without_identifier=1, rejected=1, pending=100)


@pytest.mark.parametrize("is_confirmed", [True, False])
def test_a_report_says_whether_outcomes_were_read(is_confirmed: bool) -> None:
    report = make_report(Counters("0"), state="done", error=None, seconds=1.0, is_confirmed=is_confirmed)
    assert report.is_confirmed is is_confirmed


def test_the_pace_is_told_a_hundred_and_not_at_all_where_there_was_none() -> None:
    assert STOPPED.seconds_per_100_customers == pytest.approx(100 * 10 / 138)
    assert STOPPED.seconds_per_100_profiles == pytest.approx(100 * 10 / 140)
    nothing = counted("0", [PageListed("0", 100)], seconds=3.0)
    assert (nothing.seconds_per_100_customers, nothing.seconds_per_100_profiles) == (None, None)


def test_the_pace_is_that_of_this_process_whatever_others_did_before_it() -> None:
    assert RESUMED.seconds_per_100_customers == RESUMED.seconds_per_100_profiles == 5.0
    only_heard = counted("100", [ActionEnded("aa_1", 50, 50)], seconds=3.0, before=Outcomes(sent=50))
    assert (only_heard.seconds_per_100_customers, only_heard.seconds_per_100_profiles) == (None, None)
    refused = counted("100", [ActionEnded("aa_1", 50, 0)], seconds=3.0, before=Outcomes(sent=50))
    assert (refused.seconds_per_100_customers, refused.seconds_per_100_profiles) == (None, None)
