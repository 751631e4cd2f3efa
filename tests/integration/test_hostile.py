"""Whole runs against services that answer as none should: a clear outcome each, and nobody is lost."""

from __future__ import annotations

import asyncio
import csv
import json
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from sqlite3 import Connection
from typing import Any, TypeAlias

import pexpect
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segsync import entries, run_import
from segsync.entries import OpenBatch
from segsync.files import REJECTED, WARNINGS, WITHOUT_IDENTIFIER
from segsync.mapping import MAPPED_TRAITS
from segsync.models import BatchSent, CallAnswered, Fates, ProfileRejected, ProfileWithoutIdentifier
from segsync.report import ImportReport
from segsync.status import read_status, say_status
from tests.hostile import (
    CREDENTIALS,
    Endless,
    Hostile,
    Someone,
    cut_short,
    gzip_bomb,
    hostile_server,
    no_http,
    packed,
    people,
    redirect,
)
from tests.integration.conftest import SEGSYNC, Run, Segsync
from tests.scripted import Answer, Events, Script, answer, hang_up, raw, scripted_server

PERSONAL = "ada.lovelace@example.com"
MOST_CHARACTERS = 400
"""Of one clear sentence."""

LISTING, IDS, TRAITS = r"profiles\?limit", "segment_id:use_1/external_ids", "segment_id:use_1/traits"
UPSERT, OUTCOME, REPORT = "^POST", r"^GET /v1/async-actions/", r"^GET /reports/"


@pytest.fixture(autouse=True, scope="module")
def _looks_at_outcomes_without_delay() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("segsync.confirmation.LOOK_SECONDS", 0.02)
        yield


@dataclass(frozen=True)
class Imported:
    """A run that has ended, and what it left."""

    hostile: Hostile
    directory: Path
    report: ImportReport
    events: Events

    @property
    def error(self) -> str:
        return str(self.report.error or "")

    @property
    def upserts(self) -> int:
        return sum(call.startswith("POST") for call in self.hostile.calls)

    def rows(self, name: str) -> list[list[str]]:
        """The rows of a CSV file, as a spreadsheet reads it."""
        path = self.directory / name
        if not path.exists():
            return []
        limit = csv.field_size_limit(sys.maxsize)  # of the whole process: the program has to do without
        try:
            with path.open(encoding="utf-8", newline="") as file:
                return list(csv.reader(file, strict=True))
        finally:
            csv.field_size_limit(limit)

    def lines(self, name: str) -> list[str]:
        path = self.directory / name
        return path.read_bytes().decode().split("\n")[:-1] if path.exists() else []

    def reasons(self) -> dict[str, str]:
        return {each.rejection.segment_id: each.rejection.reason for each in self.events.of(ProfileRejected)}


async def imported(hostile: Hostile, directory: Path, *, resume: bool = False, retry: bool = False) -> Imported:
    """Run an import, in a task of its own."""
    events = Events()
    settings = hostile.settings(confirm_seconds=0.5, retry_seconds=0.05)
    running = run_import(
        settings,
        directory=directory,
        ledger=directory / "segsync.db",
        resume=resume,
        retry_rejected=retry,
        on_event=events.append,
    )
    return Imported(hostile, directory, await asyncio.create_task(running), events)


def assert_nobody_is_lost(run: Imported) -> None:
    """The run is done, each profile has one fate, and the report, the files and the ledger say the same of it."""
    assert run.report.outcome == "done", run.error
    sent = {each.segment_id for event in run.events.of(BatchSent) for each in event.profiles}
    without = [event.segment_id for event in run.events.of(ProfileWithoutIdentifier)]
    rejections = [event.rejection for event in run.events.of(ProfileRejected)]
    rejected = [rejection.segment_id for rejection in rejections]
    confirmed = sent - set(rejected)
    assert sorted([*confirmed, *without, *rejected]) == sorted(run.hostile.profiles)
    expected = Fates(confirmed=len(confirmed), without_identifier=len(without), rejected=len(rejected))
    assert run.report.fates == expected
    assert read_status(run.directory / "segsync.db").runs[0].fates == expected
    assert {str(run.hostile.profiles[each].source_id) for each in confirmed} <= set(run.hostile.source_ids)

    rows = run.rows(REJECTED)
    assert rows[:1] == ([["segment_id", "source_id", "stage", "reason", "request_id"]] if rejected else [])
    assert len(rows[1:]) == len(run.lines(REJECTED)[1:]) == len(rejected), "a line each"
    assert len(run.lines(WITHOUT_IDENTIFIER)) == len(without)
    for name in (REJECTED, WARNINGS):
        for cell in (cell for row in run.rows(name) for cell in row):
            assert cell.isprintable()
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    for rejection in rejections:
        assert_is_a_sentence(rejection.reason)


def assert_is_a_sentence(text: str) -> None:
    """One that a user can do something with."""
    assert text
    assert text.isprintable()
    assert len(text) <= MOST_CHARACTERS
    assert "This is a defect" not in text
    assert PERSONAL not in text
    assert not [secret for secret in CREDENTIALS if secret in text]


async def assert_it_can_go_on(run: Imported) -> None:
    """The run stopped with a sentence, and when the services behave again, a resume brings everybody."""
    assert run.report.outcome == "stopped"
    assert_is_a_sentence(run.error)
    fates = run.report.fates
    assert min(fates.confirmed, fates.sent, fates.without_identifier, fates.rejected, fates.to_do) >= 0
    run.hostile.behave()
    resumed = await imported(run.hostile, run.directory, resume=True)
    assert resumed.report.outcome == "done", resumed.error
    assert resumed.report.fates == Fates(confirmed=len(run.hostile.profiles))
    wanted = {str(profile.source_id) for profile in run.hostile.profiles.values()}
    assert wanted == set(run.hostile.source_ids)


