"""Runs of the whole program, as a user starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from segsync.sandbox.process import SandboxProcess

SEGSYNC = (sys.executable, "-m", "segsync")

RATES = {"SEGMENT_REQUESTS_PER_SECOND": "5000", "VOUCHERIFY_REQUESTS_PER_MINUTE": "100000"}
"""For sandboxes without limits."""


@dataclass(frozen=True)
class Run:
    """How a run ended, and what it said."""

    code: int
    stdout: str
    stderr: str

    def row(self, label: str) -> int:
        """A number of the summary table."""
        [line] = [line for line in self.stdout.splitlines() if line.strip().startswith(label)]
        return int(line.removeprefix("  ").strip().removeprefix(label).split()[0].replace(",", ""))


@dataclass(frozen=True)
class Segsync:
    """`python -m segsync` in a directory of its own, with no settings but those given."""

    directory: Path

    def environment(self, sandbox: SandboxProcess | None, **settings: str) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith(("SEG", "VOUCHERIFY_"))}
        return {**own, **RATES, **(sandbox.connection if sandbox else {}), "TERM": "xterm", **settings}

    def __call__(self, *arguments: str, sandbox: SandboxProcess | None = None, **settings: str) -> Run:
        done = subprocess.run(
            [*SEGSYNC, *arguments],
            cwd=self.directory,
            env=self.environment(sandbox, **settings),
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Run(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str, sandbox: SandboxProcess, **settings: str) -> subprocess.Popen[str]:
        """The same in the background."""
        return subprocess.Popen(
            [*SEGSYNC, *arguments],
            cwd=self.directory,
            env=self.environment(sandbox, **settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )

    def lines(self, name: str) -> list[str]:
        """The lines of a file that the run left; none where it left none."""
        path = self.directory / name
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


@pytest.fixture
def segsync(tmp_path: Path) -> Segsync:
    return Segsync(tmp_path)
