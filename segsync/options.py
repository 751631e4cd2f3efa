"""What the command line asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:  # the flags are made of this module: `--help` should not wait for the settings
    from segsync.settings import Settings

LogFormat = Literal["text", "json"]

Mode = Literal["live", "lines", "quiet"]
"""A live display, a log line every few seconds, or only problems."""

METRICS_HOST = "127.0.0.1"

STANDARD_OUTPUT = "-"
"""The name that stands for standard output."""


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """The files that are wanted: the page `report`, with `report_ids` segment ids per group, and `summary_json`."""

    report: Path | None = None
    report_ids: int = 0
    summary_json: Path | None = None

    @property
    def are_wanted(self) -> bool:
        return bool(self.report or self.summary_json)

    @property
    def use_standard_output(self) -> bool:
        """Whether the summary for programs goes to standard output, so that nothing else may."""
        return str(self.summary_json) == STANDARD_OUTPUT


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What the command line asks for.

    `offset` is None where none was given. An import from a sandbox (`is_sandbox`) ignores an unfinished one, and cannot
    be resumed. `command` is how this program was called, `resume_flags` what to repeat in the command that resumes.
    The files that list profiles go into `directory`. A `dry_run` uses none of them and no ledger, and sends nothing:
    customers go into the file `output`, where one is given. `profiles` is the expected total.
    """

    settings: Settings
    ledger: Path
    offset: str | None
    limit: int | None
    mode: Mode
    verbose: bool
    may_ask: bool
    command: Sequence[str]
    resume_flags: Sequence[str] = ()
    directory: Path = Path()
    resume: bool = False
    retry_rejected: bool = False
    confirm: bool = True
    is_sandbox: bool = False
    dry_run: bool = False
    output: Path | None = None
    profiles: int | None = None
    log_format: LogFormat = "text"
    log_file: Path | None = None
    stderr_is_json: bool = False
    metrics_port: int | None = None
    metrics_host: str = METRICS_HOST
    outputs: ReportFiles = field(default_factory=ReportFiles)
