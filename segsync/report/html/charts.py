"""The pictures of the report as SVG for the middle of a page: no script, nothing from a network, colours by the page.

pygal draws them. Its scripts and comments are taken out again, and the page's CSS variables are its colours, so that
they follow light and dark.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

import pygal
from pygal.style import Style

from segsync.formatting import clock
from segsync.report.counters import Throughput

# pygal hooks itself into all imports, for plugins that are not used here, in a way that Python 3.11 warns of.
sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, pygal.PluginImportFixer)]

MOST_POINTS = 120
"""Of a plot: more than that nobody can tell apart."""

STANDSTILL_SECONDS = 5.0

Stretch = tuple[float, float]
"""From when to when, in seconds since the start."""

_SANS = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"


def outcomes_ring(counts: Mapping[str, int], description: str) -> str:
    """A ring with a part for each of these (CSS colour name → profiles); no part where there is none of them."""
    shown = {colour: count for colour, count in counts.items() if count}
    chart = pygal.Pie(**_options(tuple(shown)), width=240, height=240, margin=4, inner_radius=0.62)
    for colour, count in shown.items():
        chart.add(colour, count)
    return _svg(chart, "What became of the profiles", description)


def throughput_plot(throughput: Throughput, seconds: float, pauses: Sequence[Stretch], *, width: int) -> str:
    """Profiles a second over the time of the run, `width` pixels wide, with the pauses in it marked."""
    points = rates(throughput, seconds)
    top = max(rate for _, rate in points) or 1.0
    chart = pygal.XY(
        **_options(("series", "pause"), opacity=0.3),
        width=width,
        height=240,
        margin=8,
        fill=True,
        show_dots=False,
        stroke_style={"width": 2},
        xrange=(0, seconds),
        range=(0, top * 1.05),
        x_labels=_ticks(seconds, most=min(width // 80, 6)),
        y_labels=_rates_shown(top),
        x_value_formatter=clock,
        value_formatter=lambda rate: f"{rate:,.4g}",
        show_x_guides=False,
    )
    chart.add("series", points)
    outline: list[tuple[float, float] | None] = []
    for begun, ended in pauses:
        outline += [(begun, 0.0), (begun, top), (ended, top), (ended, 0.0), None]
    chart.add("pause", outline, allow_interruptions=True, stroke_style={"width": 0})
    return _svg(chart, "Profiles a second", f"Up to {top:,.0f} profiles a second, over {clock(seconds)}.")


def rates(throughput: Throughput, seconds: float) -> list[tuple[float, float]]:
    """Points of the plot: where each stretch begins and where it ends, with the profiles a second in it."""
    width, profiles = throughput.bucket_seconds, throughput.profiles
    together = math.ceil(len(profiles) / MOST_POINTS) or 1
    points = []
    for number in range(0, len(profiles), together):
        begun = number * width
        ended = max(min(begun + together * width, seconds), begun + width / 2)  # the last one may be short
        rate = sum(profiles[number : number + together]) / (ended - begun)
        points += [(begun, rate), (ended, rate)]
    return points


def standstills(throughput: Throughput, *, until_the_end: bool) -> list[Stretch]:
    """When nothing was read for `STANDSTILL_SECONDS` or more; in the end that counts only if there was more to read."""
    width, found, begun = throughput.bucket_seconds, [], None
    for number, profiles in enumerate(throughput.profiles):
        if profiles == 0 and begun is None:
            begun = number * width
        elif profiles and begun is not None:
            found.append((begun, number * width))
            begun = None
    if begun is not None and until_the_end:
        found.append((begun, len(throughput.profiles) * width))
    return [(start, end) for start, end in found if end - start >= STANDSTILL_SECONDS]


def reading_seconds(throughput: Throughput) -> float:
    """When the last profile had been read."""
    busy = [number for number, profiles in enumerate(throughput.profiles, 1) if profiles]
    return throughput.bucket_seconds * max(busy, default=0)


def _ticks(seconds: float, most: int) -> list[float]:
    """Round times, `most` of them or fewer."""
    steps = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400)
    step = next((step for step in steps if seconds / step <= most), steps[-1] * math.ceil(seconds / steps[-1] / most))
    return [float(tick) for tick in range(0, int(seconds) + 1, step)]


def _rates_shown(top: float) -> list[float]:
    """Some four round rates from 0 on."""
    magnitude = 10 ** math.floor(math.log10(top))
    step = next(factor * magnitude for factor in (0.2, 0.25, 0.5, 1, 2, 5) if top / (factor * magnitude) <= 5)
    return [step * number for number in range(int(top / step) + 1)]


def _options(colours: Sequence[str], opacity: float = 1.0) -> dict[str, Any]:
    return {
        "style": Style(
            background="transparent",
            plot_background="transparent",
            foreground="var(--soft)",
            foreground_strong="var(--ink)",
            foreground_subtle="var(--line)",
            guide_stroke_color="var(--line)",
            major_guide_stroke_color="var(--line)",
            guide_stroke_dasharray="none",
            major_guide_stroke_dasharray="none",
            font_family=_SANS,
            label_font_size=14,
            major_label_font_size=14,
            colors=tuple(f"var(--{colour})" for colour in colours),
            value_colors=("var(--ink)",) * len(colours),
            opacity=f"{opacity}",
            opacity_hover=f"{opacity}",
            stroke_opacity="1",
            stroke_width_hover="1",
            transition="0s",
        ),
        "show_legend": False,
        "js": [],
        "pretty_print": False,
    }


def _svg(chart: Any, title: str, description: str) -> str:
    """The chart without scripts, described for those who do not see it."""
    root = chart.render_tree()
    defs = root.find("defs")
    for script in defs.findall("script"):
        defs.remove(script)
    for child in list(root):
        if not isinstance(child.tag, str):  # a comment
            root.remove(child)
    name, said = root.find("title"), ElementTree.Element("desc")
    name.text, said.text = title, description
    root.insert(1, said)
    name.set("id", f"{root.get('id')}-title")
    said.set("id", f"{root.get('id')}-desc")
    root.set("role", "img")
    root.set("aria-labelledby", f"{name.get('id')} {said.get('id')}")
    for group in root.iter("g"):
        for data in group.findall("desc"):  # for the tooltips of the script that is not there
            group.remove(data)
    return ElementTree.tostring(root, encoding="unicode")
