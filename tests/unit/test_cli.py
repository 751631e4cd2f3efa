"""The command line before an import begins: its help, its version, and what it refuses."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import segsync
from segsync.__main__ import main
from segsync.cli.flags import OF_ONE_RUN, SETTINGS
from segsync.settings import SECRETS
from tests.support.cli import CREDENTIALS, call, refusal

FLAGS = [
    *("--offset", "--limit", "--resume", "--retry-rejected", "--no-confirm", "--ledger"),
    *("--concurrency", "--batch-size", "--env-file", "--sandbox", "--dry-run", "--output"),
    *("--ids", "--profiles", "--log-format", "--log-file", "--metrics-port", "--metrics-host"),
    *("--quiet", "--verbose", "--no-input", "--version", "--help", "--install-completion", "--show-completion"),
    *("--report", "--report-ids", "--summary-json", "--notify"),
]


def test_help_names_every_flag_and_what_each_exit_code_means(tmp_path: Path) -> None:
    ended = call(tmp_path, "--help")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [flag for flag in FLAGS if not re.search(rf"{flag}\b", ended.stdout)] == []
    words = " ".join(ended.stdout.split())
    for meaning in (
        "0 done",
        "1 stopped early",
        "2 usage or configuration error",
        "3 done, but profiles are rejected, by this run or an earlier one, or their results are unknown, or --ids",
        "130 or 143 ended by Ctrl-C",
    ):
        assert meaning in words
    assert ".env-example" in words.replace("- ", "-")


def test_help_of_the_sandbox_names_its_flags(tmp_path: Path) -> None:
    ended = call(tmp_path, "sandbox", "--help")
    assert (ended.returncode, ended.stderr) == (0, "")
    for flag in ("--port", "--profiles", "--requests-per-second", "--seed"):
        assert flag in ended.stdout


def test_version_is_that_of_the_package(tmp_path: Path) -> None:
    ended = call(tmp_path, "--version")
    assert (ended.returncode, ended.stdout) == (0, f"segsync {segsync.__version__}\n")


def test_without_settings_all_four_credentials_are_asked_for_at_once(tmp_path: Path) -> None:
    stderr = refusal(tmp_path)
    assert [variable for variable in CREDENTIALS if f"{variable} is missing" not in stderr] == []
    assert stderr.count("[setting-missing]") == len(CREDENTIALS)
    assert ".env-example" in stderr


@pytest.mark.parametrize("command", [(), ("check",)])
def test_where_there_is_no_env_file_a_missing_setting_leads_to_init(tmp_path: Path, command: tuple[str, ...]) -> None:
    def shown(*flags: str) -> str:
        ended = call(tmp_path, *command, *flags)
        assert ended.returncode == 2
        return ended.stdout + ended.stderr

    way_out = r"To enter the credentials and write \.env, run:\n  .+ -m segsync init\n"
    assert re.search(way_out, shown())
    (tmp_path / "own.env").touch()
    assert "segsync init" not in shown("--env-file", "own.env"), "it would write another file"
    (tmp_path / ".env").touch()
    assert "segsync init" not in shown(), "it never writes over a file"


def test_all_problems_are_named_at_once_by_variable_or_flag_and_no_secret_is_shown(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("VOUCHERIFY_SECRET_KEY=öffentlich\nSEGSYNC_BATCH_SIZE=0\n", encoding="utf-8")
    stderr = refusal(
        tmp_path,
        *("--concurrency", "lots"),
        environ=CREDENTIALS | {"VOUCHERIFY_SECRET_KEY": "", "SEGMENT_BASE_URL": "http://x.io", "SEGMENT_SPACE_ID": ""},
    )
    _, *problems = stderr.splitlines()
    assert [problem.split()[0] for problem in problems] == [
        *("SEGMENT_SPACE_ID", "VOUCHERIFY_SECRET_KEY", "SEGMENT_BASE_URL=http://x.io"),
        *("--concurrency=lots", "SEGSYNC_BATCH_SIZE=0"),
    ]
    assert "öffentlich" not in stderr
    assert not [value for name, value in CREDENTIALS.items() if value in stderr and name != "SEGMENT_SPACE_ID"]


def test_a_secret_whose_file_is_not_there_is_a_wrong_setting(tmp_path: Path) -> None:
    named = {"SEGMENT_ACCESS_TOKEN": "", "SEGMENT_ACCESS_TOKEN_FILE": "/nowhere/token"}
    stderr = refusal(tmp_path, environ=CREDENTIALS | named)
    assert "SEGMENT_ACCESS_TOKEN_FILE=/nowhere/token cannot be read: No such file or directory" in stderr
    stderr = refusal(tmp_path, environ=CREDENTIALS | {"SEGMENT_ACCESS_TOKEN_FILE": "/nowhere/token"})
    assert "SEGMENT_ACCESS_TOKEN and SEGMENT_ACCESS_TOKEN_FILE are both set" in stderr


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--concurrency", "0"], "--concurrency=0 must be auto or a whole number from 1 to 1,000"),
        (["--batch-size", "1001"], "--batch-size=1001 must be a whole number from 1 to 1,000"),
        (["--batch-size", ""], "--batch-size= must be a whole number"),
        (["--limit", "0"], "--limit"),
        (["--limit", "all"], "--limit"),
        (["--env-file", "nowhere.env"], "--env-file nowhere.env cannot be read: No such file"),
        (["--quiet", "--verbose"], "--quiet and --verbose exclude each other"),
        (["--resume", "--retry-rejected"], "--resume and --retry-rejected exclude each other"),
        (["--resume", "--offset", "0"], "--resume and --offset exclude each other"),
        (["--offset", "100", "--retry-rejected"], "--retry-rejected and --offset exclude each other"),
        (["--sandbox", "--resume"], "--sandbox and --resume exclude each other"),
        (["--sandbox", "--retry-rejected"], "--sandbox and --retry-rejected exclude each other"),
        (["--retry-rejected", "--limit", "5"], "--retry-rejected and --limit exclude each other"),
        (["--retry-rejected", "--profiles", "5"], "--retry-rejected and --profiles exclude each other"),
        (["--profiles", "0"], "--profiles"),
        (["--log-format", "xml"], "--log-format"),
        (["--metrics-port", "70000"], "--metrics-port"),
        (["--sandbox", "--env-file", "x.env"], "--sandbox uses no settings but its own"),
        (["--dry-run", "--resume"], "--dry-run and --resume exclude each other"),
        (["--dry-run", "--retry-rejected"], "There is no ledger at segsync.db"),
        (["--ids", "a", "--resume"], "--resume and --ids exclude each other"),
        (["--ids", "a", "--retry-rejected"], "--retry-rejected and --ids exclude each other"),
        (["--ids", "a", "--offset", "0"], "--ids and --offset exclude each other"),
        (["--ids", "a", "--limit", "5"], "--ids and --limit exclude each other"),
        (["--ids", "a", "--profiles", "5"], "--ids and --profiles exclude each other"),
        (["--ids", "a", "--sandbox"], "--sandbox and --ids exclude each other"),
        (["--ids", "missing.txt"], "--ids missing.txt cannot be read: No such file or directory"),
        (["--ids", "."], "--ids . cannot be read: Is a directory"),
        (["--ids", "-", "--dry-run"], "--ids standard input holds no Segment ids"),
        (["--dry-run", "--report", "a.html"], "--dry-run and --report exclude each other"),
        (["--output", "a.csv"], "--output needs --dry-run"),
        (["--dry-run", "--output", "a.xlsx"], "--output a.xlsx must end in .ndjson, .jsonl or .csv"),
        (["--dry-run", "--output", "a"], "--output a must end in .ndjson, .jsonl or .csv"),
        (["check", "--sample", "0"], "--sample"),
        (["check", "--profiles", "many"], "--profiles"),
        (["--offset", ""], "--offset must be a number or a cursor"),
        (["--offset", "a\nb"], "--offset must be a number or a cursor"),
        (["--ledger", ""], "--ledger= must not be empty"),
        (["--ledger", "a\tb.db"], "must not contain control characters"),
        (["status", "--ledger", "nowhere.db"], "or it has another one (--ledger) [ledger-missing]"),
        (["status", "--env-file", "nowhere.env"], "--env-file nowhere.env cannot be read: No such file"),
        (["--nonsense"], "--nonsense"),
        (["--offset"], "--offset"),
        (["--sandbox", "check"], "--sandbox is for an import: check has no such flag."),
        (["--limit", "5", "--dry-run", "status"], "--limit is for an import: status has no such flag. --dry-run is"),
        (["--no-input", "sandbox"], "--no-input is for an import: sandbox has no such flag."),
        (["--ledger", "a.db", "status", "--json"], "--ledger goes after the command: status --ledger."),
        (["--env-file", "a", "-q", "check"], "--env-file goes after the command: check --env-file. --quiet is for"),
        (["sandbox", "--port", "70000"], "--port"),
        (["sandbox", "--hang", "2"], "--hang"),
    ],
)
def test_arguments_that_are_not_allowed_are_named(tmp_path: Path, arguments: list[str], named: str) -> None:
    assert named in refusal(tmp_path, *arguments, environ=CREDENTIALS)


def test_arguments_that_exclude_each_other_are_all_named(tmp_path: Path) -> None:
    stderr = refusal(tmp_path, "--resume", "--retry-rejected", "--offset", "0", environ=CREDENTIALS)
    assert "--resume and --retry-rejected and --offset exclude each other" in " ".join(stderr.split())


def test_help_of_status_names_its_flags(tmp_path: Path) -> None:
    ended = call(tmp_path, "status", "--help")
    assert (ended.returncode, ended.stderr) == (0, "")
    for flag in ("--json", "--ledger", "--env-file"):
        assert flag in ended.stdout


def test_help_of_check_names_its_flags(tmp_path: Path) -> None:
    ended = call(tmp_path, "check", "--help")
    assert (ended.returncode, ended.stderr) == (0, "")
    for flag in ("--sample", "--profiles", "--json", "--env-file"):
        assert flag in ended.stdout


def test_no_flag_that_is_a_secret_is_repeated_in_a_command_that_is_printed() -> None:
    assert {flag for flag, variable in SETTINGS.items() if variable in SECRETS} == {"--notify"} <= OF_ONE_RUN


def test_help_of_init_names_its_flag_and_what_it_does(tmp_path: Path) -> None:
    ended = call(tmp_path, "init", "--help")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "--env-file" in ended.stdout
    assert "never overwritten" in ended.stdout


def test_init_refuses_a_file_that_exists_and_an_input_that_ends(tmp_path: Path) -> None:
    assert "The input ended before SEGMENT_ACCESS_TOKEN, SEGMENT_SPACE_ID" in refusal(tmp_path, "init")
    (tmp_path / ".env").write_text("SEGMENT_SPACE_ID=mine", encoding="utf-8")
    assert ".env exists already" in refusal(tmp_path, "init")
    assert "nowhere/.env cannot be written" in refusal(tmp_path, "init", "--env-file", "nowhere/.env")


def test_status_needs_no_credentials_and_looks_where_the_import_would(tmp_path: Path) -> None:
    assert "There is no ledger at segsync.db" in refusal(tmp_path, "status")
    assert "There is no ledger at a.db" in refusal(tmp_path, "status", environ={"SEGSYNC_LEDGER": "a.db"})
    (tmp_path / ".env").write_text("SEGSYNC_LEDGER=b.db\n", encoding="utf-8")
    assert "There is no ledger at b.db" in refusal(tmp_path, "status")
    assert "There is no ledger at c.db" in refusal(tmp_path, "status", "--ledger", "c.db")


@pytest.mark.parametrize("arguments", [[], ["--resume"], ["--retry-rejected"], ["status"]])
def test_a_file_that_is_not_a_ledger_is_named_and_left_as_it_was(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "segsync.db").write_text("my notes, longer than any header of a database is: " * 3, encoding="utf-8")
    before = (tmp_path / "segsync.db").read_bytes()
    ended = call(tmp_path, *arguments, environ=CREDENTIALS)
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr.startswith(
        "Error: The ledger segsync.db is damaged or not an SQLite file. It was left as it is"
    )
    assert (tmp_path / "segsync.db").read_bytes() == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["--ledger", "nowhere/a"],
        ["--log-file", "nowhere/a"],
        ["--log-format", "json", "--log-file", "nowhere/a"],
        ["--report", "nowhere/a"],
        ["--summary-json", "nowhere/a"],
        ["--dry-run", "--output", "nowhere/a.csv"],
        ["--dry-run", "--output", "nowhere/a.ndjson"],
    ],
    ids=" ".join,
)
def test_a_path_that_cannot_be_written_is_a_wrong_setting_and_nothing_is_done(
    tmp_path: Path, arguments: list[str]
) -> None:
    stderr = refusal(tmp_path, *arguments, environ=CREDENTIALS)
    assert re.search(r"nowhere/a\S* cannot be written: No such file.* \[(ledger|file)-unwritable\]", stderr)
    assert ('"code":"file-unwritable"' in stderr) == ("json" in arguments)


def test_without_a_ledger_there_is_nothing_to_retry_and_nobody_is_called(tmp_path: Path) -> None:
    ended = call(tmp_path, "--retry-rejected", environ=CREDENTIALS)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "There is no ledger at segsync.db" in ended.stderr


def test_the_console_script_is_the_same_program(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("segsync.exe" if os.name == "nt" else "segsync")
    ended = subprocess.run([script, "--version"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout == f"segsync {segsync.__version__}\n"


def test_what_nobody_expected_is_a_sentence_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_arguments: object) -> None:
        raise KeyError("ada@example.com")

    monkeypatch.setattr("segsync.__main__.app", broken)
    with pytest.raises(SystemExit) as ended:
        main()
    assert re.fullmatch(r"Error: unexpected KeyError at .*\. This is a defect: .*", str(ended.value.code))
    assert "ada" not in str(ended.value.code)


def test_every_public_name_is_there_and_no_other() -> None:
    assert [name for name in segsync.__all__ if not hasattr(segsync, name)] == []
    assert segsync.errors.SegsyncError is segsync.SegsyncError
    assert not hasattr(segsync, "run_plan")


def test_a_source_and_a_sink_of_ones_own_need_public_names_alone() -> None:
    needed = ("CallLimit", "Connector", "Page", "Profile", "Sink", "Source", "Usage", "WithoutIdentifier")
    assert [name for name in needed if name not in segsync.__all__] == []


def test_public_names_are_imported_when_they_are_used() -> None:
    code = (
        "import sys, segsync; assert 'aiohttp' not in sys.modules; segsync.run_import; assert 'aiohttp' in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)
