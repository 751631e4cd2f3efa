"""The source and the sink of one import, with their connections, as the settings name them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import aiohttp
from yarl import URL

from segsync.connectors import segment, voucherify
from segsync.connectors.base import Sink, Source
from segsync.connectors.http.client import ApiClient
from segsync.connectors.http.proxy import proxy_for
from segsync.connectors.http.session import open_session
from segsync.events import OnEvent
from segsync.models import CallLimit, Connector
from segsync.settings import CONNECTORS, Settings


def describe(settings: Settings, source: Source | None = None, sink: Sink | None = None) -> tuple[Connector, Connector]:
    """Who the source and the sink of an import are, before there is a connection.

    One that is not given is the one that the settings name: raises `SettingsError` where its credentials are missing,
    or where the environment names a proxy for it that is none.
    """
    settings.require(*(name for name, own in zip(CONNECTORS, (source, sink), strict=True) if own is None))
    per_second = CallLimit(settings.segment_requests_per_second, "second")
    per_minute = CallLimit(settings.voucherify_requests_per_minute, "minute")
    space = Connector(segment.SERVICE, settings.segment_space_id, settings.segment_url, per_second, "space")
    application = settings.voucherify_application_id
    project = Connector(voucherify.SERVICE, application, settings.voucherify_url, per_minute, "project")
    for own, about in ((source, space), (sink, project)):
        if not own:
            proxy_for(URL(about.host, encoded=True))
    return source.about if source else space, sink.about if sink else project


def traits_to_read(settings: Settings) -> tuple[str, ...] | None:
    """The traits that an import asks Segment for: those that a rule or a setting names; None for all of them."""
    is_first = settings.identifier_lookup == "traits"
    identifier = (settings.identifier_saved_as_source_id,) if is_first else ()
    return settings.metadata_traits.beside((*identifier, *settings.attribute_traits.mapped))


@asynccontextmanager
async def connect(
    settings: Settings,
    on_event: OnEvent,
    source: Source | None = None,
    sink: Sink | None = None,
    *,
    keep_words: bool = False,
) -> AsyncGenerator[tuple[Source, Sink], None]:
    """The source and the sink of an import, with their connections. Raises as `describe` does.

    Voucherify's own words, which may be personal, are in its errors only if the caller wants to `keep_words`.
    """
    about_source, about_sink = describe(settings, source, sink)
    async with open_session(settings.request_timeout_seconds) as session:
        yield (
            source or _segment(session, about_source, settings, on_event),
            sink or _voucherify(session, about_sink, settings, on_event, keep_words=keep_words),
        )


@asynccontextmanager
async def connect_services(
    settings: Settings, on_event: OnEvent
) -> AsyncGenerator[tuple[segment.SegmentSource, voucherify.VoucherifySink], None]:
    """Segment and Voucherify, whatever they are used for. Raises as `describe` does."""
    about_source, about_sink = describe(settings)
    async with open_session(settings.request_timeout_seconds) as session:
        yield (
            _segment(session, about_source, settings, on_event),
            _voucherify(session, about_sink, settings, on_event),
        )


def _segment(
    session: aiohttp.ClientSession, about: Connector, settings: Settings, on_event: OnEvent
) -> segment.SegmentSource:
    client = ApiClient(
        session,
        about,
        headers=segment.headers(settings.segment_access_token),
        credentials="SEGMENT_ACCESS_TOKEN (or it is not for this SEGMENT_SPACE_ID)",
        retry_seconds=settings.retry_seconds,
        on_event=on_event,
    )
    return segment.SegmentSource(
        client,
        identifier_type=settings.identifier_saved_as_source_id,
        traits=traits_to_read(settings),
        traits_first=settings.identifier_lookup == "traits",
        page_size=settings.segment_request_limit,
        traits_limit=settings.segment_traits_limit,
    )


def _voucherify(
    session: aiohttp.ClientSession, about: Connector, settings: Settings, on_event: OnEvent, *, keep_words: bool = False
) -> voucherify.VoucherifySink:
    client = ApiClient(
        session,
        about,
        headers=voucherify.headers(settings.voucherify_application_id, settings.voucherify_secret_key),
        credentials="VOUCHERIFY_APPLICATION_ID and VOUCHERIFY_SECRET_KEY (or they are not for this region)",
        retry_seconds=settings.retry_seconds,
        on_event=on_event,
        download_hosts=voucherify.download_hosts(about.host),
        keep_words=keep_words,
    )
    return voucherify.VoucherifySink(client)
