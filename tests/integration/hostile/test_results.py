"""Whole runs against services that answer as none should: results and ids of other shapes."""

from __future__ import annotations

from pathlib import Path

import pytest

from segsync.models import Outcomes
from segsync.pipeline import results
from segsync.report.profile_lists import REJECTED
from tests.integration.hostile.imported import (
    PERSONAL,
    RESULT,
    UPSERT,
    Fields,
    assert_a_clear_outcome,
    assert_nobody_is_lost,
    imported,
)
from tests.support.hostile import hostile_server, people
from tests.support.scripted import answer

FAILED_SOMEHOW: dict[str, Fields] = {
    "an unknown status": {"status": "PARTLY", "operation_status": "UNKNOWN"},
    "no result": {"result": None},
    "an empty result": {"result": {}},
    "null counts": {"result": {"done_count": None, "failed_count": None, "errors": None, "reports": None}},
    "fewer than nothing failed": {"result": {"failed_count": -5}},
    "fewer than nothing done": {"result": {"done_count": -5, "failed_count": 0}},
    "nothing done, nothing failed": {"result": {"done_count": 0, "failed_count": 0}},
    "more than all": {"result": {"done_count": 10**30, "failed_count": 10**30}},
    "a number as text": {"result": {"failed_count": "3"}},
    "a fraction": {"result": {"failed_count": 1.5}},
    "a status of another type": {"status": 1},
    "no status": {"status": None},
    "a result of another type": {"result": []},
    "errors of another type": {"result": {"failed_count": 3, "errors": "all"}},
    "errors of nobody": {"result": {"failed_count": 3, "errors": [None]}},
    "errors without an id": {"result": {"failed_count": 3, "errors": [{"message": PERSONAL}]}},
    "errors of strangers": {"result": {"failed_count": 3, "errors": [{"source_id": "x"}, {"source_id": "y"}]}},
    "an id that is a number": {"result": {"failed_count": 3, "errors": [{"source_id": 1}]}},
    "reports of another type": {"result": {"failed_count": 3, "reports": [1, {}]}},
    "a request id with a face": {"request_id": f"\x1b[31m{PERSONAL}", "result": {"failed_count": 3}},
}


@pytest.mark.parametrize("case", FAILED_SOMEHOW)
async def test_a_failed_action_of_another_shape_confirms_nobody(tmp_path: Path, case: str) -> None:
    failed = {"id": "aa_0", "status": "DONE", "operation_status": "FAILED", **FAILED_SOMEHOW[case]}
    async with hostile_server(people(3)) as hostile:
        hostile.instead(RESULT, answer(failed))
        run = await imported(hostile, tmp_path)
        assert run.report.outcomes.confirmed == 0
        await assert_a_clear_outcome(run)
    assert PERSONAL not in repr(run.rows(REJECTED))


@pytest.mark.parametrize(
    "result",
    [
        {"done_count": 3, "failed_count": 0, "errors": None},
        {"done_count": 3, "failed_count": None, "errors": None, "reports": None},
        {"done_count": 3, "failed_count": 0, "errors": [], "reports": [], "more": {"x": [None]}},
    ],
)
async def test_an_action_that_wrote_all_is_confirmed_whatever_else_it_leaves_out(
    tmp_path: Path, result: Fields
) -> None:
    done = {"id": "aa_0", "status": "DONE", "operation_status": "SUCCESS", "result": result}
    async with hostile_server(people(3)) as hostile:
        hostile.instead(RESULT, answer(done))
        run = await imported(hostile, tmp_path)
    assert run.report.outcomes == Outcomes(confirmed=3)
    assert_nobody_is_lost(run)


@pytest.mark.parametrize(
    "accepted",
    [
        *({}, [], None, "aa_0", {"async_action_id": None}, {"async_action_id": 7}, {"async_action_id": ""}),
        *({"async_action_id": f"aa_{char * 3}"} for char in "/ ?#%.\x1b\n\x00é"),
        {"async_action_id": "x" * 5_000},
        {"async_action_id": ".."},
        {"async_action_id": "../customers"},
    ],
    ids=lambda accepted: repr(accepted)[:40],
)
async def test_an_upsert_accepted_in_another_shape_does_not_count_as_written(
    tmp_path: Path, accepted: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "YOUNG_SECONDS", 0.0)
    async with hostile_server(people(3)) as hostile:
        hostile.instead(UPSERT, answer(accepted, 202), takes_effect=True)
        run = await imported(hostile, tmp_path)
        assert run.report.outcomes.confirmed == 0
        assert all(
            "/" not in call.removeprefix("GET /v1/async-actions/") for call in hostile.calls if RESULT[1:] in call
        )
        await assert_a_clear_outcome(run)
