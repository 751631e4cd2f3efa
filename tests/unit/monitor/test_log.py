"""What is logged while an import runs: rates, retries and rejections sparingly, as text and as JSON."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

from segsync.errors import AccessError, SegsyncError, StopError
from segsync.events import (
    ActionEnded,
    BatchSent,
    CallAnswered,
    CallRetried,
    CallsLeft,
    ConcurrencyChanged,
    Event,
    OnEvent,
    PaceChanged,
    PageDone,
    PageListed,
    PageReplayed,
    ProfileRead,
    ProfileRejected,
    ProfileWithoutIdentifier,
    ReadingEnded,
    SentProfile,
    Throttled,
    TraitLeftOut,
)
from segsync.mapping.problems import MISSING, UNDEFINED
from segsync.models import Outcomes, Plan, Rejection
from segsync.monitor.log import LINE_SECONDS, REJECTIONS_SHOWN, WARNINGS_SHOWN, Log
from segsync.monitor.log_handlers import ConsoleHandler, JsonHandler, LogFile, logging_to
from segsync.report.counters import NOTHING_BEFORE, Counters
from segsync.report.import_report import make_report
from segsync.report.profile_lists import REJECTED, WARNINGS
from tests.conftest import run_virtual
from tests.unit.monitor.connectors import connectors

THE_END = StopError("the sky fell")
CONNECTORS = connectors(voucherify_per_minute=2000)
Scenario = Callable[[OnEvent], Awaitable[None]]


def logged(
    scenario: Scenario,
    handler: logging.Handler,
    *,
    verbose: bool = False,
    before: Outcomes = NOTHING_BEFORE,
    total: int | None = None,
    is_dry_run: bool = False,
    error: SegsyncError = THE_END,
    lists: Path | None = None,
) -> None:
    """Have the events of `scenario` logged, until `error` ends it."""

    async def main() -> None:
        counters, stop = Counters("0", before), asyncio.Event()
        log = Log(
            Plan("new", (3,), 3, "0", before),
            counters,
            CONNECTORS,
            stop=stop,
            batch_size=100,
            ledger=Path("segsync.db"),
            profiles=total,
            is_dry_run=is_dry_run,
            has_lists=not is_dry_run,
            lists=lists,
        )

        def emit(event: Event) -> None:
            counters.count(event)
            log.on_event(event)

        with log.running():
            await scenario(emit)
            stop.set()
            await asyncio.sleep(0)
            counters.seconds = 1.0
            log.ended(make_report(counters, state="stopped", error=error, is_confirmed=True))

    with logging_to([handler], logging.DEBUG if verbose else logging.INFO):
        run_virtual(main())


def shown(
    scenario: Scenario,
    *,
    verbose: bool = False,
    before: Outcomes = NOTHING_BEFORE,
    total: int | None = None,
    is_dry_run: bool = False,
    lists: Path | None = None,
) -> list[str]:
    """The lines of text on a console, between the first and the two at the end: of stopping, and the summary."""
    console = Console(file=StringIO(), width=300, color_system=None)
    about: dict[str, Any] = {"before": before, "total": total, "is_dry_run": is_dry_run, "lists": lists}
    logged(scenario, ConsoleHandler(console), verbose=verbose, **about)
    assert isinstance(console.file, StringIO)
    first, *lines, stopping, summary = console.file.getvalue().splitlines()
    assert "New import" in first or "Dry run" in first
    assert "what is under way. Press Ctrl-C" in stopping
    assert "stopped after 0:00:01" in summary
    return lines


def records(
    scenario: Scenario, *, verbose: bool = False, total: int | None = None, error: SegsyncError = THE_END
) -> list[dict[str, Any]]:
    """The lines of JSON."""
    stream = StringIO()
    logged(scenario, JsonHandler(stream), verbose=verbose, total=total, error=error)
    return [msgspec.json.decode(line, type=dict[str, Any]) for line in stream.getvalue().splitlines()]


def sent(customers: int) -> BatchSent:
    return BatchSent("aa_1", tuple(SentProfile(1, f"use_{each}", f"u{each}") for each in range(customers)))


async def twenty_profiles_a_second(emit: OnEvent) -> None:
    """For 32 seconds; every tenth has no identifier, every second a batch of 18 is sent."""
    emit(PageListed("0", 1000))
    await asyncio.sleep(LINE_SECONDS / 10)
    for _ in range(32):
        for number in range(20):
            emit(CallAnswered("Segment", 200, 0.1))
            if number % 10 == 0:
                emit(ProfileWithoutIdentifier("use_1"))
            else:
                emit(CallAnswered("Segment", 200, 0.1))
                emit(ProfileRead("use_1"))
        emit(CallAnswered("Voucherify", 202, 0.1))
        emit(sent(18))
        await asyncio.sleep(1)


# --- log lines ------------------------------------------------------------------------------------------------


def test_a_line_every_few_seconds_has_how_far_it_is_and_how_fast() -> None:
    lines = shown(twenty_profiles_a_second)
    assert len(lines) == 32 // LINE_SECONDS
    assert re.match(
        r"\d\d:\d\d:\d\d 600 profiles read \(20/s\), 540 customers sent, 0 of them confirmed, 60 without identifier, ",
        lines[-1],
    )
    rates = "Segment 38.0 of 100 calls per second, Voucherify 60.0 of 2,000 calls per minute"
    assert f"0 rejected; {rates}; 0 retries, 0 x 429" in lines[-1]


def test_a_line_has_the_offset_of_a_resume_for_as_long_as_there_is_one() -> None:
    async def scenario(emit: OnEvent) -> None:
        await asyncio.sleep(LINE_SECONDS + 1)
        for next_cursor in ("100", "[/b]", None):
            emit(PageDone(1, "0", next_cursor, Outcomes(sent=100)))
            await asyncio.sleep(LINE_SECONDS)

    lines = shown(scenario)
    assert [line.partition("offset ")[2] for line in lines[:3]] == ["0", "100", "[/b]"]
    assert "None" not in lines[3]


def test_the_rates_are_those_of_the_last_seconds_not_of_the_whole_run() -> None:
    async def scenario(emit: OnEvent) -> None:
        await twenty_profiles_a_second(emit)
        await asyncio.sleep(20)

    lines = shown(scenario)
    assert "640 profiles read (0/s)" in lines[-1]
    assert "Segment 0.0 of 100 calls per second, Voucherify 0.0 of 2,000" in lines[-1]


# --- the results of the customers -------------------------------------------------------------------------------


async def all_sent_and_then_confirmed(emit: OnEvent) -> None:
    """After 6 seconds all is sent, after 12 the first results are there, after 18 the last."""
    emit(PageListed("0", 200))
    for _ in range(200):
        emit(ProfileRead("use_1"))
    emit(sent(100))
    emit(sent(100))
    await asyncio.sleep(6)
    emit(ReadingEnded(2))
    await asyncio.sleep(6)
    emit(ProfileRejected(Rejection("use_1", "u1", "confirm", "invalid_customer"), 1))
    emit(ActionEnded("aa_1", 100, 99, 1))
    await asyncio.sleep(6)
    emit(ActionEnded("aa_2", 100, 100))
    await asyncio.sleep(6)


def test_a_line_has_how_many_of_the_customers_sent_are_confirmed() -> None:
    lines = [line for line in shown(all_sent_and_then_confirmed) if "profiles read" in line]
    numbers = [
        re.search(r"(\d+) customers sent, (\d+) of them confirmed, 0 without identifier, (\d+) rej", line)
        for line in lines
    ]
    assert [match.groups() for match in numbers if match] == [
        *[("200", "0", "0")] * 2,
        *[("199", "99", "1")],
        *[("199", "199", "1")],
    ]


def test_it_is_logged_once_that_all_is_sent_and_what_is_waited_for() -> None:
    [line] = [line for line in shown(all_sent_and_then_confirmed) if "All customers are sent" in line]
    assert line.endswith("All customers are sent. Waiting for the results of 2 bulk upserts")


def test_nothing_is_logged_of_results_where_none_is_waited_for() -> None:
    async def scenario(emit: OnEvent) -> None:
        emit(ReadingEnded(0))
        await asyncio.sleep(1)

    assert shown(scenario) == []


def test_a_resumed_import_shows_all_of_it_and_the_pace_of_this_process() -> None:
    async def scenario(emit: OnEvent) -> None:
        emit(PageListed("900", 100))
        for _ in range(12):
            emit(ProfileRead("use_1"))
            emit(sent(1))
            await asyncio.sleep(1)

    before = Outcomes(confirmed=500, sent=300, without_identifier=100)
    lines = shown(scenario, before=before)
    assert re.search(r"910 profiles read \(1/s\), 810 customers sent, 500 of them confirmed, 100 without", lines[-1])


async def an_upsert_that_failed_is_replayed(emit: OnEvent) -> None:
    emit(PageListed("0", 100))
    emit(sent(100))
    await asyncio.sleep(LINE_SECONDS)
    emit(ActionEnded("aa_1", 100, 0))
    await asyncio.sleep(LINE_SECONDS)
    await a_page_is_replayed(emit, is_retry=False)


async def a_page_is_replayed(emit: OnEvent, *, is_retry: bool = True) -> None:
    await asyncio.sleep(1)
    emit(PageReplayed(100, is_retry=is_retry))
    await asyncio.sleep(2 * LINE_SECONDS)
    emit(sent(100))
    await asyncio.sleep(LINE_SECONDS)


@pytest.mark.parametrize(
    ("scenario", "before"),
    [
        (an_upsert_that_failed_is_replayed, NOTHING_BEFORE),
        (a_page_is_replayed, Outcomes(confirmed=800, rejected=200)),
    ],
)
def test_no_pace_is_negative_where_profiles_are_replayed(scenario: Scenario, before: Outcomes) -> None:
    lines = shown(scenario, before=before)
    paces = [match[1] for line in lines if (match := re.search(r"profiles read \((.*?)/s\)", line))]
    assert len(paces) >= 3
    assert [pace for pace in paces if pace.startswith("-")] == []


# --- retries, rejections, warnings ----------------------------------------------------------------------------


async def an_outage_of_a_minute(emit: OnEvent) -> None:
    """Sixteen workers retry every second."""
    for second in range(60):
        for attempt in range(16):
            emit(CallAnswered("Segment", 429, 0.1))
            emit(CallRetried("Segment", "Segment answered 429", attempt, 1.0, float(second)))
        await asyncio.sleep(1)


def test_an_outage_is_logged_now_and_then_and_not_recited() -> None:
    lines = [line for line in shown(an_outage_of_a_minute) if "attempt" in line]
    assert len(lines) == 60 // LINE_SECONDS
    assert lines[0].endswith("Segment answered 429; attempt 1 follows in 1.0 s, 0 s so far")
    assert lines[-1].endswith("55 s so far")


def test_the_trouble_of_one_service_does_not_hide_that_of_the_other() -> None:
    async def scenario(emit: OnEvent) -> None:
        for service in ("Segment", "Voucherify") * 2:
            emit(CallRetried(service, f"{service} answered 503", 1, 2.0, 0.5))
            emit(Throttled(service, 60.0))

    lines = [line.split(" ", 1)[1] for line in shown(scenario)]
    assert [line[: line.index("answered" if "answered" in line else "asks") - 1] for line in lines] == [
        *("Segment", "Segment", "Voucherify", "Voucherify")
    ]


@pytest.mark.parametrize(("later", "lines"), [(120.0, 2), (2.5, 1)])
def test_a_longer_pause_behind_a_short_one_is_logged_and_one_that_ends_as_the_first_is_not(
    later: float, lines: int
) -> None:
    async def scenario(emit: OnEvent) -> None:
        emit(Throttled("Voucherify", 2.0))
        await asyncio.sleep(1)
        for _ in range(16):
            emit(Throttled("Voucherify", later))

    assert sum("asks to wait until" in line for line in shown(scenario)) == lines


def test_retries_and_429s_are_counted_in_the_log_lines() -> None:
    assert "960 retries, 960 x 429" in [line for line in shown(an_outage_of_a_minute) if "profiles read" in line][-1]


async def many_rejections_and_warnings(emit: OnEvent) -> None:
    for number in range(50):
        emit(ProfileRejected(Rejection(f"use_{number}", None, "upsert", "Voucherify answered 400"), 1))
        emit(TraitLeftOut(f"use_{number}", "birthdate", "is not an ISO 8601 date"))
        emit(TraitLeftOut(f"use_{number}", "name", "is a list, not text"))


def test_the_first_rejections_are_logged_and_then_once_the_file_that_has_them_all() -> None:
    lines = shown(many_rejections_and_warnings)
    rejected = [line for line in lines if "Rejected: " in line]
    assert len(rejected) == REJECTIONS_SHOWN
    assert "Rejected: use_0 (upsert): Voucherify answered 400" in rejected[0]
    assert sum(REJECTED in line for line in lines) == 1


def test_one_warning_per_trait_has_its_consequence_and_once_where_the_others_are() -> None:
    lines = shown(many_rejections_and_warnings)
    birthdate, name = (line for line in lines if "Warning: " in line)
    assert re.search("use_0.* birthdate is not an ISO 8601 date.* sent as null", birthdate)
    assert re.search("use_0.* name is a list, not text.* left out", name)
    assert sum(WARNINGS in line for line in lines) == 1


async def metadata_of_hundreds_of_keys(emit: OnEvent) -> None:
    for key in range(200):
        emit(TraitLeftOut("use_1", f"metadata.key_{key}", UNDEFINED))
    emit(TraitLeftOut("use_1", "birthdate", "is not an ISO 8601 date"))


def test_hundreds_of_keys_leave_a_terminal_readable_and_each_is_in_the_log() -> None:
    lines = shown(metadata_of_hundreds_of_keys)
    assert sum("metadata." in line for line in lines) == WARNINGS_SHOWN
    assert lines[-2].endswith(f"More of these are in {WARNINGS}")
    assert "birthdate" in lines[-1], "another problem"
    assert len(lines) == WARNINGS_SHOWN + 2
    traits = [line["trait"] for line in records(metadata_of_hundreds_of_keys) if line["event"] == "trait_left_out"]
    assert traits == [*(f"metadata.key_{key}" for key in range(200)), "birthdate"]


def test_a_list_that_is_elsewhere_is_named_with_its_folder() -> None:
    lines = shown(metadata_of_hundreds_of_keys, lists=Path("eu"))
    assert lines[-2].endswith(f"More of these are in eu/{WARNINGS}")
    assert sum("Warning: " in line for line in shown(metadata_of_hundreds_of_keys, verbose=True)) == 201


def test_what_the_schema_requires_and_nobody_has_is_not_left_out() -> None:
    async def scenario(emit: OnEvent) -> None:
        emit(TraitLeftOut("use_1", "metadata.e", MISSING))

    [line] = shown(scenario)
    assert line.endswith("(reported once): sent without it, so Voucherify may refuse the customer")


def test_a_dry_run_never_says_that_it_sent_customers() -> None:
    async def scenario(emit: OnEvent) -> None:
        emit(PageListed("0", 15))
        emit(sent(15))
        await asyncio.sleep(LINE_SECONDS + 1)

    lines = shown(scenario, verbose=True, is_dry_run=True)
    assert any("Would send 15 customers" in line for line in lines)
    assert [line for line in lines if re.search("Sent|customers sent", line)] == []


def test_a_verbose_run_logs_every_one() -> None:
    assert sum("Rejected" in line for line in shown(many_rejections_and_warnings, verbose=True)) == 50
    assert sum("Warning" in line for line in shown(many_rejections_and_warnings, verbose=True)) == 100
    assert sum("attempt" in line for line in shown(an_outage_of_a_minute, verbose=True)) == 16 * 60


def test_what_a_service_says_is_shown_as_it_is_and_not_as_markup() -> None:
    async def scenario(emit: OnEvent) -> None:
        emit(ProfileRejected(Rejection("use_[/red]", None, "read", "[bold]no[/nothing]"), 1))

    assert shown(scenario)[0].endswith("use_[/red] (read): [bold]no[/nothing]")


def test_a_pause_of_bulk_upserts_is_logged_beside_one_of_the_others() -> None:
    async def scenario(emit: OnEvent) -> None:
        emit(Throttled("Voucherify", 60.0, "GET"))
        emit(Throttled("Voucherify", 60.0, "POST"))

    lines = [line.split(" ", 1)[1] for line in shown(scenario)]
    assert [line[: line.index(" until")] for line in lines] == [
        "Voucherify asks to wait",
        "Voucherify asks bulk upserts to wait",
    ]


def test_that_another_client_may_use_the_space_is_logged_once_and_when_the_full_rate_is_back() -> None:
    async def scenario(emit: OnEvent) -> None:
        for rate in (60.0, 61.0, 62.0, 100.0):
            emit(PaceChanged("Segment", rate, 100.0))

    assert [line.split(" ", 1)[1] for line in shown(scenario)] == [
        "Segment: slowed down to 60.0 of 100 calls per second: 429 below the configured rate; "
        "another client may be using this space",
        "Segment: back at full rate",
    ]
    assert len(shown(scenario, verbose=True)) == 4


# --- how far it is ----------------------------------------------------------------------------------------------


def test_with_a_total_the_line_has_the_share_and_the_eta() -> None:
    lines = shown(twenty_profiles_a_second, total=1000)
    assert re.search(r"; 50% of 1,000 done, ETA 0:00:2\d; offset 0$", lines[4])


def test_more_profiles_than_expected_are_named() -> None:
    line = shown(twenty_profiles_a_second, total=500)[-1]
    assert "x 429; more profiles than --profiles 500; offset 0" in line


def test_where_only_results_are_left_the_line_says_how_many_of_the_customers_are_confirmed() -> None:
    async def scenario(emit: OnEvent) -> None:
        await all_sent_and_then_confirmed(emit)
        await asyncio.sleep(LINE_SECONDS)

    lines = [line for line in shown(scenario, total=200) if "profiles read" in line]
    assert ["; 0% of 200 confirmed" in lines[0], "; 49% of 199 confirmed" in lines[2]] == [True, True]


def test_the_line_says_what_goes_on_where_that_is_not_plain_reading() -> None:
    async def scenario(emit: OnEvent) -> None:
        await asyncio.sleep(LINE_SECONDS + 1)
        emit(CallRetried("Segment", "Segment answered 503", 1, 2.0, 4.0, 503))
        await asyncio.sleep(LINE_SECONDS)

    plain, outage = (line for line in shown(scenario) if "profiles read" in line)
    assert plain.endswith("; offset 0")
    assert outage.endswith("; Segment answers 503, retrying, 8 s so far")


@pytest.fixture
def far_west(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A clock that is ten hours behind UTC, all year."""
    with monkeypatch.context() as changed:
        changed.setenv("TZ", "Pacific/Honolulu")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="this system's clock cannot be moved")
