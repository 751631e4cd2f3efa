"""The report of an import has what the last check with its settings found, or nothing."""

from __future__ import annotations

from functools import partial
from typing import Any

from segsync import LastCheck, Settings
from segsync.ledger.checks import keep, settings_key
from segsync.ledger.database import Ledger
from segsync.models import Outcomes
from tests.job.world import SETTINGS, World

FOUND = LastCheck("2026-11-28T10:00:00+00:00", 230, ("plan",), "METADATA_TRAITS=*")


def check(world: World, found: LastCheck = FOUND, **given: Any) -> None:
    """Keep what a check on the import's ledger found."""
    with Ledger(world.ledger, owner=world.voucherify.about, source=world.source.about) as ledger:
        ledger.read(partial(keep, key=settings_key(ledger, Settings(**{**SETTINGS, **given})), found=found))


async def test_an_import_repeats_what_a_check_with_its_settings_found(world: World) -> None:
    check(world)
    report = await world.run(resume=True)
    assert (report.state, report.outcomes) == ("done", Outcomes(confirmed=300)), "it began: a check is no import"
    assert report.not_imported == FOUND
    assert (await world.run(resume=True)).not_imported == FOUND
    later = LastCheck("2026-11-29T10:00:00+00:00", 0)
    check(world, later)
    assert (await world.run(retry_rejected=True)).not_imported == later


async def test_it_says_nothing_where_no_check_was_made_or_one_with_other_settings(world: World) -> None:
    assert (await world.run()).not_imported is None
    check(world, metadata_traits="plan")
    assert (await world.run()).not_imported is None
    assert (await world.run(settings={"metadata_traits": "plan"})).not_imported == FOUND
