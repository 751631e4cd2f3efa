"""Whole imports of profiles that share identifiers: one customer each, with the values of the one listed first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from segsync import ImportReport, Settings, run_import
from segsync.connectors.base import UpsertResult
from segsync.connectors.file import DryRunSink, output_at
from segsync.ledger.database import Ledger
from segsync.ledger.profiles import ProfileOutcome
from segsync.models import Outcomes, Profile
from segsync.report.profile_lists import DUPLICATES
from tests.job.world import SETTINGS, Fragile, World, poison
from tests.support.ledgers import MemoryVoucherify, done, failed
from tests.support.memory import MemorySource, refused

CONFIRMED, DUPLICATE, REJECTED = ProfileOutcome.CONFIRMED, ProfileOutcome.DUPLICATE, ProfileOutcome.REJECTED


class People(MemorySource):
    """Profiles in the order of `listing`; everybody's name is the segment id."""

    def __init__(self, profiles: int) -> None:
        super().__init__(profiles, page_size=10)
        self.seconds = lambda _index: 0.0
        self.listing = [*range(profiles)]

    def _listed(self, index: int) -> str:
        return str(self.listing[index])

    def _profile(self, index: int) -> Profile | None:
        source_id = self.source_id(index)
        return None if source_id is None else Profile(str(index), source_id, {"name": str(index)})


class Voucherify(MemoryVoucherify):
    """Knows the name that each customer has; refuses an upsert with one of the `bad` profiles."""

    def __init__(self) -> None:
        super().__init__()
        self.names: defaultdict[str, list[str]] = defaultdict(list)
        self.bad: set[str] = set()

    async def upsert(self, body: bytes) -> str:
        customers = [(each["source_id"], each["name"]) for each in msgspec.json.decode(body)]
        if any(name in self.bad for _, name in customers):
            raise refused(400)
        action_id = await super().upsert(body)
        result = self.results[action_id]
        if result and result.status == "DONE":
            for source_id, name in customers:
                self.names[source_id].append(name)
        return action_id


@pytest.fixture
def people(world: World) -> People:
    world.source = people = People(300)
    people.source_id = lambda index: f"user-{7 if index == 207 else index}"
    return people


@pytest.fixture
def voucherify(world: World) -> Voucherify:
    world.voucherify = voucherify = Voucherify()
    return voucherify


def listed_as_duplicate(world: World) -> list[str]:
    path = world.directory / DUPLICATES
    return path.read_text().splitlines()[1:] if path.exists() else []


async def test_the_second_of_two_is_reported_and_costs_no_exit_code(
    world: World, people: People, voucherify: Voucherify
) -> None:
    report = await world.run()
    assert (report.state, report.outcomes) == ("done", Outcomes(confirmed=299, duplicate=1))
    assert voucherify.names["user-7"] == ["7"]
    assert listed_as_duplicate(world) == ["207,7"]
    assert (world.rows()[DUPLICATE], len(world.rows()[CONFIRMED])) == ({"207"}, 299)
    assert people.reads <= 300 + 1, "the other one, to compare the ids themselves, unless its page is still open"
    again = await world.run(resume=True)
    assert again.outcomes == report.outcomes


@pytest.mark.parametrize(
    ("options", "customers"),
    [({"offset": "100"}, 199), ({"resume": True, "limit": 300}, 299)],
    ids=["offset", "resume"],
)
async def test_an_import_that_goes_on_knows_whom_an_earlier_process_sent(
    world: World, people: People, voucherify: Voucherify, options: Mapping[str, Any], customers: int
) -> None:
    assert (await world.run(limit=100)).outcomes == Outcomes(confirmed=100)
    report = await world.run(**options)
    assert report.outcomes == Outcomes(confirmed=customers, duplicate=1)
    assert voucherify.names["user-7"] == ["7"]


async def test_a_new_import_begins_anew_in_its_own_order(world: World, people: People, voucherify: Voucherify) -> None:
    await world.run()
    people.listing.reverse()
    report = await world.run()
    assert report.outcomes == Outcomes(confirmed=299, duplicate=1)
    assert voucherify.names["user-7"] == ["7", "207"]
    assert listed_as_duplicate(world) == ["7,207"]


async def test_a_profile_that_voucherify_refused_is_in_nobodys_way(
    world: World, people: People, voucherify: Voucherify
) -> None:
    voucherify.verdict = poison(7)
    assert (await world.run(limit=100)).outcomes == Outcomes(confirmed=99, rejected=1)
    voucherify.verdict = poison()
    assert (await world.run(offset="100")).outcomes == Outcomes(confirmed=200)
    await world.run(retry_rejected=True)
    assert voucherify.names["user-7"][-1] == "207", "it was sent first that could be"
    assert (world.rejected(), world.status(1).outcomes) == ({"7": "duplicate"}, Outcomes(confirmed=99, duplicate=1))
    assert world.rejected_in_file() == set()
    reads = people.reads
    await world.run(retry_rejected=True)
    assert people.reads == reads, "a duplicate is not to be retried"


