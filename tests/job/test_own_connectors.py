"""Whole imports with a ledger, from and to connectors that promise no more than they have to."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from segsync import ImportReport, Settings, run_import
from segsync.connectors.base import Results, Schemas
from segsync.errors import LedgerError, SettingsError
from segsync.events import BatchSent
from segsync.models import Outcomes
from tests.job.world import SETTINGS, World, users
from tests.support.ledgers import not_ended
from tests.support.memory import MemorySink, MemorySource


async def run(world: World, sink: MemorySink, ledger: Path | None = None, *, resume: bool = False) -> ImportReport:
    return await run_import(Settings(**SETTINGS), source=world.source, sink=sink, ledger=ledger, resume=resume)


def test_a_sink_in_memory_promises_neither_results_nor_a_schema() -> None:
    assert not isinstance(MemorySink(), Results | Schemas)


async def test_customers_of_a_sink_without_results_are_sent_and_the_run_does_not_wait(world: World) -> None:
    sink = MemorySink()
    report = await run(world, sink, world.ledger)
    assert (report.state, report.outcomes, report.is_confirmed) == ("done", Outcomes(sent=300), False)
    assert set(sink.received) == users(*range(300))
    assert world.status().open_upserts == 0
    again = await run(world, sink, world.ledger, resume=True)
    assert (again.state, again.outcomes, len(sink.received)) == ("done", Outcomes(sent=300), 300)


async def test_a_sink_without_a_schema_takes_metadata_as_it_is(world: World) -> None:
    world.source.traits = {"metadata": {"anything": [1, {"deep": True}]}}
    report = await run(world, MemorySink())
    assert (report.outcomes, report.warnings) == (Outcomes(sent=300), {})


@pytest.mark.parametrize("undefined", ["drop", "reject"])
async def test_settings_that_need_a_schema_do_not_go_with_a_sink_that_has_none(world: World, undefined: str) -> None:
    settings = Settings(**{**SETTINGS, "metadata_undefined": undefined})
    report = await run_import(settings, source=world.source, sink=MemorySink())
    assert (report.state, report.outcomes, world.source.reads) == ("stopped", Outcomes(), 0)
    assert isinstance(report.error, SettingsError)
    assert f"METADATA_UNDEFINED={undefined} needs a metadata schema" in str(report.error)


async def test_whole_pages_into_a_sink_without_results_take_no_call_at_all(world: World) -> None:
    source, sink = MemorySource(1000, brings_profiles=True), MemorySink()
    report = await run_import(Settings(**SETTINGS), source=source, sink=sink)
    assert (report.state, report.outcomes, source.reads) == ("done", Outcomes(sent=1000), 0)
    assert set(sink.received) == users(*range(1000))
    assert not any(service.calls for service in report.calls.values())


async def test_a_source_of_ones_own_needs_the_credentials_of_voucherify_alone(tmp_path: Path) -> None:
    ledger = tmp_path / "segsync.db"
    with pytest.raises(SettingsError) as raised:
        await run_import(Settings(), source=MemorySource(10), ledger=ledger)
    variables = [problem.split()[0] for problem in raised.value.problems]
    assert variables == ["VOUCHERIFY_APPLICATION_ID", "VOUCHERIFY_SECRET_KEY"]
    assert not ledger.exists()


async def test_the_ledger_belongs_to_the_sink_and_a_run_to_the_source(world: World) -> None:
    await run_import(Settings(), source=world.source, sink=world.voucherify, ledger=world.ledger)
    assert world.status().source == f"{world.source.about.name} {world.source.about.identity}"
    other = MemorySink()
    other.about = replace(other.about, identity="another project")
    with pytest.raises(LedgerError, match="belongs to imports into another"):
        await run_import(Settings(), source=world.source, sink=other, ledger=world.ledger)


async def test_an_import_that_is_cancelled_ends_with_a_summary_in_the_log_too(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "segsync")
    world.voucherify.verdict = lambda _ids: not_ended()
    begun = asyncio.Event()
    world.at_event = lambda event: begun.set() if isinstance(event, BatchSent) else None
    running = asyncio.ensure_future(world.run())
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    summary = caplog.records[-1]
    assert (summary.__dict__["event"], summary.__dict__["state"]) == ("summary", "interrupted")
    assert sum(record.__dict__["event"] == "summary" for record in caplog.records) == 1


class KeepingSink(MemorySink):
    """Keeps the customers too."""

    customers: list[dict[str, object]]

    async def upsert(self, body: bytes) -> str:
        self.customers = msgspec.json.decode(body)
        return await super().upsert(body)


@pytest.mark.parametrize(("invalid", "sent"), [("null", {"birthdate": None}), ("omit", {})])
async def test_an_import_treats_an_invalid_birthdate_as_the_setting_says(
    world: World, invalid: str, sent: dict[str, None]
) -> None:
    world.source.traits, sink = {"birthdate": "soon"}, KeepingSink()
    settings = Settings(**{**SETTINGS, "birthdate_invalid": invalid})
    report = await run_import(settings, source=world.source, sink=sink, limit=1)
    assert sink.customers == [{"source_id": "user-0", **sent, "system_metadata": {"source": "segmentio"}}]
    assert report.warnings == {"birthdate": 1}
