"""What a definition demands beside its type: a value that cannot meet it does not cost the customer."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segsync.errors import MappingError
from segsync.mapping.metadata import TraitChoice, metadata_rules
from segsync.mapping.metadata_schema import UNFIT, Definition, MetadataSchema, fit, misfit, object_types, schema_of

BALLOON = "🎈"


def defined(type_name: str = "string", nested: MetadataSchema | None = None, **fields: Any) -> Definition:
    """A definition as the API writes it."""
    given_fields = {"type": type_name, "optional": True, "objectType": "Nested" if nested else None, **fields}
    return schema_of({"key": given_fields}, False, {"Nested": nested}).properties["key"]


def sent(policy: str, value: object, definition: Definition) -> tuple[dict[str, Any] | None, list[tuple[str, str]]]:
    warnings: list[tuple[str, str]] = []
    schema = MetadataSchema({"key": definition, "other": Definition()})
    rules = metadata_rules(TraitChoice(), policy, schema, used=())
    metadata = rules({"metadata": {"key": value, "other": "x"}}, lambda *warning: warnings.append(warning))
    return metadata, warnings


@pytest.mark.parametrize(
    ("definition", "good", "bad"),
    [
        (defined(eq=["free", "pro"]), ["free", "pro"], ["Free", "", "gold", 7]),
        (defined("number", eq=[1, 2.5]), [1, 1.0, "1", 2.5, "2.50"], [2, 0, "3"]),
        (defined(eq="free"), ["free"], ["pro"]),
        (defined("number", ne=[1, 2]), [3, "4"], [1, "2", 2.0]),
        (defined(ne=["free"]), ["pro"], ["free"]),
        (defined("number", lt=10), [9.99, -5], [10, "11"]),
        (defined("number", lte=10), [10], [10.01]),
        (defined("number", gt=0), [0.01], [0, -1, "-1"]),
        (defined("number", gte=0, lt=100), [0, 99], [-1, 100]),
        (defined(minLength=2), ["ab", 10], ["a", "", 7]),
        (defined(maxLength=3), ["abc", "", True and "yes"], ["abcd", True]),
        (defined(exactLength=4), ["abcd", 1234], ["abc", "abcde"]),
        (defined(exactLength=2, array=True), [["ab", "cd"], "ab", []], [["ab", "c"], "a"]),
        (defined(array=True, eq=["L1", "L2"]), [["L1"], "L2"], [["L1", "L3"]]),
    ],
)
def test_a_value_has_to_meet_the_criteria_of_its_definition(
    definition: Definition, good: list[object], bad: list[object]
) -> None:
    assert [value for value in good if fit(value, definition) is UNFIT] == []
    assert [value for value in bad if fit(value, definition) is not UNFIT] == []


@pytest.mark.parametrize("length", [1, 2])
def test_a_length_that_may_be_meant_either_way_is_met(length: int) -> None:
    """JavaScript counts a balloon as two."""
    for definition in (defined(minLength=length), defined(maxLength=length), defined(exactLength=length)):
        assert fit(BALLOON, definition) == BALLOON
    assert fit(BALLOON, defined(minLength=3)) is UNFIT
    assert fit(BALLOON * 2, defined(maxLength=1)) is UNFIT


ODD_VALUES: list[object] = [None, [], [1], [None], ["a", 1], {}, [["a"]], True]
ODD_LENGTHS: list[object] = [None, "99", [99], True, float("inf")]


@pytest.mark.parametrize(
    "odd",
    [
        *({"eq": values} for values in ODD_VALUES),
        *({"minLength": length} for length in ODD_LENGTHS),
        *({"lt": -1}, {"pattern": "^x"}, {"minArrayLength": 9}, {"maxlength": 0}, {"unknown": {"a": [1]}}),
    ],
)
def test_criteria_of_another_shape_type_or_name_are_left_to_voucherify(odd: dict[str, Any]) -> None:
    assert fit("text", defined(**odd)) == "text"


@pytest.mark.parametrize(
    "odd", [{"eq": [True]}, {"ne": ["5"]}, {"lt": True}, {"gt": "9"}, {"gte": None}, {"maxLength": 0}]
)
def test_so_are_those_for_numbers(odd: dict[str, Any]) -> None:
    assert fit(5, defined("number", **odd)) == 5


@pytest.mark.parametrize("type_name", ["boolean", "date", "datetime", "geopoint", "image_url", "object", "new"])
def test_other_types_have_no_criteria(type_name: str) -> None:
    assert defined(type_name, eq=["x"], lt=0, minLength=99).criteria == ()


# --- the parts of an object ---------------------------------------------------------------------------

PAYMENT = schema_of(
    {
        "method": {"type": "string", "eq": ["card", "wire"], "optional": False},
        "tax": {"type": "number", "gte": 0},
        "gone": {"type": "number", "deleted": True},
    },
    False,
    {},
)
STRICT = MetadataSchema(PAYMENT.properties, allow_defined_only=True)


@pytest.mark.parametrize(
    ("value", "fitted"),
    [
        ({"method": "card"}, {"method": "card"}),
        ({"method": "card", "tax": ""}, {"method": "card"}),
        ({"method": "wire", "tax": "1.5", "more": [1]}, {"method": "wire", "tax": 1.5, "more": [1]}),
        ({"method": "card", "tax": None, "gone": "x"}, {"method": "card", "tax": None, "gone": "x"}),
        *((bad, UNFIT) for bad in ({"method": "cash"}, {"tax": 1}, {}, {"method": None}, "card", ["card"])),
        *((bad, UNFIT) for bad in ({"method": "card", "tax": -1}, {"method": "card", "tax": "much"})),
    ],
)
def test_the_parts_of_an_object_have_to_fit_its_nested_schema(value: object, fitted: object) -> None:
    assert fit(value, defined("object", PAYMENT)) == fitted


def test_a_nested_schema_may_allow_only_defined_parts() -> None:
    assert fit({"method": "card", "more": 1}, defined("object", STRICT)) is UNFIT
    assert fit({"method": "card", "gone": 1}, defined("object", STRICT)) is UNFIT
    assert fit([{"method": "card"}], defined("object", STRICT, array=True)) == [{"method": "card"}]
    assert fit([{"method": "card"}, {}], defined("object", STRICT, array=True)) is UNFIT


def test_an_object_of_a_schema_that_is_not_known_takes_everything() -> None:
    assert fit({"any": 1}, defined("object", objectType="Unknown")) == {"any": 1}


def test_the_nested_schemas_that_are_referred_to_are_found_once() -> None:
    odd_names: list[object] = [None, "", 7, []]
    properties: dict[str, object] = {
        "a": {"type": "object", "objectType": "Payment"},
        "b": {"type": "object", "objectType": "Payment", "array": True},
        "c": {"type": "object", "objectType": "Gone", "deleted": True},
        **{str(odd): {"type": "object", "objectType": odd} for odd in odd_names},
        "d": None,
        "e": "text",
        "f": [],
    }
    assert object_types(properties) == ["Payment"]


# --- what comes of it ---------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["auto", "drop"])
@pytest.mark.parametrize(
    ("value", "definition", "problem"),
    [
        ("gold", defined(eq=["pro"]), "is text that does not meet eq of Voucherify's metadata schema"),
        ("7", defined("number", gt=9, ne=[7]), "is text that does not meet ne, gt of Voucherify's metadata schema"),
        (
            ["a", "abc"],
            defined(array=True, maxLength=2),
            "is a list with something that does not meet maxLength of Voucherify's metadata schema",
        ),
        ({}, defined("object", PAYMENT), "is an object that does not fit its nested metadata schema"),
        ([], defined(minLength=2), "is a list that cannot be converted to text"),
    ],
)
def test_a_value_that_cannot_meet_them_is_left_out_with_a_warning(
    policy: str, value: object, definition: Definition, problem: str
) -> None:
    assert sent(policy, value, definition) == ({"other": "x"}, [("metadata.key", problem)])


def test_the_settings_may_send_it_or_reject_the_profile() -> None:
    assert sent("send", "gold", defined(eq=["pro"])) == ({"key": "gold", "other": "x"}, [])
    with pytest.raises(MappingError, match=r"metadata.key .* does not meet eq of .* METADATA_UNDEFINED is reject"):
        sent("reject", "gold", defined(eq=["pro"]))


@given(
    st.dictionaries(
        st.sampled_from(["type", "array", "optional", "deleted", "objectType", "eq", "ne", "lt", "gte", "maxLength"]),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers() | st.text()),
    ),
    st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text()),
)
def test_no_definition_however_odd_breaks_anything(fields: dict[str, Any], value: object) -> None:
    definition = schema_of({"key": fields}, False, {}).properties["key"]
    fitted = fit(value, definition)
    if fitted is not UNFIT:
        assert fit(fitted, definition) == fitted
    else:
        assert misfit(value, definition).startswith("is ")
    assert definition.type in str(definition)
