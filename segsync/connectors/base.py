"""Protocols: what a source of profiles and a sink of customers promise."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Mapping
from typing import Protocol, runtime_checkable

from msgspec import Struct

from segsync.mapping.metadata_schema import MetadataSchema
from segsync.models import Connector, Page, Profile, Usage


class Source(Protocol):
    """Where profiles come from. `pages` and `read` raise `CallError` classes."""

    about: Connector

    def pages(self, offset: str, limit: int | None) -> AsyncGenerator[Page, None]:
        """Pages from `offset` on, at most `limit` profiles in all: ids to be read, or whole profiles.

        Raises `CursorError` before the first page where the source does not take `offset`, or takes it no longer.
        """

    async def read(self, segment_id: str) -> Profile | None:
        """The profile, None where it has no identifier. Whole profiles are replayed by id too."""

    async def answers(self) -> bool:
        """Whether the source answers at all; asked when the retries of one profile have run out."""

    def usage(self) -> Usage | None:
        """How much of its limit was used since the last usage; None where that is not known, or shows nothing."""


class Sink(Protocol):
    """Where customers go."""

    about: Connector
    max_body_bytes: int

    async def upsert(self, body: bytes) -> str:
        """Send a JSON array of customers; the id of the bulk upsert. Raises `CallError` classes."""


@runtime_checkable
class Patient(Protocol):
    """A sink that retries its upserts, and can be asked to do so for a shorter time."""

    async def upsert_within(self, body: bytes, patience: float) -> str:
        """`Sink.upsert`, with this share of its usual time for retries: 1 for all of it."""


MAX_BODY_BYTES = 10 * 1024 * 1024
"""The largest bulk upsert: a larger one is answered 413."""

LISTED_ACTIONS = 100
"""The most async actions in a listing, which are the newest."""

CONFLICT = 409
"""The status of an upsert that may conflict with another call, which passes, or with what is stored, which does not."""

ENDED = frozenset({"DONE", "FAILED"})
"""The statuses of an async action that has ended; the others are ENQUEUED and IN_PROGRESS."""


class RefusedCustomer(Struct, frozen=True):
    """A customer that an async action did not write; the reason is redacted, and `words` are the sink's own."""

    source_id: str
    reason: str
    code: str = "refused"
    words: str = ""


class ActionStatus(Struct, frozen=True):
    """How an async action stands by the listing; `is_success` is None where the listing does not say."""

    status: str
    is_success: bool | None = None

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED


class UpsertResult(Struct, frozen=True):
    """How an async action stands. `refused` may name fewer customers than `failed_count`; None is a count not given.

    `reports` are URLs of files that may name more of them.
    """

    status: str
    is_success: bool
    done_count: int | None
    failed_count: int | None
    refused: tuple[RefusedCustomer, ...]
    reports: tuple[str, ...]
    request_id: str | None

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED

    def failed_of(self, sent: int) -> int:
        """How many of the `sent` customers were not written, as far as it says."""
        failed = self.failed_count
        if failed is None or failed < 0:
            is_fine = self.is_success or self.refused or self.done_count == sent
            failed = len({each.source_id for each in self.refused}) if is_fine else sent
        if self.done_count is not None:
            failed = max(failed, sent - self.done_count)
        return min(failed, sent)


def result_calls(upserts: int) -> int:
    """The calls that read the results of bulk upserts: one for each, and one per listing."""
    return upserts + math.ceil(upserts / LISTED_ACTIONS)


@runtime_checkable
class Results(Protocol):
    """A sink that knows the results of its bulk upserts. The methods raise `CallError` classes."""

    about: Connector

    async def action_statuses(self) -> Mapping[str, ActionStatus]:
        """How the newest actions stand, by id."""

    async def upsert_result(self, action_id: str) -> UpsertResult | None:
        """How an action stands; None where it is not known."""

    async def reported(self, url: str) -> list[RefusedCustomer]:
        """The customers that a report file says were refused."""


@runtime_checkable
class Schemas(Protocol):
    """A sink that has a schema for metadata. The methods raise `CallError` classes."""

    async def metadata_schema(self) -> MetadataSchema:
        """What a customer's metadata may hold."""

    async def action_statuses(self) -> object:
        """Another call that the same credentials open."""
