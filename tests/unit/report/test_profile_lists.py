"""The lists of profiles that need a look."""

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
from segsync.events import (
    ActionEnded,
    DuplicateIdentifier,
    Event,
    PageDone,
    PageListed,
    ProfileRejected,
    ProfileWithoutIdentifier,
    TraitLeftOut,
)
from segsync.models import Outcomes, Rejection
from segsync.report.profile_lists import DUPLICATES, REJECTED, WARNINGS, WITHOUT_IDENTIFIER, ProfileLists

FILES = (WITHOUT_IDENTIFIER, DUPLICATES, REJECTED, WARNINGS)
DONE = PageDone(1, "0", "100", Outcomes())
ENDED = ActionEnded("aa_1", 100, 99, 1)


def about(number: int, reason: str = "answered 404") -> list[Event]:
    """One event for each file."""
    return [
        ProfileWithoutIdentifier(f"use_{number}"),
        DuplicateIdentifier(f"use_{number}", 1, "use_0"),
        ProfileRejected(Rejection(f"use_{number}", f"u{number}", "read", reason, "req_1"), 1),
        TraitLeftOut(f"use_{number}", "birthdate", "is not an ISO 8601 date"),
    ]


def write(directory: Path, events: Sequence[Event], *, begins_anew: bool, may_repeat: bool = False) -> None:
    with ProfileLists(directory, begins_anew=begins_anew, may_repeat=may_repeat) as files:
        for event in [PageListed("0", 100), *events]:
            files.write(event)


def begin(directory: Path, *events: Event) -> None:
    """What an import from the first page writes."""
    write(directory, events, begins_anew=True)


def go_on(directory: Path, *events: Event) -> None:
    """What one writes that begins elsewhere or resumes."""
    write(directory, events, begins_anew=False)


def lines(directory: Path) -> dict[str, list[str]]:
    return {path.name: path.read_text(encoding="utf-8").splitlines() for path in directory.iterdir()}


EXPECTED = {
    WITHOUT_IDENTIFIER: ["use_1"],
    DUPLICATES: ["segment_id,same_identifier_as", "use_1,use_0"],
    REJECTED: ["segment_id,source_id,stage,reason,request_id", "use_1,u1,read,answered 404,req_1"],
    WARNINGS: ["segment_id,trait,problem", "use_1,birthdate,is not an ISO 8601 date"],
}


def test_each_profile_is_a_line_of_the_file_that_is_about_it(tmp_path: Path) -> None:
    begin(tmp_path, *about(1))
    assert lines(tmp_path) == EXPECTED


@pytest.mark.parametrize("event", [DONE, ENDED])
def test_lines_can_be_read_once_a_page_is_done_or_an_upsert_has_ended_while_the_import_goes_on(
    tmp_path: Path, event: Event
) -> None:
    with ProfileLists(tmp_path, begins_anew=True) as files:
        for each in [*about(1), event]:
            files.write(each)
        assert lines(tmp_path) == EXPECTED


def test_an_import_that_begins_anew_does_so_with_the_files(tmp_path: Path) -> None:
    begin(tmp_path, *(event for number in range(5) for event in about(number)))
    begin(tmp_path, *about(1))
    assert lines(tmp_path) == EXPECTED


def test_the_files_begin_anew_with_the_first_page_and_not_with_the_others(tmp_path: Path) -> None:
    begin(tmp_path, *about(1), PageListed("100", 100), DONE, PageListed("200", 100))
    assert lines(tmp_path) == EXPECTED


def test_any_other_import_adds_to_the_files_without_repeating_a_line(tmp_path: Path) -> None:
    begin(tmp_path, *about(1, 'answered "400", again'))
    go_on(tmp_path, *about(1, 'answered "400", again'), *about(2))
    written = lines(tmp_path)
    assert written[WITHOUT_IDENTIFIER] == ["use_1", "use_2"]
    assert [line.split(",")[0] for line in written[REJECTED]] == ["segment_id", "use_1", "use_2"]
    assert [line.split(",")[0] for line in written[WARNINGS]] == ["segment_id", "use_1", "use_2"]


@pytest.mark.parametrize("begins_anew", [True, False])
@pytest.mark.parametrize("may_repeat", [True, False])
def test_an_import_that_does_not_come_to_its_first_page_leaves_the_files_as_they_were(
    tmp_path: Path, begins_anew: bool, may_repeat: bool
) -> None:
    begin(tmp_path, *about(1))
    with ProfileLists(tmp_path, begins_anew=begins_anew, may_repeat=may_repeat):
        pass  # e.g. because of a wrong token
    assert lines(tmp_path) == EXPECTED


