"""The HTML report of `--report`: one page that needs no other file.

Its words are for people who need not know segsync or a terminal.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from itertools import chain
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined

from segsync.__about__ import __version__
from segsync.formatting import clock, counted, duration, printable, profiles, share
from segsync.models import NextStep, RejectionGroup, WarningGroup
from segsync.report.html import advice, charts, wording
from segsync.report.import_report import ImportReport
from segsync.report.profile_lists import HEADERS
from segsync.settings import AUTO, Settings

MOST_REASONS = 5
"""The most reasons shown for one kind of rejection."""

MOST_WARNINGS = 30
"""The most problems of traits that are shown."""

WIDTHS = {"wide": 860, "narrow": 330}
"""The widths of the plot, for a desk and for a phone."""


class OutcomeRow(NamedTuple):
    name: str
    meaning: str
    colour: str
    profiles: int
    is_always_shown: bool = False


def render(
    report: ImportReport,
    settings: Settings,
    *,
    steps: Sequence[NextStep],
    without_identifier: Sequence[str] = (),
    lists: Callable[[str], Path] = Path,
) -> str:
    """The page, as HTML. It names the profiles in `without_identifier`, and those in the groups of the report.
    `lists` gives the path of a list by its usual name.

    Text in what the template gets is text: the template escapes it.
    """
    loader = PackageLoader("segsync.report", "html")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    groups: tuple[RejectionGroup | WarningGroup, ...] = (*report.rejections, *report.unknown, *report.problems)
    named = chain(without_identifier, *(group.segment_ids for group in groups))
    pauses = charts.standstills(report.throughput, until_the_end=report.state != "done")
    rows = _outcome_rows(report)
    is_in_doubt = report.left or not wording.imported(report)
    return environment.get_template("report.html.j2").render(
        report=report,
        outcomes=report.outcomes,
        identifier=settings.identifier_saved_as_source_id,
        steps=steps or [wording.NOTHING_LEFT],
        wording=wording,
        advice=advice,
        located=lambda text: _located(text, lists),
        share=share,
        profiles=profiles,
        counted=counted,
        state="rejected" if report.state == "done" and is_in_doubt else report.state,
        space=printable(settings.segment_space_id),
        host=urlsplit(settings.voucherify_url).hostname or "",
        error=printable(report.error.with_code) if report.error else "",
        rows=rows,
        ring_labels=charts.ring_labels([row.profiles for row in rows]),
        most_reasons=MOST_REASONS,
        without_identifier=without_identifier,
        left_out=sum(report.warnings.values()),
        warnings=sorted(report.problems, key=lambda each: (-each.profiles, each.trait))[:MOST_WARNINGS],
        facts=[*_facts(report)],
        plots=_plots(report, pauses),
        pauses=_pauses_in_words(pauses),
        tail=_tail(report),
        settings=_settings(settings),
        names_profiles=any(named),
        version=__version__,
    )


def _located(text: str, lists: Callable[[str], Path]) -> str:
    """A text with the path of each list in place of its usual name."""
    return re.sub("|".join(map(re.escape, HEADERS)), lambda name: printable(str(lists(name[0]))), text)


def _outcome_rows(report: ImportReport) -> list[OutcomeRow]:
    outcomes = report.outcomes
    without = outcomes.without_identifier
    rows = [
        OutcomeRow(
            "Imported", "Voucherify has written these customers.", "confirmed", outcomes.confirmed, report.is_confirmed
        ),
        OutcomeRow("Sent, not confirmed", "Accepted by Voucherify; the result was not read.", "sent", outcomes.sent),
        OutcomeRow(
            "Without an identifier",
            "No customer id in Segment, so not sent.",
            "without-identifier",
            without,
            True,
        ),
        OutcomeRow(
            "Duplicate identifier",
            "Another profile has the same identifier; its values were sent.",
            "duplicate",
            outcomes.duplicate,
        ),
        OutcomeRow("Rejected", "Not imported (see below).", "rejected", outcomes.rejected, True),
        OutcomeRow("Result unknown", "Sent; whether they were written is unknown.", "unknown", outcomes.unknown),
        OutcomeRow("Pending", "Not finished when the run ended.", "pending", outcomes.pending),
    ]
    return [row for row in rows if row.profiles or row.is_always_shown]


def _plots(report: ImportReport, pauses: Sequence[charts.Stretch]) -> dict[str, charts.Plot]:
    if report.seconds <= 0 or not any(report.throughput.profiles):
        return {}
    return {
        name: charts.throughput_plot(report.throughput, report.seconds, pauses, width=width)
        for name, width in WIDTHS.items()
    }


def _pauses_in_words(pauses: Sequence[charts.Stretch]) -> str:
    if not pauses:
        return ""
    longest, started = max((end - start, start) for start, end in pauses)
    at = f"{clock(longest)}, {clock(started)} after the start"
    return f"for {at}" if len(pauses) == 1 else f"{len(pauses)} times, the longest for {at}"


def _tail(report: ImportReport) -> str:
    """What the time after the last profile was needed for, where there is much of it."""
    read = charts.reading_seconds(report.throughput)
    if report.state != "done" or not read or report.seconds - read < charts.STANDSTILL_SECONDS:
        return ""
    return f"All profiles were read after {clock(read)}. Voucherify needed the rest of the time to write the customers."


def _facts(report: ImportReport) -> Iterator[tuple[str, str]]:
    if report.seconds > 0:
        yield "Time", duration(report.seconds)
        if (done := report.outcomes.done - report.before.done) > 0:
            yield "Profiles per second", f"{done / report.seconds:,.1f}"
        if (seconds := report.seconds_per_100_customers) is not None:
            yield "Per 100 customers", f"{seconds:,.2f} s"


def _settings(settings: Settings) -> list[tuple[str, str, str]]:
    """Every setting with its value and what it is; for a secret only that it is set."""
    return [
        (
            entry.metadata["variable"],
            "set, not shown here" if entry.metadata["secret"] and value else _shown(value),
            entry.metadata["explanation"],
        )
        for entry in fields(settings)
        for value in [getattr(settings, entry.name)]
    ]


def _shown(value: object) -> str:
    if value is None:
        return AUTO
    if isinstance(value, float):
        return f"{value:,g}" if value < 1_000_000 else f"{value:,.0f}"
    return printable(str(value)) or "–"
