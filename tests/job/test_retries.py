"""Whole imports with a ledger, from memory to memory: the rejected are replayed."""

from __future__ import annotations

import asyncio

from segsync.commands.status import read_status
from segsync.events import ReadingEnded
from segsync.models import Outcomes
from segsync.report.profile_lists import REJECTED
from tests.job.world import World, poison, users
from tests.support.ledgers import done, failed, not_ended
from tests.support.memory import refused


async def test_rejected_profiles_are_replayed_and_nobody_else(world: World) -> None:
    world.source.source_id = lambda index: None if index == 100 else f"user-{index}"
    world.source.trouble = lambda index: refused(404) if index in (20, 77, 99) else None
    world.voucherify.trouble = lambda ids: refused(400) if "user-33" in ids else None
    world.voucherify.verdict = poison(50, 250)
    first = await world.run()
    assert first.outcomes == Outcomes(confirmed=293, without_identifier=1, rejected=6)
    reads = world.source.reads
    world.source.source_id = lambda index: None if index in (77, 100) else f"user-{index}"
    world.source.trouble = lambda index: refused(404) if index == 99 else None
    world.voucherify.trouble = lambda _ids: None
    world.voucherify.verdict = poison(250)
    report = await world.run(retry_rejected=True)
    assert (report.state, report.outcomes) == ("done", Outcomes(confirmed=296, without_identifier=2, rejected=2))
    assert world.source.reads == reads + 6
    assert world.rejected() == {"99": "read", "250": "confirm"}
    assert (len(read_status(world.ledger).runs), world.status().state) == (1, "done")
    lines = (world.directory / REJECTED).read_text().splitlines()[1:]
    assert sorted(line.split(",")[0] for line in lines) == ["250", "99"]
    world.source.trouble = lambda _index: None
    world.voucherify.verdict = poison()
    report = await world.run(retry_rejected=True)
    assert report.outcomes == Outcomes(confirmed=298, without_identifier=2)
    assert not (world.directory / REJECTED).exists()
    assert world.voucherify.written == users(*range(300)) - users(77, 100)


async def test_a_retry_that_is_killed_leaves_the_rest_rejected(world: World) -> None:
    world.source.trouble = lambda index: refused(404) if index < 40 else None
    await world.run()
    world.source.trouble = lambda _index: None
    world.source.seconds = lambda _index: 0.001
    assert await world.run_killed(30, "retry", retry_rejected=True)
    outcomes = world.status().outcomes
    assert outcomes.profiles == 300
    assert outcomes.confirmed >= 260
    report = await world.run(retry_rejected=True)
    assert world.rejected() == {}
    report = await world.run(resume=True)
    assert report.outcomes == Outcomes(confirmed=300)
    assert world.voucherify.written == users(*range(300))


async def test_a_retry_replays_failed_upserts_too_and_counts_each_for_what_it_is(world: World) -> None:
    """Their profiles were pending, not rejected."""
    world.source.trouble = lambda index: refused(404) if index == 5 else None
    world.voucherify.verdict = lambda _ids: not_ended()
    stop = asyncio.Event()
    world.at_event = lambda event: stop.set() if isinstance(event, ReadingEnded) else None
    await world.run(stop=stop)
    assert world.status().outcomes == Outcomes(sent=299, rejected=1)
    world.at_event = lambda _event: None
    for number, (action_id, ids) in enumerate(world.voucherify.customers_of.items()):
        world.voucherify.results[action_id] = failed() if number == 3 else done(len(ids))
    world.voucherify.verdict = poison()
    world.source.trouble = lambda _index: None
    report = await world.run(retry_rejected=True)
    assert report.outcomes == Outcomes(confirmed=300)


async def test_a_retry_after_a_kill_and_then_a_resume_count_nobody_twice(world: World) -> None:
    world.source.trouble = lambda index: refused(404) if index % 40 == 0 else None
    world.source.seconds = lambda index: 0.05 if index == 15 else 0.0
    assert await world.run_killed(200, "first")
    await world.run(retry_rejected=True)
    report = await world.run(resume=True)
    assert report.outcomes == Outcomes(confirmed=292, rejected=8)
    assert set(world.rejected()) == {str(number) for number in range(0, 300, 40)}


async def test_a_retry_in_a_space_that_refuses_everybody_rejects_only_those(world: World) -> None:
    world.voucherify.verdict = poison(*range(100, 140))
    assert (await world.run()).outcomes == Outcomes(confirmed=260, rejected=40)
    world.voucherify.verdict = lambda ids: done(len(ids), ids)
    report = await world.run(retry_rejected=True)
    assert (report.state, report.outcomes) == ("done", Outcomes(confirmed=260, rejected=40))