def test_a_second_warning_about_the_same_profile_is_no_repetition(tmp_path: Path) -> None:
    begin(tmp_path, TraitLeftOut("use_1", "name", "is a list, not text"))
    go_on(tmp_path, TraitLeftOut("use_1", "phone", "is a list, not text"))
    assert len(lines(tmp_path)[WARNINGS]) == 3


def test_a_long_file_can_be_resumed_wherever_its_remembered_end_begins(tmp_path: Path) -> None:
    remembered = 1 << 20
    row = "use_{:07},u,read,answered 404,\n"
    rows = [row.format(number) for number in range(remembered // len(row.format(0)))]
    end = '",req_1\n' + "".join(rows)[: remembered - 9]  # it begins inside the quotes of a reason
    whole_rows = end[: end.rindex("\n") + 1]
    padding = " " * (remembered - len(whole_rows) - 1) + "\n"
    (tmp_path / REJECTED).write_text(f'use_a,u,read,"x, y{whole_rows}{padding}', encoding="utf-8")
    go_on(tmp_path, ProfileRejected(Rejection("use_0000007", "u", "read", "answered 404"), 1))
    assert (tmp_path / REJECTED).read_text(encoding="utf-8").count("use_0000007") == 1


def test_no_file_is_left_by_a_run_that_has_nothing_to_list(tmp_path: Path) -> None:
    begin(tmp_path, DONE)
    go_on(tmp_path, DONE)
    assert list(tmp_path.iterdir()) == []
    begin(tmp_path, *about(1))
    go_on(tmp_path, DONE)
    assert lines(tmp_path) == EXPECTED
    begin(tmp_path, DONE)
    assert list(tmp_path.iterdir()) == []


def modes(directory: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such file modes")
@pytest.mark.parametrize("begins_anew", [True, False])
@pytest.mark.parametrize("was_there", [False, True])
def test_the_files_are_for_their_owner_alone(tmp_path: Path, begins_anew: bool, was_there: bool) -> None:
    for name in FILES if was_there else ():  # the Node script's, for example
        (tmp_path / name).touch(mode=0o644)
    with ProfileLists(tmp_path, begins_anew=begins_anew) as files:
        assert modes(tmp_path) == dict.fromkeys(FILES, 0o600)
        for event in [*about(1), *about(2)]:
            files.write(event)
        files.keep_rejected(["use_1"])
        assert modes(tmp_path) == dict.fromkeys(FILES, 0o600)


@pytest.mark.parametrize("formula", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_cell_is_a_formula_to_a_spreadsheet(tmp_path: Path, formula: str) -> None:
    begin(tmp_path, ProfileRejected(Rejection(formula, formula, "read", formula, formula), 1))
    with (tmp_path / REJECTED).open(encoding="utf-8", newline="") as file:
        _, row = csv.reader(file)
    assert not [cell for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert row[0].endswith(formula[-2:])


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a first run makes tables of Unicode
@given(st.text(st.characters(), min_size=1), st.text(st.characters()))
def test_whatever_a_service_answers_stays_on_its_line_and_in_its_column(segment_id: str, reason: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        events = [ProfileWithoutIdentifier(segment_id), *about(1, reason)[1:]]
        begin(directory, *events)
        go_on(directory, *events)
        assert [len(lines(directory)[file]) for file in FILES] == [1, 2, 2, 2]
        with (directory / REJECTED).open(encoding="utf-8", newline="") as file:
            assert [len(row) for row in csv.reader(file)] == [5, 5]


# --- the list of the rejected ones, as it changes -------------------------------------------------------------


def rejected(segment_id: str, reason: str = "answered 404", source_id: str | None = None) -> ProfileRejected:
    return ProfileRejected(Rejection(segment_id, source_id, "read", reason), 1)


def listed(directory: Path) -> dict[str, str]:
    """The reasons in the list by segment id, in its order; no profile is there twice."""
    path = directory / REJECTED
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["segment_id", "source_id", "stage", "reason", "request_id"]
    reasons = {row[0]: row[3] for row in rows}
    assert len(reasons) == len(rows)
    return reasons


def test_a_resume_keeps_those_on_the_list_that_are_still_rejected_and_no_others(tmp_path: Path) -> None:
    begin(tmp_path, *(rejected(f"use_{number}") for number in range(5)))
    with ProfileLists(tmp_path, begins_anew=False) as files:
        files.keep_rejected({"use_1", "use_3", "use_of_another_list"})
        assert list(listed(tmp_path)) == ["use_1", "use_3"]
    assert list(listed(tmp_path)) == ["use_1", "use_3"]


def test_those_who_succeed_at_last_are_dropped_from_the_list_and_no_others(tmp_path: Path) -> None:
    begin(tmp_path, *(rejected(f"use_{number}") for number in range(5)))
    with ProfileLists(tmp_path, begins_anew=False) as files:
        files.drop_rejected({"use_1", "use_3", "use_of_another_list"})
        assert list(listed(tmp_path)) == ["use_0", "use_2", "use_4"]
    assert list(listed(tmp_path)) == ["use_0", "use_2", "use_4"]


def test_the_other_files_are_left_as_they_are(tmp_path: Path) -> None:
    begin(tmp_path, *about(1), *about(2))
    before = lines(tmp_path)
    with ProfileLists(tmp_path, begins_anew=False) as files:
        files.keep_rejected(["use_1"])
        files.drop_rejected(["use_1"])
    assert lines(tmp_path) == {name: before[name] for name in (WITHOUT_IDENTIFIER, DUPLICATES, WARNINGS)}


def test_a_profile_that_is_rejected_again_is_listed_with_its_last_reason(tmp_path: Path) -> None:
    begin(tmp_path, *(rejected(f"use_{number}", "the first time") for number in range(4)))
    with ProfileLists(tmp_path, begins_anew=False, may_repeat=True) as files:
        files.write(rejected("use_1", "the second time"))
        files.write(rejected("use_3", "the second time"))
        files.drop_rejected({"use_0"})
    assert listed(tmp_path) == {
        "use_1": "the second time",
        "use_2": "the first time",
        "use_3": "the second time",
    }


def test_a_retry_that_is_killed_leaves_both_words_and_the_next_one_the_last(tmp_path: Path) -> None:
    begin(tmp_path, rejected("use_1", "the first time"), rejected("use_2"))
    write(tmp_path, [rejected("use_1", "the second time")], begins_anew=False, may_repeat=True)
    with ProfileLists(tmp_path, begins_anew=False) as files:
        files.keep_rejected({"use_1"})
    assert listed(tmp_path) == {"use_1": "the second time"}


def test_without_leave_to_repeat_it_the_first_word_stands(tmp_path: Path) -> None:
    begin(tmp_path, rejected("use_1", "the first time"))
    go_on(tmp_path, rejected("use_1", "the second time"))
    assert listed(tmp_path) == {"use_1": "the first time"}


ANY_ID = st.text(st.characters(), min_size=1, max_size=8) | st.sampled_from(
    ["=1+1", "-1", "@a", "'", "'=1", '"', 'a"b', "a,b", "a\nb", "a\r\nb", "\t", "\x00", "\ud800", "segment_id", " a "]
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sets(ANY_ID, max_size=8), st.sets(ANY_ID, max_size=8), st.booleans())
def test_a_profile_is_known_by_its_id_however_the_list_has_to_write_it(
    ids: set[str], others: set[str], keeps: bool
) -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        begin(directory, *(rejected(segment_id, segment_id) for segment_id in sorted(ids)))
        chosen = others | set(sorted(ids)[::2])
        with ProfileLists(directory, begins_anew=False) as files:
            if keeps:
                files.keep_rejected(chosen)
            else:
                files.drop_rejected(chosen)
        (directory / "only").mkdir()
        begin(directory / "only", *(rejected(each) for each in sorted(ids & chosen if keeps else ids - chosen)))
        assert list(listed(directory)) == list(listed(directory / "only"))


def test_a_list_that_is_emptied_vanishes(tmp_path: Path) -> None:
    begin(tmp_path, rejected("use_1"), rejected("use_2"))
    with ProfileLists(tmp_path, begins_anew=False) as files:
        files.drop_rejected({"use_1", "use_2"})
    assert list(tmp_path.iterdir()) == []


def test_a_list_that_never_was_is_not_made_by_keeping_or_dropping_anybody(tmp_path: Path) -> None:
    with ProfileLists(tmp_path, begins_anew=False) as files:
        files.keep_rejected({"use_1"})
        files.drop_rejected({"use_1"})
    assert list(tmp_path.iterdir()) == []


def test_whoever_is_rejected_afterwards_is_added_below_those_that_were_kept(tmp_path: Path) -> None:
    begin(tmp_path, rejected("use_1"), rejected("use_2"))
    with ProfileLists(tmp_path, begins_anew=False) as files:
        files.keep_rejected({"use_1"})
        files.write(rejected("use_1", "listed already"))
        files.write(rejected("use_2", "rejected anew"))
        files.write(rejected("use_3"))
        files.write(DONE)
        assert listed(tmp_path) == {"use_1": "answered 404", "use_2": "rejected anew", "use_3": "answered 404"}


def test_whoever_is_rejected_after_the_list_was_emptied_begins_it_anew_with_its_header(tmp_path: Path) -> None:
    begin(tmp_path, rejected("use_1"))
    with ProfileLists(tmp_path, begins_anew=False) as files:
        files.drop_rejected({"use_1"})
        files.write(rejected("use_2"))
    assert list(listed(tmp_path)) == ["use_2"]


def test_what_was_only_just_added_can_be_kept_or_dropped_too(tmp_path: Path) -> None:
    with ProfileLists(tmp_path, begins_anew=True) as files:
        for number in range(3):
            files.write(rejected(f"use_{number}"))
        files.drop_rejected({"use_1"})
    assert list(listed(tmp_path)) == ["use_0", "use_2"]


def test_a_list_that_someone_saved_from_a_spreadsheet_can_still_be_kept_in_order(tmp_path: Path) -> None:
    header, *_ = EXPECTED[REJECTED]
    rows = [header, "use_1,Jos\xe9,read,answered 404,req_1", "use_2,u2,read,answered 404,"]
    (tmp_path / REJECTED).write_bytes("".join(f"{row}\r\n" for row in rows).encode("cp1252"))
    with ProfileLists(tmp_path, begins_anew=False) as files:
        files.keep_rejected({"use_2"})
    assert list(listed(tmp_path)) == ["use_2"]


@pytest.mark.parametrize("length", [1_000, 140_000, 1_100_000])
def test_a_source_id_of_any_length_on_the_list_hinders_no_later_run(tmp_path: Path, length: int) -> None:
    begin(tmp_path, rejected("use_1", source_id="x" * length), rejected("use_2"))
    with ProfileLists(tmp_path, begins_anew=False) as files:
        files.write(rejected("use_3"))
        files.drop_rejected({"use_1"})
    assert list(listed(tmp_path)) == ["use_2", "use_3"]


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
        ProfileLists(tmp_path, begins_anew=True)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=rf"nowhere.{WITHOUT_IDENTIFIER} cannot be written: No such file"):
        ProfileLists(tmp_path / "nowhere", begins_anew=True)


@pytest.mark.parametrize("name", FILES)
def test_a_full_disk_is_an_error_before_a_page_is_done(tmp_path: Path, name: str) -> None:
    event = about(1)[FILES.index(name)]
    with room_for(3), pytest.raises(OutputError, match=f"{name} cannot be written"):
        begin(tmp_path, event, DONE)


@pytest.mark.parametrize("name", FILES)
def test_a_line_that_a_full_disk_cut_off_does_not_spoil_those_that_a_resume_adds(tmp_path: Path, name: str) -> None:
    first, again, later = (about(number, 'a "b", c')[FILES.index(name)] for number in (1, 2, 3))
    begin(tmp_path, first, again)
    whole = (tmp_path / name).read_text(encoding="utf-8")
    (tmp_path / name).write_text(whole[:-3], encoding="utf-8")
    go_on(tmp_path, again, later)
    with (tmp_path / name).open(encoding="utf-8", newline="") as file:
        written = [row[0] for row in csv.reader(file)]
    assert written[-3:] == ["use_1", "use_2", "use_3"]


def test_a_full_disk_leaves_the_list_as_it_was_instead_of_a_half_of_it(tmp_path: Path) -> None:
    begin(tmp_path, *(rejected(f"use_{number}") for number in range(50)))
    before = (tmp_path / REJECTED).read_bytes()
    with ProfileLists(tmp_path, begins_anew=False) as files:
        with room_for(100), pytest.raises(OutputError, match=f"{REJECTED} cannot be written"):
            files.drop_rejected({"use_1"})
        assert (tmp_path / REJECTED).read_bytes() == before
    assert (tmp_path / REJECTED).read_bytes() == before


def test_a_leftover_of_a_run_that_was_killed_in_between_is_no_hindrance(tmp_path: Path) -> None:
    begin(tmp_path, rejected("use_1"), rejected("use_2"))
    (tmp_path / f"{REJECTED}.new").write_text(
        "segment_id,source_id,stage,reason,request_id\nuse_9,u,re", encoding="utf-8"
    )
    with ProfileLists(tmp_path, begins_anew=False) as files:
        files.keep_rejected({"use_2"})
    assert list(listed(tmp_path)) == ["use_2"]
    assert [path.name for path in tmp_path.iterdir()] == [REJECTED]
