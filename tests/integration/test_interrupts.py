"""Ctrl-C, SIGTERM, an error and its question: nothing is lost, and the way on is said."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path

import pexpect
import pytest

from segsync.sandbox import SandboxOptions
from segsync.sandbox.options import Faults
from segsync.sandbox.process import SandboxProcess
from tests.conftest import StartSandbox
from tests.integration.conftest import SEGSYNC, Run, Segsync

AWAY = Faults(server_error=1.0)
QUESTION = r"Do you wish to resume the process from the offset: (\d+)\? Type \"yes\" or \"no\": "


def _sandbox(profiles: int, **options: float) -> SandboxOptions:
    return SandboxOptions(
        profiles=profiles,
        segment_requests_per_second=0,
        voucherify_requests_per_minute=0,
        action_seconds=0.05,
        latency_ms=5.0,
        **options,  # type: ignore[arg-type]
    )


def _wait_until(sandbox: SandboxProcess, *, accepted: int) -> None:
    """Until the sandbox has accepted that many customers."""
    deadline = time.monotonic() + 30
    while sandbox.verdict().accepted < accepted:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_finishes_what_is_under_way_and_says_how_to_resume(
    segsync: Segsync, start_sandbox: StartSandbox, number: signal.Signals, code: int
) -> None:
    sandbox = start_sandbox(_sandbox(2000))
    running = segsync.start("--concurrency", "8", sandbox=sandbox, SEGMENT_REQUESTS_PER_SECOND="600")
    _wait_until(sandbox, accepted=300)
    running.send_signal(number)
    stdout, stderr = running.communicate(timeout=30)
    run = Run(running.returncode, stdout, stderr)

    assert run.code == code, stderr
    assert "Traceback" not in stderr
    assert run.row("Customers sent") == sandbox.verdict().accepted, "all that was read was sent"
    assert run.row("Still to do") > 0
    command = re.search(r"python -m segsync --offset (\d+) --concurrency 8\n", stderr)
    assert command
    resumed = segsync("--offset", command[1], "--concurrency", "8", sandbox=sandbox)
    assert resumed.code == 0
    assert sandbox.verdict().is_right
    assert len(segsync.lines("profiles-without-identifier.txt")) == 2000 - sandbox.verdict().expected


def test_a_second_signal_stops_at_once(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(_sandbox(2000))
    running = segsync.start(sandbox=sandbox, SEGMENT_REQUESTS_PER_SECOND="600")
    _wait_until(sandbox, accepted=200)
    sandbox.set_faults(segment=Faults(hang=1.0), voucherify=Faults(hang=1.0))
    time.sleep(0.09)
    running.send_signal(signal.SIGINT)
    assert running.stderr is not None
    while "Stopping" not in running.stderr.readline():
        pass
    running.send_signal(signal.SIGINT)
    stdout, stderr = running.communicate(timeout=10)
    assert running.returncode == 130
    assert "Traceback" not in stderr
    assert re.search(r"python -m segsync --offset \d+", stderr)
    assert Run(130, stdout, stderr).row("Still to do") > 0


def test_a_killed_run_can_be_repeated_from_any_offset_it_had_reached(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    sandbox = start_sandbox(_sandbox(1500))
    running = segsync.start(sandbox=sandbox, SEGMENT_REQUESTS_PER_SECOND="600")
    _wait_until(sandbox, accepted=300)
    running.kill()
    running.communicate()
    assert segsync("--offset", "200", sandbox=sandbox).code == 0
    assert sandbox.verdict().is_right


class _Terminal:
    """segsync at a terminal, with somebody to answer."""

    def __init__(self, segsync: Segsync, sandbox: SandboxProcess, *arguments: str) -> None:
        environment = segsync.environment(sandbox, SEGMENT_REQUESTS_PER_SECOND="600", SEGSYNC_RETRY_SECONDS="0.5")
        self._child = pexpect.spawn(
            SEGSYNC[0], [*SEGSYNC[1:], *arguments], cwd=segsync.directory, env=environment, encoding="utf-8", timeout=30
        )
        self._child.setwinsize(50, 200)

    def asks_to_resume(self) -> int:
        self._child.expect(QUESTION)
        match = self._child.match
        assert isinstance(match, re.Match)
        return int(match[1])

    def answer(self, text: str) -> None:
        self._child.sendline(text)

    def press_ctrl_c(self) -> None:
        self._child.sendintr()

    def ends(self) -> tuple[int | None, str]:
        """The exit code, and what was said since the question."""
        self._child.expect(pexpect.EOF)
        self._child.close()
        return self._child.exitstatus, str(self._child.before)


def test_after_an_error_yes_goes_on_in_the_same_process(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(_sandbox(1500))
    terminal = _Terminal(segsync, sandbox)
    _wait_until(sandbox, accepted=300)
    sandbox.set_faults(segment=AWAY)
    assert terminal.asks_to_resume() > 0
    sandbox.set_faults(segment=Faults())
    terminal.answer("yes")
    code, said = terminal.ends()
    verdict = sandbox.verdict()
    assert code == 0, said
    assert verdict.is_right
    assert re.search(r"Profiles listed +1,500", said)
    assert re.search(rf"Customers sent +{verdict.expected:,}", said), "the fates add up over both halves"
    assert len(segsync.lines("profiles-without-identifier.txt")) == 1500 - verdict.expected


def test_after_an_error_no_ends_with_the_command_that_resumes(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(_sandbox(1500))
    terminal = _Terminal(segsync, sandbox, "--batch-size", "50")
    _wait_until(sandbox, accepted=300)
    sandbox.set_faults(voucherify=AWAY)
    offset = terminal.asks_to_resume()
    terminal.answer("no")
    code, said = terminal.ends()
    assert code == 1
    assert f"python -m segsync --offset {offset} --batch-size 50" in said


def test_ctrl_c_at_the_question_ends_with_the_command_that_resumes(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    sandbox = start_sandbox(_sandbox(1500))
    sandbox.set_faults(segment=AWAY)
    terminal = _Terminal(segsync, sandbox)
    terminal.asks_to_resume()
    terminal.press_ctrl_c()
    code, said = terminal.ends()
    assert code == 1
    assert "python -m segsync --offset 0" in said


def test_ctrl_c_during_an_outage_is_an_interruption(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(_sandbox(2000))
    running = segsync.start(sandbox=sandbox, SEGMENT_REQUESTS_PER_SECOND="600", SEGSYNC_RETRY_SECONDS="2")
    _wait_until(sandbox, accepted=200)
    sandbox.set_faults(segment=AWAY)
    time.sleep(0.09)
    running.send_signal(signal.SIGINT)
    _, stderr = running.communicate(timeout=30)
    assert running.returncode == 130
    assert re.search(r"python -m segsync --offset \d+", stderr)


def test_a_second_error_ends_with_the_command_that_resumes(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(_sandbox(1500))
    terminal = _Terminal(segsync, sandbox)
    _wait_until(sandbox, accepted=300)
    sandbox.set_faults(segment=AWAY)
    offset = terminal.asks_to_resume()
    terminal.answer("yes")
    code, said = terminal.ends()
    assert code == 1
    assert f"python -m segsync --offset {offset}" in said


@pytest.mark.parametrize("arguments", [("--no-input",), ()])
def test_nothing_is_asked_where_nobody_can_answer(
    segsync: Segsync, start_sandbox: StartSandbox, arguments: tuple[str, ...]
) -> None:
    sandbox = start_sandbox(_sandbox(300))
    sandbox.set_faults(segment=AWAY)
    run = segsync(*arguments, sandbox=sandbox, SEGSYNC_RETRY_SECONDS="0.2")
    assert run.code == 1
    assert "Do you wish" not in run.stderr
    assert "--offset 0" in run.stderr


def test_a_refused_credential_asks_nothing(segsync: Segsync, start_sandbox: StartSandbox, tmp_path: Path) -> None:
    sandbox = start_sandbox(_sandbox(300))
    environment = segsync.environment(sandbox, SEGMENT_ACCESS_TOKEN="wrong")
    child = pexpect.spawn(SEGSYNC[0], list(SEGSYNC[1:]), cwd=tmp_path, env=environment, encoding="utf-8", timeout=30)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 2
    assert "Do you wish" not in str(child.before)
