"""What the command line asks for."""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from segsync.formatting import printable

if TYPE_CHECKING:  # the flags are made of this module: `--help` should not wait for the settings
    from segsync.settings import Settings

LogFormat = Literal["text", "json"]

Mode = Literal["live", "lines", "quiet"]
"""A live display, a log line every few seconds, or only problems."""

METRICS_HOST = "127.0.0.1"

STANDARD_INPUT = STANDARD_OUTPUT = "-"
"""The name that stands for standard input, or output."""


PATH_FLAGS: Final = frozenset({"--directory", "--env-file", "--log-file", "--output", "--report", "--summary-json"})
"""Flags whose value is a path. That of the ledger is known where its flags are read."""


def beside_ledger(path: str, ledger: Path) -> str:
    """A path as the ledger stores it: a relative one begins at the ledger's folder."""
    is_as_it_is = path == STANDARD_OUTPUT or Path(path).is_absolute() or _is_here(ledger)
    return path if is_as_it_is else os.path.relpath(path, ledger.parent)


def from_here(path: str, ledger: Path) -> str:
    """A path that the ledger stores, as it is named in this working directory."""
    is_as_it_is = path == STANDARD_OUTPUT or Path(path).is_absolute() or _is_here(ledger)
    return path if is_as_it_is else os.path.relpath(ledger.parent / path)


def _is_here(ledger: Path) -> bool:
    return os.path.realpath(ledger.parent) == os.path.realpath(".")


def ids_in_words(file: str) -> str:
    """How a message names the file of `--ids`."""
    return "standard input" if file == STANDARD_INPUT else file


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """The files that are wanted: the page `report`, with `report_ids` segment ids per group, and `summary_json`."""

    report: Path | None = None
    report_ids: int = 0
    summary_json: Path | None = None

    @property
    def are_wanted(self) -> bool:
        return bool(self.report or self.summary_json)


@dataclass(frozen=True, slots=True)
class Invocation:
    """How segsync was called, from which every command that it prints is made.

    `program` has the words before the arguments: `.venv/bin/python -m segsync`. `flags` has the words of each flag that
    was given, by its name. Those in `of_one_run` are for the run that was called alone. A command has at most one of
    each group in `exclusive`, and none that is `secret`.
    """

    program: Sequence[str]
    flags: Mapping[str, Sequence[str]] = field(default_factory=dict)
    of_one_run: Collection[str] = ()
    exclusive: Sequence[Collection[str]] = ()
    secret: Collection[str] = ()

    def command(self, *step: Sequence[str], without: Collection[str] = ()) -> str:
        """The command for a step, to paste into a shell: its flags, then all given ones that it takes.

        Each flag of the `step` is its name and, where it has one, its value. `without` names given flags to leave out.
        """
        steps = {name for name, *_ in step}
        excluded = {flag for group in self.exclusive if steps & {*group} for flag in group}
        left_out = steps | excluded | {*self.of_one_run, *without}
        repeated = [words for flag, words in self.flags.items() if flag not in left_out]
        return self._joined([*step, *repeated])

    def other(self, name: str, *flags: str) -> str:
        """Another command of segsync, with those of the given flags that it has too."""
        return self._joined([[name], *(self.flags[flag] for flag in flags if flag in self.flags)])

    def knowing(self, flags: Iterable[Sequence[str]]) -> Invocation:
        """The same with flags of an earlier process, where this one was not given its own, or one that excludes it."""
        kept = self.flags.keys() - {*self.of_one_run}
        excluded = {flag for group in self.exclusive if kept & {*group} for flag in group}
        return replace(self, flags={words[0]: words for words in flags if words[0] not in excluded} | dict(self.flags))

    def again(self) -> str:
        """The command that does the same once more. A secret is left out."""
        return self._joined(words for flag, words in self.flags.items() if flag not in self.secret)

    def _joined(self, flags: Iterable[Sequence[str]]) -> str:
        return " ".join(map(_quoted, [*self.program, *chain.from_iterable(flags)]))


def _quoted(word: str) -> str:
    """A word as a shell takes it, in one line: with its control characters as bash, zsh and ksh write them."""
    if word.isprintable():
        return shlex.quote(word)
    return "$'{}'".format(printable(word.replace("\\", "\\\\").replace("'", "\\'")))


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What the command line asks for.

    `offset` is None where none was given. `ids` is a file of segment ids: these profiles alone are imported. An import
    from a sandbox (`is_sandbox`) ignores an unfinished one, and cannot be resumed. `command` is how this program was
    called. The files that list profiles go into `directory`, beside the ledger where it is None; with `show_values` the
    list of rejected ones has the services' own words. A `dry_run` changes no ledger, writes no list, and sends nothing:
    customers go into the file `output`, where one is given, or to standard output. `profiles` is the expected total.
    """

    settings: Settings
    ledger: Path
    offset: str | None
    limit: int | None
    mode: Mode
    verbose: bool
    may_ask: bool
    command: Invocation
    directory: Path | None = None
    resume: bool = False
    retry_rejected: bool = False
    ids: Path | None = None
    confirm: bool = True
    show_values: bool = False
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
    has_notify_flag: bool = False

    @property
    def lists_directory(self) -> Path:
        """The folder of the lists of profiles."""
        return self.ledger.parent if self.directory is None else self.directory

    @property
    def use_standard_output(self) -> bool:
        """Whether customers or the summary for programs go to standard output, so that nothing else may."""
        return STANDARD_OUTPUT in (str(self.output), str(self.outputs.summary_json))

    @property
    def notify_url(self) -> str:
        """Where the summary is posted, "" for nowhere. A rehearsal posts it only if `--notify` asks for that."""
        is_rehearsal = self.dry_run or self.is_sandbox
        return "" if is_rehearsal and not self.has_notify_flag else self.settings.notify_url
