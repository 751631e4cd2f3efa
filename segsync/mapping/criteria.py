"""The criteria of Voucherify's metadata schema for single values: allowed values, limits, lengths.

https://docs.voucherify.io/api-reference/metadata-schemas/metadata-schema-object
A criterion that is not documented there, or not of the shape that is documented, is left to Voucherify.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

Criteria = tuple[tuple[str, Any], ...]
"""Each (name, bound), with Voucherify's names."""


def criteria_of(type_name: str, fields: Mapping[str, Any]) -> Criteria:
    """The criteria that a definition has for values of its type, `string` or `number`; other types have none."""
    if type_name not in ("string", "number"):
        return ()
    is_of_type = _is_text if type_name == "string" else _is_number
    found: list[tuple[str, Any]] = []
    for name in _VALUES:
        given = fields.get(name)
        values = given if isinstance(given, list) else [given]
        if values and all(map(is_of_type, values)):
            found.append((name, tuple(values)))
    bounds = _LENGTHS if type_name == "string" else _LIMITS
    return (*found, *((name, fields[name]) for name in bounds if _is_number(fields.get(name))))


def unmet(value: Any, criteria: Criteria) -> list[str]:
    """The names of the criteria that this value, which is of the defined type, cannot meet."""
    return [name for name, bound in criteria if not _MEETS[name](value, bound)]


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _lengths(text: str) -> Sequence[int]:
    """The length in characters, and as JavaScript counts it: which one Voucherify means is not documented."""
    return len(text), len(text.encode("utf-16-le", "surrogatepass")) // 2


_VALUES: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "eq": lambda value, allowed: value in allowed,
    "ne": lambda value, forbidden: value not in forbidden,
}
_LIMITS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "lt": operator.lt,
    "lte": operator.le,
    "gt": operator.gt,
    "gte": operator.ge,
}
_LENGTHS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "minLength": lambda text, least: max(_lengths(text)) >= least,
    "maxLength": lambda text, most: min(_lengths(text)) <= most,
    "exactLength": lambda text, exact: exact in _lengths(text),
}
_MEETS: Final = {**_VALUES, **_LIMITS, **_LENGTHS}