@pytest.mark.usefixtures("far_west")
def test_moments_are_those_of_the_reader_at_a_terminal_and_utc_in_what_is_stamped_with_utc(tmp_path: Path) -> None:
    async def scenario(emit: OnEvent) -> None:
        emit(Throttled("Voucherify", 3000.0))
        await asyncio.sleep(LINE_SECONDS + 1)

    def clock(moment: datetime) -> str:
        return f"{moment:%H:%M}"

    before = datetime.now(UTC)
    file = LogFile(tmp_path / "run.log", "text", on_failure=print)
    logged(scenario, file)
    terminal, json = shown(scenario), records(scenario)
    utc = {clock(at + timedelta(seconds=3000)) for at in (before, datetime.now(UTC))}
    local = {clock(at + timedelta(seconds=3000) - timedelta(hours=10)) for at in (before, datetime.now(UTC))}

    in_file = [line for line in (tmp_path / "run.log").read_text(encoding="utf-8").splitlines() if " until " in line]
    in_json = [line["message"] for line in json if " until " in line["message"]]
    in_json += [line["activity"] for line in json if "activity" in line]
    for lines, ending, moments in ((in_file, r" UTC$", utc), (in_json, r" UTC$", utc), (terminal, "$", local)):
        times = [match[1] for line in lines if (match := re.search(rf" until (\d\d:\d\d):\d\d{ending}", line))]
        assert len(times) == len(lines) >= 2
        assert {*times} <= moments


