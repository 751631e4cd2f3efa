"""The ledger: one SQLite file that remembers what an import has done, so that nothing is lost and little is repeated.

It holds pages, cursors, action ids, segment ids, reasons and counts, and never a trait; a source id can be
an e-mail address, so only a keyed digest of it is kept. What its tables mean is in `runs`; this module knows
the file: whose it is, who may use it, and a thread of its own for it, so that the event loop never waits
for a disk.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from errno import EISDIR
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from segsync.errors import LedgerError, OutputError
from segsync.settings import Settings


def open_ledger(settings: Settings, path: Path | None) -> Ledger:
    """The ledger at `path`, for the import of these settings."""
    return Ledger(path, space_id=settings.segment_space_id, application_id=settings.voucherify_application_id)


T = TypeVar("T")

APPLICATION_ID = 0x5E65C
"""SQLite's mark for whose file this is."""

VERSION = 1

# SQLite, "Database file format": what a file begins with, and where its mark is.
_SQLITE, _APPLICATION_ID_AT, _HEADER_BYTES = b"SQLite format 3\0", 68, 72

MOST_WAITING = 500
"""Writes that may wait for a slow disk before the reading of pages waits too."""

_SCHEMA = """
CREATE TABLE owner (space_id TEXT NOT NULL, project TEXT NOT NULL, opened_at TEXT NOT NULL);
-- One import, however many processes it took. `has_listed`: Segment answered it at all. `late_without_identifier`:
-- profiles that were found so when they were taken again. `expected`: how many there will be, as `--profiles` said.
CREATE TABLE runs (
    id INTEGER PRIMARY KEY, began_at TEXT NOT NULL, ended_at TEXT, state TEXT NOT NULL, first_cursor TEXT NOT NULL,
    has_listed INTEGER NOT NULL DEFAULT 0, late_without_identifier INTEGER NOT NULL DEFAULT 0, error TEXT,
    expected INTEGER
);
-- The pages whose every profile has its outcome, numbered from 1 in the order of the listing. One that `is_closing`
-- stands for what a run did on pages that never settled.
CREATE TABLE pages (
    run INTEGER NOT NULL, number INTEGER NOT NULL, next_cursor TEXT, profiles INTEGER NOT NULL,
    without_identifier INTEGER NOT NULL, is_closing INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (run, number)
) WITHOUT ROWID;
-- One bulk upsert: `customers` of `sent` still count, `spread` says on which pages they are, and `members` who
-- they are, for as long as that may be asked.
CREATE TABLE batches (
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL, action_id TEXT NOT NULL, attempt INTEGER NOT NULL,
    state TEXT NOT NULL, sent_at TEXT NOT NULL, sent INTEGER NOT NULL, customers INTEGER NOT NULL,
    first_page INTEGER NOT NULL, last_page INTEGER NOT NULL, spread BLOB, members BLOB
);
CREATE INDEX batches_in_state ON batches (state, run) WHERE state IN ('open', 'unread', 'again');
CREATE TABLE rejections (
    run INTEGER NOT NULL, segment_id TEXT NOT NULL, page INTEGER NOT NULL, stage TEXT NOT NULL, reason TEXT NOT NULL,
    request_id TEXT, PRIMARY KEY (run, segment_id, page)
) WITHOUT ROWID;
"""

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}

_NO_ACCESS = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY}

_IN_USE = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


