"""How customers' metadata stands against Voucherify's metadata schema, fitted as an import fits it: pure, no I/O."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from segsync.mapping.metadata import NOT_PLAIN, is_plain
from segsync.mapping.metadata_schema import UNFIT, Definition, MetadataSchema, fit


class WrongType(Struct, frozen=True):
    """A key whose value cannot be said as the schema defines it, in so many customers; `found` says what it is."""

    key: str
    customers: int
    expected: str
    found: list[str]


class MetadataCheck(Struct, frozen=True):
    """The metadata of some `customers` against the schema. `undefined` and `missing` give the customers by key.

    `with_metadata` have any at all. Undefined keys are refused where `allow_defined_only`; those that may be personal
    count together, as "…". A required key is `missing` where an import would send no value for it.
    """

    customers: int
    with_metadata: int
    defined: int
    allow_defined_only: bool
    undefined: dict[str, int]
    wrong_types: list[WrongType]
    missing: dict[str, int]


def check_metadata(customers: Iterable[Mapping[str, Any]], schema: MetadataSchema, undefined: str) -> MetadataCheck:
    """Compare the metadata of these customers, empty for one without, with what the schema allows.

    `undefined` is METADATA_UNDEFINED: most of its values leave out what does not fit.
    """
    defined = {key: definition for key, definition in schema.properties.items() if not definition.deleted}
    required = [key for key, definition in defined.items() if not definition.optional]
    count = with_metadata = 0
    not_defined, missing, wrong = Counter[str](), Counter[str](), Counter[str]()
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for metadata in customers:
        count += 1
        with_metadata += bool(metadata)
        not_defined.update({key if is_plain(key) else NOT_PLAIN for key in metadata if key not in defined})
        have = {key for key, value in metadata.items() if key in defined and _has_value(value, defined[key])}
        unfit = {key for key in have if fit(metadata[key], defined[key]) is UNFIT}
        wrong.update(unfit)
        for key in unfit:
            found[key][_kind(metadata[key])] += 1
        sent = have - unfit if undefined in ("auto", "drop") else have
        missing.update(key for key in required if key not in sent)
    return MetadataCheck(
        customers=count,
        with_metadata=with_metadata,
        defined=len(defined),
        allow_defined_only=schema.allow_defined_only,
        undefined=dict(not_defined.most_common()),
        wrong_types=[
            WrongType(key, customers_of_it, expected(defined[key]), [kind for kind, _ in found[key].most_common()])
            for key, customers_of_it in wrong.most_common()
        ],
        missing=dict(missing.most_common()),
    )


def _has_value(value: object, definition: Definition) -> bool:
    """An empty text is no value of another type."""
    return value is not None and (value != "" or definition.type == "string")


def expected(definition: Definition) -> str:
    """What a definition wants, in words."""
    return f"list of {definition.type}" if definition.array else definition.type


def _kind(value: object) -> str:
    """A value's type by Voucherify's names, of a list with that of what is in it."""
    if isinstance(value, list):
        return f"list of {' or '.join(sorted(set(map(_kind, value)))) or 'nothing'}"
    names = {str: "string", bool: "boolean", int: "number", float: "number", dict: "object", type(None): "null"}
    return names.get(type(value), "something else")
