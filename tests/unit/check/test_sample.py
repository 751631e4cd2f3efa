"""What a sample shows: counts that one can add up by hand, and no value of a profile."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET

from segsync.check.sample import ReadSample, Sample, SampledProfile, TraitWarning, analyse
from segsync.connectors.segment_profile import TraitsRead
from segsync.models import Customer
from tests.support.configured import settings

ANONYMOUS = ("anonymous_id", "anon-1")


def profile(
    segment_id: str, external_ids: list[tuple[str, str]], traits: dict[str, Any] | None = None, calls: int = 1
) -> SampledProfile:
    return SampledProfile(segment_id, external_ids, None if traits is None else TraitsRead(traits, calls))


def look(
    *profiles: SampledProfile, unreadable: dict[str, int] | None = None, **settings_given: Any
) -> tuple[Sample, list[Customer]]:
    return analyse(ReadSample(list(profiles), unreadable or {}), settings(**settings_given))


def test_types_are_counted_by_profile_however_many_of_one_it_has() -> None:
    sample, customers = look(
        profile("1", [ANONYMOUS, ("anonymous_id", "anon-2"), ("user_id", "u1"), ("user_id", "u2")], {}),
        profile("2", [ANONYMOUS, ("email", "ada@example.com")]),
        profile("3", []),
    )
    assert sample.external_ids == {"anonymous_id": 2, "user_id": 1, "email": 1}
    assert (sample.profiles, sample.customers, sample.several) == (3, 1, 1)
    assert [customer.source_id for customer in customers] == ["u1"], "the first, as in an import"


def test_traits_and_warnings_are_those_of_the_customers() -> None:
    sample, customers = look(
        profile("1", [("user_id", "1")], {"name": "Ada", "birthdate": "10/12/1815", "metadata": {"plan": "pro"}}),
        profile("2", [("user_id", "2")], {"name": ["Ada"], "birthdate": "1815-12-10", "email": "", "phone": None}),
        profile("3", [("user_id", "3")], {"name": {"first": "Ada"}, "birthdate": "soon", "unmapped": 1}),
    )
    assert sample.traits == {"name": 3, "birthdate": 3, "metadata": 1}
    assert (sample.birthdates, sample.bad_birthdates) == (3, 2)
    assert TraitWarning("birthdate", "is not an ISO 8601 date", 2) in sample.warnings
    assert TraitWarning("name", "is a list, not text", 1) in sample.warnings
    assert [customer.metadata for customer in customers] == [{"plan": "pro"}, UNSET, UNSET]


def test_a_birthday_counts_as_a_birthdate_and_is_never_null() -> None:
    ids = [("user_id", "1")]
    sample, customers = look(
        profile("1", ids, {"birthday": "soon"}),
        profile("2", ids, {"birthday": "1815-12-10"}),
        profile("3", ids, {"birthdate": "soon"}),
        birthdate_invalid="omit",
    )
    assert (sample.birthdates, sample.bad_birthdates) == (3, 2)
    assert [customer.birthdate for customer in customers] == [UNSET, "1815-12-10", UNSET]


def test_attributes_are_counted_by_the_trait_that_they_come_from() -> None:
    ids = [("user_id", "1")]
    sample, customers = look(
        profile("1", ids, {"phone": "+48 1", "mobile_phone": "+48 2", "dob": "1815-12-10"}),
        profile("2", ids, {"phone": "+48 1", "name": "Ada", "dob": "soon"}),
        profile("3", [ANONYMOUS], {"phone": "+48 1"}),
        attribute_traits="phone=mobile_phone,birthdate=dob,email=mail",
    )
    assert sample.attributes == {
        "name": {"name": 1},
        "phone": {"mobile_phone": 1, "phone": 1},
        "birthdate": {"dob": 1},
    }
    assert sample.absent == ["mail"]
    assert (sample.birthdates, sample.bad_birthdates) == (2, 1)
    assert [customer.phone for customer in customers] == ["+48 2", "+48 1"]
    assert sample.not_live == {"mobile_phone": 1, "dob": 2}


def test_what_the_live_destination_does_not_read_is_counted_by_customer() -> None:
    ids = [("user_id", "1")]
    sample, _ = look(
        profile("1", ids, {"firstName": "Ada", "birthday": "1815-12-10", "city": "London"}),
        profile("2", ids, {"firstName": "Ada", "plan": "pro"}),
        profile("3", [ANONYMOUS], {"firstName": "Nobody"}),
        metadata_traits="plan,tier=plan",
    )
    assert sample.not_live == {"firstName": 2, "city": 1, "birthday": 1, "plan": 1}


def test_where_the_trait_comes_first_those_that_have_it_and_that_differ_are_counted() -> None:
    sample, customers = look(
        profile("1", [("email", "a@x.io")], {"email": "a@x.io"}),
        profile("2", [("email", "b@x.io")], {"email": "B@x.io"}),
        profile("3", [("email", "c@x.io")], {}),
        profile("4", [], {"email": "d@x.io"}),
        profile("5", [ANONYMOUS], {}),
        identifier_saved_as_source_id="email",
        identifier_lookup="traits",
    )
    assert (sample.customers, sample.identifier_traits, sample.differing) == (4, 3, 2)
    assert [customer.source_id for customer in customers] == ["a@x.io", "B@x.io", "c@x.io", "d@x.io"]


def test_profiles_that_could_not_be_read_count_as_profiles_and_as_nothing_else() -> None:
    sample, _ = look(profile("1", [("user_id", "1")], {}), unreadable={"answered 404": 2})
    assert (sample.profiles, sample.customers, sample.unreadable) == (3, 1, {"answered 404": 2})


def test_the_calls_for_traits_are_those_of_their_pages() -> None:
    profiles = [profile("1", [("user_id", "1")], {}, calls=3), profile("2", [("user_id", "2")], {})]
    sample, _ = look(*profiles, profile("3", []))
    assert sample.trait_calls == 2.0, "three and one; nobody asks for those of the third"


def test_no_value_of_a_profile_is_in_it() -> None:
    traits = {"name": "Ada", "email": "ada@example.com", "metadata": {"plan": "Lovelace"}, "birthdate": "Tuesday"}
    sample, _ = look(profile("use_1", [("user_id", "secret-1")], traits))
    encoded = msgspec.json.encode(sample).decode()
    assert not [value for value in ("Ada", "ada@", "Lovelace", "Tuesday", "secret-1", "use_1") if value in encoded]
