"""Every command that is printed is run: as a run, `status`, both JSON files and the page print it."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from segsync.sandbox.options import SandboxOptions
from segsync.sandbox.process import SandboxProcess
from tests.conftest import StartSandbox
from tests.integration.conftest import SEGSYNC, Run, Segsync, ended, fast, wait_until_accepted

LEDGER, ENV_FILE, REPORT, SUMMARY = "my ledger.db", "my settings.env", "my report.html", "my summary.json"
THIS_IMPORT = ("--ledger", LEDGER, "--env-file", ENV_FILE)
FLAGS = (
    *THIS_IMPORT,
    *("--report", REPORT, "--report-ids", "2", "--summary-json", SUMMARY, "--log-file", "my log.txt"),
    *("--batch-size", "50", "--concurrency", "4", "--profiles", "1000", "--no-input", "--verbose"),
)


@dataclass(frozen=True)
class End:
    """A kind of end: what leads to it, its exit code, and the steps that the run offers."""

    options: SandboxOptions
    arguments: tuple[str, ...]
    code: int
    steps: tuple[str, ...]
    settings: tuple[str, ...] = ()


ENDS = {
    "complete": End(fast(120), (), 0, ()),
    "rejected": End(fast(120, refused_later=0.2), (), 3, ("--retry-rejected",)),
    "limited": End(fast(250), ("--limit", "100"), 0, ("--resume",)),
    "limited, with rejections": End(
        fast(250, refused_later=0.2), ("--limit", "100"), 3, ("--resume", "--retry-rejected")
    ),
    "unknown results": End(
        fast(200, refused_later=0.5, errors_listed=0, report_columns="created_at", anonymous=0.0),
        (),
        3,
        ("--retry-rejected",),
    ),
    "stopped": End(fast(120, refused_at_once=1.0), ("--limit", "100"), 1, ("--resume", "--offset")),
    "results unread": End(fast(120, action_seconds=1000.0), (), 1, ("--resume",), ("SEGSYNC_CONFIRM_SECONDS=0.1",)),
}


def leave_settings(segsync: Segsync, sandbox: SandboxProcess, *more: str) -> None:
    """Write the settings into a file that only --env-file names: without it nothing runs."""
    rates = ("SEGMENT_REQUESTS_PER_SECOND=5000", "VOUCHERIFY_REQUESTS_PER_MINUTE=100000")
    lines = [*(f"{name}={value}" for name, value in sandbox.connection.items()), *rates, *more]
    (segsync.directory / ENV_FILE).write_text("\n".join(lines), encoding="utf-8")


def offered(text: str) -> list[str]:
    """The commands in what a terminal shows, each in a line of its own behind two spaces."""
    return [line.strip() for line in text.splitlines() if re.match(r"  \S.*\bsegsync( |$)", line)]


def in_status(segsync: Segsync, *arguments: str) -> list[str]:
    """The commands that `status` prints, for people and as JSON: both are the same."""
    shown = offered(segsync("status", *arguments).stdout)
    for_programs = json.loads(segsync("status", "--json", *arguments).stdout)
    assert shown == [step["command"] for step in for_programs["steps"] if step["command"]]
    assert for_programs["next_command"] == (shown[0] if shown else None)
    return shown


def in_files(segsync: Segsync) -> tuple[list[str], list[str]]:
    """The commands of the JSON summary and of the page."""
    summary: dict[str, Any] = json.loads((segsync.directory / SUMMARY).read_text(encoding="utf-8"))
    page = (segsync.directory / REPORT).read_text(encoding="utf-8")
    commands = [unescape(command) for command in re.findall(r'<code class="command">(.*?)</code>', page)]
    return [summary["next_command"]] if summary["next_command"] else [], commands


def step_of(command: str) -> str:
    words = shlex.split(command)
    assert words[:3] == [*SEGSYNC], "called as it was called"
    return words[3]


def flags_in(command: str) -> list[str]:
    """All its flags and their values, in any order."""
    return sorted(shlex.split(command)[3:])


def runs_in(directory: Path) -> list[int]:
    return [run["id"] for run in json.loads(Segsync(directory)("status", "--json", "--ledger", LEDGER).stdout)["runs"]]


def run_printed(segsync: Segsync, commands: Sequence[str], tmp_path: Path) -> Iterator[Run]:
    """Run each command in a copy of the directory, and see that it works on this ledger and no other."""
    for number, command in enumerate(dict.fromkeys(commands)):
        directory = Path(shutil.copytree(segsync.directory, tmp_path / f"copy {number}"))
        _, *arguments = shlex.split(command)
        before = runs_in(directory)
        run = Segsync(directory, (SEGSYNC[0],))(*arguments)
        assert run.code in (0, 1, 3), (command, run.stderr)
        assert {each.name for each in directory.glob("*.db")} == {LEDGER}
        assert len(runs_in(directory)) == len(before) + (step_of(command) == "--offset")
        yield run


@pytest.mark.slow
@pytest.mark.parametrize("kind", ENDS)
def test_every_command_of_an_end_is_complete_and_runs(tmp_path: Path, start_sandbox: StartSandbox, kind: str) -> None:
    end = ENDS[kind]
    sandbox = start_sandbox(end.options)
    (tmp_path / "import").mkdir()
    segsync = Segsync(tmp_path / "import")
    leave_settings(segsync, sandbox, *end.settings)
    run = segsync(*end.arguments, *FLAGS)
    assert run.code == end.code, run.stderr
    assert re.search(rf"New import\b.*\. Segment space \S+, .*, ledger {LEDGER}\. [\d,]+ profiles: up to", run.stderr)
    printed = offered(run.stderr)
    assert tuple(map(step_of, printed)) == end.steps
    summary, page = in_files(segsync)
    assert summary == printed[:1]
    assert page == printed
    from_status = in_status(segsync, "--ledger", LEDGER)
    assert [*map(flags_in, from_status)] == [flags_in(each) for each in printed if step_of(each) != "--offset"]
    assert list(run_printed(segsync, [*printed, *from_status], tmp_path)) or not printed


@pytest.mark.slow
@pytest.mark.parametrize("way", ["SIGTERM", "kill -9"])
def test_after_a_run_was_ended_from_outside_the_printed_commands_run(
    tmp_path: Path, start_sandbox: StartSandbox, way: str
) -> None:
    sandbox = start_sandbox(fast(2000, latency_ms=5.0))
    (tmp_path / "import").mkdir()
    segsync = Segsync(tmp_path / "import")
    leave_settings(segsync, sandbox)
    running = segsync.start(*FLAGS, "--limit", "1500", sandbox=sandbox, SEGMENT_REQUESTS_PER_SECOND="600")
    wait_until_accepted(sandbox, 300)
    printed = []
    if way == "SIGTERM":
        running.send_signal(signal.SIGTERM)
        run = ended(running)
        assert run.code == 143
        printed = offered(run.stderr)
        assert [*map(step_of, printed)] == ["--resume", "--offset"]
    else:
        running.kill()
        running.communicate()
    from_status = in_status(segsync, "--ledger", LEDGER)
    assert [*map(flags_in, from_status)] == [sorted(["--resume", "--limit", "1500", *FLAGS])]
    codes = [run.code for run in run_printed(segsync, [*printed, *from_status], tmp_path)]
    assert codes == [0] * len(codes)


@pytest.mark.slow
def test_a_ledger_of_the_environment_is_named_so_that_the_command_needs_no_environment(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    sandbox = start_sandbox(fast(250))
    leave_settings(segsync, sandbox)
    run = segsync("--limit", "100", "--env-file", ENV_FILE, SEGSYNC_LEDGER="other.db")
    [command] = offered(run.stderr)
    assert in_status(segsync, "--ledger", "other.db") == [command]
    _, *arguments = shlex.split(command)
    resumed = Segsync(segsync.directory, (SEGSYNC[0],))(*arguments)
    assert (resumed.code, resumed.row("Profiles listed")) == (0, 250)
    assert [each.name for each in segsync.directory.glob("*.db")] == ["other.db"]


@pytest.mark.slow
def test_a_stopped_dry_run_prints_no_command_that_fails(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    leave_settings(segsync, start_sandbox(fast(120)), "SEGMENT_ACCESS_TOKEN=wrong")
    run = segsync("--dry-run", "--output", "customers.csv", "--env-file", ENV_FILE)
    assert "Dry runs can't be resumed." in run.stderr
    assert offered(run.stderr) == []
