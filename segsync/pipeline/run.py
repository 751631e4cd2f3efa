"""Puts an import together: the two services, the ledger, the files, and what is told of it in the end."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path

from segsync.connectors.base import Results, Schemas, Sink, Source
from segsync.connectors.factory import connect, describe
from segsync.errors import SegsyncError, SettingsError, StopError, defect
from segsync.events import Event, OnEvent, ignore
from segsync.ledger import runs as accounts
from segsync.ledger.database import Ledger
from segsync.ledger.rejections import read_groups
from segsync.ledger.runs import State
from segsync.models import FIRST_OFFSET, Connector, Plan
from segsync.monitor.log import Log
from segsync.pipeline.job import ImportJob
from segsync.pipeline.plan import plan_new, plan_resume, plan_retry
from segsync.report.counters import Counters, measured
from segsync.report.import_report import EndState, ImportReport, make_report
from segsync.report.profile_lists import ProfileLists
from segsync.settings import Settings


async def run_import(
    settings: Settings,
    *,
    source: Source | None = None,
    sink: Sink | None = None,
    offset: str | int = FIRST_OFFSET,
    limit: int | None = None,
    resume: bool = False,
    retry_rejected: bool = False,
    confirm: bool = True,
    ledger: Path | None = None,
    on_event: OnEvent = ignore,
    stop: asyncio.Event | None = None,
    directory: Path | None = None,
) -> ImportReport:
    """Import the profiles of a Segment space into Voucherify; what became of each is in the report.

    A `source` or a `sink` of one's own takes the place of Segment, or of Voucherify.
    `offset` is where to begin: a number of profiles to skip, or any cursor that Segment gave; `limit` is the
    number of profiles to import at most, in all of an import that is resumed. `resume` goes on where the last import
    on the `ledger` stood, and begins at `offset` if there was none; `retry_rejected` takes the profiles through
    again that the ledger knows as rejected, and no others. `confirm` reads what became of the customers that
    Voucherify accepted. A `ledger` of None is a temporary one: then nothing can be resumed later.

    `on_event` is called with every event of `segsync.events`; the logger `segsync` gets the log. Setting `stop` ends
    the import early: what is under way is finished and sent. The files that name profiles without identifier, rejected
    ones and warnings are written into `directory`; None writes no files.

    What stops the import is in the report's `error` and not raised, because what was reached until then
    counts too. Raises `SettingsError` for a `limit` below 1 or an `offset` that cannot be one, `LedgerError` and
    `OutputError` for a ledger that cannot be used. Cancelling ends it at once.
    """
    if limit is not None and limit < 1:
        raise SettingsError([f"limit={limit} must be 1 or more"])
    if not str(offset).isprintable():
        raise SettingsError([f"offset={offset!r} must be a number or a cursor of Segment's"])
    with open_ledger(settings, ledger, source, sink) as opened:
        plan = plan_retry(opened) if retry_rejected else plan_resume(opened) if resume else None
        plan = plan or plan_new(opened, str(offset))
        counters, stop = Counters(plan.offset, plan.before), stop or asyncio.Event()
        confirm = confirm and (sink is None or isinstance(sink, Results))
        log = Log(
            plan,
            counters,
            _connectors(settings, source, sink),
            stop=stop,
            batch_size=settings.batch_size,
            ledger=ledger,
            limit=limit,
            confirms=confirm,
            has_lists=directory is not None,
        )

        def observe(event: Event) -> None:
            log.on_event(event)
            on_event(event)

        with log.running():
            with measured(counters):
                state, error = await run_plan(
                    settings,
                    plan,
                    counters,
                    source=source,
                    sink=sink,
                    ledger=opened,
                    limit=plan.left_of(limit),
                    confirm=confirm,
                    on_event=observe,
                    stop=stop,
                    directory=directory,
                )
            report = await read_report(counters, opened, plan.runs, state=state, error=error, is_confirmed=confirm)
            log.ended(report)
        return report


def open_ledger(
    settings: Settings, path: Path | None, source: Source | None = None, sink: Sink | None = None
) -> Ledger:
    """The ledger at `path`, for imports from this source into this sink; those of the settings for None."""
    about_source, about_sink = _connectors(settings, source, sink)
    return Ledger(path, owner=about_sink, source=about_source)


def _connectors(settings: Settings, source: Source | None, sink: Sink | None) -> tuple[Connector, Connector]:
    about_source, about_sink = describe(settings)
    return source.about if source else about_source, sink.about if sink else about_sink


async def run_plan(
    settings: Settings,
    plan: Plan,
    counters: Counters,
    *,
    source: Source | None = None,
    sink: Sink | None = None,
    ledger: Ledger,
    limit: int | None,
    confirm: bool,
    on_event: OnEvent,
    stop: asyncio.Event | None,
    directory: Path | None,
    dry_run: Sink | None = None,
) -> tuple[EndState, SegsyncError | None]:
    """Carry out a plan, and say how that ended: `run_import`, for a caller that makes the report from the counters.

    `limit` is what is left of it; `dry_run` takes the customers instead of the sink, whose schema still counts.
    """
    stop = stop or asyncio.Event()
    confirm = confirm and (sink is None or isinstance(sink, Results))
    state: EndState = "done"
    failure: SegsyncError | None = None

    def tell(event: Event) -> None:
        counters.count(event)
        on_event(event)

    try:
        with _files(directory, plan) as files:
            rejected = await ledger.ask(accounts.rejected_now)
            if files and plan.kind != "new" and plan.followed_since:
                files.keep_rejected(rejected)  # without those whose page comes again, or who were sent before a crash
            async with connect(settings, tell, source, sink) as (from_source, to_sink):
                job = ImportJob(
                    settings,
                    plan,
                    from_source,
                    dry_run or to_sink,
                    to_sink if isinstance(to_sink, Schemas) else None,
                    ledger=ledger,
                    confirm=confirm,
                    tell=tell,
                    files=files,
                    stop=stop,
                )
                # In a task of its own: what stops it leaves no mark of a cancellation on the caller's.
                await asyncio.ensure_future(job.run(limit))
            if plan.kind != "retry" and not stop.is_set():
                _account_for_all(counters)
            if files and plan.kind == "new" and plan.followed_since < min(plan.runs):
                files.tidy_rejected()  # who was on the last pages of the run before has been rejected by both, maybe
            if files and plan.kind == "retry":
                files.drop_rejected(rejected - await ledger.ask(accounts.rejected_now))
    except SegsyncError as error:
        state, failure = "stopped", error
    except asyncio.CancelledError:
        _queue_end(ledger, plan, "interrupted", None)
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, how far the import came must still be told
        state, failure = "stopped", defect(error)
    is_anything_left = (
        counters.resume_offset is not None or counters.outcomes.pending or (confirm and counters.outcomes.sent)
    )
    if stop.is_set() and is_anything_left:
        state = "interrupted"
    try:
        _queue_end(
            ledger, plan, "limited" if state == "done" and counters.resume_offset is not None else state, failure
        )
        await ledger.keep_up(0)
    except SegsyncError as error:
        state, failure = "stopped", failure or error
    if plan.kind != "retry" and (kept := ledger.salvage(partial(accounts.one_run, run=plan.runs[0]))):
        counters.resume_offset = kept.offset  # behind what was reached, as far as it was written down
    return state, failure


async def read_report(
    counters: Counters,
    ledger: Ledger,
    runs: Collection[int],
    *,
    state: EndState,
    error: SegsyncError | None,
    is_confirmed: bool,
    is_dry_run: bool = False,
    most_ids: int = 0,
) -> ImportReport:
    """`make_report` with the rejections of these runs, up to `most_ids` segment ids of each group."""
    return make_report(
        counters,
        state=state,
        error=error,
        is_confirmed=is_confirmed,
        is_dry_run=is_dry_run,
        rejections=await read_groups(ledger, runs, most_ids=most_ids),
    )


def tidy_rejected(ledger: Ledger, directory: Path) -> None:
    """Take those off the list of rejected profiles whom the ledger knows to be sent: a crash may have left them there.

    What the list holds of imports that the ledger does not know stays.
    """
    if ledger.read(accounts.first_current_run):
        with ProfileLists(directory, begins_anew=False) as files:
            files.keep_rejected(ledger.read(accounts.rejected_now))


def _files(directory: Path | None, plan: Plan) -> AbstractContextManager[ProfileLists | None]:
    if directory is None:
        return nullcontext()
    return ProfileLists(directory, begins_anew=plan.begins_anew, may_repeat=plan.kind == "retry")


def _queue_end(ledger: Ledger, plan: Plan, state: State, failure: SegsyncError | None) -> None:
    """Have the ledger say how the run ended. A retry changes nothing about how far its runs came."""
    for run in () if plan.kind == "retry" else plan.runs:
        ledger.write(partial(accounts.end_run, run=run, state=state, error=None if failure is None else str(failure)))


def _account_for_all(counters: Counters) -> None:
    """Raises `StopError` where an import that came to its end has left profiles without a outcome."""
    if forgotten := counters.outcomes.pending:
        raise StopError(
            f"Profiles that were listed and then forgotten: {forgotten:,}. This is a defect: please report it. "
            "A resume takes them again"
        )
