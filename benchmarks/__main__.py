"""How fast is an import at the rate limit, and what does it and its ledger cost the machine that runs it?

Every contestant runs in a process of its own, and its CPU time is the operating system's account of that process.
Machines differ and are noisy: read the ratios, not the milliseconds. The sandbox runs beside the contestant on the
same machine, so wall-clock times without a limit are the sandbox's as much as the contestant's.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from segsync.sandbox import SandboxOptions
from segsync.sandbox.process import SandboxProcess

UNLIMITED = {"SEGMENT_REQUESTS_PER_SECOND": "100000", "VOUCHERIFY_REQUESTS_PER_MINUTE": "1000000"}
SEGSYNC = ("segsync", "--quiet", "--no-input")
FLOOR = ("benchmarks.floor",)


@dataclass(frozen=True)
class Cost:
    """What one process took, from its start to its end."""

    wall_seconds: float
    cpu_seconds: float


def run(module: tuple[str, ...], sandbox: SandboxProcess, **settings: str) -> Cost:
    """Run a module against a sandbox, and account for its process."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    root = str(Path.cwd())
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(
            [sys.executable, "-m", *module],
            env={**os.environ, "PYTHONPATH": root, **sandbox.connection, **settings},
            cwd=directory,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(time.perf_counter() - started, cpu)


def at_the_limit(anonymous: float, profiles: int = 1000) -> None:
    """Seconds per 100 at 100 calls a second, a strict sliding window, 80 ms median latency."""
    options = SandboxOptions(profiles=profiles, anonymous=anonymous, latency_ms=80.0)
    with SandboxProcess(options) as sandbox:
        cost = run(SEGSYNC, sandbox)
        verdict = sandbox.verdict()
    print(
        f"100 calls/s, {anonymous:.0%} anonymous: {100 * cost.wall_seconds / profiles:.2f} s per 100 profiles, "
        f"start and end included, {verdict.segment_calls} calls, {verdict.segment_rate_limited} answered 429, "
        f"{'all arrived' if verdict.is_right else 'NOT all arrived'}"
    )


def own_cost(rounds: int = 3, profiles: int = 10_000) -> None:
    """CPU a customer, whole import against a bare aiohttp loop that makes the two Segment calls and nothing else."""
    options = SandboxOptions(
        profiles=profiles,
        anonymous=0.0,
        latency_ms=0.0,
        segment_requests_per_second=0,
        voucherify_requests_per_minute=0,
    )
    ratios, ledger_shares = [], []
    for _ in range(rounds):
        with SandboxProcess(options) as sandbox:
            floor, whole = run(FLOOR, sandbox), run(SEGSYNC, sandbox, **UNLIMITED)
            ledger_shares.append(ledger_cpu_seconds(profiles) / whole.cpu_seconds)
            arrived = "all arrived" if sandbox.verdict().is_right else "NOT all arrived"
        ratios.append(whole.cpu_seconds / floor.cpu_seconds)
        print(
            f"{profiles:,} customers: segsync {1000 * whole.cpu_seconds / profiles:.3f} ms CPU a customer, "
            f"the two bare calls {1000 * floor.cpu_seconds / profiles:.3f} ms, ratio {ratios[-1]:.2f}; "
            f"the ledger {ledger_shares[-1]:.1%} of it; "
            f"{profiles / whole.wall_seconds:,.0f} customers a second; {arrived}"
        )
    print(f"median ratio {median(ratios):.2f}, median share of the ledger {median(ledger_shares):.1%}")


def ledger_cpu_seconds(customers: int) -> float:
    """CPU seconds of writing a ledger for an import of so many customers, outcomes included."""
    command = [sys.executable, "-m", "benchmarks.ledger", str(customers)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    own_cost()
    at_the_limit(anonymous=0.0)
    at_the_limit(anonymous=0.8)
