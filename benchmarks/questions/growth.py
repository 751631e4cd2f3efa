"""How does the cost of an import grow with the number of profiles?

The cost per customer should not grow: whatever is held in memory is bounded, so peak memory stays the same, and time is
proportional to the number.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from benchmarks.lineup import SEGSYNC_UNLIMITED
from benchmarks.markdown import table
from benchmarks.measure import Run, incomplete, run_import
from benchmarks.progress import announce
from segsync.sandbox.options import SandboxOptions

FULL: Final = (1_000, 10_000, 100_000)
QUICK: Final = (100, 300)


def sizes(*, is_quick: bool) -> tuple[int, ...]:
    return QUICK if is_quick else FULL


def unlimited(profiles: int) -> SandboxOptions:
    """A messy space of customers without anonymous profiles, limits and latency."""
    return SandboxOptions(
        profiles=profiles,
        messy=True,
        anonymous=0.0,
        latency_ms=0.0,
        segment_requests_per_second=0,
        voucherify_requests_per_minute=0,
    )


def ask(*, is_quick: bool) -> list[Run]:
    runs = []
    for profiles in sizes(is_quick=is_quick):
        announce(f"growth: {profiles:,} profiles")
        runs.append(run_import(SEGSYNC_UNLIMITED, unlimited(profiles)))
    return runs


def problems(runs: list[Run], *, is_quick: bool) -> Iterator[str]:
    if [run.profiles for run in runs] != list(sizes(is_quick=is_quick)):
        yield "growth: a size is missing"
    yield from (f"growth: {problem}" for run in runs if (problem := incomplete(run)))


def section(runs: list[Run]) -> str:
    rows = [
        (
            f"{run.profiles:,}",
            f"{run.account.wall_seconds:.1f}",
            f"{run.cpu_ms:.3f}",
            f"{run.account.peak_rss_mb:.0f}",
            f"{run.arrived:,} of {run.expected:,}",
        )
        for run in runs
    ]
    return "\n\n".join(
        [
            "## How cost grows",
            "segsync without a limit and without latency. The wall-clock time is mostly the sandbox's.",
            table(("profiles", "wall s", "CPU ms per customer", "peak MB", "customers"), rows, texts=0),
            f"From the smallest to the largest, a further customer costs {further_ms(runs):.3f} ms of CPU: the rest of "
            "what a customer of a small import costs is the start of the process.",
        ]
    )


def further_ms(runs: list[Run]) -> float:
    """CPU milliseconds of one more customer, without the start of the process."""
    first, last = runs[0], runs[-1]
    return 1000 * (last.account.cpu_seconds - first.account.cpu_seconds) / (last.profiles - first.profiles)