async def assert_a_clear_outcome(run: Imported) -> None:
    """Either of the two."""
    if run.report.outcome == "done":
        assert_nobody_is_lost(run)
    else:
        await assert_it_can_go_on(run)


# --- answers that are none --------------------------------------------------------------------------------

DEEP = b"[" * 100_000 + b"]" * 100_000
NOT_DOCUMENTED = "not what its API documents"
BODIES: dict[str, tuple[Callable[[], Answer], str]] = {
    "a JSON bomb": (lambda: raw(b'{"traits":{"name":' + DEEP + b"}}"), NOT_DOCUMENTED),
    "a JSON bomb beside what is read": (
        lambda: raw(b'{"data":[],"traits":{},"status":"DONE","async_action_id":"aa_0","x":' + DEEP + b"}"),
        NOT_DOCUMENTED,
    ),
    "too much": (lambda: Endless(64), "more than 16,777,216 bytes"),
    "a gzip bomb": (lambda: packed(gzip_bomb(100)), "more than 16,777,216 bytes"),
    "gzip that is none": (lambda: packed(PERSONAL.encode()), "the answer was cut off"),
    "an unknown encoding": (lambda: packed(PERSONAL.encode(), "x-none"), NOT_DOCUMENTED),
    "HTML": (lambda: raw(f"<html>{PERSONAL}".encode(), "text/html"), "text/html instead of JSON"),
    "nothing": (lambda: raw(b""), NOT_DOCUMENTED),
    "no content": (lambda: raw(b"", status=204), NOT_DOCUMENTED),
    "a truncated body": (lambda: cut_short(f'{{"x":"{PERSONAL}"'.encode(), missing=10), "the answer was cut off"),
    "no HTTP": (lambda: no_http(f"220 {PERSONAL} ESMTP\r\n\r\n".encode()), "the connection was cut"),
    "a hang-up": (lambda: hang_up, "the connection was cut"),
    "NaN": (lambda: raw(b'{"traits":{"name":NaN},"data":NaN,"status":NaN,"async_action_id":NaN}'), NOT_DOCUMENTED),
    "Infinity": (lambda: raw(b'{"traits":{"name":-Infinity},"cursor":Infinity}'), NOT_DOCUMENTED),
    "a number beyond all": (lambda: raw(b'{"traits":{"name":1e999},"x":-1e999}'), NOT_DOCUMENTED),
    "a lone surrogate": (
        lambda: raw(b'{"traits":{"name":"\\ud800"},"data":["\\udc00 "],"status":"\\ud800"}'),
        NOT_DOCUMENTED,
    ),
    "no UTF-8": (lambda: raw(f'{{"traits":{{"name":"{PERSONAL} \xe9"}},"x":1}}'.encode("latin-1")), NOT_DOCUMENTED),
    "no object": (lambda: raw(b'[["traits"]]'), NOT_DOCUMENTED),
}


@pytest.mark.parametrize("call", [IDS, TRAITS])
@pytest.mark.parametrize("body", BODIES)
async def test_a_profile_answered_so_is_rejected_alone(tmp_path: Path, body: str, call: str) -> None:
    make, said = BODIES[body]
    async with hostile_server(people(4)) as hostile:
        hostile.instead(call, make())
        run = await imported(hostile, tmp_path)
    assert_nobody_is_lost(run)
    assert [row[0:3] for row in run.rows(REJECTED)[1:]] == [["use_1", "", "read"]]
    assert said in run.reasons()["use_1"]


@pytest.mark.parametrize("call", [LISTING, UPSERT, OUTCOME])
@pytest.mark.parametrize("body", BODIES)
async def test_a_call_for_many_answered_so_stops_the_run_and_a_resume_goes_on(
    tmp_path: Path, body: str, call: str
) -> None:
    make, said = BODIES[body]
    async with hostile_server(people(4)) as hostile:
        hostile.instead(call, make(), takes_effect=call == UPSERT)
        run = await imported(hostile, tmp_path)
        assert said in run.error
        await assert_it_can_go_on(run)


async def test_of_an_answer_that_is_too_large_no_more_is_read_than_the_limit(tmp_path: Path) -> None:
    endless = Endless(200)
    async with hostile_server(people(2)) as hostile:
        hostile.instead(TRAITS, endless)
        assert_nobody_is_lost(await imported(hostile, tmp_path))
    assert endless.sent < 50, "megabytes: those read, and those that lay in buffers"


async def test_a_gzip_bomb_does_not_fill_the_memory(tmp_path: Path) -> None:
    bomb = gzip_bomb(300)
    async with hostile_server(people(2)) as hostile:
        hostile.instead(TRAITS, packed(bomb))
        tracemalloc.start()
        try:
            assert_nobody_is_lost(await imported(hostile, tmp_path))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 100 * 1024 * 1024


@pytest.mark.parametrize("after", ["1e308", "99999999999", "nan", "-1", "soon", "Fri, 31 Dec 9999 23:59:59 -2359"])
@pytest.mark.parametrize("status", [429, 503])
async def test_a_wait_that_makes_no_sense_is_not_waited_for(tmp_path: Path, status: int, after: str) -> None:
    async with hostile_server(people(3)) as hostile:
        hostile.instead(TRAITS, answer({}, status, Retry_After=after))
        run = await imported(hostile, tmp_path)
    assert_nobody_is_lost(run)
    assert list(run.reasons()) == ["use_1"]


