"""Voucherify's metadata schema for customers, and the conversion of values to its types, where that takes no guess.

With `allow_defined_only` only defined metadata is accepted; what is defined has to match its type and its criteria
either way.
https://docs.voucherify.io/prepare/metadata (the types and their forms)
https://docs.voucherify.io/api-reference/metadata-schemas/metadata-schema-object
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import Struct, field

from segsync.mapping.criteria import Criteria, criteria_of, unmet
from segsync.mapping.customer import as_text, kind
from segsync.mapping.dates import is_iso_8601
from segsync.mapping.problems import UNCONVERTIBLE, UNMET, UNNESTED


class Definition(Struct, frozen=True):
    """What one key may hold: values of `type`, or a list of them with `array`; only an `optional` one may be missing.

    `type` is one of Voucherify's names: `string`, `number`, `boolean`, `date`, `datetime`, `geopoint`, and so on. Each
    value has to meet the `criteria`. The parts of an object are as `nested` says, where that is known.
    """

    type: str = "string"
    array: bool = False
    optional: bool = True
    deleted: bool = False
    criteria: Criteria = ()
    nested: MetadataSchema | None = None

    def __str__(self) -> str:
        """In Voucherify's words, for a report: "list of string with eq, maxLength"."""
        of = f"list of {self.type}" if self.array else self.type
        more = ["the parts of its schema"] if self.nested else [name for name, _ in self.criteria]
        return f"{of} with {', '.join(more)}" if more else of


class MetadataSchema(Struct, frozen=True):
    """The definitions by key, and whether undefined keys are refused (`allow_defined_only`)."""

    properties: Mapping[str, Definition] = field(default_factory=dict)
    allow_defined_only: bool = False


def object_types(properties: Mapping[str, Any]) -> list[str]:
    """The names of the nested schemas that definitions refer to, as the API writes them."""
    names = (
        each.get("objectType") for each in properties.values() if isinstance(each, dict) and not each.get("deleted")
    )
    return list(dict.fromkeys(name for name in names if isinstance(name, str) and name))


def schema_of(
    properties: Mapping[str, Any], allow_defined_only: bool, nested: Mapping[str, MetadataSchema | None]
) -> MetadataSchema:
    """The schema in the API's definitions, of any shape; null means the default. `nested` gives the known ones."""
    definitions = {key: _definition(each, nested) for key, each in properties.items() if isinstance(each, dict)}
    return MetadataSchema(definitions, allow_defined_only)


def _definition(fields: Mapping[str, Any], nested: Mapping[str, MetadataSchema | None]) -> Definition:
    given = fields.get("type")
    type_name = given if isinstance(given, str) else "string" if given is None else "unknown"
    return Definition(
        type=type_name,
        array=fields.get("array") is True,
        optional=fields.get("optional") is not False,
        deleted=fields.get("deleted") is True,
        criteria=criteria_of(type_name, fields),
        nested=nested.get(str(fields.get("objectType"))) if type_name == "object" else None,
    )


UNFIT: Final = object()
"""The result for a value that cannot safely be converted to the defined type."""

_SAFE_DIGITS: Final = 15
"""The digits of a number that are safe: most readers of JSON make it a double."""

