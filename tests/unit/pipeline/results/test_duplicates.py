"""A customer of an upsert turns out to be a duplicate while the result is read: it counts once, as that."""

from __future__ import annotations

import asyncio
from sqlite3 import Connection

import pytest

from segsync.connectors.base import UpsertResult
from segsync.events import DuplicateIdentifier
from segsync.ledger import batches, recorder
from segsync.models import Outcomes
from tests.support.ledgers import done, failed
from tests.unit.pipeline.results.scene import Scene

DUPLICATE = DuplicateIdentifier("use_b", 1, "use_first", "aa_1")


def find(scene: Scene) -> None:
    recorder.for_listing(scene.ledger, scene.run, done_pages=0, is_followed=True).record(DUPLICATE)
    scene.writer.remember(DUPLICATE)
    scene.emit(DUPLICATE)


@pytest.mark.parametrize(
    ("result", "outcomes"),
    [(done(2), Outcomes(confirmed=1, duplicate=1)), (failed(), Outcomes(pending=1, duplicate=1))],
    ids=["done", "failed"],
)
async def test_before_voucherify_has_answered(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, result: UpsertResult, outcomes: Outcomes
) -> None:
    answer = scene.voucherify.upsert_result

    async def find_and_answer(action_id: str) -> UpsertResult | None:
        find(scene)
        return await answer(action_id)

    monkeypatch.setattr(scene.voucherify, "upsert_result", find_and_answer)
    scene.send(["a", "b"], result)
    await scene.follow()
    assert scene.outcomes == outcomes


async def test_when_the_ledger_has_named_the_customers_and_the_reader_does_not_have_them_yet(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    members_of, loop, found = batches.members_of, asyncio.get_running_loop(), asyncio.Event()

    async def find_now() -> None:
        found.set()
        find(scene)

    def answer_and_find(db: Connection, batch: int) -> list[batches.Member]:
        members = members_of(db, batch)
        if not found.is_set():
            asyncio.run_coroutine_threadsafe(find_now(), loop).result(30)
        return members

    monkeypatch.setattr(batches, "members_of", answer_and_find)
    scene.send(["a", "b"], failed())
    await scene.follow()
    assert scene.outcomes == Outcomes(pending=1, duplicate=1)
    assert [each.segment_id for each in scene.ledger.read(lambda db: members_of(db, 1)) if each.counts] == ["use_a"]
