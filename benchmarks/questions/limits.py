"""How long does an import take at Segment's limit, which contestants finish, and what does it cost?

At 100 calls per second (the limit of a space), at 1,000, and without a limit; with no anonymous profiles, and with four
of five. The sandbox counts calls in a strict sliding window and answers the first one too many with 429.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec import Struct

from benchmarks.lineup import (
    DLT,
    FLOOR,
    ORIGINAL,
    ORIGINAL_UNLIMITED,
    SEGSYNC,
    SEGSYNC_BY_TRAIT,
    WITHOUT_LIMIT,
    dlt_for,
    floor_for,
)
from benchmarks.markdown import table
from benchmarks.measure import Contestant, Run, incomplete, run_import, short
from benchmarks.progress import announce
from segsync.sandbox.options import SandboxOptions

ENDS_OF_ORIGINAL: Final = ("Segment answered", "Voucherify answered")
OF_A_SPACE: Final = 100
"""The limit of a Segment space, in calls per second."""

END_OF_DLT: Final = "dlt's extract step failed: 429"


class Scenario(Struct, frozen=True):
    """A space and its limits. Rates of 0 mean no limit; `latency_ms` is the median."""

    calls_per_second: int
    upserts_per_minute: int
    latency_ms: float
    anonymous: float
    profiles: int

    def __str__(self) -> str:
        limit = f"{self.calls_per_second:,} calls per second" if self.calls_per_second else "No limit, no latency"
        anonymous = f"{self.anonymous:.0%} of the profiles anonymous" if self.anonymous else "no anonymous profiles"
        return f"{limit}, {anonymous}"

    @property
    def options(self) -> SandboxOptions:
        return SandboxOptions(
            profiles=self.profiles,
            messy=True,
            take_nulls=True,  # the script sends them
            anonymous=self.anonymous,
            latency_ms=self.latency_ms,
            segment_requests_per_second=self.calls_per_second,
            voucherify_requests_per_minute=self.upserts_per_minute,
        )

    @property
    def entries(self) -> Iterator[tuple[Contestant, SandboxOptions]]:
        """The contestants, and the space of each."""
        own_limit = {} if self.calls_per_second else WITHOUT_LIMIT
        yield SEGSYNC.with_settings(**own_limit), self.options
        # The same people, who have their e-mail address as external id and as trait.
        by_trait = msgspec.structs.replace(self.options, identifier="email", identifier_trait=1.0)
        yield SEGSYNC_BY_TRAIT.with_settings(**own_limit), by_trait
        yield dlt_for(self.calls_per_second, self.latency_ms), self.options
        yield ORIGINAL, self.options
        if self.calls_per_second == OF_A_SPACE and not self.anonymous:
            # What it would take if Segment refused nothing and no profile had more external ids than one call gives.
            # With anonymous profiles it fails in any space: Voucherify refuses the first of them.
            yield (
                ORIGINAL_UNLIMITED,
                msgspec.structs.replace(self.options, segment_requests_per_second=0, crowded=False),
            )
        yield floor_for(self.calls_per_second), self.options


class Row(Struct, frozen=True):
    """What one contestant did in one scenario."""

    scenario: Scenario
    run: Run

    @property
    def arithmetic_seconds(self) -> float | None:
        """Seconds per 100 profiles that the limit alone demands for the calls that are needed; None without a limit."""
        if not self.scenario.calls_per_second:
            return None
        return 100 * self.run.needed_calls / self.scenario.calls_per_second / self.run.profiles


# Calls per second, upserts per minute of the plan that goes with them, latency, profiles.
FULL: Final = ((100, 100, 80.0, 1000), (1000, 2000, 80.0, 5000), (0, 0, 0.0, 5000))
QUICK: Final = ((100, 100, 80.0, 60), (0, 0, 0.0, 120))
SHARES_ANONYMOUS: Final = (0.0, 0.8)


def scenarios(*, is_quick: bool) -> list[Scenario]:
    if is_quick:
        return [
            Scenario(*space[:3], anonymous, space[3]) for space, anonymous in zip(QUICK, SHARES_ANONYMOUS, strict=True)
        ]
    return [Scenario(*space[:3], anonymous, space[3]) for space in FULL for anonymous in SHARES_ANONYMOUS]


def ask(*, is_quick: bool) -> list[Row]:
    rows = []
    for scenario in scenarios(is_quick=is_quick):
        for contestant, options in scenario.entries:
            announce(f"limits: {scenario}: {contestant.name}")
            rows.append(Row(scenario, run_import(contestant, options)))
    return rows


def problems(rows: list[Row], *, is_quick: bool) -> Iterator[str]:
    """What is wrong: a contestant that has to finish did not, or a row is missing."""
    for scenario in scenarios(is_quick=is_quick):
        found = [row.run.contestant for row in rows if row.scenario == scenario]
        if found != [contestant.name for contestant, _ in scenario.entries]:
            yield f"limits: {scenario}: there are only {', '.join(found) or 'no rows'}"
    for row in rows:
        if problem := _problem(row):
            yield f"limits: {row.scenario}: {problem}"


def _problem(row: Row) -> str:
    run, last_words = row.run, row.run.last_words
    if run.contestant == FLOOR.name:
        return short(run)
    if run.contestant == ORIGINAL.name:  # it is there to show how it fails
        has_failed = not run.has_finished and last_words.startswith(ENDS_OF_ORIGINAL)
        return "" if has_failed else f"{run.contestant} did not fail on its first bad answer: {last_words}"
    if run.contestant == ORIGINAL_UNLIMITED.name:  # it sends nulls, so no customer arrives exactly as it should
        is_complete = run.has_finished and run.accepted == run.expected
        return "" if is_complete else f"{run.contestant} sent {run.accepted} of {run.expected}: {last_words}"
    if run.contestant == DLT.name and row.scenario.calls_per_second and last_words.startswith(END_OF_DLT):
        return ""  # it keeps no pace
    return incomplete(run)


COLUMNS: Final = (
    "",
    "steady s",
    "whole s",
    "Segment calls",
    "429s",
    "CPU ms",
    "peak MB",
    "customers",
    "end",
)


def section(rows: list[Row]) -> str:
    parts = [
        "## At the limit",
        "Seconds are per 100 profiles: *steady* from the first Segment call to the last, *whole* from the start of the "
        "process to its end. CPU is per profile, of the whole process. *Customers* are those that arrived exactly as "
        "they should, of those that should have. A contestant that failed has no time, since it did not do the work. "
        "*Original, no limit enforced* has a space that refuses no call, where every identifier is among the first "
        "external ids. That time is its own pace, since it lets one call begin each 10 ms. So *original* would not be "
        "faster at 1,000 calls per second or without a limit. It has no time there because it ends at its first page "
        "with a customer without a source id, which Voucherify refuses. "
        "*By trait* is `IDENTIFIER_LOOKUP=traits` in a space where every customer has the identifier as a trait too: "
        "that saves a call for each of them, and costs one for each anonymous profile.",
    ]
    for scenario in dict.fromkeys(row.scenario for row in rows):
        of_it = [row for row in rows if row.scenario == scenario]
        latency = f", {scenario.latency_ms:.0f} ms median latency" if scenario.latency_ms else ""
        parts += [
            f"### {scenario}",
            f"{scenario.profiles:,} profiles{latency}.",
            table(COLUMNS, [*map(_cells, of_it), *_arithmetic(of_it)]),
        ]
    return "\n\n".join(parts)


def _arithmetic(rows: list[Row]) -> Iterator[tuple[object, ...]]:
    """Rows of arithmetic: the time that the limit alone demands for the calls that are needed."""
    demands: dict[int, Row] = {}
    for row in rows:
        demands.setdefault(row.run.needed_calls, row)
    for calls, row in demands.items():
        if row.arithmetic_seconds is not None:
            whose = f"least possible for {row.run.contestant}"
            yield (f"*{whose}*", _seconds(row.arithmetic_seconds), "", f"{calls:,}", "", "", "", "", "arithmetic")


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f}" if seconds >= 0.1 else f"{seconds:.3f}"


def _cells(row: Row) -> tuple[object, ...]:
    run = row.run
    return (
        run.contestant,
        _seconds(run.steady_seconds) if run.has_finished else "–",
        _seconds(run.whole_seconds) if run.has_finished else "–",
        f"{run.segment_calls:,}",
        f"{run.segment_rate_limited:,}",
        f"{run.cpu_ms:.2f}" if run.has_finished else "–",
        f"{run.account.peak_rss_mb:.0f}",
        _customers(run),
        "finished" if run.has_finished else f"failed after {run.accepted:,} customers: {run.last_words}",
    )


def _customers(run: Run) -> str:
    if run.contestant == FLOOR.name:
        return "–"
    if run.contestant == ORIGINAL_UNLIMITED.name:
        return f"{run.accepted:,} of {run.expected:,}, with nulls"
    return f"{run.arrived:,} of {run.expected:,}"


def find(rows: list[Row], name: str, calls_per_second: int, anonymous: float = 0.0) -> Row | None:
    """The row of a contestant in a scenario."""
    wanted = (name, calls_per_second, anonymous)
    return next(
        (row for row in rows if (row.run.contestant, row.scenario.calls_per_second, row.scenario.anonymous) == wanted),
        None,
    )
