"""Whole imports that read attributes from traits that the operator names."""

from __future__ import annotations

from typing import Any

import pytest

from segsync.mapping.customer import as_text
from segsync.mapping.dates import iso_day
from tests.conftest import StartSandbox
from tests.integration.conftest import Segsync, fast
from tests.integration.test_metadata import arrived, expected_customers

pytestmark = pytest.mark.slow


def test_attributes_are_read_from_the_named_traits_first_and_then_as_ever(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    sandbox = start_sandbox(fast(60))
    named = "description=computed_trait_0,phone=computed_trait_2,address.line_2=computed_trait_1,birthdate=birthday"
    run = segsync(sandbox=sandbox, ATTRIBUTE_TRAITS=named)
    assert run.code == 0, run.stdout + run.stderr
    from_named = 0
    for profile, customer in expected_customers(sandbox):
        texts = {name: as_text(profile.traits.get(f"computed_trait_{name}")) for name in range(3)}
        expected: dict[str, Any] = dict(customer)
        expected |= {name: text for name, text in (("description", texts[0]), ("phone", texts[2])) if text}
        if texts[1]:
            expected["address"] = {**customer.get("address", {}), "line_2": texts[1]}
        if birthday := profile.traits.get("birthday"):
            expected["birthdate"] = iso_day(birthday)
        from_named += expected != customer
        sent = {name: value for name, value in expected.items() if value is not None}
        assert arrived(sandbox, customer["source_id"]) == sent
    assert from_named > 10


def test_an_attribute_that_there_is_not_ends_with_2_and_the_list_of_those_there_are(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    for named in ("fone=mobile_phone", "phone=a,phone=b"):
        run = segsync(sandbox=start_sandbox(fast(1)), ATTRIBUTE_TRAITS=named)
        assert run.code == 2
        message = " ".join(run.stderr.split())
        assert f"ATTRIBUTE_TRAITS={named} must name" in message
        assert "name, email, description, phone, birthdate, address.city, address.state" in message
