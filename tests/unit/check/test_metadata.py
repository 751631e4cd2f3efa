"""Metadata against a schema: what Voucherify would refuse is found, with how many customers it concerns."""

from __future__ import annotations

import pytest

from segsync.check.metadata import WrongType, check_metadata
from segsync.mapping.metadata_schema import Definition, MetadataSchema

SCHEMA = MetadataSchema(
    {
        "plan": Definition("string"),
        "spent": Definition("number", optional=False),
        "tags": Definition("string", array=True),
        "gone": Definition("string", deleted=True),
    },
    allow_defined_only=True,
)


@pytest.mark.parametrize(("policy", "missing"), [("auto", 3), ("drop", 3), ("send", 2), ("reject", 2)])
def test_undefined_keys_wrong_types_and_missing_ones_are_counted_by_customer(policy: str, missing: int) -> None:
    metadata: list[dict[str, object]] = [
        {"plan": "pro", "spent": 1.5, "tags": ["a"]},
        {"plan": 7, "spent": "1", "tags": "a", "colour": "red"},
        {"plan": ["pro"], "spent": None, "colour": "blue", "gone": "x"},
        {"plan": {}, "spent": "much", "tags": ""},
        {},
    ]
    found = check_metadata(metadata, SCHEMA, policy)
    assert (found.customers, found.with_metadata, found.defined) == (5, 4, 3)
    assert found.allow_defined_only
    assert found.undefined == {"colour": 2, "gone": 1}
    assert found.wrong_types == [
        WrongType("plan", 2, "string", ["list of string", "object"]),
        WrongType("spent", 1, "number", ["string"]),
    ], "what an import converts to the defined type is right"
    assert found.missing == {"spent": missing}, "a value that an import leaves out does not count"


def test_values_that_do_not_meet_the_criteria_are_wrong_and_the_criteria_are_named() -> None:
    schema = MetadataSchema(
        {
            "plan": Definition("string", criteria=(("eq", ("pro",)),)),
            "codes": Definition("string", array=True, criteria=(("minLength", 2), ("maxLength", 4))),
            "payment": Definition("object", nested=MetadataSchema({"tax": Definition("number")})),
        }
    )
    metadata: list[dict[str, object]] = [{"plan": "free", "codes": ["a"]}, {"plan": "pro", "payment": {"tax": "much"}}]
    assert check_metadata(metadata, schema, "auto").wrong_types == [
        WrongType("plan", 1, "string with eq", ["string"]),
        WrongType("codes", 1, "list of string with minLength, maxLength", ["list of string"]),
        WrongType("payment", 1, "object with the parts of its schema", ["object"]),
    ]


def test_an_empty_text_is_missing_where_the_type_is_not_text() -> None:
    schema = MetadataSchema({"spent": Definition("number", optional=False), "plan": Definition(optional=False)})
    assert check_metadata([{"spent": "", "plan": ""}], schema, "send").missing == {"spent": 1}


def test_keys_that_may_be_personal_are_counted_and_not_named() -> None:
    metadata = [{"ada@example.com": 1, "4915112345678": 1, "colour": 1}, {"bob@example.com": 1}]
    assert check_metadata(metadata, SCHEMA, "auto").undefined == {"…": 2, "colour": 1}


def test_a_project_without_a_schema_allows_everything() -> None:
    found = check_metadata([{"anything": 1}], MetadataSchema(), "auto")
    assert (found.allow_defined_only, found.undefined, found.wrong_types, found.missing) == (
        False,
        {"anything": 1},
        [],
        {},
    )


@pytest.mark.parametrize("policy", ["auto", "drop", "send", "reject"])
def test_defined_keys_are_named_whatever_they_look_like(policy: str) -> None:
    schema = MetadataSchema({"2fa": Definition("boolean"), "4915112345678": Definition(optional=False)})
    found = check_metadata([{"2fa": "perhaps"}, {"2fa": "true"}], schema, policy)
    assert found.wrong_types == [WrongType("2fa", 1, "boolean", ["string"])]
    assert found.missing == {"4915112345678": 2}
