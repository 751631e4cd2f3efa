"""Voucherify's own words go into the list of rejected profiles where they are wanted, and nowhere else."""

from __future__ import annotations

import csv
import logging
from contextlib import closing
from functools import partial

import pytest

from segsync import ImportReport
from segsync.commands.status import read_status
from segsync.ledger.database import reading
from segsync.report.list_writer import ProfileLists
from segsync.report.profile_lists import REJECTED
from segsync.report.summary_json import encode
from tests.job.world import World
from tests.support.ledgers import done
from tests.support.memory import refused

SAYS = {"33": "phone '+44 20 7946 0958' of Ada Lovelace", "50": "birthdate 10.12.1815 of\nlovelace@example.com"}
PERSONAL = ("20 7946 0958", "Lovelace", "lovelace", "10.12.1815", "example.com")
SHOWN = {"33": SAYS["33"], "50": SAYS["50"].replace("\n", r"\n")}


@pytest.fixture
def world(world: World) -> World:
    """It refuses one customer at once, and another one later, and quotes both."""
    world.voucherify.trouble = lambda ids: (
        refused(400, "phone … was refused", words=SAYS["33"]) if "user-33" in ids else None
    )
    world.voucherify.verdict = lambda ids: done(
        len(ids), [each for each in ids if each == "user-50"], reason="birthdate … is not valid", words=SAYS["50"]
    )
    return world


def words(world: World) -> dict[str, str]:
    with (world.directory / REJECTED).open(encoding="utf-8", newline="") as file:
        return {row["segment_id"]: row.get("words", "no column") for row in csv.DictReader(file)}


def assert_nowhere_else(world: World, report: ImportReport, caplog: pytest.LogCaptureFixture) -> None:
    seen = {path.name: path.read_bytes() for path in world.directory.iterdir() if path.name != REJECTED}
    seen["log"] = "".join(f"{record.__dict__}" for record in caplog.records).encode()
    seen["events"] = "".join(map(repr, world.events)).encode()
    seen["summary"] = encode(report, exit_code=3, next_command=None)
    seen["report"] = repr(report).encode()
    seen["status"] = repr(read_status(world.ledger)).encode()
    leaks = [(name, text) for name, content in seen.items() for text in PERSONAL if text.encode() in content]
    assert leaks == []


async def test_they_are_in_the_list_alone(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "segsync")
    report = await world.run(show_values=True)
    assert report.outcomes.rejected == 2
    assert words(world) == SHOWN
    assert (world.directory / REJECTED).stat().st_mode & 0o777 == 0o600
    assert_nowhere_else(world, report, caplog)


async def test_without_leave_they_are_nowhere(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "segsync")
    report = await world.run()
    assert words(world) == {"33": "no column", "50": "no column"}
    assert not any(text in (world.directory / REJECTED).read_text() for text in PERSONAL)
    assert_nowhere_else(world, report, caplog)


async def test_a_retry_can_ask_for_them_and_they_stay_for_a_later_status(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    await world.run()
    caplog.set_level(logging.DEBUG, "segsync")
    report = await world.run(retry_rejected=True, show_values=True)
    assert words(world) == SHOWN
    assert_nowhere_else(world, report, caplog)
    for _ in range(2):
        with closing(ProfileLists(world.directory, world.ledger)) as lists:
            assert lists.write_from(partial(reading, world.ledger)) == ()
        assert words(world) == SHOWN


async def test_they_go_with_the_rejection(world: World) -> None:
    await world.run(show_values=True)
    world.voucherify.trouble = lambda _ids: None
    await world.run(retry_rejected=True)
    assert list(words(world)) == ["50"]


async def test_a_customer_that_is_found_by_a_search_has_its_words_too(world: World) -> None:
    world.voucherify.trouble = lambda _ids: None
    world.voucherify.names_refused = lambda action_id: len(world.voucherify.customers_of[action_id]) == 1
    await world.run(show_values=True)
    assert words(world) == {"50": SHOWN["50"]}
