"""What a run of given ids means for the runs beside it, given the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from segsync.errors import LedgerError
from segsync.events import BatchSent, ProfileRejected, SentProfile
from segsync.ledger import batches, recorder, runs
from segsync.ledger.database import Ledger
from segsync.ledger.runs import State
from segsync.models import Outcomes, Rejection
from segsync.pipeline.chosen import ChosenIds
from segsync.pipeline.plan import last_run, plan_ids, plan_new, plan_resume, plan_retry
from tests.support.ledgers import open_ledger, outcomes_of, run_of
from tests.unit.ledger.steps import Story


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with open_ledger() as opened:
        yield opened


def begin_ids(ledger: Ledger, *ids: str) -> int:
    with closing(ChosenIds(ids or ["ada"], "ids.txt")) as chosen:
        [run] = plan_ids(ledger, chosen).runs
    return run


def end(ledger: Ledger, run: int, state: State = "done") -> None:
    ledger.read(partial(runs.end_run, run=run, state=state, error=None))


def of_run(ledger: Ledger, run: int) -> None:
    """A profile of a page that is not done was sent, and another one is rejected."""
    record = recorder.for_ids(ledger, run, is_followed=True).record
    record(BatchSent("aa_1", (SentProfile(1, "ada", "ada@example.com"),)))
    record(ProfileRejected(Rejection("ben", None, "read", "answered 500"), 1))


def test_it_is_a_run_with_the_name_of_its_file_and_no_offset_to_resume_from(ledger: Ledger) -> None:
    run = run_of(ledger, begin_ids(ledger))
    assert (run.ids_from, run.is_listing, run.offset, run.state) == ("ids.txt", False, None, "running")


@pytest.mark.parametrize("state", ["done", "interrupted", "stopped"])
def test_it_is_not_what_a_resume_continues_nor_what_a_new_import_follows(ledger: Ledger, state: State) -> None:
    story = Story(ledger)
    story.sent("aa_1", (1, "ada"), (2, "ben"))
    story.page_done(1, sent=1)
    end(ledger, begin_ids(ledger), state)
    found = last_run(ledger)
    assert found
    assert (found.id, found.offset) == (story.run, "1")
    assert story.outcomes == Outcomes(sent=1), "nothing is counted of a page that a resume repeats"
    resumed = plan_resume(ledger)
    assert resumed
    assert (resumed.runs, resumed.offset, resumed.followed_since) == ((story.run,), "1", story.run)


def test_a_new_import_closes_the_books_of_the_import_before_it_and_not_those_of_the_ids(ledger: Ledger) -> None:
    story = Story(ledger)
    story.sent("aa_1", (1, "ada"), (2, "ben"))
    story.page_done(1, sent=1)
    end(ledger, begin_ids(ledger))
    plan_new(ledger, "0")
    assert story.outcomes == Outcomes(sent=2), "nobody will repeat the other page"


def test_on_a_new_ledger_there_is_nothing_to_resume_after_it(ledger: Ledger) -> None:
    end(ledger, begin_ids(ledger))
    assert (last_run(ledger), plan_resume(ledger)) == (None, None)


@pytest.mark.parametrize("what", ["ids", "resume", "retry"])
def test_what_a_killed_one_did_on_its_last_pages_counts_from_the_next_run_on(ledger: Ledger, what: str) -> None:
    first = Story(ledger)
    first.page_done(1)
    killed = begin_ids(ledger)
    of_run(ledger, killed)
    if what == "ids":
        begin_ids(ledger)
    else:
        assert (plan_resume if what == "resume" else plan_retry)(ledger)
    assert run_of(ledger, killed).state == "interrupted"
    assert outcomes_of(ledger, killed) == Outcomes(sent=1, rejected=1)


def test_what_an_interrupted_one_did_on_its_last_pages_counts_at_once(ledger: Ledger) -> None:
    run = begin_ids(ledger)
    of_run(ledger, run)
    end(ledger, run, "interrupted")
    assert outcomes_of(ledger, run) == Outcomes(sent=1, rejected=1)


def test_one_of_another_space_is_refused_while_an_import_is_unfinished_and_blocks_none_itself(tmp_path: Path) -> None:
    path = tmp_path / "segsync.db"
    with open_ledger(path) as ledger:
        run = begin_ids(ledger)
        ledger.read(lambda db: batches.finish_page(db, run, 1, None, Outcomes(rejected=1)))
        end(ledger, run, "interrupted")
    with open_ledger(path, space_id="spa_another") as ledger:
        plan_new(ledger, "0")
        story = Story(ledger)
        ledger.read(lambda db: runs.has_listed(db, story.run))
        begin_ids(ledger)
    with open_ledger(path) as ledger, pytest.raises(LedgerError, match="is from Segment spa_another, not from"):
        begin_ids(ledger)
