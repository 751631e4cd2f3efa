"""Reaches both services for a check: do they accept these credentials, and if not, does another region's host?"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime, timedelta
from statistics import fmean
from typing import Any, Final, TypeAlias, TypeVar

from msgspec import Struct, structs

from segsync import errors
from segsync.check.findings import Finding, finding
from segsync.check.sample import ReadSample, SampledProfile
from segsync.check.unmapped import UnmappedTraits
from segsync.connectors.factory import connect_services, describe
from segsync.connectors.segment import SegmentSource
from segsync.connectors.segment_profile import damaged_identifier, first_of_type
from segsync.connectors.voucherify import VoucherifySink
from segsync.events import Event, OnEvent, Throttled, ignore
from segsync.mapping.metadata_schema import MetadataSchema
from segsync.models import FIRST_OFFSET
from segsync.pipeline.mapper import why_unreadable
from segsync.settings import SEGMENT_HOSTS, VOUCHERIFY_HOSTS, Settings

T = TypeVar("T")

Call: TypeAlias = Callable[[SegmentSource, VoucherifySink], Awaitable[T]]
"""A question to one of the two services."""

Hosts: TypeAlias = Mapping[str, Mapping[str, str]]

VENDORS: Final[Hosts] = {"segment": SEGMENT_HOSTS, "voucherify": VOUCHERIFY_HOSTS}
"""Each vendor's hosts by region. Credentials go to these or to a configured base URL, and nowhere else."""

CREDENTIALS: Final = {
    "segment": "SEGMENT_ACCESS_TOKEN: copy it again or make a new one, for this space",
    "voucherify": "VOUCHERIFY_APPLICATION_ID and VOUCHERIFY_SECRET_KEY: copy both again",
}

PATIENCE_SECONDS = 10.0
"""The longest time for which a failing call is retried: somebody waits for the check."""

READERS = 16

_NOT_KNOWN_HERE = frozenset({401, 403, 404})
"""What a host answers to credentials, or a space, of another region."""


class _Service(Struct, frozen=True):
    """A service, and where the settings say that it is. `id` begins the names of these settings."""

    id: str
    name: str
    region: str
    base_url: str
    hosts: Mapping[str, str]

    @property
    def region_variable(self) -> str:
        return f"{self.id.upper()}_REGION"

    @property
    def base_url_variable(self) -> str:
        return f"{self.id.upper()}_BASE_URL"


class ServiceProbe:
    """Asks both services that `settings` name, and changes nothing there. Each `SegsyncError` becomes a finding."""

    def __init__(self, settings: Settings, hosts: Hosts = VENDORS, on_event: OnEvent = ignore) -> None:
        self._settings = replace(settings, retry_seconds=min(settings.retry_seconds, PATIENCE_SECONDS))
        self._on_event = on_event
        source, sink = describe(settings)
        self._segment = _Service(
            "segment", source.name, settings.segment_region, settings.segment_base_url, hosts["segment"]
        )
        self._voucherify = _Service(
            "voucherify", sink.name, settings.voucherify_region, settings.voucherify_base_url, hosts["voucherify"]
        )

    async def regions(self, connector: str) -> dict[str, errors.CallError | None]:
        """By region of "segment" or "voucherify", why its host does not accept the credentials; None where it does.

        The configured region comes first. A configured base URL is asked alone, and has the region "".
        """
        service = self._segment if connector == "segment" else self._voucherify
        urls = {"": service.base_url} if service.base_url else {service.region: "", **service.hosts}

        async def refusal(url: str) -> errors.CallError | None:
            try:
                await self._call(service, url, _first_profile if connector == "segment" else _statuses)
            except errors.CallError as error:
                return error
            return None

        return dict(zip(urls, await asyncio.gather(*map(refusal, urls.values())), strict=True))

    async def sample(self, profiles: int) -> tuple[Finding, ReadSample | None]:
        """Whether Segment answers, and its first `profiles`: all external ids, and all traits of those to send."""

        async def read(source: SegmentSource, _sink: VoucherifySink) -> ReadSample:
            return await _read_all(source, await _listed(source, profiles), self._settings)

        return await self._ask(self._segment, read, probe=_first_profile)

    async def schema(self) -> tuple[Finding, MetadataSchema | str | None]:
        """Whether Voucherify answers, and what it allows as metadata, or why these credentials may not read that.

        The listing of async actions comes first, since a project without a schema answers 404 to that, as a wrong
        host would.
        """

        async def read(_source: SegmentSource, sink: VoucherifySink) -> MetadataSchema | str:
            await sink.action_statuses()
            try:
                return await sink.metadata_schema()
            except (errors.AccessError, errors.RefusedError, errors.AnswerError) as error:  # an import goes on
                return why_unreadable(error)

        return await self._ask(self._voucherify, read, probe=_statuses)

    async def _ask(self, service: _Service, read: Call[T], *, probe: Call[object]) -> tuple[Finding, T | None]:
        """What `read` gives at the configured host. Where that does not know us, other regions are probed."""
        url = service.base_url or service.hosts[service.region]
        try:
            result = await self._call(service, url, read)
        except errors.CallError as error:
            detail, fix = str(error), _fix(service, error)
            may_be_elsewhere = error.status in _NOT_KNOWN_HERE and not service.base_url
            if may_be_elsewhere and (region := await self._other_region(service, probe)):
                detail += f". But {service.hosts[region]} accepts these credentials"
                fix = f"Set {service.region_variable}={region}."
            return finding(service.id, "failed", errors.with_code(detail, error.code), fix), None
        except Exception as error:  # noqa: BLE001 - whatever it is, the other findings are still shown
            return finding(service.id, "failed", errors.defect(error).with_code, "Please report it."), None
        setting = service.base_url_variable if service.base_url else f"{service.region_variable}={service.region}"
        return finding(service.id, "ok", f"credentials accepted by {url} ({setting})"), result

    async def _other_region(self, service: _Service, probe: Call[object]) -> str | None:
        """The other region whose host accepts the credentials. What is reported is the configured region's error."""
        for region, url in service.hosts.items():
            if region == service.region:
                continue
            try:
                await self._call(service, url, probe)
            except errors.CallError:
                continue
            return region
        return None

    async def _call(self, service: _Service, url: str, call: Call[T]) -> T:
        """What `call` gives at that host. Raises `TransientError` where the service asks for a wait beyond patience."""
        asked_seconds = 0.0
        limit = asyncio.timeout(None)

        def on_event(event: Event) -> None:
            nonlocal asked_seconds
            self._on_event(event)
            match event:
                case Throttled(seconds=seconds, method="GET") if seconds > PATIENCE_SECONDS and not limit.expired():
                    asked_seconds = seconds
                    limit.reschedule(asyncio.get_running_loop().time())

        changed: dict[str, Any] = {f"{service.id}_base_url": url}
        async with connect_services(replace(self._settings, **changed), on_event) as clients:
            try:
                async with limit:  # around the call alone: once it is answered, the wait asked for does not matter
                    return await call(*clients)
            except TimeoutError:
                until = datetime.now() + timedelta(seconds=asked_seconds)
                message = f"{service.name} asks for no calls before {until:%H:%M:%S}"
                raise errors.TransientError(
                    message, service=service.name, code="wait-requested", retry_after_seconds=asked_seconds
                ) from None


