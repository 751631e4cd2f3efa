"""The Profile API's client: nothing is missed, and nothing is endless."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager
from typing import Any

import pytest

from segsync.connectors.segment import SegmentSource
from segsync.errors import AccessError, AnswerError
from segsync.models import Page, Profile
from tests.support.scripted import Script, answer, client_to

END = {"next": "", "has_more": False, "limit": 100, "url": ""}


def _cursor(following: str) -> dict[str, Any]:
    return {"next": following, "has_more": True, "limit": 100, "url": "/v1/…"}


def _ids(*ids: str, then: dict[str, Any] = END) -> Any:
    return answer({"data": [{"segment_id": segment_id} for segment_id in ids], "cursor": then})


def _external(*ids: tuple[str, str], then: dict[str, Any] = END) -> Any:
    return answer({"data": [{"type": kind, "id": value} for kind, value in ids], "cursor": then})


def _traits(then: dict[str, Any] = END, **traits: object) -> Any:
    return answer({"traits": traits, "cursor": then})


@asynccontextmanager
async def _source(
    script: Script,
    identifier: str = "user_id",
    *,
    traits_first: bool = False,
    traits: Collection[str] | None = ("name", "e mail"),
) -> AsyncGenerator[SegmentSource, None]:
    async with client_to(script) as client:
        yield SegmentSource(
            client,
            identifier_type=identifier,
            traits=traits,
            traits_first=traits_first,
            traits_limit=200,
        )


async def _pages(script: Script, offset: str = "0", limit: int | None = None) -> list[Page]:
    async with _source(script) as source:
        return [page async for page in source.pages(offset, limit)]


async def _profile(
    script: Script, segment_id: str = "use_1", identifier: str = "user_id", *, traits_first: bool = False
) -> Profile | None:
    async with _source(script, identifier, traits_first=traits_first) as source:
        return await source.read(segment_id)


async def test_pages_follow_the_cursor_until_there_is_none() -> None:
    script = Script(_ids("a", "b", then=_cursor("2")), _ids("c", then=_cursor("opaque=+")), _ids("d"))
    assert await _pages(script) == [
        Page("0", ("a", "b"), "2"),
        Page("2", ("c",), "opaque=+"),
        Page("opaque=+", ("d",), None),
    ]
    assert script.calls == [
        "GET /v1/spaces/spa%2F1/collections/users/profiles?limit=100&next=0",
        "GET /v1/spaces/spa%2F1/collections/users/profiles?limit=100&next=2",
        "GET /v1/spaces/spa%2F1/collections/users/profiles?limit=100&next=opaque%3D%2B",
    ]


@pytest.mark.parametrize("offset", ["400", "any/cursor"])
async def test_it_begins_at_the_offset(offset: str) -> None:
    assert [page.cursor for page in await _pages(Script(_ids("a")), offset)] == [offset]


async def test_a_limit_asks_for_no_more_than_is_left_of_it() -> None:
    script = Script(_ids(*"abcdefghij" * 10, then=_cursor("100")), _ids("k", "l", then=_cursor("102")))
    pages = await _pages(script, limit=102)
    assert [call.partition("?")[2] for call in script.calls] == ["limit=100&next=0", "limit=2&next=100"]
    assert pages[-1].next_cursor == "102"


async def test_a_server_that_lists_more_than_asked_for_loses_nobody() -> None:
    [page] = await _pages(Script(_ids("a", "b", "c", then=_cursor("3"))), limit=2)
    assert page == Page("0", ("a", "b"), "0"), "a resume has to list this page again to get to c"


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ([_ids("a", then={"next": "", "has_more": True})], "has_more without a cursor"),
        ([_ids("a", then={"next": None, "has_more": True})], "has_more without a cursor"),
        ([_ids("a", then=_cursor("0"))], "repeats"),
        ([_ids("a", then=_cursor("1")), _ids("b", then=_cursor("1"))], "repeats"),
        ([_ids(x, then=_cursor(n)) for x, n in (("a", "1"), ("b", "2"), ("c", "3"), ("d", "1"))], "repeats"),
        ([answer({"data": []})], "missing required field `cursor`"),
        ([answer({"data": [{"id": "x"}], "cursor": END})], r"`segment_id` - at `\$\.data"),
    ],
)
async def test_a_listing_that_leads_nowhere_is_an_error_not_an_early_end(answers: list[Any], message: str) -> None:
    # After the last of the answers a circle begins again from the first.
    with pytest.raises(AnswerError, match=message):
        await _pages(Script(*answers * 4))


async def test_the_profiles_of_a_page_whose_cursor_leads_nowhere_are_not_thrown_away() -> None:
    async with _source(Script(_ids("a", "b", then={"next": "", "has_more": True}))) as source:
        pages = source.pages("0")
        assert await anext(pages) == Page("0", ("a", "b"), "0"), "a resume has to begin with this page again"
        with pytest.raises(AnswerError):
            await anext(pages)


async def test_a_space_that_does_not_exist_is_named() -> None:
    with pytest.raises(AccessError, match="SEGMENT_SPACE_ID=spa/1"):
        await _pages(Script(answer({"error": {"code": "not_found"}}, 404)))


async def test_an_offset_that_is_not_a_cursor_is_named() -> None:
    with pytest.raises(AccessError, match="Is 'abc' an offset or cursor"):
        await _pages(Script(answer({"error": {"code": "validation_error"}}, 400)), offset="abc")


async def test_a_profile_costs_two_calls_that_name_what_they_want() -> None:
    script = Script(_external(("user_id", "ada")), _traits(name="Ada"))
    assert await _profile(script, "use_1+/") == Profile("use_1+/", "ada", {"name": "Ada"})
    path = "GET /v1/spaces/spa%2F1/collections/users/profiles/segment_id:use_1%2B%2F"
    assert script.calls == [
        f"{path}/external_ids?include=user_id&limit=25",
        f"{path}/traits?include=name,e%20mail&limit=200",
    ]


async def test_an_anonymous_profile_costs_one_call() -> None:
    script = Script(_external())
    assert await _profile(script) is None
    assert len(script.calls) == 1


async def test_the_first_identifier_that_segment_lists_counts() -> None:
    script = Script(
        _external(("anonymous_id", "x"), ("user_id", ""), ("user_id", "1st"), ("user_id", "2nd")), _traits()
    )
    profile = await _profile(script)
    assert profile is not None
    assert profile.source_id == "1st"


async def test_what_segment_says_about_other_external_ids_does_not_matter() -> None:
    odd = answer({"data": [{"type": "x", "id": None}, {"id": 1}, {"type": "user_id", "id": 42}], "cursor": None})
    profile = await _profile(Script(odd, answer({"traits": {}, "cursor": None})))
    assert profile is not None
    assert profile.source_id == "42"


@pytest.mark.parametrize(("status", "is_there"), [(200, True), (503, False)])
async def test_it_finds_out_whether_segment_answers_at_all(status: int, is_there: bool) -> None:
    async with client_to(Script(answer({"data": [], "cursor": END}, status)), retry_seconds=0.1) as client:
        source = SegmentSource(client, identifier_type="user_id", traits=())
        assert await source.answers() is is_there


async def test_an_identifier_behind_the_first_25_external_ids_is_found_where_include_is_ignored() -> None:
    anonymous = [("anonymous_id", str(n)) for n in range(25)]
    script = Script(_external(*anonymous, then=_cursor("op=")), _external(("user_id", "ada")), _traits())
    profile = await _profile(script)
    assert profile is not None
    assert profile.source_id == "ada"
    assert script.calls[1].endswith("external_ids?include=user_id&limit=25&next=op%3D")


async def test_traits_behind_the_first_200_are_not_missed() -> None:
    first = _traits(_cursor("two"), **{f"t{n}": n for n in range(200)})
    script = Script(_external(("user_id", "ada")), first, _traits(name="Ada"))
    profile = await _profile(script)
    assert profile is not None
    assert len(profile.traits) == 201
    assert profile.traits["name"] == "Ada"


@pytest.mark.parametrize("traits_first", [False, True])
async def test_all_traits_are_asked_for_without_a_name_and_their_cursor_is_followed(traits_first: bool) -> None:
    first = _traits(_cursor("t=2"), **{f"t{n}": n for n in range(200)})
    pages = [first, _traits(user_id="ada", plan="pro")]
    script = Script(*(pages if traits_first else [_external(("user_id", "ada")), *pages]))
    async with _source(script, traits_first=traits_first, traits=None) as source:
        profile = await source.read("use_1")
    assert profile is not None
    assert (profile.source_id, len(profile.traits), profile.traits["plan"]) == ("ada", 202, "pro")
    assert [call.rpartition("/")[2] for call in script.calls[-2:]] == [
        "traits?limit=200",
        "traits?limit=200&next=t%3D2",
    ]


@pytest.mark.parametrize(
    "answers",
    [
        [_external(then={"next": "", "has_more": True})],
        [_external(then=_cursor("x"))],
        [_external(("user_id", "ada")), _traits({"next": None, "has_more": True})],
        [_external(("user_id", "ada")), _traits(_cursor("x"))],
    ],
)
async def test_a_profile_whose_cursor_leads_nowhere_is_an_error(answers: list[Any]) -> None:
    with pytest.raises(AnswerError):
        await _profile(Script(*answers))


async def test_any_type_of_external_id_can_be_the_identifier() -> None:
    script = Script(_external(("user_id", "ada"), ("my type&", "42")), _traits())
    profile = await _profile(script, identifier="my type&")
    assert profile is not None
    assert profile.source_id == "42"
    assert "include=my%20type%26&" in script.calls[0]


# --- the identifier is a trait ----------------------------------------------------------------------------------


async def test_an_identifier_that_is_a_trait_costs_one_call() -> None:
    script = Script(_traits(email="ada@example.com", name="Ada"))
    profile = await _profile(script, identifier="email", traits_first=True)
    assert profile == Profile("use_1", "ada@example.com", {"email": "ada@example.com", "name": "Ada"})
    assert [call.rpartition("/")[2] for call in script.calls] == ["traits?include=email,name,e%20mail&limit=200"]


async def test_an_identifier_that_the_mapping_reads_as_well_is_asked_for_once() -> None:
    script = Script(_traits(name="Ada"))
    await _profile(script, identifier="name", traits_first=True)
    assert script.calls[0].endswith("?include=name,e%20mail&limit=200")


@pytest.mark.parametrize(
    "unusable", [{}, {"email": ""}, {"email": "  "}, {"email": None}, {"email": ["a@x.io"]}, {"email": True}]
)
async def test_where_the_trait_is_missing_or_none_the_external_ids_are_asked(unusable: dict[str, Any]) -> None:
    script = Script(_traits(**unusable, name="Ada"), _external(("email", "ada@example.com")))
    profile = await _profile(script, identifier="email", traits_first=True)
    assert profile is not None
    assert profile.source_id == "ada@example.com"
    assert profile.traits["name"] == "Ada"
    assert len(script.calls) == 2
    assert "/external_ids?include=email&limit=25" in script.calls[1]


async def test_who_has_neither_trait_nor_external_id_has_no_identifier() -> None:
    assert await _profile(Script(_traits(), _external()), identifier="email", traits_first=True) is None


async def test_a_number_as_the_identifying_trait_is_converted_to_text() -> None:
    profile = await _profile(Script(_traits(user_id=42)), traits_first=True)
    assert profile is not None
    assert profile.source_id == "42"


async def test_the_identifying_trait_may_be_on_a_later_page_of_traits() -> None:
    script = Script(_traits(then=_cursor("2"), name="Ada"), _traits(email="ada@example.com"))
    profile = await _profile(script, identifier="email", traits_first=True)
    assert profile is not None
    assert profile.source_id == "ada@example.com"
