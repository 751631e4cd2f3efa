"""`--output -`: the customers of a dry run on standard output, for other programs."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from segsync.sandbox.process import SandboxProcess
from tests.conftest import StartSandbox
from tests.integration.conftest import PATIENCE_SECONDS, SEGSYNC, Segsync, Terminal, fast

DRY = ("--dry-run", "--output", "-")


@pytest.fixture
def sandbox(start_sandbox: StartSandbox) -> SandboxProcess:
    return start_sandbox(fast(200))


@pytest.mark.parametrize("log", [(), ("--log-format", "json", "--verbose")], ids=["text", "json"])
def test_standard_output_has_the_customers_and_nothing_else(
    segsync: Segsync, sandbox: SandboxProcess, log: tuple[str, ...]
) -> None:
    run = segsync(*DRY, *log, sandbox=sandbox)
    assert run.code == 0, run.stderr
    customers = [json.loads(line) for line in run.stdout.splitlines()]
    assert all(customer["source_id"] for customer in customers)
    assert f"Standard output has what would be sent: {len(customers)} customers" in run.stderr
    assert "Dry run: done, nothing was sent" in run.stderr
    if log:
        assert all(json.loads(line)["time"] for line in run.stderr.splitlines())
    assert list(segsync.directory.iterdir()) == []
    segsync("--dry-run", "--output", "same.ndjson", sandbox=sandbox)
    assert sorted(run.stdout.splitlines()) == sorted(segsync.lines("same.ndjson"))


@pytest.mark.parametrize("log", [(), ("--log-format", "json")], ids=["text", "json"])
def test_a_reader_that_has_read_enough_ends_the_run_with_a_sentence(
    segsync: Segsync, sandbox: SandboxProcess, log: tuple[str, ...]
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    run = subprocess.run(
        [*SEGSYNC, *DRY, *log],
        cwd=segsync.directory,
        env=segsync.environment(sandbox),
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    os.close(writer)
    assert run.returncode == 1
    assert "Error: Standard output was closed by the program that reads it" in run.stderr
    assert "Dry runs can't be resumed." in run.stderr
    assert not [word for word in ("Traceback", "BrokenPipe", "Exception ignored") if word in run.stderr]


def test_at_a_terminal_no_display_runs_into_the_customers(segsync: Segsync, sandbox: SandboxProcess) -> None:
    terminal = Terminal(segsync, sandbox, *DRY, "--limit", "20")
    code, shown = terminal.ends()
    assert code == 0
    lines = [line for line in shown.splitlines() if line.startswith("{")]
    assert f"Standard output has what would be sent: {len(lines)} customers" in shown
    assert all(json.loads(line) for line in lines)


def test_it_can_be_piped_as_the_guide_shows(segsync: Segsync, sandbox: SandboxProcess) -> None:
    count = "import sys, json; print(len([json.loads(line) for line in sys.stdin]))"
    pipe = ["/bin/sh", "-c", '"$@" | "$READER" -c "$COUNT"', "sh", *SEGSYNC, *DRY, "--limit", "10"]
    environment = segsync.environment(sandbox, READER=sys.executable, COUNT=count)
    run = subprocess.run(pipe, cwd=segsync.directory, env=environment, capture_output=True, text=True, check=True)
    assert 0 < int(run.stdout) <= 10
