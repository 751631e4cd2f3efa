"""Which profiles are rejected now: dead letters stay until they are resolved, whichever run they are from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from segsync.events import DuplicateIdentifier, ProfileWithoutIdentifier
from segsync.ledger import runs
from segsync.ledger.database import Ledger
from segsync.ledger.rejections import IS_DUPLICATE, IS_REJECTED, IS_UNKNOWN, DeadLetter, unresolved
from segsync.models import Outcomes
from tests.support.ledgers import open_ledger
from tests.unit.ledger.steps import Story, end_batch, members_of


def letters(
    ledger: Ledger, kind: str = IS_REJECTED, *, run: int | None = None, after: str | None = None, most: int = -1
) -> list[DeadLetter]:
    return ledger.read(lambda db: [*unresolved(db, kind, run=run, after=after, most=most)])


def names(
    ledger: Ledger, kind: str = IS_REJECTED, *, run: int | None = None, after: str | None = None, most: int = -1
) -> list[str]:
    return [letter.segment_id for letter in letters(ledger, kind, run=run, after=after, most=most)]


def rejecting(ledger: Ledger, *profiles: str, reason: str = "who knows") -> Story:
    """A run in which these profiles are rejected."""
    story = Story(ledger)
    for each in profiles:
        story.rejected(1, each, reason)
    story.page_done(1, rejected=len(profiles))
    return story


def test_a_run_from_the_beginning_leaves_the_dead_letters_of_earlier_ones_as_they_are(ledger: Ledger) -> None:
    first = rejecting(ledger, "ada", "ben")
    second = Story(ledger)
    second.sent("aa_1", (1, "cyd"))
    second.page_done(1, sent=1)
    second.done("aa_1")
    assert letters(ledger) == [DeadLetter(each, first.run, "read", "who knows", None) for each in ("ada", "ben")]


def confirmed(story: Story) -> None:
    story.sent("aa_1", (1, "ada"))
    story.page_done(1, sent=1)
    story.done("aa_1")


def sent_and_not_followed(story: Story) -> None:
    story.follow(is_followed=False)
    story.sent("aa_1", (1, "ada"))
    story.page_done(1, sent=1)


def found_without_identifier(story: Story) -> None:
    story.record(ProfileWithoutIdentifier("ada"))
    story.page_done(1, without_identifier=1)


@pytest.mark.parametrize("outcome", [confirmed, sent_and_not_followed, found_without_identifier])
def test_a_dead_letter_is_resolved_by_another_outcome_in_a_later_run(
    ledger: Ledger, outcome: Callable[[Story], None]
) -> None:
    rejecting(ledger, "ada", "ben")
    outcome(Story(ledger))
    assert names(ledger) == ["ben"]


def test_a_profile_that_is_sent_again_stays_a_dead_letter_until_its_result_is_read(ledger: Ledger) -> None:
    """Whoever loses the result otherwise loses the profile."""
    rejecting(ledger, "ada")
    second = Story(ledger)
    second.sent("aa_1", (1, "ada"))
    second.page_done(1, sent=1)
    assert names(ledger) == ["ada"]
    second.done("aa_1")
    assert names(ledger) == []


def test_one_that_is_rejected_in_several_runs_comes_once_with_the_last_reason(ledger: Ledger) -> None:
    first = rejecting(ledger, "ada", "ben", reason="the first reason")
    second = rejecting(ledger, "ada", reason="the second reason")
    found = letters(ledger)
    assert [(each.segment_id, each.reason) for each in found] == [
        ("ada", "the second reason"),
        ("ben", "the first reason"),
    ]
    assert (names(ledger, run=first.run), names(ledger, run=second.run)) == (["ben"], ["ada"])


def test_a_retry_that_is_sent_resolves_the_dead_letters_of_all_runs_until_it_is_refused_again(ledger: Ledger) -> None:
    rejecting(ledger, "ada", "ben")
    second = rejecting(ledger, "ada", "ben")
    second.retry()
    second.sent("aa_1", (1, "ada"), (1, "ben"))
    assert names(ledger) == []
    second.done("aa_1", "ben")
    assert [(each.segment_id, each.run, each.stage) for each in letters(ledger)] == [("ben", second.run, "confirm")]


def test_what_a_resume_repeats_is_forgotten_so_what_was_before_it_holds_again(ledger: Ledger) -> None:
    first = rejecting(ledger, "ada")
    second = Story(ledger)
    second.rejected(1, "ada", "another reason")
    second.rejected(1, "ben")
    assert [(each.segment_id, each.run) for each in letters(ledger)] == [("ada", first.run)]
    counted = Outcomes(rejected=2)
    ledger.read(lambda db: runs.end_run(db, second.run, "interrupted", None, counted))
    reported = [("ada", second.run), ("ben", second.run)]
    assert [(each.segment_id, each.run) for each in letters(ledger)] == reported, "as the run has said"
    second.crash()
    assert [(each.segment_id, each.run) for each in letters(ledger)] == [("ada", first.run)]
    second.rejected(1, "ada", "another reason")
    second.page_done(1, rejected=1)
    assert [(each.segment_id, each.run) for each in letters(ledger)] == [("ada", second.run)]


def test_unknown_results_and_duplicates_are_asked_for_apart(ledger: Ledger) -> None:
    story = rejecting(ledger, "ada")
    story.sent("aa_1", (2, "ben"))
    story.record(DuplicateIdentifier("cyd", 2, "ada"))
    story.page_done(2, sent=1)
    batch = story.batch("aa_1")
    end_batch(ledger, batch, forgotten=members_of(ledger, batch.id))
    assert (names(ledger), names(ledger, IS_UNKNOWN), names(ledger, IS_DUPLICATE)) == (["ada"], ["ben"], ["cyd"])
    later = Story(ledger)
    later.rejected(1, "ben")
    later.page_done(1, rejected=1)
    assert (names(ledger), names(ledger, IS_UNKNOWN)) == (["ada", "ben"], [])


def test_they_come_in_portions_each_once(ledger: Ledger) -> None:
    everybody = ["", *(f"use_{number:03}" for number in range(249))]
    story = rejecting(ledger, *everybody)
    story.rejected(2, everybody[7])  # it was listed twice
    story.page_done(2, rejected=1)
    portions: list[list[str]] = []
    after = None
    while portion := names(ledger, after=after, most=100):
        portions.append(portion)
        after = portion[-1]
    assert [len(portion) for portion in portions] == [100, 100, 50]
    assert [name for portion in portions for name in portion] == everybody


def test_portions_are_read_by_an_index_also_of_a_ledger_that_was_made_without_it(path: Path) -> None:
    with open_ledger(path) as ledger:
        ledger.read(lambda db: db.execute("DROP INDEX rejections_by_profile"))
        rejecting(ledger, "ada")
        assert names(ledger) == ["ada"]
    with open_ledger(path) as ledger:
        statements: list[str] = []
        ledger.read(lambda db: db.set_trace_callback(statements.append))
        assert names(ledger) == ["ada"]
        [query] = [each for each in statements if "max(run)" in each]
        steps = str(ledger.read(lambda db: db.execute(f"EXPLAIN QUERY PLAN {query}").fetchall()))
        assert "rejections_by_profile" in steps
        assert "TEMP B-TREE" not in steps
