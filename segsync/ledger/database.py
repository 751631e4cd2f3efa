"""The ledger: one SQLite file, the checkpoint that a resume starts from.

It holds pages, cursors, action ids, segment ids, outcomes, reasons, counts and names of traits, and no value of any.
A source id can be an e-mail address, so it holds a keyed digest of that instead. What its tables mean is in
`schema.sql` and `runs`. This module opens it, and has a thread of its own for it, so that the event loop never waits
for a disk.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from hashlib import blake2b
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Self, TypeVar

from segsync.errors import LedgerError, SegsyncError
from segsync.ledger import migration, sqlite_file
from segsync.models import Connector

T = TypeVar("T")

Change = Callable[[sqlite3.Connection], object]

MOST_WAITING = 500
"""Writes that may wait for a slow disk before the reading of pages waits too."""

LINGER_SECONDS = 0.1
"""Writes of so short a time are one transaction, which costs a fraction of many."""

TURN_SECONDS = 1.0
"""How long the main thread waits for another program that holds the ledger, before it looks for Ctrl-C."""


class Ledger:
    """The ledger at `path`, for imports from `source` into the project of `owner`.

    A `path` of None is a temporary one that nobody else sees. Imports from several sources may use a ledger, one after
    the other.

    Writes queue up for a thread of their own and are carried out in order, those of a short time as one transaction.
    `backup` is the copy of a ledger of an older format that was migrated, else None. Opening raises `LedgerError`
    where the file cannot be made or written, is damaged, not a ledger, newer, in use, or of another project, and
    `OutputError` where another program holds it; an existing file is never replaced.
    """

    def __init__(self, path: Path | None, *, owner: Connector, source: Connector) -> None:
        self.path = path
        self.source = source
        self.backup: Path | None = None
        self._hash = blake2b(digest_size=8, key=owner.identity.encode()[:64])
        self._queue: deque[Change] = deque()
        self._failure: BaseException | None = None
        self._has_asked = threading.Condition()
        self._questions = 0
        with ExitStack() as stack, sqlite_file.errors_in_words(path, is_opening=True):
            if path:
                sqlite_file.refuse_folders(path)
                stack.callback(sqlite_file.locked(path, timeout_seconds=1).close)  # longer than `is_in_use` holds it
                sqlite_file.make(path)
                sqlite_file.check(path)
                path.chmod(0o600)  # it may have been there before, open to all
            self._db = sqlite3.connect(
                sqlite_file.sqlite_name(path), isolation_level=None, check_same_thread=False, timeout=TURN_SECONDS
            )
            stack.callback(self._db.close)
            _patiently(partial(self._prepare, owner))
            self._db.execute(f"PRAGMA busy_timeout={sqlite_file.FOREIGN_LOCK_SECONDS * 1000:.0f}")
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="segsync-ledger")
            stack.callback(self._thread.shutdown)
            self._release = stack.pop_all().close

    def _prepare(self, owner: Connector) -> None:
        """Make, migrate or check the tables, and make sure that this is the right ledger and can be written."""
        db, path, project = self._db, self.path, self.digest(f"project {owner.identity}").hex()
        if _is_new(db):
            with _transaction(db):
                db.execute(f"PRAGMA application_id={sqlite_file.APPLICATION_ID}")
                db.execute(f"PRAGMA user_version={migration.FORMAT}")
                migration.create_tables(db)
                db.execute("INSERT INTO owner VALUES (?, ?, ?)", (owner.host, project, now()))
        else:
            number = migration.format_of(db, path)
            # Not the rows of single profiles: that would take seconds for millions of them.
            for table in ("owner", "runs", "pages", "batches", "rejections"):
                if db.execute(f"PRAGMA quick_check({table})").fetchall() != [("ok",)]:
                    raise LedgerError(sqlite_file.damaged(path), code="ledger-damaged")
            # One that only checks have touched holds no import yet: it goes to whoever begins one.
            is_unused = db.execute("SELECT 1 FROM runs").fetchone() is None
            [(whose,)] = db.execute("SELECT project FROM owner").fetchall()
            if whose != project and not is_unused:
                raise _of_others(path, f"another {owner.name} project")
            if path and number < migration.FORMAT:
                self.backup = migration.back_up(db, path)
                with _transaction(db):
                    migration.migrate(db, host=owner.host)
            if is_unused:
                db.execute("UPDATE owner SET host = ?, project = ?", (owner.host, project))
            [(host,)] = db.execute("SELECT host FROM owner").fetchall()
            if host != owner.host:
                raise _of_others(path, f"the {owner.name} project at {host}, and not at {owner.host}")
            with _transaction(db):
                migration.create_tables(db)  # some are newer than the format
                db.execute("UPDATE owner SET opened_at = ?", (now(),))
        db.execute("PRAGMA journal_mode=WAL")  # only now, so that the file itself says whose it is
        # After a power cut the last writes may be missing, never broken: the import repeats them.
        db.execute("PRAGMA synchronous=NORMAL")
        db.execute("PRAGMA cache_size=-2048")  # KiB: memory should not grow with the import

    def digest(self, content: str | bytes) -> bytes:
        """8 bytes that stand for a source id or a customer; without the owner's identity nobody can guess them back."""
        content = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
        keyed = self._hash.copy()
        keyed.update(content)
        return keyed.digest()

    def write(self, change: Change) -> None:
        """Queue a change. Raises the error of an earlier one: nothing is written past a gap."""
        if self._failure:
            raise self._failure
        self._queue.append(change)
        if len(self._queue) == 1:
            self._thread.submit(self._carry_out_soon)

    async def ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """The answer to a question, or the return value of a change, after all that was queued before."""
        return await _unless_cancelled(self._submit(question))

    def read(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """`ask`, for a caller without an event loop."""
        return self._submit(question).result()

    async def keep_up(self, most_waiting: int = MOST_WAITING) -> None:
        """Wait until at most `most_waiting` writes are queued. Raises the error of one of them."""
        if len(self._queue) > most_waiting or self._failure:
            await self.ask(lambda _db: None)

    def salvage(self, question: Callable[[sqlite3.Connection], T]) -> T | None:
        """The answer of a ledger that could not be written; None if it was written, or cannot be read either."""
        if self._failure:
            with suppress(sqlite3.Error):
                return self._thread.submit(question, self._db).result()
        return None

    async def ask_or_salvage(self, question: Callable[[sqlite3.Connection], T]) -> T | None:
        """`ask`, also where the ledger could not be written; None where it cannot be read either."""
        try:
            return await self.ask(question)
        except SegsyncError:
            return self.salvage(question)

    def close(self) -> None:
        """Carry out what is queued, and release the file."""
        self._announce_question()
        with suppress(sqlite3.Error):  # what a full disk keeps out of the file stays in its log
            self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # --- in the ledger's thread -------------------------------------------------------------------------------

    def _submit(self, question: Callable[[sqlite3.Connection], T]) -> Future[T]:
        self._announce_question()
        return self._thread.submit(self._answer, question)

    def _announce_question(self) -> None:
        """Somebody waits: queued changes should not linger."""
        with self._has_asked:
            self._questions += 1
            self._has_asked.notify()

    def _answer(self, question: Callable[[sqlite3.Connection], T]) -> T:
        try:
            self._carry_out_queue()
            return self._transact(question)
        finally:
            with self._has_asked:
                self._questions -= 1

    def _carry_out_soon(self) -> None:
        """Wait a moment for more changes, then carry them out. An error is kept for whoever writes or asks next."""
        with self._has_asked:
            self._has_asked.wait_for(lambda: self._questions, LINGER_SECONDS)
        self._carry_out_queue()

    def _carry_out_queue(self) -> None:
        """Carry out all queued changes as one transaction, or, where one of them fails, those before it."""
        while changes := tuple(self._queue):
            try:
                if self._failure is None:
                    self._carry_out(partial(_each_of, changes))
            except Exception:  # noqa: BLE001 - the change that fails raises it again
                for change in changes:
                    self._transact(change)
            finally:
                for _ in changes:
                    self._queue.popleft()

    def _transact(self, change: Callable[[sqlite3.Connection], T]) -> T:
        if self._failure:
            raise self._failure
        try:
            return self._carry_out(change)
        except BaseException as error:
            self._failure = error
            raise

    def _carry_out(self, change: Callable[[sqlite3.Connection], T]) -> T:
        with sqlite_file.errors_in_words(self.path), _transaction(self._db):
            return change(self._db)


def _patiently(work: Callable[[], object]) -> None:
    """Do this once no other program holds the ledger."""
    ends_at = monotonic() + sqlite_file.FOREIGN_LOCK_SECONDS
    while True:
        try:
            work()
            return
        except sqlite3.OperationalError as error:
            if not sqlite_file.is_busy(error) or monotonic() >= ends_at:
                raise


def _each_of(changes: tuple[Change, ...], db: sqlite3.Connection) -> None:
    for change in changes:
        change(db)


async def _unless_cancelled(work: Future[T]) -> T:
    """The result of work for the ledger. Whoever waits may be cancelled; the work is not: it would be a gap."""
    ended = asyncio.wrap_future(work)
    # Nobody looks at the result after a cancellation, and asyncio would print a traceback for an error in it. Nothing
    # is lost by that: the ledger keeps the first failure, and raises it for every later write.
    ended.add_done_callback(lambda done: done.cancelled() or done.exception())
    return await asyncio.shield(ended)


def check_exists(path: Path) -> None:
    """Raises `LedgerError` where there is no ledger."""
    if not path.exists():
        message = f"There is no ledger at {path}: no import has run here, or it has another one (--ledger)"
        raise LedgerError(message, code="ledger-missing")


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that looks at a ledger and changes nothing, even while an import writes it. Raises `LedgerError`."""
    check_exists(path)
    with sqlite_file.errors_in_words(path), ExitStack() as stack:
        sqlite_file.check(path)
        # Not mode=ro: such a connection would leave SQLite's -wal and -shm behind, which the last one to close removes.
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=30)
        stack.callback(db.close)
        number = migration.format_of(db, path)
        migration.stand_in(db)
        db.execute("PRAGMA query_only=1")
        if number < migration.READABLE:  # an older one, or one that is just being made
            db = migration.migrated_copy(db)
            stack.callback(db.close)
        db.execute("BEGIN")  # one moment for all questions
        yield db


def now() -> str:
    """This moment, as the ledger writes it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")  # SQLite waits for a lock here alone, not where what began with reading writes
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # SQLite has rolled back by itself where the disk is full
            db.execute("ROLLBACK")
        raise


def _is_new(db: sqlite3.Connection) -> bool:
    return db.execute("SELECT 1 FROM sqlite_master").fetchone() is None


def _of_others(path: Path | None, whose: str) -> LedgerError:
    message = f"The ledger {path} belongs to imports into {whose}. Choose another file for this one: --ledger FILE"
    return LedgerError(message, code="ledger-of-other-project")