class Ledger:
    """The ledger at `path`, for one space and one Voucherify project; for None a temporary one that nobody else sees.

    Writes queue up for a thread of their own and are carried out in order, each as a transaction. Opening
    raises `LedgerError` where the file cannot be made, is damaged, of another kind, newer, somebody else's or in use,
    and `OutputError` where the disk has no room; what is there is never replaced.
    """

    def __init__(self, path: Path | None, *, space_id: str, application_id: str) -> None:
        self.path = path
        self._key = application_id.encode()[:64]
        self._writes: deque[Future[object]] = deque()
        self._failure: BaseException | None = None
        with ExitStack() as stack, _errors_in_words(path):
            if path:
                if path.is_dir():
                    raise IsADirectoryError(EISDIR, os.strerror(EISDIR))
                stack.callback(_locked(path, timeout_seconds=1).close)  # longer than somebody looks: `is_in_use`
                _make(path)
                _check_file(path)
                path.chmod(0o600)  # it may have been there before, open to all
            self._connection = sqlite3.connect(_name(path), isolation_level=None, check_same_thread=False, timeout=30)
            stack.callback(self._connection.close)
            _prepare(self._connection, path, space_id, self.digest(f"project {application_id}").hex())
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="segsync-ledger")
            stack.callback(self._thread.shutdown)
            self._let_go = stack.pop_all().close

    def digest(self, text: str) -> bytes:
        """What stands for a source id in the ledger; it cannot be guessed back without the application id."""
        return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8, key=self._key).digest()

    def write(self, change: Callable[[sqlite3.Connection], object]) -> None:
        """Queue a change. Raises what an earlier one failed with: nothing is written past a gap."""
        while self._writes and self._writes[0].done():
            self._writes.popleft().result()
        self._writes.append(self._thread.submit(self._transact, change))

    async def ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """The answer to a question, or the outcome of a change, after all that was queued before."""
        return await _outcome(self._thread.submit(self._transact, question))

    async def keep_up(self, most_waiting: int = MOST_WAITING) -> None:
        """Wait until no more than so many writes are queued. Raises what one of them failed with."""
        while len(self._writes) > most_waiting:
            await _outcome(self._writes[0])
            self._writes.popleft()

    def _transact(self, change: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return self._carry_out(change)
        except BaseException as error:
            self._failure = error
            raise

    def _carry_out(self, change: Callable[[sqlite3.Connection], T]) -> T:
        if self._failure:
            raise self._failure
        with _errors_in_words(self.path):
            self._connection.execute("BEGIN")
            try:
                result = change(self._connection)
                self._connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # SQLite has rolled back by itself where the disk is full
                    self._connection.execute("ROLLBACK")
                raise
        return result

    def read(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """`ask`, for a caller without an event loop."""
        return self._thread.submit(self._transact, question).result()

    def salvage(self, question: Callable[[sqlite3.Connection], T]) -> T | None:
        """What a ledger still answers that could not be written; None if it was written, or cannot be read either."""
        if self._failure:
            with suppress(sqlite3.Error):
                return self._thread.submit(question, self._connection).result()
        return None

    def close(self) -> None:
        """Carry out what is queued, and let others have the file."""
        with suppress(sqlite3.Error):  # what a full disk keeps out of the file stays in its log
            self._let_go()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


async def _outcome(work: Future[T]) -> T:
    """What work for the ledger ends with. Who waits may be cancelled; the work is not: it would be a gap."""
    ended = asyncio.wrap_future(work)
    # Nobody looks at the outcome after a cancellation, and asyncio would print a traceback for an error in it. Nothing
    # is lost by that: the ledger keeps the first failure, and raises it for every later write.
    ended.add_done_callback(lambda done: done.cancelled() or done.exception())
    return await asyncio.shield(ended)


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that looks at a ledger and changes nothing, even while an import writes it. Raises `LedgerError`."""
    if not path.exists():
        raise LedgerError(f"There is no ledger at {path}: no import has run here, or it has another (--ledger)")
    with _errors_in_words(path):
        _check_file(path)
        # Not mode=ro: such a connection would leave SQLite's -wal and -shm behind, which the last one to close removes.
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=30)
        try:
            connection.execute("PRAGMA query_only=1")
            if _is_new(connection):  # as a process leaves it that is killed in its first moments
                raise LedgerError(f"No import has run on the ledger {path} yet. To begin: python -m segsync")
            _check_version(connection, path)
            connection.execute("BEGIN")  # one moment for all that is asked
            yield connection
        finally:
            connection.close()


def is_in_use(path: Path) -> bool:
    """Whether a run holds this ledger now."""
    if not _lock_path(path).exists():
        return False
    try:
        _locked(path, timeout_seconds=0).close()
    except sqlite3.Error:
        return True
    return False


def now() -> str:
    """This moment, as the ledger says it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _locked(path: Path, *, timeout_seconds: float) -> sqlite3.Connection:
    """Hold the ledger for this process: the operating system lets go of it however the process ends.

    It is a file of its own, since readers may look at the ledger while it is held.
    """
    _make(_lock_path(path))
    lock = sqlite3.connect(
        _name(_lock_path(path)), isolation_level=None, timeout=timeout_seconds, check_same_thread=False
    )
    try:
        lock.execute("PRAGMA journal_mode=OFF")  # it would be one more file
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error:
        lock.close()
        raise
    return lock


def _make(path: Path) -> None:
    """An empty file for its owner alone. One that is there is not even opened: closing it would end our locks on it."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def _name(path: Path | None) -> str:
    """What SQLite takes for a path and nothing else, as it does not ":memory:" or "file:…"; "" is a temporary file."""
    return str(path.absolute()) if path else ""


def _lock_path(path: Path) -> Path:
    return Path(f"{path}-lock")


def _prepare(connection: sqlite3.Connection, path: Path | None, space_id: str, project: str) -> None:
    """Make or check the tables, and make sure that this is the right ledger and can be written."""
    if _is_new(connection):
        connection.execute("BEGIN")
        for statement in (
            f"PRAGMA application_id={APPLICATION_ID}",
            f"PRAGMA user_version={VERSION}",
            *_SCHEMA.split(";"),
        ):
            connection.execute(statement)
        connection.execute("INSERT INTO owner VALUES (?, ?, ?)", (space_id, project, now()))
        connection.execute("COMMIT")
    else:
        _check_version(connection, path)
        [(problem,)] = connection.execute("PRAGMA quick_check(1)").fetchall()
        if problem != "ok":
            raise LedgerError(_damaged(path))
        [owner] = connection.execute("SELECT space_id, project FROM owner").fetchall()
        if owner != (space_id, project):
            whose = f"Segment space {owner[0]}" if owner[0] != space_id else "another Voucherify project"
            raise LedgerError(
                f"The ledger {path} belongs to an import of {whose}. Choose another file for this one: --ledger FILE"
            )
        if "expected" not in {name for _, name, *_ in connection.execute("PRAGMA table_info(runs)")}:
            connection.execute("ALTER TABLE runs ADD COLUMN expected INTEGER")  # the first ledgers had none
        connection.execute("UPDATE owner SET opened_at = ?", (now(),))
    connection.execute("PRAGMA journal_mode=WAL")  # only now, so that the file itself says whose it is
    # After a power cut the last writes may be missing, never broken: the import repeats what they told of.
    connection.execute("PRAGMA synchronous=NORMAL")
    # In KiB: little is read again, and memory should not grow with the import.
    connection.execute("PRAGMA cache_size=-256")


def _is_new(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_master").fetchone() is None


def _check_file(path: Path) -> None:
    """Leave what is not ours alone: SQLite would put files of its own beside it."""
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    if header and not header.startswith(_SQLITE):
        raise LedgerError(_damaged(path))
    if header and header[_APPLICATION_ID_AT:_HEADER_BYTES] != APPLICATION_ID.to_bytes(4):
        raise LedgerError(f"{path} is no ledger of segsync. Choose another file: --ledger FILE")


def _check_version(connection: sqlite3.Connection, path: Path | None) -> None:
    [(version,)] = connection.execute("PRAGMA user_version").fetchall()
    if version > VERSION:
        raise LedgerError(
            f"The ledger {path} was written by a newer segsync (version {version} of its format, this one knows "
            f"{VERSION}). Update segsync, or choose another file: --ledger FILE"
        )


def _damaged(path: Path | None) -> str:
    return (
        f"The ledger {path} is damaged or no SQLite file. It was left as it is. Restore it from a backup, or choose "
        "another file (--ledger FILE) and begin at the offset of the last log line (--offset)"
    )


@contextmanager
def _errors_in_words(path: Path | None) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        # The first byte of a code is its kind, the second a refinement.
        kind = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if kind in _IN_USE:
            raise LedgerError(
                f"Another segsync uses the ledger {path} now. Wait until it has ended, or choose another: --ledger FILE"
            ) from None
        if kind in _DAMAGED or (isinstance(error, sqlite3.OperationalError) and "decode" in str(error)):
            raise LedgerError(_damaged(path)) from None
        unusable = LedgerError if kind in _NO_ACCESS else OutputError
        raise unusable(f"The ledger {path or '(a temporary file)'} cannot be written: {error}") from None
    except (msgspec.MsgspecError, UnicodeError):  # of what is in its rows
        raise LedgerError(_damaged(path)) from None
    except OSError as error:
        raise LedgerError(f"The ledger {path} cannot be written: {error.strerror}") from None
