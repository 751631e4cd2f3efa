"""The vendor's own client, generated from its OpenAPI document, finds in the sandbox what it finds at Voucherify."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, date, datetime
from typing import Any

import pytest
from pydantic import ValidationError
from voucherify.api.async_actions_api import AsyncActionsApi
from voucherify.api.customers_api import CustomersApi
from voucherify.api.metadata_schemas_api import MetadataSchemasApi
from voucherify.api_client import ApiClient
from voucherify.configuration import Configuration
from voucherify.exceptions import ApiException, BadRequestException, NotFoundException, UnauthorizedException
from voucherify.models.async_action_get_response_body import AsyncActionGetResponseBody
from voucherify.models.customers_update_in_bulk_request_body import CustomersUpdateInBulkRequestBody
from voucherify.models.customers_update_in_bulk_request_body_address import CustomersUpdateInBulkRequestBodyAddress

from segsync.sandbox.actions import Action
from segsync.sandbox.options import SandboxOptions
from segsync.sandbox.process import SandboxProcess
from segsync.sandbox.profiles import Space
from tests.conftest import StartSandbox
from tests.sandbox.clients import VOUCHERIFY_HEADERS, quick

NOT_IN_THE_MODEL = {"system_metadata"}


class Vendor:
    """The vendor's client of a sandbox."""

    def __init__(self, client: ApiClient) -> None:
        self.customers = CustomersApi(client)
        self.actions = AsyncActionsApi(client)
        self.schemas = MetadataSchemasApi(client)

    def upsert(self, *customers: CustomersUpdateInBulkRequestBody) -> str:
        action_id = self.customers.update_customers_in_bulk(list(customers)).async_action_id
        assert action_id
        return action_id

    def when_done(self, action_id: str, status: str = "DONE") -> AsyncActionGetResponseBody:
        for _ in range(500):
            action = self.actions.get_async_action(action_id)
            if action.status == status:
                return action
            time.sleep(0.02)
        raise AssertionError(f"Action {action_id} is not {status}")


OpenVendor = Callable[..., Vendor]


@pytest.fixture
def vendor_of() -> Iterator[OpenVendor]:
    """Clients that let go of their connections when the test ends."""
    with ExitStack() as stack:

        def open_vendor(sandbox: SandboxProcess, credentials: dict[str, str] | None = None) -> Vendor:
            client = ApiClient(Configuration(host=sandbox.url, api_key=credentials or dict(VOUCHERIFY_HEADERS)))
            stack.callback(client.rest_client.pool_manager.clear)
            return Vendor(client)

        yield open_vendor


@pytest.fixture
def vendor(start_sandbox: StartSandbox, vendor_of: OpenVendor) -> Vendor:
    return vendor_of(start_sandbox(quick()))


def _expected(options: SandboxOptions) -> list[dict[str, Any]]:
    space = Space(options)
    return [customer for index in range(len(space)) if (customer := space.profile(index).customer)]


def test_customers_are_written_and_read(vendor: Vendor) -> None:
    address = CustomersUpdateInBulkRequestBodyAddress(city="Katowice", line_1="Porcelanowa 23")
    ada = CustomersUpdateInBulkRequestBody(
        source_id="käufer/1+a b",
        name="Ada",
        birthdate=date(1815, 12, 10),
        address=address,
        metadata={"plan": "pro", "tags": ["a", "ü"]},
    )
    vendor.when_done(vendor.upsert(ada, CustomersUpdateInBulkRequestBody(source_id="grace")))
    read = vendor.customers.get_customer("käufer/1+a b")
    assert (read.source_id, read.name, read.birthdate) == (ada.source_id, "Ada", date(1815, 12, 10))
    assert read.metadata == ada.metadata
    assert read.address
    assert (read.address.city, read.address.line_1, read.address.state) == ("Katowice", "Porcelanowa 23", None)
    assert vendor.customers.get_customer("grace").source_id == "grace"