# --- JSON -------------------------------------------------------------------------------------------------------


async def everything(emit: OnEvent) -> None:
    emit(PageListed("0", 100))
    emit(CallAnswered("Segment", 503, 0.1))
    emit(CallRetried("Segment", "Segment answered 503", 1, 2.0, 40.0, 503, "req-1"))
    emit(Throttled("Voucherify", 60.0))
    emit(PaceChanged("Segment", 50.0, 100.0))
    emit(CallsLeft("Voucherify", "POST", 57, 100))
    emit(ConcurrencyChanged(32))
    emit(TraitLeftOut("use_1", "birthdate", "is not an ISO 8601 date"))
    emit(ProfileRejected(Rejection("use_2", "secret@example.com", "read", "Segment answered 400", "req-2"), 1))
    emit(sent(98))
    emit(PageDone(1, "0", "100", Outcomes(sent=98, rejected=1)))
    emit(ActionEnded("aa_1", 98, 98, request_id="req-3"))
    emit(PageReplayed(5, is_retry=False))
    emit(ReadingEnded(2))
    await asyncio.sleep(LINE_SECONDS + 1)


def test_every_line_of_json_says_when_what_how_bad_and_of_which_run() -> None:
    lines = records(everything, verbose=True)
    assert {line["run"] for line in lines} == {lines[0]["run"]}
    assert re.fullmatch(r"3-[0-9a-f]{8}", lines[0]["run"]), "the number in the ledger and a mark of the process"
    for line in lines:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
        assert line["level"] in ("debug", "info", "warning", "error")
        assert line["message"]
    assert [line["event"] for line in lines] == [
        *("run_started", "page_listed", "call_retried", "throttled", "pace_changed", "concurrency_changed"),
        *("trait_left_out", "profile_rejected", "batch_sent", "page_done", "action_ended", "page_replayed"),
        *("reading_ended", "progress", "stopping", "summary"),
    ]


