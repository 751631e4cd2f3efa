"""Profiles with the identifier of another one in the log: the first of them, and where all are."""

from __future__ import annotations

from segsync.events import DuplicateIdentifier, OnEvent
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
    assert "use_0 has that of use_other, whose values are kept" in found[0]
    assert sum(DUPLICATES in line for line in lines) == 1


def test_a_verbose_log_has_all_and_each_has_its_fields() -> None:
    lines = [line for line in records(many_duplicates, verbose=True) if line["event"] == "duplicate_identifier"]
    assert [line["segment_id"] for line in lines] == [f"use_{number}" for number in range(WARNINGS_SHOWN + 5)]
    assert {line["same_identifier_as"] for line in lines} == {"use_other"}
    assert [line["level"] for line in lines] == ["warning"] * WARNINGS_SHOWN + ["debug"] * 5


def test_at_a_terminal_without_lists_it_says_how_to_see_all() -> None:
    assert any("--verbose" in line for line in shown(many_duplicates, is_dry_run=True))
