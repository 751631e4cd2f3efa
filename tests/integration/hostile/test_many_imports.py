"""An import leaves the next one alone."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from sqlite3 import Connection

import pytest

from segsync import run_import
from segsync.ledger import batches
from segsync.ledger.batches import OpenBatch
from segsync.models import Outcomes
from tests.integration.hostile.imported import LISTING, RESULT, UPSERT, imported
from tests.support.hostile import hostile_server, people
from tests.support.scripted import answer, raw


async def test_an_import_that_was_stopped_leaves_no_mark_on_the_task_that_ran_it(tmp_path: Path) -> None:
    """Otherwise an import after it, or a time-out around it, would be cancelled."""
    task = asyncio.current_task()
    assert task
    async with hostile_server(people(3)) as hostile:
        for call in (LISTING, UPSERT, RESULT):
            hostile.instead(call, raw(b"<html>"))
            await run_import(hostile.settings(), directory=tmp_path)
            assert task.cancelling() == 0, call
            hostile.behave()


async def test_the_result_of_the_last_upsert_is_read_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger is asked for open upserts before the last one is sent, and answers after it."""
    ask = batches.open_upserts

    def slowly(db: Connection, since: int, most: int) -> list[OpenBatch]:
        answered = ask(db, since, most)
        time.sleep(0.1)
        return answered

    monkeypatch.setattr(batches, "open_upserts", slowly)
    async with hostile_server(people(3)) as hostile:
        run = await imported(hostile, tmp_path)
    assert run.report.outcomes == Outcomes(confirmed=3)


async def test_a_run_without_patience_for_results_still_sends_everything(tmp_path: Path) -> None:
    """The seconds count from when all is sent, and only while there is something to wait for."""
    async with hostile_server(people(150)) as hostile:
        hostile.instead(RESULT, answer({"id": "aa_0", "status": "IN_PROGRESS"}))
        report = await run_import(hostile.settings(confirm_seconds=0), directory=tmp_path)
    assert report.outcomes == Outcomes(sent=150), report.error
    assert "none of 2 bulk upserts (150 customers)" in str(report.error)
