"""A 202 is not a write: the result of every customer is read, and each rejection is reported with its reason."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from segsync.sandbox.options import SandboxOptions
from segsync.sandbox.process import SandboxProcess
from segsync.sandbox.profiles import SandboxProfile, Space
from tests.conftest import StartSandbox
from tests.integration.conftest import (
    RESUME,
    Segsync,
    StartRepairable,
    ended,
    fast,
    moment,
    wait_until,
)
from tests.integration.repairable import AN_HOUR
from tests.integration.truth import assert_files_match, rejections, truth

pytestmark = pytest.mark.slow

REASON = "invalid_customer: Customer was refused"

REASONS = {"report_columns": "source_id,found,updated,key,message,details"}
"""Reports that have more than the documented columns."""

# --- refused after the 202 ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="the result names all"),
        pytest.param({"errors_listed": 1, **REASONS}, id="the result names some, its report all"),
        pytest.param({"errors_listed": 0, **REASONS}, id="only the report names them"),
        pytest.param({"errors_listed": 0, "foreign_reports": True, **REASONS}, id="only a report on another host does"),
        pytest.param({"errors_listed": 0, "reports_want_credentials": True, **REASONS}, id="a report for the project"),
    ],
)
def test_a_customer_refused_after_the_202_is_rejected_with_the_reason_of_voucherify(
    segsync: Segsync, start_sandbox: StartSandbox, options: dict[str, object]
) -> None:
    sandbox = start_sandbox(fast(400, refused_later=0.03, **options))
    run = segsync(sandbox=sandbox)
    verdict, expected = sandbox.verdict(), truth(sandbox.options)
    assert run.code == 3
    assert verdict.is_right
    assert verdict.leaked_credentials == 0
    assert verdict.accepted == verdict.expected, "nobody is sent twice to find out"
    assert run.row("Rejected") == verdict.refused == len(expected.rejected) > 5
    assert run.row("Customers confirmed") == verdict.arrived
    assert not run.has_row("Customers sent")
    assert_files_match(expected, segsync)
    customers = {profile.segment_id: profile.customer for profile in map(_profile_of(sandbox.options), range(400))}
    for row in rejections(segsync):
        customer = customers[row["segment_id"]]
        assert customer
        assert row["source_id"] == customer["source_id"]
        assert row["stage"] == "confirm"
        assert row["reason"].startswith(REASON)
        assert row["request_id"].startswith("v-"), "what support asks for"
    reasons = segsync.status().rejections
    assert {each.stage for each in reasons} == {"confirm"}
    assert sum(each.profiles for each in reasons) == verdict.refused


def _profile_of(options: SandboxOptions) -> Callable[[int], SandboxProfile]:
    return Space(options).profile


def test_an_upsert_that_failed_as_a_whole_is_sent_once_more_and_then_in_halves(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    sandbox = start_sandbox(fast(600, failed_actions=0.3))
    run = segsync("--batch-size", "20", sandbox=sandbox)
    verdict = sandbox.verdict()
    assert run.code == 0
    assert verdict.wrong_count == verdict.unexpected_count == verdict.missing_count == verdict.pending_actions == 0
    assert run.row("Customers confirmed") == verdict.arrived == verdict.expected < verdict.accepted
    assert run.row("Customers confirmed") + run.row("Without identifier") == 600
    assert 10 in verdict.batch_sizes, "one that failed twice was halved"


def test_where_nothing_fails_twice_everybody_is_confirmed(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(fast(600, failed_actions=0.3, seed=18))
    run = segsync("--batch-size", "50", sandbox=sandbox)
    verdict = sandbox.verdict()
    assert run.code == 0
    assert verdict.failed_actions == 2
    assert verdict.is_right
    assert run.row("Profiles listed") == 600
    assert run.row("Customers confirmed") == verdict.expected
    assert len(segsync.lines("profiles-without-identifier.txt")) == 600 - verdict.expected


# --- late, or not at all ----------------------------------------------------------------------------------------


def test_results_that_come_late_are_waited_for(segsync: Segsync, start_repairable: StartRepairable) -> None:
    sandbox = start_repairable(fast(300, action_seconds=AN_HOUR, refused_later=0.02))
    running = segsync.start(sandbox=sandbox)
    wait_until(lambda: _is_all_listed(segsync))
    looks = _looks(sandbox)
    wait_until(lambda: _looks(sandbox) >= looks + 2)
    sandbox.pass_time(AN_HOUR)
    run = ended(running)
    assert run.code == 3
    seen = moment(sandbox)
    assert seen.pending_actions == 0, "it ended when all actions had"
    assert "All customers are sent. Waiting for the results of 3 bulk upserts" in run.stderr
    verdict = sandbox.verdict()
    assert verdict.is_right
    assert run.row("Customers confirmed") == verdict.arrived
    assert run.row("Rejected") == verdict.refused > 0
    assert _looks(sandbox) < 20, "it looks now and then"


def test_results_that_a_killed_run_waited_for_are_read_by_the_resume_which_sends_nothing(
    segsync: Segsync, start_repairable: StartRepairable
) -> None:
    sandbox = start_repairable(fast(300, action_seconds=AN_HOUR, refused_later=0.02))
    running = segsync.start(sandbox=sandbox)
    wait_until(lambda: _is_all_listed(segsync))
    running.kill()
    running.communicate()
    before, expected = moment(sandbox), truth(sandbox.options)
    assert before.pending_actions == 3
    status = segsync.status()
    assert status.runs[0].state == "killed"
    assert status.runs[0].outcomes.sent == before.accepted
    assert status.runs[0].outcomes.confirmed == 0
    assert status.runs[0].open_upserts == 3

    sandbox.pass_time(AN_HOUR)
    run = segsync("--resume", sandbox=sandbox)
    after = sandbox.verdict()
    assert run.code == 3
    assert "Resuming: all listed (300 profiles); waiting for Voucherify's results." in run.stderr
    assert after.is_right
    assert after.accepted == before.accepted
    assert after.segment_calls == before.segment_calls
    assert run.row("Customers confirmed") == after.arrived
    assert run.row("Rejected") == after.refused > 0
    assert_files_match(expected, segsync)


def _looks(sandbox: SandboxProcess) -> int:
    """How often results were asked for."""
    seen = moment(sandbox)
    return seen.action_reads + seen.action_listings


def _is_all_listed(segsync: Segsync) -> bool:
    runs = segsync.status().runs if (segsync.directory / "segsync.db").exists() else []
    return bool(runs) and runs[0].offset is None


def test_ctrl_c_while_waiting_for_results_leaves_them_to_the_resume(
    segsync: Segsync, start_repairable: StartRepairable
) -> None:
    sandbox = start_repairable(fast(300, action_seconds=AN_HOUR))
    running = segsync.start(sandbox=sandbox)
    wait_until(lambda: _is_all_listed(segsync))
    running.terminate()
    interrupted = ended(running)
    customers = moment(sandbox).accepted
    assert interrupted.code == 143
    assert interrupted.row("Customers sent") == customers
    assert interrupted.row("Customers confirmed") == 0
    assert f"the results of {customers} customers are not read. To resume, run:" in interrupted.stderr
    assert "python -m segsync --resume\n" in interrupted.stderr
    sandbox.pass_time(AN_HOUR)
    resumed = segsync("--resume", sandbox=sandbox)
    assert resumed.code == 0
    assert resumed.row("Customers confirmed") == customers
    assert sandbox.verdict().accepted == customers


def test_actions_that_never_end_stop_the_run_when_patience_is_out(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    sandbox = start_sandbox(fast(100, action_seconds=3600))
    run = segsync(sandbox=sandbox, SEGSYNC_CONFIRM_SECONDS="1")
    customers = moment(sandbox).accepted
    assert run.code == 1
    assert f"Voucherify finished none of 1 bulk upsert ({customers} customers) in 1 s." in run.stderr
    assert run.row("Customers sent") == customers
    assert segsync.status().next_command == RESUME


def test_without_confirmation_customers_are_sent_and_no_result_is_read(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    sandbox = start_sandbox(fast(300, refused_later=0.05))
    run = segsync("--no-confirm", sandbox=sandbox)
    verdict = sandbox.verdict()
    assert run.code == 0
    assert verdict.is_right
    assert run.row("Customers sent") == verdict.expected
    assert not run.has_row("Customers confirmed")
    assert run.row("Rejected") == 0
    assert verdict.action_reads == verdict.action_listings == 0
    assert verdict.voucherify_calls == len(verdict.batch_sizes) + 1, "and the metadata schema"
    outcomes = segsync.first_run().outcomes
    assert (outcomes.sent, outcomes.confirmed) == (verdict.expected, 0)


# --- poison -----------------------------------------------------------------------------------------------------


def test_a_poison_customer_in_every_tenth_batch_costs_itself_alone(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    sandbox = start_sandbox(fast(1000, refused_at_once=0.005))
    run = segsync("--batch-size", "20", sandbox=sandbox)
    verdict, expected = sandbox.verdict(), truth(sandbox.options)
    assert 3 <= len(expected.rejected) <= 8, "one in ten of 42 batches"
    assert run.code == 3
    assert verdict.is_right
    assert verdict.accepted == verdict.expected - verdict.refused
    assert run.row("Rejected") == verdict.refused == len(expected.rejected)
    assert run.row("Customers confirmed") == verdict.arrived
    assert_files_match(expected, segsync)
    assert all(row["stage"] == "upsert" and "refused" in row["reason"] for row in rejections(segsync))
