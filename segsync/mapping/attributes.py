"""ATTRIBUTE_TRAITS: the traits from which attributes of a customer are read before the built-in rules look.

`phone=mobile_phone,address.city=town` reads `phone` from the trait `mobile_phone`, and where that has no value that can
be used from `phone`, as without the setting. Pure: no I/O.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from segsync.mapping.customer import MAPPED_TRAITS
from segsync.models import Address, Customer

_NOT_CHOSEN: Final = frozenset({"source_id", "address", "metadata", "system_metadata"})
"""What no trait can be named for: other settings decide about it, or it is named part by part."""

ATTRIBUTES: Final = (
    *(name for name in Customer.__struct_fields__ if name not in _NOT_CHOSEN),
    *(f"address.{part}" for part in Address.__struct_fields__),
)
"""The attributes of a customer that a trait can be named for."""

_HOW: Final = "must be attribute=trait, separated by commas, such as phone=mobile_phone,address.city=town"
_KNOWN: Final = f"The attributes are {', '.join(ATTRIBUTES)}"


@dataclass(frozen=True, slots=True)
class AttributeTraits:
    """The (attribute, trait) pairs of ATTRIBUTE_TRAITS."""

    named: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """The choice in a user's text. Raises ValueError with what is allowed."""
        named: dict[str, str] = {}
        for part in text.split(",") if text.strip() else ():
            attribute, _, trait = (word.strip() for word in part.partition("="))
            if not (attribute and trait) or "=" in trait or trait == "*" or not part.strip().isprintable():
                raise ValueError(f"{_HOW}. {_KNOWN}")
            if attribute not in ATTRIBUTES:
                raise ValueError(f"must name attributes of a customer, and '{attribute}' is not one. {_KNOWN}")
            if attribute in named:
                raise ValueError(f"must name each attribute once, but '{attribute}' is there twice. {_KNOWN}")
            named[attribute] = trait
        return cls(tuple(named.items()))

    def __str__(self) -> str:
        """As a user would write it."""
        return ",".join(f"{attribute}={trait}" for attribute, trait in self.named)

    def __bool__(self) -> bool:
        return bool(self.named)

    @property
    def traits(self) -> tuple[str, ...]:
        """The traits that are named."""
        return tuple(trait for _, trait in self.named)

    @property
    def mapped(self) -> tuple[str, ...]:
        """Every trait that becomes an attribute: those of the built-in rules, then the named ones."""
        return tuple(dict.fromkeys([*MAPPED_TRAITS, *self.traits]))
