"""The command that `status` prints: as it was called, for the ledger it was asked about, with the flags of the run."""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from segsync.commands.next_steps import flags_to_keep
from segsync.commands.status import read_status
from segsync.ledger import runs
from segsync.ledger.runs import State
from tests.support.ledgers import begin, open_ledger
from tests.unit.commands.endings import called
from tests.unit.commands.test_status import play

STATES: list[tuple[State, dict[str, Any], list[str]]] = [
    ("interrupted", {"confirmed": 9}, ["--resume", "--limit", "100"]),
    ("stopped", {"confirmed": 9, "rejected": 1}, ["--resume", "--limit", "100"]),
    ("running", {"confirmed": 9}, ["--resume", "--limit", "100"]),
    ("limited", {"confirmed": 9}, ["--resume"]),
    ("done", {"confirmed": 9, "sent": 1}, ["--resume"]),
    ("done", {"confirmed": 9, "rejected": 1}, ["--retry-rejected"]),
    ("done", {"confirmed": 9, "unknown": 1}, ["--retry-rejected"]),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "my ledger.db"


def ran(path: Path, state: State, outcomes: dict[str, Any], *flags: str) -> None:
    """A run that was called with these flags, and ended so; "running" is one that was killed."""
    with open_ledger(path) as ledger:
        run = play(ledger, state=None if state == "running" else state, **outcomes)
        ledger.read(partial(runs.keep_flags, run=run, flags=flags_to_keep(called(*flags), path)))


@pytest.mark.parametrize(("state", "outcomes", "step"), STATES)
def test_the_flags_of_the_run_are_repeated_where_the_step_takes_them(
    path: Path, state: State, outcomes: dict[str, Any], step: list[str]
) -> None:
    ran(path, state, outcomes, "--offset", "7", "--limit", "100", "--env-file", "a.env", "--ledger", "as it was.db")
    command = read_status(path, called("--ledger", str(path))).next_command
    assert command == shlex.join(["python", "-m", "segsync", *step, "--env-file", "a.env", "--ledger", str(path)])


@pytest.mark.parametrize(("state", "outcomes", "step"), STATES)
def test_a_flag_that_status_was_given_wins_over_that_of_the_run(
    path: Path, state: State, outcomes: dict[str, Any], step: list[str]
) -> None:
    ran(path, state, outcomes, "--limit", "100", "--env-file", "a.env", "--quiet")
    command = read_status(path, called("--env-file", "b.env")).next_command
    assert command == shlex.join(["python", "-m", "segsync", *step, "--env-file", "b.env", "--quiet"])


def test_the_limit_of_a_run_that_reached_it_is_no_flag_of_the_rest(path: Path) -> None:
    ran(path, "limited", {"confirmed": 9}, "--limit", "100")
    assert read_status(path).next_command == shlex.join(["segsync", "--resume", "--ledger", str(path)])


def test_a_retry_takes_no_flag_of_the_run_that_it_excludes(path: Path) -> None:
    ran(path, "done", {"confirmed": 9, "rejected": 1}, "--limit", "100", "--profiles", "1000", "--no-confirm")
    assert read_status(path, called()).next_command == "python -m segsync --retry-rejected"


@pytest.mark.parametrize(
    ("here", "ledger", "lists", "command"),
    [
        (".", "data/a.db", "lists", "--directory lists --env-file a.env --summary-json - --log-file /var/log/a"),
        (
            "b",
            "../data/a.db",
            "../lists",
            "--directory ../lists --env-file ../a.env --summary-json - --log-file /var/log/a",
        ),
        ("data", "a.db", "../lists", "--directory ../lists --env-file ../a.env --summary-json - --log-file /var/log/a"),
    ],
)
def test_paths_of_a_run_are_named_as_one_reaches_them(
    tmp_path: Path, here: str, ledger: str, lists: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("data", "b"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path)
    flags = ("--directory", "lists", "--env-file", "a.env", "--summary-json", "-", "--log-file", "/var/log/a")
    ran(Path("data/a.db"), "interrupted", {"confirmed": 9}, *flags)
    monkeypatch.chdir(tmp_path / here)
    status = read_status(Path(ledger), called())
    assert status.next_command == f"python -m segsync --resume {command}"
    assert status.lists == lists


def test_without_an_import_the_command_begins_one(path: Path) -> None:
    open_ledger(path).close()
    command = read_status(path, called("--ledger", str(path), "--env-file", "a.env")).next_command
    assert command == shlex.join(["python", "-m", "segsync", "--ledger", str(path), "--env-file", "a.env"])


@pytest.mark.parametrize("state", ["interrupted", "limited"])
def test_no_command_resumes_the_import_of_a_sandbox(path: Path, state: State) -> None:
    ran(path, state, {"confirmed": 9}, "--sandbox", "--limit", "100")
    status = read_status(path, called("--ledger", str(path)))
    assert (status.next_step, status.next_command) == (
        "Its sandbox ended with the import, which cannot be resumed.",
        None,
    )


def test_an_older_ledger_knows_no_flags(path: Path) -> None:
    files = Path(__file__).parents[2] / "support" / "files"
    for number in (1, 2, 3):
        path.write_bytes((files / f"ledger-format-{number}.db").read_bytes())
        assert read_status(path, called()).next_command == "python -m segsync --resume"


def test_the_flags_of_the_last_process_are_those_that_count(path: Path) -> None:
    with open_ledger(path) as ledger:
        run = play(ledger, state="interrupted", confirmed=9)
        for flags in ([["--limit", "5"], ["--quiet"]], [["--batch-size", "7"]]):
            ledger.read(partial(runs.keep_flags, run=run, flags=flags))
    assert read_status(path, called()).next_command == "python -m segsync --resume --batch-size 7"


def test_a_run_that_listed_nothing_leaves_the_flags_of_the_one_before(path: Path) -> None:
    with open_ledger(path) as ledger:
        first = play(ledger, state="interrupted", confirmed=9)
        second = begin(ledger)
        ledger.read(partial(runs.keep_flags, run=first, flags=[["--limit", "100"]]))
        ledger.read(partial(runs.keep_flags, run=second, flags=[["--batch-size", "7"]]))
        ledger.read(partial(runs.end_run, run=second, state="stopped", error="answered 401"))
    assert read_status(path, called()).next_command == "python -m segsync --resume --limit 100"
