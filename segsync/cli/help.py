"""What `--help` shows of the import: examples, commands, flags in groups, exit codes and files, in plain text.

Typer's own groups need its rich output, which draws boxes and takes colours. Click's formatter needs neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from typer.core import TyperCommand, TyperGroup

EXAMPLES: Final[Mapping[str, str]] = {
    "segsync --sandbox": "Try it with invented profiles: no account needed.",
    "segsync check": "Check settings, both services and 100 profiles.",
    "segsync --limit 100": "Import the first 100 profiles, to look at them.",
}
"""Each as one types it, with what it does."""

GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "What to import": (*("--limit", "--offset", "--resume", "--retry-rejected", "--ids", "--dry-run", "--sandbox"),),
    "Connection and speed": ("--env-file", "--concurrency", "--batch-size", "--no-confirm"),
    "Files it writes": (
        "--ledger",
        "--directory",
        "--show-values",
        "--output",
        "--report",
        "--report-ids",
        "--summary-json",
    ),
    "Output on the terminal": ("--profiles", "--quiet", "--verbose", "--no-input"),
    "Logs, metrics and messages": ("--log-file", "--log-format", "--metrics-port", "--metrics-host", "--notify"),
}
"""The flags of an import, grouped by what one looks for. Those about the program itself follow in a group "Other"."""

EXIT_CODES: Final[Mapping[str, str]] = {
    "0": "done",
    "1": "stopped early; the message says how to resume",
    "2": "usage or configuration error; retrying won't help",
    "3": "done, but profiles are rejected, by this run or an earlier one, or their results are unknown, or --ids named "
    "unknown ids; or a check found what would fail",
    "130 or 143": "ended by Ctrl-C or SIGTERM, after finishing and sending what was under way",
}

LISTS: Final = """A run and status write these lists beside the ledger, or into --directory:
profiles-without-identifier.txt, duplicate-profiles.csv, rejected-profiles.csv and profiles-with-warnings.csv. A run
with --ids also writes unknown-ids.txt. With --ledger prod.db their names begin with it: prod-rejected-profiles.csv."""


class ImportHelp:
    """Help of the import, for a command and for the group of commands, which imports where no command is given."""

    def format_options(self: Any, ctx: Any, formatter: Any) -> None:
        _write_section(formatter, "Examples", EXAMPLES.items())
        if isinstance(self, TyperGroup):
            self.format_commands(ctx, formatter)
        records = {
            parameter.opts[0]: record
            for parameter in self.get_params(ctx)
            if (record := parameter.get_help_record(ctx))
        }
        groups = {title: [records.pop(flag) for flag in flags if flag in records] for title, flags in GROUPS.items()}
        groups["Other"] = list(records.values())
        width = max(len(words) for rows in groups.values() for words, _ in rows)
        for title, rows in groups.items():
            _write_section(formatter, title, [(f"{words:<{width}}", text) for words, text in rows])

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        _write_section(formatter, "Exit codes", EXIT_CODES.items())
        formatter.write_paragraph()
        formatter.write_text(LISTS)


class ImportCommand(ImportHelp, TyperCommand):
    """`segsync import`."""


class Commands(ImportHelp, TyperGroup):
    """The commands, with a hint for an offset as the Node script took it, and for a flag without its dashes."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        word = args[0]
        if word.isdecimal():
            ctx.fail(f"There is no command '{word}'. To begin at an offset: --offset {word}")
        if word not in self.commands and len(word) > 2:
            flags = [flag for parameter in self.get_params(ctx) for flag in parameter.opts]
            if meant := [flag for flag in flags if flag.partition(word)[0] == "--"]:  # `retry` for --retry-rejected
                ctx.fail(f"There is no command '{word}'. Did you mean '{min(meant, key=len)}'?")
        return super().resolve_command(ctx, args)


def _write_section(formatter: Any, title: str, rows: Any) -> None:
    with formatter.section(title):
        formatter.write_dl(list(rows))
