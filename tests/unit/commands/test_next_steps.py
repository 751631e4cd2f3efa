"""What a terminal shows when a run has ended: every kind of ending has its words, its next steps and its exit code."""

from __future__ import annotations

import shlex
import signal
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from segsync.commands import next_steps
from segsync.commands.next_steps import conclusion, could_go_on, dry_run_notes, exit_code
from segsync.connectors.file import output_at
from segsync.errors import QuotaError, TransientError
from segsync.models import Outcomes, RejectionGroup, Stage
from segsync.options import ImportOptions, Invocation
from segsync.report.import_report import EndState, ImportReport
from tests.unit.commands.endings import (
    AT_A_TERMINAL,
    ENOUGH,
    FLAGS,
    HALF,
    IDS,
    REFUSED,
    REQUEST,
    RETRY,
    SANDBOX,
    called,
    ended,
    shown,
)

# --- done -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "outcomes", [Outcomes(confirmed=90, without_identifier=10), Outcomes(sent=90, without_identifier=10)]
)
def test_an_import_that_is_done_needs_no_words(outcomes: Outcomes) -> None:
    report = ended("done", outcomes, is_confirmed=not outcomes.sent)
    assert shown(report) == []
    assert exit_code(report, 0) == 0


def test_after_rejections_the_way_to_retry_them_is_named() -> None:
    report = ended("done", Outcomes(confirmed=90, rejected=10))
    assert shown(report) == [
        "Rejected: 10 profiles. After fixing the causes, run:",
        f"  python -m segsync --retry-rejected {FLAGS}",
    ]
    assert exit_code(report, 0) == 3


@pytest.mark.parametrize("stage", ["upsert", "confirm"])
def test_after_rejections_by_voucherify_the_flag_that_shows_its_words_is_named(
    stage: Stage,
) -> None:
    report = ended("done", Outcomes(confirmed=90, rejected=10))
    refused = msgspec.structs.replace(report, rejections=(RejectionGroup(stage, "… was refused", 10),))
    [words, command] = shown(refused)
    assert words == (
        "Rejected: 10 profiles. After fixing the causes, run (add --show-values to see Voucherify's own words):"
    )
    assert "--show-values" not in command, "it is personal data: nobody gets it who does not ask for it"
    options = replace(REQUEST, show_values=True, command=called("--show-values"))
    assert shown(refused, options) == [
        "Rejected: 10 profiles. After fixing the causes, run:",
        "  python -m segsync --retry-rejected --show-values",
    ]


@pytest.mark.parametrize("stage", ["read", "map"])
def test_other_rejections_have_no_words_of_voucherify_s(stage: Stage) -> None:
    report = ended("done", Outcomes(confirmed=90, rejected=10))
    report = msgspec.structs.replace(report, rejections=(RejectionGroup(stage, "not found", 10),))
    assert shown(report)[0] == "Rejected: 10 profiles. After fixing the causes, run:"


@pytest.mark.parametrize(("cursor", "typed"), [("100", "100"), ("c+/=MTIw&?% é", "'c+/=MTIw&?% é'")])
def test_a_limit_that_is_reached_is_named_with_the_offset_behind_it(cursor: str, typed: str) -> None:
    report = ended("done", Outcomes(confirmed=90, without_identifier=10), resume_offset=cursor)
    assert shown(report, replace(REQUEST, limit=100)) == [
        f"--limit 100 reached. The next profiles begin at --offset {typed}. "
        "When the customers look right in Voucherify, import the rest:",
        f"  python -m segsync --resume {FLAGS}",
    ]
    assert exit_code(report, 0) == 0


@pytest.mark.parametrize(("offset", "where"), [("0", "in space spa_1:"), ("700", "in space spa_1 from offset 700:")])
def test_a_space_without_profiles_is_named_and_is_not_an_error(offset: str, where: str) -> None:
    report = ended("done", Outcomes(), offset=offset)
    [line] = shown(report)
    assert line.startswith(f"Segment lists no profiles {where} nothing to import. Check SEGMENT_SPACE_ID")
    assert exit_code(report, 0) == 0


def test_an_identifier_that_nobody_has_is_questioned() -> None:
    options = replace(REQUEST, command=called("--env-file", "my settings", "--ledger", "a.db", "--limit", "100"))
    [line] = shown(ended("done", Outcomes(without_identifier=100)), options)
    assert "No profile has an external id of type 'email', so nothing was sent" in line
    assert (
        "Check IDENTIFIER_SAVED_AS_SOURCE_ID: `python -m segsync check --ledger a.db --env-file 'my settings'` shows"
        in line
    )


def test_an_identifier_that_a_few_have_is_not_questioned() -> None:
    assert shown(ended("done", Outcomes(confirmed=1, without_identifier=99))) == []


