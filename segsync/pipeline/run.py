"""Puts an import together: connectors, ledger, lists, log and report."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from segsync.connectors.base import Results, Schemas, Sink, Source
from segsync.connectors.factory import connect, describe
from segsync.errors import SegsyncError, SettingsError, StopError, defect
from segsync.events import OnEvent, both, ignore
from segsync.ledger import runs
from segsync.ledger.checks import read_last_check
from segsync.ledger.database import Ledger
from segsync.ledger.rejections import IS_REJECTED, IS_UNKNOWN, read_groups
from segsync.ledger.runs import State
from segsync.models import FIRST_OFFSET, Plan
from segsync.monitor.log import Log
from segsync.pipeline.job import ImportJob
from segsync.pipeline.plan import plan_new, plan_resume, plan_retry
from segsync.report.counters import Counters, measured
from segsync.report.import_report import EndState, ImportReport, make_report
from segsync.report.profile_lists import ProfileLists
from segsync.settings import Settings

_KINDS = (IS_REJECTED, IS_UNKNOWN)


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
    """Import the profiles of a Segment space into Voucherify; the report says what they came to.

    A `source` or a `sink` of one's own takes the place of Segment, or of Voucherify. `offset` is where to begin: a
    number of profiles to skip, or any cursor of the source; `limit` is the most profiles to import, in all of an import
    that is resumed. `resume` continues the last import on the `ledger`, and begins at `offset` if there was none;
    `retry_rejected` retries the profiles that the ledger has as rejected. `confirm` reads the results of the bulk
    upserts. Without a `ledger` there is a temporary one. Setting `stop`, or cancelling, ends the import early. Lists of
    profiles go into `directory`; None writes none. `on_event` gets every event of `segsync.events`, the logger
    `segsync` the log. The report's `error` stopped the import; a `SegsyncError` is raised for what it cannot use.
    """
    _check(offset, limit)
    with open_ledger(settings, ledger, source, sink) as opened:
        plan = plan_retry(opened) if retry_rejected else plan_resume(opened) if resume else None
        plan = plan or plan_new(opened, str(offset))
        counters, stop = Counters(plan.offset, plan.before), stop or asyncio.Event()
        confirm = confirm and (sink is None or isinstance(sink, Results))
        log = Log(
            plan,
            counters,
            describe(settings, source, sink),
            stop=stop,
            batch_size=settings.batch_size,
            ledger=ledger,
            limit=limit,
            identifier=None if source else settings.identifier_saved_as_source_id,
            confirms=confirm,
            has_lists=directory is not None,
        )
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
                    on_event=both(log.on_event, on_event),
                    stop=stop,
                    directory=directory,
                )
            report = await read_report(
                settings, counters, opened, plan.runs, state=state, error=error, is_confirmed=confirm
            )
            log.ended(report)
        return report


def _check(offset: str | int, limit: int | None) -> None:
    if limit is not None and limit < 1:
        raise SettingsError([f"limit={limit} must be 1 or more"], code="setting-invalid")
    if not str(offset).isprintable():
        raise SettingsError([f"offset={offset!r} must be a number or a cursor"], code="setting-invalid")


def open_ledger(
    settings: Settings, path: Path | None, source: Source | None = None, sink: Sink | None = None
) -> Ledger:
    """The ledger at `path`, for imports from this source into this sink; those of the settings for None."""
    about_source, about_sink = describe(settings, source, sink)
    return Ledger(path, owner=about_sink, source=about_source)


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
    stop: asyncio.Event,
    directory: Path | None,
    dry_run: Sink | None = None,
) -> tuple[EndState, SegsyncError | None]:
    """Carry out a plan, and return how that ended. `dry_run` takes the customers instead of the sink."""
    state: EndState = "done"
    failure: SegsyncError | None = None
    observe = both(counters.count, on_event)
    try:
        async with (
            _lists(plan, ledger, directory) as lists,
            connect(settings, observe, source, sink) as (from_source, to_sink),
        ):
            schemas = to_sink if isinstance(to_sink, Schemas) else None
            job = ImportJob(
                settings,
                plan,
                from_source,
                dry_run or to_sink,
                schemas,
                ledger=ledger,
                confirm=confirm,
                on_event=observe,
                lists=lists,
                stop=stop,
            )
            # In a task of its own: what stops it leaves no mark of a cancellation on the caller's.
            await asyncio.ensure_future(job.run(limit))
            if plan.kind != "retry" and not stop.is_set():
                _account_for_all(counters)
    except SegsyncError as error:
        state, failure = "stopped", error
    except asyncio.CancelledError:
        _queue_end(ledger, plan, "interrupted", None)
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, the report says how far the import came
        state, failure = "stopped", defect(error)
    outcomes, has_more = counters.outcomes, counters.resume_offset is not None
    if stop.is_set() and (has_more or outcomes.pending or (confirm and outcomes.sent)):
        state = "interrupted"
    try:
        _queue_end(ledger, plan, "limited" if state == "done" and has_more else state, failure)
        await ledger.keep_up(0)
    except SegsyncError as error:
        state, failure = "stopped", failure or error
    if plan.kind != "retry" and (kept := ledger.salvage(partial(runs.one_run, run=plan.runs[0]))):
        counters.resume_offset = kept.offset  # before what was reached, as far as it was written
    return state, failure


async def read_report(
    settings: Settings,
    counters: Counters,
    ledger: Ledger,
    of_runs: Collection[int],
    *,
    state: EndState,
    error: SegsyncError | None,
    is_confirmed: bool,
    is_dry_run: bool = False,
    most_ids: int = 0,
) -> ImportReport:
    """The report of an import that ended so, with up to `most_ids` segment ids of each group of rejections."""
    rejected, unknown = [await read_groups(ledger, of_runs, kind, most_ids=most_ids) for kind in _KINDS]
    return make_report(
        counters,
        state=state,
        error=error,
        is_confirmed=is_confirmed,
        is_dry_run=is_dry_run,
        rejections=rejected,
        unknown=unknown,
        not_imported=await read_last_check(ledger, settings),
    )


def tidy_rejected(ledger: Ledger, directory: Path) -> None:
    """Remove profiles from the list of rejected ones that the ledger knows to be sent: a crash may have left them.

    Those of imports that the ledger does not know stay.
    """
    if ledger.read(runs.first_current_run):
        with ProfileLists(directory, begins_anew=False) as lists:
            lists.keep_rejected(ledger.read(runs.rejected_now))


@asynccontextmanager
async def _lists(plan: Plan, ledger: Ledger, directory: Path | None) -> AsyncGenerator[ProfileLists | None, None]:
    """The lists of profiles that a plan writes; None without a directory."""
    if directory is None:
        yield None
        return
    with ProfileLists(directory, begins_anew=plan.begins_anew, may_repeat=plan.kind == "retry") as lists:
        rejected = await ledger.ask(runs.rejected_now)
        if plan.kind != "new" and plan.followed_since:
            lists.keep_rejected(rejected)  # without profiles whose page is repeated, or that were sent before a crash
        yield lists
        if plan.kind == "retry":
            lists.drop_rejected(rejected - await ledger.ask(runs.rejected_now))
        elif plan.kind == "new" and plan.followed_since < min(plan.runs):
            lists.drop_rejected(())  # profiles on the last pages of the run before may be there twice


def _queue_end(ledger: Ledger, plan: Plan, state: State, failure: SegsyncError | None) -> None:
    """Write how the run ended. A retry changes nothing about how far its runs came."""
    for run in () if plan.kind == "retry" else plan.runs:
        ledger.write(partial(runs.end_run, run=run, state=state, error=None if failure is None else failure.with_code))


def _account_for_all(counters: Counters) -> None:
    """Raise `StopError` where an import that is through with its pages has left profiles without an outcome."""
    if forgotten := counters.outcomes.pending:
        raise StopError(
            f"Profiles that were listed and have no outcome: {forgotten:,}. This is a defect: please report it. "
            "A resume imports them",
            code="defect",
        )
