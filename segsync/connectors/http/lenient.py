"""A second decoding, for answers that are JSON except for damaged values.

Some writers of JSON cut an emoji in half, write NaN, or put Latin-1 between UTF-8. One such value must not cost a
profile, or end an import. What is damaged in any other way stays an error: cut short, empty, a web page.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from segsync.mapping.problems import DAMAGED_NUMBER, DAMAGED_TEXT

T = TypeVar("T")

Path = tuple[str | int, ...]
"""The keys and positions that lead to a value of an answer: ("data", 0, "id")."""

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_GONE: Final = object()


class Repair(NamedTuple):
    """A value that was damaged: where it is, or was, and what was wrong with it."""

    path: Path
    problem: str


class Repairable(msgspec.Struct, dict=True):
    """An answer that knows what was repaired in it."""

    @property
    def repairs(self) -> tuple[Repair, ...]:
        """Not a field, so that no answer can contain it."""
        repairs: tuple[Repair, ...] = self.__dict__.get("repairs", ())
        return repairs


def decode(content: bytes, answer: msgspec.json.Decoder[T]) -> T:
    """What `answer` decodes or, only where it cannot, what a lenient decoding gives.

    A lone surrogate and a byte that is not UTF-8 become U+FFFD, and a number that JSON or a double does not have is
    left out: a `Repairable` tells which. A byte order mark, UTF-16, UTF-32 and raw control characters change nothing.
    Raises what `answer` raised where this does not help either.
    """
    try:
        return answer.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        strict = error
    repairs: list[Repair] = []
    try:
        decoded = msgspec.convert(_repaired(_read(content), (), repairs), answer.type)
    except (ValueError, RecursionError):
        raise strict from None
    if isinstance(decoded, Repairable):
        decoded.__dict__["repairs"] = tuple(repairs)
    return decoded


def _number(read: Callable[[str], float]) -> Callable[[str], object]:
    def number(text: str) -> object:
        try:
            value = read(text)
        except ValueError:  # more digits than Python reads
            return _GONE
        return value if isinstance(value, int) or math.isfinite(value) else _GONE

    return number


_JSON: Final = json.JSONDecoder(
    strict=False, parse_constant=lambda _name: _GONE, parse_float=_number(float), parse_int=_number(int)
)


def _read(content: bytes) -> Any:
    """The JSON, with lone surrogates for what is damaged in texts, and `_GONE` for numbers that there are not."""
    encoding = json.detect_encoding(content)
    errors = "surrogateescape" if encoding.startswith("utf-8") else "surrogatepass"
    return _JSON.decode(content.decode(encoding, errors))


def _repaired(value: Any, path: Path, repairs: list[Repair]) -> Any:
    if isinstance(value, str):
        text = _SURROGATE.sub("\ufffd", value)
        if text != value:
            repairs.append(Repair(path, DAMAGED_TEXT))
        return text
    if isinstance(value, dict):
        items = {_repaired(key, (*path, _SURROGATE.sub("\ufffd", key)), repairs): each for key, each in value.items()}
        fields = {key: _repaired(each, (*path, key), repairs) for key, each in items.items()}
        return {key: each for key, each in fields.items() if each is not _GONE}
    if isinstance(value, list):
        elements: list[Any] = []
        for each in value:
            if (element := _repaired(each, (*path, len(elements)), repairs)) is not _GONE:
                elements.append(element)
        return elements
    if value is _GONE:
        repairs.append(Repair(path, DAMAGED_NUMBER))
    return value
