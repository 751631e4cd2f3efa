"""The source and the sink of one import, with their connections, as the settings name them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import aiohttp

from segsync.__about__ import __version__
from segsync.connectors import segment, voucherify
from segsync.connectors.http.client import ApiClient
from segsync.connectors.http.rate_limiter import RateLimiter
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
    source = Connector(
        segment.SERVICE,
        identity=settings.segment_space_id,
        host=settings.segment_url,
        limit=CallLimit(settings.segment_requests_per_second, "second"),
    )
    sink = Connector(
        voucherify.SERVICE,
        identity=settings.voucherify_application_id,
        host=settings.voucherify_url,
        limit=CallLimit(settings.voucherify_requests_per_minute, "minute"),
    )
    return source, sink


@asynccontextmanager
async def connect(
    settings: Settings, on_event: OnEvent
) -> AsyncGenerator[tuple[segment.SegmentSource, voucherify.VoucherifySink], None]:
    """Segment and Voucherify, with their connections. Raises `SettingsError` where their credentials are missing."""
    settings.require("segment", "voucherify")
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),  # the workers and uploaders are the limit
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=SESSION_HEADERS,
        timeout=aiohttp.ClientTimeout(total=settings.request_timeout_seconds),
    ) as session:
        # aiohttp repeats a cut GET by itself, past the limiter and uncounted; the transport does that better.
        session._retry_connection = False
        to_segment = ApiClient(
            session,
            service=segment.SERVICE,
            base_url=settings.segment_url,
            headers=segment.headers(settings.segment_access_token),
            credentials="SEGMENT_ACCESS_TOKEN (or it is not for this SEGMENT_SPACE_ID)",
            limiter=RateLimiter(settings.segment_requests_per_second),
            retry_seconds=settings.retry_seconds,
            on_event=on_event,
        )
        to_voucherify = ApiClient(
            session,
            service=voucherify.SERVICE,
            base_url=settings.voucherify_url,
            headers=voucherify.headers(settings.voucherify_application_id, settings.voucherify_secret_key),
            credentials="VOUCHERIFY_APPLICATION_ID and VOUCHERIFY_SECRET_KEY (or they are not for this region)",
            limiter=RateLimiter(settings.voucherify_requests_per_minute / 60, window_seconds=60.0),
            retry_seconds=settings.retry_seconds,
            on_event=on_event,
        )
        source = segment.SegmentSource(
            to_segment,
            space_id=settings.segment_space_id,
            identifier_type=settings.identifier_saved_as_source_id,
            traits=settings.metadata_traits.beside(MAPPED_TRAITS),
            traits_first=settings.identifier_lookup == "traits",
            page_size=settings.segment_request_limit,
            traits_limit=settings.segment_traits_limit,
        )
        yield source, voucherify.VoucherifySink(to_voucherify)
