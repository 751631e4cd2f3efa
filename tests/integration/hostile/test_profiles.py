"""Whole runs against services that answer as none should: profiles that hold anything."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from segsync.models import Outcomes
from segsync.report.profile_lists import REJECTED, WARNINGS, WITHOUT_IDENTIFIER
from tests.integration.hostile.imported import (
    SEGMENT_IDS,
    Fields,
    assert_nobody_is_lost,
    imported,
)
from tests.support.hostile import Someone, hostile_server, people
from tests.support.scripted import answer

SOURCE_IDS: list[object] = [
    *("\x00", "a\x00b", "x" * 10_240, "é\n" * 5_000, "../..", 'a"b', "=1+1", "@x", "\x1b[31mred", " x ", "😀"),
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
        assert run.report.outcomes == Outcomes(without_identifier=len(anonymous), rejected=len(gone))
        assert "a/b" in {row[0] for row in run.rows(REJECTED)}, "what needs no care is as it is"
        hostile.behave()
        again = await imported(hostile, tmp_path, retry=True)
    assert again.report.outcomes.rejected == 0
    assert again.rows(REJECTED) == []
    assert len(hostile.source_ids) == len(gone)


async def test_a_profile_whose_id_is_empty_is_retried_too(tmp_path: Path) -> None:
    async with hostile_server([Someone("", "user-0", trouble="gone"), *people(2)]) as hostile:
        assert_nobody_is_lost(await imported(hostile, tmp_path))
        hostile.behave()
        again = await imported(hostile, tmp_path, retry=True)
    assert again.report.outcomes.rejected == 0


async def test_two_ids_that_look_alike_in_the_list_are_two_profiles(tmp_path: Path) -> None:
    """One has a line break, the other a backslash and an n. Only the first is repaired."""
    pair = [Someone("a\nb", "user-0", trouble="gone"), Someone("a\\nb", "user-1", trouble="gone")]
    async with hostile_server(pair) as hostile:
        assert_nobody_is_lost(await imported(hostile, tmp_path))
        hostile.behave()
        hostile.instead(r"segment_id:a%5Cnb/", answer({}, 404))
        again = await imported(hostile, tmp_path, retry=True)
    assert again.report.outcomes.rejected == 1
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
    assert (run.report.state, run.error) == ("done", "")
    assert run.report.outcomes == Outcomes(confirmed=3)


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
    assert run.report.outcomes == Outcomes(confirmed=5, rejected=len(texts))
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
    """Python's csv module reads at most 128 KB per field by default."""
    book = Someone("use_x", "x" * 140_000, trouble="refused at once")
    async with hostile_server([book, *people(2)]) as hostile:
        assert_nobody_is_lost(await imported(hostile, tmp_path))
        hostile.behave()
        again = await imported(hostile, tmp_path, retry=True)
    assert (again.report.state, again.error) == ("done", "")
    assert again.report.outcomes == Outcomes(confirmed=3)


@pytest.mark.parametrize("source_id", ["", " ", "\t\n\u00a0", True, False, 1.5, [], ["user-1"], {}, {"id": "user-1"}])
async def test_an_identifier_without_a_value_is_not_an_identifier(tmp_path: Path, source_id: object) -> None:
    async with hostile_server([Someone("use_x", source_id), *people(2)]) as hostile:
        run = await imported(hostile, tmp_path)
    assert_nobody_is_lost(run)
    assert run.lines(WITHOUT_IDENTIFIER) == ["use_x"]


@pytest.mark.parametrize("source_id", ["\ud800", "user-\udfff", float("nan"), float("inf")])
async def test_an_identifier_that_json_cannot_hold_is_rejected(tmp_path: Path, source_id: object) -> None:
    async with hostile_server([Someone("use_x", source_id), *people(2)]) as hostile:
        run = await imported(hostile, tmp_path)
    assert_nobody_is_lost(run)
    assert list(run.reasons()) == ["use_x"]


async def test_a_segment_id_that_json_cannot_hold_is_rejected_alone(tmp_path: Path) -> None:
    async with hostile_server([*people(2), Someone("use_\ud800", "user-x")]) as hostile:
        run = await imported(hostile, tmp_path)
    assert (run.report.state, run.report.outcomes) == ("done", Outcomes(confirmed=2, rejected=1))
    [reason] = run.reasons().values()
    assert "404" in reason, "nobody knows what it is"


async def test_traits_of_a_megabyte_are_sent_as_they_are(tmp_path: Path) -> None:
    large = {"name": "é" * 500_000, "description": "\x00" * 150_000, "metadata": {"x" * 100_000: ["y" * 900_000]}}
    async with hostile_server([Someone("use_x", "user-x", large), *people(20, description="d" * 1_000_000)]) as hostile:
        run = await imported(hostile, tmp_path)
    assert_nobody_is_lost(run)
    assert run.report.outcomes == Outcomes(confirmed=21)
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
