"""Where the lines of the log go: a console, a stream, a file; and what happens where they cannot."""

from __future__ import annotations

import os
import stat
from io import StringIO
from pathlib import Path

import msgspec
import pytest
from rich.console import Console
from rich.text import Text

from segsync.errors import SettingsError
from segsync.monitor.log_handlers import ConsoleWriter, FileWriter, JsonWriter, Line, console_for
from segsync.runtime import QuietConsole

LINE = Line("profile_rejected", "Rejected: use_1\x1b[31m", {"stage": "read", "request_id": None, "n": 0.12345})


def failing(problem: str) -> None:
    raise AssertionError(problem)


def test_a_file_gets_lines_of_json(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    file = FileWriter(path, "json", failing)
    file.write(LINE, "1-abc")
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
    FileWriter(path, "text", failing).write(LINE, "1-abc")
    day, _, line = path.read_text(encoding="utf-8").partition("T")
    assert len(day) == 10
    assert line.endswith("Z INFO    Rejected: use_1\\x1b[31m\n")


def test_a_file_is_for_its_owner_alone_and_is_added_to_behind_a_line_that_was_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    path.write_text('{"time": "2026', encoding="utf-8")
    path.chmod(0o644)
    FileWriter(path, "json", failing).write(LINE, None)
    cut_off, whole = path.read_text(encoding="utf-8").splitlines()
    assert cut_off == '{"time": "2026'
    assert msgspec.json.decode(whole)["event"] == "profile_rejected"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_is_no_file_is_left_as_it_is() -> None:
    before = stat.S_IMODE(Path(os.devnull).stat().st_mode)
    FileWriter(Path(os.devnull), "text", failing).write(LINE, None)
    assert stat.S_IMODE(Path(os.devnull).stat().st_mode) == before


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"--log-file .*nowhere/run\.log cannot be written: No such file"):
        FileWriter(tmp_path / "nowhere" / "run.log", "text", failing)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
def test_a_full_disk_is_told_once_and_ends_nothing() -> None:
    problems: list[str] = []
    file = FileWriter(Path("/dev/full"), "text", problems.append)
    for _ in range(3):
        file.write(LINE, None)
    assert problems == ["The log /dev/full cannot be written: No space left on device. The import goes on without it"]


def test_a_stream_that_nobody_reads_any_more_ends_nothing() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        json, console = JsonWriter(stream, tells_progress=True), QuietConsole(file=stream)
        json.write(LINE, None)
        json.write(LINE, None)
        console.print("a line")
        console.print("another")
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # to be closed in peace


def test_lines_of_progress_are_for_those_who_want_them() -> None:
    progress = Line("progress", "far")
    for tells_progress in (True, False):
        console, stream = Console(file=StringIO()), StringIO()
        ConsoleWriter(console, tells_progress=tells_progress).write(progress, "1")
        JsonWriter(stream, tells_progress=tells_progress).write(progress, "1")
        assert isinstance(console.file, StringIO)
        assert ("far" in console.file.getvalue()) == ("far" in stream.getvalue()) == tells_progress


def test_words_beside_the_events_become_lines_of_json_too() -> None:
    stream = StringIO()
    console = console_for(JsonWriter(stream, tells_progress=True))
    console.print(Text("Error: it broke " + "x" * 500, style="bold red"), soft_wrap=True)
    console.print(Text("The current offset is: 100."), soft_wrap=True)
    console.print()
    lines = [msgspec.json.decode(line) for line in stream.getvalue().splitlines()]
    assert [(line["level"], line["event"], line["message"][:15]) for line in lines] == [
        ("error", "said", "Error: it broke"),
        ("info", "said", "The current off"),
    ]


def test_words_beside_the_events_belong_to_the_run_that_is_told_of() -> None:
    stream = StringIO()
    writer = JsonWriter(stream, tells_progress=True)
    console = console_for(writer)
    console.print("Resuming from offset 100")
    writer.write(Line("run_started", "begins"), "3-9f2c41d0")
    console.print("Error: it broke")
    lines = [msgspec.json.decode(line) for line in stream.getvalue().splitlines()]
    assert [(line["event"], line.get("run")) for line in lines] == [
        ("said", None),
        ("run_started", "3-9f2c41d0"),
        ("said", "3-9f2c41d0"),
    ]


def test_a_terminal_can_be_told_other_words_or_none() -> None:
    console = Console(file=StringIO(), width=100)
    for at_terminal in (None, "until 16:00", ""):
        ConsoleWriter(console, tells_progress=True).write(Line("x", "until 21:00 UTC", at_terminal=at_terminal), "1")
    assert isinstance(console.file, StringIO)
    assert [line.split(" ", 1)[1] for line in console.file.getvalue().splitlines()] == [
        "until 21:00 UTC",
        "until 16:00",
    ]
