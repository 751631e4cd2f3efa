"""Rejected profiles, and whole imports that stopped, go through once the cause is fixed."""

from __future__ import annotations

import re

import pytest

from segsync.report.profile_lists import REJECTED
from tests.conftest import StartSandbox
from tests.integration.conftest import (
    Segsync,
    StartRepairable,
    calls,
    ended,
    fast,
    moment,
    wait_until,
    wait_until_accepted,
)
from tests.integration.repairable import AN_HOUR
from tests.integration.truth import assert_files_match, rejections, truth

pytestmark = pytest.mark.slow

REASON = "invalid_customer: Customer was refused"

# --- a retry of the rejected profiles ------------------------------------------------------------


def test_only_rejected_profiles_are_retried_once_the_cause_is_fixed(
    segsync: Segsync, start_repairable: StartRepairable
) -> None:
    sandbox = start_repairable(fast(500, refused_later=0.03, refused_at_once=0.005))
    assert segsync(sandbox=sandbox).code == 3
    rejected = truth(sandbox.options).rejected
    assert set(rejected.values()) == {"confirm", "upsert"}
    before = sandbox.verdict()
    sandbox.repair()
    run = segsync("--retry-rejected", sandbox=sandbox)
    after = sandbox.verdict()
    assert run.code == 0
    assert f"Retrying rejected profiles: {len(rejected)}." in run.stderr
    assert after.is_right
    assert after.refused == 0
    assert after.arrived == after.expected
    assert after.segment_calls - before.segment_calls == 2 * len(rejected), "it listed nothing, and read them alone"
    assert after.accepted - before.accepted == len(rejected)
    assert not (segsync.directory / REJECTED).exists()
    assert run.row("Rejected") == 0
    assert run.row("Profiles listed") == 500
    assert run.row("Customers confirmed") == after.expected
    status = segsync.status()
    assert status.rejections == []
    assert status.next_step == "Nothing is left to do."

    again = segsync("--retry-rejected", sandbox=sandbox)
    assert again.code == 0
    assert "has no rejected profiles: nothing to retry." in again.stderr
    assert calls(sandbox) == after.segment_calls + after.voucherify_calls


