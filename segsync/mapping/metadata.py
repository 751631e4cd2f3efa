"""A customer's metadata: the trait `metadata`, those that METADATA_TRAITS names, and what the schema makes of both.

METADATA_TRAITS: `plan,ltv=lifetime_value` names two traits, the second under another key; `*` stands for all that no
other rule uses. Pure: no I/O. The rules remember which keys they have reported, so they are made once per import.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from segsync.errors import MappingError
from segsync.mapping.customer import MetadataOf, Warn, metadata_trait
from segsync.mapping.metadata_schema import UNFIT, Definition, MetadataSchema, fit, misfit
from segsync.mapping.problems import MISSING, UNDEFINED

ALL_OTHERS = "*"

_HOW = "must be names of traits separated by commas, key=trait for another key in Voucherify, * for all others"


@dataclass(frozen=True, slots=True)
class TraitChoice:
    """METADATA_TRAITS: `named` holds (key in metadata, trait) pairs, `takes_others` says that `*` is among them."""

    named: tuple[tuple[str, str], ...] = ()
    takes_others: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """The choice in a user's text. Raises ValueError with what is allowed."""
        named: dict[str, str] = {}
        for part in text.split(",") if text.strip() else ():
            key, is_renamed, trait = (word.strip() for word in part.partition("="))
            trait = trait if is_renamed else key
            is_one = key and trait and "=" not in trait and part.strip().isprintable()
            if not is_one or (is_renamed and ALL_OTHERS in (key, trait)):
                raise ValueError(_HOW)
            if key in named:
                raise ValueError(f"must name each key once, but '{key}' is there twice")
            named[key] = trait
        takes_others = named.pop(ALL_OTHERS, None) is not None
        return cls(tuple(named.items()), takes_others)

    def __str__(self) -> str:
        """As a user would write it."""
        names = [key if key == trait else f"{key}={trait}" for key, trait in self.named]
        return ",".join([ALL_OTHERS, *names] if self.takes_others else names)

    def __bool__(self) -> bool:
        return self.takes_others or bool(self.named)

    @property
    def traits(self) -> tuple[str, ...]:
        """The traits that are named."""
        return tuple(trait for _, trait in self.named)

    def beside(self, mapped: Sequence[str]) -> tuple[str, ...] | None:
        """The traits to read for a mapping that reads `mapped`: the named ones as well; None for all."""
        return None if self.takes_others else tuple(dict.fromkeys([*mapped, *self.traits]))


MOST_KEYS_NAMED: Final = 1000
"""The most keys that are called by their names: where keys are data, memory must not grow with them."""

NOT_PLAIN: Final = "…"
"""Stands for every key that is not plain."""

_NO_VALUE: Final = (None, "")

_PLAIN_KEY: Final = re.compile(r"(?!(?:\D*\d){5})(?!\d)[\w$][\w$.: -]{0,63}")
"""A key that somebody chose as a name. An e-mail address or a number may be a person's."""


def metadata_rules(
    choice: TraitChoice, undefined: str, schema: MetadataSchema | None, *, used: Collection[str]
) -> MetadataOf:
    """The rules that make metadata, with the least work: most imports name no traits and have nothing defined.

    `choice` is METADATA_TRAITS, `undefined` METADATA_UNDEFINED, `used` the traits that other rules read. Without a
    `schema` nothing is checked.
    """
    gathered = _Gathered(choice, used) if choice else metadata_trait
    definitions = {key: each for key, each in schema.properties.items() if not each.deleted} if schema else {}
    sends_undefined = undefined == "send" or (undefined == "auto" and not (schema and schema.allow_defined_only))
    if schema is None or (sends_undefined and not definitions):
        return gathered
    return _Fitted(gathered, definitions, undefined, sends_undefined=sends_undefined)


class Names:
    """How messages name keys of metadata and traits: as they are, "…" for one that may be personal.

    It stores the names that it has given out, so it is made once per import.
    """

    def __init__(self) -> None:
        self._named: set[str] = set()

    def __call__(self, key: object) -> str:
        if key in self._named:
            return str(key)
        if len(self._named) >= MOST_KEYS_NAMED or not isinstance(key, str) or not _PLAIN_KEY.fullmatch(key):
            return NOT_PLAIN
        self._named.add(key)
        return key


class _Gathered:
    """Metadata of several traits: one that is named wins over a key of `metadata`, and that over the others of `*`."""

    def __init__(self, choice: TraitChoice, used: Collection[str]) -> None:
        self._named = choice.named
        self._takes_others = choice.takes_others
        self._used = frozenset([*used, *choice.traits])

    def __call__(self, traits: Mapping[str, Any], warn: Warn) -> dict[str, Any] | None:
        metadata = metadata_trait(traits, warn)
        gathered: dict[str, Any] = {}
        if self._takes_others:
            used = self._used
            gathered = {trait: value for trait, value in traits.items() if trait not in used and value not in _NO_VALUE}
        if metadata:
            gathered |= metadata
        for key, trait in self._named:
            value = traits.get(trait)
            if value not in _NO_VALUE:
                gathered[key] = value
        return gathered or metadata


class _Fitted:
    """Metadata that is converted to the schema's types; what cannot be is sent, left out, or rejects the profile."""

    def __init__(
        self, gathered: MetadataOf, definitions: Mapping[str, Definition], undefined: str, *, sends_undefined: bool
    ) -> None:
        self._gathered = gathered
        self._definitions = definitions
        self._required = tuple(key for key, definition in definitions.items() if not definition.optional)
        self._sends_undefined = sends_undefined
        self._sends_unfit = undefined == "send"
        self._rejects = undefined == "reject"
        self._names = Names()
        self._reported: set[tuple[str, str]] = set()

    def __call__(self, traits: Mapping[str, Any], warn: Warn) -> dict[str, Any] | None:
        """Raises `MappingError` where what does not fit is to be rejected."""
        metadata = self._gathered(traits, warn)
        fitted: dict[str, Any] = {}
        for key, value in metadata.items() if metadata else ():
            definition = self._definitions.get(key)
            if definition is None:
                if self._sends_undefined:
                    fitted[key] = value
                else:
                    self._leave_out(key, UNDEFINED, warn)
            elif value is None:
                fitted[key] = None  # null fits every type
            elif value != "" or definition.type == "string":  # an empty string is missing where another type is defined
                self._fit(key, value, definition, fitted, warn)
        for key in self._required:
            if fitted.get(key) is None:
                self._leave_out(key, MISSING, warn)
        # Where all was left out, nothing is sent: an empty object might overwrite what is there.
        return (fitted or None) if metadata else metadata

    def _fit(self, key: str, value: Any, definition: Definition, fitted: dict[str, Any], warn: Warn) -> None:
        entry = fit(value, definition)
        if entry is not UNFIT:
            fitted[key] = entry
        elif self._sends_unfit:
            fitted[key] = value
        else:
            self._leave_out(key, misfit(value, definition), warn)

    def _leave_out(self, key: str, problem: str, warn: Warn) -> None:
        name = f"metadata.{self._names(key)}"
        if self._rejects:
            raise MappingError(f"{name} {problem.removesuffix(' (reported once)')}, and METADATA_UNDEFINED is reject")
        if problem in (UNDEFINED, MISSING):
            if (name, problem) in self._reported:
                return
            self._reported.add((name, problem))
        warn(name, problem)
