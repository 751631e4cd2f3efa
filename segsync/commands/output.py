"""What the commands print alike: tables, JSON and errors."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Column, Table
from rich.text import Text, TextType

from segsync.errors import Problem, SegsyncError
from segsync.formatting import printable, profiles
from segsync.models import Outcomes
from segsync.runtime import to_standard_output

LABELS: Final = {
    "profiles": "Profiles",
    "confirmed": "  Customers confirmed",
    "sent": "  Customers sent",
    "without_identifier": "  Without identifier",
    "duplicate": "  Duplicate identifier",
    "rejected": "  Rejected",
    "unknown": "  Result unknown",
    "pending": "  Pending",
}
"""The rows of a table of outcomes, which add up to the first."""

RARE: Final = ("duplicate", "unknown")
"""The outcomes that most imports have none of."""

NOTES: Final = {
    "duplicate": "same identifier as a profile that was sent",
    "unknown": "sent; whether it was written is unknown",
}
"""What the rare outcomes mean."""


def plain_table(title: str, *columns: Column) -> Table:
    """A table without borders, and without a header where no column has one."""
    has_header = any(column.header for column in columns)
    return Table(
        *columns, box=box.SIMPLE, show_header=has_header, title=title, title_justify="left", title_style="bold"
    )


def outcome_table(
    title: str, outcomes: Outcomes, labels: Mapping[str, str], notes: Mapping[str, TextType], *optional: str
) -> Table:
    """The outcomes, each with its note where it is not 0. The `optional` ones are left out where they are 0."""
    table = plain_table(title, Column(), Column(justify="right"), Column(style="dim", overflow="fold"))
    for name, label in labels.items():
        count: int = getattr(outcomes, name)
        if count or name not in (*optional, *RARE):
            table.add_row(label, f"{count:,}", notes.get(name) if count or name == "profiles" else None)
    return table


def add_warnings(table: Table, warnings: Mapping[str, int], warned: int, name: str | None) -> None:
    """A row for the warnings, those in customers by trait, with how many profiles they are about and the list of them.

    `name` is None where there is no list.
    """
    where = f" of this ledger: {name}" if name else ""
    count = sum(warnings.values())
    table.add_row("Warnings", f"{count:,}", Text(f"in {profiles(warned)}{printable(where)}") if count else None)


def print_outcomes(output: Console, table: Table) -> None:
    """Print a table of outcomes. Paths in its last column stay whole: a terminal wraps a line that is too long."""
    unbounded = output.options.update(max_width=sys.maxsize)
    notes = [Measurement.get(output, unbounded, cell) for cell in table.columns[-1].cells]
    beside = Measurement.get(output, unbounded, table).maximum - max(note.maximum for note in notes)
    width = max(output.width, beside + max(note.minimum for note in notes))
    for line in output.render_lines(table, output.options.update(width=width), pad=False):
        text = Text.assemble(*((part.text, part.style or "") for part in line))
        text.rstrip()
        output.print(text, soft_wrap=True)


def error_line(error: SegsyncError) -> Text:
    """An error with its code, on one line."""
    return Text(printable(f"Error: {error.with_code}"), style="bold red")


def how_to_init(problems: Iterable[Problem], command: str) -> str:
    """Lines for `command`, which asks for the credentials, where some are missing; "" where that does not help."""
    is_missing = any(problem.code == "setting-missing" for problem in problems)
    return f"\nTo enter the credentials and write .env, run:\n  {command}" if command and is_missing else ""


def print_json(value: msgspec.Struct) -> None:
    """Print it for programs. Raises `OutputError`."""
    to_standard_output(msgspec.json.format(msgspec.json.encode(value)) + b"\n")
