"""What a run could not write ends it with 2 before anything is read, by its path, its flag and a way out."""

from __future__ import annotations

from collections.abc import Sequence
from errno import EACCES
from pathlib import Path

import pytest
from typer.testing import CliRunner

from segsync.cli.app import app
from tests.support.cli import CREDENTIALS
from tests.support.program import IMPORT

LONG = "n" * 300
LEDGER = "Choose another file: --ledger FILE, or SEGSYNC_LEDGER"
FOLDER = "--directory DIR"
CASES: list[tuple[list[str], list[str], str, str]] = [
    # folders that are there, arguments, what is named, the way out
    ([], ["--ledger", "nowhere/a.db"], "The ledger nowhere/a.db cannot be written: No such file", LEDGER),
    ([], ["--ledger", "file/a.db"], "The ledger file/a.db cannot be written: Not a directory", LEDGER),
    ([], ["--ledger", f"{LONG}/a.db"], f"The ledger {LONG}/a.db cannot be written: File name too long", LEDGER),
    ([], ["--ledger", "loop.db"], "The ledger loop.db cannot be written: Too many levels of symbolic links", LEDGER),
    (["segsync.db"], [], "The ledger segsync.db cannot be written: Is a directory", LEDGER),
    *(
        ([f"a.db{suffix}"], ["--ledger", "a.db"], f"a.db cannot be written: a.db{suffix} is a folder", LEDGER)
        for suffix in ("-wal", "-shm", "-lock")
    ),
    *(
        ([name], [], f"The list {name} cannot be written: Is a directory", FOLDER)
        for name in (
            *("profiles-without-identifier.txt", "duplicate-profiles.csv"),
            *("rejected-profiles.csv", "profiles-with-warnings.csv"),
        )
    ),
    (["lists/rejected-profiles.csv"], ["--directory", "lists"], "The list lists/rejected-profiles.csv cannot", FOLDER),
    (
        [],
        ["--directory", "file"],
        "The folder file for the lists of profiles cannot be written: A file has this name",
        FOLDER,
    ),
    ([], ["--directory", "file/a"], "The folder file/a for the lists of profiles cannot be written", FOLDER),
    *(
        (["folder.csv"], [*flags, path], f"{flags[-1]} {path} cannot be written", "Choose another file")
        for flags in (["--report"], ["--summary-json"], ["--log-file"], ["--dry-run", "--summary-json"])
        for path in ("folder.csv", "nowhere/a", "file/a", LONG)
    ),
    *(
        ([], ["--dry-run", "--output", path], f"--output {path} cannot be written", "Choose another file")
        for path in ("nowhere/a.csv", "file/a.ndjson", f"{LONG}.csv")
    ),
    (["folder.csv"], ["--dry-run", "--output", "folder.csv"], "--output folder.csv exists already", "choose another"),
    ([], ["--summary-json", "segsync.db"], "--ledger and --summary-json are the same file", "choose another"),
    (
        *([], ["--dry-run", "--output", "-", "--summary-json", "-"]),
        *("--output - and --summary-json - exclude each other", "into a file"),
    ),
    ([], ["--sandbox"], "The folder segsync-sandbox of --sandbox cannot be made: A file has this name", "Rename it"),
]


@pytest.fixture(autouse=True)
def _nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder to work in, and an event loop that no test may get to: nothing is read without it."""
    monkeypatch.chdir(tmp_path)

    def run_event_loop(_main: object) -> None:
        raise AssertionError("something is read")

    monkeypatch.setattr("segsync.commands.import_.run_event_loop", run_event_loop)


def test_the_way_out_of_a_folder_that_one_may_not_write_to_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    def mkdir(*_: object, **_options: object) -> None:
        raise PermissionError(EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", mkdir)
    ended = CliRunner().invoke(app, ["--sandbox"], prog_name=IMPORT)
    assert ended.exit_code == 2
    problem = "The folder segsync-sandbox of --sandbox cannot be made: Permission denied."
    assert f"{problem} Change to a folder that you may write to" in ended.stderr


def test_a_retry_makes_no_ledger_of_a_mistyped_name(tmp_path: Path) -> None:
    ended = CliRunner().invoke(app, ["--retry-rejected", "--ledger", "typo.db"], prog_name=IMPORT, env=CREDENTIALS)
    assert ended.exit_code == 2
    assert "There is no ledger at typo.db" in ended.stderr
    assert "[ledger-missing]" in ended.stderr
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(("folders", "arguments", "named", "way_out"), CASES, ids=lambda each: str(each)[:40])
@pytest.mark.parametrize("command", [[], ["import", "--log-format", "json"]], ids=["text", "json"])
def test_it_is_named_and_nothing_is_read(
    tmp_path: Path, command: list[str], folders: Sequence[str], arguments: list[str], named: str, way_out: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "segsync-sandbox").touch()
    (tmp_path / "loop.db").symlink_to("loop.db")
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
    ended = CliRunner().invoke(app, [*command, *arguments], prog_name=IMPORT, env=CREDENTIALS)
    assert ended.exit_code == 2, ended.output
    assert ended.stdout == ""
    assert named in ended.stderr
    assert way_out in ended.stderr.split(named)[1]
