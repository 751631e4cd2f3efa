"""From which trait each attribute of a customer comes, by asking the mapping. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segsync.mapping.attributes import ATTRIBUTES, AttributeTraits
from segsync.mapping.customer import MAPPED_TRAITS, to_customer
from segsync.models import Customer, Profile


def origins(traits: Mapping[str, Any], customer: Customer, choice: AttributeTraits) -> dict[str, str]:
    """The trait that each attribute of this customer was read from, by the attribute; of a name in two parts the first.

    Each trait is mapped alone, which shows the attributes that it can give. The first of them gave it: the one that
    is named for the attribute, then those of the built-in rules in their order.
    """
    named = dict(choice.named)
    there = [trait for trait in choice.mapped if traits.get(trait) not in (None, "")]
    gives = {trait: _values(to_customer(_profile({trait: traits[trait]}), _ignore, named=named)) for trait in there}
    found: dict[str, str] = {}
    for attribute in _values(customer):
        order = [named[attribute], *MAPPED_TRAITS] if attribute in named else MAPPED_TRAITS
        origin = next((trait for trait in order if attribute in gives.get(trait, ())), None)
        if origin:
            found[attribute] = origin
    return found


def _values(customer: Customer) -> set[str]:
    """The attributes that have a value."""
    return {attribute for attribute in ATTRIBUTES if isinstance(_value(customer, attribute), str)}


def _value(customer: Customer, attribute: str) -> object:
    value: object = customer
    for name in attribute.split("."):
        value = getattr(value, name, None)
    return value


def _profile(traits: dict[str, Any]) -> Profile:
    return Profile("", "", traits)


def _ignore(_trait: str, _problem: str) -> None:
    """The customer itself was warned of."""
