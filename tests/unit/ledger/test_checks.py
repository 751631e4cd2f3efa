"""What a ledger keeps of checks: by the settings they were made with, for whoever begins an import on it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from segsync.commands.status import read_status
from segsync.errors import LedgerError
from segsync.ledger.checks import keep, last_check, read_last_check, settings_key
from segsync.ledger.database import Ledger
from segsync.models import LastCheck
from segsync.pipeline.plan import plan_new, plan_resume, plan_retry
from tests.support.configured import settings
from tests.support.ledgers import begin, open_ledger

FOUND = LastCheck("2026-11-28T10:00:00+00:00", 230, ("plan", "Größe", "a,b"), "METADATA_TRAITS=*")
CHECKED: dict[str, Any] = {"metadata_traits": "tier,plan=level", "attribute_traits": "phone=mobile,birthdate=dob"}


def keep_in(ledger: Ledger, found: LastCheck = FOUND, **given: Any) -> None:
    ledger.read(partial(keep, key=settings_key(ledger, settings(**given)), found=found))


def kept_in(ledger: Ledger, **given: Any) -> LastCheck | None:
    return ledger.read(partial(last_check, key=settings_key(ledger, settings(**given))))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "segsync.db"


def test_the_last_check_with_the_same_settings_is_found_again(path: Path) -> None:
    with open_ledger(path) as ledger:
        assert kept_in(ledger, **CHECKED) is None
        keep_in(ledger, LastCheck("2026-11-01T10:00:00+00:00", 1), **CHECKED)
        keep_in(ledger, **CHECKED)
        keep_in(ledger, LastCheck("2026-11-29T10:00:00+00:00", 2))
    with open_ledger(path) as ledger:
        assert kept_in(ledger, **CHECKED) == FOUND
        assert kept_in(ledger) == LastCheck("2026-11-29T10:00:00+00:00", 2)


@pytest.mark.parametrize(
    "changed",
    [
        {"metadata_traits": "tier"},
        {"metadata_traits": "tier,plan"},
        {"metadata_traits": "*,tier,plan=level"},
        {"attribute_traits": ""},
        {"attribute_traits": "phone=mobile,birthdate=day"},
        {"identifier_saved_as_source_id": "email"},
        {"identifier_lookup": "traits"},
    ],
)
def test_one_with_other_settings_is_not(path: Path, changed: dict[str, str]) -> None:
    with open_ledger(path) as ledger:
        keep_in(ledger, **CHECKED)
        assert kept_in(ledger, **{**CHECKED, **changed}) is None
        assert kept_in(ledger, **CHECKED, concurrency=3, metadata_undefined="drop", batch_size=7) == FOUND
        swapped = {"metadata_traits": "plan=level,tier", "attribute_traits": "birthdate=dob,phone=mobile"}
        assert kept_in(ledger, **swapped) == FOUND


def test_one_of_another_space_is_not(path: Path) -> None:
    with open_ledger(path) as ledger:
        keep_in(ledger)
    with open_ledger(path, space_id="spa_other") as ledger:
        assert kept_in(ledger) is None


async def test_a_ledger_that_cannot_be_written_any_more_gives_what_it_has(path: Path) -> None:
    def fails(_db: sqlite3.Connection) -> None:
        raise LedgerError("full")

    with open_ledger(path) as ledger:
        keep_in(ledger)
        with pytest.raises(LedgerError):
            ledger.read(fails)
        assert await read_last_check(ledger, settings()) == FOUND


def test_no_import_has_run_on_a_ledger_that_only_a_check_has_touched(path: Path) -> None:
    with open_ledger(path) as ledger:
        keep_in(ledger)
    status = read_status(path)
    assert (status.runs, status.next_step.startswith("No import has run yet")) == ([], True)
    with open_ledger(path) as ledger:
        assert plan_resume(ledger) is None
        assert not plan_retry(ledger).has_work
        plan = plan_new(ledger, "0")
        assert (plan.kind, plan.begins_anew, plan.followed_since) == ("new", True, 1)


@pytest.mark.parametrize(
    "other", [{"application_id": "another"}, {"host": "https://us1.api.voucherify.io"}, {"space_id": "spa_other"}]
)
def test_such_a_ledger_goes_to_the_project_that_begins_an_import(path: Path, other: dict[str, str]) -> None:
    with open_ledger(path) as ledger:
        keep_in(ledger)
    with open_ledger(path, **other) as ledger:
        if "host" not in other:  # the same space and project there: what was found is true of it
            assert kept_in(ledger) is None
        begin(ledger)
    with open_ledger(path, **other) as ledger:
        begin(ledger)
    if "space_id" not in other:
        with pytest.raises(LedgerError, match="belongs to imports into"):
            open_ledger(path)


def test_no_trait_and_no_application_id_is_in_it(path: Path) -> None:
    with open_ledger(path) as ledger:
        keep_in(ledger, **CHECKED)
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT length(settings), traits, names, setting FROM checks").fetchall()
    assert rows == [(8, 230, '["plan","Größe","a,b"]', "METADATA_TRAITS=*")]
