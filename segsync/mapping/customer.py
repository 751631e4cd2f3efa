"""Profile → customer: pure functions, no I/O.

The rules are those of the Node script that segsync replaces (voucherifyio/segmentio-initial-sync), but what a profile
does not have, or has as an empty string, is left out instead of sent as null: an attribute that is left out stays.
`birthday`, too, is new. What Segment calls a trait is in its Identify spec:
https://www.twilio.com/docs/segment/connections/spec/identify
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any, Final, Literal

from msgspec import UNSET, UnsetType

from segsync.mapping.dates import iso_day
from segsync.mapping.problems import NAMED_NOT_A_DATE, NOT_A_DATE, NOT_A_DATE_OMITTED
from segsync.models import SYSTEM_METADATA, Address, Customer, Profile

NAME_PARTS: Final = (("firstName", "first_name"), ("lastName", "last_name"))

ADDRESS_TRAITS: Final = {
    "city": ("city",),
    "state": ("state",),
    "country": ("country",),
    "postal_code": ("postalCode", "postal_code"),
    "line_1": ("street", "line_1"),
}
"""The parts of an address that the built-in rules read, and from which traits, flat or in the trait `address`."""

BUILT_IN: Final[Mapping[str, str]] = {}
"""No trait is named for any attribute: the built-in rules alone."""

_ATTRIBUTES: Final = ("email", "description", "phone", "birthdate", "birthday", "address")

MAPPED_TRAITS: Final = ("name", *chain(*NAME_PARTS), *_ATTRIBUTES, *chain(*ADDRESS_TRAITS.values()), "metadata")
"""Every trait that a rule reads; only these are asked of Segment."""

_ALONE: Final = {attribute: (attribute,) for attribute in ("name", "email", "description", "phone")}
_PARTS_OF_NAME: Final = frozenset(chain(*NAME_PARTS))
ADDRESS_PARTS: Final = frozenset(chain(*ADDRESS_TRAITS.values()))
"""The traits of which an address is made, flat or in the trait `address`."""

Warn = Callable[[str, str], None]
"""Called for a trait that is left out: with its name, and what is wrong with it (never its value)."""

InvalidBirthdate = Literal["null", "omit"]
"""What is sent for a birthdate that is not a date: null, or nothing."""

MetadataOf = Callable[[Mapping[str, Any], Warn], dict[str, Any] | None]
"""Makes the metadata of a customer from the traits of a profile, or None; warns of what it leaves out."""


def metadata_trait(traits: Mapping[str, Any], warn: Warn) -> dict[str, Any] | None:
    """The trait `metadata`, as it is."""
    metadata = traits.get("metadata")
    if isinstance(metadata, dict):
        return metadata
    if metadata is not None and metadata != "":
        warn("metadata", f"is {kind(metadata)}, not an object")
    return None


def to_customer(
    profile: Profile,
    warn: Warn,
    metadata_of: MetadataOf = metadata_trait,
    invalid_birthdate: InvalidBirthdate = "null",
    named: Mapping[str, str] = BUILT_IN,
) -> Customer:
    """The customer that this profile becomes. Whatever its traits hold, this raises only what `metadata_of` raises.

    `invalid_birthdate` is BIRTHDATE_INVALID. `named` is ATTRIBUTE_TRAITS: the trait to read first, by the name of the
    attribute. Empty metadata is not sent.
    """
    traits = profile.traits
    metadata = metadata_of(traits, warn)
    for trait, problem in profile.problems:
        warn(trait, problem)
    if named:
        warn = _each_once(warn)  # two attributes can be read from one trait
    return Customer(
        source_id=profile.source_id,
        name=_name(traits, named, warn),
        email=_text(traits, _names("email", named), warn),
        description=_text(traits, _names("description", named), warn),
        phone=_text(traits, _names("phone", named), warn),
        birthdate=_birthdate(traits, named.get("birthdate"), invalid_birthdate, warn),
        address=_address(traits, named, warn),
        metadata=metadata or UNSET,
        system_metadata=SYSTEM_METADATA,
    )


def _names(attribute: str, named: Mapping[str, str]) -> tuple[str, ...]:
    """The traits of an attribute whose built-in rule reads the trait of the same name."""
    return (named[attribute], attribute) if attribute in named else _ALONE[attribute]


def _each_once(warn: Warn) -> Warn:
    warned = set[tuple[str, str]]()

    def warn_once(trait: str, problem: str) -> None:
        if (trait, problem) not in warned:
            warned.add((trait, problem))
            warn(trait, problem)

    return warn_once


def _text(traits: Mapping[str, Any], names: tuple[str, ...], warn: Warn, prefix: str = "") -> str | UnsetType:
    """The first of these traits that can be converted to a string."""
    for name in names:
        value = traits.get(name)
        if value is None or value == "":  # most often: a profile has few of these traits
            continue
        if isinstance(value, str):
            return value
        text = as_text(value)
        if text is not None:
            return text
        is_number = isinstance(value, int | float)
        warn(prefix + name, "is a number too long to be text" if is_number else f"is {kind(value)}, not text")
    return UNSET


def as_text(value: object) -> str | None:
    """A value as a string; None where it cannot be converted to one."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    is_number = isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
    try:
        return str(value) if is_number else None
    except ValueError:  # Python writes no number of more than 4300 digits
        return None


