"""`--report`: what an import did as one page for people, with everything it needs in it.

It is told in the words of who asked for the import, not of who ran it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from urllib.parse import urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

import segsync
from segsync import charts
from segsync.advice import STAGES, Advised, advised, warning_meaning
from segsync.models import Fates, Stage
from segsync.printable import printable
from segsync.report import ImportReport, ServiceCalls
from segsync.settings import AUTO, Settings
from segsync.summary import duration

MOST_REASONS = 5
"""Of one kind."""

MOST_WARNINGS = 30

WIDE, NARROW = 860, 330


@dataclass(frozen=True, slots=True)
class Named:
    """Segment ids that the page may name because somebody asked for them."""

    without_identifier: Sequence[str] = ()
    warnings: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fate:
    name: str
    meaning: str
    colour: str
    profiles: int
    share: str


@dataclass(frozen=True, slots=True)
class Step:
    """Something to do next, and the command that does it."""

    words: str
    command: str | None = None


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


@dataclass(frozen=True, slots=True)
class Plots:
    wide: Markup
    narrow: Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What the template shows. Text in it is text: the template escapes all but the pictures."""

    state: str
    state_words: str
    headline: str
    summary: str
    space: str
    voucherify: str
    when: str
    error: str
    steps: Sequence[Step]
    fates: Fates
    fate_rows: Sequence[Fate]
    came_over_share: str
    ring: Markup | None
    rejected: Sequence[Advised]
    identifier: str
    identifier_advice: str
    without_identifier_ids: Sequence[str]
    warnings: Sequence[Warned]
    warnings_count: int
    facts: Sequence[Fact]
    plots: Plots | None
    pauses: str
    before: int
    calls: Sequence[tuple[str, ServiceCalls]]
    settings: Sequence[Shown]
    names_profiles: bool
    stages: Mapping[Stage, str] = field(default_factory=lambda: STAGES)
    most_reasons: int = MOST_REASONS
    version: str = segsync.__version__


def render(report: ImportReport, settings: Settings, *, next_command: str | None, named: Named | None = None) -> str:
    """The page, as HTML."""
    environment = Environment(loader=PackageLoader("segsync"), autoescape=True, undefined=StrictUndefined)
    page = _page(report, settings, next_command, named or Named())
    return environment.get_template("report.html.j2").render(page=page)


def _page(report: ImportReport, settings: Settings, next_command: str | None, named: Named) -> Page:
    fates, rows = report.fates, _fate_rows(report)
    plots, pauses = _plots(report)
    has_done_something = report.seconds > 0
    return Page(
        state="rejected" if report.outcome == "done" and fates.rejected else report.outcome,
        state_words=_state_words(report),
        headline=_headline(report),
        summary=_summary(report),
        space=printable(settings.segment_space_id),
        voucherify=urlsplit(settings.voucherify_url).hostname or "",
        when=_when(report),
        error=printable(str(report.error)) if report.error else "",
        steps=_steps(report, next_command),
        fates=fates,
        fate_rows=rows,
        came_over_share=_share(fates.customers, fates.profiles),
        ring=_ring(rows) if fates.profiles else None,
        rejected=advised(report.rejections),
        identifier=settings.identifier_saved_as_source_id,
        identifier_advice=_identifier_advice(fates),
        without_identifier_ids=named.without_identifier,
        warnings=_warnings(report.warnings, named),
        warnings_count=sum(report.warnings.values()),
        facts=_facts(report) if has_done_something else (),
        plots=plots if has_done_something else None,
        pauses=pauses,
        before=report.before.done,
        calls=[*report.calls.items()],
        settings=_settings(settings),
        names_profiles=bool(
            named.without_identifier or named.warnings or any(group.segment_ids for group in report.rejections)
        ),
    )


# --- words ----------------------------------------------------------------------------------------------------


def _state_words(report: ImportReport) -> str:
    if report.outcome != "done":
        return {"interrupted": "Interrupted", "stopped": "Stopped early"}[report.outcome]
    if report.resume_offset is not None:
        return "First part done"
    return "Done, with rejected profiles" if report.fates.rejected else "Done"


def _headline(report: ImportReport) -> str:
    customers = report.fates.customers
    if not customers:
        return "No customers came over"
    return f"{customers:,} {'customer' if customers == 1 else 'customers'} came over"


def _summary(report: ImportReport) -> str:
    fates = report.fates
    if not fates.profiles:
        return "Segment has listed no profiles."
    words = [f"That is {_share(fates.customers, fates.profiles)} of {_profiles(fates.profiles)} in Segment."]
    if report.outcome == "done" and report.resume_offset is not None:
        words = [f"Of the first {_profiles(fates.profiles)} in Segment, as was asked for. More are to come."]
    elif report.outcome != "done":
        words = [f"Of {_profiles(fates.profiles)} that Segment had listed by then; there may be more."]
    if fates.sent:
        whether = "was not asked" if not report.is_confirmed else "is not known yet"
        words.append(
            f"Voucherify accepted {fates.sent:,} of these customers; whether it could write them into its database "
            f"{whether}."
        )
    return " ".join(words)


