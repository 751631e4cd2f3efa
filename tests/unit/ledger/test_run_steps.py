"""The state of a run in the ledger after the steps of a single history."""

from __future__ import annotations

from functools import partial

import pytest

from segsync.events import ProfileWithoutIdentifier
from segsync.ledger import batches, rejections, runs
from segsync.ledger.database import Ledger
from segsync.models import Outcomes
from tests.support.ledgers import run_of
from tests.unit.ledger.steps import Story, open_upserts


def rejected_now(ledger: Ledger) -> set[str]:
    return {letter.segment_id for letter in ledger.read(lambda db: [*rejections.unresolved(db)])}


@pytest.fixture
def story(ledger: Ledger) -> Story:
    return Story(ledger)


def test_customers_of_a_page_that_is_repeated_count_once_and_so_do_their_late_refusals(story: Story) -> None:
    story.sent("aa_1", (1, "ada"), (1, "ben"), (2, "cyd"), (2, "dan"))
    story.page_done(1, sent=2)
    assert story.outcomes == Outcomes(sent=2)
    assert story.crash().outcomes == Outcomes(sent=2)
    story.sent("aa_2", (1, "cyd"), (1, "dan"))
    story.page_done(1, sent=2)
    assert story.outcomes == Outcomes(sent=4)
    story.done("aa_1", "ada", "cyd")
    assert story.outcomes == Outcomes(confirmed=1, sent=2, rejected=1)
    story.done("aa_2", "cyd")
    assert story.outcomes == Outcomes(confirmed=2, rejected=2)


def test_a_batch_all_of_whose_pages_are_repeated_is_not_followed_any_more(story: Story) -> None:
    story.sent("aa_1", (1, "ada"))
    story.page_done(1, sent=1)
    story.sent("aa_2", (2, "ben"), (3, "cyd"))
    story.crash()
    assert [each.action_id for each in open_upserts(story.ledger)] == ["aa_1"]


def test_a_refusal_on_a_page_that_is_not_done_counts_once_it_is(story: Story) -> None:
    story.sent("aa_1", (1, "ada"), (1, "ben"))
    story.done("aa_1", "ben")
    assert story.outcomes == Outcomes()
    story.page_done(1, sent=3)  # and a third one, of another batch
    story.sent("aa_2", (1, "cyd"))
    assert story.outcomes == Outcomes(confirmed=1, sent=1, rejected=1)


def test_replayed_profiles_are_pending_until_every_one_has_its_outcome(story: Story) -> None:
    story.sent("aa_1", (1, "ada"), (1, "ben"), (1, "cyd"))
    story.page_done(1, sent=3)
    batch = story.failed("aa_1")
    assert story.outcomes == Outcomes(pending=3)
    story.replay(batch)
    story.sent("aa_2", (1, "ada"))
    story.rejected(1, "ben")
    assert story.outcomes == Outcomes(pending=3)
    assert story.crash().outcomes == Outcomes(pending=3)
    story.replay(batch)
    story.rejected(1, "ben")
    story.record(ProfileWithoutIdentifier("cyd"))
    story.sent("aa_3", (1, "ada"))
    story.page_done(1, sent=1, without_identifier=1, rejected=1)
    assert story.outcomes == Outcomes(sent=1, without_identifier=1, rejected=1)
    assert [each.action_id for each in open_upserts(story.ledger)] == ["aa_3"]
    assert story.crash().outcomes == Outcomes(sent=1, without_identifier=1, rejected=1)
    story.done("aa_3")
    assert story.outcomes == Outcomes(confirmed=1, without_identifier=1, rejected=1)


def test_a_rejected_profile_that_is_retried_has_the_outcome_of_the_retry(story: Story) -> None:
    for name in ("ada", "ben", "cyd", "dan"):
        story.rejected(1, name)
    story.page_done(1, rejected=4)
    story.retry()
    story.sent("aa_1", (1, "ada"), (1, "ben"))
    assert story.outcomes == Outcomes(sent=2, rejected=2)
    story.record(ProfileWithoutIdentifier("cyd"))
    story.rejected(1, "dan")
    story.page_done(1, sent=2, without_identifier=1, rejected=1)
    assert story.crash().outcomes == Outcomes(sent=2, without_identifier=1, rejected=1)
    story.done("aa_1", "ben")
    assert story.outcomes == Outcomes(confirmed=1, without_identifier=1, rejected=2)
    assert rejected_now(story.ledger) == {"ben", "dan"}


def test_a_profile_that_is_listed_twice_adds_up_after_a_retry_that_fails(story: Story) -> None:
    """Segment lists by recent activity: a profile that becomes active is moved, and may be listed once more."""
    story.rejected(1, "ada")
    story.page_done(1, rejected=1)
    story.rejected(2, "ada")
    story.page_done(2, rejected=1)
    assert story.outcomes == Outcomes(rejected=2)
    story.retry()
    story.rejected(1, "ada")
    assert story.outcomes == Outcomes(rejected=2)


def test_customers_of_upserts_whose_results_are_not_read_stay_sent(story: Story) -> None:
    story.follow(is_followed=False)
    story.sent("aa_1", (1, "ada"), (2, "ben"))
    story.page_done(1, sent=1)
    assert open_upserts(story.ledger) == []
    assert not story.ledger.read(runs.has_open_ends)
    assert story.crash().outcomes == Outcomes(sent=1)


def test_a_run_holds_how_it_ended_and_is_running_again_when_it_is_resumed(story: Story) -> None:
    story.ledger.read(partial(runs.end_run, run=story.run, state="stopped", error="Segment is away"))
    ended = run_of(story.ledger, story.run)
    assert (ended.state, ended.error, ended.ended_at is None) == ("stopped", "Segment is away", False)
    resumed = story.crash()
    assert (resumed.state, resumed.error, resumed.ended_at) == ("running", None, None)


def test_runs_belong_together_since_the_last_that_began_at_the_first_page_and_has_a_page_done(ledger: Ledger) -> None:
    first, behind = Story(ledger), Story(ledger, "500")
    for story, name in ((first, "ada"), (behind, "ben")):
        story.rejected(1, name)
        story.sent(f"aa_{name}", (1, f"{name}-2"))
    since = runs.first_current_run
    assert ledger.read(since) == 0
    behind.page_done(1, sent=1, rejected=1)
    assert ledger.read(since) == 0
    first.page_done(1, sent=1, rejected=1)
    assert ledger.read(since) == first.run
    anew = Story(ledger)
    assert ledger.read(since) == first.run
    assert rejected_now(ledger) == {"ada", "ben"}
    anew.page_done(1)
    assert ledger.read(since) == anew.run
    assert rejected_now(ledger) == {"ada", "ben"}, "they stay until they are resolved"
    assert not ledger.read(runs.has_open_ends)
    assert ledger.read(partial(batches.count_open, since=0)) == (2, 2)
    assert ledger.read(partial(batches.count_open, since=anew.run)) == (0, 0)
