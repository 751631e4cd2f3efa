"""Which of the traits that an import uses Segment's own Voucherify destination does not read by default."""

from __future__ import annotations

from typing import Any

import pytest

from segsync.check.live import unread


@pytest.mark.parametrize(
    ("traits", "names"),
    [
        ({}, set()),
        ({"name": "Ada", "email": "a@b.c", "phone": "1", "description": "x", "birthdate": "1990-01-01"}, set()),
        ({"first_name": "Ada", "last_name": "L", "metadata": {"plan": "pro"}, "unmapped": 1}, set()),
        ({"firstName": "Ada", "lastName": "L"}, {"firstName", "lastName"}),
        ({"name": "Ada", "firstName": "Ada"}, set()),
        ({"name": "", "firstName": "Ada", "lastName": None}, {"firstName"}),
        ({"address": {"city": "C", "state": "S", "country": "PL", "postal_code": "1", "street": "Main 1"}}, set()),
        (
            {"address": {"postalCode": "1", "postal_code": "1", "line_1": "Main 1"}},
            {"address.postalCode", "address.line_1"},
        ),
        ({"address": {"street": "Main 1", "line_1": "Main 1"}, "city": "C"}, set()),
        ({"city": "C", "postal_code": "1", "street": "Main 1"}, {"city", "postal_code", "street"}),
        ({"address": "Main 1", "country": "PL"}, {"country"}),
        ({"birthday": "1990-01-01"}, {"birthday"}),
        ({"birthday": "1990-01-01", "birthdate": "1990-01-01"}, set()),
        ({"plan": "pro", "ltv": None, "other": 1}, {"plan"}),
    ],
)
def test_the_traits_that_only_an_import_uses(traits: dict[str, Any], names: set[str]) -> None:
    assert set(unread(traits, ("plan", "ltv") if "plan" in traits else ())) == names
