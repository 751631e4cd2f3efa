"""The sandbox's Profile API, as a client of it would notice."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from typing import Any

import pytest

from segsync.sandbox.options import ACCESS_TOKEN, APPLICATION_ID, SECRET_KEY
from tests.sandbox.clients import Answer, Client, basic, quick, segment_error
from tests.sandbox.conftest import Connect


@pytest.fixture
async def client(connect: Connect) -> Client:
    return await connect(quick(profiles=250))


def _segment_id(client: Client, *, traits: int = 0, external_ids: int = 0) -> str:
    """The segment id of a profile with more of them than that."""
    space = client.sandbox.space
    found = next(
        profile
        for profile in map(space.profile, range(len(space)))
        if profile.customer and len(profile.traits) > traits and len(profile.external_ids) > external_ids
    )
    return found.segment_id


async def _every_page(client: Client, path: str, **query: Any) -> list[Answer]:
    """Follows the cursors to the end."""
    pages = [await client.segment(path, **query)]
    while following := pages[-1].body["cursor"]["next"]:
        assert len(pages) < 1000, "the cursors never end"
        pages.append(await client.segment(path, **query, next=following))
    return pages


# --- who may ask, and for what ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {},
        basic("wrong"),
        basic("", ACCESS_TOKEN),
        basic(ACCESS_TOKEN, "password"),
        {"Authorization": f"Bearer {ACCESS_TOKEN}"},
        {"X-App-Id": APPLICATION_ID, "X-App-Token": SECRET_KEY},
    ],
    ids=["nothing", "another token", "the token as password", "a password", "a bearer token", "voucherify's"],
)
@pytest.mark.parametrize("path", ["", "/segment_id:use_1/traits", "/segment_id:use_1/external_ids"])
async def test_only_the_access_token_as_user_name_opens_the_api(
    client: Client, path: str, headers: dict[str, str]
) -> None:
    assert segment_error(await client.segment(path, headers=headers)) == (401, "authentication_error")


@pytest.mark.parametrize("path", ["", "/segment_id:use_1/traits", "/segment_id:use_1/external_ids"])
async def test_another_space_is_not_found(client: Client, path: str) -> None:
    assert segment_error(await client.segment(path, space="spa_other")) == (404, "not_found")


# --- the listing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 99, 100])
async def test_a_page_has_as_many_profiles_as_asked_for(client: Client, limit: int) -> None:
    answer = await client.segment(limit=limit)
    assert answer.status == 200
    assert len(answer.body["data"]) == answer.body["cursor"]["limit"] == limit


@pytest.mark.parametrize("limit", ["0", "101", "-1", "1.5", "ten", ""])
async def test_a_page_of_fewer_than_1_or_more_than_100_profiles_is_refused(client: Client, limit: str) -> None:
    assert segment_error(await client.segment(limit=limit)) == (400, "validation_error")


@pytest.mark.parametrize("cursor", ["abc", "-1", "1.0"])
async def test_a_cursor_that_is_not_a_number_is_refused(client: Client, cursor: str) -> None:
    assert segment_error(await client.segment(next=cursor)) == (400, "validation_error")


async def test_the_cursors_lead_past_every_profile_once_and_end_empty(client: Client) -> None:
    pages = await _every_page(client, "", limit=100)
    cursors = [(page.body["cursor"]["next"], page.body["cursor"]["has_more"]) for page in pages]
    assert cursors == [("100", True), ("200", True), ("", False)]
    ids = [entry["segment_id"] for page in pages for entry in page.body["data"]]
    assert ids == [client.sandbox.space.segment_id(index) for index in range(250)]


@pytest.mark.parametrize(("profiles", "sizes"), [(0, [0]), (1, [1]), (200, [100, 100])])
async def test_the_last_page_is_the_one_that_reaches_the_end(connect: Connect, profiles: int, sizes: list[int]) -> None:
    pages = await _every_page(await connect(quick(profiles=profiles)), "", limit=100)
    assert [len(page.body["data"]) for page in pages] == sizes


async def test_the_first_page_is_at_0_and_any_number_of_profiles_can_be_skipped(client: Client) -> None:
    first, fourth = [(await client.segment(limit=5, next=cursor)).body["data"] for cursor in (0, 3)]
    assert first == (await client.segment(limit=5)).body["data"]
    assert first[3:] == fourth[:2]


async def test_a_cursor_beyond_the_end_gives_an_empty_last_page(client: Client) -> None:
    answer = await client.segment(next=250)
    assert (answer.status, answer.body["data"], answer.body["cursor"]["has_more"]) == (200, [], False)


# --- traits -------------------------------------------------------------------------------------------


async def test_10_traits_are_given_when_no_limit_is(client: Client) -> None:
    answer = await client.traits(_segment_id(client, traits=10))
    assert len(answer.body["traits"]) == 10
    assert answer.body["cursor"]["has_more"]


@pytest.mark.parametrize("limit", ["0", "201", "-1", "ten"])
async def test_fewer_than_1_or_more_than_200_traits_a_call_are_refused(client: Client, limit: str) -> None:
    assert segment_error(await client.traits(_segment_id(client), limit=limit)) == (400, "validation_error")


@pytest.mark.parametrize("limit", [7, 200])
async def test_the_cursors_of_traits_lead_past_every_trait_once(client: Client, limit: int) -> None:
    segment_id = _segment_id(client, traits=200)
    traits = client.sandbox.space.profile(client.sandbox.space.index(segment_id) or 0).traits
    pages = await _every_page(client, f"/segment_id:{segment_id}/traits", limit=limit)
    assert [name for page in pages for name in page.body["traits"]] == list(traits)
    assert {name: value for page in pages for name, value in page.body["traits"].items()} == traits
    assert [page.body["cursor"]["has_more"] for page in pages] == [True] * (len(pages) - 1) + [False]
    assert all(len(page.body["traits"]) == limit for page in pages[:-1])


async def test_only_the_named_traits_are_given_where_traits_are_named(client: Client) -> None:
    segment_id = _segment_id(client, traits=200)
    answer = await client.traits(segment_id, limit=200, include="computed_trait_7,computed_trait_229,unknown_trait")
    assert set(answer.body["traits"]) == {"computed_trait_7", "computed_trait_229"}
    assert answer.body["cursor"]["next"] == ""


async def test_a_limit_holds_for_named_traits_too(client: Client) -> None:
    path, names = f"/segment_id:{_segment_id(client, traits=200)}/traits", [f"computed_trait_{n}" for n in range(25)]
    pages = await _every_page(client, path, include=",".join(names))
    assert [len(page.body["traits"]) for page in pages] == [10, 10, 5]


# --- external ids -------------------------------------------------------------------------------------


@pytest.mark.parametrize("query", [{}, {"limit": 25}, {"limit": 26}, {"limit": 1000}])
async def test_25_external_ids_are_the_most_whatever_the_limit(client: Client, query: dict[str, int]) -> None:
    answer = await client.external_ids(_segment_id(client, external_ids=25), **query)
    assert len(answer.body["data"]) == answer.body["cursor"]["limit"] == 25
    assert answer.body["cursor"]["has_more"]


@pytest.mark.parametrize("limit", [3, 100])
async def test_the_cursors_of_external_ids_lead_past_every_id_once(client: Client, limit: int) -> None:
    segment_id = _segment_id(client, external_ids=25)
    pages = await _every_page(client, f"/segment_id:{segment_id}/external_ids", limit=limit)
    found = [entry for page in pages for entry in page.body["data"]]
    assert found == list(client.sandbox.space.profile(client.sandbox.space.index(segment_id) or 0).external_ids)
    assert set(found[0]) == {"id", "type", "source_id", "collection", "created_at", "encoding"}
    assert len(pages) > 1


async def test_an_identifier_beyond_the_first_page_is_on_the_first_where_its_type_is_named(client: Client) -> None:
    segment_id = _segment_id(client, external_ids=32)
    unasked = await client.external_ids(segment_id)
    asked = await client.external_ids(segment_id, include="user_id")
    assert {entry["type"] for entry in unasked.body["data"]} == {"anonymous_id"}
    assert {entry["type"] for entry in asked.body["data"]} == {"user_id"}
    both = await client.external_ids(segment_id, include="user_id,email")
    assert {entry["type"] for entry in both.body["data"]} == {"user_id", "email"}


async def test_a_type_that_a_profile_does_not_have_gives_an_empty_page(client: Client) -> None:
    answer = await client.external_ids(_segment_id(client), include="ios.idfa")
    assert (answer.status, answer.body["data"], answer.body["cursor"]["next"]) == (200, [], "")


# --- both ---------------------------------------------------------------------------------------------


async def test_the_cursors_within_a_profile_are_opaque(client: Client) -> None:
    segment_id = _segment_id(client, traits=10, external_ids=25)
    for answer in (await client.traits(segment_id), await client.external_ids(segment_id)):
        assert not answer.body["cursor"]["next"].isdecimal()


async def test_a_sandbox_that_ignores_include_gives_everything(connect: Connect) -> None:
    client = await connect(quick(ignore_include=True))
    segment_id = _segment_id(client, traits=200, external_ids=25)
    traits = await client.traits(segment_id, limit=200, include="email")
    external_ids = await client.external_ids(segment_id, include="user_id")
    assert (len(traits.body["traits"]), len(external_ids.body["data"])) == (200, 25)


@pytest.mark.parametrize("part", ["traits", "external_ids"])
@pytest.mark.parametrize("profile", ["segment_id:use_unknown", "segment_id:", "use_unknown", "user_id:user-1"])
async def test_a_profile_that_the_space_does_not_have_is_not_found(client: Client, profile: str, part: str) -> None:
    assert segment_error(await client.segment(f"/{profile}/{part}")) == (404, "not_found")


@pytest.mark.parametrize("part", ["traits", "external_ids"])
async def test_an_id_of_another_kind_is_not_a_segment_id(client: Client, part: str) -> None:
    assert segment_error(await client.segment(f"/user_id:{_segment_id(client)}/{part}")) == (404, "not_found")


@pytest.mark.parametrize("part", ["traits", "external_ids"])
async def test_a_missing_profile_is_listed_and_then_not_found(connect: Connect, part: str) -> None:
    client = await connect(quick(profiles=3, missing=1.0))
    listed = [entry["segment_id"] for entry in (await client.segment()).body["data"]]
    assert len(listed) == 3
    for segment_id in listed:
        assert segment_error(await client.segment(f"/segment_id:{segment_id}/{part}")) == (404, "not_found")


@pytest.mark.parametrize("part", ["traits", "external_ids"])
async def test_ids_in_a_path_may_be_percent_encoded(client: Client, part: str) -> None:
    segment_id = _segment_id(client)
    encoded = f"/segment%5Fid%3A{segment_id.replace('_', '%5f')}/{part}"
    assert (await client.segment(encoded)).body["cursor"]["limit"] == (10 if part == "traits" else 25)
    assert segment_error(await client.segment(f"/segment_id:{segment_id}%2B/{part}")) == (404, "not_found")


@pytest.mark.parametrize("part", ["traits", "external_ids"])
async def test_an_invalid_cursor_is_refused_as_every_bad_request_is(client: Client, part: str) -> None:
    answer = await client.segment(f"/segment_id:{_segment_id(client)}/{part}", next="zzz")
    assert isinstance(answer.body, dict)
    assert segment_error(answer)[0] == 400
    assert "Request-Id" in answer.headers


@pytest.mark.parametrize("part", ["traits", "external_ids"])
async def test_a_cursor_to_before_the_beginning_is_refused(client: Client, part: str) -> None:
    cursor = urlsafe_b64encode(b"-5").decode()
    assert (await client.segment(f"/segment_id:{_segment_id(client)}/{part}", next=cursor)).status == 400
