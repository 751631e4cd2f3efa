"""Whole imports from memory to memory: just the profiles of given ids, beside the imports on the same ledger."""

from __future__ import annotations

import asyncio

import pytest
from msgspec import structs

from segsync import ImportReport
from segsync.commands.status import read_status
from segsync.connectors.base import UpsertResult
from segsync.events import ActionEnded, BatchSent, PageDone, ProfileRead, ReadingEnded
from segsync.ledger.database import reading
from segsync.ledger.profiles import ProfileOutcome
from segsync.ledger.rejections import unresolved
from segsync.models import Outcomes
from tests.job.world import World, poison, users
from tests.support.ledgers import done, failed, not_ended
from tests.support.memory import refused


def ids(*numbers: int) -> list[str]:
    return [str(number) for number in numbers]


def unresolved_in(world: World) -> list[str]:
    with reading(world.ledger) as db:
        return [letter.segment_id for letter in unresolved(db)]


async def interrupted(world: World) -> ImportReport:
    """An import that ends after some 120 profiles, of which 5 and 7 are rejected and 9 has no identifier."""
    world.source.trouble = lambda index: refused(500) if index == 5 else None
    world.voucherify.verdict = poison(7)
    world.source.source_id = lambda index: None if index == 9 else f"user-{index}"
    stop = asyncio.Event()
    world.at_event = lambda _event: stop.set() if world.count(ProfileRead) == 120 else None
    report = await world.run(stop=stop)
    world.at_event = lambda _event: None
    world.source.trouble = lambda _index: None
    world.voucherify.verdict = poison()
    world.source.source_id = lambda index: f"user-{index}"
    return report


async def test_just_the_given_profiles_are_read_and_sent_on_a_new_ledger(world: World) -> None:
    report = await world.run(ids=ids(250, 3, 250, 17))
    assert (report.state, report.outcomes, report.unknown_ids) == ("done", Outcomes(confirmed=3), 0)
    assert (world.source.reads, world.voucherify.received) == (3, ["user-250", "user-3", "user-17"])
    status = world.status()
    assert (status.state, status.ids_from, status.offset, status.outcomes) == ("done", "", None, report.outcomes)
    assert read_status(world.ledger).next_step == "Nothing is left to do."


async def test_they_are_sent_though_nothing_has_changed_and_the_ledger_has_them(world: World) -> None:
    await world.run()
    report = await world.run(ids=ids(3, 17))
    assert report.outcomes == Outcomes(confirmed=2)
    assert world.voucherify.received.count("user-3") == 2


async def test_profiles_that_were_rejected_or_without_identifier_come_to_what_they_are_now(world: World) -> None:
    world.source.trouble = lambda index: refused(500) if index == 5 else None
    world.voucherify.verdict = poison(7)
    world.source.source_id = lambda index: None if index == 9 else f"user-{index}"
    await world.run()
    world.source.trouble = lambda _index: None
    world.source.source_id = lambda index: f"user-{index}"
    report = await world.run(ids=ids(5, 7, 9))
    assert (report.state, report.outcomes) == ("done", Outcomes(confirmed=2, rejected=1))
    assert unresolved_in(world) == ["7"]
    assert world.rows()[ProfileOutcome.WITHOUT_IDENTIFIER] == set()
    assert world.status(1).outcomes == Outcomes(confirmed=298, without_identifier=1, rejected=1)
    assert world.voucherify.written == users(*range(300)) - users(7)
    world.voucherify.verdict = poison()
    await world.run(ids=ids(7))
    assert unresolved_in(world) == []
    assert [run.outcomes.rejected for run in read_status(world.ledger).runs] == [0, 0, 0]


async def test_unknown_ids_are_no_profiles_and_leave_no_dead_letter(world: World) -> None:
    world.source.trouble = lambda index: refused(404) if index >= 1000 else refused(500) if index == 4 else None
    report = await world.run(ids=ids(3, 4, 1000, 1001))
    assert (report.state, report.outcomes, report.unknown_ids) == ("done", Outcomes(confirmed=1, rejected=1), 2)
    assert world.status().outcomes == report.outcomes
    assert unresolved_in(world) == ["4"]


async def test_a_page_of_nothing_but_unknown_ids_is_done_too(world: World) -> None:
    world.source.trouble = lambda index: refused(404) if index < 150 else None
    report = await world.run(ids=ids(*range(250)))
    assert (report.state, report.outcomes, report.unknown_ids) == ("done", Outcomes(confirmed=100), 150)


async def test_a_dead_letter_whose_profile_is_gone_stays(world: World) -> None:
    world.source.trouble = lambda index: refused(500) if index == 5 else None
    await world.run()
    world.source.trouble = lambda index: refused(404) if index == 5 else None
    assert (await world.run(ids=ids(5))).unknown_ids == 1
    assert unresolved_in(world) == ["5"]