_NUMBER: Final = re.compile(r"-?(?:0|[1-9]\d*)(\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
_TIMESTAMP: Final = re.compile(r"[^T]+T\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)", re.ASCII)
_PLACE: Final = re.compile(r"\s*(-?\d{1,3}(?:\.\d+)?)\s*,\s*(-?\d{1,3}(?:\.\d+)?)\s*", re.ASCII)


def fit(value: Any, definition: Definition) -> Any:
    """The value converted to its defined type, or `UNFIT`. Never raises; idempotent.

    A single value becomes a list where a list is wanted. Types that segsync does not know take everything.
    """
    if definition.type not in _TYPES:
        return value
    if not definition.array:
        return _fit_one(value, definition)
    fitted = [_fit_one(each, definition) for each in (value if isinstance(value, list) else (value,))]
    return UNFIT if any(each is UNFIT for each in fitted) else fitted


def _fit_one(value: Any, definition: Definition) -> Any:
    _, convert = _TYPES[definition.type]
    converted = convert(value)
    if converted is UNFIT or unmet(converted, definition.criteria):
        return UNFIT
    return _fit_parts(converted, definition.nested) if definition.nested else converted


def _fit_parts(value: Mapping[str, Any], schema: MetadataSchema) -> Any:
    """The object with each of its parts converted, or `UNFIT`."""
    definitions = {key: each for key, each in schema.properties.items() if not each.deleted}
    fitted: dict[str, Any] = {}
    for key, part in value.items():
        definition = definitions.get(key)
        if definition is None and schema.allow_defined_only:
            return UNFIT
        if part == "" and definition and definition.type != "string":
            continue  # missing, as beside an object
        entry = part if definition is None or part is None else fit(part, definition)
        if entry is UNFIT:
            return UNFIT
        fitted[key] = entry
    is_missing = any(fitted.get(key) is None for key, each in definitions.items() if not each.optional)
    return UNFIT if is_missing else fitted


def misfit(value: object, definition: Definition) -> str:
    """What is wrong with a value that does not fit, without the value."""
    wanted, convert = _TYPES[definition.type]
    values = value if definition.array and isinstance(value, list) else (value,)
    some = "with something " if values is value else ""
    converted = [convert(each) for each in values]
    if not any(each is UNFIT for each in converted):
        if names := dict.fromkeys(name for each in converted for name in unmet(each, definition.criteria)):
            return f"is {kind(value)} {some}{UNMET} {', '.join(names)} of Voucherify's metadata schema"
        if definition.nested:
            return f"is {kind(value)} {some}{UNNESTED}"
    return f"is {kind(value)} {some}{UNCONVERTIBLE} {wanted}"


def _text(value: object) -> Any:
    text = as_text(value)
    return UNFIT if text is None else text


def _number(value: object) -> Any:
    if isinstance(value, bool):
        return UNFIT
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    match = _NUMBER.fullmatch(value.strip()) if isinstance(value, str) else None
    return _number_in(match) if match else UNFIT


def _number_in(match: re.Match[str]) -> Any:
    """The number in a text, if it is exact."""
    text = match.group()
    mantissa, _, exponent = text.lower().partition("e")
    digits = re.sub(r"\D", "", mantissa).lstrip("0")
    if len(digits) > _SAFE_DIGITS:
        return UNFIT
    number = int(text) if match[1] is None and not exponent else float(text)
    return number if math.isfinite(number) and (number or not digits) else UNFIT


def _flag(value: object) -> Any:
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value.strip().lower(), UNFIT) if isinstance(value, str) else UNFIT


def _date(value: object) -> Any:
    """The day as it was written: no time zone moves it."""
    return value[:10] if is_iso_8601(value) else UNFIT


def _timestamp(value: object) -> Any:
    """A time stamp. A day means its midnight; a time without a zone is in UTC, as both services write it."""
    if not is_iso_8601(value):
        return UNFIT
    if _TIMESTAMP.fullmatch(value):
        return value
    moment = datetime.fromisoformat(value)
    moment = moment.replace(tzinfo=moment.tzinfo or UTC)
    timespec = "microseconds" if moment.microsecond % 1000 else "milliseconds"
    return moment.isoformat(timespec=timespec).replace("+00:00", "Z")


def _place(value: object) -> Any:
    """Latitude and longitude in a text, or what else Voucherify may take for a place."""
    if isinstance(value, dict | list):
        return value
    match = _PLACE.fullmatch(value) if isinstance(value, str) else None
    is_on_earth = match and abs(float(match[1])) <= 90 and abs(float(match[2])) <= 180
    return value if is_on_earth else UNFIT


def _only(kind: type) -> Callable[[object], Any]:
    return lambda value: value if isinstance(value, kind) else UNFIT


_TYPES: Final[Mapping[str, tuple[str, Callable[[object], Any]]]] = {
    "string": ("text", _text),
    "number": ("a number", _number),
    "boolean": ("true or false", _flag),
    "date": ("an ISO 8601 date", _date),
    "datetime": ("an ISO 8601 time", _timestamp),
    "geopoint": ("latitude and longitude", _place),
    "image_url": ("a URL", _only(str)),
    "object": ("an object", _only(dict)),
}
"""By Voucherify's name of a type: our words for it, and what converts a single value."""
