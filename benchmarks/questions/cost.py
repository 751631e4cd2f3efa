"""What does segsync cost by itself, beside the HTTP calls that any import has to make?

The whole import against a bare aiohttp loop that makes the same two Segment calls a customer and nothing else. They
take turns in being first, so that a machine that slows down or speeds up favours neither.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import Final

from msgspec import Struct

from benchmarks.lineup import FLOOR, SEGSYNC_UNLIMITED
from benchmarks.markdown import table
from benchmarks.measure import Run, incomplete, run_import, run_module, short
from benchmarks.progress import say
from benchmarks.questions.growth import unlimited

FULL: Final = (5, 10_000)
QUICK: Final = (1, 200)
HELP: Final = ("segsync", "--help")


class Round(Struct, frozen=True):
    """Both, one after the other."""

    whole: Run
    floor: Run

    @property
    def ratio(self) -> float:
        return self.whole.account.cpu_seconds / self.floor.account.cpu_seconds


class Cost(Struct, frozen=True):
    """The rounds, and the CPU seconds of saying `--help`, once for each of them."""

    rounds: list[Round]
    help_cpu_seconds: list[float]

    @property
    def ratios(self) -> list[float]:
        return sorted(each.ratio for each in self.rounds)


def ask(*, is_quick: bool) -> Cost:
    rounds, customers = QUICK if is_quick else FULL
    options = unlimited(customers)
    found, helps = [], []
    for number in range(rounds):
        say(f"cost: round {number + 1} of {rounds}")
        contestants = (SEGSYNC_UNLIMITED, FLOOR)
        runs = {each.name: run_import(each, options) for each in contestants[:: 1 if number % 2 else -1]}
        found.append(Round(whole=runs[SEGSYNC_UNLIMITED.name], floor=runs[FLOOR.name]))
        helps.append(run_module(HELP, {}).account.cpu_seconds)
    return Cost(found, helps)


def problems(cost: Cost, *, is_quick: bool) -> Iterator[str]:
    rounds, _ = QUICK if is_quick else FULL
    if len(cost.rounds) != rounds or len(cost.help_cpu_seconds) != rounds:
        yield f"cost: {rounds} rounds were asked for, {len(cost.rounds)} are there"
    for each in cost.rounds:
        yield from (f"cost: {problem}" for problem in (incomplete(each.whole), short(each.floor)) if problem)


def section(cost: Cost) -> str:
    rows: list[tuple[object, ...]] = [
        (
            number,
            f"{each.floor.cpu_ms:.3f}",
            f"{each.whole.cpu_ms:.3f}",
            f"{each.ratio:.2f}",
            f"{each.floor.account.peak_rss_mb:.0f}",
            f"{each.whole.account.peak_rss_mb:.0f}",
        )
        for number, each in enumerate(cost.rounds, start=1)
    ]
    columns = ("round", "floor, CPU ms", "segsync, CPU ms", "ratio", "floor, MB", "segsync, MB")
    customers = cost.rounds[0].whole.profiles
    return "\n\n".join(
        [
            "## Own cost",
            f"{customers:,} customers without a limit and without latency, CPU a customer: the whole import (ledger, "
            "upserts, outcomes and progress included) against a bare aiohttp loop that makes the two Segment calls and "
            "throws the answers away.",
            table(columns, rows, texts=0),
            f"The ratio is {median(cost.ratios):.2f} (median; {cost.ratios[0]:.2f} to {cost.ratios[-1]:.2f}). "
            f"`python -m segsync --help` takes {median(cost.help_cpu_seconds):.2f} s of CPU "
            f"({min(cost.help_cpu_seconds):.2f} to {max(cost.help_cpu_seconds):.2f}).",
        ]
    )
