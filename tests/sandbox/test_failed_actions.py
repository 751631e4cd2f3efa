"""Bulk upserts that are accepted and then end FAILED: none of their customers is written."""

from __future__ import annotations

import pytest

from tests.sandbox.clients import Client, quick
from tests.sandbox.conftest import Connect

ADA = {"source_id": "ada", "name": "Ada Lovelace"}


async def _statuses(client: Client, count: int) -> list[str]:
    """The statuses of `count` actions, all of the same customer."""
    return [(await client.action(await client.upsert(ADA)))["status"] for _ in range(count)]


async def test_no_action_fails_unasked(connect: Connect) -> None:
    assert set(await _statuses(await connect(quick()), 20)) == {"DONE"}


async def test_an_action_that_failed_has_that_status_and_no_result(connect: Connect) -> None:
    client = await connect(quick(failed_actions=1.0))
    action = await client.action(await client.upsert(ADA))
    assert (action["status"], action["operation_status"]) == ("FAILED", "FAILED")
    assert "result" not in action, "Voucherify's document has no result that is null"


async def test_an_action_that_failed_wrote_none_of_its_customers(connect: Connect) -> None:
    client = await connect(quick(failed_actions=1.0))
    assert (await client.upsert(ADA, {"source_id": "grace"})).status == 202
    assert [(await client.customer(source_id)).status for source_id in ("ada", "grace")] == [404, 404]
    assert client.sandbox.voucherify.pending == 0, "it has ended all the same"


async def test_that_an_action_will_fail_does_not_show_until_it_ends(connect: Connect) -> None:
    client = await connect(quick(failed_actions=1.0, action_seconds=60))
    action = await client.action(await client.upsert(ADA))
    assert (action["status"], action["operation_status"]) == ("IN_PROGRESS", "UNKNOWN")
    assert "result" not in action
    assert client.sandbox.verdict().failed_actions == 0


async def test_the_same_customers_may_be_written_by_another_action(connect: Connect) -> None:
    client = await connect(quick(failed_actions=0.5))
    statuses = await _statuses(client, 40)
    assert 8 < statuses.count("FAILED") < 32
    assert 8 < statuses.count("DONE") < 32
    assert (await client.customer("ada")).status == 200


async def test_the_same_actions_fail_for_the_same_seed(connect: Connect) -> None:
    first, again, other = [
        await _statuses(await connect(quick(failed_actions=0.5, seed=seed)), 40) for seed in (1, 1, 2)
    ]
    assert first == again != other


async def test_a_request_that_is_refused_makes_no_action_and_draws_nothing(connect: Connect) -> None:
    undisturbed = await _statuses(await connect(quick(failed_actions=0.5)), 10)
    client = await connect(quick(failed_actions=0.5))
    statuses = []
    for _ in range(10):
        assert (await client.upsert({"name": "has no source id"})).status == 400
        statuses += await _statuses(client, 1)
    assert statuses == undisturbed


async def test_a_listing_shows_which_actions_failed_and_in_what(connect: Connect) -> None:
    client = await connect(quick(failed_actions=0.5, refused_later=0.5))
    accepted = [await client.upsert({"source_id": f"person {number}"}) for number in range(30)]
    one_by_one = [await client.action(answer) for answer in accepted]
    outcomes = {(action["status"], action["operation_status"]) for action in one_by_one}
    assert outcomes == {("FAILED", "FAILED"), ("DONE", "FAILED"), ("DONE", "SUCCESS")}
    listed = (await client.voucherify("/v1/async-actions", limit=100)).body["async_actions"]
    for action in one_by_one:
        action.pop("result", None)
    assert listed == one_by_one[::-1]


@pytest.mark.parametrize("failed_actions", [0.0, 0.5, 1.0])
async def test_the_verdict_misses_what_no_action_wrote(connect: Connect, failed_actions: float) -> None:
    client = await connect(quick(profiles=60, failed_actions=failed_actions))
    profiles = [client.sandbox.space.profile(index) for index in range(60)]
    customers = [profile.customer for profile in profiles if profile.customer]
    statuses = [(await client.action(await client.upsert(customer)))["status"] for customer in customers]
    verdict = client.sandbox.verdict()
    assert verdict.failed_actions == verdict.missing_count == statuses.count("FAILED")
    assert verdict.arrived == statuses.count("DONE")
    assert (verdict.refused, verdict.wrong_count) == (0, 0)
    assert verdict.is_right == (failed_actions == 0)


async def test_what_failed_is_missing_until_another_action_wrote_it(connect: Connect) -> None:
    client = await connect(quick(profiles=30, failed_actions=0.7))
    profiles = [client.sandbox.space.profile(index) for index in range(30)]
    customers = [profile.customer for profile in profiles if profile.customer]
    statuses: list[str] = []
    was_right: list[bool] = []
    for _ in range(20):
        statuses.append((await client.action(await client.upsert(*customers)))["status"])
        was_right.append(client.sandbox.verdict().is_right)
    first = statuses.index("DONE")
    assert 0 < first < 19
    assert was_right == [number >= first for number in range(20)]
    assert "FAILED" in statuses[first:], "what one action wrote, another that fails does not take away"
