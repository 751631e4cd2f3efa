"""Whole imports with a ledger, from memory to memory: killed, stopped, resumed, retried, refused, failed.

Nothing is between them and the two services but `run_import`: it gets a source and a sink in memory.
"""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from segsync import ImportReport, Settings, accounts, confirmation, entries, run_import, runner
from segsync.confirmation import FAILED_IN_A_ROW
from segsync.errors import AccessError, LedgerError, SegsyncError, StopError
from segsync.files import REJECTED, WARNINGS
from segsync.ledger import reading
from segsync.models import (
    ActionEnded,
    BatchSent,
    Event,
    Fates,
    MetadataUnchecked,
    OnEvent,
    PageSettled,
    Profile,
    ProfileRejected,
    ReadingEnded,
)
from segsync.schema import Definition, MetadataSchema
from segsync.status import RunStatus, read_status
from segsync.voucherify import ActionOutcome
from tests import memory
from tests.ledgers import SPACE, MemoryVoucherify, done, failed, not_ended
from tests.memory import MemorySource, refused

SETTINGS: Mapping[str, Any] = {
    "segment_access_token": "token",
    "segment_space_id": SPACE,
    "voucherify_application_id": "app-of-the-project",
    "voucherify_secret_key": "key",
    "voucherify_requests_per_minute": 1_000_000,
    "batch_size": 20,
    "concurrency": 8,
}


def smallest(fates: Fates) -> int:
    return min(fates.confirmed, fates.sent, fates.without_identifier, fates.rejected, fates.to_do)


