"""One truth in `status`: the outcomes of a run add up to its profiles, in words and as JSON."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import asdict

from segsync.commands.status import print_status, read_status
from segsync.ledger import runs
from segsync.models import Outcomes
from tests.support.ledgers import open_ledger
from tests.unit.commands.test_status import play
from tests.unit.ledger.steps import Story

COUNTED = Outcomes(
    confirmed=1200, sent=3, without_identifier=4, duplicate=5, rejected=6, unknown=7, pending=8
)  # a different number for each


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "segsync.db"


def interrupted(path: Path, outcomes: Outcomes) -> None:
    """An import that reported these outcomes, of which one profile is before its offset; then another import."""
    with open_ledger(path) as ledger:
        story = Story(ledger)
        story.page_done(1, without_identifier=1)
        ledger.read(
            partial(runs.end_run, run=story.run, state="interrupted", error=None, outcomes=outcomes),
        )


def test_profiles_are_the_sum_of_the_outcomes_of_a_run_that_ended_early(path: Path) -> None:
    interrupted(path, COUNTED)
    [run] = read_status(path).runs
    assert (run.outcomes, run.offset) == (COUNTED, "1")
    assert run.profiles == sum(asdict(run.outcomes).values())


def test_the_line_of_an_earlier_run_has_every_outcome_that_is_not_0(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_ledger(path) as ledger:
        play(ledger, confirmed=2, sent=3, pending=1, without_identifier=4, rejected=5, unknown=6)
        ledger.read(lambda db: db.execute("UPDATE rejections SET stage = 'duplicate' WHERE segment_id = 'use_13'"))
        play(ledger, offset="21", confirmed=1)
        play(ledger, offset="22", confirmed=1)
    print_status(path, as_json=False)
    second, first = [line for line in capsys.readouterr().out.splitlines() if re.match(r"Run \d of", line)]
    assert first.endswith(
        "done, 21 profiles, 2 confirmed, 3 sent, 4 without identifier, 1 with a duplicate identifier, 4 rejected, "
        "6 with an unknown result, 1 pending"
    )
    profiles, *counts = [int(number) for number in re.findall(r"(\d+) \w", first.split(": done, ")[1])]
    assert profiles == sum(counts)
    assert second.endswith("from offset 21: done, 1 profile, 1 confirmed")
