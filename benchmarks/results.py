"""Everything that a run found, as one record, and as `results.json`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from benchmarks.machine import Machine
from benchmarks.measure import Run
from benchmarks.questions.cost import Cost
from benchmarks.questions.limits import Row
from benchmarks.questions.price import Price

FORMAT: Final = 1
"""The format of `results.json`. Another number means that fields changed their meaning or went."""

JSON_FILE: Final = "results.json"

CAVEATS: Final = (
    "Machines differ and are noisy: read the ratios and the counts, not the milliseconds.",
    "The services are segsync's own sandbox: one process on the same machine, with which the contestant shares the "
    "processor. Its latency is drawn (log-normal, seeded); there is no network and no TLS. Without a limit the sandbox "
    "is the bottleneck: CPU per customer is the figure there, and wall-clock time is the sandbox's as much.",
    "The profiles are invented (seeded): a real space has other traits, more of them, and other shares.",
    "`original` is the algorithm of the Node script, from its description, in Python. It fails on the first 429 and on "
    "the first customer without a source id. The sandbox gives it both, so it has a time only where no rate limit is "
    "enforced. The 4 s per 100 customers are the figure of the script's README, not measured here.",
    "`dlt` is a general tool that we set up for this. It has no rate limit: its number of threads is chosen by hand "
    "for the limit and the latency, which a real service changes. It sends when all is read, keeps what it read in "
    "files until then, and reads no results.",
    "`floor` delivers nothing: it makes the Segment calls and throws the answers away. At a limit its calls leave "
    "evenly, as little below the limit as segsync's: at the very limit some arrive closer together than they left, and "
    "a strict window refuses those. It retries what is answered 429, and its row counts it. Without a limit it "
    "keeps no pace.",
    "Only segsync writes a ledger and reads the result of each bulk upsert: that is in its times and its CPU.",
    "Peak memory is the operating system's figure of the one process, shared libraries included.",
)


class Results(Struct, frozen=True):
    """One run of the benchmarks: what was asked, what was found, where. None is a question that was not asked."""

    format: int
    is_quick: bool
    seconds: float
    machine: Machine
    caveats: tuple[str, ...]
    limits: list[Row] | None = None
    growth: list[Run] | None = None
    price: Price | None = None
    cost: Cost | None = None

    def write(self, directory: Path) -> None:
        encoded = msgspec.json.format(msgspec.json.encode(self), indent=2)
        (directory / JSON_FILE).write_bytes(encoded + b"\n")

    @classmethod
    def read(cls, directory: Path) -> Results:
        """Raises `msgspec.ValidationError` where the file holds something else."""
        return msgspec.json.decode((directory / JSON_FILE).read_bytes(), type=cls)
