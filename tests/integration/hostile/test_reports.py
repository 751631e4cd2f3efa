"""Whole runs against services that answer as none should: report files."""

from __future__ import annotations

from pathlib import Path

import pytest

from segsync.events import CallAnswered
from tests.integration.hostile.imported import (
    PERSONAL,
    RESULT,
    assert_it_was_found_without_a_name,
    assert_nobody_is_lost,
    imported,
    refusing_one,
)
from tests.support.hostile import (
    CREDENTIALS,
    Endless,
    cut_short,
    gzip_bomb,
    hostile_server,
    no_http,
    packed,
    people,
    redirect,
)
from tests.support.scripted import Answer, Script, raw, scripted_server

REPORT_CSV = f"source_id,status,message\nuser-0,SUCCESS,\nuser-1,FAILED,Ada Lovelace <{PERSONAL}> is poison\n".encode()


async def test_a_report_on_another_host_is_read_without_credentials(tmp_path: Path) -> None:
    files = Script(raw(REPORT_CSV, "text/csv"))
    async with scripted_server(files) as url, hostile_server(people(3)) as hostile:
        hostile.instead(
            RESULT, refusing_one(hostile, f"{url.replace('127.0.0.1', 'localhost')}/report.csv?signature=x")
        )
        run = await imported(hostile, tmp_path)
    assert_nobody_is_lost(run)
    assert list(run.reasons()) == ["use_1"]
    assert run.upserts == 1
    assert files.calls == ["GET /report.csv?signature=x"]
    assert not [secret for secret in CREDENTIALS if secret in repr(files.headers)]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
async def test_the_documented_columns_name_the_refused_one_alone(tmp_path: Path, delimiter: str) -> None:
    rows = [
        ("source_id", "found", "updated"),
        *((f"user-{each}", "false", str(each != 1).lower()) for each in range(3)),
    ]
    content = "\r\n".join(delimiter.join(row) for row in rows).encode("utf-16")
    async with scripted_server(Script(raw(content, "text/csv"))) as url, hostile_server(people(3)) as hostile:
        hostile.instead(RESULT, refusing_one(hostile, f"{url.replace('127.0.0.1', 'localhost')}/report.csv"))
        run = await imported(hostile, tmp_path)
    assert_nobody_is_lost(run)
    assert list(run.reasons()) == ["use_1"]
    assert run.upserts == 1


@pytest.mark.parametrize(
    "respond",
    {
        "too large": Endless(64),
        "a gzip bomb": packed(gzip_bomb(100)),
        "columns that say nothing": raw(b"source_id,message,row\nuser-0,x,1\nuser-1,y,2\nuser-2,z,3\n", "text/csv"),
        "more names than were refused": raw(b"source_id,updated\nuser-0,false\nuser-1,false\n", "text/csv"),
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
async def test_an_invalid_report_names_nobody(tmp_path: Path, respond: tuple[str, Answer]) -> None:
    async with scripted_server(Script(respond[1])) as url, hostile_server(people(3)) as hostile:
        hostile.instead(RESULT, refusing_one(hostile, f"{url.replace('127.0.0.1', 'localhost')}/report.csv"))
        run = await imported(hostile, tmp_path)
        assert_it_was_found_without_a_name(run)


async def test_a_report_on_another_host_that_redirects_is_not_followed(tmp_path: Path) -> None:
    elsewhere = Script(raw(REPORT_CSV, "text/csv"))
    async with scripted_server(elsewhere) as end, hostile_server(people(3)) as hostile:
        between = Script(redirect(302, end))
        async with scripted_server(between) as url:
            hostile.instead(RESULT, refusing_one(hostile, f"{url.replace('127.0.0.1', 'localhost')}/report.csv"))
            run = await imported(hostile, tmp_path)
    assert_it_was_found_without_a_name(run)
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
        hostile.instead(RESULT, refusing_one(hostile, url))
        run = await imported(hostile, tmp_path)
    assert_it_was_found_without_a_name(run)
    answered = [event for event in run.events.of(CallAnswered) if event.status is not None]
    assert len(answered) == len(hostile.calls)


@pytest.mark.parametrize(
    "path", ["\x1b[31m", "a b", "\x00", "\r\nX: y", "é😀", "%zz", "?\x1b", "#\x1b", "/../..", "x" * 9000]
)
async def test_a_report_at_an_invalid_path_has_a_clear_outcome(tmp_path: Path, path: str) -> None:
    async with hostile_server(people(3)) as hostile:
        hostile.instead(RESULT, refusing_one(hostile, f"{hostile.url}/reports/{path}"))
        assert_it_was_found_without_a_name(await imported(hostile, tmp_path))