# --- redirects --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("call", [LISTING, IDS, TRAITS, UPSERT, OUTCOME, REPORT])
async def test_no_redirect_is_followed(tmp_path: Path, call: str, status: int) -> None:
    elsewhere = Script(answer({"data": [], "traits": {}, "async_action_id": "aa_0", "status": "DONE"}))
    async with scripted_server(elsewhere) as url, hostile_server(people(3)) as hostile:
        hostile.instead(call, redirect(status, f"{url.replace('127.0.0.1', 'localhost')}/?{PERSONAL}"))
        if call == REPORT:
            hostile.instead(OUTCOME, _refusing_one(f"{hostile.url}/reports/1.csv"))
        run = await imported(hostile, tmp_path)
        assert any(str(status) in text for text in (run.error, *run.reasons().values()))
        await assert_a_clear_outcome(run)
    assert elsewhere.calls == []


# --- report files -----------------------------------------------------------------------------------------

REPORT_CSV = f"source_id,status,message\nuser-0,SUCCESS,\nuser-1,FAILED,Ada Lovelace <{PERSONAL}> is poison\n".encode()


def _refusing_one(*reports: str) -> Answer:
    """The outcome of a bulk upsert of 3, one of which was refused: only the reports say which."""
    result = {"done_count": 2, "failed_count": 1, "reports": reports, "errors": []}
    return answer({"id": "aa_0", "status": "DONE", "operation_status": "FAILED", "result": result})


def assert_nobody_was_named(run: Imported) -> None:
    """All were sent a second time, and then rejected, since nobody knows which of them were refused."""
    assert_nobody_is_lost(run)
    assert run.upserts == 2
    assert [row[2] for row in run.rows(REJECTED)[1:]] == ["confirm"] * 3
    assert all("does not say which" in reason for reason in run.reasons().values())


async def test_a_report_on_another_host_is_read_without_credentials(tmp_path: Path) -> None:
    files = Script(raw(REPORT_CSV, "text/csv"))
    async with scripted_server(files) as url, hostile_server(people(3)) as hostile:
        hostile.instead(OUTCOME, _refusing_one(f"{url.replace('127.0.0.1', 'localhost')}/report.csv?signature=x"))
        run = await imported(hostile, tmp_path)
    assert_nobody_is_lost(run)
    assert list(run.reasons()) == ["use_1"]
    assert run.upserts == 1
    assert files.calls == ["GET /report.csv?signature=x"]
    assert not [secret for secret in CREDENTIALS if secret in repr(files.headers)]


@pytest.mark.parametrize(
    "respond",
    {
        "too large": Endless(64),
        "a gzip bomb": packed(gzip_bomb(100)),
        "binary": raw(bytes(range(256)) * 1000),
        "no header": raw(b"user-1\nuser-2\n", "text/csv"),
        "empty": raw(b"", "text/csv"),
        "an endless field": raw(b'source_id,message\n"' + b"x" * 1_000_000, "text/csv"),
        "HTML": raw(b"<html><body>Sign in", "text/html"),
        "strangers": raw(b"source_id,message\nstranger-1,no\n", "text/csv"),
        "cut": cut_short(REPORT_CSV, missing=10),
        "no HTTP": no_http(REPORT_CSV),
        **{f"answered {status}": raw(b"<Error>", "application/xml", status) for status in (400, 401, 403, 404, 500)},
    }.items(),
    ids=lambda case: case[0],
)
async def test_a_report_that_is_none_names_nobody(tmp_path: Path, respond: tuple[str, Answer]) -> None:
    async with scripted_server(Script(respond[1])) as url, hostile_server(people(3)) as hostile:
        hostile.instead(OUTCOME, _refusing_one(f"{url.replace('127.0.0.1', 'localhost')}/report.csv"))
        run = await imported(hostile, tmp_path)
        assert_nobody_was_named(run)


async def test_a_report_on_another_host_that_redirects_is_not_followed(tmp_path: Path) -> None:
    elsewhere = Script(raw(REPORT_CSV, "text/csv"))
    async with scripted_server(elsewhere) as end, hostile_server(people(3)) as hostile:
        between = Script(redirect(302, end))
        async with scripted_server(between) as url:
            hostile.instead(OUTCOME, _refusing_one(f"{url.replace('127.0.0.1', 'localhost')}/report.csv"))
            run = await imported(hostile, tmp_path)
    assert_nobody_was_named(run)
    assert elsewhere.calls == []
    assert not [secret for secret in CREDENTIALS if secret in repr(between.headers)]


@pytest.mark.parametrize(
    "url",
    [
        *("", "/reports/x.csv", "//127.0.0.1/x.csv", "x.csv", "https://", "https:///x.csv", "file:///etc/passwd"),
        *("ftp://127.0.0.1/x.csv", "data:text/csv,source_id", "http://198.51.100.1/x.csv", "http://localhost.example/"),
        *("http://127.0.0.1@198.51.100.1/x.csv", "http://127.1/x.csv", "http://0x7f000001/", "http://127.0.0.1:-1/"),
        *("https://[::1", "https://[::1/x", "https://127.0.0.1:99999/", "https://127.0.0.1:port/", "https://[]/"),
        *(
            "https://é.invalid/",
            "https://．。/",
            "https://xn--/",
            "https://a..b/",
            "https://.../",
            "https://\ud83d\ude00/",
        ),
        f"https://{'a' * 64}.invalid/",
        "https://127.0.0.1:1\r\nX-App-Token: x/",
    ],
)
async def test_a_report_at_no_address_names_nobody_and_is_not_called(tmp_path: Path, url: str) -> None:
    async with hostile_server(people(3)) as hostile:
        hostile.instead(OUTCOME, _refusing_one(url))
        run = await imported(hostile, tmp_path)
    assert_nobody_was_named(run)
    answered = [event for event in run.events.of(CallAnswered) if event.status is not None]
    assert len(answered) == len(hostile.calls)


