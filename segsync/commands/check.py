"""`python -m segsync check` at a terminal: runs the check, and prints its report as tables or as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from segsync.check.findings import MOST_NAMED, Finding, State
from segsync.check.misspelt import misspelt_settings
from segsync.check.probe import PATIENCE_SECONDS
from segsync.check.run import CheckReport, report_of_settings, run_check
from segsync.check.sample import Sample
from segsync.check.unmapped import FREQUENT, NotImported
from segsync.commands.next_steps import EXIT_DONE, EXIT_REJECTED, EXIT_USAGE
from segsync.commands.output import how_to_init, plain_table, print_json
from segsync.connectors.cost import Estimate
from segsync.errors import LedgerError, OutputError, SettingsError
from segsync.events import CallRetried, Event, Throttled
from segsync.formatting import counted, duration, printable
from segsync.ledger.checks import keep, settings_key
from segsync.ledger.database import now
from segsync.mapping.metadata import NOT_PLAIN
from segsync.pipeline.run import open_ledger
from segsync.runtime import QuietConsole, run_event_loop, standard_output
from segsync.settings import Settings

MARKS: Final[dict[State, tuple[str, str, str]]] = {
    "ok": ("✓", "+", "green"),
    "warning": ("!", "!", "yellow"),
    "failed": ("✗", "x", "bold red"),
    "not done": ("-", "-", "dim"),
}
"""The sign of each state, its sign where only ASCII can be shown, and its colour."""

ROWS = 15
"""The most external id types that are shown. The JSON has all of them."""


def check_at_terminal(
    *,
    env_file: Path | None,
    sample: int,
    profiles: int | None,
    as_json: bool,
    flags: Mapping[str, tuple[str, str]] | None = None,
    init_command: str = "",
) -> int:
    """Check, print what was found, and give the exit code. Raises `OutputError`.

    0, or 2 where the settings cannot be used, as for an import, or 3 where something else failed. `flags` are as in
    `Settings.load`; `init_command` is shown where credentials are missing. What is not imported is kept in the ledger,
    for the summary of an import.
    """
    console = QuietConsole(stderr=True)
    troubled: set[str] = set()

    def on_event(event: Event) -> None:
        if isinstance(event, CallRetried) and event.service not in troubled:
            troubled.add(event.service)
            message = printable(f"{event.reason}. Retrying for up to {PATIENCE_SECONDS:.0f} s".replace("?.", "?"))
            console.print(Text(message), soft_wrap=True)
        elif isinstance(event, Throttled) and event.seconds <= PATIENCE_SECONDS:  # a longer wait becomes a finding
            console.print(f"{event.service} asks to wait {event.seconds:.0f} s")

    settings: Settings | None = None
    misspelt, how_to_begin = list[str](), ""
    try:
        misspelt = misspelt_settings(env_file=env_file)
        settings = Settings.load(flags=flags, env_file=env_file)
    except SettingsError as error:
        report = report_of_settings(error.problems, misspelt, env_file=env_file)
        how_to_begin = how_to_init(error.problems, init_command).strip()
    else:
        check = run_check(settings, misspelt=misspelt, sample=sample, profiles=profiles, on_event=on_event)
        with console.status("Checking, on a sample of profiles"):
            report = run_event_loop(check)
    if as_json:
        print_json(report)
    else:
        with standard_output() as output:
            output.print(shown(report, is_plain=not output.encoding.startswith("utf")), crop=False)
            if how_to_begin:
                output.print(Text(how_to_begin), soft_wrap=True)
    if settings is None:
        return EXIT_USAGE
    is_known = ("voucherify", "ok") in {(each.id, each.state) for each in report.findings}
    if report.not_imported and is_known:  # refused credentials name no project for a ledger
        _keep(report.not_imported, settings, console)
    return EXIT_DONE if report.is_ok else EXIT_REJECTED


def _keep(left: NotImported, settings: Settings, console: Console) -> None:
    """Keep what is not imported in the ledger. Where that cannot be, say so: the check itself is done."""
    path = Path(settings.ledger)
    try:
        with open_ledger(settings, path) as ledger:
            if ledger.backup:
                migrated = f"The ledger {path} was migrated to a newer format. The old one is {ledger.backup}."
                console.print(Text(printable(migrated)), soft_wrap=True)
            ledger.read(partial(keep, key=settings_key(ledger, settings), found=left.at(now())))
    except (LedgerError, OutputError) as error:
        message = f"{error}. So the summary of an import cannot repeat which traits are not imported"
        console.print(Text(printable(message)), soft_wrap=True)


def shown(report: CheckReport, *, is_plain: bool = False) -> RenderableType:
    """The report as tables; `is_plain` where only ASCII can be shown."""
    parts: list[RenderableType] = [_findings(report.findings, is_plain=is_plain)]
    if report.sample and report.sample.read:
        parts += _sample(report.sample, report.identifier)
    if report.not_imported and report.not_imported.traits:
        parts += _not_imported(report.not_imported)
    if report.estimate:
        parts.append(_estimate(report.estimate))
    if report.calls:
        made = " and ".join(counted(count, f"{name} call") for name, count in sorted(report.calls.items()))
        parts.append(Text(f"This check made {made}.", style="dim"))
    parts.append(_verdict(report))
    return Group(*parts)


def _findings(findings: list[Finding], *, is_plain: bool) -> Table:
    table = plain_table("Check", Column(no_wrap=True), Column(overflow="fold"))
    arrow = "->" if is_plain else "→"
    for each in findings:
        sign, ascii_sign, style = MARKS[each.state]
        text = Text.assemble((each.title, "bold"), f": {printable(each.detail)}")
        if each.fix:
            text.append(f"\n{arrow} {printable(each.fix)}", style="bold" if each.state == "failed" else "")
        table.add_row(Text(f"{ascii_sign if is_plain else sign} {each.state}", style=style), text)
    return table


def _sample(sample: Sample, identifier: str | None) -> list[RenderableType]:
    columns = Column("Type", overflow="fold"), Column("Profiles", justify="right"), Column()
    external_ids = plain_table(f"External ids of {counted(sample.read, 'profile')}", *columns)
    for kind, count in list(sample.external_ids.items())[:ROWS]:
        chosen = "becomes the source_id" if kind == identifier else ""
        external_ids.add_row(Text(printable(kind)), f"{count:,}", chosen)
    if not sample.customers:
        return [external_ids]
    trait_name, problem = Column("Trait", overflow="fold"), Column("Cannot be used", overflow="fold")
    title = f"Mapped traits of {counted(sample.customers, 'customer')}"
    traits = plain_table(title, trait_name, Column("Customers", justify="right"), problem)
    for trait, count in sample.traits.items():
        problems = [f"{each.customers:,}: {each.problem}" for each in sample.warnings if each.trait == trait]
        traits.add_row(trait, f"{count:,}", Text("; ".join(problems)))
    columns = Column("Attribute"), Column("Customers", justify="right"), Column("From the trait", overflow="fold")
    attributes = plain_table(f"Attributes of {counted(sample.customers, 'customer')}", *columns)
    for attribute, by_trait in sample.attributes.items():
        from_traits = ", ".join(f"{trait} {count:,}" for trait, count in by_trait.items())
        attributes.add_row(attribute, f"{sum(by_trait.values()):,}", Text(printable(from_traits)))
    return [external_ids, traits, attributes]


def _not_imported(left: NotImported) -> list[RenderableType]:
    """The traits that an import does not read, and lines for `.env` that take them, which no window may break."""
    columns = Column("Trait", overflow="fold"), Column("Customers", justify="right"), Column("Share", justify="right")
    table = plain_table(f"Traits of {counted(left.customers, 'customer')} that are not imported", *columns)
    for trait, count in list(left.traits.items())[:FREQUENT]:
        name = "(names that may be personal)" if trait == NOT_PLAIN else printable(trait)
        table.add_row(Text(name), f"{count:,}", f"{count / left.customers:.0%}")
    more = len(left.traits) - FREQUENT
    if more > 0:
        table.add_row(Text(f"and {more:,} more (--json has all)", style="dim"))
    lines = {
        "To add these to the metadata:": left.frequent_setting,
        "To add all of them:": left.all_setting if more > 0 or not left.frequent_setting else "",
        "These may be attributes under another name; to read them as such:": left.attribute_setting,
    }
    parts: list[RenderableType] = [table]
    for words, setting in lines.items():
        if setting:
            parts += [Text(words), Text(f"  {setting}", style="bold", no_wrap=True, overflow="ignore")]
    if left.not_nameable:
        names = ", ".join(repr(printable(trait)) for trait in left.not_nameable[:MOST_NAMED])
        parts.append(Text(f"METADATA_TRAITS cannot name {names} (a comma, = or the like); * includes them."))
    return [*parts, Text()]


def _estimate(cost: Estimate) -> Table:
    example = "an example: give your total with --profiles N" if cost.is_example else "if all are like the sample"
    title = f"Estimate for {counted(cost.profiles, 'profile')} ({example})"
    table = plain_table(title, Column(), Column(justify="right"), Column(style="dim"))
    table.add_row("Customers", f"{cost.customers:,}")
    parts = {"pages": cost.listing_calls, "external ids": cost.external_ids_calls, "traits": cost.traits_calls}
    notes = ", ".join(f"{calls:,} for {name}" for name, calls in parts.items())
    table.add_row("Segment calls", f"{cost.segment_calls:,}", notes)
    table.add_row("  near the limit", duration(cost.segment_seconds))
    notes = f"{counted(cost.upserts, 'bulk upsert')}, {cost.result_calls:,} to read their results"
    table.add_row("Voucherify calls", f"{cost.voucherify_calls:,}", notes)
    table.add_row("  near the limit", duration(cost.voucherify_seconds))
    slower = "Segment" if cost.segment_seconds >= cost.voucherify_seconds else "Voucherify"
    table.add_row("Time, estimated", duration(cost.seconds), f"in parallel; {slower}'s limit decides")
    return table


def _verdict(report: CheckReport) -> Text:
    failed = sum(each.state == "failed" for each in report.findings)
    left = report.not_imported
    not_imported = f" Not imported: {left.number_words}." if left and left.traits else ""
    unchanged = f"{not_imported} Nothing was written to Segment or Voucherify."
    if failed:
        return Text(f"Not ready: {counted(failed, 'check')} failed.{unchanged}", style="bold red")
    warnings = sum(each.state == "warning" for each in report.findings)
    more = f", with {counted(warnings, 'warning')}" if warnings else ""
    return Text(f"Ready{more}.{unchanged}", style="bold")
