"""Cursors that Segment refuses."""

from __future__ import annotations

import pytest

from segsync.connectors.segment import SegmentSource
from segsync.errors import AccessError, CursorError, RefusedError
from tests.support.scripted import Script, answer, client_to

FIRST = answer({"data": [{"segment_id": "use_1"}], "cursor": {"next": "later", "has_more": True}})


async def listed(script: Script) -> list[str]:
    found = []
    async with client_to(script) as client:
        async for page in SegmentSource(client, identifier_type="user_id", traits=None).pages("old"):
            found.append(page.cursor)
    return found


@pytest.mark.parametrize("status", [400, 410])
async def test_the_first_cursor_of_a_listing_that_is_refused_is_an_error_of_its_own(status: int) -> None:
    with pytest.raises(CursorError, match="Is 'old' an offset or cursor of this space"):
        await listed(Script(answer({"error": {"code": "validation_error"}}, status)))


@pytest.mark.parametrize("status", [404, 405, 422])
async def test_what_else_refuses_the_listing_has_nothing_to_do_with_the_cursor(status: int) -> None:
    with pytest.raises(AccessError) as caught:
        await listed(Script(answer({}, status)))
    assert type(caught.value) is AccessError


@pytest.mark.parametrize("status", [400, 410])
async def test_a_later_cursor_that_is_refused_stops_the_import_and_a_resume_begins_with_it(status: int) -> None:
    with pytest.raises(RefusedError, match="Is 'later' an offset or cursor of this space"):
        await listed(Script(FIRST, answer({}, status)))
