"""Whole imports with a ledger, from memory to memory: the lists and the numbers are those of the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from random import Random

import pytest

from segsync.commands.status import read_status
from segsync.events import BatchSent, Event, PageDone, ProfileRejected
from segsync.ledger.database import reading
from segsync.models import Outcomes
from segsync.report.list_writer import ProfileLists
from segsync.report.profile_lists import HEADERS, REJECTED, WARNINGS, WITHOUT_IDENTIFIER
from tests.job.world import Fragile, World, poison
from tests.support.memory import refused


def lists(directory: Path) -> Mapping[str, set[str]]:
    """The segment ids in each list that is there."""
    found = {name: directory / name for name in HEADERS}
    return {
        name: {line.split(",")[0] for line in path.read_text().splitlines()[1 if HEADERS[name] else 0 :]}
        for name, path in found.items()
        if path.exists()
    }


def troubled(world: World) -> None:
    """23 rejections at three stages, and profiles in two other lists."""
    world.source.trouble = lambda index: refused(404) if index % 20 == 5 else None
    world.voucherify.trouble = lambda ids: refused(400) if "user-33" in ids else None
    world.voucherify.verdict = poison(*range(206, 213))
    world.source.source_id = lambda index: None if index % 50 == 49 else f"user-{index}"
    world.source.traits = {"phone": ["no", "text"]}


async def test_what_is_rejected_stays_listed_through_a_new_run_of_a_few_profiles(world: World) -> None:
    troubled(world)
    report = await world.run()
    assert report.outcomes.rejected == report.rejected_now == 23
    before = lists(world.directory)
    assert len(before[REJECTED]) == 23
    assert len(before[WITHOUT_IDENTIFIER]) == 6
    assert len(before[WARNINGS]) > 200
    world.source.trouble = lambda _index: None
    report = await world.run(limit=5)
    assert (report.outcomes.rejected, report.rejected_now) == (0, 23)
    assert lists(world.directory) == before
    report = await world.run(limit=10)
    assert (report.outcomes.rejected, report.rejected_now) == (0, 22), "the sixth profile is imported now"
    assert lists(world.directory)[REJECTED] == before[REJECTED] - {"5"}


async def test_a_later_import_of_all_resolves_what_it_imports_and_nothing_else(world: World) -> None:
    troubled(world)
    await world.run()
    world.source.trouble = lambda _index: None
    world.voucherify.trouble = lambda _ids: None
    report = await world.run()
    assert (report.outcomes.rejected, report.rejected_now) == (7, 7)
    assert lists(world.directory)[REJECTED] == {str(number) for number in range(206, 213)}


@pytest.mark.parametrize("seed", range(8))
async def test_a_run_that_is_interrupted_anywhere_and_the_status_say_the_same(world: World, seed: int) -> None:
    """`World.run` compares outcomes, warnings and rejections after each run; the lists are those of that moment."""
    random = Random(seed)
    troubled(world)
    world.voucherify.verdict = Fragile(7, 107, seed=seed)
    world.source.seconds = lambda _index: random.random() * 0.001
    interrupted = 0
    for _ in range(60):
        stop, at = asyncio.Event(), random.randint(20, 500)

        def count(_event: Event, stop: asyncio.Event = stop, at: int = at) -> None:
            if len(world.events) == at:
                stop.set()

        world.at_event = count
        report = await world.run(resume=True, stop=stop)
        warned = lists(world.directory).get(WARNINGS, set())
        assert len(warned) == report.warned_profiles
        if report.state == "done":
            break
        interrupted += 1
        status = world.status()
        assert (status.profiles, status.outcomes) == (report.outcomes.profiles, report.outcomes)
    assert interrupted


@pytest.mark.parametrize("kind", [PageDone, BatchSent, ProfileRejected])
async def test_a_run_that_is_cancelled_leaves_its_lists_and_the_status_says_the_same(
    world: World, kind: type[Event]
) -> None:
    troubled(world)
    world.source.seconds = lambda _index: 0.001
    seen = 0

    def cancel(event: Event) -> None:
        nonlocal seen
        seen += isinstance(event, kind)
        if seen == 4:
            running.cancel()

    world.at_event = cancel
    running = asyncio.ensure_future(world.run())
    await asyncio.wait({running})
    assert running.cancelled()
    assert world.rejected_in_file() == world.rejected_now()
    rejected = sum(reason.profiles for reason in read_status(world.ledger).rejections)
    assert rejected == world.status().outcomes.rejected == len(world.rejected_now())


async def test_what_a_killed_run_could_not_write_the_ledger_has(world: World) -> None:
    troubled(world)
    world.source.seconds = lambda _index: 0.001
    assert await world.run_killed(400, "killed")
    assert lists(world.directory) == {}
    with closing(ProfileLists(world.directory, world.ledger)) as written:
        assert written.write_from(partial(reading, world.ledger)) == ()
    assert world.rejected_in_file() == world.rejected_now() != set()
    status = read_status(world.ledger)
    assert sum(reason.profiles for reason in status.rejections) == status.runs[0].outcomes.rejected
    assert len(lists(world.directory)[WARNINGS]) == status.warned_profiles


async def test_a_resume_with_nothing_to_do_writes_them_too(world: World) -> None:
    troubled(world)
    await world.run()
    before = lists(world.directory)
    for name in before:
        (world.directory / name).unlink()
    await world.run(resume=True)
    assert lists(world.directory) == before


async def test_a_list_that_cannot_be_written_is_named_and_the_import_is_done(world: World) -> None:
    troubled(world)
    (world.directory / WITHOUT_IDENTIFIER).mkdir()
    report = await world.run()
    assert (report.state, report.outcomes.rejected) == ("done", 23)
    assert report.unwritten == (f"{world.directory / WITHOUT_IDENTIFIER} cannot be written: Is a directory",)
    assert len(world.rejected_in_file()) == 23
    (world.directory / WITHOUT_IDENTIFIER).rmdir()
    report = await world.run(resume=True)
    assert (report.unwritten, len(lists(world.directory)[WITHOUT_IDENTIFIER])) == ((), 6)


async def test_what_is_kept_from_the_place_of_a_list_is_a_warning_in_the_log(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    (world.directory / REJECTED).write_bytes(b"a workbook")
    report = await world.run()
    assert (report.state, report.unwritten) == ("done", ())
    [warning] = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert warning.startswith(f"{world.directory / REJECTED} cannot be read: ")
    assert (world.directory / f"{REJECTED}.bak").read_bytes() == b"a workbook"


async def test_the_lists_of_two_ledgers_in_one_folder_are_two(world: World) -> None:
    troubled(world)
    await world.run()
    before = lists(world.directory)
    world.ledger = world.directory / "prod.db"
    world.source.profiles, world.voucherify.verdict = 6, poison()
    world.rejected_in_file = lambda: {"5"}  # type: ignore[method-assign]
    report = await world.run()
    assert report.outcomes == Outcomes(confirmed=5, rejected=1)
    assert lists(world.directory) == before
    assert (world.directory / f"prod-{REJECTED}").read_text().splitlines()[1].startswith("5,,read,")


async def test_a_retry_with_nothing_to_retry_says_how_the_last_run_ended(world: World) -> None:
    await world.run()
    report = await world.run(retry_rejected=True)
    assert (report.state, report.outcomes, report.rejected_now) == ("done", Outcomes(confirmed=300), 0)