def _steps(report: ImportReport, next_command: str | None) -> list[Step]:
    fates, steps = report.fates, []
    if report.outcome != "done" and next_command:
        steps.append(Step("Go on with the import, when the reason for the stop is gone:", next_command))
    elif report.outcome != "done":
        steps.append(Step("Set right what the reason for the stop names, then start the import again."))
    elif report.resume_offset is not None:
        steps.append(
            Step("Look at the first customers in Voucherify. If they are right, import the others:", next_command)
        )
    if fates.rejected:
        is_next = report.outcome == "done" and report.resume_offset is None
        steps.append(
            Step(
                f"See below why {_profiles(fates.rejected)} were rejected, and have it mended. Then take them again"
                f"{':' if is_next else ' with --retry-rejected.'}",
                next_command if is_next else None,
            )
        )
    if fates.profiles and fates.without_identifier == fates.profiles:
        steps.append(Step("Check IDENTIFIER_SAVED_AS_SOURCE_ID: no profile carries an identifier of this type."))
    if not steps:
        steps.append(Step("Nothing has to be done. A look at a few customers in Voucherify does no harm."))
    return steps


def _identifier_advice(fates: Fates) -> str:
    if fates.without_identifier == fates.profiles:
        return (
            'No profile at all has it, so it is most likely the wrong type. "segsync check" shows which identifiers '
            "the profiles carry; the setting IDENTIFIER_SAVED_AS_SOURCE_ID chooses the right one."
        )
    return (
        "Nothing, where they are anonymous visitors. If you miss customers, their id may be of another type: "
        '"segsync check" shows which identifiers the profiles carry, and the setting IDENTIFIER_SAVED_AS_SOURCE_ID '
        "chooses one. Who signs in later comes over with Segment's live Voucherify destination."
    )


def _profiles(count: int) -> str:
    return f"{count:,} {'profile' if count == 1 else 'profiles'}"


def _share(part: int, whole: int) -> str:
    """A percentage that never says none or all where it is not so."""
    if not whole or part in (0, whole):
        return "100%" if whole and part == whole else "0%"
    percent = 100 * part / whole
    if percent < 0.1:
        return "under 0.1%"
    return "over 99.9%" if percent > 99.9 else f"{percent:.1f}%"


def _when(report: ImportReport) -> str:
    if report.began_at is None or report.ended_at is None:
        return ""
    began, ended = datetime.fromisoformat(report.began_at), datetime.fromisoformat(report.ended_at)
    until = f"{ended:%H:%M}" if ended.date() == began.date() else f"{ended.day} {ended:%B %Y, %H:%M}"
    return f"{began.day} {began:%B %Y, %H:%M} to {until} UTC"


# --- rows -----------------------------------------------------------------------------------------------------


def _fate_rows(report: ImportReport) -> list[Fate]:
    fates = report.fates
    rows = (
        ("Came over", "Voucherify has written these customers.", "confirmed", fates.confirmed, report.is_confirmed),
        ("Sent, not confirmed", "Accepted by Voucherify; what became of them was not read.", "sent", fates.sent, False),
        ("Without a customer id", "Nothing to know them by, so not sent.", "without", fates.without_identifier, True),
        ("Rejected", "Did not become customers; why is told below.", "rejected", fates.rejected, True),
        ("Still to do", "Their turn had not come.", "todo", fates.to_do, False),
    )
    return [
        Fate(name, meaning, colour, profiles, _share(profiles, fates.profiles))
        for name, meaning, colour, profiles, is_always_shown in rows
        if profiles or is_always_shown
    ]


def _ring(rows: Iterable[Fate]) -> Markup:
    shown = [row for row in rows if row.profiles]
    said = ", ".join(f"{row.name.lower()}: {row.profiles:,} ({row.share})" for row in shown)
    return Markup(charts.fates_ring({row.colour: row.profiles for row in shown}, said))  # noqa: S704 - made of numbers


def _plots(report: ImportReport) -> tuple[Plots | None, str]:
    """The plot for a desk and for a phone, and in words when nothing moved."""
    throughput, seconds = report.throughput, report.seconds
    if not any(throughput.profiles):
        return None, ""
    pauses = charts.standstills(throughput, until_the_end=report.outcome != "done")
    wide, narrow = (
        Markup(charts.throughput_plot(throughput, seconds, pauses, width=width))  # noqa: S704 - made of numbers
        for width in (WIDE, NARROW)
    )
    return Plots(wide, narrow), _pauses_in_words(pauses)


def _pauses_in_words(pauses: Sequence[charts.Stretch]) -> str:
    if not pauses:
        return ""
    longest, begun = max((end - begun, begun) for begun, end in pauses)
    at = f"{charts.clock(longest)}, {charts.clock(begun)} after the start"
    return f"for {at}" if len(pauses) == 1 else f"{len(pauses)} times, the longest for {at}"


def _facts(report: ImportReport) -> list[Fact]:
    facts = [Fact("Time", duration(report.seconds))]
    done = report.fates.done - report.before.done
    if done > 0:
        facts.append(Fact("Profiles a second", f"{done / report.seconds:,.1f}"))
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
    """Every setting; of a secret one only that it is there."""
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
