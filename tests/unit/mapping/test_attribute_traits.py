"""ATTRIBUTE_TRAITS: as users write it, and what it makes of a profile."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segsync.mapping.attributes import ATTRIBUTES, AttributeTraits
from segsync.mapping.customer import MAPPED_TRAITS, InvalidBirthdate, to_customer
from segsync.mapping.problems import NAMED_NOT_A_DATE, NOT_A_DATE, NOT_A_DATE_OMITTED, consequence
from segsync.models import Address, Customer, Profile

ALWAYS = {"source_id": "u1", "system_metadata": {"source": "segmentio"}}
NAMED = (
    "name=full_name,email=mail,description=notes,phone=mobile_phone,birthdate=dob,address.city=town,address.line_2=flat"
)
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
NAMES = st.text(st.characters(categories=["L", "N"], include_characters="_.$ -"), min_size=1).filter(str.strip)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)
OWN = ("full_name", "mail", "notes", "mobile_phone", "dob", "town", "flat")
TRAITS = st.dictionaries(st.sampled_from([*MAPPED_TRAITS, *OWN]), JSON)


def mapped(
    traits: dict[str, Any], named: str = NAMED, invalid: InvalidBirthdate = "null"
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """The customer as Voucherify receives it, and the warnings."""
    warnings: list[tuple[str, str]] = []
    customer = to_customer(
        Profile("use_1", "u1", traits),
        lambda trait, problem: warnings.append((trait, problem)),
        invalid_birthdate=invalid,
        named=dict(AttributeTraits.parse(named).named),
    )
    return msgspec.json.decode(msgspec.json.encode(customer)), warnings


# --- as users write it ----------------------------------------------------------------------------------------


def test_pairs_of_attribute_and_trait_are_read_and_shown_as_a_user_writes_them() -> None:
    choice = AttributeTraits.parse(" phone = mobile_phone , address.city=town")
    assert choice.named == (("phone", "mobile_phone"), ("address.city", "town"))
    assert str(choice) == "phone=mobile_phone,address.city=town"
    assert choice.traits == ("mobile_phone", "town")
    assert choice.mapped == (*MAPPED_TRAITS, "mobile_phone", "town")
    assert bool(choice)
    assert not AttributeTraits.parse(" ")


def test_the_attributes_are_those_of_the_model() -> None:
    others = {"source_id", "address", "metadata", "system_metadata"}
    parts = {f"address.{part}" for part in Address.__struct_fields__}
    assert set(ATTRIBUTES) == set(Customer.__struct_fields__) - others | parts
    assert {"phone", "birthdate", "name", "address.city", "address.line_2"} <= set(ATTRIBUTES)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("fone=mobile", "'fone' is not one"),
        ("address=home", "'address' is not one"),
        ("Phone=mobile", "'Phone' is not one"),
        ("metadata=facts", "'metadata' is not one"),
        ("source_id=customer_no", "'source_id' is not one"),
        ("phone=a,phone=b", "'phone' is there twice"),
        ("phone=a, phone = a", "'phone' is there twice"),
        *((text, "must be attribute=trait") for text in (",", "phone", "phone=", "=a", "phone=a,", "phone=*")),
        *((text, "must be attribute=trait") for text in ("phone=a=b", "phone=a\nb")),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_attributes_that_there_are(text: str, problem: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - what it says is the point
        AttributeTraits.parse(text)
    assert problem in str(caught.value)
    assert f"The attributes are {', '.join(ATTRIBUTES)}" in str(caught.value)


@given(st.dictionaries(st.sampled_from(ATTRIBUTES), NAMES.map(str.strip)))
def test_what_is_chosen_is_read_back_as_it_is_shown(named: dict[str, str]) -> None:
    choice = AttributeTraits(tuple(named.items()))
    assert AttributeTraits.parse(str(choice)) == choice


# --- what it makes of a profile -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("traits", "attributes"),
    [
        pytest.param({"mobile_phone": "+48 1", "phone": "+48 2"}, {"phone": "+48 1"}, id="the named trait wins"),
        pytest.param({"mobile_phone": 48, "full_name": True}, {"phone": "48", "name": "true"}, id="as text"),
        *(
            pytest.param({"mobile_phone": nothing, "phone": "+48 2"}, {"phone": "+48 2"}, id=f"{nothing!r} is nothing")
            for nothing in (None, "")
        ),
        pytest.param({"phone": "+48 2", "email": "a@b.c"}, {"phone": "+48 2", "email": "a@b.c"}, id="the rule without"),
        pytest.param({"full_name": "Ada L", "name": "A", "firstName": "A"}, {"name": "Ada L"}, id="a name"),
        pytest.param({"full_name": "", "firstName": "Ada", "lastName": "L"}, {"name": "Ada L"}, id="a name of parts"),
        pytest.param({"dob": "19900517", "birthdate": "2000-01-01"}, {"birthdate": "1990-05-17"}, id="a birthdate"),
        pytest.param({"dob": "", "birthday": "2000-01-01"}, {"birthdate": "2000-01-01"}, id="no dob, a birthday"),
        pytest.param({"mail": "a@b.c", "notes": "VIP"}, {"email": "a@b.c", "description": "VIP"}, id="two more"),
        pytest.param(
            {"town": "T", "address": {"city": "C", "country": "PL"}},
            {"address": {"city": "T", "country": "PL"}},
            id="a part beside those of the address",
        ),
        pytest.param(
            {"town": "", "address": {"city": "C"}}, {"address": {"city": "C"}}, id="a part that only the address has"
        ),
        pytest.param(
            {"town": "T", "city": "C", "state": "S"}, {"address": {"city": "T", "state": "S"}}, id="flat ones"
        ),
        pytest.param({"flat": "4b"}, {"address": {"line_2": "4b"}}, id="a part that no built-in rule reads"),
        pytest.param({"town": "T", "address": {}}, {"address": {"city": "T"}}, id="an empty address"),
    ],
)
def test_the_named_trait_comes_first_and_then_the_built_in_rule(
    traits: dict[str, Any], attributes: dict[str, Any]
) -> None:
    assert mapped(traits) == (ALWAYS | attributes, [])


@pytest.mark.parametrize("trait", [trait for trait in OWN if trait != "dob"])
def test_a_value_of_the_wrong_type_is_a_warning_with_the_name_of_the_trait_and_the_rule_goes_on(trait: str) -> None:
    built_in = {"name": "N", "email": "E", "description": "D", "phone": "P", "city": "C"}
    customer, warnings = mapped({**built_in, trait: {"work": 1}})
    assert customer == mapped(built_in)[0]
    assert warnings == [(trait, "is an object, not text")]


@pytest.mark.parametrize(
    ("invalid", "birthdate", "problem", "treatment"),
    [
        ("null", {"birthdate": None}, NAMED_NOT_A_DATE, "sent as null"),
        ("omit", {}, NOT_A_DATE_OMITTED, "left out"),
    ],
)
@pytest.mark.parametrize("value", ["17/05/1990", ["1990-05-17"], 1990])
def test_what_is_not_a_date_follows_the_rule_for_birthdates(
    invalid: InvalidBirthdate, birthdate: dict[str, Any], problem: str, treatment: str, value: object
) -> None:
    customer, warnings = mapped({"dob": value, "birthdate": "2000-01-01"}, invalid=invalid)
    assert (customer, warnings) == (ALWAYS | birthdate, [("dob", problem)])
    assert problem.startswith(NOT_A_DATE)
    assert consequence("dob", problem, "Voucherify") == treatment


def test_a_birthday_that_is_named_comes_before_a_birthdate() -> None:
    traits = {"birthday": "1990-05-17", "birthdate": "2000-01-01"}
    assert mapped(traits, "birthdate=birthday") == (ALWAYS | {"birthdate": "1990-05-17"}, [])
    assert mapped({"birthday": "soon"}, "birthdate=birthday")[0] == ALWAYS | {"birthdate": None}
    assert mapped(traits, "birthdate=birthdate") == mapped(traits, "")


def test_an_address_may_be_a_text_in_some_profiles_and_an_object_in_others() -> None:
    for named in ("address.line_1=address", "description=address"):
        customer, warnings = mapped({"address": "Main 1", "city": "C"}, named)
        assert warnings == []
        assert customer["address"]["city"] == "C"
    assert mapped({"address": "Main 1"}, "address.line_1=address")[0] == ALWAYS | {"address": {"line_1": "Main 1"}}
    nested = {"address": {"street": "Main 1", "city": "C"}}
    assert mapped(nested, "address.line_1=address") == mapped(nested, "")
    assert mapped({"address": ["Main 1"]}, "address.line_1=address")[1] == [("address", "is a list, not text")]


def test_one_trait_for_two_attributes_is_one_warning() -> None:
    customer, warnings = mapped({"contact": []}, "phone=contact,email=contact")
    assert (customer, warnings) == (ALWAYS, [("contact", "is a list, not text")])
    assert mapped({"firstName": []}, "name=firstName")[1] == [("firstName", "is a list, not text")]


@UNHURRIED
@given(TRAITS)
def test_naming_the_trait_of_the_rule_changes_nothing(traits: dict[str, Any]) -> None:
    same = "name=name,email=email,description=description,phone=phone,birthdate=birthdate"
    assert mapped(traits, same) == mapped(traits, "")


@UNHURRIED
@given(TRAITS)
def test_without_a_value_in_the_named_traits_the_built_in_rules_decide(traits: dict[str, Any]) -> None:
    built_in = {trait: value for trait, value in traits.items() if trait not in OWN}
    assert mapped(built_in) == mapped(built_in, "")


@UNHURRIED
@given(TRAITS)
def test_a_trait_moved_to_the_name_of_the_setting_makes_the_same_customer(traits: dict[str, Any]) -> None:
    flat = {trait: value for trait, value in traits.items() if trait not in (*OWN, "address", "birthday")}
    here = dict(zip(("name", "email", "description", "phone", "birthdate", "city"), OWN, strict=False))
    moved = {here.get(trait, trait): value for trait, value in flat.items()}
    assert mapped(moved)[0] == mapped(flat, "")[0]


@UNHURRIED
@given(TRAITS, st.dictionaries(st.text(), JSON))
def test_the_mapped_traits_are_all_that_is_read(traits: dict[str, Any], others: dict[str, Any]) -> None:
    every = {**others, **traits}
    read = {trait: value for trait, value in every.items() if trait in AttributeTraits.parse(NAMED).mapped}
    assert mapped(every) == mapped(read)
