"""Whole imports with a ledger, from memory to memory: killed, stopped and resumed."""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random

import pytest

from segsync import Settings, run_import
from segsync.commands.status import RunStatus, read_status
from segsync.connectors.base import UpsertResult
from segsync.errors import LedgerError, StopError
from segsync.events import ActionEnded, BatchSent, Event, ReadingEnded
from segsync.ledger.profiles import ProfileOutcome
from segsync.models import Outcomes
from segsync.pipeline.results import FAILED_IN_A_ROW
from segsync.report.profile_lists import REJECTED
from tests.job.world import SETTINGS, Fragile, World, poison, smallest, users
from tests.support.ledgers import done, failed, not_ended
from tests.support.memory import refused


@pytest.mark.parametrize("seed", range(16))
async def test_a_run_killed_again_and_again_is_resumed_until_every_profile_has_its_outcome(
    world: World, seed: int
) -> None:
    random = Random(seed)
    bad = random.sample(range(300), 6)
    anonymous = set(random.sample(range(300), 60)) - set(bad)
    gone = set(random.sample(range(300), 4)) - set(bad) - anonymous
    world.source.source_id = lambda index: None if index in anonymous else f"user-{index}"
    world.source.trouble = lambda index: refused(404) if index in gone else None
    world.source.seconds = lambda _index: random.random() * 0.003
    world.voucherify.verdict = Fragile(*bad, seed=seed)
    kills = 0
    while await world.run_killed(random.randint(1, 300), f"{seed}-{kills}", resume=True):
        kills += 1
        assert kills < 50
        assert world.status().state in ("killed", "running")
    report = await world.run(resume=True)
    assert kills
    assert report.state == "done"
    assert world.status().outcomes == Outcomes(
        confirmed=300 - len(anonymous) - len(gone) - len(bad),
        without_identifier=len(anonymous),
        rejected=len(gone) + len(bad),
    )
    assert world.voucherify.written == users(*set(range(300)) - anonymous - gone - set(bad))
    assert set(world.rejected()) == {str(number) for number in (*gone, *bad)}
    assert world.rows() == {
        ProfileOutcome.CONFIRMED: {str(number) for number in {*range(300)} - anonymous - gone - set(bad)},
        ProfileOutcome.WITHOUT_IDENTIFIER: {str(number) for number in anonymous},
        ProfileOutcome.REJECTED: {str(number) for number in (*gone, *bad)},
    }
    lines = (world.directory / REJECTED).read_text().splitlines()[1:]
    assert Counter(line.split(",")[0] for line in lines) == Counter(str(number) for number in (*gone, *bad))


@pytest.mark.parametrize("seed", range(6))
async def test_a_run_that_is_asked_to_stop_ends_in_good_order_and_resumes_where_it_stood(
    world: World, seed: int
) -> None:
    random = Random(seed)
    world.voucherify.verdict = Fragile(7, 107, seed=seed)
    world.source.seconds = lambda _index: 0.0005
    sent_before = 0
    for _ in range(50):
        stop, left = asyncio.Event(), random.randint(50, 600)

        def count(_event: Event, stop: asyncio.Event = stop, at: int = left) -> None:
            if len(world.events) == at:
                stop.set()

        world.at_event = count
        report = await world.run(resume=True, stop=stop)
        assert world.status().outcomes == report.outcomes
        if report.state == "done":
            break
        assert report.state == "interrupted"
        sent_before += 1
    assert sent_before
    assert report.outcomes == Outcomes(confirmed=298, rejected=2)
    assert world.voucherify.written == users(*range(300)) - users(7, 107)


async def test_cancelled_it_can_be_resumed(world: World) -> None:
    """Ctrl-C twice."""
    world.source.seconds = lambda _index: 0.001

    def cancel(_event: Event) -> None:
        if len(world.events) == 150:
            running.cancel()

    world.at_event = cancel
    running = asyncio.ensure_future(world.run())
    await asyncio.wait({running})
    assert running.cancelled()
    assert world.status().state == "interrupted"
    world.at_event = lambda _event: None
    report = await world.run(resume=True)
    assert (report.state, report.outcomes) == ("done", Outcomes(confirmed=300))
    assert world.voucherify.written == users(*range(300))


