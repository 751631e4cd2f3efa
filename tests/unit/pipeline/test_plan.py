"""What an import has to do, given what the ledger holds."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from sqlite3 import Connection

import pytest

from segsync.events import BatchSent, PageDone, ProfileRejected, SentProfile
from segsync.ledger import batches, recorder, runs
from segsync.ledger.database import Ledger
from segsync.ledger.runs import State
from segsync.models import Outcomes, Rejection
from segsync.pipeline.plan import last_run, plan_new, plan_resume, plan_retry
from tests.support.ledgers import SPACE, open_ledger, outcomes_of, rejected_in

PAGE = 10


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with open_ledger() as opened:
        yield opened


class Listing:
    """A run of pages of ten profiles, of which nine are sent and the last one is rejected."""

    def __init__(self, ledger: Ledger, offset: str = "0", *, resumed: bool = False) -> None:
        plan = plan_resume(ledger) if resumed else plan_new(ledger, offset)
        assert plan is not None
        assert plan.offset is not None
        self.ledger, self.plan, self.run, self.offset = ledger, plan, plan.runs[0], int(plan.offset)
        self.record = recorder.for_listing(ledger, self.run, done_pages=plan.done_pages, is_followed=True).record
        self.pages = 0

    def page(self, *, is_last: bool = False, is_done: bool = True) -> str:
        """List the next page; the action id of its batch."""
        self.pages += 1
        ids = [f"use_{self.offset + i:04}" for i in range(PAGE)]
        action_id = f"aa_{self.run}_{self.offset}"
        sent = tuple(SentProfile(self.pages, each, f"{each}@example.com") for each in ids[:-1])
        self.record(BatchSent(action_id, sent))
        self.record(ProfileRejected(Rejection(ids[-1], None, "read", "answered 404"), self.pages))
        if is_done:
            cursor, self.offset = str(self.offset), self.offset + PAGE
            next_cursor = None if is_last else str(self.offset)
            self.record(PageDone(self.pages, cursor, next_cursor, Outcomes(sent=PAGE - 1, rejected=1)))
        return action_id

    def end(self, state: State) -> None:
        self.ledger.read(partial(runs.end_run, run=self.run, state=state, error=None))


def end_batch(ledger: Ledger, action_id: str, *, failed: bool = False) -> None:
    def change(db: Connection) -> None:
        batch = next(each for each in batches.open_upserts(db, 0, 1000) if each.action_id == action_id)
        batches.end_batch(db, batch, [], batches.members_of(db, batch.id) if failed else [])

    ledger.read(change)


def followed(ledger: Ledger, since: int) -> list[str]:
    return [each.action_id for each in ledger.read(partial(batches.open_upserts, since=since, most=1000))]


def test_a_new_import_begins_at_its_offset(ledger: Ledger) -> None:
    plan = plan_new(ledger, "0")
    assert (plan.kind, plan.runs, plan.offset, plan.before, plan.done_pages) == ("new", (1,), "0", Outcomes(), 0)
    assert plan.begins_anew
    assert plan.has_work
    behind = plan_new(ledger, "500")
    assert (behind.runs, behind.offset, behind.begins_anew) == ((2,), "500", False)


def test_there_is_nothing_to_resume_or_to_retry_on_a_new_ledger(ledger: Ledger) -> None:
    assert last_run(ledger) is None
    assert plan_resume(ledger) is None
    assert not plan_retry(ledger).has_work


def test_a_resume_goes_on_behind_the_last_done_page(ledger: Ledger) -> None:
    listing = Listing(ledger)
    for _ in range(3):
        listing.page()
    listing.page(is_done=False)
    plan = plan_resume(ledger)
    assert plan is not None
    assert (plan.kind, plan.runs, plan.offset, plan.done_pages) == ("resume", (1,), "30", 3)
    assert plan.before == Outcomes(sent=27, rejected=3)
    assert plan.has_work
    assert not plan.begins_anew
    assert followed(ledger, plan.followed_since) == ["aa_1_0", "aa_1_10", "aa_1_20"]


def test_a_resume_of_a_run_without_a_done_page_begins_anew(ledger: Ledger) -> None:
    Listing(ledger).page(is_done=False)
    plan = plan_resume(ledger)
    assert plan is not None
    assert (plan.offset, plan.begins_anew, plan.before) == ("0", True, Outcomes())


def test_a_resume_of_one_that_began_at_an_offset_adds_to_the_files(ledger: Ledger) -> None:
    Listing(ledger, "500")
    plan = plan_resume(ledger)
    assert plan is not None
    assert (plan.offset, plan.begins_anew) == ("500", False)


def test_when_all_is_listed_a_resume_reads_the_results_and_then_has_no_work(ledger: Ledger) -> None:
    listing = Listing(ledger)
    action_id = listing.page(is_last=True)
    listing.end("interrupted")
    plan = plan_resume(ledger)
    assert plan is not None
    assert (plan.offset, plan.has_work, followed(ledger, plan.followed_since)) == (None, True, [action_id])
    end_batch(ledger, action_id)
    listing.end("done")
    plan = plan_resume(ledger)
    assert plan is not None
    assert not plan.has_work
    run = last_run(ledger)
    assert run is not None
    assert (run.state, run.is_unfinished) == ("done", False)
    assert run.ended_at is not None


def test_a_done_run_with_upserts_to_repeat_has_work(ledger: Ledger) -> None:
    listing = Listing(ledger)
    action_id = listing.page(is_last=True)
    listing.end("done")
    end_batch(ledger, action_id, failed=True)
    plan = plan_resume(ledger)
    assert plan is not None
    assert plan.has_work
    assert plan.before == Outcomes(rejected=1, pending=9)


def test_a_limit_counts_over_all_of_a_run(ledger: Ledger) -> None:
    listing = Listing(ledger)
    assert listing.plan.left_of(None) is None
    assert listing.plan.left_of(25) == 25
    listing.page()
    listing.page()
    plan = plan_resume(ledger)
    assert plan is not None
    assert [plan.left_of(limit) for limit in (None, 25, 20, 15)] == [None, 5, 0, 0]


def test_a_limited_run_is_finished_and_a_resume_goes_on_behind_it(ledger: Ledger) -> None:
    listing = Listing(ledger)
    listing.page()
    listing.end("limited")
    run = last_run(ledger)
    assert run is not None
    assert not run.is_unfinished
    plan = plan_resume(ledger)
    assert plan is not None
    assert (plan.has_work, plan.offset) == (True, "10")


@pytest.mark.parametrize("state", ["running", "interrupted", "stopped"])
def test_one_that_was_to_do_more_is_unfinished_if_it_did_something(ledger: Ledger, state: State) -> None:
    listing = Listing(ledger)
    listing.end(state)
    run = last_run(ledger)
    assert run is not None
    assert not run.is_unfinished
    listing.page()
    run = last_run(ledger)
    assert run is not None
    assert run.is_unfinished


def test_a_run_at_an_offset_still_follows_the_upserts_of_the_one_that_crashed_before_it(ledger: Ledger) -> None:
    crashed = Listing(ledger).page()
    behind = Listing(ledger, "10")
    theirs = behind.page(is_last=True)
    assert followed(ledger, behind.plan.followed_since) == [crashed, theirs]
    behind.end("done")
    plan = plan_resume(ledger)
    assert plan is not None
    assert (plan.runs, plan.has_work, plan.offset) == ((2,), True, None)
    assert followed(ledger, plan.followed_since) == [crashed, theirs]


def test_a_new_run_from_the_first_page_makes_the_older_ones_obsolete_once_it_has_a_page(ledger: Ledger) -> None:
    old = Listing(ledger).page()
    anew = Listing(ledger)
    assert old not in followed(ledger, anew.plan.followed_since)
    assert plan_retry(ledger).runs == (1,)
    action_id = anew.page()
    plan = plan_resume(ledger)
    assert plan is not None
    assert followed(ledger, plan.followed_since) == [action_id]
    assert plan_retry(ledger).runs == (2,)


def test_a_run_without_a_done_page_does_not_hide_that_the_one_before_is_unfinished(ledger: Ledger) -> None:
    unfinished = Listing(ledger)
    unfinished.page()
    Listing(ledger).page(is_done=False)
    plan = plan_resume(ledger)
    assert plan is not None
    assert (plan.runs, plan.offset, plan.before) == ((1,), "10", Outcomes(sent=9, rejected=1))


def test_after_a_finished_one_it_is_resumed_itself(ledger: Ledger) -> None:
    finished = Listing(ledger)
    finished.page(is_last=True)
    finished.end("done")
    Listing(ledger)
    plan = plan_resume(ledger)
    assert plan is not None
    assert (plan.runs, plan.offset, plan.before) == ((2,), "0", Outcomes())


def test_a_retry_takes_the_rejected_profiles_of_the_runs_that_belong_together(ledger: Ledger) -> None:
    Listing(ledger).page()
    Listing(ledger).page()
    Listing(ledger, "10").page()
    Listing(ledger, "20")
    plan = plan_retry(ledger)
    assert (plan.kind, plan.runs, plan.offset, plan.followed_since) == ("retry", (2, 3), None, 2)
    assert (plan.before, plan.has_work) == (Outcomes(sent=18, rejected=2), True)


def test_a_retry_counts_a_profile_once_that_two_runs_rejected(ledger: Ledger) -> None:
    first, again = Listing(ledger), Listing(ledger)
    first.page()
    first.page()
    again.page()
    plan = plan_retry(ledger)
    assert (plan.runs, plan.before.rejected, plan.retried) == ((1, 2), 3, Outcomes(rejected=2))


def test_a_retry_begins_no_run(ledger: Ledger) -> None:
    listing = Listing(ledger)
    listing.page(is_last=True)
    listing.end("done")
    plan_retry(ledger)
    run = last_run(ledger)
    assert run is not None
    assert (run.id, run.state) == (1, "done")


def test_a_retry_leaves_out_profiles_on_a_page_that_a_resume_repeats(ledger: Ledger) -> None:
    """Such a profile is not counted as rejected now, and must not be counted twice later."""
    listing = Listing(ledger)
    listing.page(is_done=False)
    for run in plan_retry(ledger).runs:
        retry = recorder.for_retry(ledger, run, is_followed=True)
        for segment_id in rejected_in(ledger, run):
            retry.record(ProfileRejected(Rejection(segment_id, None, "read", "answered 404"), 1))
    assert outcomes_of(ledger, listing.run) == Outcomes()
    resumed = Listing(ledger, resumed=True)
    resumed.page(is_last=True)
    assert outcomes_of(ledger, listing.run) == Outcomes(sent=9, rejected=1)


def replay(ledger: Ledger, since: int) -> None:
    """Replay all failed upserts of the runs from `since` on; all of them succeed."""
    for replay in ledger.read(partial(batches.replays, since=since)):
        record = recorder.for_replays(ledger, replay.run, [replay.batch], is_followed=True).record
        members = ledger.read(partial(batches.members_of, batch=replay.batch))
        sent = [SentProfile(1, each.segment_id, each.segment_id) for each in members if each.counts]
        record(BatchSent(f"aa_replay_{replay.batch}", tuple(sent)))
        record(PageDone(1, "", None, Outcomes(sent=len(sent))))


def test_what_a_crashed_run_did_beyond_its_done_pages_counts_once_no_resume_can_repeat_it(
    ledger: Ledger,
) -> None:
    """One of its upserts fails then, and the next run replays it."""
    crashed = Listing(ledger)
    crashed.page()
    action_id = crashed.page(is_done=False)
    assert outcomes_of(ledger, crashed.run) == Outcomes(sent=9, rejected=1)
    since = Listing(ledger, "20").plan.followed_since
    assert outcomes_of(ledger, crashed.run) == Outcomes(sent=18, rejected=2)
    end_batch(ledger, action_id, failed=True)
    assert outcomes_of(ledger, crashed.run) == Outcomes(sent=9, rejected=2, pending=9)
    replay(ledger, since)
    assert outcomes_of(ledger, crashed.run) == Outcomes(sent=18, rejected=2)
    end_batch(ledger, "aa_replay_2")
    assert outcomes_of(ledger, crashed.run) == Outcomes(confirmed=9, sent=9, rejected=2)


def test_a_replay_cut_short_by_a_crash_counts_once_when_the_next_run_repeats_it(ledger: Ledger) -> None:
    crashed = Listing(ledger)
    action_id = crashed.page()
    end_batch(ledger, action_id, failed=True)
    replays = recorder.for_replays(ledger, crashed.run, [1], is_followed=True)
    replays.record(BatchSent("aa_half", (SentProfile(1, "use_0000", "ada"),)))
    replays.record(ProfileRejected(Rejection("use_0001", None, "read", "answered 500"), 1))
    replay(ledger, Listing(ledger, "10").plan.followed_since)
    for open_one in followed(ledger, 0):
        end_batch(ledger, open_one)
    assert outcomes_of(ledger, crashed.run) == Outcomes(confirmed=9, rejected=1)


# --- expected number -------------------------------------------------------------------------------------


def test_a_resume_knows_the_expected_number_of_profiles_and_a_new_run_does_not(ledger: Ledger) -> None:
    listing = Listing(ledger)
    assert listing.plan.expected is None
    ledger.write(partial(runs.expect, run=listing.run, profiles=300))
    listing.page()
    listing.end("interrupted")
    resumed = plan_resume(ledger)
    assert resumed is not None
    assert resumed.expected == 300
    assert plan_new(ledger, "0").expected is None


def test_a_run_of_another_source_that_listed_nothing_is_no_obstacle(tmp_path: Path) -> None:
    """As where the space id is mistyped, and then corrected."""
    path = tmp_path / "segsync.db"
    with open_ledger(path, space_id="spa_typo") as ledger:
        plan_new(ledger, "0")
    with open_ledger(path) as ledger:
        assert plan_resume(ledger) is None
        plan = plan_new(ledger, "0")
        ledger.read(lambda db: runs.has_listed(db, plan.runs[0]))
    with open_ledger(path) as ledger:
        resumed = plan_resume(ledger)
        assert resumed is not None
        assert resumed.runs == plan.runs
        assert ledger.read(runs.runs)[0].source.identity == SPACE
