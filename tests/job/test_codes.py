"""Whole imports whose profiles have traits that are called like a message: what the page says of them, and why."""

from __future__ import annotations

import pytest

from segsync.mapping.metadata_schema import MetadataSchema
from segsync.models import Outcomes, Profile
from segsync.report.html.page import render
from segsync.settings import Settings
from tests.job.world import SETTINGS, World
from tests.support.memory import refused

TELLING = ("schema_version", "birthdate_source", "in JSON", "too large", "does not say why", "the bulk upsert")


@pytest.mark.parametrize("trait", TELLING)
async def test_a_trait_that_is_called_like_a_message_changes_no_advice(world: World, trait: str) -> None:
    async def some_have_it(segment_id: str) -> Profile:
        number = int(segment_id)
        if number % 10 == 1:
            raise refused(400, f"{trait} is wrong")
        return Profile(segment_id, f"user-{segment_id}", {trait: 7} if number % 10 == 0 else {"metadata": "vip"})

    world.source.read = some_have_it  # type: ignore[method-assign]
    world.voucherify.schema = MetadataSchema(allow_defined_only=True)
    settings = {"metadata_traits": trait, "metadata_undefined": "reject"}
    report = await world.run(settings=settings)
    assert report.outcomes == Outcomes(confirmed=240, rejected=60)
    assert {(group.stage, group.code, group.profiles) for group in report.rejections} == {
        ("map", "metadata-rejected", 30),
        ("read", None, 30),
    }
    again = await world.run(settings=settings, resume=True)
    assert again.rejections == report.rejections, "the ledger knows the codes, too"

    page = " ".join(render(report, Settings(**SETTINGS), steps=[]).split())
    titles = page.split("<h3>")[1:]
    assert [title.partition("<")[0] for title in titles] == [
        "Segment&#39;s answer could not be used",
        "Voucherify&#39;s metadata schema does not allow it",
    ]
    [(problem, profiles)] = [(each.problem, each.profiles) for each in report.problems]
    assert (problem, profiles, report.warned_profiles) == ("is text, not an object", 240, 240)
    warnings = page.partition('id="warnings"')[2].partition("</section>")[0]
    assert "Left out. Voucherify accepts no value of this type there." in warnings
    assert "schema" not in warnings
