"""Whole runs against services that answer as none should: anything at all."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segsync.mapping.customer import MAPPED_TRAITS
from segsync.report.profile_lists import REJECTED
from tests.integration.hostile.imported import (
    IDS,
    LISTING,
    PERSONAL,
    RESULT,
    SEGMENT_IDS,
    TRAITS,
    UPSERT,
    Fields,
    assert_a_clear_outcome,
    assert_nobody_is_lost,
    imported,
)
from tests.support.hostile import Someone, hostile_server, people
from tests.support.scripted import raw

pytestmark = pytest.mark.slow

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


def _fits_json(value: object) -> bool:
    """Whether JSON can hold the value: no NaN, no infinity, no half of a surrogate pair."""
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except ValueError:
        return False
    return True


@few
@given(st.lists(ANY_TRAITS, min_size=1, max_size=4))
def test_every_profile_arrives_whatever_its_traits(all_traits: list[Fields]) -> None:
    profiles = [Someone(f"use_{index}", f"user-{index}", traits) for index, traits in enumerate(all_traits)]

    async def main(directory: Path) -> None:
        async with hostile_server(profiles) as hostile:
            run = await imported(hostile, directory)
        assert_nobody_is_lost(run)
        assert hostile.problems == [], "what is sent is what Voucherify documents"
        assert sorted(hostile.source_ids) == sorted(str(profile.source_id) for profile in profiles)

    in_a_directory(main)


@few
@given(st.lists(ANY_PROFILE, min_size=1, max_size=6, unique_by=lambda profile: profile.segment_id))
def test_each_profile_has_an_outcome_whatever_its_ids_hold_and_whatever_fails(profiles: Sequence[Someone]) -> None:
    async def main(directory: Path) -> None:
        async with hostile_server(profiles) as hostile:
            run = await imported(hostile, directory)
            assert_nobody_is_lost(run)
            hostile.behave()
            again = await imported(hostile, directory, retry=True)
        assert again.report.state == "done"
        unfitting = [profile for profile in profiles if not _fits_json(profile.source_id)]
        assert again.report.outcomes.profiles in (0, len(profiles)), "0 where nobody was rejected"
        assert again.report.outcomes.rejected == len(again.rows(REJECTED)[1:]) == len(unfitting)

    in_a_directory(main)


@few
@given(ANY_ACTION)
def test_whatever_an_action_answers_the_outcome_is_clear(action: Fields) -> None:
    async def main(directory: Path) -> None:
        async with hostile_server(people(3)) as hostile:
            hostile.instead(RESULT, raw(json.dumps(action).encode()))
            await assert_a_clear_outcome(await imported(hostile, directory))

    in_a_directory(main)


@few
@given(st.sampled_from([IDS, TRAITS]), st.sampled_from(["data", "traits", "cursor"]), ANY_JSON, ANY_JSON)
def test_whatever_a_profile_holds_it_costs_nobody_else(call: str, name: str, value: object, other: object) -> None:
    body = {"data": [], "traits": {}, "cursor": other, name: value}

    async def main(directory: Path) -> None:
        async with hostile_server(people(3)) as hostile:
            hostile.instead(call, raw(json.dumps(body).encode()))
            run = await imported(hostile, directory)
        assert_nobody_is_lost(run)
        assert {"user-0", "user-2"} <= set(hostile.source_ids)

    in_a_directory(main)


@few
@given(st.sampled_from([LISTING, UPSERT, RESULT]), ANY_JSON, st.sampled_from([200, 202, 400, 402, 404, 413, 500]))
def test_whatever_is_answered_to_a_call_for_many_the_outcome_is_clear(call: str, value: object, status: int) -> None:
    async def main(directory: Path) -> None:
        async with hostile_server(people(3)) as hostile:
            hostile.instead(call, raw(json.dumps(value).encode(), status=status))
            await assert_a_clear_outcome(await imported(hostile, directory))

    in_a_directory(main)
