"""Whole runs against a Voucherify that fails on one customer, with one status or another."""

from __future__ import annotations

from pathlib import Path

import pytest

from segsync.models import Outcomes
from segsync.report.profile_lists import REJECTED
from tests.integration.hostile.imported import TRAITS, UPSERT, assert_it_can_go_on, assert_nobody_is_lost, imported
from tests.support.hostile import hostile_server, people, voucherify_error
from tests.support.scripted import answer

HIM = '"source_id":"user-17"'


@pytest.mark.parametrize("count", [30, 250])
@pytest.mark.parametrize(
    ("status", "key"),
    [(400, "invalid_customer"), (409, "duplicate_found"), (422, "unprocessable"), (500, "internal_error")],
)
async def test_one_bad_customer_costs_one_customer_whatever_the_status(
    tmp_path: Path, count: int, status: int, key: str
) -> None:
    async with hostile_server(people(count)) as hostile:
        hostile.instead(UPSERT, voucherify_error(status, key), body=HIM)
        run = await imported(hostile, tmp_path)
        assert_nobody_is_lost(run)
        assert [row[:3] for row in run.rows(REJECTED)[1:]] == [["use_17", "user-17", "upsert"]]
        assert f"Voucherify answered {status} ({key})" in run.reasons()["use_17"]
        assert (await imported(hostile, tmp_path, resume=True)).report.outcomes == run.report.outcomes


@pytest.mark.parametrize("status", [423, 499])
async def test_a_lock_that_lasts_stops_the_run_with_nobody_rejected(tmp_path: Path, status: int) -> None:
    async with hostile_server(people(30)) as hostile:
        hostile.instead(UPSERT, voucherify_error(status, "resource_locked"), body=HIM)
        run = await imported(hostile, tmp_path)
        assert f"Voucherify answered {status} (resource_locked)" in run.error
        assert (run.report.outcomes, run.rows(REJECTED)) == (Outcomes(pending=30), [])
        await assert_it_can_go_on(run)


async def test_an_outage_stops_the_run_with_nobody_rejected(tmp_path: Path) -> None:
    async with hostile_server(people(250)) as hostile:
        hostile.instead(UPSERT, answer({}, 500))
        run = await imported(hostile, tmp_path)
        assert (run.report.outcomes, run.rows(REJECTED)) == (Outcomes(pending=250), [])
        await assert_it_can_go_on(run)


@pytest.mark.parametrize(("call", "body", "pending"), [(TRAITS, "", 1), (UPSERT, HIM, 100)], ids=["read", "upsert"])
async def test_what_is_to_be_asked_for_in_hours_stays_pending(
    tmp_path: Path, call: str, body: str, pending: int
) -> None:
    async with hostile_server(people(250)) as hostile:
        hostile.instead(call, answer({}, 503, Retry_After="10800"), body=body)
        run = await imported(hostile, tmp_path)
        assert f"{pending} profile" in run.error
        assert (run.report.outcomes, run.rows(REJECTED)) == (Outcomes(confirmed=250 - pending, pending=pending), [])
        await assert_it_can_go_on(run)
