"""Runs a contestant against a new sandbox, and accounts for its process and for what arrived.

CPU time and peak memory are the operating system's own figures of exactly this one process; what the sandbox and this
process take is not in them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from segsync.sandbox.options import SandboxOptions
from segsync.sandbox.process import SandboxProcess
from segsync.sandbox.server import Verdict

ROOT: Final = Path(__file__).resolve().parent.parent
LAUNCHER: Final = Path(__file__).with_name("launcher.py")
MOST_SECONDS: Final = 900.0

NOT_PASSED_ON = ("SEGMENT_", "VOUCHERIFY_", "IDENTIFIER_", "METADATA_", "SEGSYNC_", "PYTHON")
"""Prefixes of variables that are kept from a contestant: settings of the person who runs the benchmark, and those that
stop Python from writing bytecode, which an installed program has."""


class Account(Struct, frozen=True):
    """What one process took, from its start to its end. `peak_rss_mb` is in megabytes, 10⁶ bytes."""

    exit_code: int
    wall_seconds: float
    cpu_seconds: float
    peak_rss_mb: float


class Output(Struct, frozen=True):
    """What a process took, and its standard output. `last_words` is the last line of its standard error."""

    account: Account
    stdout: str
    last_words: str


class Contestant(Struct, frozen=True):
    """A program that makes an import: a module, its arguments, and settings beside those of the sandbox."""

    name: str
    module: tuple[str, ...]
    settings: dict[str, str] = {}

    def with_settings(self, **settings: str) -> Contestant:
        """The same with some more settings."""
        return msgspec.structs.replace(self, settings={**self.settings, **settings})


class Run(Struct, frozen=True):
    """One contestant's import of a space of `profiles`, and what the sandbox received of it.

    `needed_calls` are the fewest Segment calls that such an import can make; `segment_seconds` go from the first of
    them to the last. `accepted` customers were taken with a 202, `arrived` ones were written
    exactly as they should be; `is_right` means that nothing is missing, wrong or too much.
    """

    contestant: str
    settings: dict[str, str]
    profiles: int
    account: Account
    last_words: str
    expected: int
    accepted: int
    arrived: int
    is_right: bool
    needed_calls: int
    segment_calls: int
    segment_rate_limited: int
    segment_seconds: float
    voucherify_calls: int

    @property
    def has_finished(self) -> bool:
        return self.account.exit_code == 0

    @property
    def cpu_ms(self) -> float:
        """CPU milliseconds per profile, the start of the process included."""
        return 1000 * self.account.cpu_seconds / self.profiles

    @property
    def steady_seconds(self) -> float:
        """Seconds per 100 profiles from the first Segment call to the last."""
        return 100 * self.segment_seconds / self.profiles

    @property
    def whole_seconds(self) -> float:
        """Seconds per 100 profiles from the start of the process to its end."""
        return 100 * self.account.wall_seconds / self.profiles


def run_import(contestant: Contestant, options: SandboxOptions) -> Run:
    """Let a contestant import the space of `options` from a new sandbox."""
    with SandboxProcess(options) as sandbox:
        output = run_module(contestant.module, {**sandbox.connection, **contestant.settings})
        verdict = sandbox.verdict()
    return Run(
        contestant=contestant.name,
        settings=contestant.settings,
        profiles=options.profiles,
        account=output.account,
        last_words="" if output.account.exit_code == 0 else output.last_words,
        expected=verdict.expected,
        accepted=verdict.accepted,
        arrived=verdict.arrived,
        is_right=verdict.is_right,
        needed_calls=needed_calls(options, verdict),
        segment_calls=verdict.segment_calls,
        segment_rate_limited=verdict.segment_rate_limited,
        segment_seconds=verdict.segment_seconds,
        voucherify_calls=verdict.voucherify_calls,
    )


def incomplete(run: Run) -> str:
    """What is wrong with an import that has to get through; "" if nothing is."""
    if not run.has_finished:
        return f"{run.contestant} ended with exit code {run.account.exit_code}: {run.last_words}"
    return "" if run.is_right else f"{run.contestant} delivered {run.arrived} of {run.expected} customers"


def short(run: Run) -> str:
    """What is wrong with a run of the floor; "" if nothing is."""
    answered = run.segment_calls - run.segment_rate_limited
    if run.has_finished and answered == run.needed_calls:
        return ""
    return f"{run.contestant} made {answered} of {run.needed_calls} calls: {run.last_words}"


def needed_calls(options: SandboxOptions, verdict: Verdict) -> int:
    """The fewest Segment calls: one for each page of a hundred profiles, one for each profile, a second one for some.

    Where the identifier is read first, the second call reads the traits of those that have it. Where the traits are
    read first, it reads the external ids of those without the identifier among them.
    """
    pages = -(-options.profiles // 100)
    asked_twice = options.profiles - verdict.expected if options.identifier_trait else verdict.expected
    return pages + options.profiles + asked_twice


def run_module(module: tuple[str, ...], settings: Mapping[str, str]) -> Output:
    """Run a module with its arguments in an empty directory, and in no environment that would change what it does.

    Raises `TimeoutExpired` after `MOST_SECONDS`.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(NOT_PASSED_ON)}
    with tempfile.TemporaryDirectory() as kept, tempfile.TemporaryDirectory() as directory:
        account = Path(kept, "account.json")
        launcher = subprocess.Popen(
            [sys.executable, "-I", "-S", str(LAUNCHER), str(account), sys.executable, "-m", *module],
            env={**environment, "PYTHONPATH": str(ROOT), **settings},
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            stdout, errors = launcher.communicate(timeout=MOST_SECONDS)
        except BaseException:
            os.killpg(launcher.pid, signal.SIGKILL)
            launcher.communicate()
            raise
        return Output(
            account=msgspec.json.decode(account.read_bytes(), type=Account),
            stdout=stdout,
            last_words=next(reversed(errors.strip().splitlines()), ""),
        )
