"""Puts an import together: connectors, ledger, lists, log and report."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from sqlite3 import Connection

from msgspec import structs

from segsync.connectors.base import Results, Schemas, Sink, Source
from segsync.connectors.factory import connect, describe
from segsync.errors import SegsyncError, SettingsError, StopError, defect
from segsync.events import OnEvent, both, ignore
from segsync.ledger import profiles, rejections, runs
from segsync.ledger.checks import read_last_check
from segsync.ledger.database import Ledger
from segsync.ledger.rejections import IS_REJECTED, IS_UNKNOWN
from segsync.ledger.runs import State
from segsync.models import FIRST_OFFSET, Outcomes, Plan
from segsync.monitor.log import LOGGER, Log
from segsync.pipeline.chosen import ChosenIds
from segsync.pipeline.job import ImportJob
from segsync.pipeline.plan import plan_ids, plan_new, plan_resume, plan_retry
from segsync.report.counters import Counters, measured
from segsync.report.import_report import EndState, ImportReport, Standing, make_report
from segsync.report.list_writer import ProfileLists
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
    ids: Iterable[str] | None = None,
    confirm: bool = True,
    ledger: Path | None = None,
    on_event: OnEvent = ignore,
    stop: asyncio.Event | None = None,
    directory: Path | None = None,
    show_values: bool = False,
) -> ImportReport:
    """Import the profiles of a Segment space into Voucherify; the report has their outcomes.

    A `source` or a `sink` of one's own takes the place of Segment, or of Voucherify. `offset` is where to begin: a
    number of profiles to skip, or any cursor of the source; `limit` is the most profiles to import, in all of an import
    that is resumed. `resume` continues the last import on the `ledger`, and begins at `offset` if there was none;
    `retry_rejected` retries the profiles that the ledger has as rejected; `ids` reads and sends just the profiles of
    these segment ids, changed or not. `confirm` reads the results of the bulk
    upserts. Without a `ledger` there is a temporary one. Setting `stop`, or cancelling, ends the import early. Lists of
    profiles are written into `directory` at the end; None writes none. `show_values` adds Voucherify's own words, which
    may be personal, to the list of the rejected. `on_event` gets every event of `segsync.events`, the logger
    `segsync` the log. The report's `error` stopped the import; a `SegsyncError` is raised for what it cannot use.
    """
    _check(offset, limit)
    lists = None if directory is None else ProfileLists(directory, ledger, shows_values=show_values)
    with ExitStack() as stack:
        if lists:
            stack.enter_context(closing(lists))
        chosen = None if ids is None else stack.enter_context(closing(ChosenIds(ids)))
        opened = stack.enter_context(open_ledger(settings, ledger, source, sink))
        plan = plan_ids(opened, chosen) if chosen else plan_retry(opened) if retry_rejected else None
        plan = plan or (plan_resume(opened) if resume else None) or plan_new(opened, str(offset))
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
            lists=directory,
        )
        with log.running():
            try:
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
                        lists=lists,
                        chosen=chosen,
                    )
            except asyncio.CancelledError:
                await write_lists(lists, opened)
                raise
            unwritten = await write_lists(lists, opened)
            report = await read_report(
                settings,
                counters,
                opened,
                plan.runs,
                state=state,
                error=error,
                is_confirmed=confirm,
                unwritten=unwritten,
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
    lists: ProfileLists | None = None,
    dry_run: Sink | None = None,
    chosen: ChosenIds | None = None,
) -> tuple[EndState, SegsyncError | None]:
    """Carry out a plan, and return how that ended. `dry_run` takes the customers instead of the sink.

    `lists` keep what the ledger does not hold; whoever gives them writes them. `chosen` are the ids of a plan for given
    ones.
    """
    state: EndState = "done"
    failure: SegsyncError | None = None
    counters.unknown_ids = None if chosen is None else 0
    observe = both(counters.count, on_event)
    try:
        async with connect(settings, observe, source, sink, keep_words=bool(lists and lists.shows_values)) as (
            from_source,
            to_sink,
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
                chosen=chosen,
            )
            # In a task of its own: what stops it leaves no mark of a cancellation on the caller's.
            await asyncio.ensure_future(job.run(limit))
            if plan.kind != "retry" and not stop.is_set():
                _account_for_all(counters, plan)
            if plan.ids_left:
                state = "interrupted"  # as it was before: the results alone were read
    except SegsyncError as error:
        state, failure = "stopped", error
    except asyncio.CancelledError:
        _count_given(counters, plan)
        _queue_end(ledger, plan, "interrupted", None, counters.outcomes)
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, the report says how far the import came
        state, failure = "stopped", defect(error)
    _count_given(counters, plan)
    outcomes, has_more = counters.outcomes, counters.resume_offset is not None
    if stop.is_set() and (has_more or outcomes.pending or (confirm and outcomes.sent)):
        state = "interrupted"
    try:
        _queue_end(ledger, plan, "limited" if state == "done" and has_more else state, failure, outcomes)
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
    unwritten: Sequence[str] = (),
) -> ImportReport:
    """The report of an import that ended so, with up to `most_ids` segment ids of each group of rejections.

    What it says of the whole import is what the ledger holds, as far as that can be read. `unwritten` are the lists
    that could not be written.
    """
    standing = await ledger.ask_or_salvage(partial(read_standing, of_runs=of_runs, most_ids=most_ids))
    if standing and not of_runs:  # there was nothing to retry: the counters have the outcomes of the last run
        standing = structs.replace(standing, outcomes=counters.outcomes)
    return make_report(
        counters,
        state=state,
        error=error,
        is_confirmed=is_confirmed,
        is_dry_run=is_dry_run,
        standing=standing,
        not_imported=await read_last_check(ledger, settings),
        unwritten=unwritten,
    )


def read_standing(db: Connection, of_runs: Collection[int], *, most_ids: int = 0) -> Standing:
    """How these runs and their ledger stand, with up to `most_ids` segment ids of each group of rejections."""
    rejected, unknown = (rejections.groups(db, of_runs, kind, most_ids=most_ids) for kind in (IS_REJECTED, IS_UNKNOWN))
    warned = profiles.count_warnings(db, most_ids)
    return Standing(
        outcomes=runs.outcomes_of(db, of_runs),
        rejections=rejected,
        unknown=unknown,
        rejected_now=rejections.count_unresolved(db),
        unknown_now=rejections.count_unresolved(db, IS_UNKNOWN),
        problems=warned.problems,
        warned_profiles=warned.profiles,
    )


async def write_lists(lists: ProfileLists | None, ledger: Ledger) -> Sequence[str]:
    """Write the lists of profiles, if there are to be any; a sentence for each that cannot be written."""
    if lists is None:
        return ()
    written = await ledger.ask_or_salvage(lists.write)
    while lists.notes:
        LOGGER.warning(lists.notes.pop(0), extra={"event": "message"})
    return ("The lists of profiles cannot be written: the ledger cannot be read",) if written is None else written


def _queue_end(ledger: Ledger, plan: Plan, state: State, failure: SegsyncError | None, outcomes: Outcomes) -> None:
    """Write how the run ended. A retry changes nothing about how far its runs came."""
    error = None if failure is None else failure.with_code
    for run in () if plan.kind == "retry" else plan.runs:
        ledger.write(partial(runs.end_run, run=run, state=state, error=error, outcomes=outcomes))


def _count_given(counters: Counters, plan: Plan) -> None:
    """Ids that were given and not read are pending, as profiles are that were listed and not read."""
    if plan.kind == "ids":
        counters.listed = (plan.expected or 0) - (counters.unknown_ids or 0)


def _account_for_all(counters: Counters, plan: Plan) -> None:
    """Raise `StopError` where an import that is through with its pages has left profiles without an outcome."""
    if forgotten := counters.outcomes.pending - plan.ids_left:
        raise StopError(
            f"Profiles that were listed and have no outcome: {forgotten:,}. This is a defect: please report it. "
            "A resume imports them",
            code="defect",
        )
