"""An import from someone's own program."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from segsync import Event, Settings, SettingsError, run_import
from segsync.models import BatchSent
from segsync.sandbox import SandboxOptions
from segsync.sandbox.options import connection
from segsync.sandbox.server import Sandbox, serve

OPTIONS = SandboxOptions(
    profiles=300, latency_ms=0.0, segment_requests_per_second=0, voucherify_requests_per_minute=0, action_seconds=0.0
)


@pytest.fixture
async def sandbox() -> AsyncIterator[tuple[Sandbox, Settings]]:
    async with serve(OPTIONS) as (sandbox, url):
        fast = {"SEGMENT_REQUESTS_PER_SECOND": "5000", "VOUCHERIFY_REQUESTS_PER_MINUTE": "100000"}
        yield sandbox, Settings.load(environ={**connection(url, OPTIONS), **fast})


async def test_an_offset_may_be_a_number(sandbox: tuple[Sandbox, Settings]) -> None:
    served, settings = sandbox
    report = await run_import(settings, offset=200)
    assert (report.outcome, report.error, report.fates.profiles) == ("done", None, 100)
    assert served.verdict(first=200).is_right


async def test_a_limit_below_1_is_refused_before_anything_is_called(sandbox: tuple[Sandbox, Settings]) -> None:
    served, settings = sandbox
    with pytest.raises(SettingsError, match="limit=0 must be 1 or more"):
        await run_import(settings, limit=0)
    assert served.segment.calls == 0


async def test_a_stop_is_told_as_an_interruption_with_the_way_back(sandbox: tuple[Sandbox, Settings]) -> None:
    _, settings = sandbox
    stop = asyncio.Event()
    stop.set()
    report = await run_import(settings, stop=stop)
    assert (report.outcome, report.resume_offset, report.fates.sent) == ("interrupted", "0", 0)


async def test_what_nobody_expected_is_told_by_its_place_and_not_by_its_text(
    sandbox: tuple[Sandbox, Settings],
) -> None:
    def broken(event: Event) -> None:
        if isinstance(event, BatchSent):
            raise KeyError("ada@example.com")

    _, settings = sandbox
    report = await run_import(settings, on_event=broken)
    assert report.outcome == "stopped"
    assert report.resume_offset is not None
    assert "unexpected KeyError at test_runner.py" in str(report.error)
    assert "ada@example.com" not in str(report.error)
    assert report.error is not None
    assert isinstance(report.error.__cause__, KeyError)
