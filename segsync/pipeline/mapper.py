"""The mapping that the settings ask for, with the metadata schema of the sink in it."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from segsync.connectors.base import Schemas
from segsync.errors import AccessError, AnswerError, BlockedError, CallError, RefusedError, SettingsError
from segsync.events import MetadataUnchecked, OnEvent
from segsync.mapping.customer import MetadataOf
from segsync.mapping.metadata import metadata_rules
from segsync.mapping.metadata_schema import MetadataSchema
from segsync.settings import Settings

NEED_THE_SCHEMA: Final = frozenset({"drop", "reject"})
"""Values of METADATA_UNDEFINED that need to know which keys are defined."""

TRIES: Final = 3
"""How often the schema is asked for, where the answer is garbled."""


async def read_metadata_rules(settings: Settings, schemas: Schemas | None, on_event: OnEvent) -> MetadataOf:
    """The rules for metadata under these settings, for one import; `schemas` is None for a sink without a schema.

    The schema is read once. Where these credentials may not read it, metadata is sent as it is, and
    `MetadataUnchecked` says so; if the settings need the schema, raises `AccessError`, or `SettingsError` for a sink
    that has none. Raises whatever else the call raises.
    """
    undefined = settings.metadata_undefined
    schema: MetadataSchema | None = None
    if schemas is None:
        if undefined in NEED_THE_SCHEMA:
            raise SettingsError(
                [
                    f"METADATA_UNDEFINED={undefined} needs a metadata schema, and this sink has none: "
                    "use another one, or set METADATA_UNDEFINED=send"
                ],
                code="sink-without-schema",
            )
        return unfitted_metadata(settings)
    try:
        schema = await _schema(schemas)
    except BlockedError:  # no call gets through
        raise
    except (AccessError, RefusedError, AnswerError) as error:
        if error.status == 401 or isinstance(error, AnswerError):
            await schemas.action_statuses()  # raises if it is not the schema alone that is closed or garbled
        reason = why_unreadable(error)
        if undefined in NEED_THE_SCHEMA:
            raise AccessError(
                f"{reason}, which METADATA_UNDEFINED={undefined} needs. Give the key that right, "
                "or set METADATA_UNDEFINED=send",
                service=error.service,
                status=error.status,
                request_id=error.request_id,
                code="schema-unreadable",
            ) from None
        on_event(MetadataUnchecked(reason))
    return metadata_rules(settings.metadata_traits, undefined, schema, used=_used(settings))


async def _schema(schemas: Schemas) -> MetadataSchema:
    """The schema. One answer that cannot be used is not a reason to send metadata unchecked: it may be garbled."""
    for _ in range(TRIES - 1):
        with suppress(AnswerError):
            return await schemas.metadata_schema()
    return await schemas.metadata_schema()


def why_unreadable(error: CallError) -> str:
    """Why the metadata schema cannot be read with credentials that open the service otherwise."""
    if isinstance(error, AccessError):
        return f"{error.service} answered {error.status}: this application key may not read the metadata schema"
    return f"{error.message}: the metadata schema for customers cannot be read"


def unfitted_metadata(settings: Settings) -> MetadataOf:
    """The rules for metadata that is not checked against a schema."""
    return metadata_rules(settings.metadata_traits, "send", None, used=_used(settings))


def _used(settings: Settings) -> frozenset[str]:
    """The traits that other rules read."""
    identifier = {settings.identifier_saved_as_source_id} if settings.identifier_lookup == "traits" else frozenset()
    return frozenset(settings.attribute_traits.mapped) | identifier