def test_a_limit_all_of_whose_profiles_lack_the_identifier_has_both_steps() -> None:
    first, _, second = shown(
        ended("done", Outcomes(without_identifier=5), resume_offset="5"), replace(REQUEST, limit=5)
    )
    assert "--limit 5 reached" in first
    assert "'email'" in second


# --- stopped or interrupted while profiles are listed ---------------------------------------------------------


def test_after_an_error_the_ways_on_are_commands_to_copy_with_and_without_the_ledger() -> None:
    assert shown(HALF) == [
        "Error: enough",
        "The current offset is: 50. To resume from it, run:",
        f"  python -m segsync --resume {FLAGS}",
        "To start a new run at this offset:",
        f"  python -m segsync --offset 50 {FLAGS}",
    ]
    assert exit_code(HALF, 0) == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"])
def test_an_interruption_has_the_same_ways_on_and_the_exit_code_of_its_signal(number: int, code: int) -> None:
    report = ended("interrupted", HALF.outcomes, resume_offset="50", checkpointed=HALF.checkpointed)
    assert shown(report) == shown(HALF)[1:]
    assert exit_code(report, number) == code


def test_an_interruption_with_an_error_shows_it() -> None:
    report = ended("interrupted", HALF.outcomes, error=ENOUGH, resume_offset="50", checkpointed=HALF.checkpointed)
    assert shown(report) == shown(HALF)
    assert exit_code(report, signal.SIGINT) == 130


def test_the_limit_is_repeated_whole_for_the_ledger_and_what_is_left_of_it_for_an_offset() -> None:
    lines = shown(HALF, replace(REQUEST, limit=80))
    assert f"  python -m segsync --resume --limit 80 {FLAGS}" in lines
    assert f"  python -m segsync --offset 50 --limit 30 {FLAGS}" in lines


def test_a_new_run_at_an_offset_expects_what_is_left() -> None:
    options = replace(REQUEST, profiles=400, command=called("--profiles", "400", "--ledger", "my ledger.db"))
    lines = shown(HALF, options)
    assert f"  python -m segsync --resume --profiles 400 {FLAGS}" in lines
    assert f"  python -m segsync --offset 50 --profiles 350 {FLAGS}" in lines


@pytest.mark.parametrize("cursor", ["[/b]", "a b", "it's", "$HOME", "; rm -rf"])
def test_a_cursor_can_be_copied_whatever_it_holds(cursor: str) -> None:
    report = ended("stopped", Outcomes(pending=1), error=ENOUGH, resume_offset=cursor, checkpointed=Outcomes())
    *_, command = shown(report)
    assert shlex.split(command)[3:5] == ["--offset", cursor]


def test_the_command_is_the_one_that_was_typed() -> None:
    options = replace(REQUEST, command=Invocation(["/usr/bin/my python", "-m", "segsync"], {"--quiet": ["--quiet"]}))
    assert "  '/usr/bin/my python' -m segsync --resume --quiet" in shown(HALF, options)


def test_spent_calls_of_a_plan_have_the_same_ways_on() -> None:
    error = QuotaError("Voucherify answered 402: the calls of the plan are used up", service="Voucherify", status=402)
    report = ended("stopped", HALF.outcomes, error=error, resume_offset="50", checkpointed=HALF.checkpointed)
    assert shown(report) == [f"Error: {error} [quota-used-up]", *shown(HALF)[1:]]
    assert exit_code(report, 0) == 1


# --- a credential, or a setting, that is wrong ------------------------------------------------------------------


def test_a_credential_that_is_refused_at_once_leaves_nothing_to_resume() -> None:
    report = ended("stopped", Outcomes(), error=REFUSED, resume_offset="0")
    assert shown(report) == [
        "Error: Segment answered 401",
        "Nothing was imported. Fix this and retry.",
    ]
    assert exit_code(report, 0) == 2


def test_a_credential_that_is_revoked_in_mid_run_has_ways_on() -> None:
    report = ended("stopped", HALF.outcomes, error=REFUSED, resume_offset="50", checkpointed=HALF.checkpointed)
    assert shown(report) == ["Error: Segment answered 401", *shown(HALF)[1:]]
    assert exit_code(report, 0) == 2


# --- all is listed, not all results are read -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcomes", "left"),
    [
        (Outcomes(confirmed=60, sent=1_040), "the results of 1,040 customers are not read"),
        (Outcomes(confirmed=60, pending=40), "40 profiles are pending"),
        (
            Outcomes(confirmed=60, sent=30, pending=10),
            "the results of 30 customers are not read and 10 profiles are pending",
        ),
    ],
)
@pytest.mark.parametrize("state", ["stopped", "interrupted"])
def test_when_all_is_listed_what_is_left_is_named_and_only_the_ledger_can_resume(
    outcomes: Outcomes, left: str, state: EndState
) -> None:
    report = ended(state, outcomes, resume_offset=None)
    assert shown(report) == [
        f"All profiles are listed, but {left}. To resume, run:",
        f"  python -m segsync --resume {FLAGS}",
    ]
    assert exit_code(report, signal.SIGINT) == (1 if state == "stopped" else 130)


