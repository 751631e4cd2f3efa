"""The HTML report of `--report`: one page that needs no other file.

Its words are for the people who asked for the import, not for those who ran it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from urllib.parse import urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined

from segsync.__about__ import __version__
from segsync.formatting import clock, duration, printable, share
from segsync.models import Outcomes, Stage
from segsync.report.html import charts, wording
from segsync.report.html.advice import STAGES, Advised, advised, warning_meaning
from segsync.report.import_report import ImportReport, ServiceCalls
from segsync.settings import AUTO, Settings

MOST_REASONS = 5
"""The most reasons shown for one kind of rejection."""

MOST_WARNINGS = 30
"""The most traits shown that were left out of customers."""

WIDTHS = {"wide": 860, "narrow": 330}
"""The widths of the plot, for a desk and for a phone."""


@dataclass(frozen=True, slots=True)
class Named:
    """Segment ids that the page may show, since `--report-ids` asked for them."""

    without_identifier: Sequence[str] = ()
    warnings: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    name: str
    meaning: str
    colour: str
    profiles: int
    share: str


@dataclass(frozen=True, slots=True)
class Fact:
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Warned:
    trait: str
    meaning: str
    count: int
    segment_ids: Sequence[str]


@dataclass(frozen=True, slots=True)
class Shown:
    """A setting."""

    variable: str
    value: str
    explanation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What the template shows. Text in it is text: the template escapes it."""

    state: str
    state_words: str
    headline: str
    summary: str
    space: str
    voucherify: str
    when: str
    error: str
    steps: Sequence[wording.Step]
    outcomes: Outcomes
    outcome_rows: Sequence[Outcome]
    imported_share: str
    imported_words: str
    arcs: Sequence[charts.Arc]
    arcs_in_words: str
    rejected: Sequence[Advised]
    identifier: str
    identifier_advice: str
    without_identifier_ids: Sequence[str]
    warnings: Sequence[Warned]
    warnings_count: int
    facts: Sequence[Fact]
    plots: Mapping[str, charts.Plot]
    pauses: str
    tail: str
    before: int
    calls: Sequence[tuple[str, ServiceCalls]]
    settings: Sequence[Shown]
    names_profiles: bool
    stages: Mapping[Stage, str] = field(default_factory=lambda: STAGES)
    most_reasons: int = MOST_REASONS
    version: str = __version__


def render(report: ImportReport, settings: Settings, *, next_command: str | None, named: Named | None = None) -> str:
    """The page, as HTML."""
    loader = PackageLoader("segsync.report", "html")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    page = _page(report, settings, next_command, named or Named())
    return environment.get_template("report.html.j2").render(page=page)


def _page(report: ImportReport, settings: Settings, next_command: str | None, named: Named) -> Page:
    outcomes, rows = report.outcomes, _outcome_rows(report)
    plots, pauses = _plots(report)
    has_done_something = report.seconds > 0
    is_open_to_doubt = outcomes.rejected or not wording.imported(report)
    return Page(
        state="rejected" if report.state == "done" and is_open_to_doubt else report.state,
        state_words=wording.state_words(report),
        headline=wording.headline(report),
        summary=wording.summary(report),
        space=printable(settings.segment_space_id),
        voucherify=urlsplit(settings.voucherify_url).hostname or "",
        when=wording.when(report),
        error=printable(str(report.error)) if report.error else "",
        steps=wording.steps(report, next_command),
        outcomes=outcomes,
        outcome_rows=rows,
        imported_share=share(wording.imported(report), outcomes.profiles),
        imported_words=wording.imported_words(report),
        arcs=[*charts.ring_arcs({row.colour: row.profiles for row in rows})],
        arcs_in_words=", ".join(f"{row.name.lower()}: {row.profiles:,} ({row.share})" for row in rows if row.profiles),
        rejected=advised(report.rejections),
        identifier=settings.identifier_saved_as_source_id,
        identifier_advice=wording.identifier_advice(outcomes),
        without_identifier_ids=named.without_identifier,
        warnings=_warnings(report.warnings, named),
        warnings_count=sum(report.warnings.values()),
        facts=_facts(report) if has_done_something else (),
        plots=plots,
        pauses=pauses,
        tail=_tail(report),
        before=report.before.done,
        calls=[*report.calls.items()],
        settings=_settings(settings),
        names_profiles=bool(
            named.without_identifier or named.warnings or any(group.segment_ids for group in report.rejections)
        ),
    )


