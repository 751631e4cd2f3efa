"""`status`, for people and as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from sqlite3 import Connection

import pytest

from segsync.commands.status import REASONS_SHOWN, RunStatus, print_status, read_status
from segsync.errors import LedgerError
from segsync.events import BatchSent, PageDone, ProfileRejected, ResultUnknown, SentProfile
from segsync.ledger import batches, recorder, runs
from segsync.ledger.database import Ledger
from segsync.ledger.runs import State
from segsync.models import Outcomes, Rejection, Stage
from segsync.options import Invocation
from tests.support.ledgers import SPACE, begin, open_ledger


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "segsync.db"


def play(
    ledger: Ledger,
    *,
    offset: str = "0",
    next_cursor: str | None = None,
    state: State | None = "done",
    confirmed: int = 0,
    sent: int = 0,
    pending: int = 0,
    without_identifier: int = 0,
    rejected: int = 0,
    unknown: int = 0,
    stage: Stage = "read",
    reason: Callable[[int], str] = lambda _number: "answered 404",
    error: str | None = None,
) -> int:
    """A run of one page with these outcomes, that ended so; None for one that did not."""
    run = begin(ledger, offset)
    record = recorder.for_listing(ledger, run, done_pages=0, is_followed=True).record
    number = 0
    for what, customers in (("confirmed", confirmed), ("sent", sent), ("pending", pending), ("unknown", unknown)):
        if customers:
            profiles = [SentProfile(1, f"use_{number + i}", f"{number + i}@example.com") for i in range(customers)]
            number += customers
            record(BatchSent(f"aa_{run}_{what}", tuple(profiles)))
    for i in range(rejected):
        rejection = Rejection(f"use_{number + i}", "ada@example.com", stage, reason(i), code="not-found")
        record(ProfileRejected(rejection, 1))
    outcomes = Outcomes(sent=number, without_identifier=without_identifier, rejected=rejected)
    record(PageDone(1, offset, next_cursor, outcomes))

    def end(db: Connection) -> None:
        for batch in batches.open_upserts(db, run, 10):
            if not batch.action_id.endswith("sent"):
                members = batches.members_of(db, batch.id)
                again = members if batch.action_id.endswith("pending") else []
                forgotten = members if batch.action_id.endswith("unknown") else []
                results = [ResultUnknown(each.segment_id, each.page, "is not known any more") for each in forgotten]
                batches.end_batch(db, batch, [], again, unknown=results)
        if state:
            runs.end_run(db, run, state, error)

    ledger.read(end)
    return run


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def printed(path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    print_status(path, as_json=False)
    return capsys.readouterr().out


# --- for machines ---------------------------------------------------------------------------------------------


def test_the_json_has_a_version_and_all_that_is_known(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_ledger(path) as ledger:
        play(ledger, next_cursor="100", confirmed=50, state="stopped", error="Segment is away")
        play(
            ledger, offset="100", confirmed=5, sent=4, pending=3, without_identifier=2, rejected=1, state="interrupted"
        )
    print_status(path, as_json=True)
    status = json.loads(capsys.readouterr().out)
    times = [run.pop(name) for run in status["runs"] for name in ("began_at", "ended_at")]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", time) for time in times)
    assert status == {
        "format": 3,
        "lists": str(path.parent),
        "ledger": str(path),
        "runs": [
            {
                "id": 2,
                "state": "interrupted",
                "source": f"Segment {SPACE}",
                "first_offset": "100",
                "offset": None,
                "profiles": 15,
                "outcomes": {
                    "confirmed": 5,
                    "sent": 4,
                    "without_identifier": 2,
                    "rejected": 1,
                    "pending": 3,
                    "duplicate": 0,
                    "unknown": 0,
                },
                "open_upserts": 1,
                "error": None,
                "ids_from": None,
            },
            {
                "id": 1,
                "state": "stopped",
                "source": f"Segment {SPACE}",
                "first_offset": "0",
                "offset": "100",
                "profiles": 50,
                "outcomes": {
                    "confirmed": 50,
                    "sent": 0,
                    "without_identifier": 0,
                    "rejected": 0,
                    "pending": 0,
                    "duplicate": 0,
                    "unknown": 0,
                },
                "open_upserts": 0,
                "error": "Segment is away",
                "ids_from": None,
            },
        ],
        "rejections": [{"stage": "read", "reason": "answered 404", "profiles": 1, "code": "not-found"}],
        "unknown": [],
        "warnings": {},
        "warned_profiles": 0,
        "next_step": "To resume, run:",
        "next_command": f"segsync --resume --ledger {path}",
        "steps": [
            {"words": "To resume, run:", "command": f"segsync --resume --ledger {path}"},
            {"words": "To retry rejected profiles:", "command": f"segsync --retry-rejected --ledger {path}"},
        ],
    }


def test_the_json_of_a_ledger_without_runs_is_no_error(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    open_ledger(path).close()
    print_status(path, as_json=True)
    status = json.loads(capsys.readouterr().out)
    assert (status["runs"], status["rejections"]) == ([], [])
    assert status["next_step"] == "No import has run yet. To begin, run:"
    assert status["next_command"] == f"segsync --ledger {path}"


def test_unknown_results_are_counted_and_explained_apart_from_rejections(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_ledger(path) as ledger:
        play(ledger, confirmed=9, rejected=2, unknown=5)
    status = read_status(path)
    assert status.runs[0].outcomes == Outcomes(confirmed=9, rejected=2, unknown=5)
    assert [(each.reason, each.profiles) for each in status.unknown] == [("is not known any more", 5)]
    assert [(each.reason, each.profiles) for each in status.rejections] == [("answered 404", 2)]
    shown = " ".join(printed(path, capsys).split())
    assert "Result unknown 5 sent; whether it was written is unknown" in shown
    assert re.search("Result unknown Profiles Stage Reason .*5 confirm is not known any more", shown)


# --- states and what to do next -------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["done", "limited", "interrupted", "stopped"])
def test_a_run_that_ended_says_how_and_when(path: Path, state: State) -> None:
    with open_ledger(path) as ledger:
        play(ledger, state=state)
        assert read_status(path).runs[0].state == state
    [run] = read_status(path).runs
    assert run.state == state
    assert run.ended_at is not None


def test_a_run_is_under_way_while_its_process_is_there_and_killed_when_it_is_not(path: Path) -> None:
    with open_ledger(path) as ledger:
        play(ledger, state=None, sent=3)
        status = read_status(path)
        assert (status.runs[0].state, status.runs[0].ended_at) == ("running", None)
        assert (status.next_step, status.next_command) == ("An import is running.", None)
    status = read_status(path)
    assert (status.runs[0].state, status.runs[0].ended_at) == ("killed", None)
    assert (status.next_step, status.next_command) == ("To resume, run:", f"segsync --resume --ledger {path}")


def test_one_that_was_killed_before_is_not_under_way_while_the_next_one_is(path: Path) -> None:
    with open_ledger(path) as ledger:
        play(ledger, state=None)
        play(ledger, state=None)
        assert [run.state for run in read_status(path).runs] == ["running", "killed"]


def test_to_ask_for_the_status_is_in_nobodys_way(path: Path) -> None:
    open_ledger(path).close()
    for _ in range(3):
        read_status(path)
        open_ledger(path).close()


@pytest.mark.parametrize(
    ("outcomes", "state", "following"),
    [
        ({"confirmed": 9}, "done", "Nothing is left to do."),
        ({"confirmed": 9, "sent": 1}, "done", "sent but not confirmed.*--resume"),
        ({"confirmed": 9, "pending": 1}, "done", "or pending. To resume, run: .*--resume"),
        ({"confirmed": 9, "rejected": 1}, "done", "To retry rejected profiles:.*--retry-rejected"),
        ({"confirmed": 9, "unknown": 1}, "done", "To send them again, which is safe, run:.*--retry-rejected"),
        ({"confirmed": 9, "rejected": 1, "unknown": 1}, "done", "To retry rejected profiles:.*--retry-rejected"),
        ({"confirmed": 9, "rejected": 1, "sent": 1}, "done", "--resume .*To retry .*--retry-rejected"),
        (
            {"confirmed": 9, "rejected": 1},
            "limited",
            "To import the rest, run: .*--resume .*To retry .*--retry-rejected",
        ),
        ({"confirmed": 9}, "limited", "The profiles of --limit are done. To import the rest, run: .*--resume"),
        ({"confirmed": 9}, "interrupted", "To resume, run: .*--resume"),
        ({"confirmed": 9, "rejected": 1}, "stopped", "To resume, run: .*--resume .*To retry .*--retry-rejected"),
    ],
)
def test_it_says_what_to_do_next(
    path: Path, outcomes: dict[str, int], state: State, following: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_ledger(path) as ledger:
        play(ledger, state=state, **outcomes)  # type: ignore[arg-type]
    status = read_status(path)
    shown = " ".join(printed(path, capsys).split())
    assert re.search(rf"{following}( --ledger {re.escape(str(path))})?$", shown)
    assert shown.endswith(status.steps[-1].command or status.next_step)
    assert (status.steps[0].words, status.steps[0].command) == (status.next_step, status.next_command)


@pytest.mark.parametrize(("stage", "is_of_use"), [("read", False), ("map", False), ("upsert", True), ("confirm", True)])
def test_it_names_the_flag_that_shows_voucherify_s_words_where_voucherify_rejected(
    path: Path, stage: Stage, is_of_use: bool
) -> None:
    with open_ledger(path) as ledger:
        play(ledger, confirmed=9, rejected=1, stage=stage)
    hint = " (add --show-values to see Voucherify's own words)" * is_of_use
    assert read_status(path).next_step == f"To retry rejected profiles{hint}:"
    given = Invocation(["segsync"], {"--show-values": ["--show-values"]})
    assert read_status(path, given).next_step == "To retry rejected profiles:"


def test_upserts_that_nobody_asks_about_are_nothing_to_do(path: Path) -> None:
    with open_ledger(path) as ledger:
        run = begin(ledger)
        record = recorder.for_listing(ledger, run, done_pages=0, is_followed=False).record
        record(BatchSent("aa_1", (SentProfile(1, "use_1", "ada"),)))
        record(PageDone(1, "0", None, Outcomes(sent=1)))
        ledger.read(partial(runs.end_run, run=run, state="done", error=None))
    status = read_status(path)
    assert (status.runs[0].outcomes, status.runs[0].open_upserts) == (Outcomes(sent=1), 0)
    assert (status.next_step, status.next_command) == ("Nothing is left to do.", None)


# --- rejections -----------------------------------------------------------------------------------------------


def test_the_most_frequent_reasons_are_shown(path: Path) -> None:
    with open_ledger(path) as ledger:
        play(
            ledger, rejected=78, reason=lambda number: f"reason {'abcdefghijkl'[int((2 * number + 0.25) ** 0.5 - 0.5)]}"
        )
    reasons = read_status(path).rejections
    assert len(reasons) == REASONS_SHOWN
    assert [(each.stage, each.reason, each.profiles) for each in reasons[:2]] == [
        ("read", "reason l", 12),
        ("read", "reason k", 11),
    ]


def test_reasons_that_differ_in_ids_and_numbers_are_shown_as_one(path: Path) -> None:
    with open_ledger(path) as ledger:
        play(ledger, rejected=3, reason=lambda number: f"the bulk upsert aa_{number} FAILED")
    assert [(each.reason, each.profiles) for each in read_status(path).rejections] == [("the bulk upsert … FAILED", 3)]


def test_rejections_before_an_import_that_began_anew_do_not_matter_any_more(path: Path) -> None:
    with open_ledger(path) as ledger:
        play(ledger, rejected=3)
        play(ledger, confirmed=3)
    status = read_status(path)
    assert (status.rejections, status.next_command) == ([], None)


# --- for people -----------------------------------------------------------------------------------------------


def test_people_see_each_outcome_of_the_last_run_and_a_line_for_those_before(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_ledger(path) as ledger:
        play(ledger, next_cursor="[bold]100", confirmed=12_345, state="stopped")
        play(ledger, offset="[bold]100", confirmed=50, sent=40, pending=30, without_identifier=20, rejected=10)
    shown = printed(path, capsys)
    assert f"Ledger {path}" in " ".join(shown.split())
    assert "Run 2: done" in shown
    for what, count in (
        ("Customers confirmed", 50),
        ("Customers sent", 40),
        ("Pending", 30),
        ("Without identifier", 20),
        ("Rejected", 10),
    ):
        assert re.search(rf"{what} +{count}\b", shown), what
    assert re.search(r"10 +read +answered 404 \[not-found\]", shown)
    assert "Run 1 of" in shown
    assert "12,345 profiles" in shown
    assert "from offset 0" in shown


def test_what_stopped_it_is_shown_as_it_is(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_ledger(path) as ledger:
        play(ledger, state="stopped", next_cursor="[red]", error="Segment [red]at once[/red] is away")
    shown = printed(path, capsys)
    assert "Segment [red]at once[/red] is away" in shown
    assert "[red]" in shown


def test_in_a_narrow_window_the_offset_and_reasons_are_whole(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cursor, reason = "eyJzdGFydF9pZCI6MTIzNDU2Nzg5MH0=", "metadata.eyJzdGFydF9pZCI6MTIzNDU2Nzg5MH0"
    with open_ledger(path) as ledger:
        play(ledger, next_cursor=cursor, rejected=1, reason=lambda _: reason, state="interrupted")
    monkeypatch.setenv("COLUMNS", "40")
    cells = "".join(re.split(r" {3,}", line.rstrip())[-1].strip() for line in printed(path, capsys).splitlines())
    assert cursor in cells
    assert reason in cells


def test_of_many_runs_the_last_few_are_shown(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_ledger(path) as ledger:
        for number in range(20):
            play(ledger, offset=str(number), confirmed=1)
    assert len(read_status(path).runs) == 20
    shown = printed(path, capsys)
    assert [int(number) for number in re.findall(r"Run (\d+) of", shown)] == [19, 18, 17, 16, 15]


def test_nobody_is_named(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_ledger(path) as ledger:
        play(ledger, sent=3, rejected=3)
    shown = printed(path, capsys)
    print_status(path, as_json=True)
    shown += capsys.readouterr().out
    assert "example.com" not in shown
    assert "use_" not in shown


# --- what is not a ledger -------------------------------------------------------------------------------------


def test_what_is_not_there_is_named(path: Path) -> None:
    with pytest.raises(LedgerError, match=f"no ledger at {path}"):
        read_status(path)
    assert list(path.parent.iterdir()) == []


def test_what_is_not_a_ledger_is_named(path: Path) -> None:
    path.write_text("segment_id,source_id\n")
    with pytest.raises(LedgerError, match="not an SQLite file"):
        read_status(path)
    assert [each.name for each in path.parent.iterdir()] == ["segsync.db"]


def test_a_file_that_has_only_just_begun_is_named(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\x00")
    with pytest.raises(LedgerError, match=str(path)):
        read_status(path)


def test_a_ledger_that_is_just_being_made_holds_no_run_and_stays_as_it_is(path: Path) -> None:
    path.touch()
    status = read_status(path)
    assert (status.runs, status.next_step) == ([], "No import has run yet. To begin, run:")
    assert path.read_bytes() == b""


def test_a_damaged_ledger_is_named(path: Path) -> None:
    with open_ledger(path) as ledger:
        play(ledger, confirmed=3, rejected=50)
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    with pytest.raises(LedgerError, match="damaged"):
        read_status(path)


def test_a_run_is_the_same_in_python(path: Path) -> None:
    with open_ledger(path) as ledger:
        play(ledger, confirmed=3)
    [run] = read_status(path).runs
    assert isinstance(run, RunStatus)
    assert (run.id, run.profiles, run.outcomes, run.first_offset, run.offset) == (
        1,
        3,
        Outcomes(confirmed=3),
        "0",
        None,
    )
