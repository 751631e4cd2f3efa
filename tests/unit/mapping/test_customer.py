"""Profile → customer: each rule by example, and what must hold for any traits at all."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from voucherify.models.customers_update_in_bulk_request_body import CustomersUpdateInBulkRequestBody

from segsync.mapping.customer import MAPPED_TRAITS, to_customer
from segsync.models import Profile

Json = dict[str, Any]
Warnings = list[tuple[str, str]]

ALWAYS = {"source_id": "u1", "system_metadata": {"source": "segmentio"}}
TEXT_TRAITS = (
    *("name", "firstName", "first_name", "lastName", "last_name", "email", "description", "phone"),
    *("city", "state", "country", "postalCode", "postal_code", "street", "line_1"),
)
TRAIT_NAMES = (*TEXT_TRAITS, "birthdate", "birthday", "address", "metadata")
MARK = "‡"
"""In every text of a strategy below, in no warning."""

TEXTS = st.text(max_size=8).map(lambda text: MARK + text) | st.just("")
NUMBERS = st.integers(min_value=10**9) | st.floats(min_value=1e9, allow_infinity=False) | st.just(0)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=3)
ZONES = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
TIMESTAMPS = st.datetimes(timezones=st.none() | ZONES)
DATES = st.dates().map(date.isoformat) | TIMESTAMPS.map(datetime.isoformat)
ADDRESSES = st.dictionaries(st.sampled_from(TRAIT_NAMES), JSON)
TRAITS = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(TRAIT_NAMES, JSON)
    | {"address": JSON | ADDRESSES}
    | dict.fromkeys(("birthdate", "birthday"), JSON | DATES),
)

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""In a fresh clone Hypothesis first has to make its tables of Unicode."""


def mapped(traits: Json) -> tuple[Json, Warnings]:
    """The customer as Voucherify receives it, and the warnings."""
    warnings: Warnings = []
    customer = to_customer(Profile("use_1", "u1", traits), lambda trait, problem: warnings.append((trait, problem)))
    return msgspec.json.decode(msgspec.json.encode(customer)), warnings


