"""Whole imports with a ledger, from memory to memory: whatever happens in any order."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from segsync.commands.status import read_status
from segsync.models import Outcomes
from tests.job.world import Fragile, World, poison, smallest, users
from tests.support.memory import refused


@pytest.mark.parametrize("seed", range(12))
async def test_in_any_order_of_runs_kills_and_retries_the_ledger_is_right_and_nobody_is_missing(
    world: World, seed: int
) -> None:
    random = Random(seed)
    bad, gone = random.sample(range(100), 5), random.sample(range(100, 200), 5)
    world.source.profiles = 200
    latency = Random(-seed)
    world.source.seconds = lambda _index: latency.random() * 0.002
    world.source.trouble = lambda index: refused(404) if index in gone else None
    world.voucherify.verdict = fragile = Fragile(*bad, seed=seed)
    world.voucherify.names_refused = fragile.names_refused
    for turn in range(8):
        runs = read_status(world.ledger).runs if turn else []
        options: dict[str, Any] = random.choice([{"resume": True}, {"resume": True}, {"retry_rejected": True}, {}])
        if runs and runs[0].offset and random.random() < 0.2:
            options = {"offset": runs[0].offset}
        await world.run_killed(random.randint(1, 500), f"{seed}-{turn}", **options)
        for run in read_status(world.ledger).runs:
            assert smallest(run.outcomes) >= 0, (turn, options, run)
    report = await world.run(resume=True)
    assert report.state == "done"
    unknown = {segment_id for segment_id, stage in world.rejected().items() if stage == "unknown"}
    left = {f"user-{number}" for number in world.rejected_now() | unknown}
    assert left >= users(*range(200)) - world.voucherify.written
    assert world.rejected_in_file() == world.rejected_now()
    assert {int(each) for each in world.rejected_now()} <= {*bad, *gone}, "nobody is rejected who could be written"
    world.source.trouble = lambda _index: None
    world.voucherify.verdict = poison()
    await world.run(retry_rejected=True)
    report = await world.run(resume=True)
    assert world.voucherify.written == users(*range(200))
    status = read_status(world.ledger)
    assert status.next_step == "Nothing is left to do."
    assert all(run.outcomes == Outcomes(confirmed=run.profiles) for run in status.runs[:1])
