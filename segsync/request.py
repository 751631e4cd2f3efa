"""What the command line asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from segsync.outputs import Outputs
from segsync.progress import Mode
from segsync.settings import Settings


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line asks for.

    `offset` is None where none was given. `begins_anew` says that an unfinished import is of no interest.
    `command` is how this program was called, `resume_flags` what to repeat in the command that resumes;
    the files that name profiles go into `directory`, those of `outputs` where it says.
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
    begins_anew: bool = False
    outputs: Outputs = field(default_factory=Outputs)
