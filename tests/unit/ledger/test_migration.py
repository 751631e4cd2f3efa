"""A ledger that an older segsync wrote is migrated, with a copy beside it, and an import on it continues."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from segsync.errors import LedgerError
from segsync.ledger import batches, migration, runs
from segsync.ledger.database import reading
from segsync.ledger.identifiers import SentIdentifiers, add_identifiers
from segsync.ledger.migration import FORMAT
from segsync.ledger.profiles import ProfileOutcome
from segsync.models import Outcomes
from segsync.pipeline.plan import plan_resume
from tests.support.ledgers import HOST, open_ledger, rejected_in, replays_of

FILES = Path(__file__).parents[2] / "support" / "files"
"""An interrupted import of each older format: two pages, an open bulk upsert, one whose profiles are to be replayed."""

OUTCOMES = Outcomes(confirmed=4, sent=4, without_identifier=3, rejected=2, pending=3)


@pytest.fixture(params=range(1, FORMAT))
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return Path(shutil.copy(FILES / f"ledger-format-{request.param}.db", tmp_path / "segsync.db"))


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("PRAGMA user_version").fetchone()[0])


def test_it_is_migrated_and_a_private_copy_stays_beside_it(path: Path) -> None:
    older = version(path)
    with closing(sqlite3.connect(path)) as db:
        before = list(db.iterdump())
    with open_ledger(path) as ledger:
        assert ledger.backup == path.with_name("segsync.db.bak")
        [run] = ledger.read(runs.runs)
    assert (run.state, run.outcomes, run.offset, run.done_pages) == ("interrupted", OUTCOMES, "16", 2)
    assert (run.source.name, run.source.identity) == ("Segment", "spa_mine")
    assert version(path) == FORMAT
    backup = path.with_name("segsync.db.bak")
    assert version(backup) == older
    with closing(sqlite3.connect(backup)) as db:
        assert list(db.iterdump()) == before
    assert backup.stat().st_mode & 0o777 == 0o600
    with open_ledger(path) as ledger:
        assert ledger.backup is None
    assert len(list(path.parent.glob("*.bak*"))) == 1


def test_a_copy_that_is_there_already_is_not_replaced(path: Path) -> None:
    path.with_name("segsync.db.bak").write_text("mine")
    with open_ledger(path) as ledger:
        assert ledger.backup == path.with_name("segsync.db.bak2")
    assert path.with_name("segsync.db.bak").read_text() == "mine"


def test_a_migrated_import_continues_where_it_stood(path: Path) -> None:
    with open_ledger(path) as ledger:
        plan = plan_resume(ledger)
        assert plan is not None
        assert (plan.offset, plan.before, plan.expected) == ("16", OUTCOMES, 400)
        assert replays_of(ledger) == [3]
        [upsert] = ledger.read(partial(batches.open_upserts, since=0, most=10))
        members = ledger.read(partial(batches.members_of, batch=upsert.id))
        assert [member.segment_id for member in members] == ["use_11", "use_12", "use_13", "use_14"]
        assert members[0].digest == ledger.digest("user-11")
        ledger.read(partial(batches.end_batch, batch=upsert, rejections=[], again=[]))
        rows = ledger.read(lambda db: db.execute("SELECT segment_id, outcome FROM profiles").fetchall())
        assert (
            dict(rows).items()
            >= {
                "use_5": ProfileOutcome.REJECTED,
                "use_6": ProfileOutcome.REJECTED,
                **dict.fromkeys(("use_11", "use_12", "use_13", "use_14"), ProfileOutcome.CONFIRMED),
            }.items()
        )
        assert rejected_in(ledger, 1) == ["use_5", "use_6"]


async def test_a_migrated_ledger_knows_the_identifiers_that_are_sent_from_now_on(path: Path) -> None:
    with open_ledger(path) as ledger:
        known = SentIdentifiers(ledger)
        ledger.write(partial(add_identifiers, sent={"use_11": ledger.digest("user-11")}))
        assert await known.others([("new", "user-11"), ("other", "user-12")]) == {"new": ["use_11"]}


@pytest.mark.parametrize("path", [1], indirect=True)
def test_the_very_first_ledgers_did_not_know_how_many_profiles_there_would_be(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("ALTER TABLE runs DROP COLUMN expected")
        db.commit()
    with open_ledger(path) as ledger:
        assert ledger.read(partial(runs.one_run, run=1)).expected is None
        ledger.read(partial(runs.expect, run=1, profiles=300))
        assert ledger.read(partial(runs.one_run, run=1)).expected == 300


def test_a_reader_sees_it_migrated_and_changes_nothing(path: Path) -> None:
    before = path.read_bytes()
    with reading(path) as db:
        [run] = runs.runs(db)
    assert run.outcomes == OUTCOMES
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == ["segsync.db"]


@pytest.mark.parametrize("path", [2, 3], indirect=True)
def test_a_reader_copies_no_rows_of_profiles_where_the_format_has_all_it_asks_for(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migration, "migrated_copy", None)
    with reading(path) as db:
        assert [run.outcomes for run in runs.runs(db)] == [OUTCOMES]


def test_one_of_another_project_is_refused_and_left_as_it_is(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(LedgerError, match="belongs to imports into another Voucherify project"):
        open_ledger(path, application_id="another")
    assert path.read_bytes() == before
    assert not list(path.parent.glob("*.bak*"))


def test_where_the_copy_cannot_be_made_the_ledger_stays_as_it_is(path: Path) -> None:
    before = path.read_bytes()
    path.with_name("segsync.db.bak.new").mkdir()
    with pytest.raises(LedgerError, match="cannot be written"):
        open_ledger(path)
    assert path.read_bytes() == before


def test_a_migrated_ledger_belongs_to_the_host_that_it_was_opened_with(path: Path) -> None:
    open_ledger(path).close()
    with pytest.raises(LedgerError, match=f"belongs to imports into the Voucherify project at {HOST}, and not at"):
        open_ledger(path, host="https://us1.api.voucherify.io")
