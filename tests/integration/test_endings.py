"""What a run leaves for others: the summary and the page, however it ended."""

from __future__ import annotations

import shlex
import signal
from pathlib import Path

import msgspec
import pytest

from segsync.report.import_report import ImportReport
from tests.conftest import StartSandbox
from tests.integration.conftest import Segsync, calls, ended, fast, wait_until
from tests.support.summaries import read_summary

pytestmark = pytest.mark.slow

LEAVE = ("--report", "report.html", "--summary-json", "summary.json")


def report_in(segsync: Segsync) -> ImportReport:
    return read_summary((segsync.directory / "summary.json").read_bytes())


def next_command_in(segsync: Segsync) -> list[str]:
    """The flags of the command that does what is left to do."""
    return shlex.split(msgspec.json.decode((segsync.directory / "summary.json").read_bytes())["next_command"])[3:]


def page_in(segsync: Segsync) -> str:
    return (segsync.directory / "report.html").read_text(encoding="utf-8")


def rejections_add_up(report: ImportReport) -> bool:
    return sum(group.profiles for group in report.rejections) == report.outcomes.rejected


def test_the_summary_and_the_page_say_what_the_table_says(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(fast(missing=0.05, refused_later=0.05))
    run = segsync(*LEAVE, sandbox=sandbox)
    report = report_in(segsync)
    assert (run.code, report.state, report.error) == (3, "done", None)
    assert report.outcomes.profiles == run.row("Profiles listed") == 500
    assert report.outcomes.confirmed == run.row("Customers confirmed")
    assert report.outcomes.without_identifier == run.row("Without identifier")
    assert report.outcomes.rejected == run.row("Rejected") > 0
    assert sum(report.warnings.values()) == run.row("Warnings")
    assert report.calls["Segment"].calls == run.row("Segment calls")
    assert rejections_add_up(report)
    assert {group.stage for group in report.rejections} == {"read", "confirm"}
    assert sum(report.throughput.profiles) == 500 - sum(g.profiles for g in report.rejections if g.stage == "read")
    assert f"{report.outcomes.customers} customers imported" in page_in(segsync)
    assert "Report: report.html" in run.stderr
    assert next_command_in(segsync) == ["--retry-rejected", *LEAVE]


def test_an_import_that_took_several_processes_is_reported_as_one(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    sandbox = start_sandbox(fast(1000, missing=0.05, refused_later=0.05))
    segsync("--limit", "400", *LEAVE, sandbox=sandbox)
    first = report_in(segsync)
    assert first.outcomes.profiles == 400
    assert first.outcomes.rejected > 0
    assert "First part done" in page_in(segsync)
    assert next_command_in(segsync) == ["--resume", *LEAVE]
    segsync("--resume", *LEAVE, sandbox=sandbox)
    whole = report_in(segsync)
    warned = len(segsync.lines("profiles-with-warnings.csv")) - 1
    assert warned == sum(whole.warnings.values()) > sum(first.warnings.values()), "those are of both processes"
    assert f"Warnings: {warned:,}" in page_in(segsync)
    assert (whole.outcomes.profiles, whole.before.profiles) == (1000, 400)
    assert whole.outcomes.rejected > first.outcomes.rejected
    assert rejections_add_up(whole)
    segsync("--retry-rejected", *LEAVE, sandbox=sandbox)
    retried = report_in(segsync)
    assert retried.outcomes.profiles == 1000
    assert rejections_add_up(retried)


def test_a_page_that_nobody_asked_for_in_time_can_be_had_later(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(fast(300, missing=0.05))
    segsync(sandbox=sandbox)
    before = calls(sandbox)
    run = segsync("--resume", *LEAVE, sandbox=sandbox)
    assert "nothing to resume" in run.stderr
    assert calls(sandbox) == before
    report = report_in(segsync)
    assert (report.outcomes.profiles, report.seconds) == (300, 0)
    assert rejections_add_up(report)
    assert f"Rejected profiles: {report.outcomes.rejected}" in page_in(segsync)
    assert f"Warnings: {len(segsync.lines('profiles-with-warnings.csv')) - 1}" in page_in(segsync)
    assert "How fast it went" not in page_in(segsync)


@pytest.mark.parametrize("confirms", [True, False])
def test_the_page_that_comes_later_knows_whether_outcomes_were_read(
    segsync: Segsync, start_sandbox: StartSandbox, *, confirms: bool
) -> None:
    sandbox = start_sandbox(fast(100))
    segsync(*() if confirms else ("--no-confirm",), sandbox=sandbox)
    segsync("--resume", *LEAVE, sandbox=sandbox)
    report = report_in(segsync)
    assert (report.is_confirmed, report.outcomes.sent > 0) == (confirms, not confirms)
    assert f"{report.outcomes.customers} customers {'imported' if confirms else 'sent'}" in page_in(segsync)


@pytest.mark.parametrize("times", [1, 2], ids=["a signal", "a second signal"])
def test_an_interrupted_run_leaves_them_too(segsync: Segsync, start_sandbox: StartSandbox, times: int) -> None:
    sandbox = start_sandbox(fast(100_000))
    running = segsync.start(*LEAVE, sandbox=sandbox, SEGMENT_REQUESTS_PER_SECOND="300")
    wait_until(lambda: calls(sandbox) > 600)
    for _ in range(times):
        running.send_signal(signal.SIGTERM)
    assert ended(running).code == 143
    report = report_in(segsync)
    assert report.state == "interrupted"
    assert report.outcomes.profiles > 0
    assert next_command_in(segsync) == ["--resume", *LEAVE]
    assert "Interrupted" in page_in(segsync)


def test_a_run_that_stopped_says_why(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    run = segsync(*LEAVE, sandbox=start_sandbox(fast()), VOUCHERIFY_SECRET_KEY="not-it")
    report = report_in(segsync)
    assert (run.code, report.state) == (2, "stopped")
    assert msgspec.json.decode((segsync.directory / "summary.json").read_bytes())["error"]["kind"] == "AccessError"
    assert "VOUCHERIFY_SECRET_KEY" in str(report.error)
    assert "Why it stopped:" in page_in(segsync)
    assert "not-it" not in page_in(segsync) + (segsync.directory / "summary.json").read_text()


def test_on_standard_output_there_is_the_summary_and_nothing_else(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    run = segsync("--summary-json", "-", sandbox=start_sandbox(fast(100)))
    assert read_summary(run.stdout.encode()).outcomes.profiles == 100
    assert "Profiles listed" in run.stderr


def test_a_first_try_keeps_standard_output_for_the_summary_too(segsync: Segsync) -> None:
    run = segsync("--sandbox", "--limit", "50", "--summary-json", "-")
    assert read_summary(run.stdout.encode()).outcomes.profiles == 50
    assert "that matches" in run.stderr


def test_profiles_are_named_where_that_is_asked_for(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(fast(300, missing=0.1))
    segsync(*LEAVE, sandbox=sandbox)
    assert "use_" not in page_in(segsync) + (segsync.directory / "summary.json").read_text()
    segsync(*LEAVE, "--report-ids", "3", "--offset", "0", sandbox=sandbox)
    [group] = report_in(segsync).rejections
    assert len(group.segment_ids) == 3
    named = [group.segment_ids[0], segsync.lines("profiles-without-identifier.txt")[2]]
    assert all(segment_id in page_in(segsync) for segment_id in named)
    assert segsync.lines("profiles-without-identifier.txt")[3] not in page_in(segsync)


def test_what_cannot_be_written_is_known_before_anything_is_sent(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(fast())
    run = segsync("--report", "nowhere/report.html", sandbox=sandbox)
    assert (run.code, calls(sandbox)) == (2, 0)
    assert "--report nowhere/report.html cannot be written: No such file or directory" in run.stderr


def test_what_cannot_be_written_in_the_end_does_not_hide_the_outcome(
    segsync: Segsync, start_sandbox: StartSandbox, tmp_path: Path
) -> None:
    run = segsync("--summary-json", "/dev/full", sandbox=start_sandbox(fast(100)))
    assert run.code == 0
    assert "/dev/full cannot be written: No space left on device" in run.stderr
    assert run.row("Profiles listed") == 100
