"""What a run leaves: the files that name profiles."""

from __future__ import annotations

import csv
import os
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segsync.errors import OutputError
from segsync.files import REJECTED, WARNINGS, WITHOUT_IDENTIFIER, RunFiles
from segsync.models import (
    Event,
    Fates,
    PageListed,
    PageSettled,
    ProfileRejected,
    ProfileWithoutIdentifier,
    Rejection,
    TraitLeftOut,
)

FILES = (WITHOUT_IDENTIFIER, REJECTED, WARNINGS)
SETTLED = PageSettled("0", "100", Fates())


def about(number: int, reason: str = "answered 404") -> list[Event]:
    """One event for each file."""
    return [
        ProfileWithoutIdentifier(f"use_{number}"),
        ProfileRejected(Rejection(f"use_{number}", f"u{number}", "read", reason, "req_1")),
        TraitLeftOut(f"use_{number}", "birthdate", "is not an ISO 8601 date"),
    ]


def write(directory: Path, offset: str, events: Sequence[Event]) -> None:
    with RunFiles(directory, offset) as files:
        for event in [PageListed(offset, 100), *events]:
            files.write(event)


def lines(directory: Path) -> dict[str, list[str]]:
    return {path.name: path.read_text(encoding="utf-8").splitlines() for path in directory.iterdir()}


EXPECTED = {
    WITHOUT_IDENTIFIER: ["use_1"],
    REJECTED: ["segment_id,source_id,stage,reason,request_id", "use_1,u1,read,answered 404,req_1"],
    WARNINGS: ["segment_id,trait,problem", "use_1,birthdate,is not an ISO 8601 date"],
}


def test_each_profile_is_a_line_of_the_file_that_is_about_it(tmp_path: Path) -> None:
    write(tmp_path, "0", about(1))
    assert lines(tmp_path) == EXPECTED


def test_a_pages_lines_can_be_read_once_it_is_settled_while_the_import_goes_on(tmp_path: Path) -> None:
    with RunFiles(tmp_path, "0") as files:
        for event in [*about(1), SETTLED]:
            files.write(event)
        assert lines(tmp_path) == EXPECTED


def test_an_import_from_the_first_page_begins_the_files_anew(tmp_path: Path) -> None:
    write(tmp_path, "0", [event for number in range(5) for event in about(number)])
    write(tmp_path, "0", about(1))
    assert lines(tmp_path) == EXPECTED


@pytest.mark.parametrize("offset", ["100", "eyJvcGFxdWUi", ""])
def test_a_resumed_import_adds_to_the_files_without_repeating_a_line(tmp_path: Path, offset: str) -> None:
    write(tmp_path, "0", about(1, 'answered "400", again'))
    write(tmp_path, offset, [*about(1, 'answered "400", again'), *about(2)])
    written = lines(tmp_path)
    assert written[WITHOUT_IDENTIFIER] == ["use_1", "use_2"]
    assert [line.split(",")[0] for line in written[REJECTED]] == ["segment_id", "use_1", "use_2"]
    assert [line.split(",")[0] for line in written[WARNINGS]] == ["segment_id", "use_1", "use_2"]


@pytest.mark.parametrize("offset", ["0", "100"])
def test_an_import_that_does_not_come_to_its_first_page_leaves_the_files_as_they_were(
    tmp_path: Path, offset: str
) -> None:
    write(tmp_path, "0", about(1))
    with RunFiles(tmp_path, offset):
        pass  # a wrong token, say
    assert lines(tmp_path) == EXPECTED


def test_a_second_warning_about_the_same_profile_is_no_repetition(tmp_path: Path) -> None:
    write(tmp_path, "0", [TraitLeftOut("use_1", "name", "is a list, not text")])
    write(tmp_path, "100", [TraitLeftOut("use_1", "phone", "is a list, not text")])
    assert len(lines(tmp_path)[WARNINGS]) == 3


