"""Whole runs against a Segment that forgets its cursors."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import web

from segsync.events import ListedAnew
from segsync.models import Outcomes
from tests.integration.hostile.imported import assert_is_a_sentence, imported
from tests.support.hostile import hostile_server, people
from tests.support.scripted import answer

SECOND_PAGE = "profiles.limit=100&next=100$"


@pytest.mark.parametrize("status", [400, 410])
async def test_a_cursor_that_expires_stops_the_run_and_a_resume_lists_anew(tmp_path: Path, status: int) -> None:
    refuse = answer({"error": {"code": "invalid_request_error"}}, status)

    async def refuse_for_the_last_time(request: web.Request) -> web.StreamResponse:
        hostile.behave()
        return await refuse(request)

    async with hostile_server(people(250)) as hostile:
        hostile.instead(SECOND_PAGE, refuse)
        first = await imported(hostile, tmp_path)
        hostile.behave()
        assert (first.report.state, first.report.resume_offset) == ("stopped", "100")
        assert_is_a_sentence(first.error)

        calls = len(hostile.calls)
        hostile.instead(SECOND_PAGE, refuse_for_the_last_time)
        resumed = await imported(hostile, tmp_path, resume=True)
        assert (resumed.report.state, resumed.report.outcomes) == ("done", Outcomes(confirmed=250)), resumed.error
        assert resumed.events.of(ListedAnew) == [ListedAnew(100)]
        assert sorted(hostile.source_ids) == sorted(f"user-{index}" for index in range(250)), "nobody twice"
        assert sum("/traits" in call for call in hostile.calls[calls:]) == 150
