"""What a check reads of a profile's traits: all of them, of which it keeps those that an import reads."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

import pytest
from aiohttp import web

from segsync.check.probe import ServiceProbe
from segsync.check.sample import ReadSample
from segsync.connectors.factory import connect_services
from segsync.events import ignore
from tests.support.configured import settings
from tests.support.scripted import Script, answer, scripted_server


class Space:
    """Profiles whose traits come in pages, as Segment gives them; `anonymous` ones have no user id."""

    def __init__(self, *profiles: dict[str, Any], anonymous: tuple[int, ...] = ()) -> None:
        self.profiles = profiles
        self.anonymous = anonymous
        self.queries: list[str] = []

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        what = request.path.rpartition("/")[2]
        if what == "profiles":
            listed = [{"segment_id": f"use_{number}"} for number in range(len(self.profiles))]
            return await answer({"data": listed, "cursor": {"next": ""}})(request)
        number = int(request.path.rpartition("/")[0].rpartition("_")[2])
        if what == "external_ids":
            ids = [] if number in self.anonymous else [{"type": "user_id", "id": f"u{number}"}]
            return await answer({"data": ids, "cursor": {"next": ""}})(request)
        self.queries.append(request.query_string)
        query = parse_qs(request.query_string)
        names = list(self.profiles[number])
        if "include" in query:
            names = [name for name in query["include"][0].split(",") if name in names]
        begin, limit = int(query.get("next", ["0"])[0]), int(query["limit"][0])
        page = {name: self.profiles[number][name] for name in names[begin : begin + limit]}
        following = str(begin + limit) if begin + limit < len(names) else ""
        return await answer({"traits": page, "cursor": {"next": following, "has_more": bool(following)}})(request)


async def sampled(space: Space, **given: Any) -> ReadSample:
    async with scripted_server(Script(space)) as url:
        found, sample = await ServiceProbe(settings(segment_base_url=url, **given)).sample(100)
    assert found.state == "ok", found
    assert sample is not None
    return sample


async def test_all_traits_are_read_to_the_end_of_the_cursor_and_counted() -> None:
    many = {f"audience_{number}": True for number in range(450)}
    space = Space({"name": "Ada", **many}, {"plan": "pro", "audience_1": True})
    sample = await sampled(space)
    assert not [query for query in space.queries if "include" in query]
    assert len(sample.unmapped) == 451
    assert (sample.unmapped["audience_1"], sample.unmapped["audience_449"], sample.unmapped["plan"]) == (2, 1, 1)
    assert [profile.segment_id for profile in sample.profiles] == ["use_0", "use_1"], "in Segment's order"
    assert [profile.traits and profile.traits.values for profile in sample.profiles] == [{"name": "Ada"}, {}]
    assert sample.calls_for_all == 2.0, "three for the first, one for the second"
    assert [profile.traits and profile.traits.calls for profile in sample.profiles] == [1, 1], "those of an import"


async def test_traits_of_profiles_that_are_not_sent_do_not_count() -> None:
    space = Space({"plan": "pro"}, {"plan": "pro", "email": "a@b.c"}, {"plan": "pro"}, anonymous=(0, 1))
    assert (await sampled(space)).unmapped == {"plan": 1}
    assert len(space.queries) == 1, "nobody asks for their traits"
    by_trait = {"identifier_saved_as_source_id": "email", "identifier_lookup": "traits"}
    assert (await sampled(Space(*space.profiles, anonymous=(0, 1, 2)), **by_trait)).unmapped == {"plan": 1}


@pytest.mark.parametrize("limit", [1, 3, 200])
@pytest.mark.parametrize("metadata_traits", ["", "plan,score", "*"])
async def test_the_calls_are_those_that_an_import_makes(limit: int, metadata_traits: str) -> None:
    profile = {"name": "Ada", "plan": None, "email": "a@b.c", "score": 1, "x": 1, "y": 1, "city": "C"}
    space = Space(profile, {}, {"x": 1, "y": 2, "z": 3, "w": 4})
    given = {"segment_traits_limit": limit, "metadata_traits": metadata_traits}
    sample = await sampled(space, **given)
    async with (
        scripted_server(Script(space)) as url,
        connect_services(settings(segment_base_url=url, **given), ignore) as (source, _),
    ):
        imported = [(await source.traits(f"use_{number}")).calls for number in range(3)]
    assert [profile.traits and profile.traits.calls for profile in sample.profiles] == imported


async def test_a_damaged_trait_that_no_import_reads_is_no_warning() -> None:
    script = Script(
        answer({"data": [{"segment_id": "use_1"}], "cursor": {"next": ""}}),
        answer({"data": [{"type": "user_id", "id": "u1"}], "cursor": {"next": ""}}),
        _damaged,
    )
    async with scripted_server(script) as url:
        _, sample = await ServiceProbe(settings(segment_base_url=url)).sample(1)
    assert sample is not None
    [profile] = sample.profiles
    assert profile.traits is not None
    assert [trait for trait, _ in profile.traits.problems] == ["name"]
    assert sample.unmapped == {"motto": 1}


async def _damaged(_request: web.Request) -> web.StreamResponse:
    body = rb'{"traits":{"name":"Ada\ud83d","motto":"on\ud83d"},"cursor":{"next":""}}'
    return web.Response(body=body, content_type="application/json")
