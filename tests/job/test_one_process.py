"""Whole imports with a ledger, from memory to memory: begun and ended by one process."""

from __future__ import annotations

from segsync import Settings, run_import
from segsync.events import ActionEnded, BatchSent, Event, PageDone, ProfileRejected, ReadingEnded
from segsync.models import Outcomes
from segsync.report.profile_lists import REJECTED
from tests.job.world import SETTINGS, Fragile, World, poison, users
from tests.support.ledgers import done, failed
from tests.support.memory import refused


async def test_everybody_arrives_and_is_confirmed(world: World) -> None:
    report = await world.run()
    assert (report.state, report.error, report.outcomes) == ("done", None, Outcomes(confirmed=300))
    assert world.voucherify.written == users(*range(300))
    assert world.status().open_upserts == 0
    assert world.count(ReadingEnded) <= 1
    assert world.count(ActionEnded) == world.count(BatchSent) == 15


async def test_every_outcome_is_counted_in_the_report_as_in_the_ledger(world: World) -> None:
    world.source.source_id = lambda index: None if index % 5 == 1 else f"user-{index}"
    world.source.trouble = lambda index: refused(404) if index in (20, 77) else None
    world.voucherify.trouble = lambda ids: refused(400) if "user-33" in ids else None
    world.voucherify.verdict = poison(50, 250)
    report = await world.run()
    assert report.outcomes == Outcomes(confirmed=300 - 60 - 5, without_identifier=60, rejected=5)
    stages = {"20": "read", "77": "read", "33": "upsert", "50": "confirm", "250": "confirm"}
    assert world.rejected() == stages
    lines = (world.directory / REJECTED).read_text().splitlines()[1:]
    assert {tuple(line.split(",")[:3]) for line in lines} == {
        (number, "" if stage == "read" else f"user-{number}", stage) for number, stage in stages.items()
    }
    assert "user-" not in "".join(map(str, world.rejected()))


async def test_pages_of_whole_profiles_are_accounted_for_without_a_read(world: World) -> None:
    world.source.brings_profiles = True
    world.source.source_id = lambda index: None if index % 5 == 1 else f"user-{index}"
    world.voucherify.trouble = lambda ids: refused(400) if "user-33" in ids else None
    world.voucherify.verdict = poison(50)
    report = await world.run()
    assert (report.state, world.source.reads) == ("done", 0)
    assert report.outcomes == Outcomes(confirmed=300 - 60 - 2, without_identifier=60, rejected=2)
    assert world.rejected() == {"33": "upsert", "50": "confirm"}


async def test_profiles_that_are_replayed_are_read_by_id_from_a_source_of_whole_pages_too(world: World) -> None:
    world.source.brings_profiles = True
    fragile = world.voucherify.verdict = Fragile(7)
    report = await world.run()
    assert (report.state, report.outcomes) == ("done", Outcomes(confirmed=299, rejected=1))
    assert world.source.reads == len(fragile.have_failed) > 0


async def test_failed_upserts_are_replayed_once_and_all_arrive(world: World) -> None:
    fragile = world.voucherify.verdict = Fragile(7, 107)
    report = await world.run()
    assert fragile.have_failed
    assert (report.state, report.outcomes) == ("done", Outcomes(confirmed=298, rejected=2))
    assert world.voucherify.written == users(*range(300)) - users(7, 107)
    assert set(world.rejected()) == {"7", "107"}


async def test_customers_whose_upserts_fail_twice_are_rejected_with_their_source_ids(world: World) -> None:
    world.voucherify.verdict = lambda ids: failed() if "user-123" in ids else done(len(ids))
    report = await world.run()
    assert report.outcomes.confirmed + report.outcomes.rejected == 300
    assert {f"user-{number}" for number in world.rejected()} == users(*range(300)) - world.voucherify.written
    lines = (world.directory / REJECTED).read_text().splitlines()[1:]
    assert {line.split(",")[1] for line in lines} == {f"user-{number}" for number in world.rejected()}
    assert all("FAILED in Voucherify" in line for line in lines)


async def test_without_confirmation_nobody_is_asked_and_all_are_sent(world: World) -> None:
    world.voucherify.verdict = poison(5)
    report = await world.run(confirm=False)
    assert (report.state, report.outcomes, report.is_confirmed) == ("done", Outcomes(sent=300), False)
    assert world.voucherify.calls == []
    assert world.status().open_upserts == 0
    again = await world.run(resume=True)
    assert (again.state, again.outcomes) == ("done", Outcomes(sent=300))
    assert world.voucherify.calls == []
    assert len(world.voucherify.received) == 300


async def test_a_temporary_ledger_will_do(world: World) -> None:
    world.voucherify.verdict = Fragile(7)
    report = await run_import(Settings(**SETTINGS), source=world.source, sink=world.voucherify)
    assert (report.state, report.outcomes) == ("done", Outcomes(confirmed=299, rejected=1))
    assert list(world.directory.iterdir()) == []


async def test_nothing_personal_is_in_the_ledger(world: World) -> None:
    world.source.source_id = lambda index: f"ada.lovelace.{index}@example.com"
    world.source.traits = {"name": "Ada Lovelace", "phone": "+44 20 7946 0958", "email": "countess@example.org"}
    world.source.trouble = lambda index: refused(404) if index == 20 else None
    world.voucherify.trouble = lambda ids: refused(400) if any(".33@" in each for each in ids) else None
    world.voucherify.verdict = lambda ids: (
        failed() if any(".50@" in each for each in ids) else done(len(ids), [each for each in ids if ".77@" in each])
    )
    seen: list[bytes] = []

    def look(event: Event) -> None:
        if isinstance(event, ActionEnded | ProfileRejected | PageDone):
            seen.extend(path.read_bytes() for path in world.directory.glob("segsync.db*"))

    world.at_event = look
    report = await world.run()
    assert report.outcomes.rejected > 3
    seen.extend(path.read_bytes() for path in world.directory.glob("segsync.db*"))
    for content in seen:
        for secret in (b"lovelace", b"Lovelace", b"example", b"7946", b"countess"):
            assert secret not in content
