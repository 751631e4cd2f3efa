"""What a profile comes to that several runs have rejected: it counts in each of them, and each adds up."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from segsync.events import DuplicateIdentifier, ProfileWithoutIdentifier
from segsync.ledger import recorder, runs
from segsync.ledger.database import Ledger
from segsync.models import Outcomes
from tests.support.ledgers import outcomes_of
from tests.unit.ledger.steps import Story, end_batch, members_of


def rejecting(ledger: Ledger) -> Story:
    """A run from the beginning with three profiles, of which it confirms one and rejects two."""
    story = Story(ledger)
    story.sent(f"aa_{story.run}", (1, "ada"))
    story.rejected(1, "ben")
    story.rejected(1, "cyd")
    story.page_done(1, sent=1, rejected=2)
    story.done(f"aa_{story.run}")
    return story


def confirmed(story: Story) -> None:
    story.sent("aa_retry", (1, "ben"))
    story.done("aa_retry")


def not_followed(story: Story) -> None:
    story.record = recorder.for_retry(story.ledger, story.run, is_followed=False).record
    story.sent("aa_retry", (1, "ben"))


def without_identifier(story: Story) -> None:
    story.record(ProfileWithoutIdentifier("ben"))
    story.rejected(1, "cyd")  # what is not sent is written with what comes behind it


def duplicate(story: Story) -> None:
    story.record(DuplicateIdentifier("ben", 1, "ada"))


def forgotten(story: Story) -> None:
    story.sent("aa_retry", (1, "ben"))
    batch = story.batch("aa_retry")
    end_batch(story.ledger, batch, forgotten=members_of(story.ledger, batch.id))


@pytest.mark.parametrize(
    ("outcome", "outcomes"),
    [
        (confirmed, Outcomes(confirmed=2, rejected=1)),
        (not_followed, Outcomes(confirmed=1, sent=1, rejected=1)),
        (without_identifier, Outcomes(confirmed=1, without_identifier=1, rejected=1)),
        (duplicate, Outcomes(confirmed=1, duplicate=1, rejected=1)),
        (forgotten, Outcomes(confirmed=1, unknown=1, rejected=1)),
    ],
)
def test_what_a_retry_comes_to_counts_in_every_run_that_had_rejected_the_profile(
    ledger: Ledger, outcome: Callable[[Story], None], outcomes: Outcomes
) -> None:
    first, second = rejecting(ledger), rejecting(ledger)
    second.retry()
    outcome(second)
    assert [outcomes_of(ledger, run) for run in (first.run, second.run)] == [outcomes, outcomes]


def test_a_retry_whose_result_is_not_read_yet_changes_nothing_in_the_other_runs(ledger: Ledger) -> None:
    first, second = rejecting(ledger), rejecting(ledger)
    second.retry()
    second.sent("aa_retry", (1, "ben"))
    assert outcomes_of(ledger, first.run) == Outcomes(confirmed=1, rejected=2)
    assert outcomes_of(ledger, second.run) == Outcomes(confirmed=1, sent=1, rejected=1)
    second.done("aa_retry", "ben")
    assert outcomes_of(ledger, first.run) == outcomes_of(ledger, second.run) == Outcomes(confirmed=1, rejected=2)


def test_within_one_run_a_profile_that_is_listed_twice_counts_for_each_of_its_pages(ledger: Ledger) -> None:
    story = rejecting(ledger)
    story.sent("aa_again", (2, "ben"))
    story.page_done(2, sent=1)
    story.done("aa_again")
    assert story.outcomes == Outcomes(confirmed=2, rejected=2)


def test_results_of_a_retry_are_read_though_its_run_is_of_an_import_before_the_present_one(ledger: Ledger) -> None:
    first = rejecting(ledger)
    second = rejecting(ledger)
    assert ledger.read(runs.first_followed_run) == second.run
    assert not ledger.read(runs.has_open_ends)
    first.retry()
    first.sent("aa_retry", (1, "ben"))
    assert ledger.read(runs.first_followed_run) == first.run
    assert ledger.read(runs.has_open_ends)
    first.failed("aa_retry")
    assert ledger.read(runs.first_followed_run) == first.run
