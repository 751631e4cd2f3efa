"""The numbers of a run, as its report has them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from segsync.errors import StopError
from segsync.models import (
    BatchSent,
    CallAnswered,
    CallRetried,
    Event,
    Fates,
    PageListed,
    PageSettled,
    ProfileRejected,
    ProfileWithoutIdentifier,
    Rejection,
    TraitLeftOut,
)
from segsync.report import ImportReport, ServiceCalls, make_report
from segsync.tally import Tally


def counted(offset: str, events: Sequence[Event], seconds: float, error: StopError | None = None) -> ImportReport:
    tally = Tally(offset)
    for event in events:
        tally.count(event)
    return make_report(tally, outcome="stopped" if error else "done", error=error, seconds=seconds)


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
        ProfileRejected(Rejection("use_1", "u1", "read", "answered 404", "req_1")),
        TraitLeftOut("use_1", "birthdate", "is no ISO 8601 date"),
        BatchSent(98, "aa_1"),
        PageSettled("0", "100", Fates(98, 1, 1)),
        BatchSent(40, "aa_2"),  # of the page that is not settled
    ],
    seconds=10.0,
    error=StopError("enough"),
)
RESUMED = counted(
    "100",
    [
        PageListed("100", 100),
        *(CallAnswered("Segment", 200, 0.1), CallAnswered("Voucherify", 202, 0.2)),
        TraitLeftOut("use_150", "birthdate", "is not an ISO 8601 date"),
        BatchSent(100, "aa_3"),
        PageSettled("100", None, Fates(sent=100)),
    ],
    seconds=5.0,
)


def test_a_report_counts_what_is_still_to_do() -> None:
    assert STOPPED.fates == Fates(sent=138, without_identifier=1, rejected=1, to_do=60)
    assert STOPPED.fates.profiles == 200
    assert (STOPPED.offset, STOPPED.resume_offset, STOPPED.settled) == ("0", "100", Fates(98, 1, 1))
    assert STOPPED.calls == {"Segment": ServiceCalls(calls=2, retries=1, rate_limited=1)}


def test_an_import_and_the_one_that_resumed_it_add_up_to_one_that_was_never_stopped() -> None:
    both = STOPPED.then(RESUMED)
    assert both.fates == both.settled == Fates(sent=198, without_identifier=1, rejected=1)
    assert (both.outcome, both.error, both.offset, both.resume_offset) == ("done", None, "0", None)
    assert both.seconds == 15.0
    assert both.calls == {"Segment": ServiceCalls(3, 1, 1), "Voucherify": ServiceCalls(1)}
    assert both.warnings == {"birthdate": 2}


def test_a_second_error_leaves_the_offset_of_the_second_import() -> None:
    again = counted("100", [PageListed("100", 100)], seconds=1.0, error=StopError("again"))
    both = STOPPED.then(again)
    assert (both.outcome, str(both.error), both.resume_offset) == ("stopped", "again", "100")
    assert both.fates == Fates(sent=98, without_identifier=1, rejected=1, to_do=100)


def test_the_pace_is_told_a_hundred_and_not_at_all_where_there_was_none() -> None:
    assert RESUMED.seconds_per_100_customers == RESUMED.seconds_per_100_profiles == 5.0
    assert STOPPED.seconds_per_100_customers == pytest.approx(100 * 10 / 138)
    assert STOPPED.seconds_per_100_profiles == pytest.approx(100 * 10 / 140)
    nothing = counted("0", [PageListed("0", 100)], seconds=3.0)
    assert (nothing.seconds_per_100_customers, nothing.seconds_per_100_profiles) == (None, None)
