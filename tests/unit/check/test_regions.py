"""Which regions accept the credentials of a service."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

from segsync.check.probe import ServiceProbe
from segsync.errors import CallError
from tests.support.configured import settings
from tests.support.scripted import Answer, Script, answer, hang_up, scripted_server

YES = {"segment": answer({"data": [], "cursor": {"next": ""}}), "voucherify": answer({"async_actions": []})}
NO = answer({"error": {"code": "authentication_error", "message": "no"}}, 401)


async def regions(connector: str, answers: dict[str, Answer], **own: object) -> dict[str, CallError | None]:
    """What each region of the service answers, whose hosts follow these scripts."""
    async with AsyncExitStack() as stack:
        hosts = {name: await stack.enter_async_context(scripted_server(Script(each))) for name, each in answers.items()}
        probe = ServiceProbe(settings(retry_seconds=0, **own), {"segment": hosts, "voucherify": hosts})
        return await probe.regions(connector)


@pytest.mark.parametrize(
    ("connector", "names", "own"),
    [
        ("segment", ["us", "eu"], {}),
        ("segment", ["eu", "us"], {"segment_region": "eu"}),
        ("voucherify", ["eu", "us", "asia"], {}),
        ("voucherify", ["asia", "eu", "us"], {"voucherify_region": "asia"}),
    ],
)
@pytest.mark.parametrize("accepting", ["us", "eu"])
async def test_every_region_is_asked_the_configured_one_first(
    connector: str, names: list[str], own: dict[str, object], accepting: str
) -> None:
    hosts = sorted(names)
    found = await regions(connector, {name: YES[connector] if name == accepting else NO for name in hosts}, **own)
    assert list(found) == [names[0], *(name for name in hosts if name != names[0])]
    assert [name for name, error in found.items() if error is None] == [accepting]
    assert {error.status for error in found.values() if error} == {401}


async def test_a_region_that_is_not_reached_hides_no_other() -> None:
    found = await regions("segment", {"us": hang_up, "eu": YES["segment"]})
    assert found["us"] is not None
    assert found["us"].status is None
    assert found["eu"] is None


@pytest.mark.parametrize("connector", ["segment", "voucherify"])
async def test_a_base_url_is_asked_alone(connector: str) -> None:
    async with scripted_server(Script(YES[connector])) as url:
        assert await regions(connector, {"us": NO, "eu": NO}, **{f"{connector}_base_url": url}) == {"": None}
