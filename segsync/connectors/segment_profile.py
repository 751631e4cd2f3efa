"""What Segment answers about one profile: its external ids and its traits. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

import msgspec

from segsync.connectors.http.lenient import Repair, Repairable
from segsync.errors import AnswerError
from segsync.mapping.customer import ADDRESS_PARTS
from segsync.mapping.metadata import Names

SERVICE = "Segment"

MOST_EXACT = 2**53
"""Beyond it, neighbouring whole numbers are the same floating-point number."""


class Cursor(msgspec.Struct):
    next: str | int | None = None
    has_more: bool | None = None


class _ExternalId(msgspec.Struct):
    id: Any = None
    type: str | None = None


class ExternalIdsAnswer(Repairable):
    data: list[_ExternalId] | None
    cursor: Cursor | None = None


class TraitsAnswer(Repairable):
    traits: dict[str, Any] | None
    cursor: Cursor | None = None


class TraitsRead(msgspec.Struct, frozen=True):
    """The traits of a profile, and how many `calls` it took to read them.

    `damaged` are those with a repaired value in them. `problems` are as in `Profile`.
    """

    values: dict[str, Any]
    calls: int
    damaged: frozenset[str] = frozenset()
    problems: tuple[tuple[str, str], ...] = ()

    def source_id(self, identifier_type: str) -> str | None:
        """The identifier where it is a trait as well, and not damaged."""
        return None if identifier_type in self.damaged else as_source_id(self.values.get(identifier_type))


class Damage:
    """Says what was damaged in the traits of profiles, with warnings of the `wanted` ones, None for all.

    It stores the names that it has given out, so it is made once per import.
    """

    def __init__(self, wanted: Collection[str] | None) -> None:
        self._wanted = None if wanted is None else frozenset(wanted)
        self._names = Names()

    def read(self, traits: dict[str, Any], calls: int, repairs: Iterable[Repair]) -> TraitsRead:
        """The traits, some of which were repaired."""
        repaired = [repair for repair in repairs if repair.path[0] == "traits" and len(repair.path) > 1]
        problems = {(name, repair.problem): None for repair in repaired if (name := self._name(*repair.path[1:]))}
        return TraitsRead(traits, calls, frozenset(str(repair.path[1]) for repair in repaired), tuple(problems))

    def _name(self, trait: int | str, part: int | str | None = None, *_deeper: int | str) -> str | None:
        """The trait, with the part that was damaged where it has known parts; None where nobody reads it."""
        if self._wanted is not None and trait not in self._wanted:
            return None
        if trait == "address" and isinstance(part, str):
            return f"address.{part}" if part in ADDRESS_PARTS else None
        if trait == "metadata" and isinstance(part, str):
            return f"metadata.{self._names(part)}"
        return self._names(trait)


def as_source_id(value: object) -> str | None:
    """The value of an external id as text, None for a blank one, which would name many customers.

    A whole number may have gone through a float: 10001.0 is "10001". One that a float does not hold exactly is none.
    """
    if isinstance(value, float) and value.is_integer() and abs(value) < MOST_EXACT:
        return str(int(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and not value.isspace() else None


def first_of_type(external_ids: Iterable[tuple[str, str]], identifier_type: str) -> str | None:
    """The identifier among external ids, each a (type, value): the first of its type, in Segment's order."""
    return next((value for each_type, value in external_ids if each_type == identifier_type), None)


def usable(answer: ExternalIdsAnswer, identifier_type: str | None) -> Iterator[tuple[str, str]]:
    """The (type, value) of each external id that can be a source id.

    Raises `AnswerError` for a damaged one of `identifier_type`, unless there is a good one before it.
    """
    damaged = {repair.path[1] for repair in answer.repairs if repair.path[2:] == ("id",)}
    has_identifier = False
    for position, each in enumerate(answer.data or ()):
        is_identifier = each.type == identifier_type
        if identifier_type and is_identifier and position in damaged and not has_identifier:
            raise damaged_identifier(identifier_type)
        if each.type and position not in damaged and (value := as_source_id(each.id)):
            has_identifier |= is_identifier
            yield each.type, value


def damaged_identifier(identifier_type: str) -> AnswerError:
    """That a profile is not imported: a guess at its identifier could name another customer."""
    message = f"Segment returned a damaged '{identifier_type}' (half a character, or NaN), which cannot be a source_id"
    return AnswerError(message, service=SERVICE, code="identifier-damaged")
