"""Leaves behind what was asked for when a run has ended: the page and the summary for programs."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from rich.console import Console
from rich.text import Text

from segsync import summary_json
from segsync.conclusion import next_command
from segsync.errors import OutputError
from segsync.files import WARNINGS, WITHOUT_IDENTIFIER
from segsync.outputs import write
from segsync.printable import printable
from segsync.report import ImportReport
from segsync.request import Request


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
    except OutputError as error:
        console.print(Text(printable(f"Error: {error}"), style="bold red"), soft_wrap=True)
        return False
    return True


def _summary(request: Request, report: ImportReport, exit_code: int) -> bytes:
    return summary_json.encode(report, exit_code=exit_code, next_command=next_command(request, report))


def _page(request: Request, report: ImportReport) -> bytes:
    from segsync.page import Named, render  # noqa: PLC0415 - an extra, and heavy

    most = request.outputs.report_ids
    named = Named(
        without_identifier=[*islice(_lines(request.directory / WITHOUT_IDENTIFIER), most)],
        warnings=_warned(request.directory / WARNINGS, most),
    )
    page = render(report, request.settings, next_command=next_command(request, report), named=named if most else None)
    return page.encode("utf-8", "replace")


def _warned(path: Path, most: int) -> dict[str, list[str]]:
    """The first profiles of each trait that the list of warnings names."""
    named: defaultdict[str, list[str]] = defaultdict(list)
    for row in islice(csv.reader(_lines(path)), 1, None) if most else ():
        if len(row) > 1 and len(named[row[1]]) < most:
            named[row[1]].append(row[0])
    return named


def _lines(path: Path) -> Iterator[str]:
    if path.exists():
        with path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                yield line.rstrip("\n")
