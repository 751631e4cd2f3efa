"""How customers' metadata fits Voucherify's metadata schema: the rules of an import, counted. Pure, no I/O."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from segsync.mapping.metadata import TraitChoice, metadata_rules
from segsync.mapping.metadata_schema import Definition, MetadataSchema
from segsync.mapping.problems import MISSING, UNDEFINED


class WrongType(Struct, frozen=True):
    """A key whose value is not as defined, and in how many `customers`. Types and criteria have Voucherify's names."""

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


def check_metadata(customers: Sequence[Mapping[str, Any]], schema: MetadataSchema, undefined: str) -> MetadataCheck:
    """Compare the metadata of these customers, empty for one without, with what the schema allows.

    `undefined` is METADATA_UNDEFINED. Where an import leaves out what does not fit, a required key is missing then.
    """
    definitions = {key: definition for key, definition in schema.properties.items() if not definition.deleted}
    required = [key for key, definition in definitions.items() if not definition.optional]
    leaves_out = undefined in ("auto", "drop")
    not_defined, missing = Counter[str](), Counter[str]()
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for metadata in customers:
        problems = {key: _problems(key, metadata, definitions.get(key)) for key in (*metadata, *required)}
        not_defined.update({each[UNDEFINED] for each in problems.values() if UNDEFINED in each})
        unfit = [key for key, each in problems.items() if each.keys() - {UNDEFINED, MISSING}]
        for key in unfit:
            found[key][_kind(metadata[key])] += 1
        missing.update(key for key, each in problems.items() if MISSING in each and (leaves_out or key not in unfit))
    wrong_types = []
    for key, kinds in sorted(found.items(), key=lambda item: item[1].total(), reverse=True):
        found_kinds = [kind for kind, _ in kinds.most_common()]
        wrong_types.append(WrongType(key, kinds.total(), str(definitions[key]), found_kinds))
    return MetadataCheck(
        customers=len(customers),
        with_metadata=sum(map(bool, customers)),
        defined=len(definitions),
        allow_defined_only=schema.allow_defined_only,
        undefined=dict(not_defined.most_common()),
        wrong_types=wrong_types,
        missing=dict(missing.most_common()),
    )


def _problems(key: str, metadata: Mapping[str, Any], definition: Definition | None) -> dict[str, str]:
    """What an import reports about one key of a customer's metadata: the key as it is reported, by the problem.

    METADATA_UNDEFINED=drop reports everything and raises nothing. The rules are new each time, since they report some
    problems only once.
    """
    problems: dict[str, str] = {}

    def warn(name: str, problem: str) -> None:
        problems[problem] = name.removeprefix("metadata.")

    schema = MetadataSchema({key: definition} if definition else {})
    rules = metadata_rules(TraitChoice(), "drop", schema, used=())
    rules({"metadata": {key: metadata[key]} if key in metadata else {}}, warn)
    return problems


def _kind(value: object) -> str:
    """A value's type by Voucherify's names, of a list with that of what is in it."""
    if isinstance(value, list):
        return f"list of {' or '.join(sorted(set(map(_kind, value)))) or 'nothing'}"
    names = {str: "string", bool: "boolean", int: "number", float: "number", dict: "object", type(None): "null"}
    return names.get(type(value), "something else")
