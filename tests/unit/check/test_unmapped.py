"""The traits that are not imported: what counts, what is shown of it, and the settings that take it."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segsync.check.unmapped import FREQUENT, NotImported, UnmappedTraits, not_imported
from segsync.connectors.factory import traits_to_read
from segsync.mapping.attributes import AttributeTraits
from segsync.mapping.customer import MAPPED_TRAITS
from segsync.mapping.metadata import TraitChoice
from segsync.settings import Settings
from tests.support.configured import settings

ODD = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
LIKELY = st.sampled_from(
    ["plan", "Plan (old)", "a,b", "k=v", "*", "it's", 'say "hi"', "#1", "a #b", "$x", "back\\slash"]
)


def left_of(*customers: dict[str, Any], **given: Any) -> NotImported:
    """What is not imported of customers with these traits."""
    configured = settings(**given)
    unmapped = UnmappedTraits(configured)
    for traits in customers:
        unmapped.count(traits)
    return not_imported(unmapped.customers, len(customers), configured)


def load(**lines: str) -> Settings:
    """Settings from an env file with these lines beside the credentials."""
    credentials = "SEGMENT_ACCESS_TOKEN=t\nSEGMENT_SPACE_ID=s\nVOUCHERIFY_APPLICATION_ID=a\nVOUCHERIFY_SECRET_KEY=k\n"
    with TemporaryDirectory() as directory:
        path = Path(directory, ".env")
        path.write_text(credentials + "".join(f"{line}\n" for line in lines.values()), encoding="utf-8")
        return Settings.load(environ={}, env_file=path)


def test_traits_that_no_rule_reads_are_counted_by_customer_the_most_frequent_first() -> None:
    left = left_of(
        {"name": "Ada", "birthday": "1990-01-01", "plan": "pro", "vip": False, "id": 7},
        {"plan": "pro", "vip": None, "score": 0, "tags": []},
        {"plan": "", "score": ""},
    )
    assert left.traits == {"plan": 2, "id": 1, "score": 1, "tags": 1, "vip": 1}
    assert left.customers == 3
    assert left.number_words == "5 traits"


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"metadata_traits": "plan,ltv=lifetime_value"},
        {"attribute_traits": "phone=mobile_phone"},
        {"identifier_saved_as_source_id": "customer_no", "identifier_lookup": "traits"},
    ],
)
def test_what_an_import_asks_for_is_never_among_them(given: dict[str, str]) -> None:
    wanted = traits_to_read(settings(**given))
    assert wanted is not None
    assert set(MAPPED_TRAITS) <= set(wanted)
    every = dict.fromkeys([*wanted, "plan", "lifetime_value", "mobile_phone", "customer_no", "other"], "x")
    assert left_of(every, **given).traits.keys() == every.keys() - set(wanted)


def test_the_identifier_is_among_them_unless_it_is_read_from_the_traits() -> None:
    named = {"identifier_saved_as_source_id": "customer_no"}
    assert left_of({"customer_no": "7"}, **named).traits == {"customer_no": 1}
    assert left_of({"customer_no": "7"}, **named, identifier_lookup="traits").traits == {}


def test_only_what_an_import_reads_is_kept_of_a_profile() -> None:
    traits = {"name": "Ada", "plan": "pro", "secret": "x"}
    assert UnmappedTraits(settings(metadata_traits="plan")).wanted(traits) == {"name": "Ada", "plan": "pro"}
    assert UnmappedTraits(settings(metadata_traits="*")).wanted(traits) == traits


def test_nothing_is_left_where_metadata_takes_all_others() -> None:
    left = left_of({"plan": "pro", "anything": 1}, metadata_traits="*")
    assert (left.traits, left.metadata_setting, left.all_setting, left.attribute_setting) == ({}, "", "", "")


@pytest.mark.parametrize(
    "name", ["ada@example.com", "4915112345678", "+49 151 1234567", "id-2023-11-05", "a1b2c3d4e5f6a7b8c9", "x" * 65]
)
def test_names_that_may_be_personal_are_counted_and_not_shown(name: str) -> None:
    left = left_of({name: 1, "plan": 1}, {name: 1})
    assert left.traits == {"…": 2, "plan": 1}
    assert left.number_words == "1 trait and others with names that may be personal"
    assert left_of({name: 1}).number_words == "others with names that may be personal"
    assert left.metadata_setting == "METADATA_TRAITS=plan"
    assert name not in str(left)


@pytest.mark.parametrize("name", ["90_day_orders", "2fa", "orders_2023_2024", "j_o_jons__step_1_ns3i7", "Größe"])
def test_names_of_computed_traits_and_audiences_are_shown(name: str) -> None:
    assert left_of({name: 1}).traits == {name: 1}


def test_memory_does_not_grow_with_names_that_are_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segsync.check.unmapped.MOST_NAMES", 3)
    assert left_of({"a": 1, "b": 1, "c": 1}, {"a": 1, "d": 1, "e": 1}).traits == {"a": 2, "b": 1, "c": 1, "…": 1}


def test_the_setting_keeps_what_is_named_already_and_gives_no_key_twice() -> None:
    left = left_of({"plan": "pro", "score": 1}, metadata_traits="plan=tier")
    assert left.metadata_setting == "METADATA_TRAITS=plan=tier,plan_trait=plan,score"
    assert left.all_setting == "METADATA_TRAITS=*,plan=tier"


def test_the_most_frequent_ones_have_a_setting_of_their_own() -> None:
    every = [f"trait_{number:03}" for number in range(230)]
    left = left_of(dict.fromkeys(every, 1))
    assert left.metadata_setting == f"METADATA_TRAITS={','.join(every)}"
    assert left.frequent_setting == f"METADATA_TRAITS={','.join(every[:FREQUENT])}"
    assert left.number_words == "230 traits"


@pytest.mark.parametrize("name", ["a,b", "k=v", "*", " plan", "a\nb", "back\\slash", ""])
def test_a_name_that_the_setting_cannot_hold_is_listed_and_taken_by_the_star(name: str) -> None:
    left = left_of({name: 1, "plan": 1})
    assert (left.not_nameable, left.metadata_setting) == ([name], "METADATA_TRAITS=plan")
    assert left_of({name: 1}).metadata_setting == ""
    assert left_of({name: 1}).all_setting == "METADATA_TRAITS=*"


@given(st.dictionaries(ODD | LIKELY, st.just(1), max_size=6))
def test_pasted_into_an_env_file_the_line_takes_every_trait_that_can_be_named(traits: dict[str, int]) -> None:
    left = left_of(traits, metadata_traits="tier=level")
    if left.metadata_setting:
        choice = load(line=left.metadata_setting).metadata_traits
        after = left_of(traits, metadata_traits=choice)
        assert set(after.traits) - {"…"} == set(left.not_nameable)
        assert after.metadata_setting == ""
        assert ("tier", "level") in choice.named
    if left.all_setting:
        assert left_of(traits, metadata_traits=load(line=left.all_setting).metadata_traits).traits == {}


@pytest.mark.parametrize(
    ("traits", "setting"),
    [
        ({"mobile_phone": 1, "dob": 1, "full_name": 1}, "birthdate=dob,name=full_name,phone=mobile_phone"),
        (
            {"dateOfBirth": 1, "ZIP code": 1, "Email": 1},
            "email=Email,address.postal_code=ZIP code,birthdate=dateOfBirth",
        ),
        ({"phoneNumber": 1, "mobile": 1}, "phone=mobile"),
        ({"plan": 1, "favourite_city_break": 1}, ""),
    ],
)
def test_traits_that_look_like_an_attribute_have_a_setting_that_reads_them(
    traits: dict[str, int], setting: str
) -> None:
    left = left_of(traits)
    assert left.attribute_setting.replace("'", "") == (f"ATTRIBUTE_TRAITS={setting}" if setting else "")
    if setting:
        choice = load(line=left.attribute_setting).attribute_traits
        assert choice == AttributeTraits.parse(setting)
        assert not set(choice.traits) & left_of(traits, attribute_traits=choice).traits.keys()


def test_an_attribute_that_a_trait_is_named_for_gets_no_other() -> None:
    left = left_of({"mobile": 1, "dob": 1}, attribute_traits="phone=cell")
    assert left.attribute_setting == "ATTRIBUTE_TRAITS=phone=cell,birthdate=dob"
    assert left_of({"mobile": 1}, attribute_traits="phone=cell").attribute_setting == ""


def test_a_choice_of_traits_can_be_given_as_such() -> None:
    assert left_of({"plan": 1}, metadata_traits=TraitChoice.parse("plan")).traits == {}


@pytest.mark.parametrize(
    ("traits", "number", "names", "setting"),
    [
        (["plan", "vip"], 2, ("plan", "vip"), "METADATA_TRAITS=plan,vip"),
        (["plan", "a,b"], 2, ("a,b", "plan"), "METADATA_TRAITS=*"),
        (["plan", "ada@example.com"], 2, ("plan",), "METADATA_TRAITS=*"),
        (
            [f"trait_{number:03}" for number in range(230)],
            230,
            tuple(f"trait_{n:03}" for n in range(5)),
            "METADATA_TRAITS=*",
        ),
        ([], 0, (), ""),
    ],
)
def test_a_summary_has_the_number_the_first_names_and_a_short_line(
    traits: list[str], number: int, names: tuple[str, ...], setting: str
) -> None:
    short = left_of(dict.fromkeys(traits, 1)).at("2026-11-28T10:00:00+00:00")
    assert (short.checked_at, short.traits, short.setting) == ("2026-11-28T10:00:00+00:00", number, setting)
    assert sorted(short.names) == sorted(names)
