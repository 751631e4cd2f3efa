"""`status` writes the lists of profiles, counts warnings, and says what an interrupted run said."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

import pytest

from segsync.commands.next_steps import flags_to_keep
from segsync.commands.status import print_status, read_status
from segsync.errors import OutputError
from segsync.events import ProfileWithoutIdentifier, TraitLeftOut
from segsync.ledger import runs
from segsync.models import Outcomes
from segsync.report.profile_lists import DUPLICATES, REJECTED, WARNINGS, WITHOUT_IDENTIFIER
from tests.support.ledgers import begin, open_ledger
from tests.unit.commands.endings import called
from tests.unit.ledger.steps import Story


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "segsync.db"


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "400")


def warn(path: Path) -> None:
    with open_ledger(path) as ledger:
        story = Story(ledger)
        story.record(TraitLeftOut("use_1", "phone", "is a list"))
        story.record(TraitLeftOut("use_1", "birthdate", "is not an ISO 8601 date"))
        story.record(TraitLeftOut("use_2", "phone", "is a list"))
        story.sent("aa_1", (1, "use_1"), (1, "use_2"))
        story.rejected(1, "use_bad")
        story.page_done(1, sent=2, rejected=1)


def test_the_warnings_are_counted_with_their_unit(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    warn(path)
    status = read_status(path)
    assert (status.warnings, status.warned_profiles) == ({"phone": 2, "birthdate": 1}, 2)
    print_status(path, as_json=False)
    assert f"in 2 profiles of this ledger: {path.with_name(WARNINGS)}" in capsys.readouterr().out


def test_the_other_lists_are_named_beside_what_they_hold(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_ledger(path) as ledger:
        story = Story(ledger)
        story.record(ProfileWithoutIdentifier("use_2"))
        story.rejected(1, "use_bad")
        story.page_done(1, without_identifier=1, rejected=1)
    print_status(path, as_json=False)
    shown = capsys.readouterr().out
    assert re.search(rf"Without identifier +1 +{re.escape(str(path.with_name(WITHOUT_IDENTIFIER)))}", shown)
    assert re.search(rf"Rejected +1 +{re.escape(str(path.with_name(REJECTED)))}", shown)
    assert DUPLICATES not in shown, "there are none"


def test_lists_of_the_working_directory_are_named_without_it(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    warn(path)
    monkeypatch.chdir(path.parent)
    print_status(Path(path.name), as_json=False)
    assert re.search(r"Warnings +3 +in 2 profiles of this ledger: profiles-with-warnings.csv", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("of_the_run", "of_status", "expected"),
    [
        ((), (), "data"),
        ((), ("--directory", "."), "."),
        (("--directory", "lists"), (), "lists"),
        (("--directory", "lists"), ("--directory", "others"), "others"),
        (("--sandbox",), (), "data"),
        (("--sandbox", "--directory", "lists"), (), "lists"),
    ],
)
def test_they_go_where_those_of_the_last_run_went(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    of_the_run: tuple[str, ...],
    of_status: tuple[str, ...],
    expected: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    ledger_file = Path("data/segsync.db")
    with open_ledger(ledger_file) as ledger:
        flags = flags_to_keep(called(*of_the_run), ledger_file)
        ledger.read(partial(runs.keep_flags, run=begin(ledger), flags=flags))
    assert read_status(ledger_file, called(*of_status)).lists == expected


@pytest.mark.parametrize("as_json", [False, True])
def test_it_writes_the_lists(path: Path, tmp_path: Path, as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    path = path.with_name("prod.db")
    warn(path)
    directory = tmp_path / "lists"
    directory.mkdir()
    print_status(path, as_json=as_json, command=called("--directory", str(directory)), writes_lists=True)
    assert {each.name for each in directory.iterdir()} == {f"prod-{REJECTED}", f"prod-{WARNINGS}"}
    assert (f"prod-{WARNINGS}" in capsys.readouterr().out) is not as_json


def test_a_list_that_cannot_be_written_is_an_error_once_the_status_is_printed(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    warn(path)
    command = called("--directory", str(tmp_path / "nowhere"))
    with pytest.raises(OutputError, match=f"nowhere/{REJECTED} cannot be written: No such.*Nothing is lost"):
        print_status(path, as_json=True, command=command, writes_lists=True)
    assert json.loads(capsys.readouterr().out)["warned_profiles"] == 2


def test_an_interrupted_run_has_what_it_said_of_the_pages_that_are_not_done(path: Path) -> None:
    with open_ledger(path) as ledger:
        story = Story(ledger)
        story.sent("aa_1", (1, "use_1"))
        story.page_done(1, sent=1)
        story.rejected(2, "use_2")
        assert story.outcomes == Outcomes(sent=1), "as after a kill"
        counted = Outcomes(sent=3, without_identifier=1, rejected=1, pending=1)
        ledger.write(partial(runs.end_run, run=story.run, state="interrupted", error=None, outcomes=counted))
        story.done("aa_1")
        confirmed = Outcomes(confirmed=1, sent=2, without_identifier=1, rejected=1, pending=1)
        [run] = read_status(path).runs
        assert (run.outcomes, run.profiles) == (confirmed, 6)
        assert story.crash().outcomes == Outcomes(confirmed=1), "a resume repeats those pages"
