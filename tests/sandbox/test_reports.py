"""The files in which the sandbox's Voucherify names every customer that an action refused."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from yarl import URL

from segsync.sandbox.options import Faults
from tests.conftest import StartSandbox
from tests.sandbox.clients import SEGMENT_HEADERS, VOUCHERIFY_HEADERS, Answer, Client, quick
from tests.sandbox.conftest import Connect

ADA = {"source_id": "ada", "name": "Ada Lovelace", "email": "ada@example.com"}
PEOPLE = [{"source_id": f"person {number}", "name": f"Person {number}"} for number in range(60)]


async def _result(client: Client, *customers: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = (await client.action(await client.upsert(*customers)))["result"]
    return result


async def _report_url(client: Client, *customers: dict[str, Any]) -> str:
    [url] = (await _result(client, *customers))["reports"]
    assert isinstance(url, str)
    return url


def _rows(report: Answer) -> list[dict[str, str]]:
    assert report.status == 200
    return list(csv.DictReader(StringIO(report.body, newline="")))


# --- what is in it ------------------------------------------------------------------------------------


async def test_a_report_has_a_row_for_every_customer_of_its_action_in_order(connect: Connect) -> None:
    client = await connect(quick(refused_later=0.3))
    await _result(client, ADA)
    result = await _result(client, *PEOPLE)
    rows = _rows(await client.download(result["reports"][0]))
    assert [row["source_id"] for row in rows] == [person["source_id"] for person in PEOPLE]
    failed = [row for row in rows if row["status"] == "FAILED"]
    assert 5 < len(failed) == result["failed_count"] < 40
    assert [{name: text for name, text in row.items() if name != "status"} for row in failed] == result["errors"]
    others = [row for row in rows if row not in failed]
    assert len(others) == result["done_count"]
    assert {tuple(row.values())[1:] for row in others} == {("SUCCESS", "", "", "")}


async def test_a_report_is_csv_with_a_header(connect: Connect) -> None:
    client = await connect(quick(refused_later=1.0))
    report = await client.download(await _report_url(client, ADA))
    assert report.headers["Content-Type"].startswith("text/csv")
    assert report.body.splitlines() == [
        "source_id,status,key,message,details",
        "ada,FAILED,invalid_customer,Customer was refused,'Ada Lovelace' <ada@example.com> was refused.",
    ]


@pytest.mark.parametrize("text", ["a,b", 'O\'Neill-"Quote"', "line one\nline two", "käufer/1+a b;李", " ", "=1+1"])
async def test_a_report_holds_any_text(connect: Connect, text: str) -> None:
    client = await connect(quick(refused_later=1.0))
    [row] = _rows(await client.download(await _report_url(client, {"source_id": text, "name": text})))
    assert (row["source_id"], row["details"]) == (text, f"'{text}' was refused.")


@pytest.mark.parametrize("listed", [0, 1, 3, 1000])
async def test_a_result_names_only_so_many_and_the_report_names_all(connect: Connect, listed: int) -> None:
    client = await connect(quick(refused_later=1.0, errors_listed=listed))
    result = await _result(client, *PEOPLE)
    rows = _rows(await client.download(result["reports"][0]))
    assert (result["failed_count"], len(result["errors"])) == (60, min(listed, 60))
    assert [row["source_id"] for row in rows if row["status"] == "FAILED"] == [each["source_id"] for each in PEOPLE]
    assert [error["source_id"] for error in result["errors"]] == [row["source_id"] for row in rows[:listed]]


async def test_a_result_names_1000_by_default(connect: Connect) -> None:
    client = await connect(quick(refused_later=1.0))
    result = await _result(client, *({"source_id": str(number)} for number in range(1001)))
    assert (result["failed_count"], len(result["errors"])) == (1001, 1000)


# --- where and when there is one ----------------------------------------------------------------------


async def test_a_report_is_available_for_a_while(connect: Connect) -> None:
    result = await _result(await connect(quick(refused_later=1.0)), ADA)
    assert datetime.fromisoformat(result["reports_available_till"]) > datetime.now(UTC)


async def test_an_action_that_refused_nobody_has_no_report(connect: Connect) -> None:
    client = await connect(quick())
    accepted = await client.upsert(ADA)
    result = (await client.action(accepted))["result"]
    assert result["reports"] == []
    assert "reports_available_till" not in result
    url = f"{client.url}/reports/{accepted.body['async_action_id']}.csv"
    assert (await client.download(url)).status == 404


@pytest.mark.parametrize(
    "changes", [{"action_seconds": 60}, {"failed_actions": 1.0}], ids=["not ended yet", "ended FAILED"]
)
async def test_only_an_action_that_is_done_has_a_report(connect: Connect, changes: dict[str, Any]) -> None:
    client = await connect(quick(refused_later=1.0, **changes))
    accepted = await client.upsert(ADA)
    url = f"{client.url}/reports/{accepted.body['async_action_id']}.csv"
    assert (await client.download(url)).status == 404


async def test_a_report_that_never_was_is_not_found(connect: Connect) -> None:
    client = await connect(quick(refused_later=1.0))
    url = URL(await _report_url(client, ADA)).with_name("aa_unknown.csv")
    assert (await client.download(str(url))).status == 404


async def test_a_report_is_a_file_and_not_a_call_of_the_api(connect: Connect) -> None:
    client = await connect(quick(refused_later=1.0, voucherify_requests_per_minute=1))
    url = await _report_url(client, ADA)
    client.sandbox.voucherify.faults = Faults(server_error=1.0)
    before = client.sandbox.verdict()
    reports = [await client.download(url) for _ in range(5)]
    assert [report.status for report in reports] == [200] * 5, "no limit, no credentials, no faults"
    assert not any(name.startswith("X-Rate-Limit") for report in reports for name in report.headers)
    assert client.sandbox.verdict() == before


# --- another host -------------------------------------------------------------------------------------


async def test_reports_are_where_the_api_is_by_default(connect: Connect) -> None:
    client = await connect(quick(refused_later=1.0))
    assert (await _report_url(client, ADA)).startswith(f"{client.url}/reports/")


async def test_foreign_reports_are_on_another_host_than_the_api(connect: Connect) -> None:
    client = await connect(quick(refused_later=1.0, foreign_reports=True))
    url, api = URL(await _report_url(client, ADA)), URL(client.url)
    assert (url.host, url.port) == ("localhost", api.port)
    assert api.host == "127.0.0.1"
    assert len(_rows(await client.download(str(url)))) == 1


LEAKS = {
    "the application's id": {"X-App-Id": VOUCHERIFY_HEADERS["X-App-Id"]},
    "the token": {"x-app-token": VOUCHERIFY_HEADERS["X-App-Token"]},
    "both": VOUCHERIFY_HEADERS,
    "Segment's token": SEGMENT_HEADERS,
}


async def _refused_space(connect: Connect) -> tuple[Client, str]:
    """A client of a sandbox that is right although it refuses everybody, and the URL of its foreign report."""
    client = await connect(quick(profiles=10, refused_later=1.0, foreign_reports=True))
    profiles = [client.sandbox.space.profile(index) for index in range(10)]
    url = await _report_url(client, *(profile.customer for profile in profiles if profile.customer))
    assert client.sandbox.verdict().is_right
    return client, url


@pytest.mark.parametrize("headers", LEAKS.values(), ids=LEAKS)
async def test_credentials_that_go_to_another_host_are_noticed_and_not_right(
    connect: Connect, headers: dict[str, str]
) -> None:
    client, url = await _refused_space(connect)
    assert (await client.download(url, headers)).status == 200, "the client gets the file all the same"
    assert (await client.download(str(URL(url).with_name("aa_unknown.csv")), headers)).status == 404
    verdict = client.sandbox.verdict()
    assert verdict.leaked_credentials == 2
    assert not verdict.is_right


async def test_other_headers_are_not_a_leak(connect: Connect) -> None:
    client, url = await _refused_space(connect)
    await client.download(url, {"Accept": "text/csv", "X-App": "segsync"})
    assert client.sandbox.verdict().leaked_credentials == 0
    assert client.sandbox.verdict().is_right


@pytest.mark.parametrize("foreign_reports", [False, True])
async def test_credentials_that_go_to_the_host_of_the_api_are_not_a_leak(
    connect: Connect, foreign_reports: bool
) -> None:
    client = await connect(quick(refused_later=1.0, foreign_reports=foreign_reports))
    url = URL(await _report_url(client, ADA)).with_host("127.0.0.1")
    assert (await client.download(str(url), VOUCHERIFY_HEADERS)).status == 200
    assert client.sandbox.verdict().leaked_credentials == 0


async def test_the_verdict_of_a_process_counts_leaks(start_sandbox: StartSandbox, connect: Connect) -> None:
    sandbox = start_sandbox(quick(profiles=0, foreign_reports=True))
    url = URL(sandbox.url).with_host("localhost").with_path("/reports/aa_unknown.csv")
    client = await connect(quick())
    await client.download(str(url), VOUCHERIFY_HEADERS)
    verdict = sandbox.verdict()
    assert verdict.leaked_credentials == 1
    assert not verdict.is_right
