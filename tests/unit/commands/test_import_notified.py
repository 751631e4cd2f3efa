"""When a run at a terminal is posted: at its end, at a stop before a question, and never where nothing was done."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from segsync.commands import import_
from segsync.commands.import_ import import_at_terminal
from segsync.options import ImportOptions, Invocation
from segsync.pipeline.run import open_ledger
from segsync.report.import_report import ImportReport
from tests.support.configured import settings
from tests.unit.commands.test_status import play

NOWHERE = "http://127.0.0.1:1"
URL = "https://hooks.example/s3cret"


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ImportOptions:
    """An import whose services are away, so that it stops at once."""
    monkeypatch.chdir(tmp_path)
    return ImportOptions(
        settings=settings(segment_base_url=NOWHERE, voucherify_base_url=NOWHERE, retry_seconds=0, notify_url=URL),
        ledger=tmp_path / "segsync.db",
        offset=None,
        limit=None,
        mode="quiet",
        verbose=False,
        may_ask=False,
        command=Invocation(["segsync"]),
        directory=tmp_path,
    )


@pytest.fixture
def posted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[ImportReport, int, str | None]]:
    """What is posted: report, exit code, and the next command."""
    found = []

    def remember(_options: ImportOptions, report: ImportReport, code: int, _console: object, *, steps: Any) -> None:
        found.append((report, code, next((step.command for step in steps if step.command), None)))

    monkeypatch.setattr(import_, "notify", remember)
    return found


def test_a_stop_is_posted_once_with_what_the_process_ends_with(
    options: ImportOptions, posted: list[tuple[ImportReport, int, str | None]]
) -> None:
    report, code = import_at_terminal(options)
    assert posted == [(report, code, "segsync --resume")]
    assert (code, report and report.state) == (1, "stopped")


@pytest.mark.parametrize(("answer", "posts"), [("yes", 2), ("no", 1), ("", 1)])
def test_a_stop_with_a_question_is_posted_before_it_and_again_only_after_more_was_done(
    options: ImportOptions,
    posted: list[tuple[ImportReport, int, str | None]],
    answer: str,
    posts: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before_the_answer: list[int] = []

    def typed() -> str:
        before_the_answer.append(len(posted))
        return answer and f"{answer}\n"

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(readline=typed))
    import_at_terminal(replace(options, may_ask=True))
    assert before_the_answer == [1]
    assert len(posted) == posts


def test_a_dry_run_ends_there_too(options: ImportOptions, posted: list[tuple[ImportReport, int, str | None]]) -> None:
    report, code = import_at_terminal(replace(options, dry_run=True))
    assert posted == [(report, code, None)]
    assert report
    assert report.is_dry_run


def test_nothing_to_do_is_not_posted(
    options: ImportOptions, posted: list[tuple[ImportReport, int, str | None]]
) -> None:
    open_ledger(options.settings, options.ledger).close()
    assert import_at_terminal(replace(options, retry_rejected=True)) == (None, 0)
    assert posted == []


@pytest.mark.usefixtures("posted")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("dry_run", [True, False])
def test_ctrl_c_while_the_end_is_shown_hides_nothing_of_it(
    options: ImportOptions,
    number: signal.Signals,
    *,
    dry_run: bool,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left = []

    def leave(*_: object, **_options: object) -> None:
        os.kill(os.getpid(), number)
        left.append(number)

    monkeypatch.setattr(import_, "leave", leave)
    report, code = import_at_terminal(replace(options, dry_run=dry_run))
    assert (code, report and report.state, left) == (1, "stopped", [number])
    assert "Error: " in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("posted")
def test_ctrl_c_ends_the_question_after_an_error(
    options: ImportOptions, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def typed() -> str:
        os.kill(os.getpid(), signal.SIGINT)
        return "yes\n"

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(readline=typed))
    report, code = import_at_terminal(replace(options, may_ask=True))
    assert (code, report and report.state) == (1, "stopped")
    assert "segsync --resume" in capsys.readouterr().err


@pytest.mark.usefixtures("posted")
def test_a_retry_that_finds_only_results_to_read_is_not_done(
    options: ImportOptions, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_ledger(options.settings, options.ledger) as ledger:
        play(ledger, confirmed=1, sent=1, state="done")
    assert import_at_terminal(replace(options, retry_rejected=True)) == (None, 1)
    assert "To resume, run:\n  segsync --resume" in capsys.readouterr().err


@pytest.mark.usefixtures("posted")
@pytest.mark.parametrize("has_flag", [True, False])
def test_the_next_command_goes_without_the_secret_flag_and_that_is_printed(
    options: ImportOptions, has_flag: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    import_at_terminal(replace(options, has_notify_flag=has_flag))
    printed = capsys.readouterr().err
    assert ("--notify is left out of the commands below" in printed) == has_flag
    assert "s3cret" not in printed


@pytest.mark.usefixtures("posted")
@pytest.mark.parametrize(("rejected", "unknown", "code"), [(1, 0, 3), (0, 1, 3), (0, 0, 0)])
def test_a_resume_with_nothing_to_do_exits_with_3_while_profiles_are_left(
    options: ImportOptions, rejected: int, unknown: int, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_ledger(options.settings, options.ledger) as ledger:
        play(ledger, confirmed=1, rejected=rejected, unknown=unknown)
    assert import_at_terminal(replace(options, resume=True)) == (None, code)
    assert ("--retry-rejected" in capsys.readouterr().err) == bool(code)