def test_a_whole_space_arrives_through_it(start_sandbox: StartSandbox, vendor_of: OpenVendor) -> None:
    options = quick(profiles=80)
    sandbox, customers = start_sandbox(options), _expected(options)
    vendor = vendor_of(sandbox)
    vendor.when_done(vendor.upsert(*map(CustomersUpdateInBulkRequestBody.model_validate, customers)))
    verdict = sandbox.verdict()
    assert (verdict.expected, verdict.missing_count, verdict.unexpected_count) == (len(customers), 0, 0)
    assert verdict.wrong_count == len(customers), "its model knows no system_metadata"
    for customer in customers:
        read = vendor.customers.get_customer(customer["source_id"])
        sent = {name: value for name, value in customer.items() if name not in NOT_IN_THE_MODEL}
        got = json.loads(read.model_dump_json(include=set(sent)))
        if "address" in sent:
            got["address"] = {name: value for name, value in got["address"].items() if value is not None}
        assert got == sent


def test_an_action_is_in_progress_and_then_done(start_sandbox: StartSandbox, vendor_of: OpenVendor) -> None:
    vendor = vendor_of(start_sandbox(quick(action_seconds=0.3)))
    action_id = vendor.upsert(CustomersUpdateInBulkRequestBody(source_id="ada"))
    action = vendor.actions.get_async_action(action_id)
    assert (action.id, action.status, action.operation_status) == (action_id, "IN_PROGRESS", "UNKNOWN")
    assert action.result is None
    with pytest.raises(NotFoundException):
        vendor.customers.get_customer("ada")
    action = vendor.when_done(action_id)
    assert action.operation_status == "SUCCESS"
    assert action.result
    assert action.result["done_count"] == 1
    assert vendor.customers.get_customer("ada").source_id == "ada"


def test_an_action_names_the_customers_that_were_refused_later(
    start_sandbox: StartSandbox, vendor_of: OpenVendor
) -> None:
    vendor = vendor_of(start_sandbox(quick(refused_later=1.0)))
    action = vendor.when_done(vendor.upsert(CustomersUpdateInBulkRequestBody(source_id="ada")))
    assert action.operation_status == "FAILED"
    assert action.result
    assert [error["source_id"] for error in action.result["errors"]] == ["ada"]
    assert len(action.result["reports"]) == 1
    with pytest.raises(NotFoundException):
        vendor.customers.get_customer("ada")


def test_an_action_that_failed_wrote_nobody(start_sandbox: StartSandbox, vendor_of: OpenVendor) -> None:
    vendor = vendor_of(start_sandbox(quick(failed_actions=1.0)))
    action = vendor.when_done(vendor.upsert(CustomersUpdateInBulkRequestBody(source_id="ada")), "FAILED")
    assert (action.operation_status, action.result) == ("FAILED", None)
    [listed] = vendor.actions.list_async_actions(limit=100).async_actions or []
    assert (listed.id, listed.status, listed.operation_status) == (action.id, "FAILED", "FAILED")
    with pytest.raises(NotFoundException):
        vendor.customers.get_customer("ada")


def test_actions_are_listed(vendor: Vendor) -> None:
    ids = [vendor.upsert(CustomersUpdateInBulkRequestBody(source_id="ada")) for _ in range(3)]
    listed = vendor.actions.list_async_actions(limit=2)
    assert [action.id for action in listed.async_actions or []] == [ids[2], ids[1]]
    assert listed.has_more


def test_the_metadata_schema_is_read(start_sandbox: StartSandbox, vendor_of: OpenVendor) -> None:
    schema = vendor_of(start_sandbox(quick(defined_metadata_only=True))).schemas.get_metadata_schema("customer")
    assert schema.related_object == "customer"
    assert schema.allow_defined_only
    assert schema.properties
    assert schema.properties["plan"]["type"] == "string"


