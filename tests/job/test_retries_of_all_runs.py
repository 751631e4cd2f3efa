"""Whole imports from memory to memory: a retry takes what any run has rejected, each profile once."""

from __future__ import annotations

import asyncio

from segsync.commands.status import read_status
from segsync.events import ReadingEnded
from segsync.ledger.database import reading
from segsync.ledger.rejections import unresolved
from segsync.models import Connector, Outcomes
from tests.job.world import World, poison, users
from tests.support.ledgers import done, not_ended
from tests.support.memory import MemorySource, refused


def unresolved_in(world: World) -> list[str]:
    with reading(world.ledger) as db:
        return [letter.segment_id for letter in unresolved(db)]


async def two_runs(world: World) -> None:
    """Two imports from the beginning: 5 and 7 are rejected by both, 9 by the first, which the second does not reach."""
    world.source.trouble = lambda index: refused(500) if index in (5, 250) else None
    world.voucherify.verdict = poison(7)
    assert (await world.run()).outcomes == Outcomes(confirmed=297, rejected=3)
    assert (await world.run(limit=100)).outcomes == Outcomes(confirmed=98, rejected=2)


async def test_a_retry_takes_the_rejected_profiles_of_all_runs_each_once(world: World) -> None:
    await two_runs(world)
    reads = world.source.reads
    world.source.trouble = lambda _index: None
    world.voucherify.verdict = poison(250)
    report = await world.run(retry_rejected=True)
    assert world.source.reads == reads + 3
    assert (report.state, report.outcomes) == ("done", Outcomes(confirmed=399, rejected=1))
    assert [run.outcomes for run in read_status(world.ledger).runs] == [
        Outcomes(confirmed=100),
        Outcomes(confirmed=299, rejected=1),
    ]
    assert unresolved_in(world) == ["250"]
    world.voucherify.verdict = poison()
    report = await world.run(retry_rejected=True)
    assert world.source.reads == reads + 4
    assert report.outcomes == Outcomes(confirmed=300)
    assert unresolved_in(world) == []
    assert world.voucherify.written == users(*range(300))


async def test_a_retry_of_an_earlier_import_that_is_interrupted_loses_no_result(world: World) -> None:
    await two_runs(world)
    world.source.trouble = lambda _index: None
    world.voucherify.verdict = lambda _ids: not_ended()
    stop = asyncio.Event()
    world.at_event = lambda event: stop.set() if isinstance(event, ReadingEnded) else None
    await world.run(retry_rejected=True, stop=stop)
    world.at_event = lambda _event: None
    for action_id, ids in world.voucherify.customers_of.items():
        world.voucherify.results[action_id] = done(len(ids), [each for each in ids if each == "user-250"])
    world.voucherify.verdict = poison(250)
    await world.run(retry_rejected=True)
    assert unresolved_in(world) == ["250"]
    assert [run.open_upserts for run in read_status(world.ledger).runs] == [0, 0]
    assert world.voucherify.written == users(*range(300)) - users(250)


async def test_a_resume_reads_the_results_of_an_interrupted_retry_of_an_earlier_import(world: World) -> None:
    await two_runs(world)
    await world.run(resume=True)
    world.source.trouble = lambda index: refused(500) if index == 250 else None
    world.voucherify.verdict = lambda _ids: not_ended()
    stop = asyncio.Event()
    world.at_event = lambda event: stop.set() if isinstance(event, ReadingEnded) else None
    await world.run(retry_rejected=True, stop=stop)
    world.at_event = lambda _event: None
    for action_id, ids in world.voucherify.customers_of.items():
        world.voucherify.results[action_id] = done(len(ids), [each for each in ids if each == "user-7"])
    await world.run(resume=True)
    assert unresolved_in(world) == ["250", "7"]
    assert [run.open_upserts for run in read_status(world.ledger).runs] == [0, 0]


async def test_a_retry_leaves_the_rejected_profiles_of_another_space_alone(world: World) -> None:
    world.source.trouble = lambda index: refused(500) if index == 250 else None
    await world.run()
    another = MemorySource(10, page_size=10)
    another.about = Connector("Memory", identity="spa_another")
    another.seconds = lambda _index: 0.0
    another.source_id = lambda index: f"another-{index}"
    world.source = another
    assert (await world.run()).outcomes == Outcomes(confirmed=10)
    reads = another.reads
    report = await world.run(retry_rejected=True)
    assert (report.outcomes.rejected, another.reads) == (0, reads)
    assert unresolved_in(world) == ["250"]
