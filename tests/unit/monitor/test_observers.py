"""What the command line attaches to the log, and what a program gets that configures logging by itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from segsync import Settings, run_import
from segsync.connectors.factory import describe
from segsync.errors import SettingsError
from segsync.events import Event
from segsync.models import Cost, Outcomes, Plan
from segsync.monitor.log import LOGGER
from segsync.monitor.observers import channels, observing
from segsync.options import ImportOptions, Invocation, Mode
from segsync.report.counters import Counters
from segsync.sandbox.options import SandboxOptions, connection
from segsync.sandbox.server import serve

SETTINGS = Settings(
    segment_access_token="token",
    segment_space_id="spa_1",
    voucherify_application_id="id-of-the-application",
    voucherify_secret_key="key",
)
SANDBOX = SandboxOptions(
    profiles=100, latency_ms=0.0, segment_requests_per_second=0, voucherify_requests_per_minute=0, action_seconds=0.0
)
EVENTS = ("run_started", "progress", "profile_rejected", "summary")


def options(mode: Mode, **more: Any) -> ImportOptions:
    return ImportOptions(
        SETTINGS,
        Path("segsync.db"),
        None,
        None,
        mode=mode,
        verbose=False,
        may_ask=False,
        command=Invocation(["segsync"]),
        **more,
    )


def log_everything() -> None:
    for event in EVENTS:
        LOGGER.info(f"this is {event}", extra={"event": event, "run": "1-abc"})
    LOGGER.debug("a detail", extra={"event": "page_listed", "run": "1-abc"})


# --- the command line -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "shown"),
    [
        ("lines", ["run_started", "progress", "profile_rejected"]),
        ("live", ["run_started", "profile_rejected"]),
        ("quiet", ["profile_rejected"]),
    ],
)
def test_text_has_progress_where_there_is_no_display_and_leaves_the_rest_to_the_summary(
    mode: Mode, shown: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    with channels(options(mode)):
        log_everything()
    assert [line.split()[-1] for line in capsys.readouterr().err.splitlines()] == shown


@pytest.mark.parametrize(
    ("mode", "shown"), [("lines", [*EVENTS]), ("quiet", [event for event in EVENTS if event != "progress"])]
)
def test_json_has_the_beginning_and_the_summary_too(
    mode: Mode, shown: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with channels(options(mode, stderr_is_json=True)):
        log_everything()
    assert [msgspec.json.decode(line)["event"] for line in capsys.readouterr().err.splitlines()] == shown


def test_a_log_file_has_it_all_whatever_the_terminal_shows(tmp_path: Path) -> None:
    with channels(options("quiet", log_file=tmp_path / "run.log", log_format="json")):
        log_everything()
    lines = (tmp_path / "run.log").read_text(encoding="utf-8").splitlines()
    assert [msgspec.json.decode(line)["event"] for line in lines] == [*EVENTS]


def test_verbose_adds_what_is_at_level_debug(capsys: pytest.CaptureFixture[str]) -> None:
    verbose = ImportOptions(
        SETTINGS,
        Path("segsync.db"),
        None,
        None,
        mode="quiet",
        verbose=True,
        may_ask=False,
        command=Invocation(["segsync"]),
    )
    with channels(verbose):
        log_everything()
    assert "a detail" in capsys.readouterr().err


def test_nothing_is_attached_afterwards_nor_where_a_log_file_cannot_be_opened(tmp_path: Path) -> None:
    before = (LOGGER.level, LOGGER.propagate, [*LOGGER.handlers])
    with channels(options("lines")):
        assert len(LOGGER.handlers) == len(before[2]) + 1
    with (
        pytest.raises(SettingsError, match="--log-file"),
        channels(options("lines", log_file=tmp_path / "nowhere" / "run.log")),
    ):
        pass
    assert (LOGGER.level, LOGGER.propagate, LOGGER.handlers) == before


async def begin(wanted: ImportOptions) -> None:
    """Show the beginning of an import with these options."""
    plan, cost = Plan("new", (1,), 1, "0", Outcomes()), Cost(50, {"Segment": 101, "Voucherify": 2}, 2.0, False)
    with channels(wanted) as streams:
        counters, connectors = Counters("0"), describe(SETTINGS)
        with observing(wanted, plan, counters, connectors, asyncio.Event(), streams, cost):
            await asyncio.sleep(0)


async def test_a_start_is_one_line_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    await begin(options("lines"))
    [line] = capsys.readouterr().err.splitlines()
    assert line.split(maxsplit=1)[1] == (
        "New import. Segment space spa_1, identifier user_id, into Voucherify at api.voucherify.io, application "
        "id-of-th…, ledger segsync.db. 50 profiles: up to 101 Segment calls and 2 Voucherify calls, about 2 s."
    )


async def test_a_quiet_start_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    await begin(options("quiet"))
    assert capsys.readouterr().err == ""


def test_quiet_hides_what_is_no_problem(capsys: pytest.CaptureFixture[str]) -> None:
    with channels(options("quiet")):
        for event in ("reading_ended", "page_replayed", "stopping", "pace_changed"):
            LOGGER.info(event, extra={"event": event, "run": "1-abc"})
    assert [line.split()[-1] for line in capsys.readouterr().err.splitlines()] == ["stopping", "pace_changed"]


async def test_a_start_is_an_event_with_fields_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    await begin(options("lines", stderr_is_json=True, is_sandbox=True))
    [line] = capsys.readouterr().err.splitlines()
    fields = msgspec.json.decode(line)
    assert fields["event"] == "run_started"
    assert {
        "kind": "new",
        "space": "spa_1",
        "identifier": "user_id",
        "application": "id-of-th",
    }.items() <= fields.items()
    assert {"host": "https://api.voucherify.io", "ledger": "segsync.db", "offset": "0"}.items() <= fields.items()
    assert {"is_sandbox": True, "is_dry_run": False}.items() <= fields.items()
    assert fields["expected"] == {
        "profiles": 50,
        "calls": {"Segment": 101, "Voucherify": 2},
        "seconds": 2.0,
        "is_measured": False,
    }
    assert "New import from a sandbox. Segment space spa_1" in fields["message"]
    assert "id-of-the" not in line


# --- a program of one's own -------------------------------------------------------------------------------------


@pytest.fixture
async def settings() -> AsyncIterator[Settings]:
    async with serve(SANDBOX) as (_, url):
        fast = {"SEGMENT_REQUESTS_PER_SECOND": "5000", "VOUCHERIFY_REQUESTS_PER_MINUTE": "100000"}
        yield Settings.load(environ={**connection(url, SANDBOX), **fast})


async def test_a_program_gets_records_with_fields_through_its_own_handlers(
    settings: Settings, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    with caplog.at_level(logging.INFO):
        await run_import(settings, ledger=tmp_path / "segsync.db", limit=50)
    records = [vars(record) for record in caplog.records if record.name == "segsync"]
    first, last = records[0], records[-1]
    assert (first["event"], first["kind"], first["limit"]) == ("run_started", "new", 50)
    assert (first["space"], first["ledger"]) == (settings.segment_space_id, str(tmp_path / "segsync.db"))
    assert (last["event"], last["state"], last["error"]) == ("summary", "done", None)
    assert last["outcomes"]["pending"] == 0
    assert sum(last["outcomes"].values()) == 50
    assert {record["run"] for record in records} == {first["run"]}


async def test_a_program_that_wants_details_sets_the_level_to_debug(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="segsync"):
        await run_import(settings)
    assert {"page_listed", "batch_sent", "page_done"} <= {vars(record).get("event") for record in caplog.records}


async def test_a_program_that_sets_stop_reads_so_in_its_log(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    stop = asyncio.Event()

    def at_once(_event: Event) -> None:
        stop.set()

    with caplog.at_level(logging.INFO):
        await run_import(settings, stop=stop, on_event=at_once)
    assert "Stopping: finishing and sending what is under way" in caplog.messages
