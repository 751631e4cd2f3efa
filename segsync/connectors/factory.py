"""The source and the sink of one import, with their connections, as the settings name them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import aiohttp

from segsync.__about__ import __version__
from segsync.connectors import segment, voucherify
from segsync.connectors.base import Sink, Source
from segsync.connectors.http.client import ApiClient
from segsync.events import OnEvent
from segsync.mapping.customer import MAPPED_TRAITS
from segsync.models import CallLimit, Connector
from segsync.settings import Settings

SESSION_HEADERS: Final[Mapping[str, str]] = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",  # answers are small; what is not packed cannot unpack into a bomb
    "User-Agent": f"segsync/{__version__}",
}


def describe(settings: Settings) -> tuple[Connector, Connector]:
    """Who the source and the sink of these settings are, before there is a connection."""
    per_second = CallLimit(settings.segment_requests_per_second, "second")
    per_minute = CallLimit(settings.voucherify_requests_per_minute, "minute")
    return (
        Connector(segment.SERVICE, settings.segment_space_id, settings.segment_url, per_second),
        Connector(voucherify.SERVICE, settings.voucherify_application_id, settings.voucherify_url, per_minute),
    )


@asynccontextmanager
async def connect(
    settings: Settings, on_event: OnEvent, source: Source | None = None, sink: Sink | None = None
) -> AsyncGenerator[tuple[Source, Sink], None]:
    """The source and the sink of an import; one that is not given is the one that the settings name."""
    if source is not None and sink is not None:
        yield source, sink
        return
    async with connect_services(settings, on_event) as (own_source, own_sink):
        yield own_source if source is None else source, own_sink if sink is None else sink


@asynccontextmanager
async def connect_services(
    settings: Settings, on_event: OnEvent
) -> AsyncGenerator[tuple[segment.SegmentSource, voucherify.VoucherifySink], None]:
    """Segment and Voucherify, with their connections. Raises `SettingsError` where their credentials are missing."""
    settings.require("segment", "voucherify")
    about_source, about_sink = describe(settings)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),  # the workers and uploaders are the limit
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=SESSION_HEADERS,
        timeout=aiohttp.ClientTimeout(total=settings.request_timeout_seconds),
    ) as session:
        # aiohttp repeats a cut GET by itself, past the limiter and uncounted; the client does that better.
        session._retry_connection = False
        to_segment = ApiClient(
            session,
            about_source,
            headers=segment.headers(settings.segment_access_token),
            credentials="SEGMENT_ACCESS_TOKEN (or it is not for this SEGMENT_SPACE_ID)",
            retry_seconds=settings.retry_seconds,
            on_event=on_event,
        )
        to_voucherify = ApiClient(
            session,
            about_sink,
            headers=voucherify.headers(settings.voucherify_application_id, settings.voucherify_secret_key),
            credentials="VOUCHERIFY_APPLICATION_ID and VOUCHERIFY_SECRET_KEY (or they are not for this region)",
            retry_seconds=settings.retry_seconds,
            on_event=on_event,
        )
        source = segment.SegmentSource(
            to_segment,
            identifier_type=settings.identifier_saved_as_source_id,
            traits=settings.metadata_traits.beside(MAPPED_TRAITS),
            traits_first=settings.identifier_lookup == "traits",
            page_size=settings.segment_request_limit,
            traits_limit=settings.segment_traits_limit,
        )
        yield source, voucherify.VoucherifySink(to_voucherify)
