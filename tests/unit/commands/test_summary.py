"""The table at the end of a run: it adds up, and says no more than is known."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from rich.console import Console
from rich.text import Text

from segsync.commands.output import print_outcomes
from segsync.commands.summary import summary
from segsync.errors import StopError
from segsync.formatting import duration
from segsync.models import LastCheck, Outcomes
from segsync.report.counters import ServiceCalls
from segsync.report.import_report import EndState, ImportReport
from segsync.report.profile_lists import DUPLICATES, REJECTED, UNKNOWN_IDS, WARNINGS, WITHOUT_IDENTIFIER


def report(
    outcomes: Outcomes,
    state: EndState = "done",
    resume_offset: str | None = None,
    *,
    is_confirmed: bool = True,
    before: Outcomes = Outcomes(),  # noqa: B008 - it is frozen
    unknown_ids: int | None = None,
) -> ImportReport:
    return ImportReport(
        state=state,
        error=StopError("enough") if state == "stopped" else None,
        outcomes=outcomes,
        before=before,
        checkpointed=outcomes,
        is_confirmed=is_confirmed,
        offset="0",
        resume_offset=resume_offset,
        seconds=3725.4,
        calls={"Segment": ServiceCalls(2_345_678, 1_234, 56), "Voucherify": ServiceCalls(12_345, 7, 8)},
        warnings={"birthdate": 1_200, "name": 34},
        warned_profiles=1_210,
        unknown_ids=unknown_ids,
    )


def printed(result: ImportReport, width: int = 80) -> str:
    console = Console(width=width, file=StringIO(), color_system=None)
    console.print(summary(result))
    assert isinstance(console.file, StringIO)
    assert max(map(len, console.file.getvalue().splitlines())) <= width
    return console.file.getvalue()


def rows(result: ImportReport) -> dict[str, list[str]]:
    """The cells of each row by its first one."""
    cells = [re.split(r" {2,}", line.strip()) for line in printed(result).splitlines()]
    return {first: others for first, *others in cells}


CUSTOMERS = ("Customers confirmed", "Customers sent")
OTHER_OUTCOMES = ("Without identifier", "Duplicate identifier", "Rejected", "Result unknown", "Pending")


def number(cells: list[str]) -> int:
    return int(cells[0].replace(",", ""))


def test_the_summary_shows_every_outcome_and_they_add_up_to_the_profiles() -> None:
    outcomes = Outcomes(
        confirmed=1_234_567, sent=8_900, without_identifier=89_012, duplicate=7, rejected=345, unknown=12, pending=67
    )
    table = rows(report(outcomes, state="stopped", resume_offset="1323900"))
    counts = [number(table[name]) for name in ("Profiles listed", *CUSTOMERS, *OTHER_OUTCOMES)]
    assert counts == [1_234_567 + 8_900 + 89_012 + 7 + 345 + 12 + 67, 1_234_567, 8_900, 89_012, 7, 345, 12, 67]
    assert table["Without identifier"][1] == WITHOUT_IDENTIFIER
    assert table["Rejected"][1] == REJECTED
    assert table["Result unknown"][1] == "sent; whether it was written is unknown"
    assert table["Pending"][1] == "from offset 1323900"


COUNTS = st.sampled_from([0, 0, 1, 99, 1_000, 1_234_567])


@given(
    st.builds(Outcomes, *[COUNTS] * 7),
    st.booleans(),
    st.sampled_from(["100", None]),
)
def test_whatever_the_outcomes_the_rows_that_are_there_add_up_to_the_profiles(
    outcomes: Outcomes, is_confirmed: bool, resume_offset: str | None
) -> None:
    table = rows(report(outcomes, "stopped", resume_offset, is_confirmed=is_confirmed))
    shown = [number(table[name]) for name in (*CUSTOMERS, *OTHER_OUTCOMES) if name in table]
    assert sum(shown) == number(table["Profiles listed"]) == outcomes.profiles


def test_outcomes_that_most_imports_have_none_of_are_shown_only_where_there_are_some() -> None:
    assert not {"Duplicate identifier", "Result unknown"} & rows(report(Outcomes(confirmed=100))).keys()


def test_a_run_that_read_every_result_says_confirmed_and_nothing_of_merely_sent_ones() -> None:
    table = rows(report(Outcomes(confirmed=100)))
    assert table["Customers confirmed"] == ["100", "written by Voucherify"]
    assert "Customers sent" not in table


def test_a_run_that_does_not_ask_says_sent_and_not_confirmed() -> None:
    table = rows(report(Outcomes(sent=100), is_confirmed=False))
    assert table["Customers sent"] == ["100", "accepted by Voucherify, result not read"]
    assert "Customers confirmed" not in table


def test_customers_whose_result_is_not_read_yet_are_not_called_confirmed() -> None:
    table = rows(report(Outcomes(confirmed=60, sent=40), state="interrupted"))
    assert (number(table["Customers confirmed"]), number(table["Customers sent"])) == (60, 40)


def test_what_an_earlier_process_read_is_shown_by_one_that_does_not_ask_too() -> None:
    table = rows(report(Outcomes(confirmed=60, sent=40), is_confirmed=False))
    assert (number(table["Customers confirmed"]), number(table["Customers sent"])) == (60, 40)


@pytest.mark.parametrize(("is_confirmed", "row"), [(True, "Customers confirmed"), (False, "Customers sent")])
def test_where_there_was_nobody_to_send_a_zero_says_so(is_confirmed: bool, row: str) -> None:
    table = rows(report(Outcomes(without_identifier=5), is_confirmed=is_confirmed))
    assert [name for name in CUSTOMERS if name in table] == [row]
    assert number(table[row]) == 0


def test_profiles_that_are_to_be_replayed_have_no_offset() -> None:
    text = printed(report(Outcomes(confirmed=5, pending=3), state="stopped", resume_offset=None))
    assert re.search(r"Pending +3 +to be replayed", text)
    assert "None" not in text


def test_the_summary_shows_calls_warnings_time_and_pace() -> None:
    table = rows(report(Outcomes(confirmed=80_000, sent=10_000, without_identifier=10_000)))
    assert table["Segment calls"] == ["2,345,678", "1,234 retries, 56 answered 429"]
    assert table["Voucherify calls"] == ["12,345", "7 retries, 8 answered 429"]
    assert table["Warnings"][0] == "1,234"
    assert table["Time"] == ["1:02:05"]
    assert table["per 100 customers"] == ["4.14 s"]
    assert table["per 100 profiles"] == ["3.73 s"]


def test_the_pace_of_a_resumed_import_is_that_of_this_process() -> None:
    before = Outcomes(confirmed=900_000, without_identifier=100_000)
    table = rows(report(Outcomes(confirmed=990_000, without_identifier=110_000), before=before))
    assert (table["per 100 customers"], table["per 100 profiles"]) == (["4.14 s"], ["3.73 s"])
    text = printed(report(before, before=before))
    assert "per 100" not in text


def test_the_summary_of_nothing_names_no_file_and_no_pace() -> None:
    text = printed(report(Outcomes()))
    assert [words for words in ("per 100", WITHOUT_IDENTIFIER, REJECTED) if words in text] == []


@pytest.mark.parametrize("width", [40, 50, 60, 80, 120])
def test_in_a_window_of_any_width_files_and_the_offset_are_named_in_full(width: int) -> None:
    outcomes = Outcomes(confirmed=1_234_567, without_identifier=89_012, duplicate=7, rejected=345, pending=67)
    cursor = "eyJzdGFydF9pZCI6MTIzNDU2Nzg5MH0="
    text = printed(report(outcomes, state="stopped", resume_offset=cursor), width)
    notes = "".join(re.split(r" {3,}", line.rstrip())[-1].strip() for line in text.splitlines())
    assert [name for name in (WITHOUT_IDENTIFIER, DUPLICATES, REJECTED, WARNINGS, cursor) if name not in notes] == []


@pytest.mark.parametrize(
    ("state", "rejected", "title"),
    [
        ("done", 0, "Done"),
        ("done", 1, "Done, with rejected profiles"),
        ("interrupted", 0, "Interrupted"),
        ("stopped", 1, "Stopped early"),
    ],
)
def test_the_summary_is_titled_by_how_it_ended(state: EndState, rejected: int, title: str) -> None:
    result = report(Outcomes(confirmed=1, rejected=rejected), state=state)
    assert printed(result).splitlines()[0].strip() == title


@pytest.mark.parametrize("cursor", ["[/b]", "a[red]b", "[link=x]", ":key:"])
def test_a_cursor_is_shown_as_it_is_whatever_it_holds(cursor: str) -> None:
    assert f"from offset {cursor}" in printed(report(Outcomes(pending=1), state="stopped", resume_offset=cursor))


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.2, "0:00:00"), (59.6, "0:01:00"), (3725.4, "1:02:05"), (90_000, "1 day, 1:00:00")]
)
def test_a_duration_is_shown_in_hours_minutes_and_seconds(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


CHECKED = LastCheck("2026-11-28T10:07:00+00:00", 230, ("plan", "[bold]x", "vip"), "METADATA_TRAITS=*")


@pytest.mark.parametrize("width", [80, 200])
def test_what_the_last_check_found_left_behind_is_repeated_with_its_date(width: int) -> None:
    text = " ".join(printed(replace(report(Outcomes(confirmed=1)), not_imported=CHECKED), width).split())
    for words in ("imported", "230", "2026-11-28", "plan, [bold]x, vip", "227 more", "METADATA_TRAITS=*"):
        assert words in text
    few = replace(CHECKED, traits=3)
    assert "more" not in rows(replace(report(Outcomes(confirmed=1)), not_imported=few))["Traits not imported"][1]


@pytest.mark.parametrize("checked", [None, LastCheck("2026-11-28T10:07:00+00:00", 0)])
def test_a_check_that_found_nothing_or_was_never_made_is_not_mentioned(checked: LastCheck | None) -> None:
    assert "Traits not imported" not in printed(replace(report(Outcomes(confirmed=1)), not_imported=checked))


def test_it_says_which_numbers_are_of_the_whole_import_and_which_of_this_process() -> None:
    before = Outcomes(confirmed=900, without_identifier=100)
    lines = printed(report(Outcomes(confirmed=990, without_identifier=110), before=before)).splitlines()
    assert re.search(r"Profiles listed +1,100 +1,000 of them done by earlier processes", "\n".join(lines))
    [at] = [number for number, line in enumerate(lines) if line.strip() == "This process:"]
    names = ("Segment calls", "Voucherify calls", "Time", "per 100 customers")
    assert [any(name in line for line in lines[at:]) for name in names] == [True] * 4
    assert not any(name in line for line in lines[:at] for name in names)
    assert any("Warnings" in line for line in lines[:at])
    assert "earlier processes" not in printed(report(Outcomes(confirmed=5)))


def test_warnings_are_counted_with_their_unit() -> None:
    text = printed(report(Outcomes(confirmed=5)), width=100)
    assert re.search(r"Warnings +1,234 +in 1,210 profiles of this ledger: profiles-with-warnings.csv", text)
    one = replace(report(Outcomes(confirmed=5)), warnings={"name": 1}, warned_profiles=1)
    assert re.search(r"Warnings +1 +in 1 profile of this ledger: profiles-with-warnings.csv", printed(one, width=100))
    none = replace(report(Outcomes(confirmed=5)), warnings={}, warned_profiles=0)
    assert rows(none)["Warnings"] == ["0"]


def test_one_retry_is_a_retry() -> None:
    result = replace(report(Outcomes(confirmed=5)), calls={"Segment": ServiceCalls(9, 1, 0)})
    assert rows(result)["Segment calls"] == ["9", "1 retry, 0 answered 429"]


def test_the_lists_have_the_names_that_they_have_on_disk() -> None:
    result = report(Outcomes(confirmed=5, without_identifier=4, duplicate=3, rejected=2))
    console = Console(width=120, file=StringIO())
    console.print(summary(result, Path("data/prod.db")))
    assert isinstance(console.file, StringIO)
    shown = console.file.getvalue()
    assert all(f"prod-{name}" in shown for name in (WITHOUT_IDENTIFIER, DUPLICATES, REJECTED, WARNINGS))
    assert not any(f" {name}" in shown for name in (WITHOUT_IDENTIFIER, DUPLICATES, REJECTED, WARNINGS))


@pytest.mark.parametrize("folder", ["eu", "/data/" + "f" * 70])
@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_lists_of_another_folder_are_named_with_it_in_one_piece(width: int, folder: str) -> None:
    result = report(Outcomes(confirmed=5, without_identifier=4, duplicate=3, rejected=2), unknown_ids=1)
    console = Console(width=width, file=StringIO())
    print_outcomes(console, summary(result, Path(folder, "segsync.db"), Path(folder)))
    assert isinstance(console.file, StringIO)
    lines = console.file.getvalue().splitlines()
    names = (WITHOUT_IDENTIFIER, DUPLICATES, REJECTED, WARNINGS, UNKNOWN_IDS)
    assert [name for name in names if not any(line.endswith(f" {folder}/{name}") for line in lines)] == []
    assert not any(line.endswith(" ") for line in lines), "which a narrow terminal would show as an empty line"


def test_a_table_is_printed_as_it_is_drawn() -> None:
    result = report(Outcomes(confirmed=5, without_identifier=4), unknown_ids=1)
    drawn, shown = (Console(width=80, file=StringIO(), force_terminal=True) for _ in range(2))
    drawn.print(summary(result), highlight=False)
    print_outcomes(shown, summary(result))
    assert isinstance(drawn.file, StringIO)
    assert isinstance(shown.file, StringIO)
    plain = [Text.from_ansi(file.getvalue()).plain for file in (drawn.file, shown.file)]
    assert [line.rstrip() for line in plain[0].splitlines()] == plain[1].splitlines()
    assert "\x1b[2m" in shown.file.getvalue(), "the notes are dim"


def test_a_run_of_given_ids_counts_the_known_ones_and_apart_from_them_the_unknown() -> None:
    table = rows(report(Outcomes(confirmed=20, rejected=3), unknown_ids=0))
    assert table["Profiles of --ids"] == ["23"]
    assert not {"Profiles listed", "Unknown ids"} & table.keys()
    result = report(Outcomes(confirmed=20), unknown_ids=1_002)
    assert rows(result)["Unknown ids"] == ["1,002", UNKNOWN_IDS]
    assert "Done, with unknown ids" in printed(result)
    assert rows(replace(result, is_dry_run=True))["Unknown ids"] == ["1,002"]
    interrupted = report(Outcomes(confirmed=20, pending=3), "interrupted", "20", unknown_ids=0)
    assert rows(interrupted)["Pending"] == ["3", "to be sent again"]
