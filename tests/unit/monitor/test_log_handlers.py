"""Where the lines of the log go: a console, a stream, a file; and what happens where they cannot."""

from __future__ import annotations

import logging
import os
import stat
from io import StringIO
from pathlib import Path

import msgspec
import pytest
from rich.console import Console
from rich.text import Text

from segsync.errors import SettingsError
from segsync.monitor.log import LOGGER
from segsync.monitor.log_handlers import ConsoleHandler, JsonHandler, LogFile, console_for, json_message, logging_to
from segsync.runtime import QuietConsole


def record(
    event: str = "profile_rejected", text: str = "Rejected: use_1\x1b[31m", **fields: object
) -> logging.LogRecord:
    return LOGGER.makeRecord(LOGGER.name, logging.INFO, "", 0, text, (), None, extra={"event": event, **fields})


LINE = record(run="1-abc", stage="read", request_id=None, n=0.12345)


def failing(problem: str) -> None:
    raise AssertionError(problem)


def test_a_file_gets_lines_of_json(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    file = LogFile(path, "json", failing)
    file.handle(LINE)
    file.close()
    [line] = path.read_text(encoding="utf-8").splitlines()
    record = msgspec.json.decode(line)
    assert record.pop("time").endswith("Z")
    assert record == {
        "level": "info",
        "event": "profile_rejected",
        "run": "1-abc",
        "message": r"Rejected: use_1\x1b[31m",
        "stage": "read",
        "n": 0.123,
    }


def test_a_file_gets_lines_of_text_with_the_date(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    LogFile(path, "text", failing).handle(LINE)
    day, _, line = path.read_text(encoding="utf-8").partition("T")
    assert len(day) == 10
    assert line.endswith("Z INFO    Rejected: use_1\\x1b[31m\n")


def test_a_file_is_for_its_owner_alone_and_is_added_to_behind_a_line_that_was_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    path.write_text('{"time": "2026', encoding="utf-8")
    path.chmod(0o644)
    LogFile(path, "json", failing).handle(LINE)
    cut_off, whole = path.read_text(encoding="utf-8").splitlines()
    assert cut_off == '{"time": "2026'
    assert msgspec.json.decode(whole)["event"] == "profile_rejected"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_is_not_a_file_is_left_as_it_is() -> None:
    before = stat.S_IMODE(Path(os.devnull).stat().st_mode)
    LogFile(Path(os.devnull), "text", failing).handle(LINE)
    assert stat.S_IMODE(Path(os.devnull).stat().st_mode) == before


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"--log-file .*nowhere/run\.log cannot be written: No such file"):
        LogFile(tmp_path / "nowhere" / "run.log", "text", failing)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
def test_a_full_disk_is_named_once_and_ends_nothing() -> None:
    problems: list[str] = []
    file = LogFile(Path("/dev/full"), "text", problems.append)
    for _ in range(3):
        file.handle(LINE)
    assert problems == ["The log /dev/full cannot be written: No space left on device. The import goes on without it"]


def test_a_stream_that_nobody_reads_any_more_ends_nothing() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        json, console = JsonHandler(stream), QuietConsole(file=stream)
        json.handle(LINE)
        json.handle(LINE)
        console.print("a line")
        console.print("another")
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # to be closed in peace


def test_words_beside_the_events_become_lines_of_json_too() -> None:
    stream = StringIO()
    console = console_for(JsonHandler(stream))
    console.print(Text("Error: it broke " + "x" * 500, style="bold red"), soft_wrap=True)
    console.print(Text("The current offset is: 100."), soft_wrap=True)
    console.print()
    lines = [msgspec.json.decode(line) for line in stream.getvalue().splitlines()]
    assert [(line["level"], line["event"], line["message"][:15]) for line in lines] == [
        ("error", "message", "Error: it broke"),
        ("info", "message", "The current off"),
    ]


def test_words_beside_the_events_belong_to_the_run_that_began_before() -> None:
    stream = StringIO()
    handler = JsonHandler(stream)
    console = console_for(handler)
    console.print("Resuming from offset 100")
    handler.handle(record("run_started", "begins", run="3-9f2c41d0"))
    console.print("Error: it broke")
    lines = [msgspec.json.decode(line) for line in stream.getvalue().splitlines()]
    assert [(line["event"], line.get("run")) for line in lines] == [
        ("message", None),
        ("run_started", "3-9f2c41d0"),
        ("message", "3-9f2c41d0"),
    ]


def test_a_terminal_can_show_other_words_or_none() -> None:
    console = Console(file=StringIO(), width=100)
    handler = ConsoleHandler(console)
    handler.handle(record("x", "until 21:00 UTC"))
    for at_terminal in ("until 16:00", ""):
        handler.handle(record("x", "until 21:00 UTC", at_terminal=at_terminal))
    assert isinstance(console.file, StringIO)
    assert [line.split(" ", 1)[1] for line in console.file.getvalue().splitlines()] == [
        "until 21:00 UTC",
        "until 16:00",
    ]


def test_what_only_a_terminal_shows_is_not_a_field() -> None:
    stream = StringIO()
    JsonHandler(stream).handle(record(at_terminal="until 16:00"))
    assert "at_terminal" not in msgspec.json.decode(stream.getvalue())


def test_an_error_before_there_is_a_log_is_a_line_of_json() -> None:
    line = msgspec.json.decode(json_message("Error:  it broke\n  twice", "ERROR", "it-broke"))
    assert (line["level"], line["event"], line["message"]) == ("error", "message", "Error: it broke twice")
    assert line["code"] == "it-broke"


def test_the_log_goes_to_the_handlers_of_the_command_line_alone_and_afterwards_where_it_went_before(
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = (LOGGER.level, LOGGER.propagate, [*LOGGER.handlers])
    stream = StringIO()
    with caplog.at_level(logging.INFO), logging_to([JsonHandler(stream)], logging.DEBUG):
        LOGGER.debug("once")
    assert len(stream.getvalue().splitlines()) == 1
    assert caplog.records == []
    assert (LOGGER.level, LOGGER.propagate, LOGGER.handlers) == before
