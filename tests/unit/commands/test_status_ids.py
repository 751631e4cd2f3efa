"""`status` of a ledger with runs of given ids."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from segsync.commands.status import Status, print_status, read_status
from segsync.events import PageDone
from segsync.ledger import recorder, runs
from segsync.ledger.database import Ledger
from segsync.ledger.runs import State
from segsync.models import Outcomes
from segsync.pipeline.chosen import ChosenIds
from segsync.pipeline.plan import plan_ids
from segsync.report.profile_lists import DUPLICATES, REJECTED
from tests.support.ledgers import open_ledger
from tests.unit.commands.endings import called
from tests.unit.ledger.steps import Story


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "segsync.db"


def imported(ledger: Ledger, state: State | None) -> None:
    """An import of a page, that ended so; None for one that was killed."""
    story = Story(ledger)
    story.page_done(1, without_identifier=3)
    ledger.read(partial(runs.keep_flags, run=story.run, flags=[["--limit", "100"]]))
    if state:
        ledger.read(partial(runs.end_run, run=story.run, state=state, error=None))


def with_ids(ledger: Ledger, state: State | None, name: str = "my ids.txt") -> None:
    """A run of three given ids that ended so; None for one that has not ended. Segment knows two if it is done."""
    with closing(ChosenIds(["ada", "bob", "eve"], name)) as chosen:
        [run] = plan_ids(ledger, chosen).runs
    ledger.read(partial(runs.keep_flags, run=run, flags=[["--quiet"]]))
    done, next_cursor = (2, None) if state == "done" else (1, "1")
    recorder.for_ids(ledger, run, is_followed=True).record(
        PageDone(1, "0", next_cursor, Outcomes(without_identifier=done))
    )
    if state:
        ledger.read(partial(runs.end_run, run=run, state=state, error=None))


def status_of(path: Path, import_state: State | None, ids_state: State | None, name: str = "my ids.txt") -> Status:
    with open_ledger(path) as ledger:
        imported(ledger, import_state)
        with_ids(ledger, ids_state, name)
    return read_status(path, called())


def test_the_next_step_is_that_of_the_import_where_it_is_not_finished(path: Path) -> None:
    status = status_of(path, "stopped", "done")
    assert (status.next_step, status.next_command) == ("To resume, run:", "python -m segsync --resume --limit 100")


def test_else_it_is_to_run_the_ids_again_where_they_are_not_done(path: Path) -> None:
    status = status_of(path, "done", "interrupted")
    assert status.next_step.startswith("The profiles of my ids.txt are not all done: 2 profiles left.")
    assert status.next_command == "python -m segsync --ids 'my ids.txt' --quiet"


def test_ids_from_standard_input_have_to_be_given_again(path: Path) -> None:
    status = status_of(path, "done", "interrupted", "-")
    assert status.next_step.endswith("not all done: 2 profiles left. Give the same ids again, which is safe.")
    assert status.next_command is None


def test_ids_of_another_command_have_to_be_given_again_too(path: Path) -> None:
    assert status_of(path, "done", "interrupted", "/dev/fd/63").next_command is None


@pytest.mark.parametrize("state", ["interrupted", "stopped", None])
def test_a_list_whose_ids_are_left_stays_as_it_is_until_they_are_read(path: Path, state: State | None) -> None:
    """It may be of another ledger, and all that names them."""
    given, other = path.with_name(REJECTED), path.with_name(DUPLICATES)
    for each in (given, other):
        each.write_text("segment_id\nada\nbob\neve\n")
    with open_ledger(path) as ledger:
        with_ids(ledger, state, str(given))
    print_status(path, as_json=True, writes_lists=True)
    assert (given.exists(), other.exists()) == (True, False)
    with open_ledger(path) as ledger:
        with_ids(ledger, "done", str(given))
    print_status(path, as_json=True, writes_lists=True)
    assert not given.exists()


@pytest.mark.parametrize("state", ["interrupted", "stopped"])
def test_from_another_folder_the_file_is_named_as_one_reaches_it(
    path: Path, tmp_path: Path, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with open_ledger(path) as ledger:
        with_ids(ledger, state, "lists/ids.txt")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    status = read_status(Path("../segsync.db"), called())
    assert status.next_command == "python -m segsync --ids ../lists/ids.txt --quiet"
    assert status.runs[0].ids_from == "../lists/ids.txt"


@pytest.mark.parametrize(("state", "name"), [("done", "ids.txt"), ("interrupted", "")])
def test_nothing_is_left_where_they_are_done_or_came_from_a_program(path: Path, state: State, name: str) -> None:
    status = status_of(path, "done", state, name)
    assert (status.next_step, status.next_command) == ("Nothing is left to do.", None)


def test_the_run_that_works_is_told_from_one_that_was_killed(path: Path) -> None:
    with open_ledger(path) as ledger:
        imported(ledger, None)
        with_ids(ledger, None)
        assert [run.state for run in read_status(path).runs] == ["running", "killed"]
    assert [run.state for run in read_status(path).runs] == ["killed", "killed"]
    with open_ledger(path) as ledger:
        ledger.read(partial(runs.resume_run, run=1))
        status = read_status(path)
        assert [run.state for run in status.runs] == ["interrupted", "running"]
        assert status.next_step == "An import is running."


def test_both_say_what_they_are(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_ledger(path) as ledger:
        with_ids(ledger, "done", "first.txt")
        with_ids(ledger, "done", "second.txt")
    print_status(path, as_json=False)
    printed = capsys.readouterr().out
    assert "Run 2 of the ids in second.txt: done" in printed
    assert "of the ids in first.txt: done, 2 profiles, 2 without identifier" in printed
    assert [run.outcomes for run in read_status(path).runs] == [Outcomes(without_identifier=2)] * 2


# --- ids that were not read ------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["interrupted", "stopped", None])
@pytest.mark.parametrize("import_state", ["done", "limited"])
def test_the_profiles_of_a_run_are_the_ids_that_were_given_also_after_a_kill(
    path: Path, state: State | None, import_state: State, capsys: pytest.CaptureFixture[str]
) -> None:
    status = status_of(path, import_state, state)
    assert (status.runs[0].profiles, status.runs[0].outcomes) == (3, Outcomes(without_identifier=1, pending=2))
    assert status.next_command == "python -m segsync --ids 'my ids.txt' --quiet"
    print_status(path, as_json=False)
    assert "all listed" not in capsys.readouterr().out


@pytest.mark.parametrize(("state", "is_left"), [("limited", True), ("done", False)])
def test_they_are_left_until_the_whole_space_is_imported(path: Path, state: State, is_left: bool) -> None:
    with open_ledger(path) as ledger:
        with_ids(ledger, None)
        imported(ledger, state)
    status = read_status(path, called())
    assert (status.next_command == "python -m segsync --ids 'my ids.txt' --quiet") == is_left
    assert status.runs[1].outcomes == Outcomes(without_identifier=1, pending=2)


def test_an_import_that_stopped_after_them_is_resumed_first(path: Path) -> None:
    with open_ledger(path) as ledger:
        with_ids(ledger, None)
        ledger.read(lambda db: db.execute("UPDATE runs SET began_at = '2026-01-01T00:00:00+00:00'"))
        imported(ledger, "stopped")
    assert read_status(path, called()).next_command == "python -m segsync --resume --limit 100"


def test_another_run_of_the_same_file_takes_their_place_and_one_of_another_file_does_not(path: Path) -> None:
    for name, is_left in (("my ids.txt", False), ("others.txt", True)):
        path.unlink(missing_ok=True)
        with open_ledger(path) as ledger:
            with_ids(ledger, None)
            with_ids(ledger, "done", name)
        status = read_status(path, called())
        assert (status.next_command == "python -m segsync --ids 'my ids.txt' --quiet") == is_left
        assert status.runs[1].state == "interrupted"
