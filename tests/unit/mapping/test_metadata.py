"""The rules of metadata: where it comes from, who wins, and what happens to keys that the schema does not define."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segsync.errors import MappingError
from segsync.mapping.customer import metadata_trait
from segsync.mapping.metadata import MOST_KEYS_NAMED, TraitChoice, metadata_rules
from segsync.mapping.metadata_schema import Definition, MetadataSchema
from segsync.mapping.problems import MISSING, UNDEFINED
from tests.unit.mapping.test_metadata_schema import DEFINITIONS, JSON, matches

Json = dict[str, Any]
Warnings = list[tuple[str, str]]

USED = ("name", "email", "metadata")
LOYALTY = {"plan": Definition(), "points": Definition("number"), "since": Definition("date")}
OPEN, STRICT = MetadataSchema(LOYALTY), MetadataSchema(LOYALTY, allow_defined_only=True)
MARK = "‡"


class Rules:
    """The rules of an import, what they make of traits, and their warnings."""

    def __init__(
        self, traits: str = "", undefined: str = "auto", schema: MetadataSchema | None = OPEN, used: Any = USED
    ) -> None:
        self._of = metadata_rules(TraitChoice.parse(traits), undefined, schema, used=used)
        self.warnings: Warnings = []

    def __call__(self, **traits: Any) -> Json | None:
        return self._of(traits, lambda trait, problem: self.warnings.append((trait, problem)))

    def rejection(self, **traits: Any) -> str:
        with pytest.raises(MappingError) as caught:
            self(**traits)
        return str(caught.value)


# --- where it comes from --------------------------------------------------------------------------------------


def test_traits_that_are_named_go_beside_the_trait_metadata_under_the_keys_that_are_wanted() -> None:
    rules = Rules("plan,ltv=lifetime_value")
    assert rules(plan="pro", lifetime_value=7, shoe_size=42, metadata={"a": 1}) == {"a": 1, "plan": "pro", "ltv": 7}
    assert rules(plan="pro") == {"plan": "pro"}
    assert rules(shoe_size=42) is None
    assert rules.warnings == []


@pytest.mark.parametrize("nothing", [None, ""])
@pytest.mark.parametrize("traits", ["plan", "*"])
def test_a_trait_without_a_value_wipes_nothing(traits: str, nothing: object) -> None:
    assert Rules(traits)(plan=nothing) is None
    assert Rules(traits)(plan=nothing, metadata={"plan": "free"}) == {"plan": "free"}


@pytest.mark.parametrize("value", [0, False, [], {}])
def test_zero_false_and_empty_lists_are_values(value: object) -> None:
    assert Rules("shoe_size")(shoe_size=value) == {"shoe_size": value}


def test_a_star_takes_all_traits_that_no_other_rule_uses() -> None:
    rules = Rules("*,ltv=lifetime_value")
    assert rules(name="Ada", email="a@b.c", lifetime_value=7, shoe_size=42, vip=True) == {
        "ltv": 7,
        "shoe_size": 42,
        "vip": True,
    }


def test_a_mapped_trait_may_go_into_metadata_too_where_it_is_named() -> None:
    assert Rules("*,mail=email")(email="a@b.c") == {"mail": "a@b.c"}


def test_what_is_named_wins_over_the_trait_metadata_and_that_over_the_star() -> None:
    traits = {"plan": "named", "tier": "star", "metadata": {"plan": "metadata", "tier": "metadata"}}
    assert Rules("*,plan")(**traits) == {"plan": "named", "tier": "metadata"}


def test_a_trait_metadata_that_is_not_an_object_costs_the_named_traits_nothing() -> None:
    rules = Rules("plan")
    assert rules(plan="pro", metadata="plan=pro") == {"plan": "pro"}
    assert rules.warnings == [("metadata", "is text, not an object")]


def test_the_profile_is_left_as_it_is() -> None:
    metadata = {"points": "7"}
    assert Rules("plan")(plan="pro", metadata=metadata) == {"plan": "pro", "points": 7}
    assert metadata == {"points": "7"}


# --- what is not defined --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("undefined", "schema", "is_sent"),
    [
        ("auto", OPEN, True),
        ("auto", STRICT, False),
        ("auto", MetadataSchema(), True),
        ("auto", MetadataSchema(allow_defined_only=True), False),
        ("send", OPEN, True),
        ("send", STRICT, True),
        ("drop", OPEN, False),
        ("drop", STRICT, False),
        ("drop", MetadataSchema(), False),
    ],
)
def test_keys_that_are_not_defined_go_where_the_setting_says(
    undefined: str, schema: MetadataSchema, is_sent: bool
) -> None:
    rules = Rules("shoe_size", undefined, schema)
    metadata = rules(shoe_size=42, metadata={"plan": "pro", "other": 1}) or {}
    assert {"shoe_size", "other"} & set(metadata) == ({"shoe_size", "other"} if is_sent else set())
    expected = [("metadata.other", UNDEFINED), ("metadata.shoe_size", UNDEFINED)]
    assert [each for each in sorted(rules.warnings) if each[0] != "metadata.plan"] == ([] if is_sent else expected)


def test_a_key_that_is_not_defined_is_reported_once_and_not_without_endy_profile() -> None:
    rules = Rules(schema=STRICT)
    for number in range(50):
        assert rules(metadata={"shoe_size": number, "plan": "pro"}) == {"plan": "pro"}
    assert rules.warnings == [("metadata.shoe_size", UNDEFINED)]


def test_a_definition_that_was_deleted_is_none() -> None:
    schema = MetadataSchema({"plan": Definition(deleted=True)}, allow_defined_only=True)
    assert Rules(schema=schema)(metadata={"plan": "pro"}) is None


def test_where_all_is_left_out_no_empty_object_is_sent_but_one_that_was_there_is() -> None:
    assert Rules(schema=STRICT)(metadata={"shoe_size": 42}) is None
    assert Rules(schema=STRICT)(metadata={}) == {}


@pytest.mark.parametrize("schema", [OPEN, STRICT, MetadataSchema()])
def test_a_key_that_is_not_defined_can_be_the_end_of_the_profile(schema: MetadataSchema) -> None:
    rules = Rules("shoe_size", "reject", schema)
    assert rules.rejection(shoe_size=42) == (
        "metadata.shoe_size is not defined in Voucherify's metadata schema, and METADATA_UNDEFINED is reject"
    )
    assert "shoe_size" in rules.rejection(metadata={"shoe_size": 43}), "not once, but each time"
    assert rules.warnings == []


# --- values ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("undefined", ["auto", "send", "drop", "reject"])
@pytest.mark.parametrize("schema", [OPEN, STRICT])
def test_values_are_fitted_wherever_they_come_from(undefined: str, schema: MetadataSchema) -> None:
    rules = Rules("points=score,since=joined", undefined, schema)
    traits = {"score": "7", "joined": "2026-01-31T10:20:30Z", "metadata": {"plan": 1}}
    assert rules(**traits) == {"plan": "1", "points": 7, "since": "2026-01-31"}
    assert rules.warnings == []


@pytest.mark.parametrize(("undefined", "is_sent"), [("auto", False), ("send", True), ("drop", False)])
@pytest.mark.parametrize("schema", [OPEN, STRICT])
def test_a_value_that_cannot_be_fitted_goes_where_an_undefined_key_goes(
    undefined: str, is_sent: bool, schema: MetadataSchema
) -> None:
    rules = Rules("points", undefined, schema)
    for _ in range(2):
        assert rules(points="many", metadata={"plan": "pro"}) == {
            "plan": "pro",
            **({"points": "many"} if is_sent else {}),
        }
    expected = ("metadata.points", "is text that cannot be converted to a number")
    assert rules.warnings == ([] if is_sent else [expected, expected]), "each of them is another profile to look at"


def test_a_value_that_cannot_be_fitted_can_be_the_end_of_the_profile() -> None:
    assert Rules("points", "reject").rejection(points="many") == (
        "metadata.points is text that cannot be converted to a number, and METADATA_UNDEFINED is reject"
    )


def test_an_empty_text_is_missing_unless_text_is_defined() -> None:
    rules = Rules(undefined="reject")
    assert rules(metadata={"plan": "", "points": "", "since": ""}) == {"plan": ""}


def test_null_fits_every_type() -> None:
    assert Rules(undefined="reject")(metadata={"points": None}) == {"points": None}


# --- what is required -----------------------------------------------------------------------------------------

REQUIRED = MetadataSchema({"plan": Definition(optional=False), "points": Definition("number", optional=False)})


@pytest.mark.parametrize("undefined", ["auto", "send", "drop"])
def test_a_required_key_without_a_value_is_reported_once_and_the_rest_is_sent(undefined: str) -> None:
    rules = Rules(undefined=undefined, schema=REQUIRED)
    for _ in range(2):
        assert rules(metadata={"plan": "pro"}) == {"plan": "pro"}
        assert rules(metadata={"plan": "pro", "points": ""}) == {"plan": "pro"}
        assert rules() is None
    assert rules.warnings == [("metadata.points", MISSING), ("metadata.plan", MISSING)]


@pytest.mark.parametrize("traits", [{}, {"metadata": {"plan": "pro"}}, {"metadata": {"plan": "pro", "points": None}}])
def test_a_required_key_without_a_value_can_be_the_end_of_the_profile(traits: Json) -> None:
    reason = Rules(undefined="reject", schema=REQUIRED).rejection(**traits)
    assert "has no value, though Voucherify's metadata schema requires one, and METADATA_UNDEFINED is reject" in reason


# --- a schema that says nothing -------------------------------------------------------------------------------


@pytest.mark.parametrize("undefined", ["auto", "send"])
def test_where_nothing_is_defined_the_trait_metadata_goes_the_short_way(undefined: str) -> None:
    assert metadata_rules(TraitChoice(), undefined, MetadataSchema(), used=USED) is metadata_trait


def test_where_the_schema_is_not_known_nothing_is_checked() -> None:
    rules = Rules("shoe_size", schema=None)
    assert rules(shoe_size=42, metadata={"points": "many"}) == {"shoe_size": 42, "points": "many"}
    assert rules.warnings == []


# --- names in warnings -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["shoe_size", "Favourite colour", "größe", "$browser", "a.b:c-d", "k" * 64])
def test_a_key_is_shown_as_it_is(key: str) -> None:
    rules = Rules(schema=STRICT)
    rules(metadata={key: 1})
    assert rules.warnings == [(f"metadata.{key}", UNDEFINED)]


@pytest.mark.parametrize(
    "key",
    ["ada@example.com", "+48 600 100 200", "user-12345", "https://x.io/ada", "", "\x1b[31m", "\ud83c", "k" * 10**5],
)
def test_a_key_that_may_be_personal_is_not(key: str) -> None:
    rules = Rules(schema=STRICT)
    rules(metadata={key: 1})
    assert rules.warnings == [("metadata.…", UNDEFINED)]
    assert Rules(undefined="reject").rejection(metadata={key: 1}).startswith("metadata.… is not defined")


def test_keys_that_are_data_do_not_fill_memory() -> None:
    rules = Rules(schema=STRICT)
    for number in range(MOST_KEYS_NAMED + 100):
        name = "".join(chr(ord("a") + int(digit)) for digit in str(number))
        rules(metadata={f"key_{name}": 1})
    assert len(rules.warnings) == MOST_KEYS_NAMED + 1
    assert rules.warnings[-1] == ("metadata.…", UNDEFINED)


# --- for any traits and any schema ----------------------------------------------------------------------------

KEYS = st.sampled_from(["plan", "points", "since", "tags", "shoe_size"])
SCHEMAS = st.builds(MetadataSchema, st.dictionaries(KEYS, DEFINITIONS), st.booleans())
TRAITS = st.dictionaries(KEYS, JSON) | st.fixed_dictionaries({"metadata": JSON | st.dictionaries(KEYS, JSON)})
CHOICES = st.sampled_from(["", "*", "plan", "points=shoe_size,tags", "*,since=plan"])


@given(TRAITS, SCHEMAS, CHOICES, st.sampled_from(["drop", "reject"]))
def test_what_comes_out_always_matches_the_schema(
    traits: Json, schema: MetadataSchema, choice: str, undefined: str
) -> None:
    metadata: Json = {}
    is_rejected = False
    try:
        metadata = Rules(choice, undefined, schema)(**traits) or {}
    except MappingError:
        is_rejected = True
    assert not is_rejected or undefined == "reject"
    assert set(metadata) <= set(schema.properties)
    assert all(value is None or matches(value, schema.properties[key]) for key, value in metadata.items())


@given(TRAITS, SCHEMAS, CHOICES, st.sampled_from(["auto", "send", "drop"]))
def test_nothing_raises_and_what_comes_out_does_not_change_again(
    traits: Json, schema: MetadataSchema, choice: str, undefined: str
) -> None:
    metadata = Rules(choice, undefined, schema)(**traits)
    again = Rules("", undefined, schema)(metadata=metadata)
    assert json.dumps(again) == json.dumps(metadata)


@given(st.dictionaries(KEYS, st.text().map(lambda text: MARK + text)), SCHEMAS)
def test_a_warning_shows_no_value(traits: Mapping[str, str], schema: MetadataSchema) -> None:
    rules = Rules("*", "drop", schema)
    rules(**traits)
    assert MARK not in str(rules.warnings)
