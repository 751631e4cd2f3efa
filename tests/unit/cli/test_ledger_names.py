"""`--ledger` and SEGSYNC_LEDGER mean the same file to every command."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from segsync.check.findings import finding
from segsync.check.run import FORMAT, CheckReport
from segsync.cli.app import app
from tests.support.cli import CREDENTIALS
from tests.support.program import DEFAULTS, IMPORT

COMMANDS: list[list[str]] = [[], ["import"], ["status"], ["check"]]


@pytest.fixture
def used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The ledgers that the commands would use: none of them runs."""
    monkeypatch.chdir(tmp_path)
    ledgers: list[Path] = []

    def import_at_terminal(options: Any) -> tuple[None, int]:
        ledgers.append(options.ledger)
        return None, 0

    async def run_check(settings: Any, **_: object) -> CheckReport:
        ledgers.append(Path(settings.ledger))
        return CheckReport(FORMAT, True, [finding("segment", "ok", "")])

    monkeypatch.setattr("segsync.commands.import_.import_at_terminal", import_at_terminal)
    monkeypatch.setattr("segsync.commands.status.print_status", lambda path, **_: ledgers.append(path))
    monkeypatch.setattr("segsync.commands.check.run_check", run_check)
    return ledgers


def run(*arguments: str, environ: Mapping[str, str]) -> Result:
    nothing: dict[str, str | None] = dict.fromkeys(DEFAULTS)
    return CliRunner().invoke(app, arguments, prog_name=IMPORT, env={**nothing, **CREDENTIALS, **environ})


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("name", ["prod.db", "prod.db ", " prod.db", "\tprod.db\n", "my prod.db "])
def test_spaces_around_the_name_do_not_count(used: list[Path], tmp_path: Path, command: list[str], name: str) -> None:
    assert run(*command, "--ledger", name, environ={}).exit_code == 0
    assert run(*command, environ={"SEGSYNC_LEDGER": name}).exit_code == 0
    (tmp_path / ".env").write_text(f'SEGSYNC_LEDGER="{name}"\n', encoding="utf-8")
    assert run(*command, environ={}).exit_code == 0
    assert used == [Path(name.strip())] * 3


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(
    ("name", "problem"), [("", "must not be empty"), (" ", "must not be empty"), ("a\x07b", "con")]
)
def test_a_name_that_is_none_is_refused(used: list[Path], command: list[str], name: str, problem: str) -> None:
    ended = run(*command, "--ledger", name, environ={})
    assert ended.exit_code == 2
    assert problem in " ".join(ended.output.split())
    assert used == []
