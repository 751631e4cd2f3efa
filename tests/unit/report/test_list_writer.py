"""The lists are what the ledger holds now, written whole and at once."""

from __future__ import annotations

import csv
import os
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segsync.events import DuplicateIdentifier, ProfileWithoutIdentifier, TraitLeftOut
from segsync.ledger import sqlite_file
from segsync.ledger.database import Ledger, reading
from segsync.models import Rejection
from segsync.report import list_writer
from segsync.report.list_writer import ProfileLists
from segsync.report.profile_lists import DUPLICATES, HEADERS, REJECTED, WARNINGS, WITHOUT_IDENTIFIER
from tests.support.ledgers import open_ledger
from tests.unit.ledger.steps import Story

EXPECTED = {
    WITHOUT_IDENTIFIER: ["use_none"],
    DUPLICATES: ["segment_id,same_identifier_as", "use_twice,use_1"],
    REJECTED: ["segment_id,source_id,stage,reason,request_id", "use_bad,,read,answered 404,"],
    WARNINGS: ["segment_id,trait,problem", "use_1,birthdate,is not an ISO 8601 date", "use_1,phone,is a list"],
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "segsync.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    with open_ledger(path) as opened:
        yield opened


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "lists").mkdir()
    return tmp_path / "lists"


def play(ledger: Ledger) -> Story:
    """A run with a profile for each list."""
    story = Story(ledger)
    story.record(TraitLeftOut("use_1", "phone", "is a list"))
    story.record(TraitLeftOut("use_1", "birthdate", "is not an ISO 8601 date"))
    story.sent("aa_1", (1, "use_1"))
    story.record(ProfileWithoutIdentifier("use_none"))
    story.record(DuplicateIdentifier("use_twice", 1, "use_1"))
    story.rejected(1, "use_bad", "answered 404")
    story.page_done(1, sent=1, without_identifier=1, rejected=1)
    story.done("aa_1")
    return story


def write(ledger: Ledger, directory: Path, *known: Rejection, path: Path | None = None) -> tuple[str, ...]:
    """The lists as a process writes them that knows these rejections."""
    with closing(ProfileLists(directory, path)) as lists:
        for rejection in known:
            lists.keep(rejection)
        return ledger.read(lists.write)


def lines(directory: Path) -> dict[str, list[str]]:
    return {path.name: path.read_text(encoding="utf-8").splitlines() for path in directory.iterdir()}


def rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_each_profile_is_in_the_list_that_is_about_it(ledger: Ledger, directory: Path) -> None:
    play(ledger)
    assert write(ledger, directory) == ()
    written = lines(directory)
    written[WARNINGS].sort(key=lambda line: (line != EXPECTED[WARNINGS][0], line))
    assert written == EXPECTED


def test_they_are_the_same_however_often_and_by_whom_they_are_written(ledger: Ledger, directory: Path) -> None:
    play(ledger)
    write(ledger, directory)
    before = lines(directory)
    assert write(ledger, directory) == ()
    with closing(ProfileLists(directory, ledger.path)) as lists:
        assert ledger.path
        assert lists.write_from(partial(reading, ledger.path)) == ()
    assert lines(directory) == before


def test_a_new_run_from_the_beginning_takes_nobody_from_them(ledger: Ledger, directory: Path) -> None:
    play(ledger)
    write(ledger, directory)
    before = lines(directory)
    later = Story(ledger)
    later.sent("aa_2", (1, "use_2"))
    later.page_done(1, sent=1)
    later.done("aa_2")
    write(ledger, directory)
    assert lines(directory) == before


def test_a_list_with_nothing_in_it_is_removed(ledger: Ledger, directory: Path) -> None:
    write(ledger, directory)
    assert lines(directory) == {}
    play(ledger)
    write(ledger, directory)
    later = Story(ledger)
    later.sent("aa_2", *((1, each) for each in ("use_1", "use_none", "use_twice", "use_bad")))
    later.page_done(1, sent=4)
    later.done("aa_2")
    write(ledger, directory)
    assert lines(directory) == {}


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00\n", b'segment_id,"half', b"use_9\nuse_", b"a;b\r\n" * 9])
def test_whatever_is_in_the_place_of_a_list_is_replaced_whole(ledger: Ledger, directory: Path, content: bytes) -> None:
    play(ledger)
    write(ledger, directory)
    before = lines(directory)
    for name in HEADERS:
        (directory / name).write_bytes(content)
    assert write(ledger, directory) == ()
    kept = directory / f"{REJECTED}.bak"
    assert (kept.read_bytes() if kept.exists() else b"") == content
    kept.unlink(missing_ok=True)
    assert lines(directory) == before


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such file modes")
def test_they_are_for_their_owner_alone(ledger: Ledger, directory: Path) -> None:
    play(ledger)
    for name in HEADERS:
        (directory / name).touch(mode=0o644)  # the Node script's, for example
    write(ledger, directory)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}
    assert modes == dict.fromkeys(HEADERS, 0o600)


