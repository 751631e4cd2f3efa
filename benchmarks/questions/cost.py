"""What does segsync cost by itself, beside the HTTP calls that any import has to make?

The whole import against a bare aiohttp loop that makes the same two Segment calls per customer and nothing else. They
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
from benchmarks.progress import announce
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
    """The rounds, and the CPU seconds of `--help`, once for each of them."""

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
        announce(f"cost: round {number + 1} of {rounds}")
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
    customers_per_second = [customers / each.whole.account.wall_seconds for each in cost.rounds]
    return "\n\n".join(
        [
            "## Own cost",
            f"{customers:,} customers without a limit and without latency, CPU per customer: the whole import (ledger, "
            "upserts, results and progress included) against a bare aiohttp loop that makes the two Segment calls and "
            "throws the answers away.",
            table(columns, rows, texts=0),
            f"The ratio is {_spread(cost.ratios)}: the median, from the least to the most. It is "
            "what carries over to another machine. On this one a customer took "
            f"{_spread([each.whole.cpu_ms for each in cost.rounds])} ms where the bare calls took "
            f"{_spread([each.floor.cpu_ms for each in cost.rounds])} ms, and one process imported "
            f"{_spread(customers_per_second, 0)} customers per second, start and end included, beside the sandbox. "
            f"`python -m segsync --help` takes {_spread(cost.help_cpu_seconds)} s of CPU.",
        ]
    )


def _spread(figures: list[float], decimals: int = 2) -> str:
    """The median, and from the least to the most."""
    middle, least, most = (f"{each:,.{decimals}f}" for each in (median(figures), min(figures), max(figures)))
    return f"{middle} ({least} to {most})"
