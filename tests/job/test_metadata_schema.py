"""Whole imports with a ledger, from memory to memory: what the metadata schema decides."""

from __future__ import annotations

import asyncio

from segsync.errors import AccessError
from segsync.events import MetadataUnchecked
from segsync.mapping.metadata_schema import Definition, MetadataSchema
from segsync.models import Outcomes, Profile
from segsync.report.profile_lists import WARNINGS
from tests.job.world import Fragile, World
from tests.support.ledgers import done, not_ended

STRICT = MetadataSchema({"plan": Definition()}, allow_defined_only=True)


async def test_the_schema_is_read_once_and_what_it_does_not_define_is_reported_once(world: World) -> None:
    world.source.traits = {"metadata": {"plan": 7, "shoe_size": 42}}
    world.voucherify.schema = STRICT
    world.voucherify.verdict = Fragile(5)  # some are replayed, by another pipeline
    report = await world.run()
    assert world.voucherify.schema_calls == 1
    assert report.warnings == {"metadata.shoe_size": 1}
    assert report.outcomes == Outcomes(confirmed=299, rejected=1)
    assert (world.directory / WARNINGS).read_text().splitlines()[1:] == [
        ",".join(("0", "metadata.shoe_size", "is not defined in Voucherify's metadata schema (reported once)"))
    ]


async def test_profiles_rejected_for_metadata_are_retried_when_the_schema_is_fixed(world: World) -> None:
    async def some_wear_shoes(segment_id: str) -> Profile:
        metadata = {"shoe_size": 42} if int(segment_id) % 10 == 0 else {}
        return Profile(segment_id, f"user-{segment_id}", {"metadata": metadata})

    world.source.read = some_wear_shoes  # type: ignore[method-assign]
    world.voucherify.schema = STRICT
    rejecting = {"metadata_undefined": "reject"}
    report = await world.run(settings=rejecting)
    assert (report.state, report.outcomes) == ("done", Outcomes(confirmed=270, rejected=30))
    assert set(world.rejected().values()) == {"map"}
    world.voucherify.schema = MetadataSchema({"shoe_size": Definition("number")}, allow_defined_only=True)
    report = await world.run(settings=rejecting, retry_rejected=True)
    assert (report.state, report.outcomes) == ("done", Outcomes(confirmed=300))
    assert world.rejected_in_file() == set()


async def test_a_schema_that_the_settings_need_and_that_cannot_be_read_stops_the_import_before_anything_is_listed(
    world: World,
) -> None:
    world.voucherify.schema = AccessError("refused", service="Voucherify", status=403)
    report = await world.run(settings={"metadata_undefined": "drop"})
    assert report.state == "stopped"
    assert "may not read the metadata schema, which METADATA_UNDEFINED=drop needs" in str(report.error)
    assert (report.outcomes, world.source.reads, report.resume_offset) == (Outcomes(), 0, "0")


async def test_a_schema_that_cannot_be_read_is_reported_and_metadata_goes_as_it_is(world: World) -> None:
    world.voucherify.schema = AccessError("refused", service="Voucherify", status=403)
    report = await world.run()
    assert (report.state, report.outcomes) == ("done", Outcomes(confirmed=300))
    assert world.count(MetadataUnchecked) == 1


async def test_a_stop_does_not_wait_for_the_schema(world: World) -> None:
    stop = asyncio.Event()

    async def for_ever() -> MetadataSchema:
        stop.set()
        await asyncio.Event().wait()
        return MetadataSchema()

    world.voucherify.metadata_schema = for_ever  # type: ignore[method-assign]
    report = await world.run(stop=stop)
    assert (report.state, report.outcomes, report.resume_offset) == ("interrupted", Outcomes(), "0")


async def test_the_schema_is_not_read_where_only_results_are_left_to_read(world: World) -> None:
    world.voucherify.verdict = lambda _ids: not_ended()
    await world.run(settings={"confirm_seconds": 0.05})
    world.voucherify.results = {action: done(20) for action in world.voucherify.results}
    world.voucherify.schema_calls = 0
    report = await world.run(resume=True)
    assert (report.state, report.outcomes) == ("done", Outcomes(confirmed=300))
    assert world.voucherify.schema_calls == 0
