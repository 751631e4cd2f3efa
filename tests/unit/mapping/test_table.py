"""The table of the mapping in the operator's guide, held to the mapping itself."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from segsync.mapping.attributes import ATTRIBUTES
from segsync.mapping.customer import ADDRESS_PARTS, MAPPED_TRAITS, to_customer
from segsync.models import SYSTEM_METADATA, Profile
from tests.support import guides

SECTION = guides.section(guides.PAGES["docs/operators/mapping.md"], "Which trait becomes what")
ROWS = guides.rows(SECTION)[1:]
MAPPED = [row for row in ROWS if "`" in row[0]]


def codes(cell: str) -> list[str]:
    """What stands between backticks, in its order."""
    return cell.split("`")[1::2]


def sent(*traits: tuple[str, Any]) -> dict[str, Any]:
    """What is sent of a profile with these traits, `address.city` as a part of `address`: the values by attribute."""
    given: dict[str, Any] = {}
    for name, value in traits:
        entity, _, part = name.partition(".")
        if part:
            given.setdefault(entity, {})[part] = value
        else:
            given[name] = value
    customer: dict[str, Any] = msgspec.to_builtins(to_customer(Profile("use_1", "u1", given), lambda *_: None))
    address = customer.pop("address", {})
    return customer | {f"address.{part}": value for part, value in address.items()}


def value_of(trait: str, number: int = 0) -> Any:
    day = f"1990-01-0{number + 1}"
    return {"birthdate": day, "birthday": day, "metadata": {"plan": "pro"}}.get(trait, f"value {number}")


@pytest.mark.parametrize("row", MAPPED, ids=lambda row: row[0])
def test_each_trait_becomes_the_attribute_beside_it(row: list[str]) -> None:
    [attribute] = codes(row[1])
    for trait in codes(row[0]):
        assert sent((trait, value_of(trait))) == {**sent(), attribute: value_of(trait)}


@pytest.mark.parametrize("row", MAPPED, ids=lambda row: row[0])
def test_of_several_traits_the_first_with_a_value_counts(row: list[str]) -> None:
    [attribute], traits = codes(row[1]), codes(row[0])
    for first in range(len(traits)):
        given = [(trait, value_of(trait, number)) for number, trait in enumerate(traits)][first:]
        assert sent(*given)[attribute] == given[0][1]


@pytest.mark.parametrize("nothing", [None, ""])
def test_what_is_missing_is_not_sent(nothing: object) -> None:
    assert {row[2].partition(" (")[0] for row in MAPPED if len(codes(row[0])) == 1} <= {
        "not sent",
        "first and last name, joined by a space",
    }
    every = [trait for row in MAPPED for trait in codes(row[0])]
    assert sent(*[(trait, nothing) for trait in every]) == sent() == {"source_id": "u1", **ALWAYS}
    assert sent(("birthdate", "soon")) == {**sent(), "birthdate": None}
    assert sent(("birthday", "soon")) == sent()
    assert sent(("firstName", "Ada"), ("last_name", "L"))["name"] == "Ada L"


ALWAYS = {"system_metadata": SYSTEM_METADATA}


def test_it_has_every_trait_that_is_read_and_every_attribute_that_is_sent() -> None:
    traits = {trait for row in MAPPED for trait in codes(row[0])}
    assert traits == {*MAPPED_TRAITS, *(f"address.{part}" for part in ADDRESS_PARTS)} - {"address"}
    attributes = {code for row in ROWS for code in codes(row[1])}
    assert attributes == {*ATTRIBUTES, "source_id", "metadata", *ALWAYS}
    [constant] = [codes(row[2])[0] for row in ROWS if row[1] == "`system_metadata`"]
    assert msgspec.json.decode(constant) == SYSTEM_METADATA
