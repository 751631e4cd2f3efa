"""Standard input, output and error that are closed or full: a run ends as usual, and prints what it can."""

from __future__ import annotations

import subprocess

import pytest

from tests.conftest import StartSandbox
from tests.integration.conftest import PATIENCE_SECONDS, SEGSYNC, Run, Segsync, fast

pytestmark = pytest.mark.slow

COMMANDS = (["--limit", "50"], ["check", "--sample", "50"], ["status"])
ALL_CLOSED = "<&- >&- 2>&-"


class Redirected:
    """segsync as a shell calls it, with its streams elsewhere."""

    def __init__(self, segsync: Segsync, environment: dict[str, str]) -> None:
        self._segsync = segsync
        self._environment = environment

    def __call__(self, *arguments: str, to: str) -> Run:
        done = subprocess.run(
            ["/bin/sh", "-c", f'"$@" {to}', "sh", *SEGSYNC, *arguments],
            cwd=self._segsync.directory,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert "Exception ignored" not in done.stderr, done.stderr
        return Run(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def redirected(segsync: Segsync, start_sandbox: StartSandbox) -> Redirected:
    return Redirected(segsync, segsync.environment(start_sandbox(fast(100))))


@pytest.mark.parametrize("to", ["<&-", ">&-", "2>&-", ALL_CLOSED, "2>/dev/full"])
def test_streams_that_are_closed_or_full_change_nothing_about_how_a_run_ends(redirected: Redirected, to: str) -> None:
    assert [redirected(*command, to=to).code for command in COMMANDS] == [0, 0, 0]
    assert "50" in redirected("status", to="").stdout


def test_no_file_of_the_import_takes_the_place_of_a_closed_stream(redirected: Redirected, segsync: Segsync) -> None:
    """The program's output must not go into such a file."""
    redirected("--limit", "50", "--verbose", "--log-file", "run.log", "--summary-json", "-", to=ALL_CLOSED)
    assert segsync.first_run().profiles == 50
    assert "Profiles listed" not in (segsync.directory / "run.log").read_text(encoding="utf-8")


def test_a_summary_that_cannot_be_written_does_not_hide_the_way_back(redirected: Redirected) -> None:
    for more in ([], ["--summary-json", "-"]):
        run = redirected("--offset", "0", "--limit", "50", *more, to=">/dev/full")
        assert run.code == 0
        assert "Error: Standard output cannot be written: No space left on device" in run.stderr
        assert "--offset 50" in run.stderr


@pytest.mark.parametrize("json", [[], ["--json"]], ids=["text", "json"])
def test_output_that_cannot_be_written_is_an_error(redirected: Redirected, json: list[str]) -> None:
    redirected("--limit", "50", to="")
    for command in ("check", "status"):
        run = redirected(command, *json, to=">/dev/full")
        assert run.code == 1
        assert run.stderr == "Error: Standard output cannot be written: No space left on device [file-unwritable]\n"


@pytest.mark.parametrize("json", [[], ["--json"]], ids=["text", "json"])
def test_a_reader_may_have_read_enough(redirected: Redirected, json: list[str]) -> None:
    redirected("--limit", "50", to="")
    for command in ("check", "status"):
        run = redirected(command, *json, to="| head -1")
        assert (run.code, run.stderr, len(run.stdout.splitlines())) == (0, "", 1)


@pytest.mark.parametrize("flag", ["--help", "--version"])
def test_output_of_the_command_line_itself_that_cannot_be_written_is_an_error_too(
    redirected: Redirected, flag: str
) -> None:
    run = redirected(flag, to=">/dev/full")
    assert (run.code, run.stderr) == (1, "Error: No space left on device\n")
