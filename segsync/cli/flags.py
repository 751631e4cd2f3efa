"""Flags that several commands have, and what is refused about flags."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer

EXCLUSIVE: Final = (
    ("--quiet", "--verbose"),
    ("--resume", "--retry-rejected", "--ids", "--offset"),
    ("--sandbox", "--resume", "--retry-rejected", "--ids"),
    ("--retry-rejected", "--limit"),
    ("--ids", "--limit"),
    ("--dry-run", "--resume"),
    ("--dry-run", "--report"),
    ("--dry-run", "--show-values"),
    ("--retry-rejected", "--profiles"),
    ("--ids", "--profiles"),
    ("--retry-rejected", "--no-confirm"),  # only a result resolves a dead letter
)
"""Groups of flags of which at most one may be given."""

OF_ONE_RUN: Final = frozenset(
    {"--offset", "--limit", "--resume", "--retry-rejected", "--ids", "--dry-run", "--output", "--notify"}
)
"""Flags that say what one run does: the command for the next step has its own."""

SECRET: Final = frozenset({"--notify"})
"""Flags with a value that no command may show: who has the URL of a webhook can post there."""

SETTINGS: Final = {
    "--concurrency": "SEGSYNC_CONCURRENCY",
    "--batch-size": "SEGSYNC_BATCH_SIZE",
    "--ledger": "SEGSYNC_LEDGER",
    "--notify": "SEGSYNC_NOTIFY_URL",
}
"""The variables that these flags win over."""


def option(text: str, metavar: str | None = None, *names: str, **others: Any) -> Any:
    return typer.Option(*names, help=text, metavar=metavar, **others)


LedgerFile = Annotated[str | None, option("The ledger, a checkpoint file. [SEGSYNC_LEDGER, segsync.db]", "FILE")]
ListsDirectory = Annotated[Path | None, option("Folder for the lists of profiles. [that of the ledger]", "DIR")]
EnvFile = Annotated[Path | None, option("Read settings from FILE instead of .env.", "FILE")]
Profiles = Annotated[int | None, option("Expected total, for the progress bar and ETA.", "N", min=1)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def given_flags(context: Any) -> dict[str, list[str]]:
    """The flags that stand on the command line, also before the word `import`, each with the words to type it again."""
    return {
        parameter.opts[0]: parameter.opts[:1] if parameter.is_flag else [parameter.opts[0], str(value)]
        for parameter in context.command.params
        if context.get_parameter_source(parameter.name).name in ("COMMANDLINE", "DEFAULT_MAP")
        for value in [context.params.get(parameter.name)]
    }


def pass_on_flags(context: Any, given: Collection[str]) -> None:
    """Have flags before the word `import` count as if they came behind it; what is there again wins."""
    values = {each.name: context.params[each.name] for each in context.command.params if each.opts[0] in given}
    context.default_map = {context.invoked_subcommand: values}


def refuse_flags_before(name: str, context: Any, given: Mapping[str, object]) -> None:
    """Refuse flags before a command: they are flags of the import, and would seem to count for the command."""
    known = {option for parameter in context.command.get_command(context, name).params for option in parameter.opts}
    problems = [
        f"{flag} goes after the command: {name} {flag}."
        if flag in known
        else f"{flag} is for an import: {name} has no such flag."
        for flag in given
    ]
    if problems:
        raise typer.BadParameter(" ".join(problems))


def refuse_flags(given: Mapping[str, object], *, offset: str | None, output: Path | None) -> None:
    """Refuse flags that do not go together or have no meaning."""
    for group in EXCLUSIVE:
        both = [flag for flag in group if flag in given]
        if len(both) > 1:
            raise typer.BadParameter(f"{' and '.join(both)} exclude each other.")
    if {"--sandbox", "--env-file"} <= given.keys():
        raise typer.BadParameter("--sandbox uses no settings but its own: leave out --env-file.")
    if offset is not None and not (offset.strip() and offset.isprintable()):
        raise typer.BadParameter("--offset must be a number or a cursor: 0 is the beginning.")
    if output and "--dry-run" not in given:
        raise typer.BadParameter("--output needs --dry-run: an import sends its customers to Voucherify.")
    if output:
        from segsync.connectors.file import problem_with

        if problem := problem_with(output):
            raise typer.BadParameter(problem)
