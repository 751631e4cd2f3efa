"""What an operator sees of a whole run: the log as JSON, its file, the metrics, the display in a narrow window."""

from __future__ import annotations

import re
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import msgspec
import pexpect
import pytest

from segsync.sandbox.options import Faults
from tests.conftest import StartSandbox
from tests.integration.conftest import (
    PATIENCE_SECONDS,
    SEGSYNC,
    Run,
    Segsync,
    ended,
    fast,
    wait_until,
    wait_until_accepted,
)

pytestmark = pytest.mark.slow

FAULTS = Faults(too_many=0.005, server_error=0.03, cut=0.03)


def records(text: str) -> list[dict[str, Any]]:
    """The lines of JSON, each of which must be one."""
    return [msgspec.json.decode(line, type=dict[str, Any]) for line in text.splitlines()]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.mark.parametrize("verbose", [(), ("--verbose",)])
def test_every_line_on_stderr_is_json_through_faults_and_an_interruption_and_a_resume(
    segsync: Segsync, start_sandbox: StartSandbox, verbose: tuple[str, ...]
) -> None:
    sandbox = start_sandbox(
        fast(600, missing=0.02, refused_later=0.02, segment_faults=FAULTS, voucherify_faults=FAULTS)
    )
    flags = ("--log-format", "json", *verbose)
    stderr = segsync.directory / "stderr"
    with (
        stderr.open("w", encoding="utf-8") as file,  # a pipe that nobody reads meanwhile would hold it up
        subprocess.Popen(
            [*SEGSYNC, *flags],
            cwd=segsync.directory,
            env=segsync.environment(sandbox, SEGMENT_REQUESTS_PER_SECOND="700"),
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
        ) as running,
    ):
        wait_until_accepted(sandbox, 200)
        running.send_signal(signal.SIGINT)
        stdout, _ = running.communicate(timeout=PATIENCE_SECONDS)
    first = Run(running.returncode, stdout, stderr.read_text(encoding="utf-8"))
    assert first.code == 130
    lines = records(first.stderr)
    events = {line["event"] for line in lines}
    assert {"run_started", "call_retried", "trait_left_out", "stopping", "summary", "message"} <= events
    assert {"page_listed", "batch_sent"} <= events or not verbose
    answered = [line for line in lines if line["event"] == "call_retried" and "status" in line]
    assert all(re.fullmatch(r"req-\w+", line["request_id"]) for line in answered)
    assert len(answered) > 3 or not verbose
    [last] = [line for line in lines if line["event"] == "summary"]
    assert last["state"] == "interrupted"
    assert last["outcomes"]["pending"] == first.row("Pending")
    [way_on] = [line["message"] for line in lines if "--resume" in line["message"]]
    assert way_on.endswith(" ".join(("--resume", *flags)))

    second = segsync("--resume", *flags, sandbox=sandbox)
    again = records(second.stderr)
    assert second.code == 3
    assert sandbox.verdict().is_right
    runs = [next(line["run"] for line in each if line["event"] == "run_started") for each in (lines, again)]
    assert runs[0].split("-")[0] == runs[1].split("-")[0] == "1", "the same run of the ledger"
    assert runs[0] != runs[1], "another process"
    [last] = [line for line in again if line["event"] == "summary"]
    assert last["outcomes"]["confirmed"] == second.row("Customers confirmed")


def test_what_is_refused_is_json_too(segsync: Segsync) -> None:
    run = segsync("--log-format", "json")
    [line] = records(run.stderr)
    assert run.code == 2
    assert line["level"] == "error"
    assert "SEGMENT_ACCESS_TOKEN is missing" in line["message"]


