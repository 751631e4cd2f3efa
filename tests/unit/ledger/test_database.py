"""The ledger as a file: who may see it, who may use it, and what it never holds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from segsync.errors import LedgerError, SegsyncError
from segsync.ledger import batches, rejections, runs
from segsync.ledger.batches import Member
from segsync.ledger.database import reading
from segsync.ledger.sqlite_file import is_in_use
from segsync.models import Rejection
from tests.support.ledgers import APPLICATION, begin, open_ledger
from tests.unit.ledger.filled import SOURCE, fill, ids_of_runs, note, notes


def mode(path: Path) -> str:
    return oct(path.stat().st_mode & 0o777)


# --- who may see it -------------------------------------------------------------------------------------------


def test_a_new_ledger_and_all_that_lies_beside_it_is_for_its_owner_alone(path: Path) -> None:
    umask = os.umask(0)
    try:
        with open_ledger(path) as ledger:
            fill(ledger, 1)
            modes = {each.name: mode(each) for each in path.parent.iterdir()}
        assert {"segsync.db", "segsync.db-lock", "segsync.db-wal"} <= modes.keys()
        assert set(modes.values()) == {"0o600"}
    finally:
        os.umask(umask)


@pytest.mark.parametrize("was_there", ["empty", "ledger"])
def test_a_ledger_that_was_open_to_all_is_for_its_owner_alone_when_it_is_used(path: Path, was_there: str) -> None:
    path.touch()
    if was_there == "ledger":
        open_ledger(path).close()
    path.chmod(0o644)
    with open_ledger(path) as ledger:
        fill(ledger, 1)
        modes = {each.name: mode(each) for each in path.parent.iterdir()}
    assert {"segsync.db", "segsync.db-wal"} <= modes.keys()
    assert set(modes.values()) == {"0o600"}, modes


def test_a_temporary_ledger_leaves_nothing_behind(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    with open_ledger() as ledger:
        fill(ledger)
        assert ledger.read(ids_of_runs) == [1]
    assert list(path.parent.iterdir()) == []


# --- where it cannot be written -------------------------------------------------------------------------------


def test_a_directory_is_not_a_ledger(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=f"The ledger {tmp_path} cannot be written"):
        open_ledger(tmp_path)


def test_a_directory_that_is_not_there_is_named_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "away" / "segsync.db"
    with pytest.raises(LedgerError, match=f"{path} cannot be written: No such file or directory"):
        open_ledger(path)
    assert not path.parent.exists()


def test_a_lock_that_cannot_be_made_is_named_at_the_start(path: Path) -> None:
    path.with_name("segsync.db-lock").mkdir()
    with pytest.raises(LedgerError, match=f"{path} cannot be written"):
        open_ledger(path)


def test_a_ledger_that_may_only_be_read_is_refused(path: Path) -> None:
    with open_ledger(path) as ledger:
        ledger.read(lambda db: db.execute("PRAGMA query_only=1"))
        with pytest.raises(LedgerError, match=f"{path} cannot be written: attempt to write a readonly database"):
            begin(ledger)


def test_there_is_nothing_to_read_where_no_import_has_run(path: Path) -> None:
    with pytest.raises(LedgerError, match=f"no ledger at {path}.*--ledger"), reading(path):
        pass
    assert list(path.parent.iterdir()) == []


# --- one import at a time -------------------------------------------------------------------------------------

HOLD = """
import sys
from pathlib import Path
from tests.support.ledgers import open_ledger
with open_ledger(Path(sys.argv[1])):
    print("open", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held_by_another_process(path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        try:
            yield process
        finally:
            process.kill()


def test_imports_from_several_sources_may_use_a_ledger_one_after_the_other(path: Path) -> None:
    for space_id in ("spa_mine", "spa_other"):
        with open_ledger(path, space_id=space_id) as ledger:
            begin(ledger)
    with reading(path) as db:
        assert [run.source.identity for run in runs.runs(db)] == ["spa_other", "spa_mine"]


def test_a_second_import_on_the_same_ledger_is_refused_until_the_first_has_ended(path: Path) -> None:
    with open_ledger(path) as first:
        first.write(note("1"))
        with pytest.raises(LedgerError, match=f"Another segsync uses the ledger {path} now.*--ledger"):
            open_ledger(path)
        assert is_in_use(path)  # and looking has not taken it from the first
        first.write(note("2"))
    assert not is_in_use(path)
    with open_ledger(path) as second:
        assert second.read(notes) == ["1", "2"]


def test_an_import_of_another_process_is_refused_too_and_a_killed_one_holds_nothing(path: Path) -> None:
    with held_by_another_process(path) as process:
        assert is_in_use(path)
        with pytest.raises(LedgerError, match="Another segsync uses"):
            open_ledger(path)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not is_in_use(path)
        with open_ledger(path) as ledger:
            fill(ledger, 1)


def test_nobody_uses_a_ledger_that_is_not_there(path: Path) -> None:
    assert not is_in_use(path)
    assert list(path.parent.iterdir()) == []


def test_it_can_be_read_while_an_import_writes_it_and_shows_one_moment(path: Path) -> None:
    with open_ledger(path) as ledger:
        ledger.read(note("1"))
        with reading(path) as db:
            assert notes(db) == ["1"]
            ledger.read(note("2"))
            assert notes(db) == ["1"]
        with reading(path) as db:
            assert notes(db) == ["1", "2"]


def test_a_reader_changes_nothing(path: Path) -> None:
    open_ledger(path).close()
    before = path.read_bytes()
    with pytest.raises(SegsyncError), reading(path) as db:
        runs.begin_run(db, "0", SOURCE)
    assert path.read_bytes() == before
    assert {each.name for each in path.parent.iterdir()} == {"segsync.db", "segsync.db-lock"}


# --- what is never in it --------------------------------------------------------------------------------------


def test_a_source_id_is_recognized_but_not_stored(path: Path) -> None:
    source_id = "ada.lovelace@example.com"
    with open_ledger(path) as ledger:
        run = begin(ledger)
        members = [Member(1, "use_1", ledger.digest(source_id))]
        ledger.read(lambda db: batches.add_batch(db, run, "aa_1", members, attempt=1, is_followed=True))
        rejection = Rejection("use_2", source_id, "map", "cannot be written in JSON", None)
        ledger.read(partial(rejections.add_rejection, run=run, page=1, rejection=rejection))
        seen = b"".join(each.read_bytes() for each in path.parent.iterdir())
    assert b"use_1" in seen
    assert b"use_2" in seen
    seen += b"".join(each.read_bytes() for each in path.parent.iterdir())
    for secret in (source_id, "lovelace@", APPLICATION):
        assert secret.encode() not in seen
    with open_ledger(path) as ledger:
        [member] = ledger.read(partial(batches.members_of, batch=1))
        assert member.digest == ledger.digest(source_id)


def test_the_digest_of_another_project_is_another() -> None:
    with open_ledger() as mine, open_ledger(application_id="app-of-another") as other:
        assert mine.digest("ada") != other.digest("ada")
        assert mine.digest("ada") != mine.digest("Ada")
        assert mine.digest("\ud800") != mine.digest("\udfff")
