"""Reaches both services for a check: do they answer these credentials, and if not, does another region's host?

It reads, and changes nothing there.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from msgspec import Struct

from segsync.check.findings import Finding, finding
from segsync.check.sample import ReadSample, SampledProfile
from segsync.connectors import segment, voucherify
from segsync.connectors.factory import connect
from segsync.connectors.segment import SegmentSource, first_of_type
from segsync.connectors.voucherify import VoucherifySink
from segsync.errors import (
    AccessError,
    AnswerError,
    CallError,
    QuotaError,
    RefusedError,
    TransientError,
    defect,
    first_of,
)
from segsync.events import Event, OnEvent, Throttled, ignore
from segsync.mapping.metadata_schema import MetadataSchema
from segsync.models import FIRST_OFFSET
from segsync.pipeline.mapper import why_unreadable
from segsync.settings import SEGMENT_HOSTS, VOUCHERIFY_HOSTS, Settings

T = TypeVar("T")

PATIENCE_SECONDS = 10.0
"""For which a failing call is tried again, or less where the settings say so: somebody waits for the answer."""

READERS = 16

_NOT_KNOWN_HERE = frozenset({401, 403, 404})
"""What a host answers to credentials, or a space, of another region."""


class Hosts(Struct, frozen=True):
    """The vendors' own hosts by region. Credentials go to these or to a configured base URL, and nowhere else."""

    segment: Mapping[str, str]
    voucherify: Mapping[str, str]


VENDORS = Hosts(SEGMENT_HOSTS, VOUCHERIFY_HOSTS)


class ReadSchema(Struct, frozen=True):
    """What Voucherify allows as metadata; None where these credentials do not open that, and the `problem` in words."""

    schema: MetadataSchema | None
    problem: str = ""


class _Service(Struct, frozen=True):
    """What is to be known of a service to say how it answers."""

    id: str
    name: str
    region_variable: str
    base_url_variable: str
    base_url_field: str
    credentials: str
    hosts: Mapping[str, str]
    region: str
    base_url: str

    @property
    def url(self) -> str:
        return self.base_url or self.hosts[self.region]


class ServiceProbe:
    """Both services, as `settings` name them. Nothing that it does raises `SegsyncError`: it makes findings."""

    def __init__(self, settings: Settings, hosts: Hosts = VENDORS, on_event: OnEvent = ignore) -> None:
        self._settings = replace(settings, retry_seconds=min(settings.retry_seconds, PATIENCE_SECONDS))
        self._on_event = on_event
        self._segment = _Service(
            "segment",
            segment.SERVICE,
            "SEGMENT_REGION",
            "SEGMENT_BASE_URL",
            "segment_base_url",
            "SEGMENT_ACCESS_TOKEN: copy it again or make a new one, for this space",
            hosts.segment,
            settings.segment_region,
            settings.segment_base_url,
        )
        self._voucherify = _Service(
            "voucherify",
            voucherify.SERVICE,
            "VOUCHERIFY_REGION",
            "VOUCHERIFY_BASE_URL",
            "voucherify_base_url",
            "VOUCHERIFY_APPLICATION_ID and VOUCHERIFY_SECRET_KEY: copy both again",
            hosts.voucherify,
            settings.voucherify_region,
            settings.voucherify_base_url,
        )

    async def sample(self, profiles: int) -> tuple[Finding, ReadSample | None]:
        """Whether Segment answers, and its first `profiles`: all external ids, and the traits of those to send."""

        async def read(source: SegmentSource, _sink: VoucherifySink) -> ReadSample:
            return await _read_all(source, await _listed(source, profiles), self._settings)

        async def probe(source: SegmentSource, _sink: VoucherifySink) -> object:
            return await _listed(source, 1)

        return await self._ask(self._segment, read, probe)

    async def schema(self) -> tuple[Finding, ReadSchema | None]:
        """Whether Voucherify answers, and what it allows as metadata.

        The listing of async actions comes first, since a project without a schema answers 404 to that, as a wrong
        host would.
        """

        async def probe(_source: SegmentSource, sink: VoucherifySink) -> object:
            return await sink.action_statuses()

        async def read(source: SegmentSource, sink: VoucherifySink) -> ReadSchema:
            await probe(source, sink)
            try:
                return ReadSchema(await sink.metadata_schema())
            except (AccessError, RefusedError, AnswerError) as error:  # as an import takes them
                return ReadSchema(None, why_unreadable(error))

        return await self._ask(self._voucherify, read, probe)

    async def _ask(
        self,
        service: _Service,
        read: Callable[[SegmentSource, VoucherifySink], Awaitable[T]],
        probe: Callable[[SegmentSource, VoucherifySink], Awaitable[object]],
    ) -> tuple[Finding, T | None]:
        """What `read` gives at the configured host; where that knows us not, whether another region's does."""
        try:
            async with self._at(service, service.url) as clients:
                result = await read(*clients)
        except CallError as error:
            others: list[str] = []
            if error.status in _NOT_KNOWN_HERE and not service.base_url:
                others = [name for name in service.hosts if name != service.region]
            for region in others:
                if await self._answers(service, service.hosts[region], probe):
                    return _elsewhere(service, error, region), None
            return finding(service.id, "failed", str(error), _way_out(service, error)), None
        except Exception as error:  # noqa: BLE001 - whatever it is, the other findings must still be told
            return finding(service.id, "failed", str(defect(error)), "Report it, please."), None
        where = service.base_url_variable if service.base_url else f"{service.region_variable}={service.region}"
        return finding(service.id, "ok", f"{service.url} answers these credentials ({where})"), result

    async def _answers(
        self,
        service: _Service,
        url: str,
        probe: Callable[[SegmentSource, VoucherifySink], Awaitable[object]],
    ) -> bool:
        try:
            async with self._at(service, url) as clients:
                await probe(*clients)
        except CallError:
            return False  # that it does not is the answer; the configured region's error is what is told
        return True

    @asynccontextmanager
    async def _at(self, service: _Service, url: str) -> AsyncGenerator[tuple[SegmentSource, VoucherifySink], None]:
        """The clients with that host. Raises `TransientError` where the service asks for a longer wait than we have."""
        asked_seconds = 0.0

        def tell(event: Event) -> None:
            nonlocal asked_seconds
            self._on_event(event)
            if isinstance(event, Throttled) and event.seconds > PATIENCE_SECONDS and not limit.expired():
                asked_seconds = event.seconds
                limit.reschedule(asyncio.get_running_loop().time())

        changed: dict[str, Any] = {service.base_url_field: url}
        limit = asyncio.timeout(None)
        async with connect(replace(self._settings, **changed), tell) as clients:
            try:
                async with limit:  # not around the services: once all is answered, it is no matter that none are left
                    yield clients
            except TimeoutError:
                until = datetime.now() + timedelta(seconds=asked_seconds)
                message = f"{service.name} takes no more calls before {until:%H:%M:%S}"
                raise TransientError(message, service=service.name, retry_after_seconds=asked_seconds) from None


