"""The live display at a terminal: drawn in place, with other lines above it, and wiped at the end."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from io import StringIO

import pytest
from rich.console import Console

from segsync.events import (
    ActionEnded,
    BatchSent,
    Event,
    OnEvent,
    PageDone,
    PageListed,
    ProfileRead,
    ProfileRejected,
    ReadingEnded,
    SentProfile,
    Throttled,
)
from segsync.models import Outcomes, Rejection
from segsync.monitor.display import Display
from segsync.report.counters import Counters
from tests.conftest import run_virtual
from tests.unit.monitor.connectors import CONNECTORS, log_of

Scenario = Callable[[OnEvent, Console], Awaitable[None]]


def written(scenario: Scenario, width: int = 100) -> str:
    """All that is written to a terminal while `scenario` emits its events."""
    console = Console(file=StringIO(), width=width, height=40, force_terminal=True, color_system=None)

    async def main() -> None:
        log = log_of(Counters("0"), CONNECTORS, profiles=1000)
        with Display(log, console).running():

            def emit(event: Event) -> None:
                log.counters.count(event)
                log.activity.on_event(event)

            await scenario(emit, console)

    run_virtual(main())
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


@pytest.fixture(autouse=True)
def _no_dumb_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")


def sent(customers: int) -> BatchSent:
    return BatchSent("aa_1", tuple(SentProfile(1, f"use_{each}", f"u{each}") for each in range(customers)))


async def an_import(emit: OnEvent, _console: Console) -> None:
    emit(PageListed("0", 200))
    for _ in range(200):
        emit(ProfileRead("use_1"))
    await asyncio.sleep(1)
    emit(sent(100))
    emit(sent(100))
    emit(PageDone(1, "0", "[/b]:key:", Outcomes(sent=200)))
    await asyncio.sleep(1)
    emit(ReadingEnded(2))
    await asyncio.sleep(1)
    emit(ProfileRejected(Rejection("use_1", "u1", "confirm", "invalid_customer"), 1))
    emit(ActionEnded("aa_1", 100, 99, 1))
    await asyncio.sleep(1)
    emit(Throttled("Voucherify", 60.0))
    emit(ActionEnded("aa_2", 100, 100))
    await asyncio.sleep(1)


def test_it_keeps_up_with_the_numbers_and_the_activity() -> None:
    lines = written(an_import).splitlines()
    sents = [int(match[1]) for line in lines if (match := re.match(r"Customers sent +(\d+)", line))]
    assert [*dict.fromkeys(sents)] == [0, 200, 199]
    confirmed = [int(match[1]) for line in lines if (match := re.match(r"  confirmed +(\d+)", line))]
    assert [*dict.fromkeys(confirmed)] == [0, 99, 199]
    activities = [match[1][:24] for line in lines if (match := re.match(r"0:00:\d\d  (.+)", line))]
    assert [*dict.fromkeys(activities)] == ["reading profiles", "waiting for Voucherify's", "waiting for Voucherify u"]


@pytest.mark.parametrize("width", [40, 100])
def test_lines_of_others_stand_above_it(width: int) -> None:
    async def scenario(_emit: OnEvent, console: Console) -> None:
        await asyncio.sleep(1)
        console.print("a line of the log")
        await asyncio.sleep(1)

    text = written(scenario, width)
    above, _, below = text.partition("a line of the log")
    assert "reading profiles" in above
    assert "reading profiles" in below


def test_what_a_window_broke_as_it_became_narrower_is_wiped() -> None:
    async def scenario(_emit: OnEvent, console: Console) -> None:
        await asyncio.sleep(1)
        console.print("narrower now")
        console.width = 40
        await asyncio.sleep(1)

    _, _, after = written(scenario, 120).partition("narrower now")
    first_picture, rest = after.split("\x1b[?25h", 1)  # the display ends and begins again
    broken = sum((len(line) - 1) // 40 for line in _plain(first_picture) if line)
    wiped, _ = rest.split("\x1b[?25l", 1)
    assert wiped.count("\x1b[1A\x1b[2K") >= broken > 2


def _plain(text: str) -> list[str]:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", text).splitlines()


def test_at_the_end_nothing_of_it_is_left() -> None:
    text = written(an_import)
    *_, last = text.split("Offset so far")
    assert last.count("\x1b[1A") >= 10, "the cursor is back where the display began"
    assert text.endswith("\x1b[2K")
