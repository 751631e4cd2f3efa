"""The plots, as SVG. The same figures make the same file, and the background is white in a dark page too."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from statistics import median
from typing import Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.lineup import DLT, ORIGINAL, ORIGINAL_UNLIMITED, SEGSYNC, SEGSYNC_BY_TRAIT
from benchmarks.measure import Run
from benchmarks.questions import limits
from benchmarks.questions.cost import Cost
from benchmarks.questions.limits import Row
from benchmarks.questions.price import ALL_ELSE, CALLS, Price
from benchmarks.results import Results

BLUE, PALE_BLUE = "#1f6feb", "#b6d4fe"
PURPLE, PALE_PURPLE = "#8250df", "#d8c4fb"
GREY, PALE_GREY, INK = "#6e7781", "#d0d7de", "#1f2328"

ON_WHITE: Final = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}

ORIGINAL_SECONDS: Final = 4.0
"""Seconds per 100 customers by the README of the Node script."""

SIGN_INCHES: Final = 0.4
"""The height of the text above a plot, taken from the free space below it."""

LIMIT: Final = 100
"""Calls per second of the main plot: the limit of a Segment space."""


def _style() -> AbstractContextManager[None]:
    """How all plots look."""
    return mpl.rc_context(
        {
            "svg.hashsalt": "segsync",
            "font.family": "DejaVu Sans",  # matplotlib brings it
            "font.size": 10,
            "text.color": INK,
            "axes.labelcolor": INK,
            "axes.edgecolor": GREY,
            "xtick.color": INK,
            "ytick.color": INK,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "figure.facecolor": "white",
            "axes.facecolor": "white",
            "savefig.facecolor": "white",
        }
    )


def write_plots(results: Results, directory: Path) -> list[str]:
    """Draw what was asked for; the names of the files."""
    plots: dict[str, Callable[[], Figure]] = {}
    if results.limits is not None and limits.find(results.limits, SEGSYNC.name, LIMIT):
        rows = results.limits
        plots["import.svg"] = lambda: import_plot(rows)
    if results.growth is not None:
        runs = results.growth
        plots["growth.svg"] = lambda: growth_plot(runs)
    if results.cost is not None:
        cost = results.cost
        plots["cost.svg"] = lambda: cost_plot(cost, results.price, results.limits)
    with _style():
        for name, draw in plots.items():
            figure = draw()
            _sign(figure, results)
            figure.savefig(directory / name, metadata={"Date": None})
    return list(plots)


def _sign(figure: Figure, results: Results) -> None:
    """The caveat, machine, versions and date, above all else."""
    machine, packages = results.machine, results.machine.packages
    versions = ", ".join(f"{name} {packages[name]}" for name in ("segsync", "aiohttp", "dlt") if name in packages)
    quick = "QUICK RUN, TIMES MEAN NOTHING. " if results.is_quick else ""
    down = SIGN_INCHES / figure.get_figheight()
    for axes in figure.axes:
        box = axes.get_position()
        axes.set_position((box.x0, box.y0 - down, box.width, box.height))
    for text in figure.texts:
        text.set_y(text.get_position()[1] - down)
    figure.text(
        0.01,
        0.985,
        f"{quick}Both services are a sandbox on this same machine: read the ratios. More caveats: results.md\n"
        f"{machine}\n{versions}; {machine.date}",
        fontsize=7,
        color=GREY,
        va="top",
    )


def import_plot(rows: list[Row]) -> Figure:
    """Seconds per 100 customers at the limit of a space: a bar for each contestant, the arithmetic as lines."""
    figure = Figure(figsize=(8.5, 4.3))
    axes = figure.add_axes((0.23, 0.24, 0.72, 0.62))
    found = {
        "same algorithm, no\nrate limit enforced": (
            limits.find(rows, ORIGINAL_UNLIMITED.name, LIMIT),
            GREY,
            PALE_GREY,
        ),
        "dlt": (limits.find(rows, DLT.name, LIMIT), PURPLE, PALE_PURPLE),
        "segsync": (limits.find(rows, SEGSYNC.name, LIMIT), BLUE, PALE_BLUE),
        "segsync, identifier\nin a trait": (limits.find(rows, SEGSYNC_BY_TRAIT.name, LIMIT), BLUE, PALE_BLUE),
    }
    _original_bar(axes, limits.find(rows, ORIGINAL.name, LIMIT))
    for place, (row, colour, pale) in enumerate(found.values(), start=1):
        if row is None or not row.run.has_finished:
            axes.text(0.05, place, "failed" if row else "not run", va="center", color=GREY)
            continue
        axes.barh(place, row.run.whole_seconds, color=pale)
        axes.barh(place, row.run.steady_seconds, color=colour)
        axes.text(row.run.whole_seconds + 0.05, place, f"{row.run.steady_seconds:.2f} s", va="center", bbox=ON_WHITE)
    for calls, contestant in (("one call", SEGSYNC_BY_TRAIT), ("two calls", SEGSYNC)):
        _arithmetic_line(axes, limits.find(rows, contestant.name, LIMIT), calls)
    axes.set_yticks(range(len(found) + 1), ["Node script,\nby its README", *found])
    axes.invert_yaxis()
    longest = max(row.run.whole_seconds for row, _, _ in found.values() if row)
    axes.set_xlim(0, 1.12 * max(ORIGINAL_SECONDS, longest))
    axes.set_xlabel("seconds per 100 customers while calls go out (pale: with the start and the end of the process)")
    axes.set_title(f"100 customers at {LIMIT} Segment calls per second", loc="left", fontweight="bold", pad=18)
    return figure


def _original_bar(axes: Axes, row: Row | None) -> None:
    """The time that the script's README claims, since here it fails before it can be measured."""
    axes.barh(0, ORIGINAL_SECONDS, color=PALE_GREY, edgecolor=GREY, hatch="//", linewidth=0.6)
    axes.text(ORIGINAL_SECONDS + 0.05, 0, f"{ORIGINAL_SECONDS:.0f} s", va="center")
    if row and row.run.segment_rate_limited:
        axes.text(2.1, 0, "here it failed on the first 429", va="center", fontsize=8, bbox=ON_WHITE)


