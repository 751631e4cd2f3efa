"""Rare outcomes in the log: duplicate identifiers, the search for refused customers, unknown results."""

from __future__ import annotations

from segsync.events import DuplicateIdentifier, OnEvent, PageReplayed, ProfileRejected, ReadingEnded, ResultUnknown
from segsync.models import Rejection
from segsync.monitor.log import WARNINGS_SHOWN
from segsync.report.profile_lists import DUPLICATES
from tests.unit.monitor.test_log import records, shown


async def many_duplicates(emit: OnEvent) -> None:
    for number in range(WARNINGS_SHOWN + 5):
        emit(DuplicateIdentifier(f"use_{number}", 1, "use_other", "aa_1" if number == 1 else None))


def test_the_first_are_shown_with_the_other_profile_and_then_once_the_file_that_has_all() -> None:
    lines = shown(many_duplicates)
    found = [line for line in lines if "Duplicate identifier: " in line]
    assert len(found) == WARNINGS_SHOWN
    assert "use_0 has the same as use_other, whose values are kept" in found[0]
    assert sum(DUPLICATES in line for line in lines) == 1


def test_a_verbose_log_has_all_and_each_has_its_fields() -> None:
    lines = [line for line in records(many_duplicates, verbose=True) if line["event"] == "duplicate_identifier"]
    assert [line["segment_id"] for line in lines] == [f"use_{number}" for number in range(WARNINGS_SHOWN + 5)]
    assert {line["same_identifier_as"] for line in lines} == {"use_other"}
    assert [line["level"] for line in lines] == ["warning"] * WARNINGS_SHOWN + ["debug"] * 5


def test_at_a_terminal_without_lists_it_says_how_to_see_all() -> None:
    assert any("--verbose" in line for line in shown(many_duplicates, is_dry_run=True))


def test_the_steps_of_a_search_are_shown_now_and_then() -> None:
    async def search(emit: OnEvent) -> None:
        for profiles in (100, 50, 25):
            emit(PageReplayed(profiles, is_retry=False, is_search=True))
            emit(ReadingEnded(2))

    levels = [(line["event"], line["level"]) for line in records(search, verbose=True)]
    for kind in ("page_replayed", "reading_ended"):
        assert [level for event, level in levels if event == kind] == ["info", "debug", "debug"]


def test_unknown_results_are_warnings_as_rejections_are() -> None:
    async def forgets(emit: OnEvent) -> None:
        for number in range(200):
            emit(ResultUnknown(f"use_{number}", 1, "Voucherify does not know it any more"))

    lines = [line for line in records(forgets, verbose=True) if line["event"] == "result_unknown"]
    assert lines[0]["message"] == "Result unknown: use_0: Voucherify does not know it any more"
    assert (lines[0]["level"], lines[-1]["level"], len(lines)) == ("warning", "debug", 200)


def test_a_rejection_has_the_code_of_its_reason_in_a_field_and_at_the_end_of_its_line() -> None:
    async def rejects(emit: OnEvent) -> None:
        emit(ProfileRejected(Rejection("use_1", None, "read", "answered 404", code="not-found"), 1))

    [line] = [line for line in records(rejects) if line["event"] == "profile_rejected"]
    assert (line["reason"], line["code"]) == ("answered 404", "not-found")
    assert line["message"] == "Rejected: use_1 (read): answered 404 [not-found]"