def _outcome_rows(report: ImportReport) -> list[Outcome]:
    outcomes = report.outcomes
    rows = (
        ("Imported", "Voucherify has written these customers.", "confirmed", outcomes.confirmed, report.is_confirmed),
        (
            "Sent, not confirmed",
            "Accepted by Voucherify; the result was not read.",
            "sent",
            outcomes.sent,
            False,
        ),
        (
            "Without an identifier",
            "Nothing to know the customer by, so not sent.",
            "without-identifier",
            outcomes.without_identifier,
            True,
        ),
        ("Rejected", "Not imported (see below).", "rejected", outcomes.rejected, True),
        ("Pending", "Not finished when the run ended.", "pending", outcomes.pending, False),
    )
    return [
        Outcome(name, meaning, colour, profiles, share(profiles, outcomes.profiles))
        for name, meaning, colour, profiles, is_always_shown in rows
        if profiles or is_always_shown
    ]


def _plots(report: ImportReport) -> tuple[dict[str, charts.Plot], str]:
    """The plot for a desk and for a phone, and in words when nothing moved."""
    throughput, seconds = report.throughput, report.seconds
    if seconds <= 0 or not any(throughput.profiles):
        return {}, ""
    pauses = charts.standstills(throughput, until_the_end=report.state != "done")
    plots = {name: charts.throughput_plot(throughput, seconds, pauses, width=width) for name, width in WIDTHS.items()}
    return plots, _pauses_in_words(pauses)


def _pauses_in_words(pauses: Sequence[charts.Stretch]) -> str:
    if not pauses:
        return ""
    longest, begun = max((end - begun, begun) for begun, end in pauses)
    at = f"{clock(longest)}, {clock(begun)} after the start"
    return f"for {at}" if len(pauses) == 1 else f"{len(pauses)} times, the longest for {at}"


def _tail(report: ImportReport) -> str:
    """What the time after the last profile was needed for, where there is much of it."""
    read = charts.reading_seconds(report.throughput)
    if report.state != "done" or not read or report.seconds - read < charts.STANDSTILL_SECONDS:
        return ""
    return f"All profiles were read after {clock(read)}. Voucherify needed the rest of the time to write the customers."


def _facts(report: ImportReport) -> list[Fact]:
    facts = [Fact("Time", duration(report.seconds))]
    done = report.outcomes.done - report.before.done
    if done > 0:
        facts.append(Fact("Profiles per second", f"{done / report.seconds:,.1f}"))
    if (seconds := report.seconds_per_100_customers) is not None:
        facts.append(Fact("For 100 customers", f"{seconds:,.2f} s"))
    return facts


def _warnings(warnings: Mapping[str, int], named: Named) -> list[Warned]:
    most_often = sorted(warnings.items(), key=lambda item: (-item[1], item[0]))
    return [
        Warned(trait, warning_meaning(trait), count, named.warnings.get(trait, ()))
        for trait, count in most_often[:MOST_WARNINGS]
    ]


def _settings(settings: Settings) -> list[Shown]:
    """Every setting; for a secret only that it is set."""
    return [
        Shown(
            entry.metadata["variable"],
            "set, not shown here" if entry.metadata["secret"] else _shown(getattr(settings, entry.name)),
            entry.metadata["explanation"],
        )
        for entry in fields(settings)
    ]


def _shown(value: object) -> str:
    if value is None:
        return AUTO
    if isinstance(value, float):
        return f"{value:,g}" if value < 1_000_000 else f"{value:,.0f}"
    return printable(str(value)) or "–"