# --- outcomes and ids of other shapes -----------------------------------------------------------------------

Fields: TypeAlias = dict[str, Any]
FAILED_SOMEHOW: dict[str, Fields] = {
    "an unknown status": {"status": "PARTLY", "operation_status": "UNKNOWN"},
    "no result": {"result": None},
    "an empty result": {"result": {}},
    "null counts": {"result": {"done_count": None, "failed_count": None, "errors": None, "reports": None}},
    "fewer than nothing failed": {"result": {"failed_count": -5}},
    "fewer than nothing done": {"result": {"done_count": -5, "failed_count": 0}},
    "nothing done, nothing failed": {"result": {"done_count": 0, "failed_count": 0}},
    "more than all": {"result": {"done_count": 10**30, "failed_count": 10**30}},
    "a number as text": {"result": {"failed_count": "3"}},
    "a fraction": {"result": {"failed_count": 1.5}},
    "a status of another type": {"status": 1},
    "no status": {"status": None},
    "a result of another type": {"result": []},
    "errors of another type": {"result": {"failed_count": 3, "errors": "all"}},
    "errors of nobody": {"result": {"failed_count": 3, "errors": [None]}},
    "errors without an id": {"result": {"failed_count": 3, "errors": [{"message": PERSONAL}]}},
    "errors of strangers": {"result": {"failed_count": 3, "errors": [{"source_id": "x"}, {"source_id": "y"}]}},
    "an id that is a number": {"result": {"failed_count": 3, "errors": [{"source_id": 1}]}},
    "reports of another type": {"result": {"failed_count": 3, "reports": [1, {}]}},
    "a request id with a face": {"request_id": f"\x1b[31m{PERSONAL}", "result": {"failed_count": 3}},
}


@pytest.mark.parametrize("case", FAILED_SOMEHOW)
async def test_a_failed_action_of_another_shape_confirms_nobody(tmp_path: Path, case: str) -> None:
    failed = {"id": "aa_0", "status": "DONE", "operation_status": "FAILED", **FAILED_SOMEHOW[case]}
    async with hostile_server(people(3)) as hostile:
        hostile.instead(OUTCOME, answer(failed))
        run = await imported(hostile, tmp_path)
        assert run.report.fates.confirmed == 0
        await assert_a_clear_outcome(run)
    assert PERSONAL not in repr(run.rows(REJECTED))


@pytest.mark.parametrize(
    "result",
    [
        {"done_count": 3, "failed_count": 0, "errors": None},
        {"done_count": 3, "failed_count": None, "errors": None, "reports": None},
        {"done_count": 3, "failed_count": 0, "errors": [], "reports": [], "more": {"x": [None]}},
    ],
)
async def test_an_action_that_wrote_all_is_confirmed_whatever_else_it_does_not_say(
    tmp_path: Path, result: Fields
) -> None:
    done = {"id": "aa_0", "status": "DONE", "operation_status": "SUCCESS", "result": result}
    async with hostile_server(people(3)) as hostile:
        hostile.instead(OUTCOME, answer(done))
        run = await imported(hostile, tmp_path)
    assert run.report.fates == Fates(confirmed=3)
    assert_nobody_is_lost(run)


@pytest.mark.parametrize(
    "accepted",
    [
        *({}, [], None, "aa_0", {"async_action_id": None}, {"async_action_id": 7}, {"async_action_id": ""}),
        *({"async_action_id": f"aa_{char * 3}"} for char in "/ ?#%.\x1b\n\x00é"),
        {"async_action_id": "x" * 5_000},
        {"async_action_id": ".."},
        {"async_action_id": "../customers"},
    ],
    ids=lambda accepted: repr(accepted)[:40],
)
async def test_an_upsert_accepted_in_another_shape_is_not_taken_for_written(tmp_path: Path, accepted: object) -> None:
    async with hostile_server(people(3)) as hostile:
        hostile.instead(UPSERT, answer(accepted, 202), takes_effect=True)
        run = await imported(hostile, tmp_path)
        assert run.report.fates.confirmed == 0
        assert all(
            "/" not in call.removeprefix("GET /v1/async-actions/") for call in hostile.calls if OUTCOME[1:] in call
        )
        await assert_a_clear_outcome(run)


# --- profiles -----------------------------------------------------------------------------------------------

SEGMENT_IDS = [
    *("a/b", "../..", "..", ".", "a\nb", "a\r\nb", "a\tb", 'a"b', "a'b", "a,b", "a;b", "a%2fb", "%", "%00", "%zz"),
    *(
        "?x=1",
        "#f",
        "a&b=c",
        "a+b",
        "a b",
        " ",
        "\\",
        "\\n",
        "zoë",
        "李小龍",
        "😀",
        "\u2028",
        "\x85",
        "\ufeffa",
        "a\u202eb",
    ),
    *("\x1b[31mred", "\x1b]0;pwned\x07", "\x00", "a\x00b", "=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1", '"=1+1"'),
    *("segment_id:x", ":", "x" * 2000, "é" * 1000, "[red]a[/red]"),
]
SOURCE_IDS: list[object] = [
    *("\x00", "a\x00b", "x" * 10_240, "é\n" * 5_000, "../..", 'a"b', "=1+1", "@x", "\x1b[31mred", " ", "😀"),
    *(0, -1, 7, 2**70),
]


def _with_segment_ids(**fields: Any) -> list[Someone]:
    return [Someone(each, f"user-{index}", **fields) for index, each in enumerate(SEGMENT_IDS)]


