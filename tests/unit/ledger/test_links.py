"""A link to a ledger is the same ledger: whoever holds one holds both."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from segsync.commands.sandbox import _remove_ledger_of_last_sandbox
from segsync.errors import LedgerError
from segsync.ledger import sqlite_file
from segsync.ledger.database import reading
from segsync.ledger.sqlite_file import is_in_use
from segsync.report.list_writer import ProfileLists
from tests.support.ledgers import begin, open_ledger
from tests.unit.ledger.filled import ids_of_runs


@pytest.fixture(params=["beside", "another folder", "a chain", "relative"])
def link(request: pytest.FixtureRequest, path: Path) -> Path:
    """A link to the ledger."""
    folder = path.parent / "links"
    folder.mkdir()
    if request.param == "a chain":
        (folder / "first.db").symlink_to(path)
        (folder / "prod.db").symlink_to("first.db")
    elif request.param == "relative":
        (folder / "prod.db").symlink_to(Path("..") / path.name)
    elif request.param == "another folder":
        (folder / "prod.db").symlink_to(path)
    else:
        path.with_name("prod.db").symlink_to(path)
        return path.with_name("prod.db")
    return folder / "prod.db"


def test_a_second_import_is_refused_whichever_name_either_has(path: Path, link: Path) -> None:
    for first, second in ((path, link), (link, path)):
        with open_ledger(first):
            assert is_in_use(second)
            with pytest.raises(LedgerError, match=f"Another segsync uses the ledger {second} now"):
                open_ledger(second)
        assert not is_in_use(second)


def test_lists_of_the_same_ledger_are_written_in_turn(path: Path, link: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_ledger(path).close()
    monkeypatch.setattr(sqlite_file, "FOREIGN_LOCK_SECONDS", 0)
    with (
        closing(sqlite_file.locked(path, timeout_seconds=0, suffix=sqlite_file.LISTS_LOCK)),
        closing(ProfileLists(path.parent, link)) as lists,
    ):
        [problem] = lists.write_from(lambda: reading(link))
    assert str(link) in problem


def test_a_link_to_a_ledger_that_is_not_there_yet_makes_it(path: Path, link: Path) -> None:
    with open_ledger(link) as ledger:
        begin(ledger)
    with reading(path) as db:
        assert ids_of_runs(db) == [1]
    assert link.is_symlink()


def test_a_folder_in_the_place_of_the_lock_is_named_where_it_is(path: Path, link: Path) -> None:
    Path(f"{path}-lock").mkdir()
    with pytest.raises(LedgerError, match=f"The ledger {link} cannot be written: {path}-lock is a folder"):
        open_ledger(link)


def test_a_new_sandbox_leaves_a_ledger_that_is_in_use_and_the_one_behind_a_link(path: Path, link: Path) -> None:
    with open_ledger(path):
        _remove_ledger_of_last_sandbox(link)
        assert link.is_symlink()
    _remove_ledger_of_last_sandbox(link)
    assert (link.is_symlink(), path.exists()) == (False, True)