def test_a_long_file_can_be_resumed_wherever_its_remembered_end_begins(tmp_path: Path) -> None:
    remembered = 1 << 20
    row = "use_{:07},u,read,answered 404,\n"
    rows = [row.format(number) for number in range(remembered // len(row.format(0)))]
    end = '",req_1\n' + "".join(rows)[: remembered - 9]  # it begins inside the quotes of a reason
    whole_rows = end[: end.rindex("\n") + 1]
    padding = " " * (remembered - len(whole_rows) - 1) + "\n"
    (tmp_path / REJECTED).write_text(f'use_a,u,read,"x, y{whole_rows}{padding}', encoding="utf-8")
    write(tmp_path, "100", [ProfileRejected(Rejection("use_0000007", "u", "read", "answered 404"))])
    assert (tmp_path / REJECTED).read_text(encoding="utf-8").count("use_0000007") == 1


def test_no_file_is_left_by_a_run_that_has_nothing_to_say(tmp_path: Path) -> None:
    write(tmp_path, "0", [SETTLED])
    write(tmp_path, "100", [SETTLED])
    assert list(tmp_path.iterdir()) == []
    write(tmp_path, "0", about(1))
    write(tmp_path, "100", [SETTLED])
    assert lines(tmp_path) == EXPECTED
    write(tmp_path, "0", [SETTLED])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such file modes")
@pytest.mark.parametrize("offset", ["0", "100"])
@pytest.mark.parametrize("was_there", [False, True])
def test_the_files_are_for_their_owner_alone(tmp_path: Path, offset: str, was_there: bool) -> None:
    for name in FILES if was_there else ():  # the Node script's, for example
        (tmp_path / name).touch(mode=0o644)
    with RunFiles(tmp_path, offset):
        assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


@pytest.mark.parametrize("formula", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_cell_is_a_formula_to_a_spreadsheet(tmp_path: Path, formula: str) -> None:
    write(tmp_path, "0", [ProfileRejected(Rejection(formula, formula, "read", formula, formula))])
    with (tmp_path / REJECTED).open(encoding="utf-8", newline="") as file:
        _, row = csv.reader(file)
    assert not [cell for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert row[0].endswith(formula[-2:])


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a first run makes tables of Unicode
@given(st.text(st.characters(), min_size=1), st.text(st.characters()))
def test_whatever_a_service_says_stays_on_its_line_and_in_its_column(segment_id: str, reason: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        events = [ProfileWithoutIdentifier(segment_id), *about(1, reason)[1:]]
        write(directory, "0", events)
        write(directory, "100", events)
        assert [len(lines(directory)[file]) for file in FILES] == [1, 2, 2]
        with (directory / REJECTED).open(encoding="utf-8", newline="") as file:
            assert [len(row) for row in csv.reader(file)] == [5, 5]


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


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_cannot_be_written_is_named_and_no_other_is_left_behind(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(OutputError, match=rf"{name} cannot be written: Is a directory"):
        RunFiles(tmp_path, "0")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=rf"nowhere.{WITHOUT_IDENTIFIER} cannot be written: No such file"):
        RunFiles(tmp_path / "nowhere", "0")


@pytest.mark.parametrize("name", FILES)
def test_a_full_disk_is_told_before_a_page_counts_as_settled(tmp_path: Path, name: str) -> None:
    event = about(1)[FILES.index(name)]
    with room_for(3), pytest.raises(OutputError, match=f"{name} cannot be written"):
        write(tmp_path, "0", [event, SETTLED])


@pytest.mark.parametrize("name", FILES)
def test_a_line_that_a_full_disk_cut_off_does_not_spoil_those_that_a_resume_adds(tmp_path: Path, name: str) -> None:
    first, again, later = (about(number, 'a "b", c')[FILES.index(name)] for number in (1, 2, 3))
    write(tmp_path, "0", [first, again])
    whole = (tmp_path / name).read_text(encoding="utf-8")
    (tmp_path / name).write_text(whole[:-3], encoding="utf-8")
    write(tmp_path, "100", [again, later])
    with (tmp_path / name).open(encoding="utf-8", newline="") as file:
        written = [row[0] for row in csv.reader(file)]
    assert written[-3:] == ["use_1", "use_2", "use_3"]
