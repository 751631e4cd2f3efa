"""The ledger as a file: whose it is, who holds it, and SQLite's errors in words."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EISDIR
from pathlib import Path

import msgspec

from segsync.errors import LedgerError, OutputError

APPLICATION_ID = 0x5E65C
"""SQLite's mark for the program that a file belongs to."""

# SQLite, "Database file format": how a file begins, and where its mark is.
_SQLITE, _APPLICATION_ID_AT, _HEADER_BYTES = b"SQLite format 3\0", 68, 72

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_NO_ACCESS = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY}
_IN_USE = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}

FOREIGN_LOCK_SECONDS = 120.0
"""How long another program, such as a backup, may hold the ledger's file before it stops an import."""


def refuse_folders(path: Path) -> None:
    """Raise `LedgerError` where the ledger, or a file that SQLite or a lock needs beside it, is a folder."""
    if path.is_dir():
        raise LedgerError(_unwritable(path, os.strerror(EISDIR)), code="ledger-unwritable")
    for suffix in ("-wal", "-shm", "-lock"):
        if (name := beside(path, suffix)).is_dir():
            raise LedgerError(_unwritable(path, f"{name} is a folder"), code="ledger-unwritable")


LISTS_LOCK = "-lists-lock"
"""The end of the name of the lock that processes hold while they write lists of profiles."""


def beside(path: Path, suffix: str) -> Path:
    """A file beside the ledger, under its own name: a link to it is the same ledger.

    SQLite puts its files there too ("File locking and concurrency": symbolic links are resolved).
    """
    return Path(f"{_target(path)}{suffix}")


def _target(path: Path) -> Path:
    """Where a link leads, also where there is no file yet; another path as it is."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path  # unlike `resolve`, also for one in a circle


def make(path: Path) -> None:
    """Make an empty file for its owner alone.

    An existing one is not even opened: closing it would end this process's locks on it.
    """
    with suppress(FileExistsError):
        os.close(os.open(_target(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def check(path: Path) -> None:
    """Raise `LedgerError` for a file of another kind: SQLite would put files of its own beside it."""
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    if header and not header.startswith(_SQLITE):
        raise LedgerError(damaged(path), code="ledger-damaged")
    if header and header[_APPLICATION_ID_AT:_HEADER_BYTES] != APPLICATION_ID.to_bytes(4):
        message = f"{path} is not a ledger of segsync. Choose another file: --ledger FILE"
        raise LedgerError(message, code="ledger-foreign")


def sqlite_name(path: Path | None) -> str:
    """What SQLite takes for a path and nothing else, unlike ":memory:" or "file:…"; "" is a temporary file."""
    return str(path.absolute()) if path else ""


def locked(path: Path, *, timeout_seconds: float, suffix: str = "-lock") -> sqlite3.Connection:
    """Hold the ledger for this process: the operating system releases it however the process ends.

    The lock is a file of its own, since readers may look at the ledger while it is held, and other programs may lock
    the ledger itself. `suffix` is the end of its name. Raises `LedgerError` where another segsync holds it.
    """
    lock_path = beside(path, suffix)
    make(lock_path)
    lock = sqlite3.connect(
        sqlite_name(lock_path), isolation_level=None, timeout=timeout_seconds, check_same_thread=False
    )
    try:
        lock.execute("PRAGMA journal_mode=OFF")  # it would be one more file
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error as error:
        lock.close()
        if not is_busy(error):
            raise
        raise LedgerError(
            f"Another segsync uses the ledger {path} now. Wait until it has ended, or choose another: --ledger FILE",
            code="ledger-in-use",
        ) from None
    return lock


def is_in_use(path: Path) -> bool:
    """Whether a run holds this ledger now."""
    if not beside(path, "-lock").exists():
        return False
    try:
        locked(path, timeout_seconds=0).close()
    except (sqlite3.Error, LedgerError):
        return True
    return False


def is_busy(error: sqlite3.Error) -> bool:
    """Whether SQLite waited in vain for a lock."""
    return _kind(error) in _IN_USE


def _kind(error: sqlite3.Error) -> int:
    """The first byte of a code is its kind, the second a refinement."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


def damaged(path: Path | None) -> str:
    """The message for a ledger that cannot be read."""
    return (
        f"The ledger {path} is damaged or not an SQLite file. It was left as it is. Restore it from a backup, or "
        "choose another file (--ledger FILE) and begin at the offset of the last log line (--offset)"
    )


def _unwritable(path: Path | None, reason: object) -> str:
    if path is None:
        return f"The ledger (a temporary file) cannot be written: {reason}. Choose another folder for it: TMPDIR"
    return f"The ledger {path} cannot be written: {reason}. Choose another file: --ledger FILE, or SEGSYNC_LEDGER"


@contextmanager
def errors_in_words(path: Path | None, *, is_opening: bool = False) -> Iterator[None]:
    """Raise `LedgerError` or `OutputError` for the errors of SQLite and of the file system.

    A ledger that cannot be written when it is opened is one to replace, whatever the reason; later it is one to resume.
    """
    try:
        yield
    except sqlite3.Error as error:
        kind = _kind(error)
        if kind in _IN_USE:
            raise OutputError(
                f"Another program, such as a backup, holds the ledger {path}. Run the same again when it has ended",
                code="ledger-locked",
            ) from None
        if kind in _DAMAGED or (isinstance(error, sqlite3.OperationalError) and "decode" in str(error)):
            raise LedgerError(damaged(path), code="ledger-damaged") from None
        if is_opening or kind in _NO_ACCESS:
            raise LedgerError(_unwritable(path, error), code="ledger-unwritable") from None
        message = f"The ledger {path or '(a temporary file)'} cannot be written: {error}"
        raise OutputError(message, code="ledger-unwritable") from None
    except (msgspec.MsgspecError, UnicodeError):  # of what is in its rows
        raise LedgerError(damaged(path), code="ledger-damaged") from None
    except OSError as error:
        raise LedgerError(_unwritable(path, error.strerror), code="ledger-unwritable") from None
