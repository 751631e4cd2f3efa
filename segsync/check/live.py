"""What an import reads and Segment's own Voucherify destination, with its default mapping, does not. Pure, no I/O.

The default mapping is in Segment's public repository:
https://github.com/segmentio/action-destinations (voucherify/upsertCustomer)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from segsync.mapping.customer import ADDRESS_TRAITS

IDENTIFIER: Final = "user_id"
"""The type of the external id that the live destination uses as source_id: the user id of each identify call."""

_ADDRESS: Final = frozenset({"city", "state", "country", "postal_code", "street"})
"""What it reads of the trait `address`. It reads none of these as traits of their own."""


def unread(traits: Mapping[str, Any], named: Iterable[str]) -> Iterator[str]:
    """The traits that an import uses for this customer, and that the live destination does not read by default.

    `named` are those that METADATA_TRAITS and ATTRIBUTE_TRAITS name.
    """

    if not _first(["name"], traits):
        yield from (name for name in ("firstName", "lastName") if _first([name], traits))
    nested = traits.get("address")
    parts = nested if isinstance(nested, dict) else traits
    for names in ADDRESS_TRAITS.values():
        used = _first(names, parts)
        if used and (parts is traits or used not in _ADDRESS):
            yield used if parts is traits else f"address.{used}"
    if _first(["birthdate", "birthday"], traits) == "birthday":
        yield "birthday"
    yield from (name for name in named if _first([name], traits))


def _first(names: Iterable[str], traits: Mapping[str, Any]) -> str | None:
    """The first of these traits that has a value."""
    return next((name for name in names if traits.get(name) not in (None, "")), None)