OUTCOMES = {
    "confirmed": 98,
    "sent": 0,
    "without_identifier": 0,
    "rejected": 1,
    "pending": 1,
    "duplicate": 0,
    "unknown": 0,
}


def test_lines_of_json_have_fields_for_what_the_words_say() -> None:
    lines = {line["event"]: line for line in records(everything, verbose=True, total=1000)}
    retried, rejected, progress = lines["call_retried"], lines["profile_rejected"], lines["progress"]
    assert (retried["service"], retried["status"], retried["request_id"]) == ("Segment", 503, "req-1")
    assert (rejected["stage"], rejected["segment_id"], rejected["request_id"]) == ("read", "use_2", "req-2")
    assert progress["outcomes"] == OUTCOMES
    assert lines["action_ended"]["request_id"] == "req-3"
    assert progress["activity"].startswith("waiting for Voucherify until ")
    assert (progress["offset"], progress["total"], progress["calls_left"]) == ("100", 1000, {"Voucherify POST": 57})
    assert [lines[name]["stage"] for name in ("page_listed", "batch_sent", "action_ended")] == [
        *("list", "upsert", "confirm")
    ]


def test_the_first_record_says_what_is_imported_from_where_and_how_fast_it_may_be() -> None:
    [first, *_] = records(everything)
    assert {name: first.get(name) for name in ("kind", "space", "host", "ledger", "offset", "limit")} == {
        "kind": "new",
        "space": "spa_1",
        "host": "https://api.voucherify.io",
        "ledger": "segsync.db",
        "offset": "0",
        "limit": None,
    }
    assert first["calls_allowed_per_second"] == {"Segment": 100, "Voucherify": 33.33}


