"""When the results stop the import: all customers of several bulk upserts are refused, or none of them ends."""

from __future__ import annotations

import asyncio

import pytest

from segsync.connectors.base import UpsertResult
from segsync.errors import StopError
from segsync.ledger.database import Ledger
from segsync.models import Outcomes
from segsync.pipeline.results import FAILED_IN_A_ROW
from tests.support.ledgers import REASON, done, not_ended
from tests.unit.pipeline.results.scene import Scene, until

# --- all customers of a batch were refused --------------------------------------------------------------------


async def test_three_batches_all_of_whose_customers_were_refused_stop_the_import_and_reject_nobody(
    scene: Scene,
) -> None:
    """E.g. a metadata schema that lacks a property."""
    for _ in range(4):
        ids = scene.send(10, None)
        scene.voucherify.results[f"aa_{scene.actions}"] = done(10, ids)
    with pytest.raises(StopError, match="refused all 30 customers of 3 bulk upserts in a row") as raised:
        await scene.follow()
    assert REASON in str(raised.value)
    assert scene.outcomes == Outcomes(sent=10, pending=30)
    assert scene.rejections == []


async def test_one_success_between_them_makes_them_rejections(scene: Scene) -> None:
    for result in ("refused", "refused", "done", "refused", "refused"):
        ids = scene.send(50, None)
        scene.voucherify.results[f"aa_{scene.actions}"] = done(50, ids if result == "refused" else ())
    await scene.follow()
    assert scene.outcomes == Outcomes(confirmed=50, rejected=200)


async def test_a_batch_of_refused_customers_waits_for_the_next_and_is_not_asked_for_again(scene: Scene) -> None:
    ids = scene.send(10, done(10, [f"c1-{i}" for i in range(10)]))
    scene.send(10, not_ended())
    following = asyncio.ensure_future(scene.follow())
    await asyncio.sleep(0.02)
    assert scene.rejections == []
    assert scene.outcomes == Outcomes(sent=20)
    scene.voucherify.results["aa_2"] = done(10)
    await following
    assert scene.rejected == ids
    assert scene.voucherify.calls.count("aa_1") == 1


async def test_at_the_end_of_the_import_they_are_rejections(scene: Scene) -> None:
    for _ in range(2):
        ids = scene.send(50, None)
        scene.voucherify.results[f"aa_{scene.actions}"] = done(50, ids)
    await scene.follow()
    assert scene.outcomes == Outcomes(rejected=100)


async def test_a_few_customers_in_small_batches_stop_nothing(scene: Scene) -> None:
    for _ in range(8):
        ids = scene.send(3, None)
        scene.voucherify.results[f"aa_{scene.actions}"] = done(3, ids)
    await scene.follow()
    assert scene.outcomes == Outcomes(rejected=24)


async def test_those_of_an_earlier_process_are_replayed_since_the_schema_may_be_fixed(scene: Scene) -> None:
    for _ in range(4):
        ids = scene.send(10, None)
        scene.voucherify.results[f"aa_{scene.actions}"] = done(10, ids)
    scene.begin_process()
    await scene.follow()
    assert scene.outcomes == Outcomes(pending=40)
    scene.replay(lambda again: done(10, again))
    await scene.follow()
    assert scene.outcomes == Outcomes(rejected=40)


async def test_batches_refused_as_a_whole_by_their_counts_alone_stop_the_import_too(scene: Scene) -> None:
    """No customer is named, so all would be rejected, upsert by upsert, to the end of the space."""
    for _ in range(FAILED_IN_A_ROW):
        scene.send(100, UpsertResult("DONE", False, 0, 100, (), (), None))
    with pytest.raises(StopError):
        await scene.follow()
    assert scene.rejections == []


# --- patience -------------------------------------------------------------------------------------------------


async def test_when_nothing_ends_any_more_the_import_stops_and_the_results_are_read_later(ledger: Ledger) -> None:
    scene = Scene(ledger, patience_seconds=0.05)
    await scene.begin()
    scene.send(30, not_ended())
    scene.send(10, not_ended())
    with pytest.raises(StopError, match=r"finished none of 2 bulk upserts \(40 customers\) in 0 s.*resume"):
        await scene.follow()
    assert scene.outcomes == Outcomes(sent=40)
    scene.voucherify.results = {"aa_1": done(30), "aa_2": done(10)}
    scene.begin_process()
    await scene.follow()
    assert scene.outcomes == Outcomes(confirmed=40)


async def test_every_end_renews_the_patience(ledger: Ledger) -> None:
    scene, now = Scene(ledger, patience_seconds=10.0), 0.0
    await scene.begin()
    scene.reader._clock = lambda: now
    for _ in range(4):
        scene.send(1, not_ended())

    async def end(action_id: str) -> None:
        calls = len(scene.voucherify.calls) + 10
        await until(lambda: len(scene.voucherify.calls) >= calls)  # looks at which nothing has ended
        scene.voucherify.results[action_id] = done(1)
        await until(lambda: action_id in scene.ended)

    following = asyncio.ensure_future(scene.follow())
    for action_id in list(scene.voucherify.results):
        now += 6.0
        await end(action_id)
    await following
    assert scene.outcomes == Outcomes(confirmed=4)


async def test_while_customers_are_still_sent_nobody_loses_patience(ledger: Ledger) -> None:
    scene = Scene(ledger, patience_seconds=0.01)
    await scene.begin()
    scene.send(1, not_ended())
    all_sent = asyncio.Event()
    following = asyncio.ensure_future(scene.reader.follow(all_sent))
    await asyncio.sleep(0.1)
    assert not following.done()
    scene.voucherify.results["aa_1"] = done(1)
    all_sent.set()
    await following
    assert scene.outcomes == Outcomes(confirmed=1)


async def test_while_customers_are_still_sent_the_looks_leave_them_their_calls(ledger: Ledger) -> None:
    scene = Scene(ledger, calls_per_second=100.0)  # of which every fifth may be a look
    await scene.begin()
    for _ in range(10):
        scene.send(1, not_ended())
    following = asyncio.ensure_future(scene.reader.follow(asyncio.Event()))
    await asyncio.sleep(0.3)
    assert scene.voucherify.calls.count("listing") <= 7
    await until(lambda: "listing" in scene.voucherify.calls)
    following.cancel()
