"""What do the ledger, the confirmation and each stage of an import cost?

The stages are measured by themselves, over answers that were fetched before. Confirmation is measured by importing with
it and without, the start of the process by importing one profile. Shares are of the CPU time of a whole import.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import Final

import msgspec
from msgspec import Struct

from benchmarks.lineup import FLOOR, SEGSYNC_UNCONFIRMED, SEGSYNC_UNLIMITED
from benchmarks.markdown import table
from benchmarks.measure import Run, incomplete, run_import, run_module, short
from benchmarks.progress import announce
from benchmarks.questions.growth import unlimited
from segsync.sandbox.process import SandboxProcess

FULL: Final = (3, 10_000, 5_000)
QUICK: Final = (1, 200, 100)

STAGES: Final = {
    "read": "decoding Segment's answers, following their cursors",
    "map": "mapping a profile to a customer",
    "encode": "encoding the customer",
    "batch": "collecting batches, putting bodies together",
    "pace": "turns at the limiter, none of them waited for",
    "ledger_confirmed": "writing the ledger, results included",
}
"""The stages that add up to an import, by their names in `stages`. The others are given beside the table."""

START: Final = "starting and ending the process"
CALLS: Final = "the two Segment calls, bare (the floor)"
ALL_ELSE: Final = "all else: HTTP client, tasks and queues, uploads, results, progress"


class Round(Struct, frozen=True):
    """The same customers with confirmation, without, and read by the floor."""

    confirmed: Run
    unconfirmed: Run
    floor: Run


class Price(Struct, frozen=True):
    """Imports in several ways, of one profile too, and CPU microseconds per customer by stage."""

    rounds: list[Round]
    one_profile: Run
    one_profile_floor: Run
    stage_microseconds: dict[str, float]

    @property
    def whole(self) -> float:
        """CPU microseconds per customer of a whole import."""
        return 1000 * median(each.confirmed.cpu_ms for each in self.rounds)

    @property
    def unconfirmed(self) -> float:
        """The same without confirmation."""
        return 1000 * median(each.unconfirmed.cpu_ms for each in self.rounds)

    @property
    def parts(self) -> dict[str, float]:
        """CPU microseconds per customer by part. They add up to the whole."""
        customers = self.rounds[0].confirmed.profiles
        floor_seconds = median(each.floor.account.cpu_seconds for each in self.rounds)
        parts = {
            CALLS: 1e6 * (floor_seconds - self.one_profile_floor.account.cpu_seconds) / customers,
            START: 1e6 * self.one_profile.account.cpu_seconds / customers,
            **{part: self.stage_microseconds[name] for name, part in STAGES.items()},
        }
        return {**parts, ALL_ELSE: self.whole - sum(parts.values())}


def ask(*, is_quick: bool) -> Price:
    rounds, customers, customers_by_stage = QUICK if is_quick else FULL
    found = []
    for number in range(rounds):
        announce(f"price: with confirmation, without, and the floor, round {number + 1} of {rounds}")
        found.append(
            Round(*(run_import(each, unlimited(customers)) for each in (SEGSYNC_UNLIMITED, SEGSYNC_UNCONFIRMED, FLOOR)))
        )
    announce("price: one profile, and the stages by themselves")
    one_profile, one_profile_floor = (run_import(each, unlimited(1)) for each in (SEGSYNC_UNLIMITED, FLOOR))
    return Price(found, one_profile, one_profile_floor, measure_stages(customers_by_stage))


def measure_stages(customers: int) -> dict[str, float]:
    """CPU microseconds per customer by stage. Raises `RuntimeError` where they could not be measured."""
    with SandboxProcess(unlimited(customers)) as sandbox:
        output = run_module(("benchmarks.stages", str(customers)), sandbox.connection)
    if output.account.exit_code != 0:
        raise RuntimeError(f"benchmarks.stages ended with exit code {output.account.exit_code}: {output.last_words}")
    return msgspec.json.decode(output.stdout, type=dict[str, float])


def problems(price: Price, *, is_quick: bool) -> Iterator[str]:
    rounds, _, _ = QUICK if is_quick else FULL
    if len(price.rounds) != rounds:
        yield f"price: {rounds} rounds were asked for, {len(price.rounds)} are there"
    whole = [run for each in price.rounds for run in (each.confirmed, each.unconfirmed)]
    floors = [each.floor for each in price.rounds]
    yield from (f"price: {problem}" for run in (*whole, price.one_profile) if (problem := incomplete(run)))
    yield from (f"price: {problem}" for run in (*floors, price.one_profile_floor) if (problem := short(run)))
    if missing := [name for name in STAGES if not price.stage_microseconds.get(name)]:
        yield f"price: no time for {', '.join(missing)}"


def section(price: Price) -> str:
    microseconds, whole, unconfirmed = price.stage_microseconds, price.whole, price.unconfirmed
    rows = [(part, f"{figure:.1f}", f"{figure / whole:.1%}") for part, figure in price.parts.items()]
    return "\n\n".join(
        [
            "## The price of the parts",
            f"CPU per customer, without a limit and without latency. The whole is the median of {len(price.rounds)} "
            f"imports of {price.rounds[0].confirmed.profiles:,} customers.",
            table(
                ("part", "µs per customer", "share"), [*rows, ("**the whole import**", f"**{whole:.1f}**", "**100%**")]
            ),
            f"The ledger without results takes {microseconds['ledger']:.1f} µs. Without confirmation (`--no-confirm`) "
            f"the whole import takes {unconfirmed:.1f} µs: reading the results costs {whole - unconfirmed:+.1f} µs, "
            f"{(whole - unconfirmed) / whole:+.1%}; differences of a few percent are noise. Turns at the limiter that "
            f"are waited for, as at a limit, take {microseconds['pace_waiting']:.0f} µs per customer.",
        ]
    )
