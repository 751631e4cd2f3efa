"""Runs of the whole program, as a user starts it."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass
from io import BytesIO, TextIOWrapper
from pathlib import Path
from urllib.request import urlopen

import msgspec
import pexpect
import pytest

from segsync.commands.status import RunStatus, Status, print_status, read_status
from segsync.sandbox.options import SandboxOptions
from segsync.sandbox.process import SandboxProcess
from segsync.sandbox.server import Verdict
from tests.integration.repairable import RepairableSandbox

StartRepairable = Callable[[SandboxOptions], RepairableSandbox]

SEGSYNC = (sys.executable, "-m", "segsync")

RESUME = shlex.join([*SEGSYNC, "--resume"])
"""The command that resumes, as it is printed where no flag needs to be repeated."""

RATES = {"SEGMENT_REQUESTS_PER_SECOND": "5000", "VOUCHERIFY_REQUESTS_PER_MINUTE": "100000"}
"""For sandboxes without limits."""

QUESTION = r"(?:Resume at offset|Do you wish to resume the process from the offset:) (\w+)\? "
"""At the start, and after an error."""

PATIENCE_SECONDS = 200
"""How long to wait for what must happen: much longer than it takes, since a busy machine is slow."""

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def fast(profiles: int = 500, **options: object) -> SandboxOptions:
    """A messy sandbox without limits that answers at once, and whose actions end at once."""
    defaults = {
        "messy": True,
        "segment_requests_per_second": 0,
        "voucherify_requests_per_minute": 0,
        "latency_ms": 1.0,
        "action_seconds": 0.0,
    }
    return SandboxOptions(profiles=profiles, **{**defaults, **options})  # type: ignore[arg-type]


def moment(sandbox: SandboxProcess) -> Verdict:
    """What the sandbox has counted by now, without waiting for customers and actions that are under way."""
    with urlopen(f"{sandbox.url}/sandbox/verdict?last=0") as answer:  # noqa: S310 - our own
        return msgspec.json.decode(answer.read(), type=Verdict)


def calls(sandbox: SandboxProcess) -> int:
    """The calls to either service until now."""
    seen = moment(sandbox)
    return seen.segment_calls + seen.voucherify_calls


def written(sandbox: SandboxProcess) -> int:
    """The customers that are in Voucherify by now."""
    return moment(sandbox).unexpected_count  # of no profiles


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "what the test waits for does not happen"
        time.sleep(0.01)


def wait_until_accepted(sandbox: SandboxProcess, customers: int) -> None:
    """Until the sandbox has accepted that many customers."""
    wait_until(lambda: moment(sandbox).accepted >= customers)


_STARTED: list[subprocess.Popen[str]] = []


@dataclass(frozen=True)
class Run:
    """How a run ended, and what it printed."""

    code: int
    stdout: str
    stderr: str

    def row(self, label: str) -> int:
        """A number of the summary table."""
        [line] = [line for line in self.stdout.splitlines() if line.strip().startswith(label)]
        return int(line.removeprefix("  ").strip().removeprefix(label).split()[0].replace(",", ""))

    def has_row(self, label: str) -> bool:
        return any(line.strip().startswith(label) for line in self.stdout.splitlines())

    @property
    def customers(self) -> int:
        """All customers that were upserted, whether their result was read or not."""
        labels = ("Customers confirmed", "Customers sent")
        return sum(self.row(label) for label in labels if self.has_row(label))


@dataclass(frozen=True)
class Segsync:
    """`python -m segsync` in its own directory, with no settings but those given."""

    directory: Path
    command: tuple[str, ...] = SEGSYNC

    def environment(self, sandbox: SandboxProcess | None, **settings: str) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith(("SEG", "VOUCHERIFY_"))}
        return {**own, **RATES, **(sandbox.connection if sandbox else {}), "TERM": "xterm", **settings}

    def __call__(self, *arguments: str, sandbox: SandboxProcess | None = None, **settings: str) -> Run:
        done = subprocess.run(
            [*self.command, *arguments],
            cwd=self.directory,
            env=self.environment(sandbox, **settings),
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Run(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str, sandbox: SandboxProcess, **settings: str) -> subprocess.Popen[str]:
        """The same in the background, for as long as the test lasts."""
        running = subprocess.Popen(
            [*self.command, *arguments],
            cwd=self.directory,
            env=self.environment(sandbox, **settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        _STARTED.append(running)
        return running

    def status(self) -> Status:
        """What `status --json` prints."""
        return msgspec.json.decode(self("status", "--json").stdout, type=Status)

    def first_run(self, ledger: str = "segsync.db") -> RunStatus:
        """The status of the first run, read without a process: for a test that waits for a moment."""
        return read_status(self.directory / ledger).runs[0]

    def status_output(self, ledger: str, *, as_json: bool) -> str:
        """What `status` prints of a ledger, without a process."""
        with redirect_stdout(TextIOWrapper(BytesIO(), encoding="utf-8")) as output:
            print_status(self.directory / ledger, as_json=as_json)
        output.seek(0)
        return output.read()

    def lines(self, name: str) -> list[str]:
        """The lines of a file that the run left; none if it left no such file."""
        path = self.directory / name
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def ended(running: subprocess.Popen[str]) -> Run:
    """How a run in the background ends."""
    stdout, stderr = running.communicate(timeout=PATIENCE_SECONDS)
    assert "Traceback" not in stderr, stderr
    return Run(running.returncode, stdout, stderr)


def _heed_ctrl_c() -> None:
    """Undo what a shell without job control does: it makes background processes, also the tests, ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Terminal:
    """segsync at a terminal, with somebody to answer."""

    def __init__(self, segsync: Segsync, sandbox: SandboxProcess, *arguments: str, **settings: str) -> None:
        command, *others = segsync.command
        self._child = pexpect.spawn(
            command,
            [*others, *arguments],
            cwd=segsync.directory,
            env=segsync.environment(sandbox, **settings),
            encoding="utf-8",
            timeout=PATIENCE_SECONDS,
            preexec_fn=_heed_ctrl_c,
        )
        self._child.setwinsize(50, 200)

    def asks_to_resume(self) -> int:
        """The offset that it asks about."""
        self._child.expect(QUESTION)
        match = self._child.match
        assert isinstance(match, re.Match)
        return int(match[1])

    def answer(self, text: str) -> None:
        self._child.sendline(text)

    def press_ctrl_c(self) -> None:
        self._child.sendintr()

    def ends(self) -> tuple[int | None, str]:
        """The exit code, and the output since the question, without colours."""
        self._child.expect(pexpect.EOF)
        self._child.close()
        return self._child.exitstatus, _ESCAPES.sub("", str(self._child.before))


@pytest.fixture(autouse=True)
def _end_what_was_started() -> Iterator[None]:
    yield
    while _STARTED:
        with _STARTED.pop() as running:
            running.kill()


@pytest.fixture
def segsync(tmp_path: Path) -> Segsync:
    return Segsync(tmp_path)


@pytest.fixture
def start_repairable() -> Iterator[StartRepairable]:
    """Starts sandboxes that end with the test, and that can be repaired while they serve."""
    with ExitStack() as stack:
        yield lambda options: stack.enter_context(RepairableSandbox(options))