def test_what_is_still_refused_stays_on_the_list(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(fast(500, refused_later=0.03, refused_at_once=0.005, missing=0.01))
    assert segsync(sandbox=sandbox).code == 3
    expected, arrived = truth(sandbox.options), sandbox.verdict().arrived
    for _ in range(2):
        run = segsync("--retry-rejected", sandbox=sandbox)
        assert run.code == 3
        assert run.row("Rejected") == len(expected.rejected)
        assert run.row("Customers confirmed") == arrived == sandbox.verdict().arrived
        assert run.row("Profiles listed") == 500
        assert_files_match(expected, segsync)
    assert segsync("--resume", sandbox=sandbox).code == 3, "it has nothing to do, and they are rejected still"


@pytest.mark.parametrize("ways_on", [("--resume", "--retry-rejected"), ("--retry-rejected", "--resume")])
def test_a_retry_that_is_killed_forgets_nobody(
    segsync: Segsync, start_repairable: StartRepairable, ways_on: tuple[str, str]
) -> None:
    sandbox = start_repairable(fast(300, refused_later=0.2))
    assert segsync(sandbox=sandbox).code == 3
    sandbox.repair(action_seconds=AN_HOUR)
    running = segsync.start("--retry-rejected", "--batch-size", "20", sandbox=sandbox, SEGMENT_REQUESTS_PER_SECOND="20")
    wait_until(lambda: segsync.first_run().outcomes.sent > 0)
    running.kill()
    running.communicate()
    assert segsync.first_run().outcomes.rejected > 0
    sandbox.repair()
    sandbox.pass_time(AN_HOUR)
    assert [segsync(way_on, sandbox=sandbox).code for way_on in ways_on][1] == 0
    verdict = sandbox.verdict()
    assert verdict.is_right
    assert segsync.first_run().outcomes.confirmed == verdict.expected
    assert segsync.status().next_step == "Nothing is left to do."
    assert segsync.lines(REJECTED) == [], "nobody is rejected any more"


def test_an_interrupted_retry_names_the_command_that_reads_the_rest(
    segsync: Segsync, start_repairable: StartRepairable
) -> None:
    sandbox = start_repairable(fast(300, refused_later=0.2))
    assert segsync(sandbox=sandbox).code == 3
    rejected = len(rejections(segsync))
    sandbox.repair(action_seconds=AN_HOUR)
    running = segsync.start("--retry-rejected", sandbox=sandbox)
    wait_until(lambda: moment(sandbox).pending_actions > 0)
    wait_until(lambda: segsync.first_run().outcomes.sent == rejected)
    running.terminate()
    interrupted = ended(running)
    assert interrupted.code == 143
    [way_on] = re.findall(r"python -m segsync (--\S+)\n", interrupted.stderr)
    sandbox.pass_time(AN_HOUR)
    assert segsync(way_on, sandbox=sandbox).code == 0
    outcomes = segsync.first_run().outcomes
    assert (outcomes.sent, outcomes.rejected) == (0, 0), f"{way_on} was the command to run"
    assert segsync.lines(REJECTED) == []


def test_an_import_that_is_begun_again_ignores_the_results_of_the_one_before(
    segsync: Segsync, start_repairable: StartRepairable
) -> None:
    sandbox = start_repairable(fast(600, refused_later=0.2, action_seconds=0.7))
    running = segsync.start(sandbox=sandbox, SEGMENT_REQUESTS_PER_SECOND="800")
    wait_until_accepted(sandbox, 300)
    running.kill()
    running.communicate()
    sandbox.repair(action_seconds=0.7)
    run = segsync("--offset", "0", sandbox=sandbox)
    verdict = sandbox.verdict()
    assert run.code == 0
    assert verdict.is_right
    assert (run.row("Rejected"), run.row("Customers confirmed")) == (0, verdict.expected)
    assert segsync.lines(REJECTED) == [], "the second import wrote what the first one was refused"
    assert segsync.status().next_step == "Nothing is left to do."


# --- everybody is refused ------------------------------------------------------------


def test_where_everybody_is_refused_later_the_run_stops_and_rejects_nobody(
    segsync: Segsync, start_repairable: StartRepairable
) -> None:
    sandbox = start_repairable(fast(1000, refused_later=1.0))
    run = segsync(sandbox=sandbox)
    assert run.code == 1
    assert "Error: Voucherify refused all" in run.stderr
    assert REASON in run.stderr
    assert run.row("Rejected") == 0
    assert not segsync.lines(REJECTED)
    assert segsync.status().rejections == []
    assert "python -m segsync --resume" in run.stderr
    sandbox.repair()
    resumed = segsync("--resume", sandbox=sandbox)
    verdict = sandbox.verdict()
    assert resumed.code == 0, resumed
    assert verdict.is_right
    assert verdict.refused == 0
    assert resumed.row("Profiles listed") == 1000
    assert resumed.row("Customers confirmed") == verdict.expected
    assert not segsync.lines(REJECTED)
    assert len(segsync.lines("profiles-without-identifier.txt")) == 1000 - verdict.expected


def test_where_everybody_is_refused_at_once_the_run_stops_and_rejects_nobody(
    segsync: Segsync, start_repairable: StartRepairable
) -> None:
    sandbox = start_repairable(fast(300, refused_at_once=1.0))
    run = segsync(sandbox=sandbox)
    assert run.code == 1
    assert "in a row were rejected, so the import stopped" in run.stderr
    assert run.row("Rejected") == 0
    assert not segsync.lines(REJECTED)
    sandbox.repair()
    resumed = segsync("--resume", sandbox=sandbox)
    assert resumed.code == 0, resumed
    assert sandbox.verdict().is_right
    assert resumed.row("Customers confirmed") == sandbox.verdict().expected