async def _first_profile(source: SegmentSource, _sink: VoucherifySink) -> object:
    return await _listed(source, 1)


async def _statuses(_source: SegmentSource, sink: VoucherifySink) -> object:
    return await sink.action_statuses()


async def _listed(source: SegmentSource, profiles: int) -> list[str]:
    async with aclosing(source.pages(FIRST_OFFSET, profiles)) as pages:
        return [each async for page in pages for each in page.profiles if isinstance(each, str)]


async def _read_all(source: SegmentSource, segment_ids: list[str], settings: Settings) -> ReadSample:
    """The profiles with all their external ids, and the traits of those that would be sent or could be.

    All their traits are read, but only those that an import reads are kept; the others are counted.
    """
    identifier, traits_first = settings.identifier_saved_as_source_id, settings.identifier_lookup == "traits"
    waiting = iter(segment_ids)
    profiles: list[SampledProfile] = []
    unreadable = Counter[str]()
    unmapped = UnmappedTraits(settings)
    calls_for_all: list[int] = []

    async def read() -> None:
        for segment_id in waiting:
            traits = None
            try:
                external_ids = await source.external_ids(segment_id)
                has_identifier = first_of_type(external_ids, identifier) is not None
                if has_identifier or traits_first:
                    traits = await source.all_traits(segment_id)
                    if identifier in traits.damaged and not has_identifier:
                        raise damaged_identifier(identifier)  # as an import does
            except (errors.RefusedError, errors.AnswerError, errors.TransientError) as error:
                if isinstance(error, errors.TransientError) and not error.others_succeed:
                    raise  # Segment is away, it is not this profile
                unreadable[error.message] += 1
                continue
            if traits:
                calls_for_all.append(traits.calls)
                if has_identifier or traits.source_id(identifier):
                    unmapped.count(traits.values)
                kept = unmapped.wanted(traits.values)
                traits = structs.replace(traits, values=kept, calls=source.trait_calls(traits))
            profiles.append(SampledProfile(segment_id, external_ids, traits))

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(READERS):
                group.create_task(read())
    except BaseExceptionGroup as group_error:
        raise errors.first_of(group_error) from None
    places = {segment_id: place for place, segment_id in enumerate(segment_ids)}
    profiles.sort(key=lambda profile: places[profile.segment_id])
    return ReadSample(profiles, dict(unreadable), unmapped.customers, fmean(calls_for_all or [1]))


def _fix(service: _Service, error: errors.CallError) -> str:
    where = f"{service.region_variable} or {service.base_url_variable}"
    match error:
        case errors.TransientError() if (error.retry_after_seconds or 0) > PATIENCE_SECONDS:
            fix = "Check again then. An import would wait by itself."
        case errors.BlockedError():
            fix = "Ask your network administrator: a proxy, firewall or certificate blocks calls, not your settings."
        case errors.CallError(status=401 | 403):
            fix = f"Check {CREDENTIALS[service.id]}; then {where}."
        case errors.QuotaError():
            fix = "Wait for the plan's next cycle, or raise the plan."
        case errors.CallError(status=404) | errors.AnswerError():
            space = "SEGMENT_SPACE_ID; then " if error.status == 404 and service.id == "segment" else ""
            fix = f"Check {space}{where}."
        case errors.CallError(status=None):
            fix = f"Check the network, then {where}."
        case _:
            fix = f"See {service.name}'s status page, and check again later."
    return fix