def test_wrong_credentials_are_refused(start_sandbox: StartSandbox, vendor_of: OpenVendor) -> None:
    vendor = vendor_of(start_sandbox(quick()), VOUCHERIFY_HEADERS | {"X-App-Token": "wrong"})
    with pytest.raises(UnauthorizedException):
        vendor.upsert(CustomersUpdateInBulkRequestBody(source_id="ada"))


def test_a_customer_without_a_source_id_is_refused(vendor: Vendor) -> None:
    with pytest.raises(BadRequestException) as refused:
        vendor.upsert(CustomersUpdateInBulkRequestBody(name="Ada"))
    assert json.loads(refused.value.body or "")["key"] == "invalid_customer"


def test_a_call_beyond_the_limit_is_answered_with_the_wait(start_sandbox: StartSandbox, vendor_of: OpenVendor) -> None:
    vendor = vendor_of(start_sandbox(quick(voucherify_requests_per_minute=1)))
    vendor.upsert(CustomersUpdateInBulkRequestBody(source_id="ada"))
    with pytest.raises(ApiException) as refused:
        vendor.upsert(CustomersUpdateInBulkRequestBody(source_id="ada"))
    assert refused.value.status == 429
    assert refused.value.headers
    assert 1 <= int(refused.value.headers["Retry-After"]) <= 61
    assert refused.value.headers["X-Rate-Limit-Type"] == "bulk_api_calls"


# --- the vendor's models of an action and of a customer -----------------------------------------------


STATES = {
    "in progress": (59.0, False, set[str](), "IN_PROGRESS", "UNKNOWN"),
    "done": (60.0, False, set[str](), "DONE", "SUCCESS"),
    "done, one refused": (60.0, False, {"ada"}, "DONE", "FAILED"),
    "failed": (60.0, True, set[str](), "FAILED", "FAILED"),
    "failed, one would have been refused": (60.0, True, {"ada"}, "FAILED", "FAILED"),
}


@pytest.mark.parametrize(("now", "fails", "refused", "status", "operation_status"), STATES.values(), ids=STATES)
def test_an_action_is_one_to_the_vendors_model_however_it_stands(
    now: float, fails: bool, refused: set[str], status: str, operation_status: str
) -> None:
    customers = [{"source_id": "ada"}, {"source_id": "grace"}]
    accepted_at = datetime(2026, 1, 2, tzinfo=UTC)
    action = Action("aa_1", "v-1", accepted_at, 1.0, 60.0, customers, frozenset(refused), fails)
    fields = action.describe(now)
    if status == "DONE":
        fields["result"] = action.result("http://localhost/reports/aa_1.csv", 1000)
    assert set(fields) <= set(AsyncActionGetResponseBody.model_fields)
    model = AsyncActionGetResponseBody.from_json(json.dumps(fields))
    assert model
    assert (model.id, model.status, model.operation_status) == ("aa_1", status, operation_status)
    assert model.created_at == accepted_at
    assert (model.result is None) == (status != "DONE")


@pytest.mark.parametrize("seed", [1, 2])
def test_every_expected_customer_is_one_to_the_vendors_model(seed: int) -> None:
    known = set(CustomersUpdateInBulkRequestBody.model_fields)
    known_of_address = set(CustomersUpdateInBulkRequestBodyAddress.model_fields)
    customers = _expected(quick(profiles=400, seed=seed))
    assert len(customers) > 300
    for customer in customers:
        assert set(customer) - known == NOT_IN_THE_MODEL
        assert set(customer.get("address", {})) <= known_of_address
        model = CustomersUpdateInBulkRequestBody.model_validate(customer)
        assert str(model.birthdate) == str(customer.get("birthdate"))
        assert model.name == customer.get("name")


@pytest.mark.parametrize(
    "invalid", [{"name": 7}, {"phone": 48}, {"birthdate": "1990-02-30"}, {"metadata": ["a"]}, {"address": {"city": 7}}]
)
def test_the_vendors_model_would_notice(invalid: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CustomersUpdateInBulkRequestBody.model_validate({"source_id": "ada", **invalid})