# --- the rules, one by one ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("traits", "attributes"),
    [
        pytest.param({}, {}, id="nothing but the identifier"),
        pytest.param({"Email": "a@b.c", "zip": "1", "Birthday": "1990-01-01"}, {}, id="traits that no rule names"),
        pytest.param(
            {"email": "a@b.c", "description": "VIP", "phone": "+48 1"},
            {"email": "a@b.c", "description": "VIP", "phone": "+48 1"},
            id="email, description, phone",
        ),
        # name
        pytest.param({"name": "Ada L", "firstName": "A", "lastName": "L"}, {"name": "Ada L"}, id="name wins"),
        pytest.param({"firstName": "Ada", "lastName": "L"}, {"name": "Ada L"}, id="firstName and lastName"),
        pytest.param({"first_name": "Ada", "last_name": "L"}, {"name": "Ada L"}, id="first_name and last_name"),
        pytest.param({"first_name": "Ada", "lastName": "L"}, {"name": "Ada L"}, id="first_name and lastName"),
        pytest.param({"firstName": "", "first_name": "Ada"}, {"name": "Ada"}, id="first name alone"),
        pytest.param(
            {"firstName": "Ada", "first_name": "A", "lastName": "L", "last_name": "B"},
            {"name": "Ada L"},
            id="firstName wins over first_name",
        ),
        pytest.param({"lastName": "Łucja 李 🎈"}, {"name": "Łucja 李 🎈"}, id="last name alone"),
        pytest.param({"name": "", "firstName": "Ada", "lastName": None}, {"name": "Ada"}, id="empty name"),
        # address
        pytest.param(
            {"city": "C", "state": "S", "country": "PL", "postalCode": "1", "street": "Main 1"},
            {"address": {"city": "C", "state": "S", "country": "PL", "postal_code": "1", "line_1": "Main 1"}},
            id="flat address",
        ),
        pytest.param(
            {"postalCode": "1", "postal_code": "2", "street": "Main 1", "line_1": "Main 2"},
            {"address": {"postal_code": "1", "line_1": "Main 1"}},
            id="postalCode wins over postal_code and street over line_1",
        ),
        pytest.param({"postal_code": "1"}, {"address": {"postal_code": "1"}}, id="flat postal_code"),
        pytest.param({"line_1": "Main 1"}, {"address": {"line_1": "Main 1"}}, id="flat line_1"),
        pytest.param(
            {"address": {"city": "C", "postal_code": "1", "street": "Main 1", "more": 1}, "city": "X", "state": "X"},
            {"address": {"city": "C", "postal_code": "1", "line_1": "Main 1"}},
            id="nested address wins over the flat one as a whole",
        ),
        pytest.param({"address": {}, "city": "X"}, {}, id="nested address without anything"),
        pytest.param({"address": {"city": None, "state": ""}}, {}, id="nested address with nothing in it"),
        pytest.param({"address": None, "city": "C"}, {"address": {"city": "C"}}, id="null address beside a flat one"),
        # metadata
        pytest.param(
            {"metadata": {"a": [1, {"b": None}], "": "x"}},
            {"metadata": {"a": [1, {"b": None}], "": "x"}},
            id="metadata",
        ),
        pytest.param({"metadata": {}}, {}, id="empty metadata"),
        # what can be converted to a string is
        pytest.param({"name": 7, "phone": 48123456789}, {"name": "7", "phone": "48123456789"}, id="whole numbers"),
        pytest.param({"phone": 48123456789.0, "name": 1.5}, {"phone": "48123456789", "name": "1.5"}, id="decimals"),
        pytest.param({"name": True, "email": False}, {"name": "true", "email": "false"}, id="true and false"),
        pytest.param({"address": {"postalCode": 40246}}, {"address": {"postal_code": "40246"}}, id="number in address"),
        pytest.param({"phone": 0}, {"phone": "0"}, id="zero is not nothing"),
    ],
)
def test_a_profile_becomes_exactly_this_customer_without_a_warning(traits: Json, attributes: Json) -> None:
    assert mapped(traits) == (ALWAYS | attributes, [])


@pytest.mark.parametrize("nothing", [None, ""])
@pytest.mark.parametrize("trait", TRAIT_NAMES)
def test_a_trait_that_is_null_or_empty_is_left_out_without_a_warning(trait: str, nothing: object) -> None:
    assert mapped({trait: nothing}) == (ALWAYS, [])


@pytest.mark.parametrize("wrong", [[], ["x"], {}, {"x": 1}])
@pytest.mark.parametrize("trait", TEXT_TRAITS)
def test_what_cannot_be_converted_to_text_is_left_out_and_counted(trait: str, wrong: object) -> None:
    customer, [(left_out, _)] = mapped({trait: wrong})
    assert (customer, left_out) == (ALWAYS, trait)


@pytest.mark.parametrize("wrong", [[], ["x"], 0, 7, 1.5, True, False, "x"])
@pytest.mark.parametrize("trait", ["address", "metadata"])
def test_what_should_be_an_object_and_is_not_is_left_out_and_counted(trait: str, wrong: object) -> None:
    customer, [(left_out, _)] = mapped({trait: wrong})
    assert (customer, left_out) == (ALWAYS, trait)


def test_a_part_of_the_wrong_type_does_not_cost_the_parts_beside_it() -> None:
    traits = {"name": ["x"], "lastName": "L", "address": {"city": {}, "country": "PL"}, "phone": [], "email": "a@b.c"}
    customer, warnings = mapped(traits)
    assert customer == ALWAYS | {"name": "L", "address": {"country": "PL"}, "email": "a@b.c"}
    assert sorted(warnings) == [
        ("address.city", "is an object, not text"),
        ("name", "is a list, not text"),
        ("phone", "is a list, not text"),
    ]


def test_an_address_of_the_wrong_type_leaves_the_flat_one_to_be_used() -> None:
    customer, [(left_out, _)] = mapped({"address": ["Main 1"], "city": "C"})
    assert (customer, left_out) == (ALWAYS | {"address": {"city": "C"}}, "address")


