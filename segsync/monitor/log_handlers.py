"""Where the lines of the log go, and how they look: text for people, JSON for log collectors."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from io import TextIOBase
from pathlib import Path
from typing import IO, Any, Literal, Protocol

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.text import Text

from segsync.errors import SettingsError
from segsync.formatting import printable
from segsync.options import LogFormat
from segsync.runtime import QuietConsole

Level = Literal["debug", "info", "warning", "error"]

IN_LOGS = frozenset({"run_started", "run_ended"})
"""At a terminal other words and the summary say the same."""


class Line(Struct, frozen=True):
    """One line of the log: what happened, in words (`message`) and in `fields` for machines.

    Times in the message are UTC. A terminal shows `at_terminal` instead, where that is another text (with the user's
    own time, say); nothing where it is empty.
    """

    event: str
    message: str
    fields: Mapping[str, object] = {}
    level: Level = "info"
    at_terminal: str | None = None


class Writer(Protocol):
    """Takes lines. It never fails: a log that cannot be written is no reason to end an import."""

    def write(self, line: Line, run: str | None) -> None:
        """Write a line of this run."""


class ConsoleWriter:
    """Text on a console, with the time; lines that tell how far it is only where `tells_progress`."""

    def __init__(self, console: Console, *, tells_progress: bool) -> None:
        self._console = console
        self._tells_progress = tells_progress

    def write(self, line: Line, run: str | None) -> None:
        """Write a line; at a terminal there is but one run."""
        text = line.message if line.at_terminal is None else line.at_terminal
        if text and line.event not in IN_LOGS and (self._tells_progress or line.event != "progress"):
            self._console.print(Text(f"{datetime.now():%H:%M:%S} {printable(text)}"), soft_wrap=True)


class JsonWriter:
    """JSON on standard error, or another stream. Lines of no run belong to the one that was told of before."""

    def __init__(self, stream: IO[str], *, tells_progress: bool) -> None:
        self._stream = stream
        self._tells_progress = tells_progress
        self._is_broken = False
        self._run: str | None = None

    def write(self, line: Line, run: str | None) -> None:
        """Write a line, unless nobody reads any more: there is no better place to say that."""
        self._run = run or self._run
        if self._is_broken or (line.event == "progress" and not self._tells_progress):
            return
        try:
            self._stream.write(f"{as_json(line, self._run)}\n")
            self._stream.flush()
        except OSError:
            self._is_broken = True


class FileWriter:
    """Adds to a file that its owner alone may read, in either format; tells `on_failure` once if it no longer can.

    A file that another program renames is written on; one that is copied and emptied is begun anew. Raises
    `SettingsError` where it cannot be opened.
    """

    def __init__(self, path: Path, log_format: LogFormat, on_failure: Callable[[str], None]) -> None:
        self._path = path
        self._format = log_format
        self._on_failure = on_failure
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                path.chmod(0o600)  # it may have been there before, open to all
                _end_last_line(descriptor)
        except OSError as error:
            raise SettingsError([f"--log-file {path} cannot be written: {error.strerror}"]) from None
        self._descriptor: int | None = descriptor

    def write(self, line: Line, run: str | None) -> None:
        """Write a line at once: it is there whatever happens next."""
        if self._descriptor is None:
            return
        text = as_json(line, run) if self._format == "json" else as_text(line)
        try:
            _write_whole(self._descriptor, f"{text}\n".encode())
        except OSError as error:
            self.close()
            self._on_failure(f"The log {self._path} cannot be written: {error.strerror}. The import goes on without it")

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def console_for(writer: Writer | None = None) -> Console:
    """What takes words beside the events: standard error, or as lines of JSON where there is a `writer` of these."""
    if writer is None:
        return QuietConsole(stderr=True)
    return Console(file=_Sayings(writer), width=100_000, color_system=None, force_terminal=False)  # type: ignore[arg-type]


class _Sayings(TextIOBase):
    """A stream that makes a line of the log of every line that is written to it."""

    def __init__(self, writer: Writer) -> None:
        super().__init__()
        self._writer = writer
        self._begun = ""

    def write(self, text: str) -> int:
        *whole, self._begun = f"{self._begun}{text}".split("\n")
        for line in whole:
            if line.strip():
                self._writer.write(said(line, "error" if line.startswith("Error") else "info"), None)
        return len(text)


def said(text: str, level: Level = "info") -> Line:
    """Words that belong to no event."""
    return Line("said", " ".join(text.split()), level=level)


def as_json(line: Line, run: str | None) -> str:
    """The line as a JSON object: time (UTC), level, event, run, message, and the fields of its own."""
    record: dict[str, object] = {
        "time": _utc(),
        "level": line.level,
        "event": line.event,
        "run": run,
        "message": printable(line.message),
    }
    record |= {name: _plain(value) for name, value in line.fields.items()}
    return msgspec.json.encode({name: value for name, value in record.items() if value is not None}).decode()


def as_text(line: Line) -> str:
    """The line as text, with the date: nights are long."""
    return f"{_utc()} {line.level.upper():<7} {printable(line.message)}"


def _plain(value: object) -> Any:
    if isinstance(value, str):
        return printable(value)
    return round(value, 3) if isinstance(value, float) else value


def _utc() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _write_whole(descriptor: int, line: bytes) -> None:
    while line:
        line = line[os.write(descriptor, line) :]


def _end_last_line(descriptor: int) -> None:
    """What a crash cut off must not run into the first line of this process."""
    size = os.fstat(descriptor).st_size
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        _write_whole(descriptor, b"\n")
