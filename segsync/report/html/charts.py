"""The numbers behind the plot of the report: where each line, mark and label lies. The template draws it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from segsync.formatting import clock, counted
from segsync.report.counters import Throughput

MOST_STEPS = 120
"""The most steps that a plot shows: nobody can tell more of them apart."""

STANDSTILL_SECONDS = 5.0
"""The shortest time without a profile that the plot marks."""

HEIGHT = 250.0
TOP, BOTTOM = 30.0, 205.0
"""Between these lies the field of the plot; above and below it there is text."""
RIGHT_MARGIN = 30.0
"""Room for half a label, since the last one may stand at the very end."""
LETTER = 8.0
"""How wide a character of a label is."""

TIME_UNITS = (("hours", 3600), ("minutes", 60), ("seconds", 1))
"""The units of the time axis, with their seconds: the one in which all its labels are whole numbers."""

RING_RADIUS, RING_CENTER = 94.0, 120.0

LEAST_LABELLED = 0.07
"""The smallest share of the ring that has room for its label."""

Stretch = tuple[float, float]
"""From when to when, in seconds since the start."""


@dataclass(frozen=True, slots=True)
class Label:
    """A text on an axis, and where it stands there."""

    position: float
    text: str


@dataclass(frozen=True, slots=True)
class ShareLabel:
    """The share of a part of the ring, in its middle. By it a part is found in the table without its colour."""

    x: float
    y: float
    text: str


@dataclass(frozen=True, slots=True)
class Plot:
    """Profiles per second over the time of a run, in pixels: `line` is the data of an SVG path.

    `times` are in `time_unit`, which the axis names.
    """

    description: str
    width: int
    left: float
    right: float
    line: str
    pauses: Sequence[Stretch]
    times: Sequence[Label]
    time_unit: str
    rates: Sequence[Label]
    height: float = HEIGHT
    top: float = TOP
    bottom: float = BOTTOM


def throughput_plot(throughput: Throughput, seconds: float, pauses: Sequence[Stretch], *, width: int) -> Plot:
    """A plot `width` pixels wide of a run that took `seconds`, with its pauses marked."""
    steps = rates(throughput, seconds)
    top = max(rate for _, rate in steps) or 1.0
    rates_shown = [(rate, f"{rate:,.10g}") for rate in _round_rates(top)]
    left = LETTER * max(len(text) for _, text in rates_shown) + 12
    right = width - RIGHT_MARGIN
    times = _round_times(seconds, most=min(width // 80, 6))
    unit, unit_seconds = next(each for each in TIME_UNITS if times.step >= each[1])

    def x(time: float) -> float:
        return round(left + (right - left) * min(time / seconds, 1), 1)

    def y(rate: float) -> float:
        return round(BOTTOM - (BOTTOM - TOP) * rate / top, 1)

    return Plot(
        description=f"Up to {counted(round(top), 'profile')} per second, over {clock(seconds)}.",
        width=width,
        left=left,
        right=right,
        line="M" + " L".join(f"{x(time)},{y(rate)}" for time, rate in steps),
        pauses=[(x(start), x(end)) for start, end in pauses],
        times=[Label(x(time), f"{time // unit_seconds:,}") for time in times],
        time_unit=unit,
        rates=[Label(y(rate), text) for rate, text in rates_shown],
    )


def ring_labels(profiles: Sequence[int]) -> list[ShareLabel]:
    """The labels of the parts of a ring, one part after the other from the top on, where there is room for one."""
    total, before, labels = sum(profiles), 0, []
    for part in profiles:
        angle = 2 * math.pi * (before + part / 2) / total if total else 0.0
        before += part
        if total and part / total >= LEAST_LABELLED:
            x, y = RING_RADIUS * math.sin(angle), -RING_RADIUS * math.cos(angle)
            labels.append(ShareLabel(round(RING_CENTER + x, 1), round(RING_CENTER + y, 1), f"{part / total:.0%}"))
    return labels


def rates(throughput: Throughput, seconds: float) -> list[tuple[float, float]]:
    """Points of the plot: where each step begins and where it ends, with the profiles per second in it."""
    width, profiles = throughput.bucket_seconds, throughput.profiles
    together = math.ceil(len(profiles) / MOST_STEPS) or 1
    points = []
    for number in range(0, len(profiles), together):
        start = number * width
        end = max(min(start + together * width, seconds), start + width / 2)  # the last one may be short
        rate = sum(profiles[number : number + together]) / (end - start)
        points += [(start, rate), (end, rate)]
    return points


def standstills(throughput: Throughput, *, until_the_end: bool) -> list[Stretch]:
    """When nothing was read for `STANDSTILL_SECONDS` or more; at the end it counts only if there was more to read."""
    width, shape = throughput.bucket_seconds, _shape(throughput)
    idle = re.finditer(" +", shape if until_the_end else shape.rstrip())
    stretches = [(found.start() * width, found.end() * width) for found in idle]
    return [(start, end) for start, end in stretches if end - start >= STANDSTILL_SECONDS]


def reading_seconds(throughput: Throughput) -> float:
    """When the last profile had been read."""
    return throughput.bucket_seconds * len(_shape(throughput).rstrip())


def _shape(throughput: Throughput) -> str:
    """A character per bucket: a space where nothing was read."""
    return "".join("x" if profiles else " " for profiles in throughput.profiles)


def _round_times(seconds: float, most: int) -> range:
    """Round times from 0 on, about `most` of them or fewer."""
    steps = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400)
    step = next((step for step in steps if seconds / step <= most), steps[-1] * math.ceil(seconds / steps[-1] / most))
    return range(0, int(seconds) + 1, step)


def _round_rates(top: float) -> list[float]:
    """About four round rates from 0 on."""
    magnitude = 10 ** math.floor(math.log10(top))
    step = next(factor * magnitude for factor in (0.2, 0.25, 0.5, 1, 2, 5) if top / (factor * magnitude) <= 5)
    return [step * number for number in range(int(top / step) + 1)]