async def test_whatever_a_segment_id_holds_the_right_profile_is_read_and_arrives(tmp_path: Path) -> None:
    """The stand-in answers paths that are escaped exactly as they must be, and no others."""
    async with hostile_server(_with_segment_ids(traits={"birthdate": "no day", "name": "Zoë"})) as hostile:
        run = await imported(hostile, tmp_path)
    assert_nobody_is_lost(run)
    assert sorted(hostile.source_ids) == sorted(f"user-{index}" for index in range(len(SEGMENT_IDS)))
    assert len(run.rows(WARNINGS)) == len(run.lines(WARNINGS)) == 1 + len(SEGMENT_IDS)


async def test_whatever_a_segment_id_holds_it_is_one_row_and_one_line(tmp_path: Path) -> None:
    gone = _with_segment_ids(trouble="gone")
    anonymous = [Someone(f"-{profile.segment_id}") for profile in gone]
    async with hostile_server([*gone, *anonymous]) as hostile:
        run = await imported(hostile, tmp_path)
        assert_nobody_is_lost(run)
        assert run.report.fates == Fates(without_identifier=len(anonymous), rejected=len(gone))
        assert run.rows(REJECTED)[1][0] == "a/b", "what needs no care is as it is"
        hostile.behave()
        again = await imported(hostile, tmp_path, retry=True)
    assert again.report.fates.rejected == 0
    assert again.rows(REJECTED) == []
    assert len(hostile.source_ids) == len(gone)


async def test_a_profile_whose_id_is_empty_is_taken_again_too(tmp_path: Path) -> None:
    async with hostile_server([Someone("", "user-0", trouble="gone"), *people(2)]) as hostile:
        assert_nobody_is_lost(await imported(hostile, tmp_path))
        hostile.behave()
        again = await imported(hostile, tmp_path, retry=True)
    assert again.report.fates.rejected == 0


async def test_two_ids_that_look_alike_in_the_list_are_two_profiles(tmp_path: Path) -> None:
    """One has a line break, the other a backslash and an n. Only the first is mended."""
    pair = [Someone("a\nb", "user-0", trouble="gone"), Someone("a\\nb", "user-1", trouble="gone")]
    async with hostile_server(pair) as hostile:
        assert_nobody_is_lost(await imported(hostile, tmp_path))
        hostile.behave()
        hostile.instead(r"segment_id:a%5Cnb/", answer({}, 404))
        again = await imported(hostile, tmp_path, retry=True)
    assert again.report.fates.rejected == 1
    assert len(again.rows(REJECTED)) == 2, "the header, and who is rejected still"


@pytest.mark.parametrize(
    "content",
    {
        "blank lines": b"\n\n\n",
        "a NUL": b"a\0b,c\n\0\n",
        "every byte": bytes(range(256)) * 100,
        "a quote that is not closed": b'segment_id,source_id,stage,reason,request_id\n"use_x,\n',
        "half a line": b"x" * 200_000,
        "an endless line": b"segment_id\n" + b"x" * 200_000 + b"\n",
    }.items(),
    ids=lambda case: case[0],
)
@pytest.mark.parametrize("retry", [False, True])
async def test_a_list_that_something_else_has_written_keeps_nobody_from_arriving(
    tmp_path: Path, content: tuple[str, bytes], retry: bool
) -> None:
    async with hostile_server([Someone("use_x", "user-x", trouble="gone"), *people(2)]) as hostile:
        await imported(hostile, tmp_path)
        (tmp_path / REJECTED).write_bytes(content[1])
        hostile.behave()
        run = await imported(hostile, tmp_path, retry=retry)
    assert (run.report.outcome, run.error) == ("done", "")
    assert run.report.fates == Fates(confirmed=3)


async def test_whatever_a_source_id_holds_it_arrives_as_it_is(tmp_path: Path) -> None:
    profiles = [Someone(f"use_{index}", each) for index, each in enumerate(SOURCE_IDS)]
    async with hostile_server(profiles) as hostile:
        run = await imported(hostile, tmp_path)
    assert_nobody_is_lost(run)
    assert sorted(hostile.source_ids) == sorted(map(str, SOURCE_IDS))


@pytest.mark.parametrize("trouble", ["refused at once", "refused later"])
async def test_whatever_a_source_id_holds_its_rejection_is_one_row_without_it_in_the_reason(
    tmp_path: Path, trouble: Any
) -> None:
    texts = [each for each in SOURCE_IDS if isinstance(each, str)]
    profiles = [Someone(f"use_{index}", each, {"name": "Zoë"}, trouble) for index, each in enumerate(texts)]
    started = time.process_time()
    async with hostile_server([*profiles, *people(30)[-5:]]) as hostile:
        run = await imported(hostile, tmp_path)
    assert_nobody_is_lost(run)
    assert run.report.fates == Fates(confirmed=5, rejected=len(texts))
    for segment_id, reason in run.reasons().items():
        source_id = str(hostile.profiles[segment_id].source_id)
        assert len(source_id) < 3 or source_id not in reason
    assert time.process_time() - started < 5


async def test_a_source_id_that_is_a_book_is_rejected_without_a_stop_of_the_world(tmp_path: Path) -> None:
    book = Someone("use_x", "x" * 300_000, trouble="refused at once")
    started = time.process_time()
    async with hostile_server([book, *people(2)]) as hostile:
        run = await imported(hostile, tmp_path)
    assert_nobody_is_lost(run)
    assert list(run.reasons()) == ["use_x"]
    assert time.process_time() - started < 3


