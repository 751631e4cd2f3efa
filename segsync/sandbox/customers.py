"""What the sandbox's Voucherify takes as a customer of a bulk upsert, and its definitions of metadata.

A request may hold what the schema `CustomersUpdateInBulkRequestBody` of the vendor's OpenAPI documents, and two things
more, which the original script sends: a `birthdate` that is null, and `system_metadata`.
"""

from __future__ import annotations

import re
from datetime import datetime
from types import UnionType
from typing import Any

BIRTHDATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)

TEXTS = ("name", "email", "description", "phone")

ATTRIBUTES = {"source_id", *TEXTS, "birthdate", "birthday", "address", "metadata", "system_metadata"}

ADDRESS = {"city", "state", "line_1", "line_2", "country", "postal_code"}

METADATA_TYPES: dict[str, tuple[str, type | UnionType, bool]] = {
    "plan": ("string", str, False),
    "lifetime_value": ("number", int | float, False),
    "tags": ("string", str, True),
    "nested": ("object", dict, False),
}
"""The defined metadata: Voucherify's name of the type, ours, and whether it is an array of them."""


_REDEMPTIONS = ("redeemed", "failed", "succeeded", "rolled_back", "rollback_failed", "rollback_succeeded")

NOTHING_BOUGHT: dict[str, Any] = {
    "summary": {
        "redemptions": {
            **{f"total_{kind}": 0 for kind in _REDEMPTIONS},
            "gift": {"redeemed_amount": 0, "amount_to_go": 0},
            "loyalty_card": {"redeemed_points": 0, "points_to_go": 0},
        },
        "orders": dict.fromkeys(("total_amount", "total_count", "average_amount", "last_order_amount"), 0),
    },
    "loyalty": {"points": 0, "referred_customers": 0, "campaigns": {}},
    "referrals": {"total": 0, "campaigns": []},
}
"""What a customer has of these, who has done nothing since the import."""


def problem_with(customer: dict[str, Any], *, defined_only: bool) -> str | None:
    """What Voucherify refuses a customer for, None if nothing is wrong; `defined_only` allows no other metadata."""
    metadata = customer.get("metadata", {})
    checks = {
        "source_id is required": isinstance(customer.get("source_id"), str) and customer["source_id"] != "",
        "an attribute is not documented": set(customer) <= ATTRIBUTES,
        "an attribute is not text": all(isinstance(customer.get(name, ""), str) for name in TEXTS),
        "birthdate is not YYYY-MM-DD": customer.get("birthdate") is None or _is_day(customer["birthdate"]),
        "birthday is not YYYY-MM-DD": "birthday" not in customer or _is_day(customer["birthday"]),
        "address is not an address": customer.get("address") is None or _is_address(customer["address"]),
        "metadata is not an object": isinstance(metadata, dict),
        "system_metadata is not an object": isinstance(customer.get("system_metadata", {}), dict),
        "metadata is not defined": not defined_only or set(metadata or ()) <= set(METADATA_TYPES),
        "metadata is not of its defined type": not isinstance(metadata, dict) or _is_of_defined_types(metadata),
    }
    return next((problem for problem, is_fine in checks.items() if not is_fine), None)


def _is_day(value: object) -> bool:
    if not isinstance(value, str) or not BIRTHDATE.fullmatch(value):
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _is_of_defined_types(metadata: dict[str, Any]) -> bool:
    for name, (_, kind, is_array) in METADATA_TYPES.items():
        value = metadata.get(name)
        if value is None:
            continue
        if is_array != isinstance(value, list):
            return False
        entries = value if is_array else [value]
        if not all(isinstance(entry, kind) and not isinstance(entry, bool) for entry in entries):
            return False
    return True


def _is_address(value: object) -> bool:
    return isinstance(value, dict) and set(value) <= ADDRESS and all(isinstance(entry, str) for entry in value.values())
