"""Leaves behind what was asked for when a run has ended: the page and the summary for programs."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from msgspec import structs
from rich.console import Console
from rich.text import Text

from segsync import summary_json
from segsync.conclusion import next_command
from segsync.errors import OutputError, defect
from segsync.files import WARNINGS, WITHOUT_IDENTIFIER
from segsync.formatting import printable
from segsync.options import Request
from segsync.outputs import write
from segsync.report import ImportReport


def leave(request: Request, report: ImportReport, exit_code: int, console: Console) -> None:
    """Write what was asked for. What cannot be written is said: how the import ended is another matter."""
    wanted = request.outputs
    if wanted.summary_json:
        _write(wanted.summary_json, lambda: _summary(request, report, exit_code), console)
    if wanted.report and _write(wanted.report, lambda: _page(request, report), console) and request.mode != "quiet":
        console.print(Text(printable(f"Report: {wanted.report}")), soft_wrap=True)


def _write(path: Path, content: Callable[[], bytes], console: Console) -> bool:
    try:
        write(path, content())
        return True
    except OutputError as error:
        problem = str(error)
    except Exception as error:  # noqa: BLE001 - whatever it is, the import has ended as it has
        problem = f"{path} cannot be made: {defect(error)}"
    console.print(Text(printable(f"Error: {problem}"), style="bold red"), soft_wrap=True)
    return False


def _summary(request: Request, report: ImportReport, exit_code: int) -> bytes:
    return summary_json.encode(report, exit_code=exit_code, next_command=next_command(request, report))


def _page(request: Request, report: ImportReport) -> bytes:
    from segsync.page import Named, render  # noqa: PLC0415 - an extra, and heavy

    most = request.outputs.report_ids
    warnings, warned = _warned(request.directory / WARNINGS, most)
    named = Named(
        without_identifier=[*islice(_lines(request.directory / WITHOUT_IDENTIFIER), most)],
        warnings=warned,
    )
    page = render(
        structs.replace(report, warnings=warnings),
        request.settings,
        next_command=next_command(request, report),
        named=named if most else None,
    )
    return page.encode("utf-8", "replace")


def _warned(path: Path, most: int) -> tuple[dict[str, int], dict[str, list[str]]]:
    """What the list of warnings says of each trait: how often, and of which profiles first.

    The list is the whole import's, as the page is; a report's warnings are those of one process.
    """
    counts = Counter[str]()
    named: defaultdict[str, list[str]] = defaultdict(list)
    for row in islice(csv.reader(_lines(path)), 1, None):
        if len(row) > 1:
            counts[row[1]] += 1
            if len(named[row[1]]) < most:
                named[row[1]].append(row[0])
    return counts, named


def _lines(path: Path) -> Iterator[str]:
    if path.exists():
        with path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                yield line.rstrip("\n")
