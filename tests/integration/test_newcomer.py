"""The newcomer's path: the README from top to bottom, then each command as segsync prints it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from segsync.report.profile_lists import REJECTED, list_name
from tests.integration.conftest import RATES, Run, StartRepairable, ended, fast, wait_until_accepted
from tests.integration.repairable import RepairableSandbox
from tests.support import guides

pytestmark = pytest.mark.slow

STEPS = re.findall(r"^\d\. `(segsync[^`]+)`", guides.section(guides.README, "Import your customers"), re.MULTILINE)
"""The commands of the five steps."""

PLACES = ("SEGMENT_BASE_URL", "VOUCHERIFY_BASE_URL")

CREDENTIALS = ("SEGMENT_ACCESS_TOKEN", "SEGMENT_SPACE_ID", "VOUCHERIFY_APPLICATION_ID", "VOUCHERIFY_SECRET_KEY")


class Shell:
    """A shell in a folder, where `segsync` is the program under test and knows no credentials."""

    def __init__(self, directory: Path, sandbox: RepairableSandbox) -> None:
        own = {name: value for name, value in os.environ.items() if not name.startswith(("SEG", "VOUCHERIFY_"))}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        places = {name: sandbox.connection[name] for name in PLACES}
        slow = {"SEGMENT_REQUESTS_PER_SECOND": "500"}  # so that a busy machine still stops it in the middle
        self._environment = {**own, **RATES, **slow, **places, "PATH": path, "COLUMNS": "120"}
        self._directory = directory

    def start(self, command: str, typed: str = "") -> subprocess.Popen[str]:
        """The command, which gets a signal that is sent to this process."""
        running = subprocess.Popen(
            ["sh", "-c", f"exec {command}"],
            cwd=self._directory,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert running.stdin
        running.stdin.write(typed)
        running.stdin.close()
        running.stdin = None
        return running

    def __call__(self, command: str, typed: str = "") -> Run:
        return ended(self.start(command, typed))


def printed(run: Run) -> list[str]:
    """The commands that a run printed, each on a line of its own."""
    return re.findall(r"^  (\S*segsync .*|\S*python\S* -m segsync.*)$", f"{run.stdout}\n{run.stderr}", re.MULTILINE)


def test_the_commands_lead_from_nothing_to_an_import_without_rejections(
    tmp_path: Path, start_repairable: StartRepairable
) -> None:
    sandbox = start_repairable(fast(3000, messy=False, refused_later=0.03, latency_ms=5.0))
    shell, rejected = Shell(tmp_path, sandbox), tmp_path / REJECTED
    init, check, first_hundred, resume, status = STEPS

    run = shell(init, "".join(f"{sandbox.connection[name]}\n" for name in CREDENTIALS))
    assert (run.code, (tmp_path / ".env").stat().st_mode & 0o777) == (0, 0o600), run
    [printed_check] = printed(run)
    assert shell(printed_check).code == shell(check).code == 0
    assert shell(first_hundred).code in (0, 3)

    running = shell.start(resume)
    wait_until_accepted(sandbox, 400)
    running.send_signal(signal.SIGINT)
    run = ended(running)
    assert run.code == 130, run
    run = shell(printed(run)[0])
    assert (run.code, run.row("Profiles listed"), run.row("Pending")) == (3, 3000, 0), run
    letters = rejected.read_bytes()
    assert letters.count(b"\n") == 1 + run.row("Rejected")

    other = shell("segsync --ledger other.db --limit 300")
    assert (other.code, rejected.read_bytes()) == (3, letters)
    others = tmp_path / list_name(REJECTED, Path("other.db"))
    assert others.read_bytes().count(b"\n") == 1 + other.row("Rejected")
    assert f"{run.row('Rejected'):,}" in shell(status).stdout

    sandbox.repair()
    [retry] = printed(shell(status))
    run = shell(retry)
    assert (run.code, run.row("Rejected"), rejected.exists(), others.exists()) == (0, 0, False, True), run
    assert "Nothing is left to do." in shell(status).stdout
    verdict = sandbox.verdict()
    assert (verdict.is_right, verdict.arrived) == (True, verdict.expected)


def test_the_five_steps_are_in_this_order() -> None:
    assert [re.sub(r" \d+", " N", step) for step in STEPS] == [
        "segsync init",
        "segsync check --profiles N",
        "segsync --limit N",
        "segsync --resume --profiles N",
        "segsync status",
    ]
