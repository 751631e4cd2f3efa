"""Whole imports with a ledger, from memory to memory: refused customers whom no result names are found."""

from __future__ import annotations

import pytest

from segsync.connectors.base import UpsertResult
from segsync.events import ActionEnded, BatchSent
from segsync.models import Outcomes
from segsync.pipeline import results
from tests.job.world import World, poison, users
from tests.support.ledgers import done, failed

BAD = 137


@pytest.fixture
def unnamed(world: World) -> World:
    world.voucherify.names_refused = lambda _action_id: False
    return world


def sent_to_search(world: World, batches: int) -> list[int]:
    """The sizes of the upserts behind the first ones."""
    return [len(each.profiles) for each in world.events if isinstance(each, BatchSent)][batches:]


async def test_one_refused_customer_that_nobody_names_is_found_in_halves(unnamed: World) -> None:
    unnamed.voucherify.verdict = poison(BAD)
    report = await unnamed.run()
    assert (report.state, report.outcomes) == ("done", Outcomes(confirmed=299, rejected=1))
    assert unnamed.rejected() == {str(BAD): "confirm"}
    assert unnamed.voucherify.written == users(*range(300)) - users(BAD)
    # 20 → 10 → 5 → 3 and 2 → 2 and 1 → 1
    assert sorted(sent_to_search(unnamed, 15), reverse=True)[:5] == [10, 10, 5, 5, 3]


async def test_a_search_reads_each_of_its_profiles_once(unnamed: World) -> None:
    unnamed.voucherify.verdict = poison(BAD)
    await unnamed.run()
    assert unnamed.source.reads == 300 + 20


async def test_several_of_one_batch_and_of_several_are_found(unnamed: World) -> None:
    bad = (3, 4, 17, 100, 101)
    unnamed.voucherify.verdict = poison(*bad)
    report = await unnamed.run()
    assert report.outcomes == Outcomes(confirmed=295, rejected=5)
    assert {int(each) for each in unnamed.rejected()} == set(bad)


async def test_one_customer_that_makes_its_bulk_upserts_fail_as_a_whole_is_found(world: World) -> None:
    passing = world.voucherify.verdict
    world.voucherify.verdict = lambda ids: failed() if f"user-{BAD}" in ids else passing(ids)
    report = await world.run()
    assert report.outcomes == Outcomes(confirmed=299, rejected=1)
    assert world.rejected() == {str(BAD): "confirm"}


async def test_a_search_costs_no_more_than_its_budget_and_the_rest_is_unknown(unnamed: World) -> None:
    bad = range(0, 300, 10)
    unnamed.voucherify.verdict = poison(*bad)
    report = await unnamed.run()
    calls = len(unnamed.voucherify.calls) + len(unnamed.voucherify.batches) - 2 * 15
    assert calls <= 100 + 15, "beyond the upserts, their results and a few listings"
    outcomes = report.outcomes
    assert report.state == "done"
    assert outcomes.unknown
    assert outcomes.profiles == outcomes.confirmed + outcomes.rejected + outcomes.unknown == 300
    assert {int(each) for each, stage in unnamed.rejected().items() if stage == "confirm"} <= set(bad)
    assert outcomes.unknown + outcomes.rejected >= len(bad)


async def test_what_stayed_unknown_is_found_out_by_a_retry_once_results_name_the_refused(unnamed: World) -> None:
    bad = range(0, 300, 10)
    unnamed.voucherify.verdict = poison(*bad)
    first = await unnamed.run()
    unnamed.voucherify.names_refused = lambda _action_id: True
    unnamed.voucherify.verdict = poison(50)
    report = await unnamed.run(retry_rejected=True)
    assert first.outcomes.unknown
    assert report.outcomes == Outcomes(confirmed=299, rejected=1)
    assert unnamed.voucherify.written == users(*range(300)) - users(50)


@pytest.mark.parametrize("event", range(350, 420, 7))
async def test_a_search_that_is_killed_goes_on_where_it_stood(unnamed: World, event: int) -> None:
    unnamed.voucherify.verdict = poison(BAD, 20)
    await unnamed.run_killed(event, "search")
    report = await unnamed.run(resume=True)
    assert (report.state, report.outcomes) == ("done", Outcomes(confirmed=298, rejected=2))
    assert unnamed.rejected() == {str(BAD): "confirm", "20": "confirm"}


async def test_without_results_nothing_is_searched(unnamed: World) -> None:
    unnamed.voucherify.verdict = poison(BAD)
    report = await unnamed.run(confirm=False)
    assert report.outcomes == Outcomes(sent=300)
    assert unnamed.count(ActionEnded) == 0


async def test_an_action_that_is_forgotten_for_good_is_neither_rejected_nor_confirmed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "YOUNG_SECONDS", 0.0)
    world.voucherify.forgotten = {"aa_3"}
    report = await world.run()
    assert (report.state, report.outcomes) == ("done", Outcomes(confirmed=280, unknown=20))
    [group] = report.unknown
    assert (group.profiles, group.stage) == (20, "confirm")
    assert not report.rejections
    report = await world.run(retry_rejected=True)
    assert report.outcomes == Outcomes(confirmed=300)


async def test_a_failure_of_one_alone_that_passes_rejects_nobody(world: World) -> None:
    has_failed_alone = False

    def verdict(ids: list[str]) -> UpsertResult:
        nonlocal has_failed_alone
        if f"user-{BAD}" not in ids or has_failed_alone:
            return done(len(ids))
        has_failed_alone = len(ids) == 1
        return failed()

    world.voucherify.verdict = verdict
    report = await world.run()
    assert has_failed_alone
    assert report.outcomes == Outcomes(confirmed=300)


@pytest.mark.parametrize("profiles", [1, 5, 100, 300])
async def test_bulk_upserts_that_fail_for_everybody_reject_nobody(world: World, profiles: int) -> None:
    world.source.profiles = profiles
    world.voucherify.verdict = lambda _ids: failed()
    for resume in (False, True, True):
        report = await world.run(resume=resume)
        assert (report.state, report.outcomes.rejected, report.outcomes.unknown) == ("stopped", 0, 0)
        assert "wrote none of the customers that were sent again" in str(report.error)
    world.voucherify.verdict = poison()
    report = await world.run(resume=True)
    assert (report.state, report.outcomes) == ("done", Outcomes(confirmed=profiles))


async def test_what_a_search_could_not_find_out_is_called_that_and_nothing_else(unnamed: World) -> None:
    unnamed.voucherify.verdict = poison(*range(0, 300, 10))
    report = await unnamed.run()
    [group] = report.unknown
    assert group.reason == "Voucherify did not write all of these customers, and does not say which"
