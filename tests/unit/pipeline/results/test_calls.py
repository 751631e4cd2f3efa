"""How many calls it takes to read the results."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from segsync.connectors.base import ActionStatus, UpsertResult
from segsync.models import Outcomes
from tests.support.ledgers import done, failed, not_ended
from tests.unit.pipeline.results.scene import Scene, until


async def test_one_or_two_are_asked_for_by_their_ids(scene: Scene) -> None:
    scene.send(1, done(1))
    scene.send(1, done(1))
    await scene.follow()
    assert scene.voucherify.calls == ["aa_1", "aa_2"]


async def test_of_many_a_listing_shows_which_have_ended(scene: Scene) -> None:
    for number in range(80):
        scene.send(1, done(1) if number % 2 else not_ended())
    following = asyncio.ensure_future(scene.follow())
    await until(lambda: len(scene.ended) == 40 and scene.voucherify.calls.count("listing") >= 2)
    calls = Counter(scene.voucherify.calls)
    del calls["listing"]
    assert calls == Counter({f"aa_{number}": 1 for number in range(2, 81, 2)})
    for action_id in scene.voucherify.results:
        scene.voucherify.results[action_id] = done(1)
    await following
    assert scene.outcomes == Outcomes(confirmed=80)


@pytest.mark.parametrize("count", [101, 150, 250])
async def test_those_that_are_too_old_for_the_listing_are_found_and_reported_once(scene: Scene, count: int) -> None:
    for _ in range(count):
        scene.send(2, done(2))
    await scene.follow()
    assert scene.outcomes == Outcomes(confirmed=2 * count)
    assert Counter(scene.ended) == Counter({f"aa_{number}": 1 for number in range(1, count + 1)})


async def test_failures_that_are_too_old_for_the_listing_are_counted_once(scene: Scene) -> None:
    for number in range(120):
        scene.send(2, failed() if number in (3, 17) else done(2))
    await scene.follow()
    assert scene.outcomes == Outcomes(confirmed=236, pending=4)


@pytest.mark.parametrize("count", [2, 3, 40, 130])
async def test_an_old_one_that_is_stuck_does_not_hide_the_others(scene: Scene, count: int) -> None:
    scene.send(1, not_ended())
    for _ in range(count - 1):
        scene.send(1, done(1))
    following = asyncio.ensure_future(scene.follow())
    await until(lambda: len(set(scene.ended)) == count - 1)
    assert not following.done()
    scene.voucherify.results["aa_1"] = done(1)
    await following
    assert scene.outcomes == Outcomes(confirmed=count)


async def test_one_that_is_stuck_and_too_old_for_the_listing_costs_few_calls(scene: Scene) -> None:
    for _ in range(110):
        scene.send(1, not_ended())
    following = asyncio.ensure_future(scene.follow())
    await until(lambda: scene.voucherify.calls.count("listing") >= 10)
    following.cancel()
    calls = Counter(scene.voucherify.calls)
    assert calls.total() <= 3 * calls["listing"]


# --- a listing that says who succeeded ------------------------------------------------------------------------


def success(_action_id: str, result: UpsertResult) -> ActionStatus:
    return ActionStatus(result.status, result.status == "DONE")


def single(scene: Scene) -> list[str]:
    """The calls for one action."""
    return [call for call in scene.voucherify.calls if call != "listing"]


async def test_a_listing_that_says_success_saves_the_calls_for_single_actions(scene: Scene) -> None:
    scene.voucherify.listed = success
    for _ in range(100):
        scene.send(2, done(2))
    await scene.follow()
    assert scene.outcomes == Outcomes(confirmed=200)
    assert single(scene) == [*(f"aa_{number}" for number in range(1, 11)), "aa_100"]


async def test_one_in_a_hundred_of_them_is_read_singly_too(scene: Scene) -> None:
    scene.voucherify.listed = success
    for _ in range(4):
        for _ in range(100):
            scene.send(1, done(1))
        await scene.follow()
    assert single(scene)[10:] == ["aa_100", "aa_200", "aa_300", "aa_400"]


@pytest.mark.parametrize("truth", [done(2, ["c1-0"]), failed(), not_ended()], ids=["refused", "FAILED", "open"])
async def test_a_listing_that_contradicts_a_single_result_is_not_believed_again(
    scene: Scene, truth: UpsertResult
) -> None:
    scene.voucherify.listed = lambda *_: ActionStatus("DONE", is_success=True)
    scene.send(2, truth)
    for _ in range(49):
        scene.send(2, done(2))
    following = asyncio.ensure_future(scene.follow())
    await until(lambda: len(scene.ended) >= 49)
    scene.voucherify.results["aa_1"] = truth if truth.has_ended else done(2)
    await following
    assert {*single(scene)} == {f"aa_{number}" for number in range(1, 51)}


async def test_what_the_listing_does_not_call_a_success_is_read_singly(scene: Scene) -> None:
    scene.voucherify.listed = lambda action_id, result: ActionStatus(result.status, action_id != "aa_40")
    for number in range(1, 51):
        scene.send(2, done(2, [f"c{number}-0"]) if number == 40 else done(2))
    await scene.follow()
    assert scene.outcomes == Outcomes(confirmed=99, rejected=1)
    assert "aa_40" in single(scene)


async def test_what_a_listing_says_counts_once_the_next_single_result_agrees(scene: Scene) -> None:
    """It lies about an upsert that comes between two checks."""
    scene.voucherify.listed = lambda *_: ActionStatus("DONE", is_success=True)
    for number in range(1, 41):
        scene.send(2, done(2, [f"c{number}-1"]) if number >= 20 else done(2))
    await scene.follow()
    assert scene.outcomes == Outcomes(confirmed=19 * 2 + 21, rejected=21)


async def test_the_last_of_them_is_read_singly_too(scene: Scene) -> None:
    scene.voucherify.listed = success
    for _ in range(50):
        scene.send(2, done(2))
    await scene.follow()
    assert len(single(scene)) == 11
    assert scene.outcomes == Outcomes(confirmed=100)
