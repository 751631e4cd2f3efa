"""Puts an import together: the two services, the pipeline between them, and what is told of it."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncGenerator, Mapping
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import aiohttp

import segsync
from segsync import segment, voucherify
from segsync.errors import SegsyncError, SettingsError, StopError
from segsync.files import RunFiles
from segsync.mapping import MAPPED_TRAITS, to_customer
from segsync.models import FIRST_OFFSET, Event, OnEvent, ignore
from segsync.pacer import Pacer
from segsync.pipeline import UPLOADS_IN_FLIGHT, Pipeline
from segsync.report import ImportReport, Outcome, make_report
from segsync.settings import Settings
from segsync.tally import Tally
from segsync.transport import Transport

SESSION_HEADERS: Final[Mapping[str, str]] = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",  # answers are small; what is not packed cannot unpack into a bomb
    "User-Agent": f"segsync/{segsync.__version__}",
}


async def run_import(
    settings: Settings,
    *,
    offset: str | int = FIRST_OFFSET,
    limit: int | None = None,
    on_event: OnEvent = ignore,
    stop: asyncio.Event | None = None,
    directory: Path | None = None,
) -> ImportReport:
    """Import the profiles of a Segment space into Voucherify; what became of each is in the report.

    `offset` is where to begin: a number of profiles to skip, or any cursor that Segment gave; `limit` is the
    number of profiles to import at most. `on_event` is called with every event of `segsync.models`. Setting
    `stop` ends the import early: what is under way is finished and sent. The files that name profiles without
    identifier, rejected ones and warnings are written into `directory`; None writes no files.

    What stops the import is in the report's `error` and not raised, because what was reached until then
    counts too. Raises `SettingsError` for a `limit` below 1. Cancelling ends it at once.
    """
    if limit is not None and limit < 1:
        raise SettingsError([f"limit={limit} must be 1 or more"])
    return await run_counted(
        settings, Tally(str(offset)), limit=limit, on_event=on_event, stop=stop, directory=directory
    )


async def run_counted(
    settings: Settings,
    tally: Tally,
    *,
    limit: int | None,
    on_event: OnEvent,
    stop: asyncio.Event | None,
    directory: Path | None,
) -> ImportReport:
    """`run_import`, for a caller that watches the numbers, or wants them even if it is cancelled."""
    clock = asyncio.get_running_loop().time
    stop = stop or asyncio.Event()
    outcome: Outcome = "done"
    failure: SegsyncError | None = None
    started = clock()
    try:
        with ExitStack() as stack:
            files = stack.enter_context(RunFiles(directory, tally.offset)) if directory else None

            def tell(event: Event) -> None:
                if files:
                    files.write(event)
                tally.count(event)
                on_event(event)

            async with _pipeline(settings, tell) as pipeline:
                await pipeline.run(tally.offset, limit, stop)
    except SegsyncError as error:
        outcome, failure = "stopped", error
    except Exception as error:  # noqa: BLE001 - whatever it is, how far the import came must still be told
        outcome, failure = "stopped", _defect(error)
    if stop.is_set() and tally.resume_offset is not None:
        outcome = "interrupted"
    return make_report(tally, outcome=outcome, error=failure, seconds=clock() - started)


def _defect(error: Exception) -> StopError:
    """An exception that nobody expected, without its text, which may quote a customer; it is the cause."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(frame.filename).name}:{frame.lineno}"
    stop = StopError(f"unexpected {type(error).__name__} at {where}. This is a defect: please report it with this line")
    stop.__cause__ = error
    return stop


@asynccontextmanager
async def _pipeline(settings: Settings, on_event: OnEvent) -> AsyncGenerator[Pipeline, None]:
    """The pipeline from Segment to Voucherify, with its connections."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=settings.concurrency + 1 + UPLOADS_IN_FLIGHT),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=SESSION_HEADERS,
        timeout=aiohttp.ClientTimeout(total=settings.request_timeout_seconds),
    ) as session:
        # aiohttp repeats a cut GET by itself, past the pacer and uncounted; the transport does that better.
        session._retry_connection = False
        to_segment = Transport(
            session,
            service=segment.SERVICE,
            base_url=settings.segment_url,
            headers=segment.headers(settings.segment_access_token),
            credentials="SEGMENT_ACCESS_TOKEN (or it is not for this SEGMENT_SPACE_ID)",
            pacer=Pacer(settings.segment_requests_per_second),
            retry_seconds=settings.retry_seconds,
            on_event=on_event,
        )
        to_voucherify = Transport(
            session,
            service=voucherify.SERVICE,
            base_url=settings.voucherify_url,
            headers=voucherify.headers(settings.voucherify_application_id, settings.voucherify_secret_key),
            credentials="VOUCHERIFY_APPLICATION_ID and VOUCHERIFY_SECRET_KEY (or they are not for this region)",
            pacer=Pacer(settings.voucherify_requests_per_minute / 60),
            retry_seconds=settings.retry_seconds,
            on_event=on_event,
        )
        source = segment.SegmentSource(
            to_segment,
            space_id=settings.segment_space_id,
            identifier_type=settings.identifier_saved_as_source_id,
            traits=MAPPED_TRAITS,
            page_size=settings.segment_request_limit,
            traits_limit=settings.segment_traits_limit,
        )
        yield Pipeline(
            source,
            voucherify.VoucherifySink(to_voucherify),
            to_customer=to_customer,
            concurrency=settings.concurrency,
            batch_size=settings.batch_size,
            on_event=on_event,
        )
