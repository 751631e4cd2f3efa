"""Measure segsync beside its peers, against segsync's sandbox: `python -m benchmarks`.

A full run takes some ten minutes and writes `benchmarks/results`. `--quick` asks every question with few profiles,
which tests correctness alone. With `--quick` or `--only` the results go to a temporary directory, or to `--output`.
Exits with 1 where a contestant that has to finish did not, or a result is missing.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from benchmarks.machine import this_machine
from benchmarks.page import PAGE_FILE, sections, write_page
from benchmarks.progress import announce
from benchmarks.questions import cost, growth, limits, price
from benchmarks.results import CAVEATS, FORMAT, Results

QUESTIONS: Final = ("limits", "growth", "price", "cost")
PUBLISHED: Final = Path(__file__).with_name("results")
NEEDED: Final = ("dlt", "matplotlib", "uvloop")


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask, write down, check; the exit code."""
    chosen = _parser().parse_args(arguments)
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        sys.exit(f"{' and '.join(missing)} cannot be imported: pip install '.[bench]'")
    directory = chosen.output or _directory(is_published=not (chosen.quick or chosen.only))
    directory.mkdir(parents=True, exist_ok=True)
    results = ask(chosen.only or QUESTIONS, is_quick=chosen.quick)
    write(results, directory)
    found = [*problems(results), *problems_of_files(results, directory)]
    for problem in found:
        announce(f"PROBLEM: {problem}")
    announce(f"results are in {directory}; {len(found) or 'no'} problems")
    return 1 if found else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure segsync beside its peers.")
    parser.add_argument("--quick", action="store_true", help="few profiles: for correctness, not for times")
    parser.add_argument("--only", action="append", choices=QUESTIONS, help="one question; may be given again")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="where the results go (default: benchmarks/results; with --quick or --only a temporary directory)",
    )
    return parser


def _directory(*, is_published: bool) -> Path:
    return PUBLISHED if is_published else Path(tempfile.mkdtemp(prefix="segsync-benchmarks-"))


def ask(questions: Sequence[str], *, is_quick: bool) -> Results:
    """Ask these questions, one after the other: nothing else should keep the machine busy meanwhile."""
    started = time.monotonic()
    found_limits = limits.ask(is_quick=is_quick) if "limits" in questions else None
    found_growth = growth.ask(is_quick=is_quick) if "growth" in questions else None
    found_price = price.ask(is_quick=is_quick) if "price" in questions else None
    found_cost = cost.ask(is_quick=is_quick) if "cost" in questions else None
    return Results(
        format=FORMAT,
        is_quick=is_quick,
        seconds=time.monotonic() - started,
        machine=this_machine(),
        caveats=CAVEATS,
        limits=found_limits,
        growth=found_growth,
        price=found_price,
        cost=found_cost,
    )


def write(results: Results, directory: Path) -> None:
    """Write the files, `results.json` first: what was measured is not lost where a plot fails."""
    results.write(directory)
    from benchmarks.plots import write_plots  # noqa: PLC0415 - it needs matplotlib, measuring does not

    write_page(results, write_plots(results, directory), directory)


def problems(results: Results) -> Iterator[str]:
    """What is wrong with the benchmarks themselves. To be slow is not a problem."""
    if results.limits is not None:
        yield from limits.problems(results.limits, is_quick=results.is_quick)
    if results.growth is not None:
        yield from growth.problems(results.growth, is_quick=results.is_quick)
    if results.price is not None:
        yield from price.problems(results.price, is_quick=results.is_quick)
    if results.cost is not None:
        yield from cost.problems(results.cost, is_quick=results.is_quick)


def problems_of_files(results: Results, directory: Path) -> Iterator[str]:
    """What is wrong with the files: they must hold what was found."""
    if Results.read(directory) != results:
        yield "results.json does not hold what was found"
    page = (directory / PAGE_FILE).read_text(encoding="utf-8")
    for part in (*results.caveats, str(results.machine), *sections(results)):
        if part not in page:
            yield f"{PAGE_FILE} lacks: {part.splitlines()[0]}"
    plots = {"import.svg": results.limits, "growth.svg": results.growth, "cost.svg": results.cost}
    yield from (f"{name} is not a plot" for name, drawn in plots.items() if drawn and not _is_svg(directory / name))


def _is_svg(path: Path) -> bool:
    return path.exists() and ElementTree.parse(path).getroot().tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314


if __name__ == "__main__":
    sys.exit(main())