async def test_a_second_import_on_the_same_ledger_is_refused(world: World) -> None:
    begun = asyncio.Event()
    world.at_event = lambda _event: begun.set()
    world.voucherify.verdict = lambda _ids: not_ended()  # it runs for as long as its last upsert does
    running = asyncio.ensure_future(world.run())
    await begun.wait()
    assert world.status().state == "running"
    with pytest.raises(LedgerError, match="Another segsync uses the ledger"):
        await run_import(Settings(**SETTINGS), source=world.source, sink=world.voucherify, ledger=world.ledger)
    world.voucherify.verdict = poison()
    for action_id, ids in world.voucherify.customers_of.items():
        world.voucherify.results[action_id] = done(len(ids))
    assert (await running).outcomes == Outcomes(confirmed=300)


async def test_results_left_unread_by_the_last_process_are_all_that_a_resume_asks_for(world: World) -> None:
    world.voucherify.verdict = lambda _ids: not_ended()
    stop = asyncio.Event()
    world.at_event = lambda event: stop.set() if isinstance(event, ReadingEnded) else None
    report = await world.run(stop=stop)
    assert (report.state, report.outcomes, report.resume_offset) == ("interrupted", Outcomes(sent=300), None)
    assert world.status().open_upserts == 15
    for action_id, ids in world.voucherify.customers_of.items():
        world.voucherify.results[action_id] = poison(7)(ids)
    reads = world.source.reads
    report = await world.run(resume=True)
    assert (report.state, report.outcomes) == ("done", Outcomes(confirmed=299, rejected=1))
    assert world.source.reads == reads


async def test_when_voucherify_ends_nothing_any_more_each_process_reports_it(world: World) -> None:
    world.voucherify.verdict = lambda _ids: not_ended()
    hurried = {"confirm_seconds": 0.05}
    for resume in (False, True):
        report = await world.run(resume=resume, settings=hurried)
        assert (report.state, report.outcomes) == ("stopped", Outcomes(sent=300))
        assert isinstance(report.error, StopError)
        assert str(report.error).startswith("Voucherify finished none of 15 bulk upserts (300 customers)")
    assert world.status().error == f"{report.error} [results-overdue]"


async def test_when_every_upsert_fails_it_stops_and_a_resume_replays_them(world: World) -> None:
    world.voucherify.verdict = lambda _ids: failed()
    report = await world.run(settings={"batch_size": 5})
    assert report.state == "stopped"
    assert f"{FAILED_IN_A_ROW} bulk upserts in a row failed" in str(report.error)
    assert world.rejected() == {}
    world.voucherify.verdict = lambda ids: done(len(ids))
    report = await world.run(resume=True)
    assert (report.state, report.outcomes) == ("done", Outcomes(confirmed=300))
    assert world.voucherify.written == users(*range(300))


async def test_when_every_customer_is_refused_it_stops_and_a_resume_replays_them(world: World) -> None:
    world.voucherify.verdict = lambda ids: done(len(ids), ids)
    report = await world.run()
    assert report.state == "stopped"
    assert "refused all 60 customers of 3 bulk upserts in a row" in str(report.error)
    assert world.rejected() == {}
    world.voucherify.verdict = poison(7)
    report = await world.run(resume=True)
    assert (report.state, report.outcomes) == ("done", Outcomes(confirmed=299, rejected=1))
    assert world.voucherify.written == users(*range(300)) - users(7)