async def _listed(source: SegmentSource, profiles: int) -> list[str]:
    async with aclosing(source.pages(FIRST_OFFSET, profiles)) as pages:
        return [segment_id async for page in pages for segment_id in page.segment_ids]


async def _read_all(source: SegmentSource, segment_ids: list[str], settings: Settings) -> ReadSample:
    """The profiles with all their external ids, and the traits of those that would be sent or could be."""
    identifier, traits_first = settings.identifier_saved_as_source_id, settings.identifier_lookup == "traits"
    waiting = iter(segment_ids)
    profiles: list[SampledProfile] = []
    unreadable = Counter[str]()

    async def read() -> None:
        for segment_id in waiting:
            try:
                external_ids = await source.external_ids(segment_id)
                needs_traits = traits_first or first_of_type(external_ids, identifier) is not None
                traits = await source.traits(segment_id) if needs_traits else None
            except (RefusedError, AnswerError, TransientError) as error:
                if isinstance(error, TransientError) and not error.others_succeed:
                    raise  # it is not this profile: Segment is away
                unreadable[error.message] += 1
            else:
                profiles.append(SampledProfile(segment_id, external_ids, traits))

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(READERS):
                group.create_task(read())
    except BaseExceptionGroup as errors:
        raise first_of(errors) from None
    return ReadSample(profiles, dict(unreadable))


def _elsewhere(service: _Service, error: CallError, region: str) -> Finding:
    host = service.hosts[region]
    return finding(
        service.id,
        "failed",
        f"{error}. But {host} answers these credentials",
        f"Set {service.region_variable}={region}.",
    )


def _way_out(service: _Service, error: CallError) -> str:
    where = f"{service.region_variable} or {service.base_url_variable}"
    if isinstance(error, TransientError) and (error.retry_after_seconds or 0) > PATIENCE_SECONDS:
        return "Check again then. An import would wait for it by itself."
    if error.status in (401, 403):
        return f"Check {service.credentials}; then {where}."
    if isinstance(error, QuotaError):
        return "Wait for the plan's next cycle, or raise the plan."
    if error.status == 404 or isinstance(error, AnswerError):
        space = "SEGMENT_SPACE_ID; then " if error.status == 404 and service.id == "segment" else ""
        return f"Check {space}{where}."
    if error.status is None:
        return f"Check the network, then {where}."
    return f"Look at {service.name}'s status page, and check again later."
