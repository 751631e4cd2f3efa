"""The commands that the command line prints before an import begins: they are those that the user would type."""

from __future__ import annotations

import json
import shlex
import sys
from functools import partial
from pathlib import Path

import pytest

from segsync.ledger import batches, runs
from segsync.models import Outcomes
from tests.support.cli import CREDENTIALS, call
from tests.support.ledgers import begin, open_ledger

PROGRAM = [sys.executable, "-W", "error", "-m", "segsync"]
"""As `call` starts it."""

LEDGER = "my ledger.db"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A folder with the ledger of an interrupted import, and settings in a file of another name."""
    with open_ledger(
        tmp_path / LEDGER, space_id="spa_1", application_id=CREDENTIALS["VOUCHERIFY_APPLICATION_ID"]
    ) as ledger:
        run = begin(ledger)
        page = partial(batches.finish_page, number=1, next_cursor="100", outcomes=Outcomes(without_identifier=100))
        ledger.read(partial(page, run=run))
        ledger.read(partial(runs.end_run, run=run, state="interrupted", error=None))
    lines = [f"{variable}={value}" for variable, value in CREDENTIALS.items()]
    (tmp_path / "my settings").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path


def printed(text: str) -> list[list[str]]:
    return [shlex.split(line) for line in text.splitlines() if line.startswith("  ")]


def test_an_unfinished_import_is_answered_with_the_two_whole_commands(directory: Path) -> None:
    flags = ("--ledger", LEDGER, "--env-file", "my settings", "--log-file", "a b.log", "--no-input")
    ended = call(directory, *flags, "--limit", "700")
    assert (ended.returncode, ended.stdout) == (2, "")
    *_, resume, anew = printed(ended.stderr)
    assert resume[: len(PROGRAM)] == PROGRAM
    assert resume[len(PROGRAM) :][:3] == ["--resume", "--limit", "700"]
    assert anew[len(PROGRAM) :][:4] == ["--offset", "0", "--limit", "700"]
    assert sorted(resume[len(PROGRAM) + 3 :]) == sorted(anew[len(PROGRAM) + 4 :]) == sorted(flags)


@pytest.mark.parametrize("is_json", [True, False])
def test_status_prints_how_it_was_called(directory: Path, *, is_json: bool) -> None:
    ended = call(directory, "status", *(["--json"] if is_json else []), "--ledger", LEDGER, "--env-file", "my settings")
    assert ended.returncode == 0
    [words] = [shlex.split(json.loads(ended.stdout)["next_command"])] if is_json else printed(ended.stdout)[-1:]
    assert words == [*PROGRAM, "--resume", "--ledger", LEDGER, "--env-file", "my settings"]


@pytest.mark.parametrize("arguments", [["status", "--json"], ["status", "--json", "--ledger", LEDGER]])
def test_status_names_the_ledger_of_the_environment(directory: Path, arguments: list[str]) -> None:
    ended = call(directory, *arguments, environ={"SEGSYNC_LEDGER": LEDGER})
    assert json.loads(ended.stdout)["next_command"] == shlex.join([*PROGRAM, "--resume", "--ledger", LEDGER])