async def test_a_source_id_that_is_a_book_does_not_keep_a_later_run_from_its_files(tmp_path: Path) -> None:
    """Python reads no CSV field of more than 128 KB, if it is not told to."""
    book = Someone("use_x", "x" * 140_000, trouble="refused at once")
    async with hostile_server([book, *people(2)]) as hostile:
        assert_nobody_is_lost(await imported(hostile, tmp_path))
        hostile.behave()
        again = await imported(hostile, tmp_path, retry=True)
    assert (again.report.outcome, again.error) == ("done", "")
    assert again.report.fates == Fates(confirmed=3)


@pytest.mark.parametrize("source_id", ["", True, False, 1.5, [], ["user-1"], {}, {"id": "user-1"}])
async def test_an_identifier_that_is_none_is_no_identifier(tmp_path: Path, source_id: object) -> None:
    async with hostile_server([Someone("use_x", source_id), *people(2)]) as hostile:
        run = await imported(hostile, tmp_path)
    assert_nobody_is_lost(run)
    assert run.lines(WITHOUT_IDENTIFIER) == ["use_x"]


@pytest.mark.parametrize("source_id", ["\ud800", "user-\udfff", float("nan"), float("inf")])
async def test_an_identifier_that_no_json_can_say_is_rejected(tmp_path: Path, source_id: object) -> None:
    async with hostile_server([Someone("use_x", source_id), *people(2)]) as hostile:
        run = await imported(hostile, tmp_path)
    assert_nobody_is_lost(run)
    assert list(run.reasons()) == ["use_x"]


async def test_a_segment_id_that_no_json_can_say_stops_the_run_before_anybody_is_missed(tmp_path: Path) -> None:
    async with hostile_server([*people(2), Someone("use_\ud800", "user-x")]) as hostile:
        run = await imported(hostile, tmp_path)
    assert (run.report.outcome, run.report.resume_offset) == ("stopped", "0")
    assert "the list of profiles" in run.error or "collections/users/profiles" in run.error
    assert_is_a_sentence(run.error)


async def test_traits_of_a_megabyte_are_sent_as_they_are(tmp_path: Path) -> None:
    large = {"name": "é" * 500_000, "description": "\x00" * 150_000, "metadata": {"x" * 100_000: ["y" * 900_000]}}
    async with hostile_server([Someone("use_x", "user-x", large), *people(20, description="d" * 1_000_000)]) as hostile:
        run = await imported(hostile, tmp_path)
    assert_nobody_is_lost(run)
    assert run.report.fates == Fates(confirmed=21)
    [arrived] = [customer for customer in hostile.customers if customer["source_id"] == "user-x"]
    assert large.items() <= arrived.items()
    assert run.upserts > 2, "no request is larger than Voucherify takes"


@pytest.mark.parametrize("traits", [{"name": "x" * 10_500_000}, {"metadata": {"x": "\x00" * 2_000_000}}])
async def test_a_customer_that_no_request_can_hold_is_rejected_alone(tmp_path: Path, traits: Fields) -> None:
    async with hostile_server([Someone("use_x", "user-x", traits), *people(3)]) as hostile:
        run = await imported(hostile, tmp_path)
    assert_nobody_is_lost(run)
    assert [row[:3] for row in run.rows(REJECTED)[1:]] == [["use_x", "user-x", "map"]]
    assert "more than the 10,485,760" in run.reasons()["use_x"]


# --- the terminal -------------------------------------------------------------------------------------------

ESCAPE = "\x1b]0;pwned\x07\x1b[31m"


def _attack_by_ids(hostile: Hostile) -> None:
    del hostile.profiles["use_0"]
    for index, (start, trouble) in enumerate([("r", "refused later"), ("g", "gone"), ("a", "none"), ("w", "none")]):
        source_id = None if start == "a" else f"{ESCAPE}\nRejected: forged {index}"
        segment_id = f"{start}{ESCAPE}\nRejected: forged\r\t\u202e"
        traits = {"birthdate": "no day"}
        hostile.profiles[segment_id] = Someone(segment_id, source_id, traits, trouble)  # type: ignore[arg-type]


def _attack_by_cursor(hostile: Hostile) -> None:
    cursor = {"next": f"2{ESCAPE}", "has_more": True}
    hostile.instead(r"profiles\?limit=\d+&next=0", answer({"data": [{"segment_id": "use_0"}], "cursor": cursor}))
    hostile.instead(r"profiles\?limit=\d+&next=2", answer({}, 400))


def _attack_by_header(status: int, header: str) -> Callable[[Hostile], None]:
    respond = no_http(f"HTTP/1.1 {status} {ESCAPE}\r\nContent-Length: 1\r\n{header}\r\n\r\n<".encode())

    def attack(hostile: Hostile) -> None:
        hostile.instead("segment_id:use_0/external_ids", respond)
        hostile.instead(UPSERT, respond)

    return attack


def _attack_by_action_id(hostile: Hostile) -> None:
    hostile.instead(UPSERT, answer({"async_action_id": f"aa_0{ESCAPE}"}, 202))


def _attack_by_report(hostile: Hostile) -> None:
    hostile.instead(OUTCOME, _refusing_one(f"https://127.0.0.1:1/{ESCAPE}"))


def _attack_by_error(hostile: Hostile) -> None:
    said = {"code": 400, "key": ESCAPE, "message": f"{ESCAPE} no {PERSONAL}", "request_id": ESCAPE}
    hostile.instead("segment_id:use_0/external_ids", answer({"error": {"code": ESCAPE, "message": ESCAPE}}, 404))
    hostile.instead(UPSERT, answer(said, 403))


