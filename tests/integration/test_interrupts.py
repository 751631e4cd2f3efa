"""Ctrl-C, SIGTERM, an error and its question: nothing is lost, and the way on is named."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path

import pexpect
import pytest

from segsync.sandbox.options import Faults, SandboxOptions
from segsync.sandbox.process import SandboxProcess
from tests.conftest import StartSandbox
from tests.integration.conftest import PATIENCE_SECONDS, SEGSYNC, Segsync, Terminal, ended, fast, wait_until_accepted

pytestmark = pytest.mark.slow

AWAY = Faults(server_error=1.0)


def _sandbox(profiles: int, **options: float) -> SandboxOptions:
    return fast(profiles, latency_ms=5.0, action_seconds=0.05, **options)


def _terminal(segsync: Segsync, sandbox: SandboxProcess, *arguments: str) -> Terminal:
    settings = {"SEGMENT_REQUESTS_PER_SECOND": "600", "SEGSYNC_RETRY_SECONDS": "0.5"}
    return Terminal(segsync, sandbox, *arguments, **settings)


def _ways_on(text: str, offset: int | str, flags: str = "") -> str:
    """The offset in the two commands that a run offers: resume with its ledger, or start at the offset it reached."""
    ways = rf"python -m segsync --resume{flags}\s+To start [^\n]*:\s+\S*python -m segsync --offset "
    match = re.search(rf"{ways}({offset}){flags}\s", text)
    assert match, text
    return match[1]


@pytest.mark.parametrize("way_on", ["--resume", "--offset"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_finishes_what_is_under_way_and_names_the_resume_command(
    segsync: Segsync, start_sandbox: StartSandbox, number: signal.Signals, code: int, way_on: str
) -> None:
    sandbox = start_sandbox(_sandbox(2000))
    running = segsync.start("--concurrency", "8", sandbox=sandbox, SEGMENT_REQUESTS_PER_SECOND="600")
    wait_until_accepted(sandbox, 300)
    running.send_signal(number)
    run = ended(running)

    assert run.code == code, run.stderr
    assert run.customers == sandbox.verdict().accepted, "all that was read was sent"
    assert run.row("Pending") > 0
    offset = _ways_on(run.stderr, r"\d+", " --concurrency 8")
    arguments = ("--resume",) if way_on == "--resume" else ("--offset", offset)
    resumed = segsync(*arguments, "--concurrency", "8", sandbox=sandbox)
    verdict = sandbox.verdict()
    assert resumed.code == 0
    assert verdict.is_right
    assert resumed.row("Profiles listed") == 2000 - (0 if way_on == "--resume" else int(offset))
    if way_on == "--resume":
        assert resumed.row("Customers confirmed") == verdict.expected
    assert len(segsync.lines("profiles-without-identifier.txt")) == 2000 - verdict.expected


def test_a_second_signal_stops_at_once(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(_sandbox(2000))
    running = segsync.start(sandbox=sandbox, SEGMENT_REQUESTS_PER_SECOND="600")
    wait_until_accepted(sandbox, 200)
    sandbox.set_faults(segment=Faults(hang=1.0), voucherify=Faults(hang=1.0))
    time.sleep(0.09)
    running.send_signal(signal.SIGINT)
    assert running.stderr is not None
    while "Stopping" not in running.stderr.readline():
        pass
    running.send_signal(signal.SIGINT)
    run = ended(running)
    assert run.code == 130
    _ways_on(run.stderr, r"\d+")
    assert run.row("Pending") > 0


def test_a_killed_run_can_be_repeated_from_any_offset_it_had_reached(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    sandbox = start_sandbox(_sandbox(1500))
    running = segsync.start(sandbox=sandbox, SEGMENT_REQUESTS_PER_SECOND="600")
    wait_until_accepted(sandbox, 300)
    running.kill()
    running.communicate()
    assert segsync("--offset", "200", sandbox=sandbox).code == 0
    assert sandbox.verdict().is_right


def test_after_an_error_yes_goes_on_in_the_same_process(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(_sandbox(1500))
    terminal = _terminal(segsync, sandbox)
    wait_until_accepted(sandbox, 300)
    sandbox.set_faults(segment=AWAY)
    assert terminal.asks_to_resume() > 0
    sandbox.set_faults(segment=Faults())
    terminal.answer("y")
    code, text = terminal.ends()
    verdict = sandbox.verdict()
    assert code == 0, text
    assert verdict.is_right
    assert re.search(r"Profiles listed +1,500", text)
    assert re.search(rf"Customers confirmed +{verdict.expected:,}", text), "the outcomes add up over both halves"
    assert "result not read" not in text
    assert len(segsync.lines("profiles-without-identifier.txt")) == 1500 - verdict.expected


def test_after_an_error_no_ends_with_the_command_that_resumes(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(_sandbox(1500))
    terminal = _terminal(segsync, sandbox, "--batch-size", "50")
    wait_until_accepted(sandbox, 300)
    sandbox.set_faults(voucherify=AWAY)
    offset = terminal.asks_to_resume()
    terminal.answer("what?")
    assert terminal.asks_to_resume() == offset
    terminal.answer("N")
    code, text = terminal.ends()
    assert code == 1
    _ways_on(text, offset, " --batch-size 50")
    assert re.search(r"To begin again from the first profile, run:\s+\S+ -m segsync --offset 0 --batch-size 50\s", text)


def test_ctrl_c_at_the_question_ends_with_the_command_that_resumes(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    sandbox = start_sandbox(_sandbox(1500))
    sandbox.set_faults(segment=AWAY)
    terminal = _terminal(segsync, sandbox)
    terminal.asks_to_resume()
    terminal.press_ctrl_c()
    code, text = terminal.ends()
    assert code == 1
    _ways_on(text, 0)


def test_ctrl_c_during_an_outage_is_an_interruption(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(_sandbox(2000))
    running = segsync.start(sandbox=sandbox, SEGMENT_REQUESTS_PER_SECOND="600", SEGSYNC_RETRY_SECONDS="2")
    wait_until_accepted(sandbox, 200)
    sandbox.set_faults(segment=AWAY)
    time.sleep(0.09)
    running.send_signal(signal.SIGINT)
    run = ended(running)
    assert run.code == 130
    _ways_on(run.stderr, r"\d+")


def test_a_second_error_ends_with_the_command_that_resumes(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(_sandbox(1500))
    terminal = _terminal(segsync, sandbox)
    wait_until_accepted(sandbox, 300)
    sandbox.set_faults(segment=AWAY)
    offset = terminal.asks_to_resume()
    terminal.answer("yes")
    code, text = terminal.ends()
    assert code == 1
    _ways_on(text, offset)


@pytest.mark.parametrize("arguments", [("--no-input",), ()])
def test_nothing_is_asked_where_nobody_can_answer(
    segsync: Segsync, start_sandbox: StartSandbox, arguments: tuple[str, ...]
) -> None:
    sandbox = start_sandbox(_sandbox(300))
    sandbox.set_faults(segment=AWAY)
    run = segsync(*arguments, sandbox=sandbox, SEGSYNC_RETRY_SECONDS="0.2")
    assert run.code == 1
    assert "Do you wish" not in run.stderr
    _ways_on(run.stderr, 0, "".join(f" {argument}" for argument in arguments))


def test_a_refused_credential_asks_nothing(segsync: Segsync, start_sandbox: StartSandbox, tmp_path: Path) -> None:
    sandbox = start_sandbox(_sandbox(300))
    environment = segsync.environment(sandbox, SEGMENT_ACCESS_TOKEN="wrong")
    child = pexpect.spawn(
        SEGSYNC[0], list(SEGSYNC[1:]), cwd=tmp_path, env=environment, encoding="utf-8", timeout=PATIENCE_SECONDS
    )
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 2
    assert "Do you wish" not in str(child.before)
