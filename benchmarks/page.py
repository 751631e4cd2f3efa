"""`results.md`: the caveats, the machine, and then what was found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.questions import cost, growth, limits, price
from benchmarks.results import Results

PAGE_FILE: Final = "results.md"


def write_page(results: Results, plots: list[str], directory: Path) -> None:
    (directory / PAGE_FILE).write_text("\n\n".join(_parts(results, plots)) + "\n", encoding="utf-8")


def _parts(results: Results, plots: list[str]) -> Iterator[str]:
    machine = results.machine
    packages = ", ".join(f"{name} {version}" for name, version in machine.packages.items())
    yield "# Results"
    yield "Written by `python -m benchmarks`; `results.json` holds every figure."
    if results.is_quick:
        yield "**A quick run: it shows that the benchmarks work. Its times mean nothing.**"
    yield "## Before the numbers"
    yield "\n".join(f"- {caveat}" for caveat in results.caveats)
    yield "## Measured on"
    yield f"{machine}, on {machine.date} (UTC); it took {results.seconds:.0f} s. With {packages}."
    yield from (f"![{name.removesuffix('.svg')}]({name})" for name in plots)
    yield from sections(results)


def sections(results: Results) -> Iterator[str]:
    """A section for each question that was asked."""
    if results.limits is not None:
        yield limits.section(results.limits)
    if results.cost is not None:
        yield cost.section(results.cost)
    if results.price is not None:
        yield price.section(results.price)
    if results.growth is not None:
        yield growth.section(results.growth)