class World:
    """A Segment space, a Voucherify project and a directory for the ledger and the files."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ledger = directory / "segsync.db"
        self.source = MemorySource(300, page_size=10)
        self.source.seconds = lambda _index: 0.0
        self.voucherify = MemoryVoucherify()
        self.events: list[Event] = []
        self.at_event: Callable[[Event], None] = lambda _event: None

    @asynccontextmanager
    async def services(
        self, _settings: Settings, _on_event: OnEvent
    ) -> AsyncGenerator[tuple[MemorySource, MemoryVoucherify], None]:
        yield self.source, self.voucherify

    async def run(self, *, settings: Mapping[str, Any] | None = None, **options: Any) -> ImportReport:
        """An import by a process of its own. Whatever happened, its report and the ledger say the same."""
        self.events = []

        def on_event(event: Event) -> None:
            self.events.append(event)
            self.at_event(event)

        async with asyncio.timeout(30):
            report = await run_import(
                Settings(**{**SETTINGS, **(settings or {})}),
                ledger=self.ledger,
                on_event=on_event,
                directory=self.directory,
                **options,
            )
        runs = read_status(self.ledger).runs
        for fates in (report.fates, *(run.fates for run in runs)):
            assert smallest(fates) >= 0
        if options.get("retry_rejected"):  # which may be of several runs
            return report
        state = "limited" if report.outcome == "done" and report.resume_offset else report.outcome
        assert state in [run.state for run in runs]
        if report.outcome == "done":
            assert report.fates.to_do == 0
            assert (state, report.fates) in [(run.state, run.fates) for run in runs]
        return report

    async def run_killed(self, event: int, seed: str, **options: Any) -> bool:
        """Kill -9 at this event; whether it came so far. The ledger is then as it was at that moment."""
        killed = self.directory.parent / f"killed-{seed}"
        left = event

        def count(_event: Event) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                killed.mkdir()
                for name in ("segsync.db", "segsync.db-wal"):
                    if (self.directory / name).exists():
                        shutil.copyfile(self.directory / name, killed / name)
                for path in self.directory.glob("*profiles*"):
                    shutil.copyfile(path, killed / path.name)
                running.cancel()

        self.at_event = count
        running = asyncio.ensure_future(self.run(**options))
        await asyncio.wait({running})
        self.at_event = lambda _event: None
        if not killed.exists():
            running.result()
            return False
        self.directory, self.ledger = killed, killed / "segsync.db"
        return True

    def status(self, run: int = 0) -> RunStatus:
        """Of the run before so many others."""
        return read_status(self.ledger).runs[run]

    def rejected(self) -> dict[str, str]:
        """Who is rejected according to the ledger, and at which stage."""
        with reading(self.ledger) as db:
            return dict(db.execute("SELECT segment_id, stage FROM rejections").fetchall())

    def rejected_now(self) -> set[str]:
        """Of the runs that matter still."""
        with reading(self.ledger) as db:
            return accounts.rejected_now(db)

    def rejected_in_file(self) -> set[str]:
        path = self.directory / REJECTED
        return {line.split(",")[0] for line in path.read_text().splitlines()[1:]} if path.exists() else set()

    def count(self, kind: type[Event]) -> int:
        return sum(isinstance(event, kind) for event in self.events)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(confirmation, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(confirmation, "LONGEST_LOOK_SECONDS", 0.005)
    monkeypatch.setattr(memory, "READ_SECONDS", 0.0)
    directory = tmp_path / "first"
    directory.mkdir()
    world = World(directory)
    monkeypatch.setattr(runner, "services", world.services)
    return world


def users(*numbers: int) -> set[str]:
    return {f"user-{number}" for number in numbers}


def poison(*numbers: int) -> Callable[[list[str]], ActionOutcome]:
    """Upserts in which Voucherify refuses these users."""
    bad = users(*numbers)
    return lambda source_ids: done(len(source_ids), [each for each in source_ids if each in bad])


class Fragile:
    """Fails every third upsert whose customers have not been in one that failed; refuses the `bad` users."""

    def __init__(self, *bad: int, seed: int = 0) -> None:
        self.verdict = poison(*bad)
        self.random = Random(seed)
        self.have_failed: set[str] = set()

    def __call__(self, source_ids: list[str]) -> ActionOutcome | None:
        if self.random.random() < 0.33 and not self.have_failed & set(source_ids):
            self.have_failed |= set(source_ids)
            return self.random.choice([failed(), None])
        return self.verdict(source_ids)


# --- one process ----------------------------------------------------------------------------------------------


async def test_everybody_arrives_and_is_confirmed(world: World) -> None:
    report = await world.run()
    assert (report.outcome, report.error, report.fates) == ("done", None, Fates(confirmed=300))
    assert world.voucherify.written == users(*range(300))
    assert world.status().open_actions == 0
    assert world.count(ReadingEnded) <= 1
    assert world.count(ActionEnded) == world.count(BatchSent) == 15


async def test_every_fate_is_counted_in_the_report_as_in_the_ledger(world: World) -> None:
    world.source.source_id = lambda index: None if index % 5 == 1 else f"user-{index}"
    world.source.trouble = lambda index: refused(404) if index in (20, 77) else None
    world.voucherify.trouble = lambda ids: refused(400) if "user-33" in ids else None
    world.voucherify.verdict = poison(50, 250)
    report = await world.run()
    assert report.fates == Fates(confirmed=300 - 60 - 5, without_identifier=60, rejected=5)
    stages = {"20": "read", "77": "read", "33": "upsert", "50": "confirm", "250": "confirm"}
    assert world.rejected() == stages
    lines = (world.directory / REJECTED).read_text().splitlines()[1:]
    assert {tuple(line.split(",")[:3]) for line in lines} == {
        (number, "" if stage == "read" else f"user-{number}", stage) for number, stage in stages.items()
    }
    assert "user-" not in "".join(map(str, world.rejected()))


# --- the metadata schema --------------------------------------------------------------------------------------

STRICT = MetadataSchema({"plan": Definition()}, allow_defined_only=True)


async def test_the_schema_is_read_once_and_what_it_does_not_define_is_told_once(world: World) -> None:
    world.source.traits = {"metadata": {"plan": 7, "shoe_size": 42}}
    world.voucherify.schema = STRICT
    world.voucherify.verdict = Fragile(5)  # some are taken again, by another pipeline
    report = await world.run()
    assert world.voucherify.schema_calls == 1
    assert report.warnings == {"metadata.shoe_size": 1}
    assert report.fates == Fates(confirmed=299, rejected=1)
    assert (world.directory / WARNINGS).read_text().splitlines()[1:] == [
        ",".join(("0", "metadata.shoe_size", "is not defined in Voucherify's metadata schema (told once)"))
    ]


async def test_who_is_rejected_for_metadata_is_taken_again_when_the_schema_is_mended(world: World) -> None:
    async def some_wear_shoes(segment_id: str) -> Profile:
        metadata = {"shoe_size": 42} if int(segment_id) % 10 == 0 else {}
        return Profile(segment_id, f"user-{segment_id}", {"metadata": metadata})

    world.source.profile = some_wear_shoes  # type: ignore[method-assign]
    world.voucherify.schema = STRICT
    rejecting = {"metadata_undefined": "reject"}
    report = await world.run(settings=rejecting)
    assert (report.outcome, report.fates) == ("done", Fates(confirmed=270, rejected=30))
    assert set(world.rejected().values()) == {"map"}
    world.voucherify.schema = MetadataSchema({"shoe_size": Definition("number")}, allow_defined_only=True)
    report = await world.run(settings=rejecting, retry_rejected=True)
    assert (report.outcome, report.fates) == ("done", Fates(confirmed=300))
    assert world.rejected_in_file() == set()


async def test_a_schema_that_the_settings_need_and_that_cannot_be_read_stops_the_import_before_anything_is_listed(
    world: World,
) -> None:
    world.voucherify.schema = AccessError("refused", service="Voucherify", status=403)
    report = await world.run(settings={"metadata_undefined": "drop"})
    assert report.outcome == "stopped"
    assert "may not read the metadata schema, which METADATA_UNDEFINED=drop needs" in str(report.error)
    assert (report.fates, world.source.reads, report.resume_offset) == (Fates(), 0, "0")


async def test_a_schema_that_cannot_be_read_is_told_and_metadata_goes_as_it_is(world: World) -> None:
    world.voucherify.schema = AccessError("refused", service="Voucherify", status=403)
    report = await world.run()
    assert (report.outcome, report.fates) == ("done", Fates(confirmed=300))
    assert world.count(MetadataUnchecked) == 1


async def test_who_stops_the_import_does_not_wait_for_the_schema(world: World) -> None:
    stop = asyncio.Event()

    async def for_ever() -> MetadataSchema:
        stop.set()
        await asyncio.Event().wait()
        return MetadataSchema()

    world.voucherify.metadata_schema = for_ever  # type: ignore[method-assign]
    report = await world.run(stop=stop)
    assert (report.outcome, report.fates, report.resume_offset) == ("interrupted", Fates(), "0")


async def test_where_only_outcomes_are_left_to_be_read_the_schema_is_not(world: World) -> None:
    world.voucherify.verdict = lambda _ids: not_ended()
    await world.run(settings={"confirm_seconds": 0.05})
    world.voucherify.outcomes = {action: done(20) for action in world.voucherify.outcomes}
    world.voucherify.schema_calls = 0
    report = await world.run(resume=True)
    assert (report.outcome, report.fates) == ("done", Fates(confirmed=300))
    assert world.voucherify.schema_calls == 0


async def test_upserts_that_fail_are_repeated_once_and_all_arrive(world: World) -> None:
    fragile = world.voucherify.verdict = Fragile(7, 107)
    report = await world.run()
    assert fragile.have_failed
    assert (report.outcome, report.fates) == ("done", Fates(confirmed=298, rejected=2))
    assert world.voucherify.written == users(*range(300)) - users(7, 107)
    assert set(world.rejected()) == {"7", "107"}


async def test_customers_whose_upserts_fail_twice_are_rejected_with_their_source_ids(world: World) -> None:
    world.voucherify.verdict = lambda ids: failed() if "user-123" in ids else done(len(ids))
    report = await world.run()
    assert report.fates.confirmed + report.fates.rejected == 300
    assert {f"user-{number}" for number in world.rejected()} == users(*range(300)) - world.voucherify.written
    lines = (world.directory / REJECTED).read_text().splitlines()[1:]
    assert {line.split(",")[1] for line in lines} == {f"user-{number}" for number in world.rejected()}
    assert all("FAILED in Voucherify" in line for line in lines)


async def test_without_confirmation_nobody_is_asked_and_all_are_sent(world: World) -> None:
    world.voucherify.verdict = poison(5)
    report = await world.run(confirm=False)
    assert (report.outcome, report.fates, report.is_confirmed) == ("done", Fates(sent=300), False)
    assert world.voucherify.calls == []
    assert world.status().open_actions == 0
    again = await world.run(resume=True)
    assert (again.outcome, again.fates) == ("done", Fates(sent=300))
    assert world.voucherify.calls == []
    assert len(world.voucherify.received) == 300


async def test_a_temporary_ledger_will_do(world: World) -> None:
    world.voucherify.verdict = Fragile(7)
    report = await run_import(Settings(**SETTINGS))
    assert (report.outcome, report.fates) == ("done", Fates(confirmed=299, rejected=1))
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
        if isinstance(event, ActionEnded | ProfileRejected | PageSettled):
            seen.extend(path.read_bytes() for path in world.directory.glob("segsync.db*"))

    world.at_event = look
    report = await world.run()
    assert report.fates.rejected > 3
    seen.extend(path.read_bytes() for path in world.directory.glob("segsync.db*"))
    for content in seen:
        for secret in (b"lovelace", b"Lovelace", b"example", b"7946", b"countess"):
            assert secret not in content


# --- from process to process ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(16))
async def test_killed_again_and_again_it_is_resumed_until_everybody_has_met_its_fate(world: World, seed: int) -> None:
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
    assert report.outcome == "done"
    assert world.status().fates == Fates(
        confirmed=300 - len(anonymous) - len(gone) - len(bad),
        without_identifier=len(anonymous),
        rejected=len(gone) + len(bad),
    )
    assert world.voucherify.written == users(*set(range(300)) - anonymous - gone - set(bad))
    assert set(world.rejected()) == {str(number) for number in (*gone, *bad)}
    lines = (world.directory / REJECTED).read_text().splitlines()[1:]
    assert Counter(line.split(",")[0] for line in lines) == Counter(str(number) for number in (*gone, *bad))


@pytest.mark.parametrize("seed", range(6))
async def test_asked_to_stop_it_ends_in_good_order_and_goes_on_where_it_stood(world: World, seed: int) -> None:
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
        assert world.status().fates.profiles == report.settled.profiles
        if report.outcome == "done":
            break
        assert report.outcome == "interrupted"
        sent_before += 1
    assert sent_before
    assert report.fates == Fates(confirmed=298, rejected=2)
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
    assert (report.outcome, report.fates) == ("done", Fates(confirmed=300))
    assert world.voucherify.written == users(*range(300))


async def test_a_second_import_on_the_same_ledger_is_refused(world: World) -> None:
    world.source.seconds = lambda _index: 0.02
    running = asyncio.ensure_future(world.run())
    await asyncio.sleep(0.1)
    assert world.status().state == "running"
    with pytest.raises(LedgerError, match="Another segsync uses the ledger"):
        await run_import(Settings(**SETTINGS), ledger=world.ledger)
    assert (await running).fates == Fates(confirmed=300)


async def test_outcomes_left_open_by_the_last_process_are_all_that_a_resume_asks_for(world: World) -> None:
    world.voucherify.verdict = lambda _ids: not_ended()
    stop = asyncio.Event()
    world.at_event = lambda event: stop.set() if isinstance(event, ReadingEnded) else None
    report = await world.run(stop=stop)
    assert (report.outcome, report.fates, report.resume_offset) == ("interrupted", Fates(sent=300), None)
    assert world.status().open_actions == 15
    for action_id, ids in world.voucherify.customers_of.items():
        world.voucherify.outcomes[action_id] = poison(7)(ids)
    reads = world.source.reads
    report = await world.run(resume=True)
    assert (report.outcome, report.fates) == ("done", Fates(confirmed=299, rejected=1))
    assert world.source.reads == reads


async def test_when_voucherify_ends_nothing_any_more_each_process_says_so(world: World) -> None:
    world.voucherify.verdict = lambda _ids: not_ended()
    hurried = {"confirm_seconds": 0.05}
    for resume in (False, True):
        report = await world.run(resume=resume, settings=hurried)
        assert (report.outcome, report.fates) == ("stopped", Fates(sent=300))
        assert isinstance(report.error, StopError)
        assert str(report.error).startswith("Voucherify has ended none of 15 bulk upserts (300 customers)")
    assert world.status().error == str(report.error)


async def test_when_every_upsert_fails_it_stops_and_a_resume_takes_them_again(world: World) -> None:
    world.voucherify.verdict = lambda _ids: failed()
    report = await world.run(settings={"batch_size": 5})
    assert report.outcome == "stopped"
    assert f"{FAILED_IN_A_ROW} bulk upserts in a row came to nothing" in str(report.error)
    assert world.rejected() == {}
    world.voucherify.verdict = lambda ids: done(len(ids))
    report = await world.run(resume=True)
    assert (report.outcome, report.fates) == ("done", Fates(confirmed=300))
    assert world.voucherify.written == users(*range(300))


async def test_when_every_customer_is_refused_it_stops_and_a_resume_takes_them_again(world: World) -> None:
    world.voucherify.verdict = lambda ids: done(len(ids), ids)
    report = await world.run()
    assert report.outcome == "stopped"
    assert "refused all 60 customers of 3 bulk upserts in a row" in str(report.error)
    assert world.rejected() == {}
    world.voucherify.verdict = poison(7)
    report = await world.run(resume=True)
    assert (report.outcome, report.fates) == ("done", Fates(confirmed=299, rejected=1))
    assert world.voucherify.written == users(*range(300)) - users(7)


async def test_a_limit_counts_over_all_processes(world: World) -> None:
    world.source.seconds = lambda _index: 0.001
    stop = asyncio.Event()
    world.at_event = lambda _event: stop.set() if len(world.events) == 60 else None
    first = await world.run(limit=100, stop=stop)
    assert (first.outcome, first.fates.done < 100) == ("interrupted", True)
    report = await world.run(limit=100, resume=True)
    assert (report.outcome, report.fates, report.resume_offset) == ("done", Fates(confirmed=100), "100")
    assert world.voucherify.written == users(*range(100))
    report = await world.run(limit=100, resume=True)
    assert (report.fates, len(world.voucherify.written)) == (Fates(confirmed=100), 100)
    report = await world.run(resume=True)
    assert (report.fates, report.resume_offset) == (Fates(confirmed=300), None)


async def test_after_a_finished_import_a_resume_does_nothing(world: World) -> None:
    await world.run()
    world.voucherify.calls.clear()
    report = await world.run(resume=True)
    assert (report.outcome, report.fates, report.before) == ("done", Fates(confirmed=300), Fates(confirmed=300))
    assert (world.source.reads, len(world.voucherify.received), world.voucherify.calls) == (300, 300, [])


async def test_an_import_at_an_offset_hears_of_the_upserts_of_the_one_before_and_takes_its_failed_ones_again(
    world: World,
) -> None:
    world.voucherify.verdict = lambda _ids: not_ended()
    world.source.trouble = lambda index: StopError("Segment is away") if index >= 150 else None
    await world.run()
    offset = world.status().offset
    assert offset is not None
    assert world.status().fates == Fates(sent=int(offset))
    for action_id, ids in world.voucherify.customers_of.items():
        world.voucherify.outcomes[action_id] = failed() if "user-3" in ids else done(len(ids))
    world.voucherify.verdict = poison(200)
    world.source.trouble = lambda _index: None
    report = await world.run(offset=offset)
    assert report.fates == Fates(confirmed=300 - int(offset) - 1, rejected=1)
    assert world.status(1).fates == Fates(confirmed=int(offset))
    assert world.voucherify.written == users(*range(300)) - users(200)


@pytest.mark.parametrize("seed", range(4))
async def test_a_killed_import_that_is_begun_anew_never_shows_less_than_nothing(world: World, seed: int) -> None:
    """What it had sent beyond its settled pages FAILED, is taken again by the new one, and fails once more."""
    world.source.seconds = lambda index: 0.05 if index == 15 else 0.0

    def verdict(ids: list[str]) -> ActionOutcome:
        is_of_the_new_one = world.voucherify.received.count(ids[0]) == 2
        return done(len(ids)) if is_of_the_new_one else failed()

    world.voucherify.verdict = verdict
    assert await world.run_killed(150 + 40 * seed, f"{seed}")
    assert len(world.voucherify.batches) > 2

    seen: list[RunStatus] = []

    def look(event: Event) -> None:
        if isinstance(event, BatchSent | ActionEnded) and len(read_status(world.ledger).runs) == 2:
            seen.append(world.status(1))

    world.at_event = look
    report = await world.run()
    assert (report.outcome, report.fates.confirmed + report.fates.rejected) == ("done", 300)
    for killed in (*seen, world.status(1)):
        assert smallest(killed.fates) >= 0
        assert killed.profiles >= int(killed.offset or 0)


async def test_an_import_that_is_begun_anew_and_killed_at_once_does_not_forget_who_was_rejected(world: World) -> None:
    """The ledger knows them still; so must the file, which a resume of the import before goes on with."""
    world.source.trouble = lambda index: refused(404) if index % 10 == 5 else None
    world.source.seconds = lambda _index: 0.001
    assert await world.run_killed(250, "first")
    assert world.rejected_in_file()
    assert await world.run_killed(5, "anew")
    await world.run(resume=True)
    assert world.rejected_in_file() == world.rejected_now() == {str(number) for number in range(5, 300, 10)}


# --- taking the rejected again --------------------------------------------------------------------------------


async def test_rejected_profiles_are_taken_again_and_nobody_else(world: World) -> None:
    world.source.source_id = lambda index: None if index == 100 else f"user-{index}"
    world.source.trouble = lambda index: refused(404) if index in (20, 77, 99) else None
    world.voucherify.trouble = lambda ids: refused(400) if "user-33" in ids else None
    world.voucherify.verdict = poison(50, 250)
    first = await world.run()
    assert first.fates == Fates(confirmed=293, without_identifier=1, rejected=6)
    reads = world.source.reads
    world.source.source_id = lambda index: None if index in (77, 100) else f"user-{index}"
    world.source.trouble = lambda index: refused(404) if index == 99 else None
    world.voucherify.trouble = lambda _ids: None
    world.voucherify.verdict = poison(250)
    report = await world.run(retry_rejected=True)
    assert (report.outcome, report.fates) == ("done", Fates(confirmed=296, without_identifier=2, rejected=2))
    assert world.source.reads == reads + 6
    assert world.rejected() == {"99": "read", "250": "confirm"}
    assert (len(read_status(world.ledger).runs), world.status().state) == (1, "done")
    lines = (world.directory / REJECTED).read_text().splitlines()[1:]
    assert sorted(line.split(",")[0] for line in lines) == ["250", "99"]
    world.source.trouble = lambda _index: None
    world.voucherify.verdict = poison()
    report = await world.run(retry_rejected=True)
    assert report.fates == Fates(confirmed=298, without_identifier=2)
    assert not (world.directory / REJECTED).exists()
    assert world.voucherify.written == users(*range(300)) - users(77, 100)


async def test_a_retry_that_is_killed_leaves_the_rest_rejected(world: World) -> None:
    world.source.trouble = lambda index: refused(404) if index < 40 else None
    await world.run()
    world.source.trouble = lambda _index: None
    world.source.seconds = lambda _index: 0.001
    assert await world.run_killed(30, "retry", retry_rejected=True)
    fates = world.status().fates
    assert fates.profiles == 300
    assert fates.confirmed >= 260
    report = await world.run(retry_rejected=True)
    assert world.rejected() == {}
    report = await world.run(resume=True)
    assert report.fates == Fates(confirmed=300)
    assert world.voucherify.written == users(*range(300))


async def test_a_retry_takes_failed_upserts_along_and_counts_them_as_what_they_are(world: World) -> None:
    """Their profiles were to do, not rejected."""
    world.source.trouble = lambda index: refused(404) if index == 5 else None
    world.voucherify.verdict = lambda _ids: not_ended()
    stop = asyncio.Event()
    world.at_event = lambda event: stop.set() if isinstance(event, ReadingEnded) else None
    await world.run(stop=stop)
    assert world.status().fates == Fates(sent=299, rejected=1)
    world.at_event = lambda _event: None
    for number, (action_id, ids) in enumerate(world.voucherify.customers_of.items()):
        world.voucherify.outcomes[action_id] = failed() if number == 3 else done(len(ids))
    world.voucherify.verdict = poison()
    world.source.trouble = lambda _index: None
    report = await world.run(retry_rejected=True)
    assert report.fates == Fates(confirmed=300)


async def test_a_retry_after_a_kill_and_then_a_resume_count_nobody_twice(world: World) -> None:
    world.source.trouble = lambda index: refused(404) if index % 40 == 0 else None
    world.source.seconds = lambda index: 0.05 if index == 15 else 0.0
    assert await world.run_killed(200, "first")
    await world.run(retry_rejected=True)
    report = await world.run(resume=True)
    assert report.fates == Fates(confirmed=292, rejected=8)
    assert set(world.rejected()) == {str(number) for number in range(0, 300, 40)}


async def test_a_retry_in_a_space_that_refuses_everybody_rejects_just_those(world: World) -> None:
    world.voucherify.verdict = poison(*range(100, 140))
    assert (await world.run()).fates == Fates(confirmed=260, rejected=40)
    world.voucherify.verdict = lambda ids: done(len(ids), ids)
    report = await world.run(retry_rejected=True)
    assert (report.outcome, report.fates) == ("done", Fates(confirmed=260, rejected=40))


# --- what breaks ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [3, 40, 110])
async def test_a_ledger_that_cannot_be_written_any_more_stops_it_and_a_resume_loses_nobody(
    world: World, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.source.trouble = lambda index: refused(404) if index % 10 == 0 else None
    changes = 0
    add_rejection = entries.add_rejection

    def full(*arguments: Any) -> None:
        nonlocal changes
        changes += 1
        if changes == after // 4 + 1:
            arguments[0].execute(f"PRAGMA max_page_count={arguments[0].execute('PRAGMA page_count').fetchone()[0]}")
            arguments[0].execute("CREATE TABLE filler (x)")
            arguments[0].execute("INSERT INTO filler VALUES (zeroblob(1000000))")
        add_rejection(*arguments)

    monkeypatch.setattr(entries, "add_rejection", full)
    report = await run_import(
        Settings(**SETTINGS), ledger=world.ledger, on_event=world.at_event, directory=world.directory
    )
    assert report.outcome == "stopped"
    assert "cannot be written" in str(report.error)
    monkeypatch.setattr(entries, "add_rejection", add_rejection)
    report = await world.run(resume=True)
    assert (report.outcome, report.fates) == ("done", Fates(confirmed=270, rejected=30))
    assert world.voucherify.written == users(*(each for each in range(300) if each % 10))


async def test_what_stops_the_calls_for_outcomes_stops_the_import_as_it_is(world: World) -> None:
    async def refuse() -> dict[str, str]:
        raise refused(400)

    world.voucherify.action_statuses = refuse  # type: ignore[method-assign]
    report = await world.run()
    assert report.outcome == "stopped"
    assert isinstance(report.error, SegsyncError)
    assert str(report.error) == str(refused(400))


# --- anything at all ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_is_begun_killed_and_retried_in_any_order_the_books_are_right_and_nobody_is_missing(
    world: World, seed: int
) -> None:
    random = Random(seed)
    bad, gone = random.sample(range(100), 5), random.sample(range(100, 200), 5)
    world.source.profiles = 200
    latency = Random(-seed)
    world.source.seconds = lambda _index: latency.random() * 0.002
    world.source.trouble = lambda index: refused(404) if index in gone else None
    world.voucherify.verdict = Fragile(*bad, seed=seed)
    for turn in range(8):
        runs = read_status(world.ledger).runs if turn else []
        options: dict[str, Any] = random.choice([{"resume": True}, {"resume": True}, {"retry_rejected": True}, {}])
        if runs and runs[0].offset and random.random() < 0.2:
            options = {"offset": runs[0].offset}
        await world.run_killed(random.randint(1, 500), f"{seed}-{turn}", **options)
        for run in read_status(world.ledger).runs:
            assert smallest(run.fates) >= 0, (turn, options, run)
    report = await world.run(resume=True)
    assert report.outcome == "done"
    assert {f"user-{number}" for number in world.rejected_now()} >= users(*range(200)) - world.voucherify.written
    assert world.rejected_in_file() == world.rejected_now()
    world.source.trouble = lambda _index: None
    world.voucherify.verdict = poison()
    await world.run(retry_rejected=True)
    report = await world.run(resume=True)
    assert world.voucherify.written == users(*range(200))
    status = read_status(world.ledger)
    assert status.next == "All is done."
    assert all(run.fates == Fates(confirmed=run.profiles) for run in status.runs[:1])