async def test_an_unfinished_import_is_resumed_as_if_nothing_had_been_between(world: World) -> None:
    before = await interrupted(world)
    status = world.status()
    await world.run(ids=ids(5, 9, 299))
    now = world.status(1)
    assert structs.replace(now, outcomes=status.outcomes) == status
    assert now.outcomes.profiles == status.outcomes.profiles
    assert now.outcomes.rejected == status.outcomes.rejected - 1
    assert read_status(world.ledger).next_command == f"segsync --resume --ledger {world.ledger}"
    report = await world.run(resume=True)
    assert report.offset == before.resume_offset
    assert (report.state, report.outcomes) == ("done", Outcomes(confirmed=298, without_identifier=1, rejected=1))
    assert unresolved_in(world) == ["7"]
    assert world.voucherify.written == users(*range(300)) - users(7)


async def test_a_new_import_after_a_run_of_ids_begins_at_the_first_profile(world: World) -> None:
    await world.run(ids=ids(3))
    report = await world.run()
    assert (report.offset, report.outcomes) == ("0", Outcomes(confirmed=300))


async def test_where_no_import_has_run_a_resume_reads_the_results_that_were_left_open(world: World) -> None:
    world.voucherify.verdict = lambda _ids: not_ended()
    stop = asyncio.Event()
    world.at_event = lambda event: stop.set() if isinstance(event, ReadingEnded) else None
    report = await world.run(ids=ids(3, 4), stop=stop)
    assert (report.state, report.outcomes) == ("interrupted", Outcomes(sent=2))
    world.at_event = lambda _event: None
    [action_id] = world.voucherify.results
    world.voucherify.results[action_id] = done(2, ["user-4"])
    world.voucherify.verdict = poison()
    report = await world.run(resume=True)
    assert (report.state, report.outcomes) == ("done", Outcomes(confirmed=1, rejected=1))
    assert unresolved_in(world) == ["4"]
    assert (await world.run(resume=True)).outcomes == Outcomes(confirmed=300)


async def test_so_it_does_after_a_run_that_left_profiles_unread(world: World) -> None:
    world.voucherify.verdict = lambda _ids: not_ended()
    stop = asyncio.Event()
    world.at_event = lambda _event: stop.set() if world.count(ProfileRead) == 30 else None
    report = await world.run(ids=ids(*range(300)), stop=stop)
    assert (report.state, report.outcomes) == ("interrupted", world.status().outcomes)
    assert report.outcomes.profiles == 300
    left = report.outcomes.pending
    assert left > 0
    world.at_event = lambda _event: None
    for action_id, sent in world.voucherify.customers_of.items():
        world.voucherify.results[action_id] = done(len(sent), [each for each in sent if each == "user-4"])
    world.voucherify.verdict = poison()
    report = await world.run(resume=True)
    assert (report.state, report.outcomes.sent, report.outcomes.pending) == ("interrupted", 0, left)
    assert (world.status().state, world.status().outcomes) == ("interrupted", report.outcomes)
    assert unresolved_in(world) == ["4"]


async def test_what_was_confirmed_before_a_stop_stays_so_when_the_results_that_are_left_are_read(world: World) -> None:
    accepted: list[list[str]] = []

    def verdict(sent: list[str]) -> UpsertResult:
        accepted.append(sent)
        return done(len(sent), []) if len(accepted) == 1 else not_ended()

    world.voucherify.verdict = verdict
    stop = asyncio.Event()
    world.source.seconds = lambda _index: 0.002
    world.at_event = lambda event: stop.set() if isinstance(event, ActionEnded) else None
    before = (await world.run(ids=ids(*range(300)), stop=stop)).outcomes
    assert (before.confirmed, before.profiles) == (len(accepted[0]), 300)
    assert before.pending > 0
    world.at_event = lambda _event: None
    for action_id, sent in world.voucherify.customers_of.items():
        world.voucherify.results[action_id] = done(len(sent), [])
    report = await world.run(resume=True)
    assert report.outcomes == Outcomes(confirmed=before.confirmed + before.sent, pending=before.pending)
    assert world.status().outcomes == report.outcomes


@pytest.mark.parametrize("kind", [BatchSent, PageDone])
@pytest.mark.parametrize("event", [1, 2])
async def test_after_a_kill_at_any_moment_running_the_same_again_does_all_of_it(
    world: World, event: int, kind: type
) -> None:
    await interrupted(world)
    offset = world.status().offset
    given = ids(*range(0, 300, 2), 5, 7, 9)
    assert await world.run_killed(event, f"{kind.__name__}-{event}", kind=kind, ids=given)
    assert (world.status().state, world.status(1).offset) == ("killed", offset)
    killed = world.status()
    assert killed.profiles == len({*given}) >= killed.outcomes.pending > 0
    report = await world.run(ids=given)
    assert (report.state, report.outcomes) == ("done", Outcomes(confirmed=153))
    assert unresolved_in(world) == []
    assert world.status(2).offset == offset
    assert world.status(1).state == "interrupted"
    report = await world.run(resume=True)
    assert report.outcomes.rejected == 0
    assert world.voucherify.written == users(*range(300))