async def test_a_failed_upsert_makes_no_duplicate_of_the_one_that_is_replayed(
    world: World, people: People, voucherify: Voucherify
) -> None:
    have_failed: list[str] = []

    def verdict(ids: list[str]) -> UpsertResult:
        if "user-7" in ids and not have_failed:
            have_failed.append("user-7")
            return failed()
        return done(len(ids))

    voucherify.verdict = verdict
    report = await world.run()
    assert report.outcomes == Outcomes(confirmed=299, duplicate=1)
    assert voucherify.names["user-7"] == ["7"]


async def test_digests_that_collide_cost_nobody_a_customer(
    world: World, people: People, voucherify: Voucherify, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ledger, "digest", lambda _ledger, _content: b"12345678")
    people.profiles = 60
    report = await world.run()
    assert (report.state, report.outcomes) == ("done", Outcomes(confirmed=60))
    assert len(voucherify.names) == 60


async def test_a_dry_run_and_a_sink_of_ones_own_do_the_same(people: People, tmp_path: Path) -> None:
    with output_at(tmp_path / "customers.ndjson") as output:
        report: ImportReport = await run_import(Settings(**SETTINGS), source=people, sink=DryRunSink(output))
    assert report.outcomes == Outcomes(sent=299, duplicate=1)
    customers = [msgspec.json.decode(line) for line in (tmp_path / "customers.ndjson").read_bytes().splitlines()]
    assert [each["name"] for each in customers if each["source_id"] == "user-7"] == ["7"]


async def test_one_that_is_read_late_replaces_the_other_everywhere(
    world: World, people: People, voucherify: Voucherify
) -> None:
    people.seconds = lambda index: 0.3 if index == 7 else 0.0
    report = await world.run()
    assert report.outcomes == Outcomes(confirmed=299, duplicate=1)
    assert voucherify.names["user-7"] == ["207", "7"]
    assert listed_as_duplicate(world) == ["207,7"]
    assert (world.rows()[DUPLICATE], len(world.rows()[CONFIRMED])) == ({"207"}, 299)
    without_results = await world.run(confirm=False)
    assert without_results.outcomes == Outcomes(sent=299, duplicate=1)


def scene(seed: int, world: World, people: People, voucherify: Voucherify) -> Callable[[int], str]:
    """120 profiles with some 60 identifiers in any order, some that cannot be read or are refused, at any pace."""
    random, pace = Random(seed), Random(-seed)
    ids = [f"user-{random.randrange(70)}" for _ in range(120)]
    gone = set(random.sample(range(120), 8))
    voucherify.bad = {str(index) for index in random.sample(range(120), 8)}
    people.profiles = 120
    people.listing = random.sample(range(120), 120)
    people.source_id = ids.__getitem__
    people.trouble = lambda index: refused(404) if index in gone else None
    people.seconds = lambda _index: pace.random() ** 8 * 0.05
    return ids.__getitem__


@pytest.mark.parametrize("seed", range(16))
async def test_whoever_is_read_first_and_wherever_it_is_killed_the_first_that_can_be_sent_wins(
    world: World, people: People, voucherify: Voucherify, seed: int
) -> None:
    source_id, random = scene(seed, world, people, voucherify), Random(seed)
    voucherify.verdict = Fragile(seed=seed)
    for turn in range(random.randrange(4)):
        await world.run_killed(random.randint(1, 700), f"{seed}-{turn}", resume=True)
    report = await world.run(resume=True)
    assert report.state == "done"
    in_order = [str(index) for index in people.listing]
    gone = {name for name in in_order if people.trouble(int(name))}
    first: dict[str, str] = {}
    for name in in_order:
        if name not in gone | voucherify.bad:
            first.setdefault(source_id(int(name)), name)
    assert {each: names[-1] for each, names in voucherify.names.items()} == first
    rows = world.rows()
    assert rows[CONFIRMED] == set(first.values())
    assert rows[REJECTED] | rows[DUPLICATE] == set(in_order) - rows[CONFIRMED]
    assert gone <= rows[REJECTED] <= gone | voucherify.bad
    counted = len(first), len(rows[REJECTED]), len(rows[DUPLICATE])
    assert (report.outcomes.confirmed, report.outcomes.rejected, report.outcomes.duplicate) == counted
