"""The ledger as a file: whose it is, who may use it, what it survives, and what is never in it."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from sqlite3 import Connection

import pytest

from segsync.errors import LedgerError, OutputError, SegsyncError
from segsync.ledger import batches, rejections, runs
from segsync.ledger.batches import Member
from segsync.ledger.database import Ledger, reading
from segsync.ledger.file import is_in_use
from segsync.ledger.migration import FORMAT
from segsync.models import Connector, Outcomes, Rejection
from tests.support.ledgers import APPLICATION, HOST, SPACE, begin, open_ledger

BATCHES = 60

SOURCE = Connector("Segment", SPACE)


def fill(ledger: Ledger, count: int = BATCHES) -> int:
    """A run with pages, open batches and rejections; its number."""
    run = begin(ledger)

    def change(db: Connection) -> None:
        for number in range(1, count + 1):
            members = [Member(number, f"use_{number}_{i}", ledger.digest(f"{number}-{i}")) for i in range(100)]
            batches.add_batch(db, run, f"aa_{number}", members, attempt=1, is_followed=True)
            rejections.add_rejection(db, run, number, Rejection(f"use_{number}_r", None, "read", "answered 500", "req"))
            batches.finish_page(db, run, number, str(number * 101), Outcomes(sent=100, rejected=1))

    ledger.read(change)
    return run


def ids_of_runs(db: Connection) -> list[int]:
    return [run.id for run in runs.runs(db)]


def note(text: str) -> Callable[[Connection], object]:
    """A change: another run, whose cursor is this text."""
    return partial(runs.begin_run, first_offset=text, source=SOURCE)


def notes(db: Connection) -> list[str]:
    return [run.first_offset for run in reversed(runs.runs(db))]


def mode(path: Path) -> str:
    return oct(path.stat().st_mode & 0o777)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "segsync.db"


# --- who may see it -------------------------------------------------------------------------------------------


def test_a_new_ledger_and_all_that_lies_beside_it_is_for_its_owner_alone(path: Path) -> None:
    umask = os.umask(0)
    try:
        with open_ledger(path) as ledger:
            fill(ledger, 1)
            modes = {each.name: mode(each) for each in path.parent.iterdir()}
        assert {"segsync.db", "segsync.db-lock", "segsync.db-wal"} <= modes.keys()
        assert set(modes.values()) == {"0o600"}
    finally:
        os.umask(umask)


@pytest.mark.parametrize("was_there", ["empty", "ledger"])
def test_one_that_was_open_to_all_is_for_its_owner_alone_when_it_is_used(path: Path, was_there: str) -> None:
    path.touch()
    if was_there == "ledger":
        open_ledger(path).close()
    path.chmod(0o644)
    with open_ledger(path) as ledger:
        fill(ledger, 1)
        modes = {each.name: mode(each) for each in path.parent.iterdir()}
    assert {"segsync.db", "segsync.db-wal"} <= modes.keys()
    assert set(modes.values()) == {"0o600"}, modes


def test_a_temporary_ledger_leaves_nothing_behind(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    with open_ledger() as ledger:
        fill(ledger)
        assert ledger.read(ids_of_runs) == [1]
    assert list(path.parent.iterdir()) == []


# --- whose it is, and whether it is one -----------------------------------------------------------------------


def as_it_is(_path: Path) -> None:
    pass


def by_a_newer_segsync(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version={FORMAT + 1}")


def text(path: Path) -> None:
    path.write_text("segment_id,reason\nuse_1,who knows\n" * 500)


def a_few_bytes(path: Path) -> None:
    path.write_text("to do\n")


def overwritten(path: Path) -> None:
    content = bytearray(path.read_bytes())
    middle = len(content) // 8192 * 4096
    content[middle : middle + 4096] = random.Random(7).randbytes(4096)
    path.write_bytes(content)


def without_its_tables(path: Path) -> None:
    """The page on which SQLite says what tables there are."""
    content = bytearray(path.read_bytes())
    content[100:4096] = bytes(3996)
    path.write_bytes(content)


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def of_another_program(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE owner (space_id TEXT, project TEXT, opened_at TEXT)")
        db.execute("INSERT INTO owner VALUES ('spa_mine', '', '')")
        db.commit()


def of_another_program_that_uses_wal(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE songs (title TEXT)")


WRONG: list[tuple[Callable[[Path], None], str, str, str]] = [
    (as_it_is, "app-of-another", HOST, "belongs to imports into another Voucherify project"),
    (
        as_it_is,
        APPLICATION,
        "https://eu.example",
        "into the Voucherify project at https://api.voucherify.io, and not at",
    ),
    (by_a_newer_segsync, APPLICATION, HOST, f"newer segsync.*format {FORMAT + 1}, .*Update segsync"),
    (text, APPLICATION, HOST, "damaged or not an SQLite file"),
    (a_few_bytes, APPLICATION, HOST, "damaged or not an SQLite file"),
    (overwritten, APPLICATION, HOST, "damaged or not an SQLite file"),
    (without_its_tables, APPLICATION, HOST, "damaged or not an SQLite file"),
    (cut_in_half, APPLICATION, HOST, "damaged or not an SQLite file"),
    (of_another_program, APPLICATION, HOST, "is not a ledger of segsync"),
    (of_another_program_that_uses_wal, APPLICATION, HOST, "is not a ledger of segsync"),
]


@pytest.mark.parametrize(
    ("make", "application_id", "host", "message"), WRONG, ids=[f"{w[0].__name__}-{w[1]}-{w[2]}" for w in WRONG]
)
def test_what_is_not_this_imports_ledger_is_named_and_left_as_it_is(
    path: Path, make: Callable[[Path], None], application_id: str, host: str, message: str
) -> None:
    with open_ledger(path) as ledger:
        fill(ledger)
    make(path)
    before = path.read_bytes()
    with pytest.raises(LedgerError, match=message) as raised:
        open_ledger(path, application_id=application_id, host=host)
    assert str(path) in str(raised.value)
    assert "--ledger" in str(raised.value)
    assert APPLICATION not in str(raised.value)
    assert path.read_bytes() == before
    assert {each.name for each in path.parent.iterdir()} <= {"segsync.db", "segsync.db-lock"}
    assert not is_in_use(path)


@pytest.mark.parametrize(
    ("make", "said"), [(make, said) for make, _, _, said in WRONG if make not in (as_it_is, overwritten)]
)
def test_who_only_reads_is_told_the_same(path: Path, make: Callable[[Path], None], said: str) -> None:
    with open_ledger(path) as ledger:
        fill(ledger)
    make(path)
    before = path.read_bytes()
    with pytest.raises(LedgerError, match=said), reading(path) as db:
        runs.runs(db)
    assert path.read_bytes() == before


def test_who_reads_a_page_that_was_overwritten_is_told_of_the_damage(path: Path) -> None:
    with open_ledger(path) as ledger:
        fill(ledger)
    overwritten(path)
    with pytest.raises(LedgerError, match="damaged"), reading(path) as db:  # noqa: PT012
        db.execute("PRAGMA quick_check")
        for table in ("batches", "pages", "rejections", "runs"):
            db.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608


@pytest.mark.parametrize("what", [b"use_3_50", b"use_3_r"])
def test_bytes_overwritten_inside_of_what_a_row_says_are_damage_too(path: Path, what: bytes) -> None:
    """SQLite's own check looks at the structure alone, so it shows when the row is read."""
    with open_ledger(path) as ledger:
        run = fill(ledger)
    content = path.read_bytes()
    assert content.count(what) == 1
    path.write_bytes(content.replace(what, b"\xff" * len(what)))
    with open_ledger(path) as ledger:

        def look(db: Connection) -> None:
            for batch in range(1, BATCHES + 1):
                batches.members_of(db, batch)
            rejections.rejected_profiles(db, run, "", 1000)

        with pytest.raises(LedgerError, match="damaged"):
            ledger.read(look)


