"""The next steps after runs that are not an import of the space: what they leave, and what the import left."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec import structs

from segsync.commands import next_steps
from segsync.commands.ledger_steps import Left, of_ids, of_ledger
from segsync.commands.next_steps import exit_code
from segsync.models import NextStep, Outcomes
from segsync.options import ImportOptions
from tests.unit.commands.endings import FLAGS, IDS, RETRY, called, ended

COMMAND = called("--ledger", "my ledger.db", "--limit", "600", "--no-confirm")
LIMITED = Left("limited", COMMAND, 600)
STOPPED = Left("stopped", COMMAND, 600)
DONE = Left("done", COMMAND)
REST = f"python -m segsync --resume {FLAGS} --no-confirm"
RESULTS = f"python -m segsync --resume {FLAGS}"
LIMITED_RESULTS = f"python -m segsync --resume --limit 600 {FLAGS}"
RETRY_AGAIN = f"python -m segsync --retry-rejected {FLAGS}"
RESUME_LIMITED = f"python -m segsync --resume --limit 600 {FLAGS} --no-confirm"


def commands(steps: list[NextStep]) -> list[str | None]:
    return [step.command for step in steps]


@pytest.mark.parametrize("options", [RETRY, IDS])
@pytest.mark.parametrize(("left", "expected"), [(LIMITED, [REST]), (STOPPED, [RESUME_LIMITED]), (DONE, [])])
def test_after_a_retry_or_given_ids_the_step_of_the_import_itself_follows(
    options: ImportOptions, left: Left, expected: list[str]
) -> None:
    report = ended("done", Outcomes(confirmed=9), offset=None, unknown_ids=0 if options.ids else None)
    assert commands(next_steps.of_run(options, report, left)) == expected
    rejected = structs.replace(report, rejected_now=1)
    assert commands(next_steps.of_run(options, rejected, left)) == [*expected, RETRY_AGAIN]
    in_status = [step.command for step in of_ledger(left) if step.command]
    assert in_status == expected, "status gives the same"
    assert len(of_ledger(left, rejected_at=["read"])) == len(expected) + 1, "and the retry"


@pytest.mark.parametrize(
    ("left", "words", "expected"),
    [
        (DONE, "To read them, run:", [RESULTS]),
        (LIMITED, "To read them, run:", [LIMITED_RESULTS, REST]),
        (STOPPED, "To resume the import, which reads the results too, run:", [RESUME_LIMITED]),
    ],
)
def test_the_command_that_reads_results_lists_nothing_and_reads_them(
    left: Left, words: str, expected: list[str]
) -> None:
    report = ended("interrupted", Outcomes(confirmed=9, sent=77), offset=None)
    steps = next_steps.of_run(RETRY, report, left)
    assert steps[0].words == f"The results of 77 customers are not read. {words}"
    assert commands(steps) == expected
    assert commands(of_ledger(left._replace(has_open_ends=True))) == expected


def test_given_ids_that_were_all_read_and_whose_results_were_not_need_only_those() -> None:
    report = ended("interrupted", Outcomes(confirmed=9, sent=77), offset=None, unknown_ids=0)
    assert commands(next_steps.of_run(IDS, report, LIMITED)) == [LIMITED_RESULTS, REST]


def test_a_resume_that_read_the_results_of_given_ids_names_the_ids_that_are_left() -> None:
    again = of_ids(called("--ledger", "my ledger.db"), "my ids.csv", 284)
    report = ended("interrupted", Outcomes(confirmed=316, pending=284), offset=None)
    options = replace(RETRY, retry_rejected=False, resume=True)
    steps = next_steps.of_run(options, report, Left("ids", COMMAND, ids_step=again))
    assert steps == [again]
    assert again.words.startswith("The profiles of my ids.csv are not all done: 284 profiles left.")
    assert exit_code(report, 0) == 3, "another --resume would not change it"


def test_a_resume_of_an_import_names_them_too() -> None:
    again = of_ids(called(), "my ids.csv", 1)
    report = ended("done", Outcomes(confirmed=316))
    options = replace(RETRY, retry_rejected=False, resume=True)
    assert next_steps.of_run(options, report, DONE._replace(ids_step=again)) == [again]
    assert next_steps.of_run(RETRY, report, DONE._replace(ids_step=again)) == [again]


def test_ids_from_standard_input_hide_no_command() -> None:
    again = of_ids(called(), "-", 1)
    assert of_ledger(DONE._replace(ids_step=again)) == [again]
    assert commands(of_ledger(DONE._replace(ids_step=again), rejected_at=["read"])) == [
        f"python -m segsync --retry-rejected {FLAGS}",  # without --no-confirm: only a result resolves a dead letter
        None,
    ]
    assert commands(of_ledger(LIMITED._replace(ids_step=again))) == [REST, None]