ATTACKS: dict[str, Callable[[Hostile], None]] = {
    "ids": _attack_by_ids,
    "cursor": _attack_by_cursor,
    "request id": _attack_by_header(404, f"Request-Id: {ESCAPE}{PERSONAL}"),
    "content type": _attack_by_header(200, f"Content-Type: {PERSONAL}\x1b[31m/x"),
    "action id": _attack_by_action_id,
    "report": _attack_by_report,
    "error": _attack_by_error,
}


async def at_terminal(segsync: Segsync, hostile: Hostile, *arguments: str) -> Run:
    """A process of its own, while this one answers it."""
    variables = hostile.variables
    return await asyncio.to_thread(lambda: segsync(*arguments, sandbox=None, **variables))


@pytest.mark.parametrize("attack", ATTACKS)
async def test_no_answer_writes_on_the_terminal_what_it_wants(segsync: Segsync, attack: str) -> None:
    async with hostile_server(people(3)) as hostile:
        ATTACKS[attack](hostile)
        run = await at_terminal(segsync, hostile, "--verbose")
    assert run.code in (1, 2, 3)
    status, status_json = (StringIO(), StringIO())
    with redirect_stdout(status):
        say_status(segsync.directory / "segsync.db", as_json=False)
    with redirect_stdout(status_json):
        say_status(segsync.directory / "segsync.db", as_json=True)
    for said in (run.stdout, run.stderr, status.getvalue(), status_json.getvalue()):
        assert [line for line in said.split("\n") if not line.isprintable()] == []
        assert PERSONAL not in said
    assert not [line for line in run.stderr.split("\n") if line.startswith("Rejected: forged")]
    assert json.loads(status_json.getvalue())["version"] == 1


async def test_no_answer_writes_on_the_live_display_what_it_wants(segsync: Segsync) -> None:
    async with hostile_server(people(3)) as hostile:
        _attack_by_ids(hostile)
        variables = hostile.variables

        def run() -> str:
            environment = segsync.environment(None, **variables)
            child = pexpect.spawn(
                SEGSYNC[0], [*SEGSYNC[1:]], cwd=segsync.directory, env=environment, encoding="utf-8", timeout=30
            )
            child.expect(pexpect.EOF)
            child.close()
            assert child.exitstatus == 3
            return str(child.before)

        said = await asyncio.to_thread(run)
    assert "Profiles listed" in said
    assert "\x1b]0;" not in said
    assert "\nRejected: forged" not in said


@pytest.mark.parametrize(
    "path", ["\x1b[31m", "a b", "\x00", "\r\nX: y", "é😀", "%zz", "?\x1b", "#\x1b", "/../..", "x" * 9000]
)
async def test_a_report_at_a_path_that_is_none_has_a_clear_outcome(tmp_path: Path, path: str) -> None:
    async with hostile_server(people(3)) as hostile:
        hostile.instead(OUTCOME, _refusing_one(f"{hostile.url}/reports/{path}"))
        assert_nobody_was_named(await imported(hostile, tmp_path))


@pytest.mark.parametrize(
    ("call", "respond", "code"),
    [
        (LISTING, raw(b'{"data":' + DEEP + b"}"), 1),
        (UPSERT, Endless(64), 1),
        (OUTCOME, _refusing_one("https://a..b/"), 3),
    ],
    ids=["listing", "upsert", "report"],
)
async def test_a_user_reads_a_sentence_and_the_shell_gets_a_code(
    segsync: Segsync, call: str, respond: Answer, code: int
) -> None:
    async with hostile_server(people(3)) as hostile:
        hostile.instead(call, respond, takes_effect=call == UPSERT)
        run = await at_terminal(segsync, hostile)
        assert run.code == code, run.stderr
        assert ("Error: " in run.stderr) == (code == 1)
        assert "This is a defect" not in run.stderr
        hostile.behave()
        resumed = await at_terminal(segsync, hostile, "--retry-rejected" if code == 3 else "--resume")
    assert resumed.code == 0, resumed.stderr
    assert resumed.row("Customers confirmed") == 3


# --- one import and the next --------------------------------------------------------------------------------


async def test_an_import_that_was_stopped_leaves_no_mark_on_the_task_that_ran_it(tmp_path: Path) -> None:
    """Or an import after it, or a time-out around it, would take itself for cancelled."""
    task = asyncio.current_task()
    assert task
    async with hostile_server(people(3)) as hostile:
        for call in (LISTING, UPSERT, OUTCOME):
            hostile.instead(call, raw(b"<html>"))
            await run_import(hostile.settings(), directory=tmp_path)
            assert task.cancelling() == 0, call
            hostile.behave()