def test_the_last_record_is_a_summary_with_the_numbers() -> None:
    [*_, last] = records(everything)
    assert (last["event"], last["level"], last["state"], last["error"]) == (
        "summary",
        "error",
        "stopped",
        "the sky fell",
    )
    assert last["outcomes"] == OUTCOMES
    assert (last["offset"], last["seconds"], last["warnings"]) == ("100", 1.0, 1)
    assert (last["calls"]["Segment"], last["retries"], last["rate_limited"]) == (1, 1, 0)


def test_rates_are_by_service_and_per_second() -> None:
    [*_, last] = [line for line in records(twenty_profiles_a_second) if line["event"] == "progress"]
    assert (last["profiles_per_second"], last["calls_per_second"]) == (20.0, {"Segment": 38.0, "Voucherify": 1.0})
    assert last["calls"] == {"Segment": 1140, "Voucherify": 30}


def test_what_only_a_verbose_log_has_is_at_level_debug() -> None:
    def repeated(lines: list[dict[str, Any]]) -> set[str]:
        return {line["level"] for line in lines if line["event"] == "call_retried"}

    assert repeated(records(an_outage_of_a_minute)) == {"warning"}
    assert repeated(records(an_outage_of_a_minute, verbose=True)) == {"warning", "debug"}


def test_the_end_of_a_run_says_which_call_ended_it() -> None:
    error = AccessError("Segment answered 401", service="Segment", status=401, request_id="req-9", code="refused")
    [*_, last] = records(everything, error=error)
    assert last["code"] == "refused"
    assert last["message"].endswith("Segment answered 401 [request id req-9] [refused]")
    assert (last["service"], last["status"], last["request_id"]) == ("Segment", 401, "req-9")
    [*_, other] = records(everything)
    assert not {"service", "status", "request_id", "code"} & {*other}, "no call ended it"


def test_pages_and_upserts_are_lines_of_a_verbose_log_alone() -> None:
    events = [line["event"] for line in records(everything)]
    assert not {"page_listed", "batch_sent", "page_done", "action_ended", "concurrency_changed"} & {*events}


def test_no_source_id_is_in_any_line() -> None:
    assert "secret@example.com" not in str(records(everything, verbose=True))


def test_no_cursor_breaks_a_line() -> None:
    async def scenario(emit: OnEvent) -> None:
        emit(PageDone(1, "0", 'a"b\n\ud800\x1b[31m', Outcomes(sent=1)))
        await asyncio.sleep(LINE_SECONDS + 1)

    assert [line["event"] for line in records(scenario)] == ["run_started", "progress", "stopping", "summary"]
