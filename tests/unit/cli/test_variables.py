"""Settings that are missing, and variables that are nearly settings, as import, `check` and `status` answer them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner, Result

from segsync.check.findings import Finding, finding
from segsync.check.run import FORMAT, CheckReport
from segsync.cli.app import app
from segsync.commands.status import Status
from tests.support.cli import CREDENTIALS
from tests.support.ledgers import begin, open_ledger
from tests.support.program import DEFAULTS, IMPORT

SLIPS = {"SEGMENT_REQUEST_PER_SECOND": "5-a-value", "SEGSYNC_LEDGR": "a-value.db"}
OF_OTHERS = {"SEGMENT_WRITE_KEY": "a-value", "VOUCHERIFY_WEBHOOK_SECRET": "a-value"}
IN_FILE = {"VOUCHERIFY_SECRETKEY": "VOUCHERIFY_SECRET_KEY"}
MEANT = IN_FILE | {"SEGMENT_REQUEST_PER_SECOND": "SEGMENT_REQUESTS_PER_SECOND", "SEGSYNC_LEDGR": "SEGSYNC_LEDGER"}
WARNINGS = sorted(f"{slip} is not a setting, and is ignored. Did you mean {meant}?" for slip, meant in MEANT.items())


@pytest.fixture(autouse=True)
def _folder_with_slips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("VOUCHERIFY_SECRETKEY=a-value\nSEGMENT_API_TOKEN=a-value\n", encoding="utf-8")


def run(*arguments: str, **environ: str) -> Result:
    nothing: dict[str, str | None] = dict.fromkeys(DEFAULTS)
    return CliRunner().invoke(app, arguments, prog_name=IMPORT, env={**nothing, **SLIPS, **OF_OTHERS, **environ})


def findings(result: Result) -> list[Finding]:
    return msgspec.json.decode(result.stdout, type=CheckReport).findings


@pytest.mark.parametrize("arguments", [[], ["import"], ["--dry-run"], ["--quiet"]])
def test_an_import_warns_and_then_names_what_is_missing(arguments: list[str]) -> None:
    ended = run(*arguments)
    assert ended.exit_code == 2
    warnings, problems = ended.stderr.split("Invalid configuration")
    assert sorted(warnings.splitlines()) == [f"Warning: {each}" for each in WARNINGS]
    assert [name for name in CREDENTIALS if f"{name} is missing" not in problems] == []
    assert "a-value" not in ended.output


def test_an_import_that_can_begin_warns_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segsync.commands.import_.import_at_terminal", lambda _options: (None, 0))
    ended = run(**CREDENTIALS)
    assert (ended.exit_code, ended.stdout) == (0, "")
    assert sorted(ended.stderr.splitlines()) == [f"Warning: {each}" for each in WARNINGS]


def test_the_log_for_machines_has_the_warnings_as_json() -> None:
    ended = run("--log-format", "json")
    assert ended.exit_code == 2
    records = [msgspec.json.decode(line) for line in ended.stderr.splitlines()]
    assert sorted(each["message"] for each in records if each["level"] == "warning") == WARNINGS
    assert [each["level"] for each in records] == ["warning", "warning", "warning", "error"]
    assert "a-value" not in ended.output


@pytest.mark.parametrize("arguments", [["--log-format", "json"], ["check", "--json"]], ids=" ".join)
def test_a_line_that_is_not_a_setting_is_named_once_and_the_output_stays_json(
    tmp_path: Path, arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".env").write_text("VOUCHERIFY_SECRET_KEY: a-value\n", encoding="utf-8")
    ended = run(*arguments, VOUCHERIFY_SECRETKEY="")
    printed = ended.stdout if "check" in arguments else "".join(ended.stderr.splitlines(keepends=True)[:1])
    assert (
        "Line 1 of .env is not NAME=value, and is ignored" in msgspec.json.encode(msgspec.json.decode(printed)).decode()
    )
    assert ended.output.count("Line 1 of .env") == 1
    assert "dotenv" not in ended.output + "".join(capfd.readouterr())
    assert "a-value" not in ended.output


def test_a_sandbox_reads_no_file_and_warns_of_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segsync.commands.sandbox.import_sandbox", lambda *_arguments, **_others: 0)
    assert "VOUCHERIFY_SECRETKEY" not in run("--sandbox").stderr


def test_a_check_has_them_as_findings_beside_what_is_missing() -> None:
    ended = run("check", "--json")
    assert ended.exit_code == 2
    of_settings = [each for each in findings(ended) if each.id == "settings"]
    assert sorted(each.detail for each in of_settings if each.state == "warning") == WARNINGS
    missing = [each.detail.split(" is missing")[0] for each in of_settings if each.state == "failed"]
    assert sorted(missing) == sorted(CREDENTIALS)
    assert all(each.fix for each in of_settings)
    assert "a-value" not in ended.output


def test_a_check_prints_them_for_people() -> None:
    ended = run("check")
    assert ended.exit_code == 2
    words = " ".join(ended.stdout.split())
    assert "! warning Settings: SEGSYNC_LEDGR is not a setting" in words
    assert "Correct it" in words
    assert ended.stderr == ""
    assert "a-value" not in ended.output


@pytest.mark.parametrize("arguments", [[], ["--json"]], ids=["text", "json"])
def test_the_status_warns_beside_what_it_prints(tmp_path: Path, arguments: list[str]) -> None:
    with open_ledger(tmp_path / "segsync.db") as ledger:
        begin(ledger)
    ended = run("status", *arguments)
    assert ended.exit_code == 0
    assert sorted(ended.stderr.splitlines()) == [f"Warning: {each}" for each in WARNINGS]
    assert "not a setting" not in ended.stdout
    if arguments:
        assert msgspec.json.decode(ended.stdout, type=Status).ledger == "segsync.db"
    assert "a-value" not in ended.output


def test_a_status_that_finds_no_ledger_has_warned_of_the_name_that_was_meant() -> None:
    ended = run("status")
    assert ended.exit_code == 2
    warnings, problem = ended.stderr.split("Error: ")
    assert sorted(warnings.splitlines()) == [f"Warning: {each}" for each in WARNINGS]
    assert "There is no ledger at segsync.db" in problem


@pytest.mark.parametrize(("state", "code"), [("ok", 0), ("failed", 3)])
def test_a_check_whose_settings_can_be_used_hands_them_on(
    monkeypatch: pytest.MonkeyPatch, state: str, code: int
) -> None:
    seen: list[str] = []

    async def run_check(_settings: object, *, misspelt: Sequence[str], **_others: object) -> CheckReport:
        seen.extend(misspelt)
        return CheckReport(FORMAT, state == "ok", [finding("segment", "ok" if state == "ok" else "failed", "")])

    monkeypatch.setattr("segsync.commands.check.run_check", run_check)
    assert run("check", "--json", **CREDENTIALS).exit_code == code
    assert sorted(seen) == WARNINGS


@pytest.mark.parametrize("settings", [{"SEGSYNC_BATCH_SIZE": "0"}, {"SEGMENT_ACCESS_TOKEN": ""}])
def test_settings_that_cannot_be_used_end_import_and_check_alike(settings: dict[str, str]) -> None:
    for arguments in ([], ["check"], ["check", "--json"]):
        assert run(*arguments, **CREDENTIALS | settings).exit_code == 2
    assert run("check", "--env-file", "nowhere.env", **CREDENTIALS).exit_code == 2