async def test_what_is_sent_last_is_heard_of_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the question for what is open was asked before the last upsert, and answered after it."""
    ask = entries.open_batches

    def slowly(db: Connection, since: int, most: int) -> list[OpenBatch]:
        answered = ask(db, since, most)
        time.sleep(0.1)
        return answered

    monkeypatch.setattr(entries, "open_batches", slowly)
    async with hostile_server(people(3)) as hostile:
        run = await imported(hostile, tmp_path)
    assert run.report.fates == Fates(confirmed=3)


async def test_who_has_no_patience_with_outcomes_sends_everything_all_the_same(tmp_path: Path) -> None:
    """It is counted from when all is sent, and only while there is something to wait for."""
    async with hostile_server(people(150)) as hostile:
        hostile.instead(OUTCOME, answer({"id": "aa_0", "status": "IN_PROGRESS"}))
        report = await run_import(hostile.settings(confirm_seconds=0), directory=tmp_path)
    assert report.fates == Fates(sent=150), report.error
    assert "none of 2 bulk upserts (150 customers)" in str(report.error)


# --- anything at all ----------------------------------------------------------------------------------------

ANY_SIGN = st.characters(codec=None, exclude_categories=())
TEXTS = st.text(ANY_SIGN, max_size=20)
NASTY = st.sampled_from([*SEGMENT_IDS[:-4], "", "\ud800", "NaN", PERSONAL, "2026-02-30", "1990-12-31T25:00Z"])
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | NASTY,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS | NASTY, inner, max_size=3),
    max_leaves=4,
)
ANY_TRAITS = st.dictionaries(st.sampled_from(MAPPED_TRAITS), ANY_JSON, max_size=4)
SAYABLE_ID = (st.text(min_size=1, max_size=20) | NASTY).filter(lambda text: text and "\ud800" not in text)
ANY_PROFILE = st.builds(
    Someone,
    SAYABLE_ID,
    st.none() | TEXTS | NASTY | st.integers(),
    st.just({"birthdate": "no day"}),
    st.sampled_from(["none", "gone", "refused at once", "refused later"]),
)
ANY_ACTION = st.fixed_dictionaries(
    {"status": st.sampled_from(["DONE", "DONE", "FAILED", "IN_PROGRESS", "PARTLY", "", None, 1])},
    optional={
        "id": ANY_JSON,
        "operation_status": st.sampled_from(["SUCCESS", "FAILED", "UNKNOWN", None, {}]),
        "request_id": st.none() | TEXTS,
        "result": ANY_JSON
        | st.fixed_dictionaries(
            {},
            optional={
                "done_count": st.none() | st.integers() | st.integers(0, 3) | st.text(max_size=2),
                "failed_count": st.none() | st.integers() | st.integers(0, 3) | st.floats(),
                "errors": st.none()
                | st.lists(
                    st.fixed_dictionaries(
                        {"source_id": st.sampled_from(["user-0", "user-1", "user-2", "x", "", None, 1])},
                        optional={"key": ANY_JSON, "message": ANY_JSON, "details": ANY_JSON},
                    ),
                    max_size=4,
                )
                | ANY_JSON,
                "reports": st.none() | st.lists(TEXTS.map(lambda text: f"file://{text}"), max_size=2),
            },
        ),
    },
)
few = settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def in_a_directory(main: Callable[[Path], Coroutine[Any, Any, None]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(main(Path(directory)))


def _can_be_said(value: object) -> bool:
    """Whether JSON has it: no NaN, no infinity, no half of a surrogate pair."""
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except ValueError:
        return False
    return True


@few
@given(st.lists(ANY_TRAITS, min_size=1, max_size=4))
def test_whatever_traits_hold_who_can_be_said_in_json_arrives(all_traits: list[Fields]) -> None:
    profiles = [Someone(f"use_{index}", f"user-{index}", traits) for index, traits in enumerate(all_traits)]

    async def main(directory: Path) -> None:
        async with hostile_server(profiles) as hostile:
            run = await imported(hostile, directory)
        assert_nobody_is_lost(run)
        assert hostile.problems == [], "what is sent is what Voucherify documents"
        sayable = [profile.source_id for profile in profiles if _can_be_said(profile.traits)]
        assert sorted(hostile.source_ids) == sorted(map(str, sayable))

    in_a_directory(main)


@few
@given(st.lists(ANY_PROFILE, min_size=1, max_size=6, unique_by=lambda profile: profile.segment_id))
def test_whatever_ids_hold_and_whatever_befalls_them_each_has_a_fate(profiles: Sequence[Someone]) -> None:
    async def main(directory: Path) -> None:
        async with hostile_server(profiles) as hostile:
            run = await imported(hostile, directory)
            assert_nobody_is_lost(run)
            hostile.behave()
            again = await imported(hostile, directory, retry=True)
        assert again.report.outcome == "done"
        unsayable = [profile for profile in profiles if not _can_be_said(profile.source_id)]
        assert again.report.fates.profiles in (0, len(profiles)), "0 where nobody was rejected"
        assert again.report.fates.rejected == len(again.rows(REJECTED)[1:]) == len(unsayable)

    in_a_directory(main)


@few
@given(ANY_ACTION)
def test_whatever_an_action_says_the_outcome_is_clear(action: Fields) -> None:
    async def main(directory: Path) -> None:
        async with hostile_server(people(3)) as hostile:
            hostile.instead(OUTCOME, raw(json.dumps(action).encode()))
            await assert_a_clear_outcome(await imported(hostile, directory))

    in_a_directory(main)


@few
@given(st.sampled_from([IDS, TRAITS]), st.sampled_from(["data", "traits", "cursor"]), ANY_JSON, ANY_JSON)
def test_whatever_is_said_of_a_profile_it_costs_nobody_else(call: str, name: str, said: object, other: object) -> None:
    body = {"data": [], "traits": {}, "cursor": other, name: said}

    async def main(directory: Path) -> None:
        async with hostile_server(people(3)) as hostile:
            hostile.instead(call, raw(json.dumps(body).encode()))
            run = await imported(hostile, directory)
        assert_nobody_is_lost(run)
        assert {"user-0", "user-2"} <= set(hostile.source_ids)

    in_a_directory(main)


@few
@given(st.sampled_from([LISTING, UPSERT, OUTCOME]), ANY_JSON, st.sampled_from([200, 202, 400, 402, 404, 413, 500]))
def test_whatever_is_answered_to_a_call_for_many_the_outcome_is_clear(call: str, said: object, status: int) -> None:
    async def main(directory: Path) -> None:
        async with hostile_server(people(3)) as hostile:
            hostile.instead(call, raw(json.dumps(said).encode(), status=status))
            await assert_a_clear_outcome(await imported(hostile, directory))

    in_a_directory(main)
