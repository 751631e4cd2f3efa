"""One run at a time on a ledger, and what the next one does about an unfinished import."""

from __future__ import annotations

import re
import shutil
import signal

import pytest

from segsync.sandbox.process import SandboxProcess
from tests.conftest import StartSandbox
from tests.integration.conftest import (
    RESUME,
    Segsync,
    Terminal,
    calls,
    ended,
    fast,
    moment,
    wait_until_accepted,
)
from tests.support import guides

pytestmark = pytest.mark.slow

UNFINISHED = "The ledger segsync.db holds an unfinished import: "


def _interrupt(segsync: Segsync, sandbox: SandboxProcess) -> int:
    """Begin an import and interrupt it in the middle; the offset it came to."""
    running = segsync.start(sandbox=sandbox, SEGMENT_REQUESTS_PER_SECOND="1000")
    wait_until_accepted(sandbox, 200)
    running.terminate()
    assert ended(running).code == 143
    return int(segsync.first_run().offset or 0)


# --- one run at a time ----------------------------------------------------------------------------------------


def test_a_second_run_on_the_same_ledger_is_refused_and_the_first_goes_on(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    sandbox, bystander = start_sandbox(fast(500)), start_sandbox(fast(100))
    running = segsync.start(sandbox=sandbox, SEGMENT_REQUESTS_PER_SECOND="600")
    wait_until_accepted(sandbox, 100)
    running.send_signal(signal.SIGSTOP)  # it has time until the others are through
    requests = ((), ("--resume",), ("--offset", "0"), ("--retry-rejected",))
    refused = [ended(second) for second in [segsync.start(*request, sandbox=bystander) for request in requests]]
    running.send_signal(signal.SIGCONT)
    assert running.poll() is None
    for second in refused:
        assert second.code == 2
        assert second.stdout == ""
        assert second.stderr == (
            "Error: Another segsync uses the ledger segsync.db now. Wait until it has ended, or choose another: "
            "--ledger FILE [ledger-in-use]\n"
        )
    assert calls(bystander) == 0
    first = ended(running)
    assert first.code == 0
    assert first.row("Profiles listed") == 500
    assert sandbox.verdict().is_right
    assert segsync("--resume", sandbox=sandbox).code == 0, "it has let go of the ledger"


def test_two_runs_with_a_ledger_each_do_not_disturb_each_other(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    sandbox, other = start_sandbox(fast(500)), start_sandbox(fast(100))
    running = segsync.start("--limit", "300", sandbox=sandbox, SEGMENT_REQUESTS_PER_SECOND="600")
    wait_until_accepted(sandbox, 100)
    running.send_signal(signal.SIGSTOP)
    assert segsync("--ledger", "other.db", sandbox=other).code == 0
    running.send_signal(signal.SIGCONT)
    assert running.poll() is None
    assert ended(running).code == 0
    assert other.verdict().is_right
    assert sandbox.verdict(last=300).is_right


# --- an unfinished import ------------------------------------------------------------------------------------


def test_an_unfinished_import_is_not_begun_again_by_itself(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(fast(700))
    offset = _interrupt(segsync, sandbox)
    before, files = calls(sandbox), segsync.lines("profiles-without-identifier.txt")
    for arguments in ((), ("--no-input",), ("--limit", "100")):
        run = segsync(*arguments, sandbox=sandbox)
        assert run.code == 2
        assert run.stdout == ""
        assert UNFINISHED in run.stderr
        assert f" UTC, interrupted, {offset} profiles done, up to offset {offset}." in run.stderr
        assert "Nothing was done." in run.stderr
        assert "--resume" in run.stderr
        assert "--offset 0" in run.stderr
    assert calls(sandbox) == before
    assert segsync.lines("profiles-without-identifier.txt") == files
    assert segsync.first_run().offset == str(offset)


def test_an_unfinished_import_is_begun_again_with_offset_0(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(fast(700))
    _interrupt(segsync, sandbox)
    accepted = moment(sandbox).accepted
    run = segsync("--offset", "0", sandbox=sandbox)
    verdict = sandbox.verdict()
    assert run.code == 0
    assert run.row("Profiles listed") == 700
    assert verdict.is_right
    assert verdict.accepted == accepted + verdict.expected
    assert [each.state for each in segsync.status().runs] == ["done", "interrupted"]
    assert len(segsync.lines("profiles-without-identifier.txt")) == 700 - verdict.expected


def test_at_a_terminal_yes_resumes(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(fast(700))
    offset = _interrupt(segsync, sandbox)
    terminal = Terminal(segsync, sandbox)
    assert terminal.asks_to_resume() == offset
    terminal.answer("yes")
    code, text = terminal.ends()
    verdict = sandbox.verdict()
    assert code == 0, text
    assert f"Resuming from offset {offset}: {offset} profiles done." in text
    assert re.search(r"Profiles listed +700", text)
    assert verdict.is_right
    assert verdict.accepted < 2 * verdict.expected - 100, "it did not begin again"
    assert [each.state for each in segsync.status().runs] == ["done"]


@pytest.mark.parametrize(("typed", "code"), [("n", 1), (None, 130)], ids=["no", "Ctrl-C"])
def test_at_a_terminal_no_and_ctrl_c_do_nothing_and_say_how_to_begin_anew(
    segsync: Segsync, start_sandbox: StartSandbox, typed: str | None, code: int
) -> None:
    sandbox = start_sandbox(fast(700))
    offset = _interrupt(segsync, sandbox)
    before = calls(sandbox)
    terminal = Terminal(segsync, sandbox)
    assert terminal.asks_to_resume() == offset
    terminal.answer("perhaps")
    assert terminal.asks_to_resume() == offset
    if typed is None:
        terminal.press_ctrl_c()
    else:
        terminal.answer(typed)
    ended_with, text = terminal.ends()
    assert ended_with == code
    assert "Nothing was done." in text
    assert re.search(r"To begin again from the first profile, run:\s+\S+ -m segsync --offset 0\s", text)
    assert calls(sandbox) == before
    assert segsync.first_run().offset == str(offset)


def test_a_finished_import_can_be_run_once_more(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(fast(200))
    assert segsync(sandbox=sandbox).code == 0
    assert segsync(sandbox=sandbox).code == 0
    verdict = sandbox.verdict()
    assert verdict.is_right
    assert verdict.accepted == 2 * verdict.expected


# --- limits -----------------------------------------------------------------------------------------------------


def test_a_resume_goes_on_behind_a_limit(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(fast(500))
    assert segsync("--limit", "150", sandbox=sandbox).code == 0
    status = segsync.status()
    assert (status.runs[0].state, status.runs[0].offset) == ("limited", "150")
    assert status.next_command == RESUME
    run = segsync("--resume", sandbox=sandbox)
    verdict = sandbox.verdict()
    assert run.code == 0
    assert run.row("Profiles listed") == 500
    assert verdict.is_right
    assert verdict.accepted == verdict.expected


def test_a_resume_with_a_limit_counts_from_the_beginning_of_the_import(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    sandbox = start_sandbox(fast(200))
    for _ in range(2):
        run = segsync("--resume", "--limit", "100", sandbox=sandbox)
        verdict = sandbox.verdict(last=100)
        assert run.code == 0
        assert verdict.is_right
        assert verdict.accepted == verdict.expected
        assert segsync.first_run().offset == "100"
    assert segsync("--resume", "--limit", "150", sandbox=sandbox).code == 0
    assert segsync("--resume", "--limit", "50", sandbox=sandbox).code == 0
    assert sandbox.verdict(last=150).is_right
    assert segsync.first_run().profiles == 150


def test_a_ledger_of_an_older_segsync_is_migrated_and_the_user_is_told_where_the_old_one_is(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    shutil.copy(guides.ROOT / "tests" / "support" / "files" / "ledger-format-1.db", segsync.directory / "segsync.db")
    owner = {"SEGMENT_SPACE_ID": "spa_mine", "VOUCHERIFY_APPLICATION_ID": "app-of-the-project"}
    assert segsync.status().runs[0].outcomes.profiles == 16
    run = segsync("--resume", sandbox=start_sandbox(fast(10)), **owner)
    assert "The ledger segsync.db was migrated to a newer format. The old one is segsync.db.bak." in run.stderr
    assert (segsync.directory / "segsync.db.bak").exists()
    assert segsync.status().runs[0].outcomes.profiles == 16
