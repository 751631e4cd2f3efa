"""Which traits go into metadata beside the trait `metadata`, as METADATA_TRAITS says it.

`plan,ltv=lifetime_value` names two, the second under another key; `*` stands for all that no other rule uses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

ALL_OTHERS = "*"


_HOW = "must be names of traits parted by commas, key=trait for another key in Voucherify, * for all others"


@dataclass(frozen=True, slots=True)
class TraitChoice:
    """`named` holds a (key in metadata, trait) for each that is named; `takes_others` says that `*` is among them."""

    named: tuple[tuple[str, str], ...] = ()
    takes_others: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """The choice that a user wrote. Raises ValueError with what is allowed."""
        named: dict[str, str] = {}
        takes_others = False
        for part in text.split(",") if text.strip() else ():
            key, is_renamed, trait = (word.strip() for word in part.partition("="))
            trait = trait if is_renamed else key
            is_one = key and trait and "=" not in trait and part.strip().isprintable()
            if not is_one or (is_renamed and ALL_OTHERS in (key, trait)):
                raise ValueError(_HOW)
            if key in named or (key == ALL_OTHERS and takes_others):
                raise ValueError(f"must name each key once, but '{key}' is there twice")
            if key == ALL_OTHERS:
                takes_others = True
            else:
                named[key] = trait
        return cls(tuple(named.items()), takes_others)

    def __str__(self) -> str:
        """As a user would write it."""
        names = [key if key == trait else f"{key}={trait}" for key, trait in self.named]
        return ",".join([*([ALL_OTHERS] if self.takes_others else []), *names])

    def __bool__(self) -> bool:
        """Whether any trait is chosen."""
        return self.takes_others or bool(self.named)

    @property
    def traits(self) -> frozenset[str]:
        """The traits that are named."""
        return frozenset(trait for _, trait in self.named)

    def beside(self, mapped: Sequence[str]) -> tuple[str, ...] | None:
        """The traits to read where the mapping reads these: the named ones as well; None for all that there are."""
        return None if self.takes_others else tuple(dict.fromkeys([*mapped, *(trait for _, trait in self.named)]))
