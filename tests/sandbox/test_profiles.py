"""The invented people: always the same ones, and one of every kind that an import has to cope with."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import msgspec
import pytest

from segsync.mapping.customer import to_customer
from segsync.models import Profile
from segsync.sandbox.options import SandboxOptions
from segsync.sandbox.profiles import SandboxProfile, Space
from tests.sandbox.clients import quick

Values = dict[str, Any]

MANY = 400


def _space(**changes: Any) -> Space:
    return Space(quick(**{"profiles": MANY, **changes}))


def _profiles(space: Space) -> list[SandboxProfile]:
    return [space.profile(index) for index in range(len(space))]


@pytest.fixture(scope="module")
def profiles() -> list[SandboxProfile]:
    return _profiles(_space())


@pytest.fixture(scope="module")
def customers(profiles: list[SandboxProfile]) -> list[tuple[Values, Values]]:
    """Traits, and the customer that they must become."""
    return [(profile.traits, profile.customer) for profile in profiles if profile.customer]


def _identifiers(profile: SandboxProfile, kind: str = "user_id") -> list[str]:
    return [entry["id"] for entry in profile.external_ids if entry["type"] == kind]


# --- the same people ----------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_space() -> None:
    assert _profiles(_space(seed=5)) == _profiles(_space(seed=5))


def test_a_profile_is_the_same_in_whatever_order_they_are_made() -> None:
    backwards = _space()
    assert [backwards.profile(index) for index in reversed(range(50))][::-1] == _profiles(_space(profiles=50))


def test_a_profile_does_not_depend_on_how_many_there_are() -> None:
    assert _space(profiles=10).profile(7) == _space(profiles=10_000).profile(7)


def test_another_seed_gives_another_space() -> None:
    one, other = _profiles(_space(seed=1)), _profiles(_space(seed=2))
    assert not {profile.segment_id for profile in one} & {profile.segment_id for profile in other}
    # Small profiles may be alike by chance.
    assert sum(a.traits == b.traits for a, b in zip(one, other, strict=True)) < MANY / 20


def test_each_profile_has_an_id_that_leads_back_to_it() -> None:
    space = _space()
    assert [space.index(space.profile(index).segment_id) for index in range(MANY)] == list(range(MANY))


@pytest.mark.parametrize("change", [{"seed": 2}, {"profiles": MANY + 1}], ids=["another seed", "one more profile"])
def test_the_id_of_a_profile_of_another_space_leads_nowhere(change: Values) -> None:
    assert _space().index(_space(**change).segment_id(MANY)) is None


def test_no_two_customers_share_a_source_id(customers: list[tuple[Values, Values]]) -> None:
    assert len({customer["source_id"] for _, customer in customers}) == len(customers)


# --- who has what -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("share", "low", "high"), [(0.0, 0, 0), (0.15, 90, 220), (0.6, 500, 700), (1.0, 1000, 1000)])
def test_the_share_of_anonymous_profiles_is_about_what_was_asked_for(share: float, low: int, high: int) -> None:
    anonymous = [profile for profile in _profiles(_space(profiles=1000, anonymous=share)) if not profile.customer]
    assert low <= len(anonymous) <= high
    assert not any(_identifiers(profile) for profile in anonymous)


@pytest.mark.parametrize(("share", "low", "high"), [(0.0, 0, 0), (0.1, 50, 160), (1.0, 1000, 1000)])
def test_the_share_of_missing_profiles_is_about_what_was_asked_for(share: float, low: int, high: int) -> None:
    space = _space(profiles=1000, missing=share)
    assert low <= sum(space.is_missing(index) for index in range(1000)) <= high


@pytest.mark.parametrize("identifier", ["user_id", "email", "anonymous_id", "crm_id"])
def test_the_first_id_of_the_identifiers_type_is_the_customers_source_id(identifier: str) -> None:
    seen = 0
    for profile in _profiles(_space(identifier=identifier)):
        ids = _identifiers(profile, identifier)
        assert ids[:1] == ([profile.customer["source_id"]] if profile.customer else [])
        seen += bool(ids)
    assert seen > MANY / 2


@pytest.mark.parametrize(("share", "low", "high"), [(1.0, 1.0, 1.0), (0.5, 0.4, 0.6)])
@pytest.mark.parametrize("identifier", ["email", "user_id"])
def test_the_identifier_can_be_a_trait_too_and_then_has_the_same_value(
    identifier: str, share: float, low: float, high: float
) -> None:
    space = Space(SandboxOptions(profiles=500, identifier=identifier, identifier_trait=share))
    profiles = [space.profile(index) for index in range(500)]
    of_customers = [(each.traits.get(identifier), each.customer) for each in profiles if each.customer]
    assert low <= sum(trait is not None for trait, _ in of_customers) / len(of_customers) <= high
    for trait, customer in of_customers:
        assert trait in (None, customer["source_id"])
        assert customer.get("email") == trait or identifier != "email"
    assert not [each for each in profiles if each.customer is None and identifier in each.traits]


def test_some_profiles_have_the_identifier_beyond_the_first_25_external_ids(profiles: list[SandboxProfile]) -> None:
    later = [p for p in profiles if p.customer and all(entry["type"] != "user_id" for entry in p.external_ids[:25])]
    assert later
    assert len(later) < len(profiles) / 2


def test_some_profiles_have_a_former_identifier_too(profiles: list[SandboxProfile]) -> None:
    assert {len(_identifiers(profile)) for profile in profiles} == {0, 1, 2}


def test_some_profiles_have_more_traits_than_the_200_of_a_call(profiles: list[SandboxProfile]) -> None:
    assert any(len(profile.traits) > 200 for profile in profiles)
    assert any(len(profile.traits) < 10 for profile in profiles)


def test_the_traits_that_matter_can_be_beyond_the_first_200(profiles: list[SandboxProfile]) -> None:
    wide = [list(profile.traits) for profile in profiles if len(profile.traits) > 200 and "name" in profile.traits]
    assert max(names.index("name") for names in wide) >= 200


# --- a clean space, and a messy one -------------------------------------------------------------------


def _warned_of(profiles: list[SandboxProfile]) -> list[str]:
    """The traits that the product warns of."""
    found: list[str] = []
    for profile in profiles:
        if profile.customer:
            read = Profile(profile.segment_id, profile.customer["source_id"], profile.traits)
            to_customer(read, lambda trait, _: found.append(trait))
    return found


def test_a_space_is_clean_but_for_a_few_odd_profiles() -> None:
    profiles = _profiles(Space(SandboxOptions(profiles=2000)))
    with_identifier = [profile for profile in profiles if profile.customer]
    assert 0.82 < len(with_identifier) / len(profiles) < 0.88
    warned_of = _warned_of(profiles)
    assert 0.01 < len(warned_of) / len(with_identifier) < 0.04
    assert set(warned_of) >= {"birthdate", "metadata", "name"}, "odd in more than one way"
    assert {len(_identifiers(profile)) for profile in with_identifier} == {1}


def test_a_space_without_odd_profiles_would_have_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segsync.sandbox.profiles.ODD_SHARE", 0.0)
    profiles = _profiles(Space(SandboxOptions(profiles=2000)))
    assert _warned_of(profiles) == []
    assert {"name", "email", "address", "birthdate", "metadata"} < {name for each in profiles for name in each.traits}


def test_in_a_messy_space_most_profiles_are_odd(profiles: list[SandboxProfile]) -> None:
    assert len(_warned_of(profiles)) > 0.8 * len([profile for profile in profiles if profile.customer])


def test_the_messy_space_is_that_of_the_recorded_benchmarks() -> None:
    encoded = msgspec.json.encode([profile.traits for profile in _profiles(_space())], order="sorted")
    assert sha256(encoded).hexdigest() == "dcd2f33ccddf33ac4ce47535e10f152e1f66b290430f87f5fcab4fa06e87bfdf"


# --- one of every kind --------------------------------------------------------------------------------

Kind = Callable[[Values, Values], bool]

CAMEL, SNAKE = {"firstName", "lastName"}, {"first_name", "last_name"}
FLAT_ADDRESS = {"city", "state", "country", "street", "line_1", "postalCode", "postal_code"}


def _born(value: object) -> Kind:
    return lambda traits, customer: traits.get("birthdate") == value and customer["birthdate"] is None


def _born_at(time: str) -> Kind:
    return lambda traits, customer: traits.get("birthdate") == f"{customer.get('birthdate')}{time}"


KINDS: dict[str, Kind] = {
    "a name": lambda t, c: isinstance(t.get("name"), str) and not (CAMEL | SNAKE) & set(t) and c["name"] == t["name"],
    "a name in two parts": lambda t, c: (
        "name" not in t and set(t) >= CAMEL and c["name"] == f"{t['firstName']} {t['lastName']}"
    ),
    "a name in snake case": lambda t, c: set(t) >= SNAKE and c["name"] == f"{t['first_name']} {t['last_name']}",
    "a first name alone": lambda t, c: (CAMEL | SNAKE) & set(t) == {"firstName"} and c["name"] == t["firstName"],
    "a last name alone": lambda t, c: (CAMEL | SNAKE) & set(t) == {"last_name"} and c["name"] == t["last_name"],
    "a name that contradicts its parts": lambda t, c: (
        bool(t.get("name")) and set(t) >= CAMEL and c["name"] == t["name"]
    ),
    "a name that is null": lambda t, c: t.get("name", "") is None and c["name"].startswith(t["firstName"]),
    "a name that is a number": lambda t, c: isinstance(t.get("name"), int) and c["name"] == str(t["name"]),
    "a name that is a list": lambda t, c: isinstance(t.get("name"), list) and "name" not in c,
    "no name": lambda t, c: not ({"name"} | CAMEL | SNAKE) & set(t) and "name" not in c,
    "a name in no Latin letter": lambda t, c: (
        not any(letter < "\u0250" for letter in c.get("name", "a") if letter != " ")
    ),
    "a name with quotes and an emoji": lambda t, c: '"' in c.get("name", "") and "🎈" in c["name"],
    "an email address and a phone number": lambda t, c: (
        {"email", "phone"} <= set(t) and [c.get("email"), c.get("phone")] == [t["email"], t["phone"]]
    ),
    "a phone number that is a number": lambda t, c: isinstance(t.get("phone"), int) and c["phone"] == str(t["phone"]),
    "an email address that is an object": lambda t, c: isinstance(t.get("email"), dict) and "email" not in c,
    "no contact": lambda t, c: not {"email", "phone"} & (set(t) | set(c)),
    "a description of two lines": lambda t, c: (
        "\n" in t.get("description", "") and c["description"] == t["description"]
    ),
    "no description": lambda t, c: "description" not in t and "description" not in c,
    "an address": lambda t, c: (
        "street" in t.get("address", "")
        and not FLAT_ADDRESS & set(t)
        and c["address"]["line_1"] == t["address"]["street"]
    ),
    "an address in snake case": lambda t, c: "line_1" in t.get("address", "") and c["address"] == t["address"],
    "an address that flat traits contradict": lambda t, c: (
        isinstance(t.get("address"), dict) and t.get("city") not in (None, c["address"]["city"])
    ),
    "a flat address": lambda t, c: "address" not in t and "street" in t and c["address"]["line_1"] == t["street"],
    "a flat address in snake case": lambda t, c: "line_1" in t and c["address"]["postal_code"] == str(t["postal_code"]),
    "an address that is a list beside a flat one": lambda t, c: isinstance(t.get("address"), list) and "address" in c,
    "an address that is text": lambda t, c: isinstance(t.get("address"), str) and "address" not in c,
    "no address": lambda t, c: not ({"address"} | FLAT_ADDRESS) & set(t) and "address" not in c,
    "a birthdate": lambda t, c: "birthdate" in t and c["birthdate"] == t["birthdate"],
    "no birthdate": lambda t, c: "birthdate" not in t and "birthdate" not in c,
    **{f"born at {time}": _born_at(time) for time in ("T00:00:00.000Z", "T23:30:00-05:00", "T08:15", "T08:15:00+0200")},
    **{
        f"born {day!r}": _born(day)
        for day in ("31/12/1990", "1990-02-30", "unknown", "90-1-1", 19900517, ["1990-05-17"])
    },
    "metadata": lambda t, c: isinstance(t.get("metadata"), dict) and c["metadata"] == t["metadata"],
    "metadata that is text": lambda t, c: isinstance(t.get("metadata"), str) and "metadata" not in c,
    "no metadata": lambda t, c: "metadata" not in t and "metadata" not in c,
    "a source id of reserved and non-ASCII characters": lambda t, c: set("ä/+ ") <= set(c["source_id"]),
    "a source id of digits": lambda t, c: c["source_id"].isdecimal(),
    "a source id that is an email address": lambda t, c: "@" in c["source_id"],
    "a plain source id": lambda t, c: c["source_id"].startswith("user-"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_among_a_few_hundred_profiles_is_one_with(kind: str, customers: list[tuple[Values, Values]]) -> None:
    matches = [traits for traits, customer in customers if KINDS[kind](traits, customer)]
    assert matches
    assert len(matches) < len(customers), "the test does not distinguish this kind from the others"


def test_every_customer_names_its_source(customers: list[tuple[Values, Values]]) -> None:
    assert all(customer["system_metadata"] == {"source": "segmentio"} for _, customer in customers)
