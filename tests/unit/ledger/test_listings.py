"""Who is on the pages of a run, for a listing that begins anew."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from segsync.ledger import batches, listings, runs
from segsync.ledger.database import Ledger, reading
from segsync.ledger.migration import FORMAT
from segsync.models import Outcomes
from tests.support.ledgers import begin, open_ledger, run_of


def add_page(
    ledger: Ledger, run: int, number: int, *ids: str, next_cursor: str | None = "x", done: bool = True
) -> None:
    digests = b"".join(map(ledger.digest, ids))
    ledger.read(partial(listings.add_page, run=run, number=number, digests=digests))
    if done:
        outcomes = Outcomes(sent=len(ids))
        ledger.read(partial(batches.finish_page, run=run, number=number, next_cursor=next_cursor, outcomes=outcomes))


def done_among(ledger: Ledger, *ids: str) -> list[str]:
    digests = {ledger.digest(each): each for each in ids}
    found = ledger.read(partial(listings.done_among, digests=list(digests)))
    return sorted(digests[each] for each in found)


def test_done_are_the_profiles_of_done_pages_of_this_run_alone(ledger: Ledger) -> None:
    earlier, run = begin(ledger), begin(ledger)
    add_page(ledger, earlier, 1, "a", "z")
    add_page(ledger, run, 1, "a", "b")
    add_page(ledger, run, 2)
    add_page(ledger, run, 3, "c", done=False)
    assert ledger.read(partial(listings.look_up_done, run=run, done_pages=2)) == 2
    assert done_among(ledger, "a", "b", "c", "z", "new") == ["a", "b"]
    assert ledger.read(partial(listings.look_up_done, run=run, done_pages=3)) == 3
    assert done_among(ledger, "a", "b", "c", "z", "new") == ["a", "b", "c"]


def test_a_page_that_is_listed_again_after_a_crash_takes_the_place_of_the_one_before(ledger: Ledger) -> None:
    run = begin(ledger)
    add_page(ledger, run, 1, "a", "b", done=False)
    add_page(ledger, run, 1, "b", "c")
    assert ledger.read(partial(listings.look_up_done, run=run, done_pages=1)) == 2
    assert done_among(ledger, "a", "b", "c") == ["b", "c"]


def test_a_run_has_begun_anew_once_a_page_leads_to_its_first_cursor(ledger: Ledger) -> None:
    run = begin(ledger, "500")
    add_page(ledger, run, 1, "a", next_cursor="600")
    assert not ledger.read(partial(listings.began_anew, run=run))
    add_page(ledger, run, 2, next_cursor="500")
    add_page(ledger, run, 3, "b", next_cursor="600")
    assert ledger.read(partial(listings.began_anew, run=run))
    assert run_of(ledger, run).offset == "600"


def listed(ledger: Ledger) -> list[tuple[int, int]]:
    return ledger.read(lambda db: db.execute("SELECT run, number FROM listed ORDER BY 1, 2").fetchall())


def test_pages_are_kept_no_longer_than_a_resume_may_need_them(ledger: Ledger) -> None:
    first, second, third = begin(ledger), begin(ledger), begin(ledger)
    for run in (first, second, third):
        add_page(ledger, run, 1, "a")
    ledger.read(partial(listings.forget_before, run=second))
    assert listed(ledger) == [(second, 1), (third, 1)]
    ledger.read(partial(runs.end_run, run=second, state="limited", error=None))
    ledger.read(partial(runs.end_run, run=third, state="stopped", error="away"))
    assert listed(ledger) == [(second, 1), (third, 1)]
    ledger.read(partial(runs.end_run, run=third, state="done", error=None))
    assert listed(ledger) == [(second, 1)]


@pytest.fixture
def of_format_2(path: Path) -> Path:
    with open_ledger(path) as ledger:
        run = begin(ledger)
        add_page(ledger, run, 1, "a", "b", next_cursor="2")
    with closing(sqlite3.connect(path)) as db:
        db.execute("DROP TABLE listed")
        db.execute("PRAGMA user_version=2")
        db.commit()
    return path


def test_a_ledger_of_format_2_is_migrated_and_goes_on(of_format_2: Path) -> None:
    with reading(of_format_2) as db:
        [run] = runs.runs(db)
    assert (run.offset, run.outcomes) == ("2", Outcomes(confirmed=2))
    with open_ledger(of_format_2) as ledger:
        assert ledger.backup == of_format_2.with_name("segsync.db.bak")
        assert ledger.read(runs.runs) == [run]
        assert ledger.read(partial(listings.look_up_done, run=run.id, done_pages=1)) == 0
        add_page(ledger, run.id, 2, "c")
    with closing(sqlite3.connect(of_format_2)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (FORMAT,)
