"""Whole runs in which what is no answer comes now and then, at every stage, or for one call all the time."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import pytest

from segsync.models import Outcomes
from tests.integration.hostile.imported import (
    IDS,
    LISTING,
    RESULT,
    TRAITS,
    UPSERT,
    assert_it_can_go_on,
    assert_nobody_is_lost,
    imported,
)
from tests.support.hostile import Garble, Hostile, hostile_server, people
from tests.support.scripted import Answer, answer, raw

STAGES = {
    "listing": LISTING,
    "external ids": r"/external_ids\?",
    "traits": r"/traits\?",
    "upsert": UPSERT,
    "poll": RESULT,
    "listing of actions": r"^GET /v1/async-actions\?",
}
GARBLED = {
    "truncated": raw(b'{"data":[{"segment_id":"use_1"},{"segm'),
    "empty": raw(b""),
    "no content": raw(b"", status=204),
    "a web page": raw(b"<!doctype html><title>Please wait</title>", "text/html"),
    "an empty object": answer({}),
    "no action id": answer({"async_action_id": ""}, 202),
    "another shape": answer([{"data": 1, "traits": 1, "status": 1}]),
    "other types": answer({"data": 1, "traits": 1, "status": 1, "async_actions": 1, "async_action_id": 1}),
}


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segsync.connectors.http.retry.BACKOFF_START_SECONDS", 0.01)
    monkeypatch.setattr("segsync.connectors.http.retry.BACKOFF_MAX_SECONDS", 0.05)
    monkeypatch.setattr("segsync.pipeline.results.FEW_BATCHES", 0)


class _NowAndThen:
    """Garbles the second answer of each stage, and a seeded share of the later ones, in every way; counts them.

    The first answer is as it should be: before that, nothing shows that it ever is.
    """

    def __init__(self, share: float, seed: int) -> None:
        self._share, self._random = share, Random(seed)
        self._seen = dict.fromkeys(STAGES, 0)
        self.garbled = dict.fromkeys(STAGES, 0)

    def __call__(self, call: str) -> Answer | None:
        stage = next((stage for stage, pattern in STAGES.items() if re.search(pattern, call)), None)
        if stage is None:
            return None
        self._seen[stage] += 1
        if self._seen[stage] != 2 and (self._seen[stage] == 1 or self._random.random() >= self._share):
            return None
        self.garbled[stage] += 1
        return self._random.choice(list(GARBLED.values()))


@pytest.mark.parametrize("garbled", ["truncated", "empty", "no content", "a web page", "another shape"])
async def test_a_schema_that_is_garbled_once_sends_no_metadata_unchecked(tmp_path: Path, garbled: str) -> None:
    """Voucherify would refuse customers for it."""
    async with hostile_server(people(30, metadata={"points": "12"})) as hostile:
        first = iter([GARBLED[garbled]])
        schema = answer({"properties": {"points": {"type": "number"}}, "allow_defined_only": True})
        hostile.garble = lambda call: next(first, schema) if "/metadata-schemas/" in call else None
        run = await imported(hostile, tmp_path)
    assert run.report.outcomes == Outcomes(confirmed=30)
    assert {customer["metadata"]["points"] for customer in hostile.customers} == {12}


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_an_import_through_garbled_answers_at_every_stage_loses_and_rejects_nobody(
    tmp_path: Path, seed: int
) -> None:
    now_and_then = _NowAndThen(0.08, seed)
    async with hostile_server(people(300)) as hostile:
        hostile.garble = now_and_then
        run = await imported(hostile, tmp_path, retry_seconds=60, batch_size=5, segment_request_limit=10)
    assert_nobody_is_lost(run)
    assert run.report.outcomes == Outcomes(confirmed=300)
    assert min(now_and_then.garbled.values()) > 0, now_and_then.garbled


async def test_the_very_first_answer_for_a_profile_may_be_garbled_too(tmp_path: Path) -> None:
    """Many are under way by then: the others show that it is not what this service always answers."""
    async with hostile_server(people(30)) as hostile:
        first = iter([raw(b"")])
        hostile.garble = lambda call: next(first, None) if "/external_ids" in call else None
        run = await imported(hostile, tmp_path, retry_seconds=60)
    assert_nobody_is_lost(run)
    assert run.report.outcomes == Outcomes(confirmed=30)


@pytest.mark.parametrize("call", [IDS, TRAITS])
@pytest.mark.parametrize("garbled", GARBLED)
async def test_one_profile_that_is_always_garbled_is_rejected_alone(tmp_path: Path, garbled: str, call: str) -> None:
    async with hostile_server(people(20)) as hostile:
        hostile.instead(call, GARBLED[garbled])
        run = await imported(hostile, tmp_path)
    assert_nobody_is_lost(run)
    assert list(run.reasons()) == ["use_1"]


def _nothing_ends(hostile: Hostile) -> None:
    """So that results are asked for again and again."""
    hostile.instead(STAGES["listing of actions"], answer({"async_actions": []}))
    hostile.instead(RESULT, answer({"id": "aa_0", "status": "ENQUEUED"}))


def _from_the_second_on(pattern: str, garbled: Answer) -> Garble:
    """The first call that matches is answered as it should be, all others are garbled."""
    seen: list[str] = []

    def garble(call: str) -> Answer | None:
        if not re.search(pattern, call):
            return None
        seen.append(call)
        return garbled if len(seen) > 1 else None

    return garble


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("garbled", ["a web page", "an empty object"])
async def test_a_stage_that_stays_garbled_is_an_outage_and_nobody_is_rejected(
    tmp_path: Path, garbled: str, stage: str
) -> None:
    async with hostile_server(people(60)) as hostile:
        _nothing_ends(hostile)
        hostile.garble = _from_the_second_on(STAGES[stage], GARBLED[garbled])
        # For a profile, Segment is asked whether it answers at all: by a listing, which has to be garbled then too.
        if stage in ("external ids", "traits"):
            hostile.garble = _from_the_second_on(r"^GET /v1/spaces/", GARBLED[garbled])
        run = await imported(hostile, tmp_path, batch_size=5, segment_request_limit=20)
        assert "given up after" in run.error
        assert run.report.outcomes.rejected == 0
        await assert_it_can_go_on(run)


@pytest.mark.parametrize("page", [False, True])
@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("stage", STAGES)
async def test_credentials_that_are_refused_from_some_call_on_stop_the_run_and_reject_nobody(
    tmp_path: Path, stage: str, status: int, page: bool
) -> None:
    refusal = raw(b"<h1>Blocked", "text/html", status) if page else answer({}, status)
    async with hostile_server(people(60)) as hostile:
        _nothing_ends(hostile)
        hostile.garble = _from_the_second_on(STAGES[stage], refusal)
        run = await imported(hostile, tmp_path, batch_size=5, segment_request_limit=20)
        assert "given up after" in run.error
        assert ("a proxy or firewall" if page else "which it accepted before in this run") in run.error
        assert run.report.outcomes.rejected == 0
        await assert_it_can_go_on(run)


@pytest.mark.parametrize("status", [401, 403])
async def test_credentials_that_are_refused_for_a_moment_cost_nobody(tmp_path: Path, status: int) -> None:
    random, seen = Random(7), list[str]()

    def garble(call: str) -> Answer | None:
        seen.append(call)
        is_refused = (
            "metadata-schemas" not in call
            and any(each.startswith("POST") for each in seen[:-20])
            and random.random() < 0.1
        )
        return answer({}, status) if is_refused else None

    async with hostile_server(people(200)) as hostile:
        hostile.garble = garble
        run = await imported(hostile, tmp_path, retry_seconds=60, batch_size=10)
    assert_nobody_is_lost(run)
    assert run.report.outcomes == Outcomes(confirmed=200)


async def test_a_schema_that_may_not_be_read_costs_no_time_once_the_credentials_are_accepted(tmp_path: Path) -> None:
    """As at a resume, where results are read before it."""
    async with hostile_server(people(10)) as hostile:
        hostile.garble = lambda call: answer({}, 403) if "metadata-schemas" in call else None
        run = await imported(hostile, tmp_path, retry_seconds=600)
    assert_nobody_is_lost(run)
    assert run.report.calls["Voucherify"].retries == 0