def test_somebody_who_has_a_list_open_keeps_reading_the_old_one(ledger: Ledger, directory: Path) -> None:
    story = play(ledger)
    write(ledger, directory)
    with (directory / REJECTED).open(encoding="utf-8") as file:
        assert file.readline()
        story.rejected(2, "use_worse")
        story.page_done(2, rejected=1)
        write(ledger, directory)
        assert file.read().count("\n") == 1
    assert len(rows(directory / REJECTED)) == 3


# --- source ids -----------------------------------------------------------------------------------------------


BAD = Rejection("use_bad", "ada", "read", "answered 404")


def source_ids(directory: Path) -> dict[str, str]:
    return {row[0]: row[1] for row in rows(directory / REJECTED)[1:]}


def test_a_source_id_that_this_process_knows_is_listed_and_stays_for_the_next_ones(
    ledger: Ledger, directory: Path
) -> None:
    play(ledger)
    write(ledger, directory, BAD)
    assert source_ids(directory) == {"use_bad": "ada"}
    for _ in range(2):
        write(ledger, directory)
        assert source_ids(directory) == {"use_bad": "ada"}


def test_one_of_another_rejection_of_the_same_profile_does_not(ledger: Ledger, directory: Path) -> None:
    story = play(ledger)
    write(ledger, directory, BAD)
    story.rejected(1, "use_bad", "answered 500")
    write(ledger, directory)
    assert source_ids(directory) == {"use_bad": ""}


def test_a_list_that_somebody_saved_from_a_spreadsheet_keeps_what_can_be_read(ledger: Ledger, directory: Path) -> None:
    story = play(ledger)
    story.rejected(1, "use_worse", "answered 404")
    header = "source_id,segment_id,stage,reason,request_id,notes"
    saved = [header, "Jos\xe9,use_bad,read,answered 404,,", '"half,use_x', "u2,use_worse,read,answered 404,,mine"]
    (directory / REJECTED).write_bytes("".join(f"{row}\r\n" for row in saved).encode("cp1252"))
    assert write(ledger, directory) == ()
    assert source_ids(directory) == {"use_bad": "José", "use_worse": "u2"}


@pytest.mark.parametrize("length", [1_000, 140_000, 1_100_000])
def test_a_source_id_of_any_length_hinders_no_later_run(ledger: Ledger, directory: Path, length: int) -> None:
    play(ledger)
    write(ledger, directory, Rejection("use_bad", "x" * length, "read", "answered 404"))
    [listed] = source_ids(directory).values()
    assert len(listed) <= 1100
    write(ledger, directory)
    assert source_ids(directory) == {"use_bad": listed}


