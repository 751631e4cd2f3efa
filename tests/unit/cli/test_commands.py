"""Which command a command line means: `import`, none, or one that is mistyped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from segsync.cli.app import app
from tests.support.cli import CREDENTIALS
from tests.support.program import IMPORT, flags_of

EVERY_FLAG = [
    *(["--limit", "3"], ["--offset", "400"], ["--resume"], ["--retry-rejected"], ["--ids", "a.txt"], ["--no-confirm"]),
    *(["--dry-run"], ["--dry-run", "--output", "a.csv"], ["--concurrency", "8"], ["--batch-size", "9"]),
    *(
        ["--ledger", "a.db"],
        ["--directory", "lists"],
        ["--env-file", "a.env"],
        ["--profiles", "7"],
        ["--log-format", "json"],
    ),
    *(["--log-file", "a.log"], ["--metrics-port", "9100"], ["--metrics-port", "9100", "--metrics-host", "::1"]),
    *(["--report", "a.html"], ["--report", "a.html", "--report-ids", "5"], ["--summary-json", "-"]),
    *(
        ["--quiet"],
        ["-q"],
        ["--verbose"],
        ["-v"],
        ["--no-input"],
        ["--show-values"],
        ["--sandbox"],
        ["--notify", "https://hooks.example/a"],
    ),
]
"""Every flag of an import, with those that it needs."""


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What an import would be asked for: the options of each call. No import runs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.env").write_text("SEGSYNC_BATCH_SIZE=11\n", encoding="utf-8")
    calls: list[Any] = []

    def import_at_terminal(options: Any) -> tuple[None, int]:
        calls.append(options)
        return None, 0

    def import_sandbox(options: Any, *arguments: object, **others: object) -> int:
        calls.append((options.keywords, arguments, others))
        return 0

    monkeypatch.setattr("segsync.commands.import_.import_at_terminal", import_at_terminal)
    monkeypatch.setattr("segsync.commands.sandbox.import_sandbox", import_sandbox)
    return calls


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, prog_name=IMPORT, env=CREDENTIALS)


def test_the_flags_tried_here_are_all_there_are() -> None:
    tried = {word for flags in EVERY_FLAG for word in flags if word.startswith("--")}
    program = {"--version", "--help", "--install-completion", "--show-completion"}
    assert tried == flags_of(IMPORT) - program
    assert flags_of("import") == flags_of(IMPORT) - {"--install-completion", "--show-completion"}


@pytest.mark.parametrize("flags", EVERY_FLAG, ids=" ".join)
def test_import_is_the_same_as_no_command_wherever_its_flags_are(asked: list[Any], flags: list[str]) -> None:
    for arguments in (flags, ["import", *flags], [*flags, "import"]):
        assert run(*arguments).exit_code == 0
    assert len(asked) == 3
    assert asked[0] == asked[1] == asked[2]


def test_flags_before_and_behind_import_count_together(asked: list[Any]) -> None:
    for arguments in (
        ["--no-confirm", "--limit", "3", "import", "--limit", "5", "--ledger", "a.db"],
        ["import", "--no-confirm", "--limit", "5", "--ledger", "a.db"],
    ):
        assert run(*arguments).exit_code == 0
    assert (asked[0].limit, asked[0].confirm, asked[0].ledger) == (5, False, Path("a.db"))
    assert asked[0] == asked[1]
    refused = run("--resume", "import", "--offset", "0")
    assert refused.exit_code == 2
    assert "--resume and --offset exclude each other" in refused.stderr


def test_lists_go_to_the_directory_and_a_sandbox_keeps_its_ledger_where_no_import_has_one(asked: list[Any]) -> None:
    for flags in ([], ["--directory", "lists"]):
        assert run(*flags).exit_code == 0
        assert run("--sandbox", *flags).exit_code == 0
    here, in_sandbox, there, of_sandbox = asked
    assert (here.lists_directory, there.lists_directory) == (Path(), Path("lists"))
    assert (in_sandbox[0]["directory"], of_sandbox[0]["directory"]) == (None, Path("lists"))
    assert {str(others["directory"]) for _, _, others in (in_sandbox, of_sandbox)} == {"segsync-sandbox"}


@pytest.mark.parametrize(
    ("flags", "directory"),
    [
        (["--ledger", "eu/prod.db"], "eu"),
        (["--ledger", "/data/segsync.db"], "/data"),
        (["--ledger", "eu/prod.db", "--directory", "."], "."),
    ],
)
def test_the_lists_lie_beside_their_ledger_unless_a_directory_is_named(
    asked: list[Any], flags: list[str], directory: str
) -> None:
    assert run(*flags).exit_code == 0
    assert asked[0].lists_directory == Path(directory)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("stauts", "status"), ("statuss", "status"), ("chek", "check"), ("sandbx", "sandbox"), ("imprt", "import")],
)
def test_a_mistyped_command_gets_the_one_that_was_meant(asked: list[Any], typed: str, meant: str) -> None:
    for before in ([], ["--limit", "5"]):
        refused = run(*before, typed)
        assert refused.exit_code == 2
        assert f"No such command '{typed}'. Did you mean '{meant}'?" in refused.stderr
        assert "--offset" not in refused.stderr
    assert not asked


@pytest.mark.parametrize(
    ("word", "flag"),
    [
        *((word, f"--{word}") for word in ("resume", "retry-rejected", "dry-run", "help", "version", "report")),
        ("retry", "--retry-rejected"),
        ("show", "--show-values"),
    ],
)
def test_a_flag_without_its_dashes_gets_the_flag(asked: list[Any], word: str, flag: str) -> None:
    refused = run(word)
    assert refused.exit_code == 2
    assert f"There is no command '{word}'. Did you mean '{flag}'?" in refused.stderr
    assert not asked


@pytest.mark.parametrize("word", ["c+/=&?", "abc", "4OO", "prod.env", "re"])
def test_a_word_that_is_near_to_no_command_gets_no_hint(asked: list[Any], word: str) -> None:
    refused = run(word)
    assert refused.exit_code == 2
    assert f"No such command '{word}'." in refused.stderr
    assert "--offset" not in refused.stderr
    assert "Did you mean" not in refused.stderr
    assert not asked


def test_digits_alone_are_an_offset_as_the_node_script_took_it(asked: list[Any]) -> None:
    refused = run("400")
    assert refused.exit_code == 2
    assert "There is no command '400'. To begin at an offset: --offset 400" in refused.stderr
    assert not asked


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["--dryrun"], "--dry-run"),
        (["import", "--lmit", "5"], "--limit"),
        (["status", "--jsn"], "--json"),
        (["check", "--samples", "5"], "--sample"),
        (["sandbox", "--profile", "5"], "--profiles"),
    ],
)
def test_a_mistyped_flag_gets_the_one_that_was_meant(asked: list[Any], arguments: list[str], meant: str) -> None:
    refused = run(*arguments)
    assert refused.exit_code == 2
    assert "No such option" in refused.stderr
    assert meant in refused.stderr.split("No such option")[1]
    assert not asked
