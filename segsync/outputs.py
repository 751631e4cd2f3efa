"""Where results go: standard output, and what is left for others, the page for people and the summary for programs."""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO, TextIOWrapper
from pathlib import Path

from rich.console import Console

from segsync.errors import OutputError, SettingsError

STANDARD_OUTPUT = "-"
"""As the name of the file with the summary."""

_NO_NEW_FILE = {errno.EBUSY, errno.EACCES, errno.EPERM, errno.EROFS}


def how_to_install(extra: str) -> str:
    """The command that adds an extra to the segsync that runs: with another environment's pip it would be lost."""
    return shlex.join([sys.executable, "-m", "pip", "install", f"segsync[{extra}]"])


@dataclass(frozen=True, slots=True)
class Outputs:
    """Which files are wanted: the page `report`, with `report_ids` segment ids of each group, and `summary_json`."""

    report: Path | None = None
    report_ids: int = 0
    summary_json: Path | None = None

    @property
    def are_wanted(self) -> bool:
        return bool(self.report or self.summary_json)

    @property
    def use_standard_output(self) -> bool:
        """Whether the summary for programs goes there, so nothing else may."""
        return str(self.summary_json) == STANDARD_OUTPUT

    def check(self) -> None:
        """Know before an import, and not after a night of it, what cannot be written. Raises `SettingsError`."""
        problems = []
        if self.report:
            try:
                import segsync.page  # noqa: F401, PLC0415
            except ImportError as error:
                how = how_to_install("report")
                problems.append(f"--report needs {error.name}, which is not installed. To install it: {how}")
        for flag, path in (("--report", self.report), ("--summary-json", self.summary_json)):
            if path and not (path is self.summary_json and self.use_standard_output):
                try:
                    _try(path)
                except OSError as error:
                    problems.append(f"{flag} {path} cannot be written: {error.strerror}")
        if self.report_ids and not self.report:
            problems.append("--report-ids says how many profiles a page may name: give --report FILE too")
        if self.report and self.report == self.summary_json:
            problems.append(f"--report and --summary-json name the same file: {self.report}")
        if problems:
            raise SettingsError(problems)


def write(path: Path, content: bytes) -> None:
    """Have the whole content there, or what was there before. Raises `OutputError`."""
    try:
        if str(path) == STANDARD_OUTPUT:
            to_standard_output(content)
        elif _is_file(path):
            _replace(path, content)
        else:  # /dev/stderr, a named pipe
            path.write_bytes(content)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from None


@contextmanager
def standard_output() -> Iterator[Console]:
    """What is printed here is on standard output in the end. Raises `OutputError`."""
    terminal, drawn = Console(), BytesIO()
    with TextIOWrapper(drawn, encoding=sys.stdout.encoding, errors="replace") as file:
        yield Console(file=file, width=terminal.width, force_terminal=terminal.is_terminal)
        file.flush()
        to_standard_output(drawn.getvalue())


def to_standard_output(content: bytes) -> None:
    """Write all of it. Raises `OutputError` where that is full, or its reader has gone."""
    try:
        sys.stdout.buffer.write(content)
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nor should Python try again at its exit
        raise OutputError(f"Standard output cannot be written: {error.strerror}") from None


def _replace(path: Path, content: bytes) -> None:
    path = path.resolve()  # where a link leads, the content goes
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        if not _may_be_written_in_place(path, error):
            raise
        path.write_bytes(content)
        return
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, name)
        os.replace(name, path)  # noqa: PTH105 - both are names
    except OSError as error:
        if not _may_be_written_in_place(path, error):
            raise
        path.write_bytes(content)
    finally:
        Path(name).unlink(missing_ok=True)


def _try(path: Path) -> None:
    """Raises `OSError` where `write` would."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not _is_file(path):
        return
    path = path.resolve()
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        if not _may_be_written_in_place(path, error):
            raise
    else:
        os.close(descriptor)
        Path(name).unlink()


def _may_be_written_in_place(path: Path, error: OSError) -> bool:
    """A file that a container has mounted, in a folder that takes no new one or whose files stay what they are."""
    return error.errno in _NO_NEW_FILE and os.access(path, os.W_OK)


def _is_file(path: Path) -> bool:
    return path.is_file() or not path.exists()