def test_what_was_wrong_where_the_profile_was_read_is_a_warning_as_well() -> None:
    warnings: Warnings = []
    problems = (("name", "has a damaged character"), ("external_ids.user_id", "has several values"))
    profile = Profile("use_1", "u1", {"email": []}, problems)
    to_customer(profile, lambda trait, problem: warnings.append((trait, problem)))
    assert sorted(warnings) == sorted([*problems, ("email", "is a list, not text")])


# --- for any traits -------------------------------------------------------------------------------------------


@UNHURRIED
@given(TRAITS)
def test_every_customer_is_one_that_the_vendors_model_takes(traits: Json) -> None:
    customer, _ = mapped(traits)
    CustomersUpdateInBulkRequestBody.model_validate(customer)
    assert set(customer) <= {*CustomersUpdateInBulkRequestBody.model_fields, "system_metadata"}
    assert customer | ALWAYS == customer


@UNHURRIED
@given(TRAITS)
def test_nothing_but_a_birthdate_is_ever_sent_as_null_and_no_text_is_empty(traits: Json) -> None:
    customer, _ = mapped(traits)
    sent = {**customer, **{f"address.{part}": value for part, value in customer.get("address", {}).items()}}
    assert not [name for name, value in sent.items() if value in ("", None) and name != "birthdate"]
    assert customer.get("address") != {}


@UNHURRIED
@given(TRAITS)
def test_a_birthdate_is_null_exactly_where_there_is_one_that_is_not_iso(traits: Json) -> None:
    customer, warnings = mapped(traits)
    value = traits.get("birthdate")
    is_date = isinstance(value, str) and value != "" and not value.startswith(MARK)  # no other text is made here
    is_null = "birthdate" in customer and customer["birthdate"] is None
    assert is_null == (value not in (None, "") and not is_date), "and never for a birthday"
    assert is_null == ("birthdate" in dict(warnings))


@UNHURRIED
@given(TRAITS, st.dictionaries(st.text(), JSON))
def test_the_mapped_traits_are_all_that_is_read(traits: Json, others: Json) -> None:
    assert mapped({**others, **traits}) == mapped(
        {trait: value for trait, value in {**others, **traits}.items() if trait in MAPPED_TRAITS}
    )


@UNHURRIED
@given(TRAITS)
def test_a_warning_names_a_trait_and_never_shows_its_value(traits: Json) -> None:
    for trait, problem in mapped(traits)[1]:
        assert trait.removeprefix("address.") in TRAIT_NAMES
        assert MARK not in problem
        assert problem.startswith("is ")
        assert not [char for char in problem.replace("ISO 8601", "") if char.isdigit()]


NESTED = b'{"a":' * 500 + b"1" + b"}" * 500


@pytest.mark.parametrize(
    "raw", [b"9" * 4300, b"-0.0", b"1.7e308", b"5e-324", b'"\\u0000"', b'"\\ud83c\\udf88"', b'{"":""}', b"[[]]", NESTED]
)
@pytest.mark.parametrize("trait", TRAIT_NAMES)
def test_whatever_can_be_read_from_json_can_be_sent(trait: str, raw: bytes) -> None:
    value = msgspec.json.decode(raw)
    CustomersUpdateInBulkRequestBody.model_validate(mapped({trait: value})[0])
    CustomersUpdateInBulkRequestBody.model_validate(mapped({"address": {trait: value}})[0])


ODD: dict[str, object] = {
    "a number too long to be written": 10**5000,
    "a negative one": -(10**5000),
    "not a number": float("nan"),
    "infinity": float("-inf"),
    "half of a character": "\ud83c",
    "an object of no JSON type": object(),
    "a key that is not text": {1: {}},
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_even_what_is_not_json_does_not_raise(odd: object) -> None:
    for trait in TRAIT_NAMES:
        to_customer(Profile("use_1", "u1", {trait: odd}), lambda *_: None)
        to_customer(Profile("use_1", "u1", {"address": {trait: odd}}), lambda *_: None)
