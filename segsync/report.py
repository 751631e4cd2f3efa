"""What a run leaves: the `ImportReport`, and the files that name profiles."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from io import StringIO
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from msgspec import Struct

from segsync.errors import OutputError, SegsyncError
from segsync.models import (
    FIRST_OFFSET,
    Event,
    Fates,
    PageSettled,
    ProfileRejected,
    ProfileWithoutIdentifier,
    TraitLeftOut,
)
from segsync.tally import Tally

WITHOUT_IDENTIFIER = "profiles-without-identifier.txt"
REJECTED = "rejected-profiles.csv"
WARNINGS = "profiles-with-warnings.csv"

Outcome = Literal["done", "interrupted", "stopped"]


class ServiceCalls(Struct, frozen=True):
    """Calls to one service: `calls` is all of them, `retries` those that repeated a failed one."""

    calls: int = 0
    retries: int = 0
    rate_limited: int = 0


class ImportReport(Struct, frozen=True):
    """What an import did.

    `outcome` is "done", "interrupted" (it was asked to stop) or "stopped" (by `error`). `fates` add up to the
    profiles listed. `resume_offset` is where the next import goes on, None where nothing is left; what lies
    before it is counted in `settled`. `warnings` counts by trait what was left out of customers that were sent.
    """

    outcome: Outcome
    error: SegsyncError | None
    fates: Fates
    settled: Fates
    offset: str
    resume_offset: str | None
    seconds: float
    calls: Mapping[str, ServiceCalls]
    warnings: Mapping[str, int]

    @property
    def seconds_per_100_profiles(self) -> float | None:
        """Wall-clock seconds for 100 profiles, None where there were none."""
        done = self.fates.profiles - self.fates.to_do
        return 100 * self.seconds / done if done else None

    @property
    def seconds_per_100_customers(self) -> float | None:
        """Wall-clock seconds for 100 customers sent, None where there were none."""
        return 100 * self.seconds / self.fates.sent if self.fates.sent else None

    def then(self, later: ImportReport) -> ImportReport:
        """This import and the one that resumed it, as one: what is beyond the resume point was done again."""
        services = {*self.calls, *later.calls}
        return ImportReport(
            outcome=later.outcome,
            error=later.error,
            fates=self.settled + later.fates,
            settled=self.settled + later.settled,
            offset=self.offset,
            resume_offset=later.resume_offset,
            seconds=self.seconds + later.seconds,
            calls={name: _added(self.calls.get(name), later.calls.get(name)) for name in sorted(services)},
            warnings={
                trait: self.warnings.get(trait, 0) + later.warnings.get(trait, 0)
                for trait in sorted({*self.warnings, *later.warnings})
            },
        )


def _added(first: ServiceCalls | None, second: ServiceCalls | None) -> ServiceCalls:
    first, second = first or ServiceCalls(), second or ServiceCalls()
    return ServiceCalls(
        first.calls + second.calls, first.retries + second.retries, first.rate_limited + second.rate_limited
    )


def make_report(tally: Tally, *, outcome: Outcome, error: SegsyncError | None, seconds: float) -> ImportReport:
    """The report of an import whose events `tally` counted."""
    return ImportReport(
        outcome=outcome,
        error=error,
        fates=tally.fates,
        settled=tally.settled,
        offset=tally.offset,
        resume_offset=tally.resume_offset,
        seconds=seconds,
        calls={
            name: ServiceCalls(service.calls, service.retries, service.rate_limited)
            for name, service in sorted(tally.services.items())
        },
        warnings=dict(tally.left_out.most_common()),
    )


class RunFiles:
    """The three files that name profiles, written while the import runs, in `directory`.

    An import from the first page begins them anew, one that resumes adds to them. They are readable by
    their owner alone, hold ids but no traits, and one with nothing to say is not left behind. A page's
    lines are on disk before the page counts as settled. Raises `OutputError`.
    """

    def __init__(self, directory: Path, offset: str) -> None:
        with ExitStack() as stack:

            def opened(name: str, *header: str, key: int = 1) -> _Lines:
                lines = _Lines(directory / name, anew=offset == FIRST_OFFSET, header=header, key=key)
                stack.callback(lines.close)
                return lines

            self._without_identifier = opened(WITHOUT_IDENTIFIER)
            self._rejected = opened(REJECTED, "segment_id", "source_id", "stage", "reason", "request_id")
            self._warnings = opened(WARNINGS, "segment_id", "trait", "problem", key=2)
            self._all = (self._without_identifier, self._rejected, self._warnings)
            self._close = stack.pop_all().close

    def write(self, event: Event) -> None:
        """Take an event of the import."""
        match event:
            case ProfileWithoutIdentifier(segment_id):
                self._without_identifier.add(segment_id)
            case ProfileRejected(rejected):
                self._rejected.add(
                    rejected.segment_id,
                    rejected.source_id or "",
                    rejected.stage,
                    rejected.reason,
                    rejected.request_id or "",
                )
            case TraitLeftOut(segment_id, trait, problem):
                self._warnings.add(segment_id, trait, problem)
            case PageSettled():
                for lines in self._all:
                    lines.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close()


class _Lines:
    """One file: a value a line, or CSV where there is a `header`, whose first `key` columns tell rows apart."""

    REMEMBERED_BYTES = 1 << 20
    """A resume repeats only the last pages of the import before it, so only the end of a file can come again."""

    def __init__(self, path: Path, *, anew: bool, header: tuple[str, ...] = (), key: int = 1) -> None:
        self._path = path
        self._header = header
        self._key = key
        self._has_failed = False
        try:
            self._seen = set() if anew else self._keys_at_the_end()
            flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if anew else os.O_APPEND)
            self._file = os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8", newline="")
            path.chmod(0o600)  # one that was there before may be open to all
            self._is_empty = path.stat().st_size == 0
        except OSError as error:
            raise self._unwritable(error) from None

    def add(self, *row: str) -> None:
        row = tuple(_one_line(value) for value in row)
        if row[: self._key] in self._seen:
            return
        try:
            if self._is_empty and self._header:
                self._file.write(_csv_line(self._header))
            self._file.write(_csv_line(row) if self._header else f"{row[0]}\n")
        except OSError as error:
            raise self._unwritable(error) from None
        self._is_empty = False

    def flush(self) -> None:
        try:
            self._file.flush()
        except OSError as error:
            raise self._unwritable(error) from None

    def close(self) -> None:
        """Raises `OutputError`, but not again what `add` or `flush` raised."""
        if self._has_failed:
            with suppress(OSError):
                self._file.close()
            return
        try:
            self._file.close()
            if self._is_empty:
                self._path.unlink(missing_ok=True)
        except OSError as error:
            raise self._unwritable(error) from None

    def _keys_at_the_end(self) -> set[tuple[str, ...]]:
        """Those of the last lines. What a full disk cut off is removed: its page was not settled, it comes again."""
        if not self._path.exists():
            return set()
        with self._path.open("r+b") as file:
            start = max(0, file.seek(0, os.SEEK_END) - self.REMEMBERED_BYTES)
            file.seek(start)
            end = file.read()
            whole = end[: end.rfind(b"\n") + 1]
            file.truncate(start + len(whole))
        lines = whole.decode("utf-8", errors="replace").splitlines()
        # Line by line: no value has a line break, and a quote that is not closed must not swallow what follows.
        rows = [next(csv.reader([line]), []) if self._header else [line] for line in lines]
        return {tuple(row[: self._key]) for row in rows}

    def _unwritable(self, error: OSError) -> OutputError:
        self._has_failed = True
        return OutputError(f"{self._path} cannot be written: {error.strerror}")


def _csv_line(row: Sequence[str]) -> str:
    line = StringIO()
    csv.writer(line, lineterminator="\n").writerow(row)
    return line.getvalue()


def _one_line(value: str) -> str:
    """The value without what would break a line, or make a spreadsheet run it as a formula."""
    shown = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in value)
    return f"'{shown}" if shown.startswith(("=", "+", "-", "@")) else shown
