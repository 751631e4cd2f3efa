"""Whole runs against services that answer as none should: bodies that are not an answer, and redirects."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from segsync.report.profile_lists import REJECTED, WARNINGS
from tests.integration.hostile.imported import (
    DEEP,
    IDS,
    LISTING,
    NOT_DOCUMENTED,
    PERSONAL,
    REPORT,
    RESULT,
    TRAITS,
    UPSERT,
    assert_a_clear_outcome,
    assert_it_can_go_on,
    assert_nobody_is_lost,
    imported,
    refusing_one,
)
from tests.support.hostile import Endless, cut_short, gzip_bomb, hostile_server, no_http, packed, people, redirect
from tests.support.scripted import Answer, Script, answer, hang_up, raw, scripted_server

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
        lambda: raw(b'{"traits":{"name":"\\ud800"},"data":["\\udc00 "]}'),
        NOT_DOCUMENTED,
    ),
    "no UTF-8": (lambda: raw(f'{{"traits":{{"name":"{PERSONAL} \xe9"}},"x":1}}'.encode("latin-1")), NOT_DOCUMENTED),
    "no object": (lambda: raw(b'[["traits"]]'), NOT_DOCUMENTED),
}

DAMAGED_VALUES = ("NaN", "Infinity", "a number beyond all", "a lone surrogate", "no UTF-8")
"""Those of `BODIES` that are traits, with damaged values."""

DAMAGED_TRAITS = {(TRAITS, body) for body in DAMAGED_VALUES}


@pytest.mark.parametrize("body", DAMAGED_VALUES)
async def test_damaged_traits_cost_a_warning(tmp_path: Path, body: str) -> None:
    make, _ = BODIES[body]
    async with hostile_server(people(4)) as hostile:
        hostile.instead(TRAITS, make())
        run = await imported(hostile, tmp_path)
    assert_nobody_is_lost(run)
    assert run.rows(REJECTED) == []
    assert [row[:2] for row in run.rows(WARNINGS)[1:]] == [["use_1", "name"]]


@pytest.mark.parametrize(
    ("call", "body"), [(call, body) for call in (IDS, TRAITS) for body in BODIES if (call, body) not in DAMAGED_TRAITS]
)
async def test_a_profile_answered_so_is_rejected_alone(tmp_path: Path, body: str, call: str) -> None:
    make, reason = BODIES[body]
    async with hostile_server(people(4)) as hostile:
        hostile.instead(call, make())
        run = await imported(hostile, tmp_path)
    assert_nobody_is_lost(run)
    assert [row[0:3] for row in run.rows(REJECTED)[1:]] == [["use_1", "", "read"]]
    assert reason in run.reasons()["use_1"]


@pytest.mark.parametrize("call", [LISTING, UPSERT, RESULT])
@pytest.mark.parametrize("body", BODIES)
async def test_a_call_for_many_answered_so_stops_the_run_and_a_resume_goes_on(
    tmp_path: Path, body: str, call: str
) -> None:
    make, reason = BODIES[body]
    async with hostile_server(people(4)) as hostile:
        hostile.instead(call, make(), takes_effect=call == UPSERT)
        run = await imported(hostile, tmp_path)
        assert reason in run.error
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
async def test_a_senseless_retry_after_is_ignored(tmp_path: Path, status: int, after: str) -> None:
    async with hostile_server(people(3)) as hostile:
        hostile.instead(TRAITS, answer({}, status, Retry_After=after))
        run = await imported(hostile, tmp_path)
    assert_nobody_is_lost(run)
    assert list(run.reasons()) == ["use_1"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("call", [LISTING, IDS, TRAITS, UPSERT, RESULT, REPORT])
async def test_no_redirect_is_followed(tmp_path: Path, call: str, status: int) -> None:
    elsewhere = Script(answer({"data": [], "traits": {}, "async_action_id": "aa_0", "status": "DONE"}))
    async with scripted_server(elsewhere) as url, hostile_server(people(3)) as hostile:
        hostile.instead(call, redirect(status, f"{url.replace('127.0.0.1', 'localhost')}/?{PERSONAL}"))
        if call == REPORT:
            hostile.instead(RESULT, refusing_one(hostile, f"{hostile.url}/reports/1.csv"))
        run = await imported(hostile, tmp_path)
        assert any(str(status) in text for text in (run.error, *run.reasons().values()))
        await assert_a_clear_outcome(run)
    assert elsewhere.calls == []
