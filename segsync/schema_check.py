"""How customers' metadata stands against Voucherify's metadata schema: pure functions, no I/O.

Nothing is changed here: this tells what Voucherify would say. Facts are from Voucherify, "Metadata: data types":
https://docs.voucherify.io/prepare/metadata
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from typing import Any, Final

from msgspec import Struct

from segsync.schema import Definition, MetadataSchema


class WrongType(Struct, frozen=True):
    """A key whose value is not what the schema defines, in so many customers; `found` says what it is instead."""

    key: str
    customers: int
    expected: str
    found: list[str]


class MetadataCheck(Struct, frozen=True):
    """The metadata of some `customers` against the schema. `undefined` and `missing` give the customers by key.

    `with_metadata` have any at all. Undefined keys are refused where `allow_defined_only`.
    """

    customers: int
    with_metadata: int
    defined: int
    allow_defined_only: bool
    undefined: dict[str, int]
    wrong_types: list[WrongType]
    missing: dict[str, int]


def check_metadata(customers: Iterable[Mapping[str, Any]], schema: MetadataSchema) -> MetadataCheck:
    """Compare the metadata of these customers, empty for one without, with what the schema allows."""
    defined = {key: definition for key, definition in schema.properties.items() if not definition.deleted}
    required = [key for key, definition in defined.items() if not definition.optional]
    count = with_metadata = 0
    undefined, missing, wrong = Counter[str](), Counter[str](), Counter[str]()
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for metadata in customers:
        count += 1
        with_metadata += bool(metadata)
        for key, value in metadata.items():
            if key not in defined:
                undefined[key] += 1
            elif value is not None and not fits(value, defined[key]):
                wrong[key] += 1
                found[key][_kind(value)] += 1
        missing.update(key for key in required if metadata.get(key) is None)
    return MetadataCheck(
        customers=count,
        with_metadata=with_metadata,
        defined=len(defined),
        allow_defined_only=schema.allow_defined_only,
        undefined=dict(undefined.most_common()),
        wrong_types=[
            WrongType(key, customers_of_it, expected(defined[key]), [kind for kind, _ in found[key].most_common()])
            for key, customers_of_it in wrong.most_common()
        ],
        missing=dict(missing.most_common()),
    )


def fits(value: object, definition: Definition) -> bool:
    """Whether a value, not null, is what this definition wants. A type that segsync does not know takes anything."""
    is_of_type = _TYPES.get(definition.type, _anything)
    if definition.array:
        return isinstance(value, list) and all(map(is_of_type, value))
    return is_of_type(value)


def expected(definition: Definition) -> str:
    """What a definition wants, in words."""
    return f"list of {definition.type}" if definition.array else definition.type


def _anything(_value: object) -> bool:
    return True


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_date(value: object) -> bool:
    return _is_text_like(_DATE, value) and _parses(date.fromisoformat, value)


def _is_datetime(value: object) -> bool:
    return _is_text_like(_DATETIME, value) and _parses(datetime.fromisoformat, value)


def _is_geopoint(value: object) -> bool:
    """Latitude and longitude with a comma between them."""
    if not isinstance(value, str) or not _is_text_like(_GEOPOINT, value):
        return False
    latitude, longitude = map(float, value.split(","))
    return abs(latitude) <= 90 and abs(longitude) <= 180


def _is_text_like(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _parses(parse: Callable[[str], object], value: object) -> bool:
    try:
        parse(str(value))
    except ValueError:
        return False
    return True


_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_DATETIME: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}.*", re.ASCII)
_GEOPOINT: Final = re.compile(r"-?\d{1,3}(?:\.\d+)?, ?-?\d{1,3}(?:\.\d+)?", re.ASCII)
_URL: Final = re.compile(r"https?://\S+")

_TYPES: Final[Mapping[str, Callable[[object], bool]]] = {
    "string": lambda value: isinstance(value, str),
    "number": _is_number,
    "boolean": lambda value: isinstance(value, bool),
    "date": _is_date,
    "datetime": _is_datetime,
    "geopoint": _is_geopoint,
    "image_url": lambda value: _is_text_like(_URL, value),
    "object": lambda value: isinstance(value, dict),
}


def _kind(value: object) -> str:
    """A value's type by Voucherify's names, of a list with that of what is in it."""
    if isinstance(value, list):
        return f"list of {' or '.join(sorted(set(map(_kind, value)))) or 'nothing'}"
    names = {str: "string", bool: "boolean", int: "number", float: "number", dict: "object", type(None): "null"}
    return names.get(type(value), "something else")
