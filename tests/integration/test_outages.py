"""One of the services is away for a while: the import waits and goes on by itself, or stops cleanly and is resumed."""

from __future__ import annotations

import re

import pytest

from segsync.sandbox.options import Faults
from segsync.sandbox.process import SandboxProcess
from tests.conftest import StartSandbox
from tests.integration.conftest import RESUME, Segsync, ended, fast, moment, wait_until, wait_until_accepted
from tests.integration.repairable import AN_HOUR, RepairableSandbox
from tests.integration.truth import assert_files_match, rejections, truth

pytestmark = pytest.mark.slow

AWAY, BACK = Faults(server_error=1.0), Faults()
GAVE_UP = re.compile(r"given up after \d+ s and [1-9]\d* attempts")


def _set(sandbox: SandboxProcess, service: str, faults: Faults) -> None:
    sandbox.set_faults(**{service: faults})


def _calls_to(sandbox: SandboxProcess, service: str) -> int:
    seen = moment(sandbox)
    return seen.segment_calls if service == "segment" else seen.voucherify_calls


@pytest.mark.parametrize(
    ("service", "faults"), [("segment", Faults(server_error=0.7, cut=0.3)), ("voucherify", Faults(server_error=1.0))]
)
def test_an_outage_is_waited_out_and_the_import_goes_on_by_itself(
    segsync: Segsync, start_sandbox: StartSandbox, service: str, faults: Faults
) -> None:
    sandbox = start_sandbox(fast(700, missing=0.02, refused_later=0.02))
    running = segsync.start(
        sandbox=sandbox, SEGMENT_REQUESTS_PER_SECOND="1000", SEGSYNC_RETRY_SECONDS="60", SEGSYNC_CONCURRENCY="4"
    )
    wait_until_accepted(sandbox, 200)
    _set(sandbox, service, faults)
    before = _calls_to(sandbox, service)
    wait_until(lambda: _calls_to(sandbox, service) >= before + 8)
    assert running.poll() is None
    _set(sandbox, service, BACK)
    run = ended(running)
    verdict, expected = sandbox.verdict(), truth(sandbox.options)
    assert run.code == 3
    assert verdict.is_right
    assert f"{service.title()} " in run.stderr
    assert run.row("Profiles listed") == 700
    assert run.row("Customers confirmed") == verdict.arrived
    assert run.row("Rejected") == len(expected.rejected), "an outage is nobody's fault"
    assert_files_match(expected, segsync)


@pytest.mark.parametrize("service", ["segment", "voucherify"])
def test_an_outage_that_outlasts_the_patience_stops_the_run_and_a_resume_finishes(
    segsync: Segsync, start_sandbox: StartSandbox, service: str
) -> None:
    sandbox = start_sandbox(fast(700, missing=0.02, refused_later=0.02))
    running = segsync.start(sandbox=sandbox, SEGMENT_REQUESTS_PER_SECOND="1000", SEGSYNC_RETRY_SECONDS="1")
    wait_until_accepted(sandbox, 200)
    _set(sandbox, service, AWAY)
    stopped = ended(running)
    assert stopped.code == 1
    assert f"Error: {service.title()} answered 50" in stopped.stderr
    assert GAVE_UP.search(stopped.stderr)
    assert "python -m segsync --resume\n" in stopped.stderr
    status = segsync.status()
    assert status.runs[0].state == "stopped"
    assert GAVE_UP.search(status.runs[0].error or "")
    assert status.next_command == RESUME

    still_away = segsync("--resume", sandbox=sandbox, SEGSYNC_RETRY_SECONDS="0.5")
    assert still_away.code == 1
    assert int(segsync.first_run().offset or 700) >= int(status.runs[0].offset or 700)

    _set(sandbox, service, BACK)
    resumed = segsync("--resume", sandbox=sandbox)
    verdict, expected = sandbox.verdict(), truth(sandbox.options)
    assert resumed.code == 3
    assert verdict.is_right
    assert resumed.row("Profiles listed") == 700
    assert resumed.row("Customers confirmed") == verdict.arrived
    assert resumed.row("Rejected") == len(expected.rejected)
    assert_files_match(expected, segsync)


def test_an_outage_while_only_results_are_missing_is_waited_out(segsync: Segsync) -> None:
    with RepairableSandbox(fast(200, action_seconds=AN_HOUR)) as sandbox:
        running = segsync.start(sandbox=sandbox, SEGSYNC_RETRY_SECONDS="60")
        _wait_until_all_is_sent(sandbox)
        _set(sandbox, "voucherify", AWAY)
        before = _calls_to(sandbox, "voucherify")
        wait_until(lambda: _calls_to(sandbox, "voucherify") >= before + 3)
        sandbox.pass_time(AN_HOUR)
        _set(sandbox, "voucherify", BACK)
        run = ended(running)
        verdict = sandbox.verdict()
    assert run.code == 0
    assert verdict.is_right
    assert verdict.accepted == verdict.expected
    assert run.row("Customers confirmed") == verdict.expected


def test_a_long_outage_while_only_results_are_missing_stops_the_run_and_a_resume_reads_them(
    segsync: Segsync,
) -> None:
    with RepairableSandbox(fast(200, action_seconds=AN_HOUR)) as sandbox:
        running = segsync.start(sandbox=sandbox, SEGSYNC_RETRY_SECONDS="0.5")
        customers = _wait_until_all_is_sent(sandbox)
        _set(sandbox, "voucherify", AWAY)
        stopped = ended(running)
        assert stopped.code == 1
        assert stopped.row("Customers sent") == customers
        assert f"the results of {customers} customers are not read. To resume, run:" in stopped.stderr
        assert "python -m segsync --resume\n" in stopped.stderr

        sandbox.pass_time(AN_HOUR)
        _set(sandbox, "voucherify", BACK)
        resumed = segsync("--resume", sandbox=sandbox)
        verdict = sandbox.verdict()
    assert resumed.code == 0
    assert verdict.is_right
    assert verdict.accepted == customers == verdict.expected
    assert resumed.row("Customers confirmed") == customers


def _wait_until_all_is_sent(sandbox: SandboxProcess) -> int:
    """The number of customers, once Voucherify has accepted them all and has ended none of the last."""
    customers = len(truth(sandbox.options).customers)
    wait_until_accepted(sandbox, customers)
    return customers


def test_a_profile_that_fails_alone_is_rejected_and_the_run_goes_on(segsync: Segsync) -> None:
    with RepairableSandbox(fast(300)) as sandbox:
        broken = sorted(truth(sandbox.options).customers)[100]
        sandbox.break_profile(broken)
        run = segsync(sandbox=sandbox, SEGSYNC_RETRY_SECONDS="1")
        verdict = sandbox.verdict()
    assert run.code == 3
    [row] = rejections(segsync)
    assert (row["segment_id"], row["stage"]) == (broken, "read")
    assert "Segment answered 503" in row["reason"]
    assert GAVE_UP.search(row["reason"])
    assert (verdict.missing_count, verdict.wrong_count) == (1, 0)
    assert run.row("Customers confirmed") == verdict.arrived == verdict.expected - 1
