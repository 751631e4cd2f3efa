"""A run that is done, but leaves profiles behind: its heading, its next step and its exit code agree."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs

from segsync.commands.next_steps import exit_code
from segsync.models import Outcomes
from segsync.report.html.wording import state_words
from tests.support.ledgers import open_ledger
from tests.unit.commands.endings import FLAGS, RETRY, ended, shown
from tests.unit.commands.test_prompt import chosen
from tests.unit.commands.test_status import play
from tests.unit.commands.test_summary import printed


@pytest.mark.parametrize(
    ("rejected", "unknown", "left", "words"),
    [
        (3, 0, "rejected profiles", "Rejected by earlier runs: 3 profiles. After fixing the causes, run:"),
        (
            0,
            1,
            "unknown results",
            "Result unknown, of earlier runs: 1 profile. To send them again, which is safe, run:",
        ),
        (
            2,
            1,
            "rejected profiles",
            "Rejected by earlier runs: 2 profiles. Result unknown, of earlier runs: 1 profile. "
            "After fixing the causes, run:",
        ),
    ],
)
def test_what_earlier_runs_left_is_in_the_heading_and_is_called_theirs(
    rejected: int, unknown: int, left: str, words: str
) -> None:
    report = structs.replace(ended("done", Outcomes(confirmed=10)), rejected_now=rejected, unknown_now=unknown)
    assert exit_code(report, 0) == 3
    assert printed(report).splitlines()[0].strip() == f"Done, with {left}"
    assert state_words(report) == f"Done, with {left}"
    assert shown(report) == [words, f"  python -m segsync --retry-rejected {FLAGS}"]


def test_what_this_run_left_too_is_not_called_that_of_earlier_ones() -> None:
    report = structs.replace(ended("done", Outcomes(confirmed=10, rejected=1)), rejected_now=3)
    assert shown(report)[0] == "Rejected: 3 profiles. After fixing the causes, run:"


def test_where_nothing_is_left_the_heading_is_done() -> None:
    report = ended("done", Outcomes(confirmed=10))
    assert printed(report).splitlines()[0].strip() == state_words(report) == "Done"


def test_a_retry_says_whose_rejections_it_cannot_take(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "segsync.db") as ledger:
        play(ledger, confirmed=1, rejected=2, unknown=1)
    with open_ledger(tmp_path / "segsync.db", space_id="spa_1") as ledger:
        play(ledger, confirmed=1)
        choice, lines = chosen(RETRY, ledger)
    assert choice == 0, "the exit code is that of what is left"
    assert "no rejections from this Segment space: nothing to retry; those of 3 profiles" in " ".join(lines)
