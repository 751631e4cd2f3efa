"""What the terminal shows while an import runs: log lines with rates, retries and rejections told sparingly."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from io import StringIO

import pytest
from rich.console import Console

from segsync.files import REJECTED, WARNINGS
from segsync.models import (
    ActionEnded,
    BatchSent,
    CallAnswered,
    CallRetried,
    Event,
    Fates,
    PageListed,
    PageSettled,
    PageTakenAgain,
    ProfileRead,
    ProfileRejected,
    ProfileWithoutIdentifier,
    ReadingEnded,
    Rejection,
    SentProfile,
    ServicePaused,
    TraitLeftOut,
)
from segsync.progress import LINE_SECONDS, REJECTIONS_SHOWN, Mode, Progress
from segsync.settings import Settings
from segsync.tally import NOTHING_BEFORE, Tally
from tests.conftest import run_virtual

SETTINGS = Settings(
    segment_access_token="token",
    segment_space_id="spa_1",
    voucherify_application_id="id",
    voucherify_secret_key="key",
    voucherify_requests_per_minute=2000,
)
Tell = Callable[[Event], None]


def shown(
    scenario: Callable[[Tell], Awaitable[None]],
    mode: Mode = "lines",
    *,
    verbose: bool = False,
    width: int = 300,
    before: Fates = NOTHING_BEFORE,
) -> list[str]:
    """The lines that are shown while `scenario` tells its events."""
    console = Console(file=StringIO(), width=width, force_terminal=mode == "live", color_system=None)

    async def main() -> None:
        tally = Tally("0", before)
        with Progress(SETTINGS, tally, console, mode, verbose=verbose) as progress:

            def tell(event: Event) -> None:
                tally.count(event)
                progress.on_event(event)

            await scenario(tell)

    run_virtual(main())
    assert isinstance(console.file, StringIO)
    return console.file.getvalue().splitlines()


def sent(customers: int) -> BatchSent:
    return BatchSent("aa_1", tuple(SentProfile(1, f"use_{each}", f"u{each}") for each in range(customers)))


async def twenty_profiles_a_second(tell: Tell) -> None:
    """For 32 seconds; every tenth has no identifier, every second a batch of 18 is sent."""
    tell(PageListed("0", 1000))
    await asyncio.sleep(LINE_SECONDS / 10)
    for _ in range(32):
        for number in range(20):
            tell(CallAnswered("Segment", 200, 0.1))
            if number % 10 == 0:
                tell(ProfileWithoutIdentifier("use_1"))
            else:
                tell(CallAnswered("Segment", 200, 0.1))
                tell(ProfileRead("use_1"))
        tell(CallAnswered("Voucherify", 202, 0.1))
        tell(sent(18))
        await asyncio.sleep(1)


# --- log lines ------------------------------------------------------------------------------------------------


def test_a_line_every_few_seconds_tells_how_far_it_is_and_how_fast() -> None:
    lines = shown(twenty_profiles_a_second)
    assert len(lines) == 32 // LINE_SECONDS
    assert re.match(
        r"\d\d:\d\d:\d\d 600 profiles read \(20/s\), 540 customers sent, 0 of them confirmed, 60 without identifier, ",
        lines[-1],
    )
    assert "0 rejected; Segment 38.0 calls/s of 100, Voucherify 60/min of 2000; 0 retries, 0 x 429" in lines[-1]


def test_a_line_tells_where_a_resume_would_begin_for_as_long_as_there_is_such_a_place() -> None:
    async def scenario(tell: Tell) -> None:
        await asyncio.sleep(LINE_SECONDS + 1)
        for next_cursor in ("100", "[/b]", None):
            tell(PageSettled(1, "0", next_cursor, Fates(sent=100)))
            await asyncio.sleep(LINE_SECONDS)

    lines = shown(scenario)
    assert [line.partition("offset ")[2] for line in lines[:3]] == ["0", "100", "[/b]"]
    assert "None" not in lines[3]


def test_the_rates_are_those_of_the_last_seconds_not_of_the_whole_run() -> None:
    async def scenario(tell: Tell) -> None:
        await twenty_profiles_a_second(tell)
        await asyncio.sleep(20)

    lines = shown(scenario)
    assert "640 profiles read (0/s)" in lines[-1]
    assert "Segment 0.0 calls/s of 100, Voucherify 0/min" in lines[-1]


def test_a_quiet_run_says_nothing_but_problems() -> None:
    async def scenario(tell: Tell) -> None:
        await twenty_profiles_a_second(tell)
        tell(ProfileRejected(Rejection("use_9", None, "read", "answered 404"), 1))

    [line] = shown(scenario, "quiet")
    assert line.endswith("Rejected: use_9 (read): answered 404")


# --- what becomes of the customers ------------------------------------------------------------------------------


async def all_sent_and_then_heard_of(tell: Tell) -> None:
    """After 6 seconds all is sent, after 12 the first outcomes are there, after 18 the last."""
    tell(PageListed("0", 200))
    for _ in range(200):
        tell(ProfileRead("use_1"))
    tell(sent(100))
    tell(sent(100))
    await asyncio.sleep(6)
    tell(ReadingEnded(2))
    await asyncio.sleep(6)
    tell(ProfileRejected(Rejection("use_1", "u1", "confirm", "invalid_customer"), 1))
    tell(ActionEnded("aa_1", 100, 99, 1))
    await asyncio.sleep(6)
    tell(ActionEnded("aa_2", 100, 100))
    await asyncio.sleep(6)


def test_a_line_tells_how_many_of_the_customers_sent_are_confirmed() -> None:
    lines = [line for line in shown(all_sent_and_then_heard_of) if "profiles read" in line]
    told = [
        re.search(r"(\d+) customers sent, (\d+) of them confirmed, 0 without identifier, (\d+) rej", line)
        for line in lines
    ]
    assert [match.groups() for match in told if match] == [
        *[("200", "0", "0")] * 2,
        *[("199", "99", "1")],
        *[("199", "199", "1")],
    ]


def test_it_is_said_once_that_all_is_sent_and_what_is_waited_for() -> None:
    told = [line for line in shown(all_sent_and_then_heard_of) if "All is sent" in line]
    assert len(told) == 1
    assert told[0].endswith("All is sent. Waiting for the outcome of 2 bulk upserts")


def test_nothing_is_said_of_outcomes_where_none_is_waited_for() -> None:
    async def scenario(tell: Tell) -> None:
        tell(ReadingEnded(0))
        await asyncio.sleep(1)

    assert shown(scenario) == []
    assert any("reading profiles" in line for line in shown(scenario, "live", width=100))


def test_the_live_display_tells_what_is_waited_for_and_how_many_are_confirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    lines = shown(all_sent_and_then_heard_of, "live", width=100)
    states = [line for line in lines if re.match(r"0:00:\d\d ", line)]
    assert "reading profiles" in states[0]
    assert "hearing from Voucherify what became of the customers" in states[-1]
    customers = [
        match.groups() for line in lines if (match := re.match(r"Customers sent +(\d+) +(\d+) confirmed", line))
    ]
    assert [*dict.fromkeys(customers)] == [("200", "0"), ("199", "99"), ("199", "199")]


def test_a_resumed_import_shows_all_of_it_and_the_pace_of_this_process() -> None:
    async def scenario(tell: Tell) -> None:
        tell(PageListed("900", 100))
        for _ in range(12):
            tell(ProfileRead("use_1"))
            tell(sent(1))
            await asyncio.sleep(1)

    before = Fates(confirmed=500, sent=300, without_identifier=100)
    lines = shown(scenario, before=before)
    assert re.search(r"910 profiles read \(1/s\), 810 customers sent, 500 of them confirmed, 100 without", lines[-1])


async def an_upsert_that_failed_is_taken_again(tell: Tell) -> None:
    tell(PageListed("0", 100))
    tell(sent(100))
    await asyncio.sleep(LINE_SECONDS)
    tell(ActionEnded("aa_1", 100, 0))
    await asyncio.sleep(LINE_SECONDS)
    await a_page_is_taken_again(tell, were_rejected=False)


async def a_page_is_taken_again(tell: Tell, *, were_rejected: bool = True) -> None:
    await asyncio.sleep(1)
    tell(PageTakenAgain(100, were_rejected=were_rejected))
    await asyncio.sleep(2 * LINE_SECONDS)
    tell(sent(100))
    await asyncio.sleep(LINE_SECONDS)


@pytest.mark.parametrize(
    ("scenario", "before"),
    [
        (an_upsert_that_failed_is_taken_again, NOTHING_BEFORE),
        (a_page_is_taken_again, Fates(confirmed=800, rejected=200)),
    ],
)
def test_no_pace_is_negative_where_profiles_are_taken_again(
    scenario: Callable[[Tell], Awaitable[None]], before: Fates
) -> None:
    lines = shown(scenario, before=before)
    paces = [match[1] for line in lines if (match := re.search(r"profiles read \((.*?)/s\)", line))]
    assert len(paces) >= 3
    assert [pace for pace in paces if pace.startswith("-")] == []


# --- retries, rejections, warnings ----------------------------------------------------------------------------


async def an_outage_of_a_minute(tell: Tell) -> None:
    """Sixteen workers try again every second."""
    for second in range(60):
        for attempt in range(16):
            tell(CallAnswered("Segment", 429, 0.1))
            tell(CallRetried("Segment", "Segment answered 429", attempt, 1.0, float(second)))
        await asyncio.sleep(1)


def test_an_outage_is_told_now_and_then_and_not_recited() -> None:
    lines = [line for line in shown(an_outage_of_a_minute) if "attempt" in line]
    assert len(lines) == 60 // LINE_SECONDS
    assert lines[0].endswith("Segment answered 429; attempt 1 in 1.0 s, 0 s so far")
    assert lines[-1].endswith("55 s so far")


def test_the_trouble_of_one_service_does_not_hide_that_of_the_other() -> None:
    async def scenario(tell: Tell) -> None:
        for service in ("Segment", "Voucherify") * 2:
            tell(CallRetried(service, f"{service} answered 503", 1, 2.0, 0.5))
            tell(ServicePaused(service, 60.0))

    told = [line.split(" ", 1)[1] for line in shown(scenario)]
    assert [line[: line.index("answered" if "answered" in line else "asks") - 1] for line in told] == [
        *("Segment", "Segment", "Voucherify", "Voucherify")
    ]


def test_retries_and_429s_are_counted_in_the_log_lines() -> None:
    assert "960 retries, 960 x 429" in [line for line in shown(an_outage_of_a_minute) if "profiles read" in line][-1]


async def many_rejections_and_warnings(tell: Tell) -> None:
    for number in range(50):
        tell(ProfileRejected(Rejection(f"use_{number}", None, "upsert", "Voucherify answered 400"), 1))
        tell(TraitLeftOut(f"use_{number}", "birthdate", "is not an ISO 8601 date"))
        tell(TraitLeftOut(f"use_{number}", "name", "is a list, not text"))


def test_the_first_rejections_are_told_and_then_once_the_file_that_has_them_all() -> None:
    lines = shown(many_rejections_and_warnings)
    told = [line for line in lines if "Rejected: " in line]
    assert len(told) == REJECTIONS_SHOWN
    assert "Rejected: use_0 (upsert): Voucherify answered 400" in told[0]
    assert sum(REJECTED in line for line in lines) == 1


def test_one_warning_a_trait_says_what_became_of_it_and_once_where_the_others_are() -> None:
    lines = shown(many_rejections_and_warnings)
    birthdate, name = (line for line in lines if "Warning: " in line)
    assert re.search("use_0.* birthdate is not an ISO 8601 date.* sent as null", birthdate)
    assert re.search("use_0.* name is a list, not text.* left out", name)
    assert sum(WARNINGS in line for line in lines) == 1


def test_a_verbose_run_tells_of_every_one() -> None:
    assert sum("Rejected" in line for line in shown(many_rejections_and_warnings, verbose=True)) == 50
    assert sum("Warning" in line for line in shown(many_rejections_and_warnings, verbose=True)) == 100
    assert sum("attempt" in line for line in shown(an_outage_of_a_minute, verbose=True)) == 16 * 60


def test_what_a_service_says_is_shown_as_it_is_and_not_as_markup() -> None:
    async def scenario(tell: Tell) -> None:
        tell(ProfileRejected(Rejection("use_[/red]", None, "read", "[bold]no[/nothing]"), 1))

    assert shown(scenario)[0].endswith("use_[/red] (read): [bold]no[/nothing]")


# --- the live display -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [40, 100])
def test_the_live_display_keeps_up_whatever_a_cursor_holds(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")

    async def scenario(tell: Tell) -> None:
        await twenty_profiles_a_second(tell)
        await many_rejections_and_warnings(tell)
        tell(CallRetried("Segment", "Segment answered 503", 1, 2.0, 0.5))
        tell(ServicePaused("Voucherify", 60.0))
        tell(PageSettled(1, "0", "[/b]:key:", Fates(sent=100)))
        await asyncio.sleep(1)
        tell(PageListed("[/b]:key:", 1))
        tell(ProfileRead("use_1"))
        await asyncio.sleep(1)

    lines = shown(scenario, "live", width=width)
    read = [int(match[1]) for line in lines if (match := re.match(r"Profiles(?: read)? +(\d+)", line))]
    assert (read[0], read[-1]) == (0, 641)
    assert read == sorted(read)
    assert [line for line in lines if "Rejected" in line and "50" in line]
    assert [line for line in lines if "[/b]:key:" in line]
    assert [line for line in lines if "waiting for Voucherify until" in line]


def test_trouble_that_has_passed_is_no_longer_the_state() -> None:
    async def scenario(tell: Tell) -> None:
        tell(CallRetried("Segment", "Segment answered 503", 1, 2.0, 0.5))
        await asyncio.sleep(10)

    states = [line for line in shown(scenario, "live", width=100) if re.match(r"0:00:\d\d ", line)]
    assert "Segment is not answering well" in states[0]
    assert "reading profiles" in states[-1]