@pytest.mark.parametrize("name", ["a b.db", "50%.db", "what?.db", "no#1.db", "żółw.db", ":memory:", "file:x.db"])
def test_a_ledger_may_have_any_name(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        with open_ledger(Path(name)) as ledger:
            ledger.write(note("5"))
    assert {each.name for each in tmp_path.iterdir()} == {name, f"{name}-lock"}
    with reading(Path(name)) as db:
        assert notes(db) == ["5", "5"]


# --- where it cannot be written -------------------------------------------------------------------------------


def test_a_directory_is_no_ledger(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=f"The ledger {tmp_path} cannot be written"):
        open_ledger(tmp_path)


def test_a_directory_that_is_not_there_is_named_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "away" / "segsync.db"
    with pytest.raises(LedgerError, match=f"{path} cannot be written: No such file or directory"):
        open_ledger(path)
    assert not path.parent.exists()


def test_a_lock_that_cannot_be_made_is_named_at_the_start(path: Path) -> None:
    path.with_name("segsync.db-lock").mkdir()
    with pytest.raises(LedgerError, match=f"{path} cannot be written"):
        open_ledger(path)


def test_a_ledger_that_may_only_be_read_is_no_ledger_to_use(path: Path) -> None:
    with open_ledger(path) as ledger:
        ledger.read(lambda db: db.execute("PRAGMA query_only=1"))
        with pytest.raises(LedgerError, match=f"{path} cannot be written: attempt to write a readonly database"):
            begin(ledger)


def test_there_is_nothing_to_read_where_no_import_has_run(path: Path) -> None:
    with pytest.raises(LedgerError, match=f"no ledger at {path}.*--ledger"), reading(path):
        pass
    assert list(path.parent.iterdir()) == []


# --- one import at a time -------------------------------------------------------------------------------------

HOLD = """
import sys
from pathlib import Path
from tests.support.ledgers import open_ledger
with open_ledger(Path(sys.argv[1])):
    print("open", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held_by_another_process(path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        try:
            yield process
        finally:
            process.kill()


def test_imports_from_several_sources_may_use_a_ledger_one_after_the_other(path: Path) -> None:
    for space_id in ("spa_mine", "spa_other"):
        with open_ledger(path, space_id=space_id) as ledger:
            begin(ledger)
    with reading(path) as db:
        assert [run.source.identity for run in runs.runs(db)] == ["spa_other", "spa_mine"]


def test_a_second_import_on_the_same_ledger_is_refused_until_the_first_has_ended(path: Path) -> None:
    with open_ledger(path) as first:
        first.write(note("1"))
        with pytest.raises(LedgerError, match=f"Another segsync uses the ledger {path} now.*--ledger"):
            open_ledger(path)
        assert is_in_use(path)  # and looking has not taken it from the first
        first.write(note("2"))
    assert not is_in_use(path)
    with open_ledger(path) as second:
        assert second.read(notes) == ["1", "2"]


def test_so_is_one_of_another_process_and_a_killed_one_holds_nothing(path: Path) -> None:
    with held_by_another_process(path) as process:
        assert is_in_use(path)
        with pytest.raises(LedgerError, match="Another segsync uses"):
            open_ledger(path)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not is_in_use(path)
        with open_ledger(path) as ledger:
            fill(ledger, 1)


def test_nobody_uses_a_ledger_that_is_not_there(path: Path) -> None:
    assert not is_in_use(path)
    assert list(path.parent.iterdir()) == []


def test_it_can_be_read_while_an_import_writes_it_and_shows_one_moment(path: Path) -> None:
    with open_ledger(path) as ledger:
        ledger.read(note("1"))
        with reading(path) as db:
            assert notes(db) == ["1"]
            ledger.read(note("2"))
            assert notes(db) == ["1"]
        with reading(path) as db:
            assert notes(db) == ["1", "2"]


def test_a_reader_changes_nothing(path: Path) -> None:
    open_ledger(path).close()
    before = path.read_bytes()
    with pytest.raises(SegsyncError), reading(path) as db:
        runs.begin_run(db, "0", SOURCE)
    assert path.read_bytes() == before
    assert {each.name for each in path.parent.iterdir()} == {"segsync.db", "segsync.db-lock"}


# --- writing --------------------------------------------------------------------------------------------------


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


async def test_a_write_that_fails_is_told_by_the_next_one(path: Path) -> None:
    with open_ledger(path) as ledger:
        ledger.write(broken)
        with suppress(OutputError):
            await ledger.ask(notes)
        with pytest.raises(OutputError, match=f"The ledger {path} cannot be written: disk I/O error"):
            ledger.write(note("1"))


async def test_a_write_that_fails_is_told_when_all_has_to_be_written(path: Path) -> None:
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
    """Else a page could be settled without its rejections, which then pass for customers."""
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


async def test_to_cancel_who_keeps_up_loses_no_write(path: Path) -> None:
    """A gap would be worse than an end: what comes behind it is written all the same when the ledger is closed."""
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
    """As where a full disk stops an import while several of its tasks wait for the ledger."""
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


# --- what is never in it --------------------------------------------------------------------------------------


def test_a_source_id_is_known_again_but_not_kept(path: Path) -> None:
    source_id = "ada.lovelace@example.com"
    with open_ledger(path) as ledger:
        run = begin(ledger)
        members = [Member(1, "use_1", ledger.digest(source_id))]
        ledger.read(lambda db: batches.add_batch(db, run, "aa_1", members, attempt=1, is_followed=True))
        rejection = Rejection("use_2", source_id, "map", "cannot be written in JSON", None)
        ledger.read(partial(rejections.add_rejection, run=run, page=1, rejection=rejection))
        seen = b"".join(each.read_bytes() for each in path.parent.iterdir())
    assert b"use_1" in seen
    assert b"use_2" in seen
    seen += b"".join(each.read_bytes() for each in path.parent.iterdir())
    for secret in (source_id, "lovelace@", APPLICATION):
        assert secret.encode() not in seen
    with open_ledger(path) as ledger:
        [member] = ledger.read(partial(batches.members_of, batch=1))
        assert member.digest == ledger.digest(source_id)


def test_the_digest_of_another_project_is_another() -> None:
    with open_ledger() as mine, open_ledger(application_id="app-of-another") as other:
        assert mine.digest("ada") != other.digest("ada")
        assert mine.digest("ada") != mine.digest("Ada")
        assert mine.digest("\ud800") != mine.digest("\udfff")
