"""What the command line adds to the log: text for people, JSON for log collectors, on standard error and in a file."""

from __future__ import annotations

import logging
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Any, Final, TextIO

import msgspec
from rich.console import Console
from rich.text import Text

from segsync.errors import SettingsError
from segsync.formatting import printable
from segsync.monitor.log import LOGGER
from segsync.options import LogFormat
from segsync.runtime import cannot_write

NO_FIELDS: Final = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "at_terminal"})
"""What a record has beside the fields of its event."""


class TextFormatter(logging.Formatter):
    """A line of text with the date and the time in UTC: nights are long."""

    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s")
        self.converter = time.gmtime

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


class JsonFormatter(TextFormatter):
    """A JSON object: time (UTC), level, event, run, message, and the event's fields.

    A record that names no run belongs to the run of the record before it.
    """

    _run: str | None = None

    def format(self, record: logging.LogRecord) -> str:
        extra = {name: _plain(value) for name, value in vars(record).items() if name not in NO_FIELDS}
        self._run = extra.pop("run", None) or self._run
        fields = {
            "time": self.formatTime(record),
            "level": record.levelname.lower(),
            "event": extra.pop("event", None),
            "run": self._run,
            "message": printable(record.getMessage()),
            **extra,
        }
        return msgspec.json.encode({name: value for name, value in fields.items() if value is not None}).decode()


def _plain(value: object) -> Any:
    if isinstance(value, str):
        return printable(value)
    return round(value, 3) if isinstance(value, float) else value


class ConsoleHandler(logging.Handler):
    """Text on a console, with the local time. A record may have other words `at_terminal`, or none."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        text = getattr(record, "at_terminal", record.getMessage())
        if text:
            self._console.print(Text(f"{datetime.now():%H:%M:%S} {printable(text)}"), soft_wrap=True)


class JsonHandler(logging.StreamHandler[TextIO]):
    """JSON on standard error, or another stream, for as long as somebody reads it."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self.setFormatter(JsonFormatter())

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        """Write nothing more to a stream that is closed or full: there is no better place to say that."""
        if isinstance(sys.exc_info()[1], OSError):
            self.setLevel(logging.CRITICAL + 1)
        else:
            super().handleError(record)


class LogFile(logging.Handler):
    """Adds to a file that its owner alone may read, in either format; calls `on_failure` once if it no longer can.

    A file that another program renames is written on; one that is copied and emptied is started again. Raises
    `SettingsError` where it cannot be opened.
    """

    def __init__(self, path: Path, log_format: LogFormat, on_failure: Callable[[str], None]) -> None:
        super().__init__()
        self.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
        self._path = path
        self._on_failure = on_failure
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                path.chmod(0o600)  # it may have been there before, open to all
                size = os.fstat(descriptor).st_size
                if size and os.pread(descriptor, 1, size - 1) != b"\n":
                    os.write(descriptor, b"\n")  # what a crash cut off must not run into the first line of this process
        except OSError as error:
            problem = cannot_write(f"--log-file {path}", error, "Choose another file")
            raise SettingsError([problem], code="file-unwritable") from None
        self._descriptor: int | None = descriptor

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line at once: it is there whatever happens next."""
        if self._descriptor is None:
            return
        line = f"{self.format(record)}\n".encode()
        try:
            while line:
                line = line[os.write(self._descriptor, line) :]
        except OSError as error:
            self.close()
            self._on_failure(f"The log {self._path} cannot be written: {error.strerror}. The import goes on without it")

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        super().close()


@contextmanager
def logging_to(handlers: Sequence[logging.Handler], level: int) -> Iterator[None]:
    """While this is open, the log goes from this level on to these handlers alone.

    The root's handlers would print everything a second time.
    """
    level_before, propagated_before = LOGGER.level, LOGGER.propagate
    LOGGER.setLevel(level)
    LOGGER.propagate = False
    for handler in handlers:
        LOGGER.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            LOGGER.removeHandler(handler)
            handler.close()
        LOGGER.setLevel(level_before)
        LOGGER.propagate = propagated_before


def console_for(handler: JsonHandler) -> Console:
    """A console each line of which becomes a record for this handler."""
    return Console(file=_Messages(handler), width=100_000, color_system=None, force_terminal=False)


class _Messages(StringIO):
    def __init__(self, handler: logging.Handler) -> None:
        super().__init__()
        self._handler = handler
        self._begun = ""

    def write(self, text: str) -> int:
        *whole, self._begun = f"{self._begun}{text}".split("\n")
        for line in whole:
            if line.strip():
                self._handler.handle(_message(line, "ERROR" if line.startswith("Error") else "INFO"))
        return len(text)


def _message(text: str, level: str, **fields: object) -> logging.LogRecord:
    """Words that belong to no event, as a record."""
    return logging.makeLogRecord({"msg": " ".join(text.split()), "levelname": level, "event": "message", **fields})


def json_message(text: str, level: str, code: str | None = None) -> str:
    """What a user reads before there is a log, as a line of JSON, with the code of the error if it is one."""
    return JsonFormatter().format(_message(text, level, **({"code": code} if code else {})))
