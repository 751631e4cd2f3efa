"""Voucherify's metadata schema for customers: what a customer's metadata may hold.

Voucherify, "Metadata" and "Get Metadata Schema": with `allow_defined_only` only defined metadata is accepted; what is
defined has to match its type either way.
https://docs.voucherify.io/api-reference/metadata-schemas/get-metadata-schema
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field


class Definition(Struct, frozen=True):
    """What one key may hold: values of `type`, or a list of them with `array`; a customer lacks it only if `optional`.

    `type` is Voucherify's name of it: string, number, boolean, date (`YYYY-MM-DD`), datetime, geopoint, image_url,
    object.
    """

    type: str = "string"
    array: bool = False
    optional: bool = True
    deleted: bool = False


class MetadataSchema(Struct, frozen=True):
    """The definitions by key, and whether undefined keys are refused (`allow_defined_only`)."""

    properties: Mapping[str, Definition] = field(default_factory=dict)
    allow_defined_only: bool = False
