"""The numbers that are counted from the events of an import: whatever happens, they add up to the profiles."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segsync.events import (
    ActionEnded,
    BatchSent,
    CallAnswered,
    CallRetried,
    DuplicateIdentifier,
    Event,
    PageDone,
    PageListed,
    PageReplayed,
    ProfileRead,
    ProfileRejected,
    ProfileWithoutIdentifier,
    ReadingEnded,
    ResultUnknown,
    SentProfile,
    Throttled,
    TraitLeftOut,
)
from segsync.models import Outcomes, Rejection, Stage
from segsync.report.counters import NOTHING_BEFORE, Counters


def sent(customers: int, action_id: str = "aa_1") -> BatchSent:
    return BatchSent(action_id, tuple(SentProfile(1, f"use_{each}", f"u{each}") for each in range(customers)))


def rejected(stage: Stage = "read") -> ProfileRejected:
    return ProfileRejected(Rejection("use_1", None, stage, "answered 404"), 1)


def counted(*events: Event, before: Outcomes = NOTHING_BEFORE, offset: str | None = "0") -> Counters:
    counters = Counters(offset, before)
    for event in events:
        counters.count(event)
    return counters


BEFORE = Outcomes(confirmed=500, sent=300, without_identifier=100, rejected=20, pending=80)


# --- what was before ------------------------------------------------------------------------------------------


def test_an_import_begins_with_nothing() -> None:
    counters = counted()
    assert counters.outcomes == counters.checkpointed == Outcomes()
    assert (counters.offset, counters.resume_offset) == ("0", "0")


def test_a_resumed_import_begins_with_the_outcomes_before_it() -> None:
    counters = counted(before=BEFORE, offset="1000")
    assert counters.outcomes == counters.checkpointed == counters.before == BEFORE
    assert counters.outcomes.profiles == 1000
    assert (counters.offset, counters.resume_offset) == ("1000", "1000")


def test_what_happens_is_added_to_what_was_before() -> None:
    happened = (PageListed("1000", 100), sent(60), ProfileWithoutIdentifier("use_1"), rejected())
    counters = counted(*happened, before=BEFORE, offset="1000")
    assert counters.outcomes == BEFORE + counted(*happened).outcomes
    assert counters.outcomes == Outcomes(confirmed=500, sent=360, without_identifier=101, rejected=21, pending=80 + 38)
    assert counters.before == BEFORE


def test_the_resume_point_and_what_lies_before_it_move_with_the_pages() -> None:
    outcomes = Outcomes(sent=70, without_identifier=29, rejected=1)
    counters = counted(PageListed("1000", 100), PageListed("1100", 100), before=BEFORE, offset="1000")
    assert (counters.resume_offset, counters.checkpointed) == ("1000", BEFORE)
    counters.count(PageDone(11, "1000", "1100", outcomes))
    assert (counters.resume_offset, counters.checkpointed) == ("1100", BEFORE + outcomes)
    counters.count(PageDone(12, "1100", None, outcomes))
    assert (counters.resume_offset, counters.checkpointed.profiles) == (None, 1200)


def test_profiles_read_are_those_of_earlier_processes_too() -> None:
    counters = counted(ProfileRead("use_1"), before=BEFORE)
    assert counters.read + counters.without_identifier == 500 + 300 + 100 + 20 + 1


def test_a_listing_that_is_complete_has_nothing_to_resume_from() -> None:
    assert counted(ActionEnded("aa_1", 300, 300), before=BEFORE, offset=None).resume_offset is None


# --- outcomes -------------------------------------------------------------------------------------------------


def test_customers_are_sent_until_their_upsert_has_ended_and_then_confirmed() -> None:
    counters = counted(PageListed("0", 100), sent(100))
    assert counters.outcomes == Outcomes(sent=100)
    counters.count(ReadingEnded(1))
    counters.count(ActionEnded("aa_1", 100, 100))
    assert counters.outcomes == Outcomes(confirmed=100)


def test_those_whom_an_upsert_refused_are_rejected_and_the_others_confirmed() -> None:
    counters = counted(PageListed("0", 100), sent(100), *[rejected("confirm")] * 3, ActionEnded("aa_1", 100, 97, 3))
    assert counters.outcomes == Outcomes(confirmed=97, rejected=3)


def test_one_upsert_that_ends_says_nothing_of_another() -> None:
    counters = counted(PageListed("0", 100), sent(60, "aa_1"), sent(40, "aa_2"), ActionEnded("aa_2", 40, 40))
    assert counters.outcomes == Outcomes(confirmed=40, sent=60)


def test_upserts_of_earlier_processes_can_end_in_this_one() -> None:
    counters = counted(rejected("confirm"), ActionEnded("aa_1", 300, 299, 1), before=BEFORE, offset="1000")
    assert counters.outcomes == Outcomes(confirmed=799, without_identifier=100, rejected=21, pending=80)


def test_customers_of_an_upsert_that_failed_are_pending_until_they_are_replayed() -> None:
    counters = counted(PageListed("0", 100), sent(100), ActionEnded("aa_1", 100, 0))
    assert counters.outcomes == Outcomes(pending=100)
    counters.count(PageReplayed(100, is_retry=False))
    assert counters.outcomes == Outcomes(pending=100)
    again: list[Event] = [sent(98, "aa_2"), rejected(), ProfileWithoutIdentifier("use_1")]
    for event in again:
        counters.count(event)
    assert counters.outcomes == Outcomes(sent=98, rejected=1, without_identifier=1)
    counters.count(ActionEnded("aa_2", 98, 98))
    assert counters.outcomes == Outcomes(confirmed=98, rejected=1, without_identifier=1)


def test_rejected_profiles_that_are_retried_are_pending_until_they_have_another_outcome() -> None:
    before = Outcomes(confirmed=900, rejected=100)
    counters = counted(PageReplayed(60, is_retry=True), before=before, offset=None)
    assert counters.outcomes == Outcomes(confirmed=900, rejected=40, pending=60)
    again: list[Event] = [sent(50), *[rejected()] * 9, ProfileWithoutIdentifier("use_1"), ActionEnded("aa_1", 50, 50)]
    for event in again:
        counters.count(event)
    assert counters.outcomes == Outcomes(confirmed=950, rejected=49, without_identifier=1)


DUPLICATE = DuplicateIdentifier("use_2", 1, "use_1", "aa_1")

FOUND_AT: dict[str, list[Event]] = {
    "sent": [DUPLICATE, ActionEnded("aa_1", 99, 99)],  # the ledger counts it no longer
    "while its result is read": [DUPLICATE, ActionEnded("aa_1", 100, 100)],
    "confirmed": [ActionEnded("aa_1", 100, 100), DUPLICATE],
    "pending": [
        *(ActionEnded("aa_1", 100, 0), DUPLICATE),
        *(PageReplayed(99, is_retry=False), sent(99, "aa_3"), ActionEnded("aa_3", 99, 99)),
    ],
}


@pytest.mark.parametrize("when", FOUND_AT)
def test_a_duplicate_that_was_sent_before_counts_as_that_in_the_end_whenever_it_is_found(when: str) -> None:
    counters = counted(PageListed("0", 101), sent(100), sent(1, "aa_2"), *FOUND_AT[when])
    assert counters.outcomes.duplicate == 1
    counters.count(ActionEnded("aa_2", 1, 1))
    assert counters.outcomes == Outcomes(confirmed=100, duplicate=1)


def test_a_duplicate_is_read_but_does_not_wait_to_be_sent() -> None:
    counters = counted(PageListed("0", 2), ProfileRead("use_1"), ProfileRead("use_2"))
    counters.count(DuplicateIdentifier("use_2", 1, "use_1"))
    assert (counters.outcomes, counters.waiting) == (Outcomes(duplicate=1, pending=1), 1)
    assert counters.profiles_read == Counters("0", Outcomes(duplicate=1, sent=1)).profiles_read == 2


def test_no_number_is_negative_where_the_end_of_an_upsert_is_unknown() -> None:
    """A full disk stops an import between the refusals of an upsert and its end."""
    counters = counted(PageListed("0", 100), sent(100), *[rejected("confirm")] * 3)
    assert counters.outcomes.profiles == 100
    assert counters.outcomes.pending >= 0


@dataclass
class Model:
    """Profiles, each with one outcome at a time, and the events of what happens to them."""

    before: Outcomes
    listed: int = field(init=False)
    waiting: int = 0
    failed: list[int] = field(default_factory=list)
    upserts: dict[str, int] = field(default_factory=dict)
    confirmed: int = field(init=False)
    without_identifier: int = field(init=False)
    rejected: int = field(init=False)

    def __post_init__(self) -> None:
        self.confirmed, self.rejected = self.before.confirmed, self.before.rejected
        self.unknown, self.duplicate = self.before.unknown, self.before.duplicate
        self.without_identifier = self.before.without_identifier
        self.failed += [self.before.pending] if self.before.pending else []
        self.upserts |= {"aa_before": self.before.sent} if self.before.sent else {}
        self.listed = self.before.profiles

    @property
    def outcomes(self) -> Outcomes:
        return Outcomes(
            confirmed=self.confirmed,
            sent=sum(self.upserts.values()),
            without_identifier=self.without_identifier,
            duplicate=self.duplicate,
            rejected=self.rejected,
            unknown=self.unknown,
            pending=self.waiting + sum(self.failed),
        )

    def some(self, most: int, data: st.DataObject) -> int:
        return data.draw(st.integers(0, most))

    def lists(self, data: st.DataObject) -> list[Event]:
        profiles = self.some(5, data)
        self.listed += profiles
        self.waiting += profiles
        return [PageListed("0", profiles)]

    def sends(self, data: st.DataObject) -> list[Event]:
        customers, action_id = self.some(self.waiting, data), f"aa_{len(self.upserts)}_{self.waiting}_{self.listed}"
        if not customers or action_id in self.upserts:
            return []
        self.waiting -= customers
        self.upserts[action_id] = customers
        return [*[ProfileRead("use_1")] * customers, sent(customers, action_id)]

    def rejects(self, data: st.DataObject) -> list[Event]:
        profiles = self.some(self.waiting, data)
        self.waiting -= profiles
        self.rejected += profiles
        return [rejected()] * profiles

    def finds_no_identifier(self, data: st.DataObject) -> list[Event]:
        profiles = self.some(self.waiting, data)
        self.waiting -= profiles
        self.without_identifier += profiles
        return [ProfileWithoutIdentifier("use_1")] * profiles

    def finds_duplicates(self, data: st.DataObject) -> list[Event]:
        profiles = self.some(self.waiting, data)
        self.waiting -= profiles
        self.duplicate += profiles
        return [DuplicateIdentifier("use_2", 1, "use_1")] * profiles

    def ends(self, data: st.DataObject) -> list[Event]:
        if not self.upserts:
            return []
        action_id = data.draw(st.sampled_from(sorted(self.upserts)))
        customers = self.upserts.pop(action_id)
        refused = self.some(customers, data)
        unknown = self.some(customers - refused, data)
        confirmed = customers - refused - unknown
        self.confirmed += confirmed
        self.rejected += refused
        self.unknown += unknown
        return [
            *[rejected("confirm")] * refused,
            *[ResultUnknown("use_1", 1, "forgotten")] * unknown,
            ActionEnded(action_id, customers, confirmed, refused, unknown=unknown),
        ]

    def fails(self, data: st.DataObject) -> list[Event]:
        if not self.upserts:
            return []
        action_id = data.draw(st.sampled_from(sorted(self.upserts)))
        customers = self.upserts.pop(action_id)
        self.failed.append(customers)
        return [ActionEnded(action_id, customers, 0)]

    def replays_what_failed(self, _data: st.DataObject) -> list[Event]:
        if not self.failed:
            return []
        profiles = self.failed.pop()
        self.waiting += profiles
        return [PageReplayed(profiles, is_retry=False)]

    def replays_what_was_rejected(self, data: st.DataObject) -> list[Event]:
        profiles = self.some(self.rejected, data)
        self.rejected -= profiles
        self.waiting += profiles
        return [PageReplayed(profiles, is_retry=True)]

    def replays_what_was_unknown(self, data: st.DataObject) -> list[Event]:
        profiles = self.some(self.unknown, data)
        self.unknown -= profiles
        self.waiting += profiles
        return [PageReplayed(profiles, is_retry=True, was_unknown=True)]

    def emits_something_else(self, _data: st.DataObject) -> list[Event]:
        return [
            CallAnswered("Segment", 429, 0.1),
            CallRetried("Segment", "429", 1, 1.0, 0.0),
            Throttled("Segment", 1.0),
            TraitLeftOut("use_1", "name", "is a list, not text"),
            ReadingEnded(1),
        ]


STEPS = (
    Model.lists,
    Model.sends,
    Model.rejects,
    Model.finds_no_identifier,
    Model.finds_duplicates,
    Model.ends,
    Model.fails,
    Model.replays_what_failed,
    Model.replays_what_was_rejected,
    Model.replays_what_was_unknown,
    Model.emits_something_else,
)
FEW = st.integers(0, 5)


@given(st.builds(Outcomes, *[FEW] * 7), st.lists(st.sampled_from(STEPS), max_size=40), st.data())
def test_the_outcomes_always_add_up(before: Outcomes, steps: list[object], data: st.DataObject) -> None:
    model, counters = Model(before), Counters("0", before)
    for step in steps:
        assert callable(step)
        for event in step(model, data):
            counters.count(event)
        assert counters.outcomes == model.outcomes
        assert counters.outcomes.profiles == model.listed


# --- calls and warnings ---------------------------------------------------------------------------------------


def test_calls_retries_and_429s_are_counted_by_service_and_traits_by_name() -> None:
    counters = counted(
        CallAnswered("Segment", 200, 0.1),
        CallAnswered("Segment", 429, 0.1),
        CallAnswered("Segment", None, 0.1),
        CallRetried("Segment", "429", 1, 1.0, 0.0),
        CallAnswered("Voucherify", 202, 0.1),
        TraitLeftOut("use_1", "birthdate", "is not an ISO 8601 date"),
        TraitLeftOut("use_2", "birthdate", "is not an ISO 8601 date"),
        TraitLeftOut("use_2", "name", "is a list, not text"),
    )
    segment, voucherify = counters.services["Segment"], counters.services["Voucherify"]
    assert (segment.calls, segment.retries, segment.rate_limited) == (3, 1, 1)
    assert (voucherify.calls, voucherify.retries, voucherify.rate_limited) == (1, 0, 0)
    assert counters.left_out == {"birthdate": 2, "name": 1}
    assert counters.problems == {("birthdate", "is not an ISO 8601 date"): 2, ("name", "is a list, not text"): 1}
    assert counters.warned_profiles == 2