async def test_a_limit_counts_over_all_processes(world: World) -> None:
    world.source.seconds = lambda _index: 0.001
    stop = asyncio.Event()
    world.at_event = lambda _event: stop.set() if len(world.events) == 60 else None
    first = await world.run(limit=100, stop=stop)
    assert (first.state, first.outcomes.done < 100) == ("interrupted", True)
    report = await world.run(limit=100, resume=True)
    assert (report.state, report.outcomes, report.resume_offset) == ("done", Outcomes(confirmed=100), "100")
    assert world.voucherify.written == users(*range(100))
    report = await world.run(limit=100, resume=True)
    assert (report.outcomes, len(world.voucherify.written)) == (Outcomes(confirmed=100), 100)
    report = await world.run(resume=True)
    assert (report.outcomes, report.resume_offset) == (Outcomes(confirmed=300), None)


async def test_after_a_finished_import_a_resume_does_nothing(world: World) -> None:
    await world.run()
    world.voucherify.calls.clear()
    report = await world.run(resume=True)
    assert (report.state, report.outcomes, report.before) == ("done", Outcomes(confirmed=300), Outcomes(confirmed=300))
    assert (world.source.reads, len(world.voucherify.received), world.voucherify.calls) == (300, 300, [])


async def test_an_import_at_an_offset_reads_the_results_of_the_one_before_and_replays_its_failed_ones(
    world: World,
) -> None:
    world.voucherify.verdict = lambda _ids: not_ended()
    world.source.trouble = lambda index: StopError("Segment is away") if index >= 150 else None
    await world.run()
    offset = world.status().offset
    assert offset is not None
    assert world.status().outcomes == Outcomes(sent=int(offset), pending=60), "as the run has said"
    for action_id, ids in world.voucherify.customers_of.items():
        world.voucherify.results[action_id] = failed() if "user-3" in ids else done(len(ids))
    world.voucherify.verdict = poison(200)
    world.source.trouble = lambda _index: None
    report = await world.run(offset=offset)
    assert report.outcomes == Outcomes(confirmed=300 - int(offset) - 1, rejected=1)
    assert world.status(1).outcomes == Outcomes(confirmed=int(offset))
    assert world.voucherify.written == users(*range(300)) - users(200)


@pytest.mark.parametrize("seed", range(4))
async def test_a_killed_import_that_is_begun_anew_never_shows_less_than_nothing(world: World, seed: int) -> None:
    """Upserts beyond its done pages FAILED; where the new run sends a customer a second time, it fails once more."""
    world.source.seconds = lambda index: 0.05 if index == 15 else 0.0
    world.voucherify.verdict = lambda _ids: failed()
    assert await world.run_killed(3 + 2 * seed, f"{seed}", kind=BatchSent)
    assert len(world.voucherify.batches) > 2

    sent_anew: Counter[str] = Counter()

    def verdict(ids: list[str]) -> UpsertResult:
        sent_anew[ids[0]] += 1
        return failed() if sent_anew[ids[0]] == 2 else done(len(ids))

    world.voucherify.verdict = verdict
    seen: list[RunStatus] = []

    def look(event: Event) -> None:
        if isinstance(event, BatchSent | ActionEnded) and len(read_status(world.ledger).runs) == 2:
            seen.append(world.status(1))

    world.at_event = look
    report = await world.run()
    assert (report.state, report.outcomes.confirmed + report.outcomes.rejected) == ("done", 300)
    for killed in (*seen, world.status(1)):
        assert smallest(killed.outcomes) >= 0
        assert killed.profiles >= int(killed.offset or 0)


async def test_an_import_that_is_begun_anew_and_killed_at_once_does_not_forget_the_rejections(world: World) -> None:
    """The ledger still knows them, and so must the file: a resume of the earlier import finds the rest."""
    world.source.trouble = lambda index: refused(404) if index % 10 == 5 else None
    world.source.seconds = lambda _index: 0.001
    assert await world.run_killed(250, "first")
    assert world.rejected_now()
    assert await world.run_killed(5, "anew")
    await world.run(resume=True)
    assert world.rejected_in_file() == world.rejected_now() == {str(number) for number in range(5, 300, 10)}