@pytest.mark.parametrize("formula", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_cell_is_a_formula_to_a_spreadsheet(ledger: Ledger, directory: Path, formula: str) -> None:
    story = Story(ledger)
    story.rejected(1, formula, formula)
    story.page_done(1, rejected=1)
    for _ in range(2):
        write(ledger, directory, Rejection(formula, formula, "read", formula))
        _, row = rows(directory / REJECTED)
        assert not [cell for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
        assert row[0] == row[1]
        assert row[0].endswith(formula[-2:])


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(TEXTS, TEXTS, TEXTS)
def test_whatever_a_service_answers_stays_on_its_line_in_its_column_and_is_known_again(
    segment_id: str, reason: str, source_id: str
) -> None:
    with tempfile.TemporaryDirectory() as name, open_ledger() as ledger:
        directory = Path(name)
        story = Story(ledger)
        story.record(ProfileWithoutIdentifier(f"{segment_id}-without"))
        story.rejected(1, segment_id, reason)
        story.page_done(1, without_identifier=1, rejected=1)
        write(ledger, directory, Rejection(segment_id, source_id, "read", reason))
        before = lines(directory)
        assert [len(row) for row in rows(directory / REJECTED)] == [5, 5]
        assert [len(lines) for lines in before.values()] == [1, 2] or [len(lines) for lines in before.values()] == [
            2,
            1,
        ]
        write(ledger, directory)
        assert lines(directory) == before


# --- where they cannot be written -----------------------------------------------------------------------------


@contextmanager
def room_for(bytes_a_file: int) -> Iterator[None]:
    """A disk that is full as soon as a file has so many bytes."""
    resource = pytest.importorskip("resource", reason="there is no such limit on Windows")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_a_file, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("name", list(HEADERS))
def test_a_folder_in_the_place_of_a_list_is_named_and_the_other_lists_are_written(
    ledger: Ledger, directory: Path, name: str
) -> None:
    play(ledger)
    (directory / name).mkdir()
    assert write(ledger, directory) == (f"{directory / name} cannot be written: Is a directory",)
    assert {path.name for path in directory.iterdir()} == set(HEADERS)
    assert list((directory / name).iterdir()) == []


def test_a_folder_in_the_place_of_a_list_with_nothing_in_it_is_none_of_our_business(
    ledger: Ledger, directory: Path
) -> None:
    (directory / REJECTED).mkdir()
    assert write(ledger, directory) == ()


def test_a_directory_that_is_not_there_is_named_for_each(ledger: Ledger, directory: Path) -> None:
    play(ledger)
    problems = write(ledger, directory / "nowhere")
    assert [problem.split("cannot")[1] for problem in problems] == [" be written: No such file or directory"] * 4


def test_a_full_disk_leaves_the_list_as_it_was_and_nothing_beside_it(tmp_path: Path, directory: Path) -> None:
    with open_ledger() as ledger:
        story = play(ledger)
        write(ledger, directory)
        before = lines(directory)
        for number in range(50):
            story.rejected(2, f"use_worse_{number}")
        story.page_done(2, rejected=50)
        with room_for(200):
            [problem] = write(ledger, directory)
        assert problem.startswith(f"{directory / REJECTED} cannot be written: ")
    assert lines(directory) == before


def test_the_ledger_can_still_be_written_afterwards(ledger: Ledger, directory: Path) -> None:
    story = play(ledger)
    write(ledger, directory / "nowhere")
    story.rejected(2, "use_worse")
    story.page_done(2, rejected=1)
    assert write(ledger, directory) == ()
    assert set(source_ids(directory)) == {"use_bad", "use_worse"}


def test_what_a_process_left_that_was_killed_while_it_wrote_goes_and_nothing_else(
    ledger: Ledger, directory: Path
) -> None:
    """It may hold personal data, and nobody would look for it."""
    play(ledger)
    (directory / f".{REJECTED}.x1.segsync-new").write_text("segment_id,source_id\nuse_bad,ad")
    (directory / f".{REJECTED}.swp").touch()  # an editor's
    (directory / f".prod-{REJECTED}.x1.segsync-new").touch()
    write(ledger, directory)
    others = {f".{REJECTED}.swp", f".prod-{REJECTED}.x1.segsync-new"}
    assert {path.name for path in directory.iterdir()} == {*HEADERS, *others}


# --- two at a time --------------------------------------------------------------------------------------------


def test_whoever_writes_the_lists_of_a_ledger_waits_for_another_who_does(
    ledger: Ledger, path: Path, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else `status` could put what it read before the end of a run in the place of what the run wrote."""
    play(ledger)
    turns: list[str] = []

    def observed(name: str, *arguments: Any) -> None:
        with (
            pytest.raises(sqlite3.OperationalError, match="locked"),
            closing(sqlite3.connect(f"{path}-lists-lock", timeout=0)) as lock,
        ):
            lock.execute("BEGIN EXCLUSIVE")
        turns.append(name)

    monkeypatch.setattr(list_writer, "_write", lambda path, *rest: observed(path.name))
    assert write(ledger, directory, path=path) == ()
    assert len(turns) == 4


def test_one_that_never_ends_is_named(
    ledger: Ledger, path: Path, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_file, "FOREIGN_LOCK_SECONDS", 0)
    play(ledger)
    with closing(sqlite_file.locked(path, timeout_seconds=0, suffix=sqlite_file.LISTS_LOCK)):
        [problem] = write(ledger, directory, path=path)
    assert problem.startswith("The lists of profiles cannot be written: Another segsync ")
    assert lines(directory) == {}
