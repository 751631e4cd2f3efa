"""A 202 is not a write: what became of every customer is read, told, and can be mended."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from segsync.report.profile_lists import REJECTED
from segsync.sandbox.options import SandboxOptions
from segsync.sandbox.process import SandboxProcess
from segsync.sandbox.profiles import SandboxProfile, Space
from tests.conftest import StartSandbox
from tests.integration.conftest import Segsync, calls, ended, fast, moment, wait_until, wait_until_accepted
from tests.integration.repairable import AN_HOUR, RepairableSandbox
from tests.integration.truth import assert_files_tell, rejections, truth

pytestmark = pytest.mark.slow

REASON = "invalid_customer: Customer was refused"


@pytest.fixture
def start_mendable() -> Iterator[Callable[[SandboxOptions], RepairableSandbox]]:
    """Starts sandboxes that end with the test."""
    with ExitStack() as stack:
        yield lambda options: stack.enter_context(RepairableSandbox(options))


StartMendable = Callable[[SandboxOptions], RepairableSandbox]


# --- refused after the 202 ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="the result names all"),
        pytest.param({"errors_listed": 1}, id="the result names some, its report all"),
        pytest.param({"errors_listed": 0}, id="only the report names them"),
        pytest.param({"errors_listed": 0, "foreign_reports": True}, id="only a report on another host does"),
    ],
)
def test_who_is_refused_after_the_202_is_rejected_with_the_reason_of_voucherify(
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
    assert_files_tell(expected, segsync)
    customers = {profile.segment_id: profile.customer for profile in map(_profile_of(sandbox.options), range(400))}
    for row in rejections(segsync):
        customer = customers[row["segment_id"]]
        assert customer
        assert row["source_id"] == customer["source_id"]
        assert row["stage"] == "confirm"
        assert row["reason"].startswith(REASON)
        assert row["request_id"].startswith("aa_"), "what support asks for"
    reasons = segsync.status().rejections
    assert {each.stage for each in reasons} == {"confirm"}
    assert sum(each.profiles for each in reasons) == verdict.refused


def _profile_of(options: SandboxOptions) -> Callable[[int], SandboxProfile]:
    return Space(options).profile


def test_an_upsert_that_failed_as_a_whole_is_sent_once_more_and_then_rejected(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    sandbox = start_sandbox(fast(600, failed_actions=0.3))
    run = segsync("--batch-size", "20", sandbox=sandbox)
    verdict = sandbox.verdict()
    assert run.code == 3
    rows = rejections(segsync)
    assert verdict.wrong_count == verdict.unexpected_count == verdict.pending_actions == 0
    assert run.row("Rejected") == len(rows) == len({row["segment_id"] for row in rows}) == verdict.missing_count > 0
    assert run.row("Customers confirmed") == verdict.arrived
    assert run.row("Customers confirmed") + run.row("Rejected") + run.row("Without identifier") == 600
    assert {row["stage"] for row in rows} == {"confirm"}
    assert all("FAILED in Voucherify" in row["reason"] for row in rows)
    batches = Counter(row["request_id"] for row in rows)
    assert verdict.expected < verdict.accepted <= 2 * verdict.expected
    assert len(verdict.batch_sizes) - -(-verdict.expected // 20) == verdict.failed_actions - len(batches)


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


def test_outcomes_that_come_late_are_waited_for(segsync: Segsync, start_mendable: StartMendable) -> None:
    sandbox = start_mendable(fast(300, action_seconds=AN_HOUR, refused_later=0.02))
    running = segsync.start(sandbox=sandbox)
    wait_until(lambda: _is_all_listed(segsync))
    looks = _looks(sandbox)
    wait_until(lambda: _looks(sandbox) >= looks + 2)
    sandbox.pass_time(AN_HOUR)
    run = ended(running)
    assert run.code == 3
    seen = moment(sandbox)
    assert seen.pending_actions == 0, "it ended when all actions had"
    assert "All is sent. Waiting for the results of 3 bulk upserts" in run.stderr
    verdict = sandbox.verdict()
    assert verdict.is_right
    assert run.row("Customers confirmed") == verdict.arrived
    assert run.row("Rejected") == verdict.refused > 0
    assert _looks(sandbox) < 20, "it looks now and then"


def test_outcomes_that_a_killed_run_waited_for_are_read_by_the_resume_without_sending_anything_again(
    segsync: Segsync, start_mendable: StartMendable
) -> None:
    sandbox = start_mendable(fast(300, action_seconds=AN_HOUR, refused_later=0.02))
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
    assert "Resuming: all 300 profiles are listed; waiting for Voucherify's results." in run.stderr
    assert after.is_right
    assert after.accepted == before.accepted
    assert after.segment_calls == before.segment_calls
    assert run.row("Customers confirmed") == after.arrived
    assert run.row("Rejected") == after.refused > 0
    assert_files_tell(expected, segsync)


def _looks(sandbox: SandboxProcess) -> int:
    """How often somebody asked for outcomes."""
    seen = moment(sandbox)
    return seen.action_reads + seen.action_listings


def _is_all_listed(segsync: Segsync) -> bool:
    runs = segsync.status().runs if (segsync.directory / "segsync.db").exists() else []
    return bool(runs) and runs[0].offset is None


def test_ctrl_c_while_waiting_for_outcomes_leaves_them_to_the_resume(
    segsync: Segsync, start_mendable: StartMendable
) -> None:
    sandbox = start_mendable(fast(300, action_seconds=AN_HOUR))
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
    assert f"Voucherify has ended none of 1 bulk upserts ({customers} customers) for 1 s." in run.stderr
    assert run.row("Customers sent") == customers
    assert segsync.status().next_command == "python -m segsync --resume"


def test_without_confirming_customers_are_sent_and_nobody_asks(segsync: Segsync, start_sandbox: StartSandbox) -> None:
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
    assert_files_tell(expected, segsync)
    assert all(row["stage"] == "upsert" and "refused" in row["reason"] for row in rejections(segsync))


# --- mended ---------------------------------------------------------------------------------------------------


def test_rejected_profiles_alone_are_taken_again_when_the_cause_is_mended(
    segsync: Segsync, start_mendable: StartMendable
) -> None:
    sandbox = start_mendable(fast(500, refused_later=0.03, refused_at_once=0.005))
    assert segsync(sandbox=sandbox).code == 3
    rejected = truth(sandbox.options).rejected
    assert set(rejected.values()) == {"confirm", "upsert"}
    before = sandbox.verdict()
    sandbox.mend()
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
        assert_files_tell(expected, segsync)
    assert segsync("--resume", sandbox=sandbox).code == 0


@pytest.mark.parametrize("ways_on", [("--resume", "--retry-rejected"), ("--retry-rejected", "--resume")])
def test_a_retry_that_is_killed_forgets_nobody(
    segsync: Segsync, start_mendable: StartMendable, ways_on: tuple[str, str]
) -> None:
    sandbox = start_mendable(fast(300, refused_later=0.2))
    assert segsync(sandbox=sandbox).code == 3
    sandbox.mend(action_seconds=AN_HOUR)
    running = segsync.start("--retry-rejected", "--batch-size", "20", sandbox=sandbox, SEGMENT_REQUESTS_PER_SECOND="20")
    wait_until(lambda: segsync.first_run().outcomes.sent > 0)
    running.kill()
    running.communicate()
    assert segsync.first_run().outcomes.rejected > 0
    sandbox.mend()
    sandbox.pass_time(AN_HOUR)
    assert [segsync(way_on, sandbox=sandbox).code for way_on in ways_on][1] == 0
    verdict = sandbox.verdict()
    assert verdict.is_right
    assert segsync.first_run().outcomes.confirmed == verdict.expected
    assert segsync.status().next_step == "Nothing is left to do."
    assert segsync.lines(REJECTED) == [], "nobody is rejected any more"


def test_a_retry_that_is_interrupted_says_how_to_hear_the_rest(segsync: Segsync, start_mendable: StartMendable) -> None:
    sandbox = start_mendable(fast(300, refused_later=0.2))
    assert segsync(sandbox=sandbox).code == 3
    rejected = len(rejections(segsync))
    sandbox.mend(action_seconds=AN_HOUR)
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
    assert (outcomes.sent, outcomes.rejected) == (0, 0), f"{way_on} was said to be the way on"
    assert segsync.lines(REJECTED) == []


def test_an_import_that_is_begun_again_is_not_told_the_outcomes_of_the_one_before(
    segsync: Segsync, start_mendable: StartMendable
) -> None:
    sandbox = start_mendable(fast(600, refused_later=0.2, action_seconds=0.7))
    running = segsync.start(sandbox=sandbox, SEGMENT_REQUESTS_PER_SECOND="800")
    wait_until_accepted(sandbox, 300)
    running.kill()
    running.communicate()
    sandbox.mend(action_seconds=0.7)
    run = segsync("--offset", "0", sandbox=sandbox)
    verdict = sandbox.verdict()
    assert run.code == 0
    assert verdict.is_right
    assert (run.row("Rejected"), run.row("Customers confirmed")) == (0, verdict.expected)
    assert segsync.lines(REJECTED) == [], "what the first import was refused, the second one wrote"
    assert segsync.status().next_step == "Nothing is left to do."


def test_where_everybody_is_refused_later_the_run_stops_and_rejects_nobody(
    segsync: Segsync, start_mendable: StartMendable
) -> None:
    sandbox = start_mendable(fast(1000, refused_later=1.0))
    run = segsync(sandbox=sandbox)
    assert run.code == 1
    assert "Error: Voucherify refused all" in run.stderr
    assert REASON in run.stderr
    assert run.row("Rejected") == 0
    assert not segsync.lines(REJECTED)
    assert segsync.status().rejections == []
    assert "python -m segsync --resume" in run.stderr
    sandbox.mend()
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
    segsync: Segsync, start_mendable: StartMendable
) -> None:
    sandbox = start_mendable(fast(300, refused_at_once=1.0))
    run = segsync(sandbox=sandbox)
    assert run.code == 1
    assert "in a row were rejected, so the import stopped" in run.stderr
    assert run.row("Rejected") == 0
    assert not segsync.lines(REJECTED)
    sandbox.mend()
    resumed = segsync("--resume", sandbox=sandbox)
    assert resumed.code == 0, resumed
    assert sandbox.verdict().is_right
    assert resumed.row("Customers confirmed") == sandbox.verdict().expected
