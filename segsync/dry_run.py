"""A dry run: the whole import, into a file instead of Voucherify, or nowhere.

Everything else is as in an import, but no ledger remembers it, and the files that name profiles are left alone:
those of a real import stay true.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.text import Text

from segsync.output import CSV_SUFFIX, NDJSON_SUFFIXES, Output, kind_of
from segsync.report import ImportReport
from segsync.voucherify import MAX_BODY_BYTES, ActionOutcome, RefusedCustomer


class DryRunSink:
    """A sink that sends nothing: customers go into `output`, where there is one. Nobody's outcome is known."""

    max_body_bytes = MAX_BODY_BYTES

    def __init__(self, output: Output | None = None) -> None:
        self._output = output
        self._upserts = 0

    async def upsert(self, body: bytes) -> str:
        """Take what would be sent; a name for the action that there is none of. Raises `OutputError`."""
        if self._output:
            self._output.add(body)
        self._upserts += 1
        return f"dry-run-{self._upserts}"

    async def action_statuses(self) -> dict[str, str]:
        """None: nothing was queued."""
        return {}

    async def action_outcome(self, _action_id: str) -> ActionOutcome | None:
        """None: nothing was queued."""
        return None

    async def reported(self, _url: str) -> list[RefusedCustomer]:
        """Nobody: nothing was queued."""
        return []


def problem_with(path: Path) -> str | None:
    """Why no dry run can go into this file, where that is so."""
    if not kind_of(path):
        return f"--output {path} must end in {', '.join(NDJSON_SUFFIXES)} or {CSV_SUFFIX}"
    return f"--output {path} exists already: remove it, or choose another name" if path.exists() else None


@contextmanager
def output_at(path: Path | None) -> Iterator[Output | None]:
    """The file at `path`, finished in the end.

    Raises `SettingsError` where it exists or cannot be made, in the end `OutputError` where it cannot be written.
    """
    kind = kind_of(path) if path else None
    if path is None or kind is None:
        yield None
        return
    with kind(path) as output:
        yield output


def what_it_means(report: ImportReport, path: Path | None, output: Output | None) -> list[Text]:
    """What to know of a dry run when it has ended."""
    lines = [Text(f"Error: {report.error}", style="bold red")] if report.error else []
    if output and output.customers:
        lines.append(
            Text(
                f"{path} holds what would be sent: {output.customers:,} customers. It is personal data, readable by "
                "you alone: delete it when you have looked at it."
            )
        )
        lines += [Text(note, style="yellow") for note in output.notes]
    if report.resume_offset is not None and report.outcome != "done":
        lines.append(Text(f"It ended early, at offset {report.resume_offset}, and cannot be resumed: run it again."))
    lines.append(Text("Nothing was sent to Voucherify, and no ledger or list of profiles was changed."))
    return lines
