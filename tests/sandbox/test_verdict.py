"""The verdict compares what the sandbox received with what it should have received."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from segsync.sandbox.options import SandboxOptions
from segsync.sandbox.profiles import Space
from tests.conftest import StartSandbox
from tests.sandbox.clients import Client, quick
from tests.sandbox.conftest import Connect

Customer = dict[str, Any]

OPTIONS = quick(profiles=60, anonymous=0.3)


def _expected(options: SandboxOptions, first: int = 0, last: int | None = None) -> list[Customer]:
    space = Space(options)
    made = (space.profile(index).customer for index in range(first, options.profiles if last is None else last))
    return [customer for customer in made if customer]


@pytest.fixture
async def client(connect: Connect) -> Client:
    return await connect(OPTIONS)


@pytest.fixture
def customers() -> list[Customer]:
    return _expected(OPTIONS)


async def test_everything_that_should_have_come_and_nothing_else_is_right(
    client: Client, customers: list[Customer]
) -> None:
    assert (await client.upsert(*customers)).status == 202
    verdict = client.sandbox.verdict()
    assert verdict.is_right
    assert 30 < len(customers) < 55
    assert (verdict.expected, verdict.arrived, verdict.accepted) == (len(customers),) * 3
    assert (verdict.missing, verdict.wrong, verdict.unexpected) == ([], [], [])


async def test_nothing_received_is_everything_missing(client: Client, customers: list[Customer]) -> None:
    verdict = client.sandbox.verdict()
    assert not verdict.is_right
    assert (verdict.expected, verdict.arrived, verdict.missing_count) == (len(customers), 0, len(customers))
    assert verdict.missing == [customer["source_id"] for customer in customers][:5], "the first few are named"


async def test_a_customer_that_did_not_come_is_missing(client: Client, customers: list[Customer]) -> None:
    left_out = customers.pop(7)
    await client.upsert(*customers)
    verdict = client.sandbox.verdict()
    assert not verdict.is_right
    assert (verdict.missing, verdict.missing_count) == ([left_out["source_id"]], 1)
    assert (verdict.arrived, verdict.wrong_count, verdict.unexpected_count) == (len(customers), 0, 0)


@pytest.mark.parametrize(
    "change",
    [{"name": "Somebody Else"}, {"system_metadata": {}}, {"birthday": "1900-01-01"}, {"birthdate": "1900-01-01"}],
    ids=str,
)
async def test_a_customer_with_another_attribute_is_wrong(
    client: Client, customers: list[Customer], change: Customer
) -> None:
    customers[3] |= change
    await client.upsert(*customers)
    verdict = client.sandbox.verdict()
    assert not verdict.is_right
    assert (verdict.wrong, verdict.wrong_count) == ([customers[3]["source_id"]], 1)
    assert (verdict.arrived, verdict.missing_count, verdict.unexpected_count) == (len(customers) - 1, 0, 0)


async def test_a_customer_without_one_of_its_attributes_is_wrong(client: Client, customers: list[Customer]) -> None:
    named = next(customer for customer in customers if "name" in customer)
    del named["name"]
    await client.upsert(*customers)
    assert client.sandbox.verdict().wrong == [named["source_id"]]


async def test_a_null_in_place_of_nothing_is_wrong(client: Client, customers: list[Customer]) -> None:
    plain = next(customer for customer in customers if "address" not in customer)
    plain["address"] = None
    await client.upsert(*customers)
    assert client.sandbox.verdict().wrong == [plain["source_id"]]


async def test_a_customer_that_nobody_is_is_unexpected(client: Client, customers: list[Customer]) -> None:
    await client.upsert(*customers, {"source_id": "anon-1-0"})
    verdict = client.sandbox.verdict()
    assert not verdict.is_right
    assert (verdict.unexpected, verdict.unexpected_count) == (["anon-1-0"], 1)
    assert (verdict.arrived, verdict.missing_count, verdict.wrong_count) == (len(customers), 0, 0)


async def test_the_customer_of_a_missing_profile_is_unexpected(connect: Connect) -> None:
    options = quick(profiles=60, missing=0.3)
    client = await connect(options)
    space = client.sandbox.space
    present: list[Customer] = []
    deleted: list[Customer] = []
    for index in range(len(space)):
        if customer := space.profile(index).customer:
            (deleted if space.is_missing(index) else present).append(customer)
    assert deleted
    await client.upsert(*present)
    assert client.sandbox.verdict().is_right
    await client.upsert(deleted[0])
    assert client.sandbox.verdict().unexpected == [deleted[0]["source_id"]]


async def test_a_customer_twice_in_one_request_is_reported_and_not_right(
    client: Client, customers: list[Customer]
) -> None:
    await client.upsert(*customers, customers[0], customers[0], customers[1])
    verdict = client.sandbox.verdict()
    assert verdict.repeated_in_a_request == 3
    assert (verdict.arrived, verdict.accepted) == (len(customers), len(customers) + 3)
    assert not verdict.is_right


async def test_the_same_customers_in_another_request_do_no_harm(client: Client, customers: list[Customer]) -> None:
    await client.upsert(*customers)
    await client.upsert(*customers)
    verdict = client.sandbox.verdict()
    assert verdict.is_right
    assert (verdict.arrived, verdict.accepted) == (len(customers), 2 * len(customers))
    assert verdict.batch_sizes == [len(customers)] * 2


async def test_a_later_upsert_can_make_a_customer_wrong_and_right_again(
    client: Client, customers: list[Customer]
) -> None:
    named = next(customer for customer in customers if "name" in customer)
    await client.upsert(*customers)
    await client.upsert({"source_id": named["source_id"], "name": "Somebody Else"})
    assert client.sandbox.verdict().wrong == [named["source_id"]]
    await client.upsert(named)
    assert client.sandbox.verdict().is_right


async def test_nothing_is_right_while_an_action_is_not_done(connect: Connect) -> None:
    client = await connect(quick(profiles=0, action_seconds=60))
    assert client.sandbox.verdict().is_right
    await client.upsert()
    verdict = client.sandbox.verdict()
    assert verdict.pending_actions == 1
    assert not verdict.is_right


@pytest.mark.parametrize("refusal", ["refused_later", "refused_at_once"])
async def test_customers_that_the_sandbox_refuses_are_counted_and_not_missing(connect: Connect, refusal: str) -> None:
    options = quick(profiles=60, **{refusal: 0.3})
    client, customers = await connect(options), _expected(options)
    for customer in customers:
        await client.upsert(customer)
    verdict = client.sandbox.verdict()
    assert 5 < verdict.refused < 30
    assert (verdict.expected, verdict.arrived) == (len(customers), len(customers) - verdict.refused)
    assert verdict.is_right


async def test_a_verdict_on_some_of_the_profiles_expects_only_their_customers(client: Client) -> None:
    part, before = _expected(OPTIONS, 20, 40), _expected(OPTIONS, 0, 20)
    await client.upsert(*part)
    assert client.sandbox.verdict(20, 40).is_right
    assert client.sandbox.verdict(20, 40).expected == len(part)
    assert client.sandbox.verdict().missing_count == len(_expected(OPTIONS)) - len(part)
    await client.upsert(before[0])
    assert client.sandbox.verdict(20, 40).unexpected == [before[0]["source_id"]]
    assert client.sandbox.verdict(40, 1_000).expected == len(_expected(OPTIONS, 40))


async def test_a_verdict_counts_the_calls_of_each_service(connect: Connect) -> None:
    client = await connect(quick(segment_requests_per_second=2, voucherify_requests_per_minute=1))
    for _ in range(5):
        await client.segment()
    for _ in range(3):
        await client.upsert({"source_id": "ada"})
    verdict = client.sandbox.verdict()
    assert (verdict.segment_calls, verdict.segment_rate_limited) == (5, 3)
    assert (verdict.voucherify_calls, verdict.voucherify_rate_limited) == (3, 2)


async def test_a_verdict_counts_how_often_actions_were_read_and_listed(connect: Connect) -> None:
    client = await connect(quick(voucherify_requests_per_minute=4))
    await client.action(await client.upsert({"source_id": "ada"}))
    assert (await client.voucherify("/v1/async-actions/aa_unknown")).status == 404
    listings = [await client.voucherify("/v1/async-actions", limit=limit) for limit in (1, 100, 1)]
    assert [listing.status for listing in listings] == [200, 200, 429], "those that are refused came, too"
    verdict = client.sandbox.verdict()
    assert (verdict.action_reads, verdict.action_listings) == (2, 3)
    assert verdict.voucherify_calls == 6


async def test_the_verdict_of_a_process_waits_until_what_it_received_is_written(
    start_sandbox: StartSandbox, session: aiohttp.ClientSession
) -> None:
    options = quick(profiles=60, action_seconds=0.05)
    sandbox, customers = start_sandbox(options), _expected(options)
    await Client(session, sandbox.url).upsert(*customers[1:], {"source_id": "nobody"})
    verdict = sandbox.verdict()
    assert verdict.pending_actions == 0
    assert verdict.arrived == len(customers) - 1
    assert verdict.missing == [customers[0]["source_id"]]
    assert verdict.unexpected == ["nobody"]
    assert not verdict.is_right
    assert sandbox.verdict(0, 10).expected == len(_expected(options, 0, 10))
