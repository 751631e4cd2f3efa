"""What is done for these options on this ledger: begin, resume, ask, or nothing at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from segsync.commands.prompt import ask, choose, resume_question
from segsync.ledger import batches, rejections, runs
from segsync.ledger.batches import FIRST_ATTEMPT, Member, OpenBatch
from segsync.ledger.database import Ledger
from segsync.ledger.runs import State
from segsync.models import Outcomes, Plan, Rejection
from segsync.options import ImportOptions, Invocation
from segsync.pipeline.chosen import ChosenIds
from tests.support.ledgers import open_ledger
from tests.unit.commands import endings

QUESTION = "Resume at offset {}? [Y/n] "
AGAIN = "Please answer yes or no.\n"
TO_RESUME = ["To resume the import, run:", "  segsync --resume --ledger 'a b.db'"]
TO_BEGIN_ANEW = ["To begin again from the first profile, run:", "  segsync --offset 0 --ledger 'a b.db'"]
REQUEST = replace(
    endings.REQUEST,
    ledger=Path("segsync.db"),
    command=Invocation(["segsync"], {"--ledger": ["--ledger", "a b.db"]}),
)
RESUME, RETRY = replace(REQUEST, resume=True), replace(REQUEST, retry_rejected=True)
AT_A_TERMINAL = replace(REQUEST, may_ask=True)


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with open_ledger(space_id="spa_1") as opened:
        yield opened


class _Input:
    """What the user types, line by line: None is Ctrl-C. Then the input ends."""

    def __init__(self, *typed: str | None) -> None:
        self._typed = [*typed]

    def readline(self) -> str:
        line = self._typed.pop(0) if self._typed else ""
        if line is None:
            raise KeyboardInterrupt
        return line


@pytest.fixture(autouse=True)
def _nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)


def types(monkeypatch: pytest.MonkeyPatch, *typed: str | None) -> None:
    monkeypatch.setattr("sys.stdin", _Input(*typed))


def chosen(options: ImportOptions, ledger: Ledger) -> tuple[Plan | int, list[str]]:
    """The choice, and the lines that are printed with it."""
    console = Console(file=StringIO(), width=60, color_system=None)
    choice = choose(options, ledger, console)
    assert isinstance(console.file, StringIO)
    return choice, console.file.getvalue().splitlines()


def plan_of(options: ImportOptions, ledger: Ledger) -> tuple[Plan, list[str]]:
    choice, lines = chosen(options, ledger)
    assert isinstance(choice, Plan)
    return choice, lines


def ran(
    ledger: Ledger,
    state: State,
    *,
    pages: int = 2,
    is_listed: bool = False,
    first: str = "0",
    open_upserts: int = 0,
    rejected: int = 0,
) -> int:
    """A run of so many settled pages of 100 profiles, each of which begins with rejected ones."""
    run = ledger.read(partial(runs.begin_run, first_offset=first, source=ledger.source)).id
    for number in range(1, pages + 1):
        for each in range(rejected):
            rejection = Rejection(f"use_{run}_{number}_{each}", None, "read", "answered 404")
            ledger.read(partial(rejections.add_rejection, run=run, page=number, rejection=rejection))
        if number <= open_upserts:
            members = [Member(number, f"use_{run}_{number}_{each}", b"digest") for each in range(rejected, 100)]
            ledger.read(
                partial(
                    batches.add_batch,
                    run=run,
                    action_id=f"aa_{number}",
                    members=members,
                    attempt=FIRST_ATTEMPT,
                    is_followed=True,
                )
            )
        cursor = None if is_listed and number == pages else str(int(first) + 100 * number)
        outcomes = Outcomes(sent=100 - rejected, rejected=rejected)
        ledger.read(partial(batches.finish_page, run=run, number=number, next_cursor=cursor, outcomes=outcomes))
    if state != "running":
        ledger.read(partial(runs.end_run, run=run, state=state, error=None))
    return run


def runs_in(ledger: Ledger) -> list[tuple[int, str]]:
    return [(run.id, run.state) for run in ledger.read(runs.runs)]


UNFINISHED: list[State] = ["running", "interrupted", "stopped"]


# --- a new import ---------------------------------------------------------------------------------------------


def test_the_first_import_begins_at_the_first_profile_without_a_word(ledger: Ledger) -> None:
    plan, lines = plan_of(REQUEST, ledger)
    assert (plan.kind, plan.offset, plan.before, plan.begins_anew) == ("new", "0", Outcomes(), True)
    assert lines == []


def test_an_import_from_an_offset_begins_there_and_leaves_the_files_of_others_alone(ledger: Ledger) -> None:
    plan, lines = plan_of(replace(REQUEST, offset="700"), ledger)
    assert (plan.kind, plan.offset, plan.begins_anew) == ("new", "700", False)
    assert lines == []


@pytest.mark.parametrize("state", ["done", "limited"])
def test_after_an_import_that_is_done_the_next_begins_anew_without_a_word(ledger: Ledger, state: State) -> None:
    ran(ledger, state, is_listed=state == "done")
    plan, lines = plan_of(AT_A_TERMINAL, ledger)
    assert (plan.kind, plan.offset, plan.before, plan.begins_anew) == ("new", "0", Outcomes(), True)
    assert lines == []


@pytest.mark.parametrize("state", UNFINISHED)
def test_an_import_that_came_nowhere_is_nothing_to_ask_about(ledger: Ledger, state: State) -> None:
    ran(ledger, state, pages=0)
    plan, lines = plan_of(AT_A_TERMINAL, ledger)
    assert (plan.kind, plan.offset, lines) == ("new", "0", [])


@pytest.mark.parametrize("state", UNFINISHED)
@pytest.mark.parametrize("request_", [replace(AT_A_TERMINAL, offset="0"), replace(AT_A_TERMINAL, is_sandbox=True)])
def test_with_an_offset_nothing_is_asked(ledger: Ledger, state: State, request_: ImportOptions) -> None:
    ran(ledger, state)
    plan, lines = plan_of(request_, ledger)
    assert (plan.kind, plan.offset, plan.before, plan.begins_anew) == ("new", "0", Outcomes(), True)
    assert lines == []


# --- --resume -------------------------------------------------------------------------------------------------


def test_a_resume_on_a_new_ledger_begins_at_the_first_profile_and_says_so(ledger: Ledger) -> None:
    plan, lines = plan_of(RESUME, ledger)
    assert (plan.kind, plan.offset, plan.begins_anew) == ("new", "0", True)
    assert lines == ["No import has run on the ledger segsync.db yet: beginning at the first profile."]


@pytest.mark.parametrize("state", [*UNFINISHED, "limited"])
def test_a_resume_goes_on_where_the_last_import_stood(ledger: Ledger, state: State) -> None:
    run = ran(ledger, state, rejected=3)
    plan, lines = plan_of(RESUME, ledger)
    assert (plan.kind, plan.runs, plan.offset) == ("resume", (run,), "200")
    assert plan.before == Outcomes(confirmed=194, rejected=6)
    assert not plan.begins_anew, "the files of the import are added to"
    assert lines == []
    assert runs_in(ledger) == [(run, "running")]


def test_a_resume_goes_on_with_the_last_import_and_no_other(ledger: Ledger) -> None:
    ran(ledger, "stopped", pages=5)
    later = ran(ledger, "stopped", pages=1, first="3000")
    plan, lines = plan_of(RESUME, ledger)
    assert (plan.runs, plan.offset) == ((later,), "3100")
    assert lines == []


@pytest.mark.parametrize("state", UNFINISHED)
def test_a_resume_of_an_import_that_came_nowhere_begins_where_it_began(ledger: Ledger, state: State) -> None:
    ran(ledger, state, pages=0, first="700")
    plan, lines = plan_of(RESUME, ledger)
    assert (plan.offset, plan.before) == ("700", Outcomes())
    assert lines == []


def test_a_limit_counts_from_the_beginning_of_the_import_that_is_resumed(ledger: Ledger) -> None:
    ran(ledger, "limited")
    plan, _ = plan_of(RESUME, ledger)
    assert [plan.left_of(limit) for limit in (None, 1000, 200, 50)] == [None, 800, 0, 0]


def test_after_an_import_that_is_done_there_is_nothing_to_resume_and_that_is_no_error(ledger: Ledger) -> None:
    ran(ledger, "done", is_listed=True)
    choice, lines = chosen(RESUME, ledger)
    assert choice == 0
    assert lines == ["The last import on the ledger segsync.db is complete: nothing to resume."]
    assert runs_in(ledger) == [(1, "done")]


@pytest.mark.parametrize("state", [*UNFINISHED, "done"])
def test_where_all_is_listed_a_resume_reads_the_results(ledger: Ledger, state: State) -> None:
    run = ran(ledger, state, is_listed=True, open_upserts=2)
    plan, lines = plan_of(RESUME, ledger)
    assert (plan.kind, plan.runs, plan.offset, plan.before) == ("resume", (run,), None, Outcomes(sent=200))
    assert lines == []


# --- --retry-rejected -----------------------------------------------------------------------------------------


def test_a_retry_replays_the_rejected_profiles(ledger: Ledger) -> None:
    run = ran(ledger, "done", is_listed=True, pages=15, rejected=80)
    plan, lines = plan_of(RETRY, ledger)
    assert (plan.kind, plan.runs, plan.begins_anew) == ("retry", (run,), False)
    assert plan.before == Outcomes(confirmed=300, rejected=1200)
    assert lines == []


def test_a_retry_takes_those_of_all_runs_whether_they_belong_together_or_not(ledger: Ledger) -> None:
    oldest = ran(ledger, "done", is_listed=True, rejected=50)  # another import began at the first profile since
    first = ran(ledger, "stopped", rejected=3)
    second = ran(ledger, "done", is_listed=True, first="200", rejected=2)
    plan, lines = plan_of(RETRY, ledger)
    assert (plan.runs, plan.before) == ((oldest, first, second), Outcomes(confirmed=490, rejected=110))
    assert lines == []


@pytest.mark.parametrize("has_run", [True, False])
def test_where_nobody_is_rejected_there_is_nothing_to_retry_and_that_is_not_an_error(
    ledger: Ledger, has_run: bool
) -> None:
    if has_run:
        ran(ledger, "done", is_listed=True)
    before = runs_in(ledger)
    choice, lines = chosen(RETRY, ledger)
    assert choice == 0
    assert lines == ["The ledger segsync.db has no rejected profiles: nothing to retry."]
    assert runs_in(ledger) == before


def test_a_retry_asks_nothing_about_an_unfinished_import(ledger: Ledger) -> None:
    ran(ledger, "stopped", rejected=1)
    plan, _ = plan_of(replace(RETRY, may_ask=True), ledger)
    assert plan.kind == "retry"


# --- an unfinished import, and no flag for it -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "how"),
    [("running", "crashed or was killed"), ("interrupted", "interrupted"), ("stopped", "stopped early")],
)
def test_without_a_terminal_nothing_is_done_and_both_ways_on_are_commands(
    ledger: Ledger, state: State, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ran(ledger, state)
    choice, [found, nothing, *ways_on] = chosen(REQUEST, ledger)
    assert choice == 2
    assert found.startswith("The ledger segsync.db holds an unfinished import: started at 20")
    assert found.endswith(f" UTC, {how}, 200 profiles done, up to offset 200.")
    assert nothing == "Nothing was done."
    assert ways_on == [*TO_RESUME, *TO_BEGIN_ANEW]
    assert runs_in(ledger) == [(run, state)]
    assert capsys.readouterr().err == "", "no question is asked where nobody can answer"


def test_the_commands_repeat_a_limit(ledger: Ledger) -> None:
    ran(ledger, "stopped")
    _, lines = chosen(replace(REQUEST, limit=900), ledger)
    assert [line for line in lines if "--limit" in line] == [
        "  segsync --resume --limit 900 --ledger 'a b.db'",
        "  segsync --offset 0 --limit 900 --ledger 'a b.db'",
    ]


def test_at_a_terminal_the_question_names_the_offset(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran(ledger, "stopped")
    types(monkeypatch, "yes\n")
    chosen(AT_A_TERMINAL, ledger)
    assert capsys.readouterr().err == QUESTION.format("200")


@pytest.mark.parametrize("typed", ["yes\n", "YES\n", " Yes \r\n", "yes", "y\n", "Y\n", "\n"])
def test_yes_and_enter_alone_resume(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, typed: str) -> None:
    run = ran(ledger, "interrupted", rejected=1)
    types(monkeypatch, typed)
    plan, _ = plan_of(AT_A_TERMINAL, ledger)
    assert (plan.kind, plan.runs, plan.offset) == ("resume", (run,), "200")


@pytest.mark.parametrize("typed", ["no\n", "NO\n", "n\n", " N \n", "n"])
def test_no_does_nothing_and_says_how_to_begin_anew(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, typed: str
) -> None:
    run = ran(ledger, "interrupted", first="100")
    types(monkeypatch, typed)
    choice, [_, *lines] = chosen(AT_A_TERMINAL, ledger)
    assert (choice, lines) == (1, ["Nothing was done.", *TO_BEGIN_ANEW])
    assert runs_in(ledger) == [(run, "interrupted")]


@pytest.mark.parametrize("typed", ["nope\n", "yes please\n", "1\n", "\x1b[A\n", "ja\n"])
def test_on_anything_else_it_asks_again(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], typed: str
) -> None:
    ran(ledger, "interrupted")
    types(monkeypatch, typed, typed, "no\n")
    assert chosen(AT_A_TERMINAL, ledger)[0] == 1
    question = QUESTION.format("200")
    assert capsys.readouterr().err == f"{question}{AGAIN}{question}{AGAIN}{question}"


@pytest.mark.parametrize(("typed", "code"), [((), 2), (("perhaps\n",), 2), ((None,), 130), (("perhaps\n", None), 130)])
def test_the_end_of_the_input_and_ctrl_c_do_nothing(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, typed: tuple[str | None, ...], code: int
) -> None:
    run = ran(ledger, "interrupted")
    types(monkeypatch, *typed)
    choice, [_, *lines] = chosen(AT_A_TERMINAL, ledger)
    assert (choice, lines) == (code, ["Nothing was done.", *TO_RESUME, *TO_BEGIN_ANEW])
    assert runs_in(ledger) == [(run, "interrupted")]


@pytest.mark.parametrize(("limit", "flags"), [(10, ""), (200, ""), (201, " --limit 201")])
def test_the_command_that_resumes_has_no_limit_that_is_reached_already(ledger: Ledger, limit: int, flags: str) -> None:
    ran(ledger, "interrupted")
    _, lines = chosen(replace(REQUEST, limit=limit), ledger)
    assert f"  segsync --resume{flags} --ledger 'a b.db'" in lines
    assert f"  segsync --offset 0 --limit {limit} --ledger 'a b.db'" in lines


# --- the question after an error ------------------------------------------------------------------------------------


def test_the_question_after_an_error_is_that_of_the_node_script() -> None:
    words = 'Do you wish to resume the process from the offset: 400? Type "yes" or "no": '
    assert resume_question("400") == words


@pytest.mark.parametrize(
    ("typed", "answer"),
    [(("y\n",), True), (("YES\n",), True), (("N\n",), False), (("no\n",), False), (("\n", "y\n"), True), ((), None)],
)
def test_it_has_no_default_and_the_end_of_the_input_is_no_answer(
    monkeypatch: pytest.MonkeyPatch, typed: tuple[str, ...], *, answer: bool | None
) -> None:
    types(monkeypatch, *typed)
    assert ask("Well? ") is answer


def test_ctrl_c_leaves_the_question(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    types(monkeypatch, None)
    with pytest.raises(KeyboardInterrupt):
        ask("Well? ")
    assert capsys.readouterr().err == "Well? \n"


def test_where_all_is_listed_neither_the_question_nor_the_answer_names_an_offset(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran(ledger, "interrupted", is_listed=True, open_upserts=1)
    types(monkeypatch, "yes\n")
    plan, lines = plan_of(AT_A_TERMINAL, ledger)
    assert (plan.kind, plan.offset) == ("resume", None)
    assert "None" not in "".join([*lines, capsys.readouterr().err])


def test_what_is_printed_is_not_markup(ledger: Ledger) -> None:
    run = ledger.read(partial(runs.begin_run, first_offset="[/b]", source=ledger.source)).id
    ledger.read(partial(batches.finish_page, run=run, number=1, next_cursor="[red]c:key:", outcomes=Outcomes(sent=5)))
    _, lines = chosen(replace(REQUEST, ledger=Path("[/a].db")), ledger)
    assert lines[0].startswith("The ledger [/a].db holds")
    assert lines[0].endswith("up to offset [red]c:key:.")


def test_upserts_that_failed_are_work_for_a_resume(ledger: Ledger) -> None:
    ran(ledger, "done", is_listed=True, open_upserts=1)
    [batch] = ledger.read(partial(batches.open_upserts, since=0, most=10))
    assert isinstance(batch, OpenBatch)
    members = ledger.read(partial(batches.members_of, batch=batch.id))
    ledger.read(partial(batches.end_batch, batch=batch, rejections=[], again=members))
    plan, _ = plan_of(RESUME, ledger)
    assert (plan.kind, plan.offset, plan.before) == ("resume", None, Outcomes(confirmed=100, pending=100))


# --- --ids ----------------------------------------------------------------------------------------------------


def test_given_ids_are_counted_and_ask_nothing_about_an_unfinished_import(ledger: Ledger) -> None:
    run = ran(ledger, "stopped", rejected=1)
    console = Console(file=StringIO(), width=80, color_system=None)
    with closing(ChosenIds(["use_1", "use_2", "use_1"], "ids.txt")) as ids:
        plan = choose(replace(AT_A_TERMINAL, ids=Path("ids.txt")), ledger, console, ids)
    assert isinstance(plan, Plan)
    assert (plan.kind, plan.runs, plan.followed_since) == ("ids", (run + 1,), run + 1)
    assert (plan.expected, plan.ids_from) == (2, "ids.txt")
    assert isinstance(console.file, StringIO)
    assert console.file.getvalue() == "", "the line at the start says it"
    resumed, _ = plan_of(RESUME, ledger)
    assert (resumed.kind, resumed.runs) == ("resume", (run,))
