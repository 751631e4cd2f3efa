"""The files in which the sandbox's Voucherify has a row for every customer of an action."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from msgspec.structs import replace
from yarl import URL

from segsync.sandbox.options import Faults
from tests.conftest import StartSandbox
from tests.sandbox.clients import SEGMENT_HEADERS, VOUCHERIFY_HEADERS, Answer, Client, quick, voucherify_error
from tests.sandbox.conftest import Connect

ADA = {"source_id": "ada", "name": "Ada Lovelace", "email": "ada@example.com"}
EVERY_COLUMN = "source_id,found,updated,status,key,message,details"
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
    client = await connect(quick(refused_later=0.3, report_columns=EVERY_COLUMN))
    await _result(client, ADA)
    result = await _result(client, *PEOPLE)
    rows = _rows(await client.download(result["reports"][0]))
    assert [row["source_id"] for row in rows] == [person["source_id"] for person in PEOPLE]
    failed = [row for row in rows if row["updated"] == "false"]
    assert 5 < len(failed) == result["failed_count"] < 40
    assert [{name: row[name] for name in result["errors"][0]} for row in failed] == result["errors"]
    others = [row for row in rows if row not in failed]
    assert len(others) == result["done_count"]
    assert {tuple(row.values())[1:] for row in others} == {("false", "true", "SUCCESS", "", "", "")}


async def test_a_report_is_csv_with_the_columns_that_voucherify_documents(connect: Connect) -> None:
    """An upserted customer has `found` false and `updated` true (Voucherify, "Update Customers in Bulk")."""
    client = await connect(quick())
    await client.upsert(ADA)
    client.sandbox.switch(replace(client.sandbox.options, refused_later=0.5))  # of these three, ada and alan
    report = await client.download(await _report_url(client, ADA, {"source_id": "linus"}, {"source_id": "alan"}))
    assert report.headers["Content-Type"].startswith("text/csv")
    assert report.body.splitlines() == [
        "source_id,found,updated",
        "ada,true,false",
        "linus,false,true",
        "alan,false,false",
    ]


@pytest.mark.parametrize(
    ("columns", "row"), [("source_id,status", ["ada", "SUCCESS"]), ("found", ["false"]), ("id,ok", ["", ""])], ids=str
)
async def test_a_report_has_the_columns_that_are_asked_for_and_nothing_in_unknown_ones(
    connect: Connect, columns: str, row: list[str]
) -> None:
    client = await connect(quick(report_columns=columns))
    report = await client.download(await _report_url(client, ADA))
    assert list(csv.reader(StringIO(report.body, newline=""))) == [columns.split(","), row]


@pytest.mark.parametrize("text", ["a,b", 'O\'Neill-"Quote"', "line one\nline two", "käufer/1+a b;李", " ", "=1+1"])
async def test_a_report_holds_any_text(connect: Connect, text: str) -> None:
    client = await connect(quick(refused_later=1.0, report_columns=EVERY_COLUMN))
    [row] = _rows(await client.download(await _report_url(client, {"source_id": text, "name": text})))
    assert (row["source_id"], row["details"]) == (text, f"'{text}' was refused.")


@pytest.mark.parametrize("listed", [0, 1, 3, 1000])
async def test_a_result_names_only_so_many_and_the_report_names_all(connect: Connect, listed: int) -> None:
    client = await connect(quick(refused_later=1.0, errors_listed=listed))
    result = await _result(client, *PEOPLE)
    rows = _rows(await client.download(result["reports"][0]))
    assert (result["failed_count"], len(result["errors"])) == (60, min(listed, 60))
    assert [row["source_id"] for row in rows if row["updated"] == "false"] == [each["source_id"] for each in PEOPLE]
    assert [error["source_id"] for error in result["errors"]] == [row["source_id"] for row in rows[:listed]]


async def test_a_result_names_1000_by_default(connect: Connect) -> None:
    client = await connect(quick(refused_later=1.0))
    result = await _result(client, *({"source_id": str(number)} for number in range(1001)))
    assert (result["failed_count"], len(result["errors"])) == (1001, 1000)


# --- where and when there is one ----------------------------------------------------------------------


async def test_a_report_is_available_for_a_while(connect: Connect) -> None:
    result = await _result(await connect(quick(refused_later=1.0)), ADA)
    assert datetime.fromisoformat(result["reports_available_till"]) > datetime.now(UTC)


async def test_an_action_that_refused_nobody_has_a_report_too(connect: Connect) -> None:
    client = await connect(quick())
    assert _rows(await client.download(await _report_url(client, ADA)))[0]["updated"] == "true"


@pytest.mark.parametrize(
    ("changes", "status"), [({"action_seconds": 60}, 404), ({"failed_actions": 1.0}, 200)], ids=["not ended", "FAILED"]
)
async def test_only_an_action_that_has_ended_has_a_report(
    connect: Connect, changes: dict[str, Any], status: int
) -> None:
    client = await connect(quick(**changes))
    accepted = await client.upsert(ADA)
    report = await client.download(f"{client.url}/reports/{accepted.body['async_action_id']}.csv")
    assert report.status == status
    assert "true" not in str(report.body), "an action that FAILED updated nobody"


async def test_a_report_that_never_was_is_not_found(connect: Connect) -> None:
    client = await connect(quick(refused_later=1.0))
    url = URL(await _report_url(client, ADA)).with_name("aa_unknown.csv")
    assert (await client.download(str(url))).status == 404


async def test_a_report_is_a_file_and_not_a_call_of_the_api(connect: Connect) -> None:
    client = await connect(quick(refused_later=1.0, voucherify_requests_per_minute=1))
    url = await _report_url(client, ADA)
    client.sandbox.switch(replace(client.sandbox.options, voucherify_faults=Faults(server_error=1.0)))
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


WITHOUT_ONE = [{}, *({name: VOUCHERIFY_HEADERS[name]} for name in VOUCHERIFY_HEADERS), SEGMENT_HEADERS]


@pytest.mark.parametrize("headers", WITHOUT_ONE, ids="+".join)
async def test_reports_may_want_both_credentials(connect: Connect, headers: dict[str, str]) -> None:
    client = await connect(quick(reports_want_credentials=True))
    url = await _report_url(client, ADA)
    assert voucherify_error(await client.download(url, headers)) == (401, "unauthorized")
    assert (await client.download(url, VOUCHERIFY_HEADERS)).status == 200
    assert client.sandbox.verdict().leaked_credentials == 0, "this is the host of the API"


async def test_a_foreign_report_that_wants_credentials_is_a_trap(connect: Connect) -> None:
    client = await connect(quick(reports_want_credentials=True, foreign_reports=True))
    url = await _report_url(client, ADA)
    assert (await client.download(url)).status == 401
    assert client.sandbox.verdict().leaked_credentials == 0
    assert (await client.download(url, VOUCHERIFY_HEADERS)).status == 200
    assert client.sandbox.verdict().leaked_credentials == 1


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
