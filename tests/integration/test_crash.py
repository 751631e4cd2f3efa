"""Killed at any moment, and resumed until done: nobody is missing, nobody is wrong, little is sent twice."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from segsync.commands.status import RunStatus, read_status
from segsync.errors import LedgerError
from segsync.models import Outcomes
from segsync.sandbox.options import SandboxOptions
from segsync.sandbox.process import SandboxProcess
from segsync.sandbox.server import Verdict
from tests.conftest import StartSandbox
from tests.integration.conftest import (
    RESUME,
    Run,
    Segsync,
    calls,
    ended,
    fast,
    moment,
    wait_until,
    wait_until_accepted,
    written,
)
from tests.integration.truth import assert_files_match, truth

pytestmark = pytest.mark.slow

KILLS = 20
PROFILES = 1000
SENT_TWICE_PER_KILL = 300
"""The most customers that are sent twice per kill: those of a few pages."""

COUNTERS: dict[str, Callable[[Verdict], int]] = {
    "reading": lambda seen: seen.segment_calls,
    "sending": lambda seen: seen.accepted,
    "reading results": lambda seen: seen.action_reads + seen.action_listings,
}
"""Counts of the sandbox that show how far a process is."""

MOMENTS = {
    "starting": (2, 0, 0.4),
    "reading": (4, 500, 0.03),
    "sending": (4, 400, 0.03),
    "reading results": (3, 4, 0.03),
    "waiting for the last results": (1, 0, 0.5),
}
"""Per moment: its weight, and the most calls (or customers) and seconds to wait before the kill."""


def _space(seed: int) -> SandboxOptions:
    """A space whose profiles come to every outcome."""
    return fast(
        PROFILES, seed=seed, missing=0.02, refused_at_once=0.002, refused_later=0.02, action_seconds=0.5, latency_ms=2.0
    )


def _seed() -> int:
    seed = int(os.environ.get("SEGSYNC_TEST_SEED", "0")) or Random().randrange(1, 10**9)
    print(f"SEGSYNC_TEST_SEED={seed} repeats these moments")
    return seed


def _reached(random: Random, segsync: Segsync, sandbox: SandboxProcess, running: subprocess.Popen[str]) -> str | None:
    """Wait for a random moment of a run, and return what it was doing; None if the run ended before that."""
    [what] = random.choices(list(MOMENTS), [often for often, _, _ in MOMENTS.values()])
    _, most, most_seconds = MOMENTS[what]
    amount, later_seconds = random.randint(0, most), random.uniform(0, most_seconds)
    before = moment(sandbox)

    def is_reached() -> bool:
        if running.poll() is not None:
            return True
        if what in COUNTERS:
            return COUNTERS[what](moment(sandbox)) >= COUNTERS[what](before) + amount
        return what == "starting" or _is_all_listed(segsync)

    wait_until(is_reached)
    time.sleep(later_seconds)
    return what if running.poll() is None else None


def _latest(segsync: Segsync) -> RunStatus | None:
    """The status of the only run in the ledger."""
    try:
        runs = read_status(segsync.directory / "segsync.db").runs
    except LedgerError as error:
        if not re.search(
            "There is no ledger|No import has run", str(error)
        ):  # there is none yet, or it is just being made
            raise
        return None
    assert len(runs) <= 1, "a resume continues the run, and begins no other"
    return runs[0] if runs else None


def _is_all_listed(segsync: Segsync) -> bool:
    run = _latest(segsync)
    return run is not None and run.offset is None


def _offset(segsync: Segsync) -> int:
    run = _latest(segsync)
    return int(run.offset or 0) if run else 0


def _assert_claims_no_more_than_was_done(run: RunStatus, sandbox: SandboxProcess) -> None:
    outcomes = run.outcomes
    assert min(outcomes.confirmed, outcomes.sent, outcomes.without_identifier, outcomes.rejected, outcomes.pending) >= 0
    if run.state == "killed":
        assert run.offset in (None, str(run.profiles)), "what is done is what lies before the offset"
    else:  # it had the time to report what it had under way beyond the offset
        assert run.profiles >= int(run.offset or 0)
    assert outcomes.confirmed <= written(sandbox)
    assert outcomes.confirmed + outcomes.sent <= moment(sandbox).accepted


def _assert_is_complete(segsync: Segsync, sandbox: SandboxProcess, last: Run, kills: int) -> None:
    verdict, expected = sandbox.verdict(), truth(sandbox.options)
    assert verdict.is_right, verdict
    assert verdict.accepted <= verdict.expected + SENT_TWICE_PER_KILL * kills, "a few pages are sent twice, no more"
    outcomes = Outcomes(
        confirmed=len(expected.customers),
        without_identifier=len(expected.without_identifier),
        rejected=len(expected.rejected),
    )
    run = _latest(segsync)
    assert run
    assert (run.state, run.outcomes, run.offset, run.open_upserts) == ("done", outcomes, None, 0)
    assert outcomes.confirmed == verdict.arrived
    assert outcomes.profiles == PROFILES
    if last.stdout:  # the process that was killed last may have done all but print its summary
        assert last.code == 3
        assert last.row("Profiles listed") == PROFILES
        assert last.row("Customers confirmed") == outcomes.confirmed
        assert last.row("Without identifier") == outcomes.without_identifier
        assert last.row("Rejected") == outcomes.rejected
        assert last.row("Pending") == 0
    assert_files_match(expected, segsync)


@pytest.mark.timeout(1200)  # 20 processes, and as many more as ended before they could be killed
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_at_random_moments_and_resumed_until_done_every_profile_has_its_outcome(
    tmp_path: Path, start_sandbox: StartSandbox, number: signal.Signals
) -> None:
    random = Random(_seed())
    killed_while: list[str] = []
    imports = 0
    while len(killed_while) < KILLS:
        imports += 1
        segsync = Segsync(tmp_path / str(imports))
        segsync.directory.mkdir()
        sandbox = start_sandbox(_space(seed=random.randrange(10**6)))
        kills, checkpoint = 0, 0
        while len(killed_while) < KILLS:
            running = segsync.start("--resume", sandbox=sandbox)
            doing = _reached(random, segsync, sandbox, running)
            running.send_signal(number)
            last = ended(running)
            if doing is None or last.code in (0, 3):
                break
            # Before the program handles SIGTERM, the operating system does.
            assert last.code in (-number, 128 + number), last.stderr
            killed_while.append(doing)
            kills += 1
            if run := _latest(segsync):
                assert run.state == "killed" or (number == signal.SIGTERM and run.state == "interrupted")
                done = PROFILES if run.offset is None else int(run.offset)
                assert done >= checkpoint, "a resume never falls behind"
                checkpoint = done
                _assert_claims_no_more_than_was_done(run, sandbox)
        else:
            last = segsync("--resume", sandbox=sandbox)
        _assert_is_complete(segsync, sandbox, last, kills)
    print(f"{imports} imports, killed while {', '.join(killed_while)}")


def test_resume_begins_continues_or_has_nothing_to_do_by_what_the_ledger_holds(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    sandbox = start_sandbox(fast(600))
    running = segsync.start("--resume", sandbox=sandbox, SEGMENT_REQUESTS_PER_SECOND="600")
    wait_until(lambda: _offset(segsync) > 0)
    running.kill()
    begun = running.communicate()[1]
    assert "No import has run on the ledger segsync.db yet: beginning at the first profile." in begun
    offset = _offset(segsync)
    assert 0 < offset < 600

    resumed = segsync("--resume", sandbox=sandbox)
    assert resumed.code == 0
    assert f"Resuming from offset {offset}: {offset} profiles done." in resumed.stderr
    assert resumed.row("Profiles listed") == 600
    assert sandbox.verdict().is_right

    before = calls(sandbox)
    rested = segsync("--resume", sandbox=sandbox)
    assert rested.code == 0
    assert "The last import on the ledger segsync.db is complete: nothing to resume." in rested.stderr
    assert rested.stdout == ""
    assert calls(sandbox) == before


def test_status_shows_a_run_under_way_and_the_same_run_killed(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(fast(20_000))
    running = segsync.start(sandbox=sandbox, SEGMENT_REQUESTS_PER_SECOND="600")
    wait_until_accepted(sandbox, 200)
    wait_until(lambda: segsync.first_run().outcomes.confirmed > 0)
    under_way = segsync.status()
    assert under_way.runs[0].state == "running"
    assert under_way.next_step == "An import is running."
    assert running.poll() is None, "looking does not disturb it"
    running.kill()
    running.communicate()

    status = segsync.status()
    [run] = status.runs
    assert run.state == "killed"
    assert run.ended_at is None
    assert run.offset == str(run.outcomes.profiles) == str(run.profiles)
    assert under_way.runs[0].profiles <= run.profiles < 20_000
    assert run.outcomes.pending == run.outcomes.rejected == 0
    assert 0 < run.outcomes.confirmed <= sandbox.verdict().arrived
    assert status.next_command == RESUME

    shown = segsync("status")
    assert shown.code == 0
    assert "Run 1: crashed or was killed" in shown.stdout
    assert f"up to offset {run.offset}" in shown.stdout
    assert shown.row("Profiles") == run.profiles
    assert shown.row("Customers confirmed") == run.outcomes.confirmed
    assert shown.row("Customers sent") == run.outcomes.sent
    assert shown.row("Without identifier") == run.outcomes.without_identifier
    assert f"To resume, run:\n  {RESUME}\n" in shown.stdout


def test_status_without_a_ledger_is_an_error_that_names_it(segsync: Segsync) -> None:
    shown = segsync("status")
    assert shown.code == 2
    assert "There is no ledger at segsync.db: no import has run here, or it has another one (--ledger)" in shown.stderr
    assert not list(segsync.directory.iterdir()), "looking leaves nothing behind"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_new_run_at_the_offset_of_a_killed_one_reads_the_results_of_both(
    segsync: Segsync, start_sandbox: StartSandbox, number: signal.Signals
) -> None:
    sandbox = start_sandbox(fast(800, refused_later=0.1, missing=0.02, action_seconds=1.0))
    running = segsync.start(sandbox=sandbox, SEGMENT_REQUESTS_PER_SECOND="1000")
    wait_until(lambda: _offset(segsync) >= 200)
    running.send_signal(number)
    running.communicate()
    offset = _offset(segsync)
    run = segsync("--offset", str(offset), sandbox=sandbox)
    verdict, expected = sandbox.verdict(), truth(sandbox.options)
    assert run.code == 3
    assert verdict.is_right
    assert run.row("Profiles listed") == 800 - offset
    assert_files_match(expected, segsync)
    status, first = segsync.status(), sorted(expected.all)[offset]
    assert run.row("Rejected") == sum(segment_id >= first for segment_id in expected.rejected)
    assert run.row("Customers confirmed") == sum(segment_id >= first for segment_id in expected.customers)
    # Profiles on the last pages of the killed run belong to both.
    assert sum(each.outcomes.rejected for each in status.runs) >= len(expected.rejected)
    assert sum(each.profiles for each in status.rejections) == len(expected.rejected)
    assert sum(each.outcomes.confirmed for each in status.runs) >= verdict.arrived
    assert {(each.outcomes.sent, each.outcomes.pending, each.open_upserts) for each in status.runs} == {(0, 0, 0)}