def _name(traits: Mapping[str, Any], named: Mapping[str, str], warn: Warn) -> str | UnsetType:
    name = _text(traits, _names("name", named), warn)
    if name is not UNSET or _PARTS_OF_NAME.isdisjoint(traits):
        return name
    parts = (_text(traits, names, warn) for names in NAME_PARTS)
    return " ".join(part for part in parts if part is not UNSET) or UNSET


def _address(traits: Mapping[str, Any], named: Mapping[str, str], warn: Warn) -> Address | UnsetType:
    """The parts that traits are named for, and whatever else the trait `address` has, or else the flat traits."""
    parts = _named_parts(traits, named, warn) if named else {}
    nested, prefix, flat = traits.get("address"), "", traits
    if isinstance(nested, dict):
        flat, prefix = nested, "address."
    elif nested not in (None, "") and "address" not in named.values():
        warn("address", f"is {kind(nested)}, not an object")
    if not ADDRESS_PARTS.isdisjoint(flat):
        for part, names in ADDRESS_TRAITS.items():
            if part not in parts and (text := _text(flat, names, warn, prefix)) is not UNSET:
                parts[part] = text
    return Address(**parts) if parts else UNSET


def _named_parts(traits: Mapping[str, Any], named: Mapping[str, str], warn: Warn) -> dict[str, str]:
    """The parts of an address that have a value in the traits named for them."""
    found: dict[str, str] = {}
    for attribute, trait in named.items():
        entity, _, part = attribute.partition(".")
        # An address that is an object is read by the built-in rule, whatever part its text may be in other profiles.
        if part and not (trait == entity and isinstance(traits.get(trait), dict)):
            text = _text(traits, (trait,), warn)
            if text is not UNSET:
                found[part] = text
    return found


def _birthdate(
    traits: Mapping[str, Any], named: str | None, invalid: InvalidBirthdate, warn: Warn
) -> str | UnsetType | None:
    """`YYYY-MM-DD` of the named trait, of `birthdate`, or else of `birthday`, as Segment's Identify spec calls it.

    The first that has a value decides; what is not a date is sent as `invalid` says, but for `birthday`.
    """
    for trait in ("birthdate",) if named is None else (named, "birthdate"):
        value = traits.get(trait)
        if value is not None and value != "":
            day = iso_day(value)
            if day is None:
                as_null = NOT_A_DATE if trait == "birthdate" else NAMED_NOT_A_DATE
                warn(trait, as_null if invalid == "null" else NOT_A_DATE_OMITTED)
            return UNSET if day is None and invalid == "omit" else day
    value = traits.get("birthday")
    if value is None or value == "":
        return UNSET
    day = iso_day(value)
    if day is None:
        warn("birthday", NOT_A_DATE)
        return UNSET
    return day


def kind(value: object) -> str:
    """A JSON type in words."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    return {bool: "true or false", int: "a number", float: "a number", str: "text"}.get(type(value), "of no known type")
