"""Changes are written in their order, and none behind one that failed."""

from __future__ import annotations

import asyncio
import gc
import shutil
import sqlite3
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from sqlite3 import Connection

import pytest

from segsync.errors import OutputError
from segsync.ledger import runs
from segsync.ledger.database import Ledger, reading
from segsync.models import Outcomes
from tests.support.ledgers import begin, open_ledger
from tests.unit.ledger.filled import BATCHES, SOURCE, fill, ids_of_runs, note, notes


def test_writes_are_carried_out_in_their_order_and_closing_waits_for_them(path: Path) -> None:
    with open_ledger(path) as ledger:
        for number in range(200):
            ledger.write(note(str(number)))
    with reading(path) as db:
        assert notes(db) == [str(number) for number in range(200)]


async def test_an_answer_comes_after_all_that_was_written_before() -> None:
    with open_ledger() as ledger:
        for number in range(50):
            ledger.write(note(str(number)))
        assert await ledger.ask(ids_of_runs) == list(range(50, 0, -1))


async def test_the_loop_goes_on_while_the_disk_is_slow() -> None:
    may_go_on = threading.Event()
    with open_ledger() as ledger:
        ledger.write(lambda _db: may_go_on.wait(10))
        answer = asyncio.ensure_future(ledger.ask(ids_of_runs))
        await asyncio.sleep(0.01)
        assert not answer.done()
        may_go_on.set()
        assert await answer == []


def broken(_db: Connection) -> None:
    raise sqlite3.OperationalError("disk I/O error")


async def test_a_write_that_fails_is_raised_by_the_next_one(path: Path) -> None:
    with open_ledger(path) as ledger:
        ledger.write(broken)
        with suppress(OutputError):
            await ledger.ask(notes)
        with pytest.raises(OutputError, match=f"The ledger {path} cannot be written: disk I/O error"):
            ledger.write(note("1"))


async def test_a_write_that_fails_is_raised_when_all_has_to_be_written(path: Path) -> None:
    with open_ledger(path) as ledger:
        ledger.write(broken)
        with pytest.raises(OutputError, match="disk I/O error"):
            await ledger.keep_up(0)


async def test_a_change_that_fails_halfway_is_not_done_at_all(path: Path) -> None:
    def halfway(db: Connection) -> None:
        runs.begin_run(db, "0", SOURCE)
        broken(db)

    with open_ledger(path) as ledger, pytest.raises(OutputError):
        await ledger.ask(halfway)
    with open_ledger(path) as ledger:
        assert ledger.read(ids_of_runs) == []
        assert begin(ledger) == 1


async def test_a_full_disk_is_named_and_what_was_written_before_it_stays(path: Path) -> None:
    with open_ledger(path) as ledger:
        run = fill(ledger, 1)
        [(pages,)] = ledger.read(lambda db: db.execute("PRAGMA page_count").fetchall())
        ledger.read(lambda db: db.execute(f"PRAGMA max_page_count={pages}").fetchall())
        with pytest.raises(OutputError, match="cannot be written: database or disk is full"):
            await ledger.ask(lambda db: [runs.begin_run(db, "0" * 1000, SOURCE) for _ in range(10)])
    with reading(path) as db:
        assert ids_of_runs(db) == [run]


def test_nothing_is_written_past_a_write_that_failed(path: Path) -> None:
    """Otherwise a page could be done without its rejections, which would then count as customers."""
    may_begin = threading.Event()
    with open_ledger(path) as ledger:
        ledger.write(lambda _db: may_begin.wait(10))
        ledger.write(note("before"))
        ledger.write(broken)
        ledger.write(note("after"))
        may_begin.set()
    with reading(path) as db:
        assert notes(db) == ["before"]


async def test_keeping_up_waits_where_too_many_changes_are_queued() -> None:
    may_go_on = threading.Event()
    with open_ledger() as ledger:
        ledger.write(lambda _db: may_go_on.wait(10))
        for number in range(5):
            ledger.write(note(str(number)))
        async with asyncio.timeout(5):
            await ledger.keep_up(6)
        behind = asyncio.ensure_future(ledger.keep_up(5))
        await asyncio.sleep(0.01)
        assert not behind.done()
        may_go_on.set()
        await behind
        await ledger.keep_up(0)
        assert ledger.read(notes) == ["0", "1", "2", "3", "4"]


async def test_changes_of_a_short_time_are_one_transaction(path: Path) -> None:
    with open_ledger(path) as ledger:
        commits = 0

        def at_commit(statement: str) -> None:
            nonlocal commits
            commits += statement == "COMMIT"

        ledger.read(lambda db: db.set_trace_callback(at_commit))
        commits = 0
        for number in range(50):
            ledger.write(note(str(number)))
        await ledger.keep_up(0)
        ledger.read(lambda db: db.set_trace_callback(None))
        assert ledger.read(notes) == [str(number) for number in range(50)]
    assert commits <= 5


async def test_cancelling_the_wait_for_writes_loses_no_write(path: Path) -> None:
    """A gap would be worse than an end: later writes are still carried out when the ledger is closed."""
    may_go_on = threading.Event()
    with open_ledger(path) as ledger:
        slow = asyncio.ensure_future(ledger.ask(lambda _db: may_go_on.wait(10)))
        await asyncio.sleep(0)
        ledger.write(note("1"))
        waiting = asyncio.ensure_future(ledger.keep_up(0))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.sleep(0)
        ledger.write(note("2"))
        may_go_on.set()
        await slow
    with reading(path) as db:
        assert notes(db) == ["1", "2"]


@pytest.mark.parametrize(
    "wait", [lambda ledger: ledger.ask(notes), lambda ledger: ledger.keep_up(0)], ids=["ask", "keep up"]
)
async def test_a_failure_that_nobody_waits_for_any_more_prints_no_traceback(
    path: Path, wait: Callable[[Ledger], Coroutine[object, object, object]]
) -> None:
    """For example, a full disk stops an import while several of its tasks wait for the ledger."""
    complaints: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
    may_go_on = threading.Event()

    def broken_later(db: Connection) -> None:
        may_go_on.wait(10)
        broken(db)

    with open_ledger(path) as ledger:
        ledger.write(broken_later)
        waiting = asyncio.ensure_future(wait(ledger))
        await asyncio.sleep(0)
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting
        may_go_on.set()
        with pytest.raises(OutputError, match="disk I/O error"):
            await ledger.keep_up(0)
    del waiting, ledger
    await asyncio.sleep(0)
    gc.collect()
    assert complaints == []


def test_what_a_killed_process_had_written_is_there(path: Path, tmp_path: Path) -> None:
    killed = tmp_path / "killed"
    with open_ledger(path) as ledger:
        fill(ledger)
        ledger.read(lambda _db: shutil.copytree(path.parent, killed, ignore=lambda *_: [killed.name]))
    assert (killed / "segsync.db-wal").stat().st_size > 0
    with reading(killed / "segsync.db") as db:
        assert ids_of_runs(db) == [1]
    with open_ledger(killed / "segsync.db") as ledger:
        [run] = ledger.read(runs.runs)
    assert (run.done_pages, run.outcomes) == (BATCHES, Outcomes(sent=100 * BATCHES, rejected=BATCHES))
