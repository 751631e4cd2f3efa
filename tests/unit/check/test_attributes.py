"""From which trait each attribute comes: as the mapping decides it."""

from __future__ import annotations

from typing import Any

import pytest

from segsync.check.attributes import origins
from segsync.mapping.attributes import AttributeTraits
from segsync.mapping.customer import to_customer
from segsync.models import Profile


@pytest.mark.parametrize(
    ("traits", "named", "expected"),
    [
        ({}, "", {}),
        ({"phone": "1", "plan": "x"}, "", {"phone": "phone"}),
        ({"phone": "1", "mobile": "1"}, "phone=mobile", {"phone": "mobile"}),
        ({"phone": "1", "mobile": []}, "phone=mobile", {"phone": "phone"}),
        ({"phone": "1", "mobile": ""}, "phone=mobile", {"phone": "phone"}),
        ({"name": "N", "full": "F"}, "description=name,name=full", {"name": "full", "description": "name"}),
        ({"firstName": "A", "lastName": "L"}, "", {"name": "firstName"}),
        ({"name": [], "last_name": "L"}, "", {"name": "last_name"}),
        ({"birthday": "1990-01-01"}, "", {"birthdate": "birthday"}),
        ({"birthdate": "soon", "birthday": "1990-01-01"}, "", {}),
        ({"dob": "1990-01-01", "birthdate": "1990-01-01"}, "birthdate=dob", {"birthdate": "dob"}),
        ({"address": {"city": "C"}, "state": "S"}, "", {"address.city": "address"}),
        ({"address": "Main 1", "city": "C"}, "", {"address.city": "city"}),
        (
            {"address": {"city": "C", "street": "M"}, "town": "T"},
            "address.city=town",
            {"address.city": "town", "address.line_1": "address"},
        ),
        ({"postal_code": "1", "postalCode": ""}, "", {"address.postal_code": "postal_code"}),
    ],
)
def test_each_attribute_has_the_trait_that_gave_it(
    traits: dict[str, Any], named: str, expected: dict[str, str]
) -> None:
    choice = AttributeTraits.parse(named)
    customer = to_customer(Profile("use_1", "u1", traits), lambda *_: None, named=dict(choice.named))
    assert origins(traits, customer, choice) == expected