async def test_after_a_kill_what_is_rejected_is_still_a_dead_letter(world: World) -> None:
    """Also where the page of the run was not done: nobody continues that."""
    world.source.trouble = lambda index: refused(500) if index == 2 else None
    world.source.seconds = lambda index: 1000.0 if index == 3 else 0.0
    assert await world.run_killed(1, "rejected", kind=BatchSent, ids=ids(2, 3, *range(10, 60)))
    world.source.seconds = lambda _index: 0.0
    world.source.trouble = lambda _index: None
    report = await world.run(retry_rejected=True)
    assert report.outcomes.rejected == 0
    assert unresolved_in(world) == []
    assert "user-2" in world.voucherify.written


async def test_upserts_that_fail_are_sent_again_and_many_refusals_stop_nothing(world: World) -> None:
    results = iter([failed()])
    bad = users(*range(80))
    world.voucherify.verdict = lambda sent: (
        next(results, None) or done(len(sent), [each for each in sent if each in bad])
    )
    report = await world.run(ids=ids(*range(100)))
    assert (report.state, report.outcomes) == ("done", Outcomes(confirmed=20, rejected=80))


async def test_only_its_own_results_are_read_and_its_own_failed_upserts_are_sent_again(world: World) -> None:
    world.voucherify.verdict = lambda _ids: not_ended()
    stop = asyncio.Event()
    world.at_event = lambda event: stop.set() if isinstance(event, ReadingEnded) else None
    await world.run(stop=stop)
    world.at_event = lambda _event: None
    for action_id in world.voucherify.results:
        world.voucherify.results[action_id] = failed()
    world.voucherify.verdict = poison()
    received = len(world.voucherify.received)
    report = await world.run(ids=ids(3))
    assert (report.state, report.outcomes) == ("done", Outcomes(confirmed=1))
    assert world.voucherify.received[received:] == ["user-3"]
    assert world.status(1).outcomes == Outcomes(confirmed=1, sent=299)


@pytest.mark.parametrize("is_refused_now", [False, True])
async def test_a_result_that_is_read_later_does_not_win_over_what_came_after_it(
    world: World, *, is_refused_now: bool
) -> None:
    """The upsert of an interrupted import is older than that of the given ids, though its result is read after it."""
    world.voucherify.verdict = lambda _ids: not_ended()
    stop = asyncio.Event()
    world.at_event = lambda event: stop.set() if isinstance(event, ReadingEnded) else None
    await world.run(stop=stop)
    world.at_event = lambda _event: None
    for action_id, sent in world.voucherify.customers_of.items():
        refused_before = [each for each in sent if each == "user-7" and not is_refused_now]
        world.voucherify.results[action_id] = done(len(sent), refused_before)
    world.voucherify.verdict = poison(7) if is_refused_now else poison()
    await world.run(ids=ids(7))
    assert unresolved_in(world) == (["7"] if is_refused_now else [])
    report = await world.run(resume=True)
    assert report.outcomes == Outcomes(confirmed=299, rejected=1) if is_refused_now else Outcomes(confirmed=300)
    assert unresolved_in(world) == (["7"] if is_refused_now else [])


async def test_a_second_profile_with_an_identifier_that_was_sent_is_a_duplicate_here_too(world: World) -> None:
    world.source.source_id = lambda index: f"user-{index % 200}"
    assert (await world.run()).outcomes == Outcomes(confirmed=200, duplicate=100)
    report = await world.run(ids=ids(3, 203))
    assert report.outcomes == Outcomes(confirmed=1, duplicate=1)
    world.source.source_id = lambda index: f"user-{index}"
    assert (await world.run(ids=ids(203))).outcomes == Outcomes(confirmed=1)
    assert world.rows()[ProfileOutcome.DUPLICATE] == set(ids(*range(200, 300))) - {"203"}


async def test_results_may_be_left_unread(world: World) -> None:
    world.source.trouble = lambda index: refused(500) if index == 5 else None
    await world.run()
    world.source.trouble = lambda _index: None
    report = await world.run(ids=ids(5), confirm=False)
    assert report.outcomes == Outcomes(sent=1)
    assert world.status(1).outcomes == Outcomes(confirmed=299, sent=1)
    assert unresolved_in(world) == []


async def test_no_ids_are_nothing_to_do(world: World) -> None:
    report = await world.run(ids=[])
    assert (report.state, report.outcomes, world.source.reads) == ("done", Outcomes(), 0)
