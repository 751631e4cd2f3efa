"""Odd values in Segment's answers: nobody is lost for one, and nobody gets an identifier that is a guess."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote, unquote

import msgspec
import pytest

from segsync.connectors.segment import MOST_URL_BYTES, SegmentSource
from segsync.connectors.segment_profile import as_source_id
from segsync.errors import AnswerError
from segsync.mapping.problems import DAMAGED_NUMBER, DAMAGED_TEXT, SEVERAL
from segsync.models import Page, Profile
from tests.support.scripted import Answer, Script, answer, client_to, raw

ADA = answer({"data": [{"type": "user_id", "id": "ada"}]})
NOBODY = answer({"data": [{"type": "anonymous_id", "id": "x"}]})
NO_TRAITS = answer({"traits": {}})
SEVERAL_IDS = ("external_ids.user_id", SEVERAL)


@asynccontextmanager
async def _source(
    script: Script, traits: Collection[str] | None = ("name", "metadata", "address"), *, traits_first: bool = False
) -> AsyncGenerator[SegmentSource, None]:
    async with client_to(script) as client:
        yield SegmentSource(client, identifier_type="user_id", traits=traits, traits_first=traits_first)


async def _profile(*answers: Answer, **options: Any) -> Profile | None:
    async with _source(Script(*answers), **options) as source:
        return await source.read("use_1")


def _ids(*values: object) -> Answer:
    return answer({"data": [{"type": "user_id", "id": value} for value in values]})


# --- damaged traits -----------------------------------------------------------------------------------


async def test_half_an_emoji_and_a_nan_cost_what_they_are_in_and_nothing_else() -> None:
    traits = raw(rb'{"traits":{"name":"Kim \ud83d","metadata":{"score":NaN,"plan":"pro"},"email":"p2@example.org"}}')
    assert await _profile(ADA, traits) == Profile(
        "use_1",
        "ada",
        {"name": "Kim \ufffd", "metadata": {"plan": "pro"}, "email": "p2@example.org"},
        (("name", DAMAGED_TEXT), ("metadata.score", DAMAGED_NUMBER)),
    )


@pytest.mark.parametrize(
    ("traits", "problems"),
    [
        (rb'{"metadata":{"tags":["a\ud83d","b\ud83d"]}}', [("metadata.tags", DAMAGED_TEXT)]),
        (rb'{"metadata":{"a":{"b":{"c":NaN}}}}', [("metadata.a", DAMAGED_NUMBER)]),
        (rb'{"metadata":{"ada@example.com":NaN}}', [("metadata.…", DAMAGED_NUMBER)]),
        (rb'{"metadata":{"k\ud83d":1}}', [("metadata.…", DAMAGED_TEXT)]),
        (rb'{"metadata":[NaN]}', [("metadata", DAMAGED_NUMBER)]),
        (rb'{"address":{"city":"\ud83d","planet":"\ud83d"}}', [("address.city", DAMAGED_TEXT)]),
        (rb'{"age":NaN,"na\ud83dme":1}', []),
        (rb'{"name":NaN}', [("name", DAMAGED_NUMBER)]),
    ],
)
async def test_a_warning_names_the_trait_where_an_import_reads_it(
    traits: bytes, problems: list[tuple[str, str]]
) -> None:
    profile = await _profile(ADA, raw(b'{"traits":%b}' % traits))
    assert profile is not None
    assert list(profile.problems) == problems


async def test_where_all_traits_are_read_all_are_named_but_not_what_may_be_personal() -> None:
    traits = raw(rb'{"traits":{"plan":NaN,"ada@example.com":NaN,"tags":[["\ud83d"]]}}')
    profile = await _profile(ADA, traits, traits=None)
    assert profile is not None
    assert profile.problems == (("plan", DAMAGED_NUMBER), ("…", DAMAGED_NUMBER), ("tags", DAMAGED_TEXT))


async def test_a_listing_and_external_ids_may_be_damaged_beside_what_is_read() -> None:
    listing = raw(rb'{"data":[{"segment_id":"use_1","note":"\ud83d"}],"cursor":{"next":"","limit":NaN}}')
    async with _source(Script(listing)) as source:
        assert [page async for page in source.pages("0")] == [Page("0", ("use_1",), None)]
    ids = raw(rb'{"data":[{"type":"email","id":"\ud83d"},{"type":"user_id","id":"ada","encoding":"\ud83d"}]}')
    profile = await _profile(ids, NO_TRAITS)
    assert profile == Profile("use_1", "ada", {})


# --- damaged identifiers ------------------------------------------------------------------------------


@pytest.mark.parametrize("damaged", [rb'"ada\ud83d"', b'"ad\xe9"', b"NaN", b"1e999"])
async def test_a_damaged_identifier_names_nobody(damaged: bytes) -> None:
    ids = raw(b'{"data":[{"type":"user_id","id":%b},{"type":"user_id","id":"former"}]}' % damaged)
    with pytest.raises(AnswerError, match="Segment returned a damaged 'user_id'"):
        await _profile(ids, NO_TRAITS)


async def test_a_damaged_identifier_behind_a_good_one_does_not_matter() -> None:
    ids = raw(rb'{"data":[{"type":"user_id","id":"ada"},{"type":"user_id","id":"\ud83d"}]}')
    assert await _profile(ids, NO_TRAITS) == Profile("use_1", "ada", {})


async def test_where_the_identifier_is_a_trait_a_damaged_one_leaves_it_to_the_external_ids() -> None:
    damaged = raw(rb'{"traits":{"user_id":"ada\ud83d"}}')
    profile = await _profile(damaged, ADA, traits_first=True)
    assert profile is not None
    assert profile.source_id == "ada"
    with pytest.raises(AnswerError, match="a damaged 'user_id'"):
        await _profile(damaged, NOBODY, traits_first=True)


# --- null and floats ----------------------------------------------------------------------------


async def test_null_means_empty() -> None:
    async with _source(Script(answer({"data": None, "cursor": None}))) as source:
        assert [page async for page in source.pages("0")] == [Page("0", (), None)]
        assert await source.external_ids("use_1") == []
        assert await source.read("use_1") is None
    assert await _profile(ADA, answer({"traits": None, "cursor": None})) == Profile("use_1", "ada", {})


NOT_EXACT: list[object] = [1.5, 1e16, 2.0**53, 1e300, float("nan"), float("inf"), True, None, " ", [1], {}]


@pytest.mark.parametrize(
    ("value", "source_id"),
    [
        (10001.0, "10001"),
        (1e15, "1000000000000000"),
        (-7.0, "-7"),
        (10001, "10001"),
        (2**60, str(2**60)),
        ("10001.0", "10001.0"),
        *((odd, None) for odd in NOT_EXACT),
    ],
)
def test_a_whole_number_that_went_through_a_float_is_that_number(value: object, source_id: str | None) -> None:
    assert as_source_id(value) == source_id


async def test_an_identifier_that_went_through_a_float_is_found_in_external_ids_and_traits() -> None:
    profiles = [
        await _profile(_ids(10001.0), NO_TRAITS),
        await _profile(answer({"traits": {"user_id": 10001.0}}), traits_first=True),
    ]
    assert [profile and profile.source_id for profile in profiles] == ["10001", "10001"]


# --- several identifiers -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "problems"), [(("a", "b", "c"), (SEVERAL_IDS,)), (("a", "a"), ()), (("a", "", None), ()), (("a",), ())]
)
async def test_several_identifiers_are_a_warning_and_the_first_counts(values: Any, problems: Any) -> None:
    assert await _profile(_ids(*values), NO_TRAITS) == Profile("use_1", "a", {}, problems)


async def test_no_call_looks_for_more_identifiers_than_the_first_page_of_them_has() -> None:
    first = answer({"data": [{"type": "user_id", "id": "a"}], "cursor": {"next": "2", "has_more": True}})
    script = Script(first, NO_TRAITS)
    async with _source(script) as source:
        await source.read("use_1")
    assert len(script.calls) == 2


# --- many named traits --------------------------------------------------------------------------------

MANY = [f"an agreeably long name of a trait, {number:03}" for number in range(300)]


def _names(calls: list[str]) -> list[list[str]]:

    return [
        [unquote(name) for name in part.split(",")] for call in calls for part in re.findall("include=([^&]*)", call)
    ]


async def test_more_names_than_an_address_may_hold_are_asked_for_in_several_calls() -> None:
    cursor = {"next": "c" * 400, "has_more": True}
    pages = [
        answer({"traits": {"t1": 1}, "cursor": cursor}),
        answer({"traits": {"t2": 2}}),
        answer({"traits": {"t3": 3}}),
    ]
    script = Script(*pages)
    async with _source(script, traits=MANY) as source:
        read = await source.traits("use_" + "x" * 60)
    assert max(len(call.partition(" ")[2]) for call in script.calls) <= MOST_URL_BYTES == 6000
    first, again, *others = _names(script.calls)
    assert first == again, "each call follows its own cursor"
    assert [*first, *(name for part in others for name in part)] == MANY
    assert (read.values, read.calls) == ({"t1": 1, "t2": 2, "t3": 3}, len(script.calls))
    assert len(others) + 1 < len(quote(",".join(MANY), safe="")) / 5000 + 1, "in no more calls than needed"


async def test_one_name_that_is_too_long_is_asked_for_alone() -> None:
    script = Script(NO_TRAITS)
    async with _source(script, traits=["a", "x" * 7000, "b"]) as source:
        await source.traits("use_1")
    assert _names(script.calls) == [["a"], ["x" * 7000], ["b"]]


async def test_a_profile_of_many_names_is_one_profile() -> None:
    script = Script(ADA, answer({"traits": {MANY[0]: 1}}), answer({"traits": {MANY[-1]: 2}}))
    async with _source(script, traits=MANY) as source:
        profile = await source.read("use_1")
    assert profile == Profile("use_1", "ada", {MANY[0]: 1, MANY[-1]: 2})
    assert msgspec.json.encode(profile.traits)