def test_an_error_after_which_nothing_is_left_stands_alone() -> None:
    report = ended("stopped", Outcomes(confirmed=100), error=ENOUGH, resume_offset=None)
    assert shown(report) == ["Error: enough"]
    assert exit_code(report, 0) == 1


def test_without_confirmation_unread_results_are_not_named() -> None:
    report = ended("stopped", Outcomes(sent=100), error=ENOUGH, resume_offset=None, is_confirmed=False)
    assert shown(report) == ["Error: enough"]


def test_without_confirmation_only_pending_profiles_are_named() -> None:
    report = ended("stopped", Outcomes(sent=100, pending=5), error=ENOUGH, resume_offset=None, is_confirmed=False)
    assert shown(report)[1] == "All profiles are listed, but 5 profiles are pending. To resume, run:"


def test_no_command_has_a_limit_of_0_where_the_limit_was_used_up_before_the_error() -> None:
    report = ended("stopped", Outcomes(confirmed=60, sent=40), error=ENOUGH, resume_offset="100")
    lines = shown(report, replace(REQUEST, limit=100))
    assert "  python -m segsync --resume --limit 100 " + FLAGS in lines
    assert not [line for line in lines if "--limit 0" in line], "--limit 0 is refused"


# --- a retry of the rejected ones -------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["stopped", "interrupted"])
def test_a_retry_that_stopped_says_how_to_retry_again(state: EndState) -> None:
    error = ENOUGH if state == "stopped" else None
    report = ended(state, Outcomes(confirmed=90, pending=10), error=error, offset=None, resume_offset=None)
    assert shown(report, RETRY) == [
        *(["Error: enough"] if error else []),
        "To retry the profiles that are not done, run:",
        f"  python -m segsync --retry-rejected {FLAGS}",
    ]


@pytest.mark.parametrize(
    ("outcomes", "words"),
    [
        (
            Outcomes(confirmed=90, unknown=10),
            "Result unknown: 10 profiles. To send them again, which is safe, run:",
        ),
        (
            Outcomes(confirmed=80, rejected=1, unknown=19),
            "Rejected: 1 profile. Result unknown: 19 profiles. After fixing the causes, run:",
        ),
    ],
)
def test_profiles_whose_result_is_unknown_are_no_success_and_can_be_sent_again(outcomes: Outcomes, words: str) -> None:
    report = ended("done", outcomes, resume_offset=None)
    assert shown(report) == [words, f"  python -m segsync --retry-rejected {FLAGS}"]
    assert exit_code(report, 0) == 3


def test_a_retry_after_which_nobody_is_rejected_needs_no_words() -> None:
    report = ended("done", Outcomes(confirmed=100), offset=None)
    assert shown(report, RETRY) == []
    assert exit_code(report, 0) == 0


def test_a_retry_after_which_some_are_rejected_still_says_so_again() -> None:
    report = ended("done", Outcomes(confirmed=99, rejected=1), offset=None)
    assert "--retry-rejected" in shown(report, RETRY)[1]
    assert exit_code(report, 0) == 3


# --- a dry run --------------------------------------------------------------------------------------------------


