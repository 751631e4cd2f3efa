"""`check` keeps in the ledger what is not imported, and ends as it would have where it cannot."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from segsync.check.findings import State, finding
from segsync.check.run import FORMAT, CheckReport
from segsync.check.unmapped import not_imported
from segsync.cli.app import app
from segsync.commands import check
from segsync.ledger.checks import last_check, settings_key
from segsync.ledger.runs import begin_run
from segsync.models import LastCheck
from segsync.pipeline.run import open_ledger
from segsync.settings import Settings
from tests.support.configured import settings
from tests.unit.check.test_findings import FINE

FILES = Path(__file__).parents[2] / "support" / "files"


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in ("SEGMENT_ACCESS_TOKEN", "SEGMENT_SPACE_ID", "VOUCHERIFY_APPLICATION_ID", "VOUCHERIFY_SECRET_KEY"):
        monkeypatch.setenv(variable, "s")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "segsync.db"


def run_check(
    monkeypatch: pytest.MonkeyPatch, *, state: State = "ok", of: str = "settings", ledger: str = "segsync.db"
) -> int:
    """The exit code of a check that finds two traits, and is in this state of one of its findings."""

    async def found(given: Settings, **_options: object) -> CheckReport:
        left = not_imported({"plan": 3, "vip": 1}, 4, given)
        findings = [finding("voucherify", "ok", "credentials accepted")] if of != "voucherify" else []
        findings.append(finding(of, state, "a detail"))
        return CheckReport(FORMAT, state == "ok", findings, "user_id", FINE, not_imported=left)

    monkeypatch.setattr(check, "run_check", found)
    flags = {"SEGSYNC_LEDGER": ("--ledger", ledger)}
    return check.check_at_terminal(env_file=None, sample=100, profiles=None, as_json=False, flags=flags)


def kept(path: Path) -> LastCheck | None:
    given = Settings.load()
    with open_ledger(given, path) as ledger:
        return ledger.read(partial(last_check, key=settings_key(ledger, given)))


@pytest.mark.parametrize(("state", "code"), [("ok", 0), ("failed", 3)])
def test_what_it_found_is_kept_with_its_time_in_a_private_ledger(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], state: State, code: int
) -> None:
    assert run_check(monkeypatch, state=state) == code
    assert "will not repeat" not in capsys.readouterr().err
    assert path.stat().st_mode & 0o777 == 0o600
    found = kept(path)
    assert found is not None
    assert found.checked_at.endswith("+00:00")
    assert (found.traits, found.names, found.setting) == (2, ("plan", "vip"), "METADATA_TRAITS=plan,vip")


def test_nothing_is_kept_for_a_project_whose_credentials_are_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_check(monkeypatch, of="voucherify", state="failed") == 3
    assert list(path.parent.iterdir()) == []


def test_the_flag_names_the_ledger(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_check(monkeypatch, ledger="prod.db")
    assert not path.exists()
    assert kept(path.with_name("prod.db")) is not None


def test_the_command_takes_the_flag(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, object] = {}

    def at_terminal(**options: object) -> int:
        given.update(options)
        return 3

    monkeypatch.setattr(check, "check_at_terminal", at_terminal)
    ended = CliRunner().invoke(app, ["check", "--ledger", "prod.db", "--sample", "7"])
    assert (ended.exit_code, given["flags"], given["sample"]) == (3, {"SEGSYNC_LEDGER": ("--ledger", "prod.db")}, 7)
    CliRunner().invoke(app, ["check"])
    assert given["flags"] == {}


def test_a_ledger_of_an_older_format_is_migrated_with_a_word(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(FILES / "ledger-format-3.db", path)
    monkeypatch.setenv("VOUCHERIFY_APPLICATION_ID", "app-of-the-project")
    assert run_check(monkeypatch) == 0
    assert "was migrated to a newer format. The old one is segsync.db.bak" in capsys.readouterr().err
    assert kept(path) is not None


def in_use(path: Path, stack: ExitStack) -> None:
    stack.enter_context(open_ledger(Settings.load(), path))


def of_another_project(path: Path, _stack: ExitStack) -> None:
    with open_ledger(settings(voucherify_application_id="another"), path) as ledger:
        ledger.read(partial(begin_run, first_offset="0", source=ledger.source))


def damaged(path: Path, _stack: ExitStack) -> None:
    path.write_text("Dear diary,\n" * 1000)


def a_folder(path: Path, _stack: ExitStack) -> None:
    path.mkdir()


def nowhere(path: Path, _stack: ExitStack) -> None:
    path.symlink_to(path.parent / "nowhere" / "segsync.db")


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (in_use, "Another segsync uses the ledger segsync.db now"),
        (of_another_project, "belongs to imports into another Voucherify project"),
        (damaged, "The ledger segsync.db is damaged"),
        (a_folder, "The ledger segsync.db cannot be written"),
        (nowhere, "The ledger segsync.db cannot be written"),
    ],
)
def test_where_it_cannot_be_kept_the_findings_stand_and_a_line_says_so(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    make: Callable[[Path, ExitStack], None],
    why: str,
) -> None:
    with ExitStack() as stack:
        make(path, stack)
        before = path.read_bytes() if path.is_file() else b""
        assert run_check(monkeypatch) == 0
        assert (path.read_bytes() if path.is_file() else b"") == before
    shown = capsys.readouterr()
    assert "METADATA_TRAITS=plan,vip" in shown.out
    [line] = shown.err.splitlines()
    assert line.endswith(". So the summary of an import cannot repeat which traits are not imported")
    assert why in line
