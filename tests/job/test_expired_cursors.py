"""Whole imports with a ledger, from memory to memory: each resume finds that the cursor of the ledger has expired."""

from __future__ import annotations

import asyncio
import logging
from random import Random

import pytest

from segsync.errors import CursorError
from segsync.events import ListedAnew, PageDone
from segsync.models import Outcomes
from tests.job.world import Fragile, World, users
from tests.support.memory import refused


class Expiring:
    """Refuses the first cursor that each process asks for, unless it is the first of all."""

    def __init__(self, world: World) -> None:
        self.refused = 0
        world.source.listing_trouble = self
        self.next_process()

    def next_process(self) -> None:
        self.is_first = True

    def __call__(self, start: int) -> CursorError | None:
        is_first, self.is_first = self.is_first, False
        if not is_first or not start:
            return None
        self.refused += 1
        return CursorError("answered 410", service="Segment", status=410)


async def interrupted(world: World) -> int:
    """Run an import until some pages are done; how many profiles are on them."""
    stop = asyncio.Event()
    world.source.seconds = lambda _index: 0.002
    world.at_event = lambda event: stop.set() if isinstance(event, PageDone) and event.number >= 5 else None
    report = await world.run(stop=stop)
    world.at_event = lambda _event: None
    assert report.state == "interrupted"
    return report.checkpointed.profiles


@pytest.mark.parametrize("seed", range(10))
async def test_killed_again_and_again_each_profile_is_counted_once_and_arrives(world: World, seed: int) -> None:
    random = Random(seed)
    bad, gone, *anonymous = random.sample(range(300), 40)
    world.source.source_id = lambda index: None if index in anonymous else f"user-{index}"
    world.source.trouble = lambda index: refused(404) if index == gone else None
    world.source.seconds = lambda _index: random.random() * 0.003
    world.voucherify.verdict = Fragile(bad, seed=seed)
    kills, expiring = 0, Expiring(world)
    while await world.run_killed(random.randint(60, 200), f"{seed}-{kills}", resume=True):
        kills += 1
        assert kills < 50
        expiring.next_process()
    report = await world.run(resume=True)
    assert expiring.refused > 0
    assert (report.state, world.status().outcomes) == (
        "done",
        Outcomes(confirmed=300 - len(anonymous) - 2, without_identifier=len(anonymous), rejected=2),
    )
    assert world.voucherify.written == users(*set(range(300)) - set(anonymous) - {bad, gone})
    assert set(world.rejected()) == {str(bad), str(gone)}


async def test_the_log_says_so_and_how_many_are_skipped(world: World, caplog: pytest.LogCaptureFixture) -> None:
    done = await interrupted(world)
    Expiring(world)
    caplog.set_level(logging.WARNING, "segsync")
    report = await world.run(resume=True)
    assert (report.state, report.outcomes, report.before.profiles) == ("done", Outcomes(confirmed=300), done)
    [record] = [each for each in caplog.records if each.__dict__["event"] == "listed_anew"]
    assert record.getMessage() == (
        "Memory no longer accepts the ledger's cursor: listing again from the beginning, "
        f"skipping {done} profiles already done"
    )
    assert world.source.reads < 2 * 300 - done
    assert world.count(PageDone) == 31


async def test_a_finished_import_is_not_skipped_by_the_next_one(world: World) -> None:
    await world.run()
    done = await interrupted(world)
    Expiring(world)
    report = await world.run(resume=True)
    assert report.outcomes == Outcomes(confirmed=300)
    [anew] = [event for event in world.events if isinstance(event, ListedAnew)]
    assert anew.done == done
    assert world.voucherify.received.count("user-299") == 2


async def test_the_warnings_of_the_first_process_stay(world: World) -> None:
    world.source.traits = {"phone": ["no", "text"]}
    assert await world.run_killed(250, "once")
    Expiring(world)
    assert await world.run_killed(120, "twice", resume=True)
    await world.run(resume=True)
    lines = (world.directory / "profiles-with-warnings.csv").read_text().splitlines()[1:]
    assert {line.split(",")[0] for line in lines} == {str(number) for number in range(300)}