def test_a_dry_run_names_its_file_and_says_that_nothing_was_sent(tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    with output_at(path) as output:
        assert output is not None
        output.add(b'[{"source_id":"1","metadata":{"two words":1}}]')
    first, second, third = dry_run_notes(path, output)
    assert "holds what would be sent: 1 customer. It is personal data" in first
    assert "two words" in second
    assert third.startswith("Nothing was sent to Voucherify")


def test_a_dry_run_on_standard_output_says_that_it_is_personal_data() -> None:
    with output_at(Path("-")) as output:
        assert output is not None
        output.customers = 2
    first, second = dry_run_notes(Path("-"), output)
    assert first == "Standard output has what would be sent: 2 customers. It is personal data."
    assert second.startswith("Nothing was sent to Voucherify")


def test_a_dry_run_that_stopped_says_why_and_that_it_cannot_be_resumed() -> None:
    stopped = msgspec.structs.replace(HALF, is_dry_run=True)
    steps = next_steps.of_run(REQUEST, stopped)
    assert [line.plain for line in conclusion(stopped, steps, dry_run_notes(None, None))] == [
        "Error: enough",
        "Nothing was sent to Voucherify, and no ledger or list of profiles was changed.",
        "Dry run stopped at offset 50. Dry runs can't be resumed.",
    ]
    assert [step.command for step in steps] == [None]


@pytest.mark.parametrize("outcomes", [Outcomes(sent=2), Outcomes(sent=2, rejected=1)])
def test_a_dry_run_that_is_done_has_no_next_step(outcomes: Outcomes) -> None:
    assert next_steps.of_run(REQUEST, msgspec.structs.replace(ended("done", outcomes), is_dry_run=True)) == []


# --- a sandbox --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["stopped", "interrupted"])
@pytest.mark.parametrize("rejected", [0, 1])
def test_an_import_from_a_sandbox_cannot_be_resumed_and_begins_again(state: EndState, rejected: int) -> None:
    outcomes = msgspec.structs.replace(HALF.outcomes, rejected=rejected)
    report = ended(state, outcomes, resume_offset="50", checkpointed=HALF.checkpointed)
    options = replace(SANDBOX, limit=80, command=called("--offset", "9", "--limit", "80", "--sandbox", "--quiet"))
    assert shown(report, options) == [
        "To begin again with a new sandbox, run:",
        "  python -m segsync --offset 9 --limit 80 --sandbox --quiet",
    ]


@pytest.mark.parametrize("options", [SANDBOX, replace(SANDBOX, limit=10)])
def test_after_an_import_from_a_sandbox_nothing_is_left_to_do(options: ImportOptions) -> None:
    report = ended("done", Outcomes(confirmed=9, rejected=1), resume_offset="10" if options.limit else None)
    assert shown(report, options) == []


def test_a_dry_run_from_a_sandbox_that_stopped_has_no_command() -> None:
    steps = next_steps.of_run(SANDBOX, msgspec.structs.replace(HALF, is_dry_run=True))
    assert [step.command for step in steps] == [None]


# --- whether to ask the user to go on at once -------------------------------------------------------------------


def test_after_an_error_in_the_listing_one_could_go_on_at_once() -> None:
    assert could_go_on(AT_A_TERMINAL, HALF)
    assert could_go_on(replace(AT_A_TERMINAL, limit=51), HALF)
    away = TransientError("away", service="Segment")
    assert could_go_on(
        AT_A_TERMINAL, ended("stopped", Outcomes(pending=5), error=away, resume_offset="0", checkpointed=Outcomes())
    )


@pytest.mark.parametrize(
    ("request_", "report"),
    [
        (REQUEST, HALF),
        (replace(AT_A_TERMINAL, limit=50), HALF),
        (replace(RETRY, may_ask=True), HALF),
        (AT_A_TERMINAL, ended("stopped", Outcomes(sent=5), error=ENOUGH, resume_offset=None)),
        (AT_A_TERMINAL, msgspec.structs.replace(HALF, error=REFUSED)),
    ],
    ids=["nobody may be asked", "the limit is used up", "a retry", "all is listed", "a credential is refused"],
)
def test_where_going_on_at_once_leads_nowhere_it_is_not_offered(request_: ImportOptions, report: ImportReport) -> None:
    assert not could_go_on(request_, report)


# --- --ids ----------------------------------------------------------------------------------------------------


def test_unknown_ids_are_no_success_and_nothing_to_retry() -> None:
    report = ended("done", Outcomes(confirmed=5), unknown_ids=2)
    assert exit_code(report, 0) == 3
    assert shown(report, IDS) == []
    assert exit_code(ended("done", Outcomes(confirmed=5), unknown_ids=0), 0) == 0
    assert shown(ended("done", Outcomes(), unknown_ids=2), IDS) == [], "Segment was not asked for a list"


def test_rejected_profiles_of_given_ids_are_retried_as_all_others() -> None:
    assert shown(ended("done", Outcomes(confirmed=5, rejected=2), unknown_ids=0), IDS) == [
        "Rejected: 2 profiles. After fixing the causes, run:",
        f"  python -m segsync --retry-rejected {FLAGS}",
    ]


@pytest.mark.parametrize("state", ["interrupted", "stopped"])
def test_a_run_of_given_ids_that_ended_early_begins_again_with_its_file(state: EndState) -> None:
    report = ended(state, Outcomes(confirmed=5, sent=3, pending=92), error=ENOUGH, unknown_ids=0)
    assert shown(report, IDS)[1:] == [
        "The profiles of my ids.csv are not all done: 92 profiles left. To begin again with them, which is safe, run:",
        f"  python -m segsync --ids 'my ids.csv' {FLAGS}",
    ]
    assert not could_go_on(replace(IDS, may_ask=True), report)
    from_standard_input = replace(IDS, ids=Path("-"))
    assert shown(report, from_standard_input)[1:] == [
        "The profiles of standard input are not all done: 92 profiles left. Give the same ids again, which is safe."
    ]
