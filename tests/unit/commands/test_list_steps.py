"""What a terminal shows about the lists of profiles when a run has ended, and what they mean for the exit code."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from segsync.commands import next_steps
from segsync.commands.next_steps import exit_code
from segsync.models import Outcomes
from tests.unit.commands.endings import REQUEST as ANY_REQUEST
from tests.unit.commands.endings import called, ended, shown

REQUEST = replace(ANY_REQUEST, ledger=Path("prod.db"), command=called("--ledger", "prod.db"))


def test_rejections_of_earlier_runs_are_still_an_exit_code_and_a_way_on() -> None:
    report = structs.replace(ended("done", Outcomes(confirmed=10)), rejected_now=23)
    assert exit_code(report, 0) == 3
    assert shown(report, REQUEST)[0] == "Rejected by earlier runs: 23 profiles. After fixing the causes, run:"
    [note] = next_steps.notes_on_lists(REQUEST, report)
    assert note == "prod-rejected-profiles.csv lists 23 profiles, including those that earlier runs rejected."
    assert exit_code(structs.replace(report, rejected_now=0, unknown_now=1), 0) == 3
    [note] = next_steps.notes_on_lists(replace(REQUEST, ledger=Path("eu/prod.db")), report)
    assert note.startswith("eu/prod-rejected-profiles.csv lists 23 profiles")
    [note] = next_steps.notes_on_lists(replace(REQUEST, directory=Path("lists")), report)
    assert note.startswith("lists/prod-rejected-profiles.csv lists 23 profiles")


def test_rejections_that_a_later_run_has_resolved_are_none() -> None:
    report = structs.replace(ended("done", Outcomes(confirmed=10, rejected=23)), rejected_now=0, unknown_now=0)
    assert exit_code(report, 0) == 0
    assert shown(report, REQUEST) == []
    assert [*next_steps.notes_on_lists(REQUEST, report)] == []


@pytest.mark.parametrize("outcomes", [Outcomes(confirmed=10), Outcomes(confirmed=9, rejected=1)])
def test_a_list_that_could_not_be_written_is_no_success_and_status_is_the_way_out(outcomes: Outcomes) -> None:
    report = structs.replace(ended("done", outcomes), unwritten=("x cannot be written: Is a directory",))
    assert exit_code(report, 0) == 1
    words, command, *_ = shown(report, REQUEST)
    assert words.startswith("Nothing is lost: the lists of profiles come from the ledger.")
    assert command == "  python -m segsync status --ledger prod.db"
    there = called("--ledger", "prod.db", "--directory", "my lists")
    elsewhere = shown(report, replace(REQUEST, directory=Path("my lists"), command=there))[1]
    assert elsewhere == "  python -m segsync status --ledger prod.db --directory 'my lists'"
    assert exit_code(structs.replace(report, state="interrupted"), 2) == 130


def test_that_a_list_has_values_is_said() -> None:
    report = ended("done", Outcomes(confirmed=9, rejected=1))
    assert [*next_steps.notes_on_lists(REQUEST, report)] == []
    [note] = next_steps.notes_on_lists(replace(REQUEST, show_values=True), report)
    assert "(--show-values). It is personal data, readable by you alone" in note