def test_a_log_file_has_every_line_of_every_run(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(fast(300))
    for limit in ("100", "200"):
        run = segsync("--offset", "0", "--limit", limit, "--quiet", "--log-file", "run.log", sandbox=sandbox)
        assert run.code == 0
    lines = segsync.lines("run.log")
    assert all(re.match(r"\d{4}-\d\d-\d\dT\S+Z (INFO|WARNING) +", line) for line in lines)
    assert sum("starts: new run" in line for line in lines) == 2
    assert re.search(r"done after \d:\d\d:\d\d", lines[-1])
    assert "200 of 200 profiles done" in lines[-1]
    assert stat.S_IMODE((segsync.directory / "run.log").stat().st_mode) == 0o600


def test_a_log_file_that_cannot_be_written_stops_the_run_before_anything_is_called(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    sandbox = start_sandbox(fast(100))
    run = segsync("--log-file", "nowhere/run.log", sandbox=sandbox)
    assert run.code == 2
    assert "--log-file nowhere/run.log cannot be written: No such file" in run.stderr
    assert sandbox.verdict().segment_calls == 0


def metrics_at(port: int) -> dict[str, float]:
    """Our numbers, by name and labels."""
    with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        found = re.findall(r"^(segsync_\S+) (\S+)$", answer.read().decode(), re.MULTILINE)
    return {name: float(value) for name, value in found}


def test_metrics_are_served_while_it_runs_and_no_longer(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    sandbox, port = start_sandbox(fast(3000, latency_ms=5.0)), free_port()
    running = segsync.start("--metrics-port", str(port), sandbox=sandbox, SEGMENT_REQUESTS_PER_SECOND="700")
    wait_until_accepted(sandbox, 200)
    wait_until(lambda: metrics_at(port)['segsync_profiles_total{outcome="sent"}'] >= 200)
    numbers = metrics_at(port)
    assert numbers['segsync_calls_total{service="Segment",status="200"}'] > 300
    assert numbers['segsync_call_seconds_count{service="Voucherify"}'] >= 2
    outcomes = [value for name, value in numbers.items() if name.startswith("segsync_outcomes{")]
    listed = numbers['segsync_stage_profiles_total{stage="list"}']
    assert len(outcomes) == 7
    assert sum(outcomes) == pytest.approx(listed, abs=100)  # a page may have been listed in between
    running.send_signal(signal.SIGINT)
    assert ended(running).code == 130
    with pytest.raises(URLError):
        metrics_at(port)


def test_a_metrics_port_that_is_taken_stops_the_run_before_anything_is_called(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    sandbox = start_sandbox(fast(100))
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        run = segsync("--metrics-port", str(port), sandbox=sandbox)
    assert run.code == 2
    assert f"--metrics-port {port} on 127.0.0.1 cannot be used: Address already in use" in run.stderr
    assert sandbox.verdict().segment_calls == 0
    assert not (segsync.directory / "segsync.db").exists()


@pytest.mark.parametrize("columns", [40, 120])
def test_the_display_fits_a_narrow_window_and_says_how_long_an_outage_lasts(
    segsync: Segsync, start_sandbox: StartSandbox, columns: int
) -> None:
    sandbox = start_sandbox(fast(5000))
    terminal = pexpect.spawn(
        SEGSYNC[0],
        [*SEGSYNC[1:], "--profiles", "5000"],
        cwd=segsync.directory,
        env=segsync.environment(sandbox, SEGMENT_REQUESTS_PER_SECOND="300", COLUMNS=str(columns)),
        encoding="utf-8",
        timeout=PATIENCE_SECONDS,
        dimensions=(30, columns),
    )
    terminal.expect(r"[1-9]\d?% of 5,000")
    terminal.expect(r"ETA 0:0\d:\d\d")
    sandbox.set_faults(segment=Faults(server_error=1.0))
    terminal.expect(r"Segment answers 50\d, retrying,.{1,20}?[1-9]\d* s so far")  # in a narrow window on two lines
    sandbox.set_faults(segment=Faults())
    terminal.expect("reading profiles")
    terminal.sendintr()
    terminal.expect("stopping: finishing")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 130


@pytest.mark.parametrize(("flags", "total"), [((), "3,000"), (("--profiles", "4000"), "4,000")])
def test_a_resume_has_a_progress_bar_without_another_profiles_flag(
    segsync: Segsync, start_sandbox: StartSandbox, flags: tuple[str, ...], total: str
) -> None:
    sandbox = start_sandbox(fast(3000))
    settings = {"SEGMENT_REQUESTS_PER_SECOND": "300"}
    assert segsync("--profiles", "3000", "--limit", "200", sandbox=sandbox, **settings).code == 0
    terminal = pexpect.spawn(
        SEGSYNC[0],
        [*SEGSYNC[1:], "--resume", "--no-input", *flags],
        cwd=segsync.directory,
        env=segsync.environment(sandbox, **settings),
        encoding="utf-8",
        timeout=PATIENCE_SECONDS,
    )
    terminal.expect(rf"([6-9]|[1-9]\d)% of {total}")
    terminal.expect(r"ETA 0:\d\d:\d\d")
    terminal.sendintr()
    terminal.sendintr()
    terminal.expect(pexpect.EOF)
    terminal.close()


def test_a_display_that_nobody_reads_any_more_does_not_end_the_import(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    sandbox = start_sandbox(fast(500))
    with subprocess.Popen(
        [*SEGSYNC, "--verbose"],
        cwd=segsync.directory,
        env=segsync.environment(sandbox, SEGMENT_REQUESTS_PER_SECOND="300"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stderr is not None
        assert running.stdout is not None
        running.stderr.readline()
        running.stderr.close()
        assert "Customers confirmed" in running.stdout.read()
        wait_until(lambda: running.poll() is not None)
    assert running.returncode == 0
    assert sandbox.verdict().is_right


def test_a_log_of_json_in_a_file_leaves_the_terminal_its_display(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(fast(300))
    terminal = pexpect.spawn(
        SEGSYNC[0],
        [*SEGSYNC[1:], "--log-format", "json", "--log-file", "run.log"],
        cwd=segsync.directory,
        env=segsync.environment(sandbox),
        encoding="utf-8",
        timeout=PATIENCE_SECONDS,
    )
    terminal.expect(pexpect.EOF)
    output = str(terminal.before)
    terminal.close()
    assert terminal.exitstatus == 0
    assert "Profiles read" in output
    assert '"event"' not in output
    assert [line["event"] for line in records(Path(segsync.directory, "run.log").read_text(encoding="utf-8"))][-1] == (
        "summary"
    )


PROGRAM = """
import asyncio, logging, sys
from segsync import Settings, run_import

if "configured" in sys.argv:
    logging.basicConfig(level=logging.INFO)
asyncio.run(run_import(Settings.load()))
"""


@pytest.mark.parametrize("is_configured", [False, True])
def test_a_program_has_the_log_where_it_configures_logging_and_no_output_where_it_does_not(
    segsync: Segsync, start_sandbox: StartSandbox, is_configured: bool
) -> None:
    sandbox = start_sandbox(fast(600, missing=0.02, latency_ms=5.0))
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, *(["configured"] if is_configured else [])],
        cwd=segsync.directory,
        env=segsync.environment(sandbox, SEGMENT_REQUESTS_PER_SECOND="100"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == ""
    lines = run.stderr.splitlines()
    if not is_configured:
        assert lines == [], "not even warnings, although some profiles were rejected"
        return
    assert re.match(r"INFO:segsync:segsync \S+ starts: new run 1-", lines[0])
    assert any(re.match(r"INFO:segsync:\d+ profiles read \(", line) for line in lines)
    assert any(line.startswith("WARNING:segsync:Rejected: ") for line in lines)
    assert re.match(r"INFO:segsync:done after 0:00:\d\d: 600 of 600 profiles done", lines[-1])
