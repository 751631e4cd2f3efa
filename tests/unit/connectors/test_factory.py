"""The source that the settings make: which traits it asks for."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from segsync.connectors.factory import connect_services
from segsync.events import ignore
from segsync.mapping.customer import MAPPED_TRAITS
from tests.support.configured import settings
from tests.support.scripted import Script, answer, scripted_server


async def read_traits(script: Script, given: dict[str, str]) -> None:
    async with (
        scripted_server(script) as url,
        connect_services(settings(segment_base_url=url, **given), ignore) as (source, _),
    ):
        await source.traits("use_1")


@pytest.mark.parametrize(
    ("given", "more"),
    [
        ({}, []),
        ({"metadata_traits": "plan,ltv=lifetime_value"}, ["plan", "lifetime_value"]),
        ({"attribute_traits": "phone=mobile_phone,address.city=town"}, ["mobile_phone", "town"]),
        ({"attribute_traits": "name=full_name,email=email", "metadata_traits": "full_name"}, ["full_name"]),
    ],
)
async def test_the_mapped_and_the_named_traits_are_asked_for_each_once(given: dict[str, str], more: list[str]) -> None:
    script = Script(answer({"traits": {}, "cursor": {"next": ""}}))
    await read_traits(script, given)
    [call] = script.calls
    assert parse_qs(urlsplit(call).query)["include"] == [",".join([*MAPPED_TRAITS, *more])]


async def test_all_traits_are_asked_for_where_metadata_takes_all_others() -> None:
    script = Script(answer({"traits": {}, "cursor": {"next": ""}}))
    await read_traits(script, {"attribute_traits": "phone=mobile_phone", "metadata_traits": "*"})
    assert "include" not in script.calls[0]
