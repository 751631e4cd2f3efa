"""A space of invented people, the same for the same seed, in the shapes that the mapping rules name.

Each shape is a function that gives the traits of a profile and, written down beside them, the attributes that its
customer must have: these and no others. In a messy space all shapes are equally frequent; else the odd ones are rare.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Any, Final

from segsync.sandbox.options import SandboxOptions

Traits = dict[str, Any]

Attributes = dict[str, Any]

Shape = Callable[[Random, Traits, Attributes], None]

PEOPLE: Final = (
    *(("Ada", "Lovelace"), ("José", "Núñez"), ("Łucja", "Żółkiewska"), ("Søren", "Åkesson"), ("李", "小龍")),
    *(("محمد", "الفارسي"), ("Zoë 🎈", 'O\'Neill-"Quote"'), ("नीला", "शर्मा")),
)

PLACES: Final = (
    ("Katowice", "Śląskie", "Porcelanowa 23", "PL", "40-246"),
    ("São Paulo", "SP", "Rua Augusta 1500", "BR", "01304-001"),
    ("東京", "東京都", "神南1丁目", "JP", "150-0041"),
    ("Springfield", "IL", "742 Evergreen Terrace", "US", "62704"),
)

ODD_SHARE: Final = 0.03
"""The profiles with an odd trait in a space that is not messy."""

ATTRIBUTES_OF_TRAITS: Final = ("name", "email", "description", "phone")
"""Traits that become an attribute of the same name as they are."""


@dataclass(frozen=True, slots=True)
class SandboxProfile:
    """A profile as Segment has it, and the customer that it must become (None where it has no identifier)."""

    segment_id: str
    external_ids: tuple[dict[str, str], ...]
    traits: Traits
    customer: dict[str, Any] | None


class Space:
    """The profiles of a sandbox, made when they are asked for."""

    def __init__(self, options: SandboxOptions) -> None:
        self._options = options
        self._missing = options.missing
        self._prefix = f"use_{options.seed & 0xFFFFFFFF:08x}"
        self.profile = lru_cache(maxsize=8192)(self._make)

    def switch(self, options: SandboxOptions) -> None:
        """Go on with the same profiles, and with as many of them missing as these options say."""
        self._missing = options.missing

    def __len__(self) -> int:
        return self._options.profiles

    def segment_id(self, index: int) -> str:
        return f"{self._prefix}{index:010d}"

    def index(self, segment_id: str) -> int | None:
        """The position of a profile, None where the space has no such profile."""
        digits = segment_id.removeprefix(self._prefix)
        if len(digits) != 10 or not digits.isdecimal() or int(digits) >= len(self):
            return None
        return int(digits)

    def is_missing(self, index: int) -> bool:
        """Whether this profile was deleted between the listing and the next call."""
        return self.draw("missing", index) < self._missing

    def draw(self, what: str, key: object) -> float:
        """A number from 0 to 1 that is always the same for this space, purpose and key."""
        return Random(f"{self._options.seed}/{what}/{key}").random()

    def _make(self, index: int) -> SandboxProfile:
        random = Random(f"{self._options.seed}/{index}")
        is_anonymous = random.random() < self._options.anonymous
        source_ids = [] if is_anonymous else [random.choice(_SOURCE_IDS)(index)]
        if source_ids and random.random() < 0.1 and self._options.messy:
            source_ids.append(f"former-{index}")  # the first that Segment lists is the one that counts
        traits: Traits = {}
        attributes: Attributes = {}
        for shape in self._shapes(random, index):
            shape(random, traits, attributes)
        for number in range(random.choice(_UNRELATED)):
            traits[f"computed_trait_{number}"] = random.choice((number, f"value {number}", True, [number], None))
        if self._options.identifier_trait:
            self._set_identifier_trait(index, source_ids, traits, attributes)
        names = list(traits)
        random.shuffle(names)
        customer = None
        if source_ids:
            customer = {"source_id": source_ids[0], **attributes, "system_metadata": {"source": "segmentio"}}
        return SandboxProfile(
            self.segment_id(index),
            self._external_ids(random, index, source_ids),
            {name: traits[name] for name in names},
            customer,
        )

    def _shapes(self, random: Random, index: int) -> Iterator[Shape]:
        """One of each group, chosen one after the other, since each takes its own random numbers."""
        if self._options.messy:
            return (random.choice(shapes) for shapes in _SHAPES)
        odd = random.choice(_ODD) if self.draw("odd", index) < ODD_SHARE else None
        return (odd if odd in shapes else random.choice(clean) for shapes, clean in zip(_SHAPES, _CLEAN, strict=True))

    def _set_identifier_trait(self, index: int, source_ids: list[str], traits: Traits, attributes: Attributes) -> None:
        name = self._options.identifier
        traits.pop(name, None)
        attributes.pop(name, None)
        if source_ids and self.draw("identifier trait", index) < self._options.identifier_trait:
            traits[name] = source_ids[0]
            if name in ATTRIBUTES_OF_TRAITS:
                attributes[name] = source_ids[0]

    def _external_ids(self, random: Random, index: int, source_ids: list[str]) -> tuple[dict[str, str], ...]:
        """Some profiles have so many anonymous ids that the identifier is not among the first 25."""
        before = [
            ("anonymous_id", f"anon-{index}-{n}") for n in range(random.choice(_ANONYMOUS_IDS[self._options.crowded]))
        ]
        email = f"person{index}@example.com"
        after = [*([("email", email)] if email not in source_ids else []), ("anonymous_id", f"anon-{index}-last")]
        identifiers = [(self._options.identifier, source_id) for source_id in source_ids]
        return tuple(
            {
                "id": value,
                "type": kind,
                "source_id": "src_sandbox",
                "collection": "users",
                "created_at": "2026-01-15T10:30:00.000Z",
                "encoding": "none",
            }
            for kind, value in (*before, *identifiers, *after)
            if kind != self._options.identifier or value in source_ids
        )


_SOURCE_IDS: Final = (
    lambda index: f"user-{index}",
    lambda index: f"{index}",
    lambda index: f"käufer/{index}+a b",
    lambda index: f"person{index}@example.com",
)

_ANONYMOUS_IDS: Final = {True: (0, 1, 1, 2, 3, 30), False: (0, 1, 1, 2, 3, 3)}

_UNRELATED: Final = (0, 0, 0, 4, 12, 12, 30, 230)

# --- names --------------------------------------------------------------------------------------------


def _full_name(random: Random, traits: Traits, attributes: Attributes) -> None:
    first, last = random.choice(PEOPLE)
    traits["name"] = attributes["name"] = f"{first} {last}"


def _camel_names(random: Random, traits: Traits, attributes: Attributes) -> None:
    traits["firstName"], traits["lastName"] = first, last = random.choice(PEOPLE)
    attributes["name"] = f"{first} {last}"


def _snake_names(random: Random, traits: Traits, attributes: Attributes) -> None:
    traits["first_name"], traits["last_name"] = first, last = random.choice(PEOPLE)
    attributes["name"] = f"{first} {last}"


def _first_name_alone(random: Random, traits: Traits, attributes: Attributes) -> None:
    traits["firstName"] = attributes["name"] = random.choice(PEOPLE)[0]


def _last_name_alone(random: Random, traits: Traits, attributes: Attributes) -> None:
    traits["last_name"] = attributes["name"] = random.choice(PEOPLE)[1]


def _name_before_its_parts(random: Random, traits: Traits, attributes: Attributes) -> None:
    traits["firstName"], traits["lastName"] = "Not", "This"
    _full_name(random, traits, attributes)


def _null_name(random: Random, traits: Traits, attributes: Attributes) -> None:
    traits["name"] = None
    _camel_names(random, traits, attributes)


def _number_as_name(random: Random, traits: Traits, attributes: Attributes) -> None:
    traits["name"] = number = random.randrange(10_000)
    attributes["name"] = str(number)


def _list_as_name(_random: Random, traits: Traits, _attributes: Attributes) -> None:
    traits["name"] = ["not", "a", "name"]


def _nothing(_random: Random, _traits: Traits, _attributes: Attributes) -> None:
    """The profile does not have it, so the customer does not get it."""


# --- contact ------------------------------------------------------------------------------------------


def _contact(random: Random, traits: Traits, attributes: Attributes) -> None:
    traits["email"] = attributes["email"] = f"person{random.randrange(10**6)}+shop@example.com"
    traits["phone"] = attributes["phone"] = f"+48 600 {random.randrange(1000):03d} 000"


def _number_as_phone(random: Random, traits: Traits, attributes: Attributes) -> None:
    traits["phone"] = number = 48_600_000_000 + random.randrange(10**6)
    attributes["phone"] = str(number)


def _object_as_email(_random: Random, traits: Traits, _attributes: Attributes) -> None:
    traits["email"] = {"work": "person@example.com"}


def _description(random: Random, traits: Traits, attributes: Attributes) -> None:
    traits["description"] = attributes["description"] = f"Line one\nline two\t№ {random.randrange(100)}"


# --- address ------------------------------------------------------------------------------------------


def _place(random: Random) -> tuple[dict[str, str], dict[str, str]]:
    """An address as Segment spells it, and as Voucherify does."""
    city, state, street, country, code = random.choice(PLACES)
    return (
        {"city": city, "state": state, "street": street, "country": country, "postalCode": code},
        {"city": city, "state": state, "line_1": street, "country": country, "postal_code": code},
    )


def _nested_address(random: Random, traits: Traits, attributes: Attributes) -> None:
    traits["address"], attributes["address"] = _place(random)


def _nested_address_in_snake_case(random: Random, traits: Traits, attributes: Attributes) -> None:
    city, _, street, _, code = random.choice(PLACES)
    traits["address"] = attributes["address"] = {"city": city, "line_1": street, "postal_code": code}


def _nested_before_flat_address(random: Random, traits: Traits, attributes: Attributes) -> None:
    traits["city"], traits["postalCode"] = "Not this one", "00000"
    _nested_address(random, traits, attributes)


def _flat_address(random: Random, traits: Traits, attributes: Attributes) -> None:
    place, attributes["address"] = _place(random)
    traits |= place


def _flat_address_in_snake_case(random: Random, traits: Traits, attributes: Attributes) -> None:
    traits |= {"line_1": "Unter den Linden 1", "postal_code": (code := random.randrange(10_000, 99_999))}
    attributes["address"] = {"line_1": "Unter den Linden 1", "postal_code": str(code)}


def _list_as_address(random: Random, traits: Traits, attributes: Attributes) -> None:
    traits["address"] = ["Porcelanowa 23", "Katowice"]
    _flat_address(random, traits, attributes)


def _text_as_address(_random: Random, traits: Traits, _attributes: Attributes) -> None:
    traits["address"] = "Porcelanowa 23, Katowice"


# --- birthdate ----------------------------------------------------------------------------------------


def _birthdate(random: Random, traits: Traits, attributes: Attributes) -> None:
    traits["birthdate"] = attributes["birthdate"] = _day(random)


def _birthdate_with_time(random: Random, traits: Traits, attributes: Attributes) -> None:
    attributes["birthdate"] = day = _day(random)
    traits["birthdate"] = day + random.choice(("T00:00:00.000Z", "T23:30:00-05:00", "T08:15", "T08:15:00+0200"))


def _invalid_birthdate(random: Random, traits: Traits, attributes: Attributes) -> None:
    traits["birthdate"] = random.choice(("31/12/1990", "1990-02-30", "unknown", "90-1-1", 19900517, ["1990-05-17"]))
    attributes["birthdate"] = None


def _day(random: Random) -> str:
    return f"{random.randrange(1930, 2010)}-{random.randrange(1, 13):02d}-{random.randrange(1, 29):02d}"


# --- metadata -----------------------------------------------------------------------------------------


def _metadata(random: Random, traits: Traits, attributes: Attributes) -> None:
    traits["metadata"] = attributes["metadata"] = {
        "plan": random.choice(("free", "pro")),
        "lifetime_value": random.randrange(10**6) / 100,
        "tags": ["a", "ü"],
        "nested": {"accepts_marketing": random.random() < 0.5, "nothing": None},
    }


def _text_as_metadata(_random: Random, traits: Traits, _attributes: Attributes) -> None:
    traits["metadata"] = "plan=pro"


_SHAPES: Final[tuple[tuple[Shape, ...], ...]] = (
    (
        _full_name,
        _camel_names,
        _snake_names,
        _first_name_alone,
        _last_name_alone,
        _name_before_its_parts,
        _null_name,
        _number_as_name,
        _list_as_name,
        _nothing,
    ),
    (_contact, _contact, _contact, _number_as_phone, _object_as_email, _nothing),
    (_description, _nothing),
    (
        _nested_address,
        _nested_address_in_snake_case,
        _nested_before_flat_address,
        _flat_address,
        _flat_address_in_snake_case,
        _list_as_address,
        _text_as_address,
        _nothing,
    ),
    (_birthdate, _birthdate, _birthdate_with_time, _invalid_birthdate, _nothing, _nothing),
    (_metadata, _metadata, _text_as_metadata, _nothing),
)

_ODD: Final[tuple[Shape, ...]] = (
    *(_number_as_name, _list_as_name, _number_as_phone, _object_as_email, _list_as_address, _text_as_address),
    *(_invalid_birthdate, _text_as_metadata),
)

_CLEAN: Final = tuple(tuple(shape for shape in shapes if shape not in _ODD) for shapes in _SHAPES)
