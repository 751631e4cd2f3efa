"""Metadata against a schema: what Voucherify would refuse is found, with how many customers it concerns."""

from __future__ import annotations

from segsync.schema import Definition, MetadataSchema
from segsync.schema_check import WrongType, check_metadata

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
        {"plan": 7, "spent": "1", "tags": "a", "colour": "red"},
        {"plan": ["pro"], "spent": None, "colour": "blue", "gone": "x"},
        {"plan": {}, "spent": "much", "tags": ""},
        {},
    ]
    found = check_metadata(metadata, SCHEMA)
    assert (found.customers, found.with_metadata, found.defined) == (5, 4, 3)
    assert found.allow_defined_only
    assert found.undefined == {"colour": 2, "gone": 1}
    assert found.wrong_types == [
        WrongType("plan", 2, "string", ["list of string", "object"]),
        WrongType("spent", 1, "number", ["string"]),
    ], "what an import can say as the defined type is no trouble"
    assert found.missing == {"spent": 2}


def test_a_project_without_a_schema_allows_everything() -> None:
    found = check_metadata([{"anything": 1}], MetadataSchema())
    assert (found.allow_defined_only, found.undefined, found.wrong_types, found.missing) == (
        False,
        {"anything": 1},
        [],
        {},
    )
