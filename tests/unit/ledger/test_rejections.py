"""Rejections grouped by reason: the same reason is one group, and the groups add up."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segsync.errors import OutputError
from segsync.events import ResultUnknown
from segsync.ledger import batches, rejections
from segsync.ledger.database import Ledger
from segsync.ledger.profiles import ProfileOutcome, ProfileRow, save_profiles
from segsync.ledger.rejections import MOST_GROUPS, OTHERS, groups, same_for_all
from segsync.models import Outcomes, Rejection, RejectionGroup, Stage
from tests.support.ledgers import open_ledger

RUN = 1
NOT_FOUND = "Segment answered 404 (not_found) to GET /v1/…: Profile was not found."


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with open_ledger() as opened:
        yield opened


def reject(
    ledger: Ledger, segment_id: str, reason: str, *, stage: Stage = "read", run: int = RUN, page: int = 1
) -> None:
    rejection = Rejection(segment_id, "u1", stage, reason, "req_1")
    ledger.read(lambda db: rejections.add_rejection(db, run, page, rejection))
    ledger.read(lambda db: batches.finish_page(db, run, page, None, Outcomes(rejected=1)))


def grouped(ledger: Ledger, *runs: int, most_ids: int = 0) -> tuple[RejectionGroup, ...]:
    return ledger.read(lambda db: groups(db, runs or (RUN,), most_ids=most_ids))


def test_reasons_that_differ_in_ids_and_numbers_are_one_group_the_largest_first(ledger: Ledger) -> None:
    for number in range(4):
        reject(ledger, f"use_{number}", f"the bulk upsert aa_{number}f FAILED", stage="confirm")
    reject(ledger, "use_8", NOT_FOUND)
    reject(ledger, "use_9", NOT_FOUND)
    assert grouped(ledger) == (
        RejectionGroup("confirm", "the bulk upsert … FAILED", 4),
        RejectionGroup("read", NOT_FOUND, 2),
    )


def test_the_code_of_a_reason_comes_back_with_its_group(ledger: Ledger) -> None:
    for number, (words, code) in enumerate([("a", "too-large"), ("a", "too-large"), ("b", "refused"), ("c", None)]):
        rejection = Rejection(f"use_{number}", "u1", "map", f"{number} bytes of {words}", "req_1", code)
        ledger.read(partial(rejections.add_rejection, run=RUN, page=1, rejection=rejection))
    assert grouped(ledger) == (
        RejectionGroup("map", "… bytes of a", 2, code="too-large"),
        RejectionGroup("map", "2 bytes of b", 1, code="refused"),
        RejectionGroup("map", "3 bytes of c", 1),
    )


def test_a_reason_that_is_the_same_for_all_keeps_its_numbers(ledger: Ledger) -> None:
    for segment_id in ("use_1", "use_2"):
        reject(ledger, segment_id, "name has more than 255 characters", stage="confirm")
    assert grouped(ledger) == (RejectionGroup("confirm", "name has more than 255 characters", 2),)


def test_a_profile_that_is_rejected_in_two_runs_counts_in_both_or_once(ledger: Ledger) -> None:
    """The outcomes of the runs count it twice; `status` shows how many profiles need a look."""
    for run in (1, 2):
        reject(ledger, "use_1", NOT_FOUND, run=run)
    assert [group.profiles for group in grouped(ledger, 1, 2)] == [2]
    [once] = ledger.read(lambda db: groups(db, None))
    assert once.profiles == 1


def test_profiles_that_are_resolved_are_in_no_group_of_those_that_are_rejected_now(ledger: Ledger) -> None:
    for segment_id in ("use_1", "use_2"):
        reject(ledger, segment_id, NOT_FOUND)
    ledger.read(partial(save_profiles, rows=[ProfileRow("use_1", ProfileOutcome.CONFIRMED)]))
    [group] = ledger.read(lambda db: groups(db, None, most_ids=5))
    assert (group.profiles, group.segment_ids) == (1, ("use_2",))
    assert [each.profiles for each in grouped(ledger)] == [2], "the run's own numbers stay"


def test_the_same_reason_at_two_stages_is_two_groups(ledger: Ledger) -> None:
    reject(ledger, "use_1", "answered 400", stage="upsert")
    reject(ledger, "use_2", "answered 400", stage="confirm")
    assert {group.stage for group in grouped(ledger)} == {"upsert", "confirm"}


@pytest.mark.parametrize(
    ("reason", "same"),
    [
        ("Segment answered 404 to GET /v1/x", "Segment answered 404 to GET /v1/x"),
        ("12,345,678 bytes, more than the 10,485,760 that", "… bytes, more than the … that"),
        ("the bulk upsert aa_1f0c FAILED", "the bulk upsert … FAILED"),
        ("request 0f8fad5b-d9cb-469f-a165-70867728950e", "request …"),
        ("Voucherify refused 3 of 100 customers", "Voucherify refused … of … customers"),
        ("line_1 is required", "line_1 is required"),
        ("refused: <…> (…) was refused", "refused: … was refused"),
        ("refused: … was refused", "refused: … was refused"),
    ],
)
def test_what_differs_from_profile_to_profile_is_left_out(reason: str, same: str) -> None:
    assert same_for_all(reason) == same


@given(st.text())
def test_a_reason_without_what_differs_stays_so(reason: str) -> None:
    assert same_for_all(same_for_all(reason)) == same_for_all(reason)


def test_only_the_given_runs_count(ledger: Ledger) -> None:
    reject(ledger, "use_1", NOT_FOUND)
    reject(ledger, "use_2", NOT_FOUND, run=2)
    assert [group.profiles for group in grouped(ledger, 2)] == [1]
    assert [group.profiles for group in grouped(ledger, 1, 2)] == [2]
    assert ledger.read(lambda db: groups(db, ())) == ()


def test_however_many_reasons_there_are_the_groups_are_few_and_add_up(ledger: Ledger) -> None:
    words = [f"{chr(97 + number // 26)}{chr(97 + number % 26)}" for number in range(MOST_GROUPS + 50)]
    for number, word in enumerate(words):
        reject(ledger, f"use_{number}", f"because {word}")
    found = grouped(ledger, most_ids=2)
    assert len(found) == MOST_GROUPS + 1
    assert sum(group.profiles for group in found) == len(words)
    assert (found[0].reason, found[0].profiles, len(found[0].segment_ids)) == (OTHERS, 50, 2)


def test_nobody_is_named_unless_asked_and_then_at_most_as_many_as_asked(ledger: Ledger) -> None:
    for number in range(5):
        reject(ledger, f"use_{number}", NOT_FOUND)
    assert grouped(ledger)[0].segment_ids == ()
    assert grouped(ledger, most_ids=3)[0].segment_ids == ("use_0", "use_1", "use_2")


def test_the_ids_of_a_group_are_the_first_of_all_its_reasons_each_once(ledger: Ledger) -> None:
    for number in (3, 1, 2, 0):
        reject(ledger, f"use_{number}", f"the bulk upsert aa_{number} FAILED", stage="confirm")
    reject(ledger, "use_1", "the bulk upsert aa_1 FAILED", stage="confirm", page=2)
    [group] = grouped(ledger, most_ids=3)
    assert (group.profiles, group.segment_ids) == (5, ("use_0", "use_1", "use_2"))


async def test_a_ledger_that_could_not_be_written_can_still_be_asked(ledger: Ledger) -> None:
    reject(ledger, "use_1", NOT_FOUND)

    def full(_db: object) -> None:
        raise OutputError("The ledger cannot be written: disk full")

    with pytest.raises(OutputError):
        ledger.read(full)
    assert await ledger.ask_or_salvage(lambda db: groups(db, (RUN,))) == (RejectionGroup("read", NOT_FOUND, 1),)


def test_unknown_results_and_duplicates_are_no_rejections(ledger: Ledger) -> None:
    reject(ledger, "use_1", NOT_FOUND)
    result = ResultUnknown("use_2", 1, "forgotten", "req_2")
    ledger.read(lambda db: rejections.add_unknown(db, RUN, 1, result))
    [rejected] = grouped(ledger)
    assert (rejected.reason, rejected.profiles) == (NOT_FOUND, 1)
    unknown = ledger.read(lambda db: groups(db, (RUN,), rejections.IS_UNKNOWN, most_ids=5))
    assert unknown == (RejectionGroup("confirm", "forgotten", 1, ("use_2",)),)
