"""Whole imports from memory to memory: the traits that ATTRIBUTE_TRAITS names."""

from __future__ import annotations

import msgspec
import pytest

from segsync.mapping.problems import NAMED_NOT_A_DATE
from segsync.report.profile_lists import WARNINGS
from tests.job.world import World


async def test_the_named_traits_are_read_first_and_warned_of_by_their_names(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[dict[str, object]] = []
    upsert = world.voucherify.upsert

    async def kept(body: bytes) -> str:
        sent.extend(msgspec.json.decode(body))
        return await upsert(body)

    monkeypatch.setattr(world.voucherify, "upsert", kept)
    world.source.traits = {"mobile_phone": "+48 1", "phone": "+48 2", "name": "Ada", "dob": "soon", "town": "T"}
    named = "phone=mobile_phone,name=full_name,birthdate=dob,address.city=town"
    report = await world.run(settings={"attribute_traits": named}, limit=1)
    [customer] = sent
    assert (customer["phone"], customer["name"], customer["address"]) == ("+48 1", "Ada", {"city": "T"})
    assert customer["birthdate"] is None
    assert report.warnings == {"dob": 1}
    assert (world.directory / WARNINGS).read_text().splitlines()[1:] == [f'0,dob,"{NAMED_NOT_A_DATE}"']