def _arithmetic_line(axes: Axes, row: Row | None, calls: str) -> None:
    if row and row.arithmetic_seconds is not None:
        axes.axvline(row.arithmetic_seconds, color=INK, linestyle="--", linewidth=1)
        label = f" {calls} per customer:\n {row.arithmetic_seconds:.2f} s at least"
        axes.text(row.arithmetic_seconds, -0.5, label, fontsize=7.5, va="bottom")


def growth_plot(runs: list[Run]) -> Figure:
    """Wall-clock time, CPU per customer and peak memory over the number of profiles."""
    figure = Figure(figsize=(8.5, 3.4))
    profiles = [run.profiles for run in runs]
    panels = {
        "wall-clock seconds": [run.account.wall_seconds for run in runs],
        "CPU milliseconds per customer": [run.cpu_ms for run in runs],
        "peak memory, MB": [run.account.peak_rss_mb for run in runs],
    }
    for number, (title, figures) in enumerate(panels.items()):
        axes = figure.add_axes((0.07 + 0.325 * number, 0.3, 0.25, 0.52))
        _growth_panel(axes, profiles, figures, is_proportional=number == 0)
        axes.set_title(title, fontsize=9, loc="left")
    figure.text(0.01, 0.93, "How the cost of an import grows (no limit, no latency)", fontweight="bold", fontsize=12)
    return figure


def _growth_panel(axes: Axes, profiles: list[int], figures: list[float], *, is_proportional: bool) -> None:
    axes.plot(profiles, figures, color=BLUE, marker="o")
    axes.set_xscale("log")
    for x, y in zip(profiles, figures, strict=True):
        label = f"{y:.2f}" if y < 10 else f"{y:.0f}"
        axes.annotate(label, (x, y), (0, 8), textcoords="offset points", ha="center", fontsize=8, bbox=ON_WHITE)
    if is_proportional:
        axes.set_yscale("log")
        axes.set_ylim(min(figures) / 2, 3 * max(figures))
        axes.set_yticks([])  # each point has its figure beside it
    else:
        axes.set_ylim(0, 1.25 * max(figures))
    axes.set_xticks(profiles, [f"{each:,}" for each in profiles], fontsize=8)
    axes.minorticks_off()
    axes.margins(x=0.15)
    axes.set_xlabel("profiles", fontsize=8)


def cost_plot(cost: Cost, price: Price | None, rows: list[Row] | None) -> Figure:
    """CPU per customer of the floor, segsync and dlt, and of segsync's stages."""
    figure = Figure(figsize=(8.5, 4.6 if price else 3.2))
    axes = figure.add_axes((0.23, 0.62, 0.72, 0.28) if price else (0.23, 0.32, 0.72, 0.52))
    samples = {
        "two bare calls": ([each.floor.cpu_ms for each in cost.rounds], GREY),
        "segsync, all of it": ([each.whole.cpu_ms for each in cost.rounds], BLUE),
    }
    dlt = limits.find(rows or [], DLT.name, 0)
    if dlt:
        samples[f"dlt, one run\nof {dlt.run.profiles:,}"] = ([dlt.run.cpu_ms], PURPLE)
    for place, (taken, colour) in enumerate(samples.values()):
        middle = median(taken)
        spread = [[middle - min(taken)], [max(taken) - middle]]
        axes.barh(place, middle, color=colour, xerr=spread, error_kw={"ecolor": INK, "capsize": 3, "linewidth": 1})
        axes.text(max(taken) + 0.02 * middle, place, f"  {middle:.2f} ms", va="center")
    axes.set_yticks(range(len(samples)), list(samples))
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.set_title("CPU milliseconds per customer (no limit, no latency)", loc="left", fontweight="bold")
    rounds = f"median of {len(cost.rounds)} runs of {cost.rounds[0].whole.profiles:,}, and from the least to the most"
    axes.set_xlabel(rounds, fontsize=8)
    if price:
        _stages(figure.add_axes((0.45, 0.2, 0.5, 0.28)), price)
    return figure


def _stages(axes: Axes, price: Price) -> None:
    parts = {part: figure for part, figure in price.parts.items() if part not in (ALL_ELSE, CALLS)}
    axes.barh(range(len(parts)), list(parts.values()), color=PALE_BLUE, edgecolor=BLUE, linewidth=0.6)
    for place, figure in enumerate(parts.values()):
        axes.text(figure, place, f"  {figure:.1f} µs, {figure / price.whole:.1%}", va="center", fontsize=8)
    axes.set_yticks(range(len(parts)), list(parts), fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.25)
    axes.set_title("microseconds of segsync's that are known by part", loc="left", fontsize=9)
