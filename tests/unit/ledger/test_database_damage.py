"""A file that is not the ledger of this import is left as it is."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from sqlite3 import Connection

import pytest

from segsync.errors import LedgerError
from segsync.ledger import batches, rejections, runs
from segsync.ledger.database import reading
from segsync.ledger.migration import FORMAT
from segsync.ledger.sqlite_file import is_in_use
from tests.support.ledgers import APPLICATION, HOST, open_ledger
from tests.unit.ledger.filled import BATCHES, fill, note, notes


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
    """Blank the page that holds SQLite's list of tables."""
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
    ("make", "message"), [(make, message) for make, _, _, message in WRONG if make not in (as_it_is, overwritten)]
)
def test_a_reader_gets_the_same_error(path: Path, make: Callable[[Path], None], message: str) -> None:
    with open_ledger(path) as ledger:
        fill(ledger)
    make(path)
    before = path.read_bytes()
    with pytest.raises(LedgerError, match=message), reading(path) as db:
        runs.runs(db)
    assert path.read_bytes() == before


def test_reading_an_overwritten_page_raises_the_damage(path: Path) -> None:
    with open_ledger(path) as ledger:
        fill(ledger)
    overwritten(path)
    with pytest.raises(LedgerError, match="damaged"), reading(path) as db:  # noqa: PT012
        db.execute("PRAGMA quick_check")
        for table in ("batches", "pages", "rejections", "runs"):
            db.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608


@pytest.mark.parametrize("what", [b"use_3_50", b"use_3_r"])
def test_bytes_overwritten_inside_a_row_are_damage_too(path: Path, what: bytes) -> None:
    """SQLite's own check looks at the structure alone, so it shows when the row is read."""
    with open_ledger(path) as ledger:
        run = fill(ledger)
    content = path.read_bytes()
    assert what in content  # an index may have it too
    path.write_bytes(content.replace(what, b"\xff" * len(what)))
    with open_ledger(path) as ledger:

        def look(db: Connection) -> None:
            for batch in range(1, BATCHES + 1):
                batches.members_of(db, batch)
            rejections.groups(db, [run], most_ids=1000)

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
