"""Whole imports with a ledger, from memory to memory: what breaks on the way."""

from __future__ import annotations

from typing import Any

import pytest

from segsync import Settings, run_import
from segsync.connectors.base import ActionStatus
from segsync.errors import SegsyncError, TransientError
from segsync.ledger import rejections
from segsync.models import Outcomes
from tests.job.world import SETTINGS, Fragile, World, users
from tests.support.memory import refused


@pytest.mark.parametrize("after", [3, 40, 110])
async def test_a_ledger_that_cannot_be_written_any_more_stops_it_and_a_resume_loses_nobody(
    world: World, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.source.trouble = lambda index: refused(404) if index % 10 == 0 else None
    changes = 0
    add_rejection = rejections.add_rejection

    def full(db: Any, **arguments: Any) -> None:
        nonlocal changes
        changes += 1
        if changes >= after // 4 + 1:
            db.execute(f"PRAGMA max_page_count={db.execute('PRAGMA page_count').fetchone()[0]}")
            db.execute("CREATE TABLE filler (x)")
            db.execute("INSERT INTO filler VALUES (zeroblob(1000000))")
        add_rejection(db, **arguments)

    monkeypatch.setattr(rejections, "add_rejection", full)
    report = await run_import(
        Settings(**SETTINGS),
        source=world.source,
        sink=world.voucherify,
        ledger=world.ledger,
        on_event=world.at_event,
        directory=world.directory,
    )
    assert report.state == "stopped"
    assert "cannot be written" in str(report.error)
    monkeypatch.setattr(rejections, "add_rejection", add_rejection)
    report = await world.run(resume=True)
    assert (report.state, report.outcomes) == ("done", Outcomes(confirmed=270, rejected=30))
    assert world.voucherify.written == users(*(each for each in range(300) if each % 10))


async def test_an_error_of_the_calls_for_results_stops_the_import_unchanged(world: World) -> None:
    async def refuse() -> dict[str, ActionStatus]:
        raise refused(400)

    world.voucherify.action_statuses = refuse  # type: ignore[method-assign]
    report = await world.run()
    assert report.state == "stopped"
    assert isinstance(report.error, SegsyncError)
    assert str(report.error) == str(refused(400))


def asking_for_hours() -> TransientError:
    return TransientError("answered 503", service="Segment", status=503, retry_after_seconds=10_800.0)


async def test_profiles_that_are_to_be_asked_for_in_hours_are_left_to_a_resume(world: World) -> None:
    world.source.trouble = lambda index: asking_for_hours() if index in (33, 250) else None
    world.voucherify.trouble = lambda ids: asking_for_hours() if "user-100" in ids else None
    first = await world.run()
    assert (first.state, str(first.error).split(",")[0]) == ("stopped", "22 profiles left pending")
    assert first.outcomes == Outcomes(confirmed=278, pending=22), "the results of the others are read"
    assert (first.resume_offset, world.status().offset, world.rejected()) == ("30", "30", {})
    again = await world.run(resume=True)
    assert (again.state, again.error is None, world.rejected()) == ("stopped", False, {})
    world.source.trouble, world.voucherify.trouble = lambda _index: None, lambda _ids: None
    last = await world.run(resume=True)
    assert (last.state, last.outcomes) == ("done", Outcomes(confirmed=300))
    assert world.voucherify.written == users(*range(300))


async def test_failed_upserts_beyond_profiles_that_are_left_to_a_resume_are_counted_once(world: World) -> None:
    world.source.trouble = lambda index: asking_for_hours() if index == 33 else None
    fragile = world.voucherify.verdict = Fragile(7)
    first = await world.run()
    assert first.state == "stopped"
    assert fragile.have_failed
    world.source.trouble = lambda _index: None
    last = await world.run(resume=True)
    assert (last.state, last.outcomes) == ("done", Outcomes(confirmed=299, rejected=1))
    assert world.voucherify.written == users(*range(300)) - users(7)


async def test_rejected_profiles_that_are_to_be_asked_for_in_hours_stay_rejected(world: World) -> None:
    world.source.trouble = lambda index: refused(404) if index in (33, 250) else None
    await world.run()
    world.source.trouble = lambda index: asking_for_hours() if index == 33 else None
    retried = await world.run(retry_rejected=True)
    assert (retried.state, retried.outcomes) == ("stopped", Outcomes(confirmed=299, rejected=1))
    assert set(world.rejected()) == {"33"}
