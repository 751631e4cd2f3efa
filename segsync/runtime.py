"""Event loop, signals, standard streams and files: how this process works with the system around it."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from errno import EEXIST
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from segsync.errors import OutputError


class QuietConsole(Console):
    """Standard error as long as it can be written: no import ends because a pipe was closed or a disk is full."""

    def __exit__(self, *error: Any) -> None:
        """Write what was printed, or be quiet from now on."""
        try:
            super().__exit__(*error)
        except OSError:
            self.quiet = True

    def on_broken_pipe(self) -> None:
        """Be quiet from now on."""
        self.quiet = True


@contextmanager
def standard_output() -> Iterator[Console]:
    """What is printed here is on standard output at the end. Raises `OutputError`."""
    terminal, drawn = Console(), BytesIO()
    with TextIOWrapper(drawn, encoding=sys.stdout.encoding, errors="replace") as file:
        yield Console(file=file, width=terminal.width, force_terminal=terminal.is_terminal)
        file.flush()
        to_standard_output(drawn.getvalue())


def to_standard_output(content: bytes) -> None:
    """Write all of it at once. Raises `OutputError` where that is full, or its reader has gone."""
    try:
        sys.stdout.buffer.write(content)
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nor should Python try again at its exit
        if isinstance(error, BrokenPipeError):  # `| head -1`
            message = "Standard output was closed by the program that reads it"
            raise OutputError(message, code="output-closed") from None
        raise OutputError(cannot_write("Standard output", error), code="file-unwritable") from None


def cannot_write(what: object, error: OSError, way_out: str = "") -> str:
    """The words for what cannot be written, why, and the way out where a user has to know one."""
    return ". ".join(filter(None, (f"{what} cannot be written: {why_not(error)}", way_out)))


def why_not(error: OSError) -> str:
    """Why a file or a folder cannot be made."""
    return "A file has this name" if error.errno == EEXIST else f"{error.strerror}"


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """What fails here is the writing of this file. Raises `OutputError` for an `OSError`."""
    try:
        yield
    except OSError as error:
        raise OutputError(cannot_write(path, error), code="file-unwritable") from None


def open_private(path: Path, flags: int) -> int:
    """The descriptor of a file that its owner alone may read; it is made where it is missing. Raises `OSError`."""
    descriptor = os.open(path, os.O_CREAT | flags, 0o600)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        path.chmod(0o600)  # one that was there before may be open to all
    return descriptor


T = TypeVar("T")


@contextmanager
def signals_to(handler: Callable[[int], None]) -> Iterator[None]:
    """Ctrl-C and SIGTERM go to `handler`, and afterwards where they went before: a question can be interrupted."""
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        try:
            loop.add_signal_handler(number, handler, number)
        except NotImplementedError:  # Windows' event loop
            signal.signal(number, lambda got, _frame: loop.call_soon_threadsafe(handler, got))
    try:
        yield
    finally:
        for number, previous in before.items():
            with suppress(NotImplementedError):
                loop.remove_signal_handler(number)
            signal.signal(number, previous)


@contextmanager
def ignoring_signals() -> Iterator[None]:
    """Ctrl-C and SIGTERM do nothing but where `signals_to` or `hearing_signals` takes them."""
    with _signals({signal.SIGINT: signal.SIG_IGN, signal.SIGTERM: signal.SIG_IGN}):
        yield


@contextmanager
def hearing_signals() -> Iterator[None]:
    """Ctrl-C raises `KeyboardInterrupt` and SIGTERM ends the process, as they usually do."""
    with _signals({signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}):
        yield


@contextmanager
def _signals(handlers: Mapping[signal.Signals, Any]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def run_event_loop(main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run`, on uvloop where there is one."""
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    with suppress(ImportError):  # there is no uvloop on Windows
        from uvloop import new_event_loop as loop_factory  # noqa: PLC0415
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(main)
