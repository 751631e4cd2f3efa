"""Metadata against a schema: what Voucherify would refuse is found, with how many customers it concerns."""

from __future__ import annotations

import pytest

from segsync.schema import Definition, MetadataSchema
from segsync.schema_check import WrongType, check_metadata, fits

SCHEMA = MetadataSchema(
    {
        "plan": Definition("string"),
        "spent": Definition("number", optional=False),
        "tags": Definition("string", array=True),
        "gone": Definition("string", deleted=True),
    },
    allow_defined_only=True,
)


def test_undefined_keys_wrong_types_and_missing_ones_are_counted_by_customer() -> None:
    metadata: list[dict[str, object]] = [
        {"plan": "pro", "spent": 1.5, "tags": ["a"]},
        {"plan": 7, "spent": 1, "colour": "red"},
        {"plan": ["pro"], "spent": None, "colour": "blue", "gone": "x"},
        {"plan": 8, "spent": 2},
        {},
    ]
    found = check_metadata(metadata, SCHEMA)
    assert (found.customers, found.with_metadata, found.defined) == (5, 4, 3)
    assert found.allow_defined_only
    assert found.undefined == {"colour": 2, "gone": 1}
    assert found.wrong_types == [WrongType("plan", 3, "string", ["number", "list of string"])]
    assert found.missing == {"spent": 2}


def test_a_project_without_a_schema_allows_everything() -> None:
    found = check_metadata([{"anything": 1}], MetadataSchema())
    assert (found.allow_defined_only, found.undefined, found.wrong_types, found.missing) == (
        False,
        {"anything": 1},
        [],
        {},
    )


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("string", ["", "a"], [1, True, [], {}]),
        ("number", [1, -1.5, 0], ["1", True, [1]]),
        ("boolean", [True, False], ["true", 1, 0]),
        ("date", ["2024-02-29"], ["2023-02-29", "2024-2-9", "2024-02-29T00:00", 20240229]),
        ("datetime", ["2024-02-29T10:00:00Z", "2024-02-29T10:00:00.000+01:00"], ["2024-02-29", "2024-02-30T10:00Z"]),
        ("geopoint", ["37.786971, -122.399677", "1,2"], ["91,0", "0,181", "1", "a,b", [1, 2]]),
        ("image_url", ["https://example.com/a.png"], ["a.png", 1]),
        ("object", [{}, {"a": 1}], ["{}", []]),
        ("a type that comes later", [1, "a", {}, [1]], []),
    ],
)
def test_each_type_takes_what_voucherify_documents(kind: str, good: list[object], bad: list[object]) -> None:
    one, several = Definition(kind), Definition(kind, array=True)
    assert all(fits(value, one) for value in good)
    assert not any(fits(value, one) for value in bad)
    assert fits(good, several)
    assert fits([], several)
    assert not any(fits([*good, value], several) for value in bad)
    assert not fits("no list", several)
