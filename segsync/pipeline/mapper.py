"""The mapping that the settings ask for, with Voucherify's metadata schema in it."""

from __future__ import annotations

from typing import Final

from segsync.connectors.base import Schemas
from segsync.errors import AccessError, AnswerError, CallError, RefusedError
from segsync.events import MetadataUnchecked, OnEvent
from segsync.mapping.customer import MAPPED_TRAITS, MetadataOf
from segsync.mapping.metadata import metadata_rules
from segsync.mapping.metadata_schema import MetadataSchema
from segsync.settings import Settings

NEED_THE_SCHEMA: Final = frozenset({"drop", "reject"})
"""Values of METADATA_UNDEFINED that mean nothing to who does not know what is defined."""


async def read_metadata_rules(settings: Settings, schemas: Schemas, tell: OnEvent) -> MetadataOf:
    """The rules for metadata under these settings, for one import: this is one call to Voucherify.

    Where the schema is not for us to read, metadata goes as it is, which is told; if the settings need the schema,
    raises `AccessError`. Raises whatever else the call raises.
    """
    undefined = settings.metadata_undefined
    schema: MetadataSchema | None = None
    try:
        schema = await schemas.metadata_schema()
    except (AccessError, RefusedError, AnswerError) as error:
        if error.status == 401:
            await schemas.action_statuses()  # raises if it is not the schema alone that these credentials do not open
        reason = why_unreadable(error)
        if undefined in NEED_THE_SCHEMA:
            raise AccessError(
                f"{reason}, which METADATA_UNDEFINED={undefined} needs. Give the key that right, "
                "or set METADATA_UNDEFINED=send",
                service=error.service,
                status=error.status,
                request_id=error.request_id,
            ) from None
        tell(MetadataUnchecked(reason))
    return metadata_rules(settings.metadata_traits, undefined, schema, used=_used(settings))


def why_unreadable(error: CallError) -> str:
    """Why the metadata schema cannot be read by somebody whom Voucherify lets in."""
    if isinstance(error, AccessError):
        return f"Voucherify answered {error.status}: this application key may not read the metadata schema"
    return f"{error.message}: the metadata schema for customers cannot be read"


def unfitted_metadata(settings: Settings) -> MetadataOf:
    """The metadata that an import would have, before anybody looks at the schema."""
    return metadata_rules(settings.metadata_traits, "send", None, used=_used(settings))


def _used(settings: Settings) -> frozenset[str]:
    """The traits that other rules read."""
    identifier = {settings.identifier_saved_as_source_id} if settings.identifier_lookup == "traits" else frozenset()
    return frozenset(MAPPED_TRAITS) | identifier
