"""What an import is to do, given the ledger, and the pages that it takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial
from sqlite3 import Connection
from typing import Literal

from segsync.connectors.base import Source
from segsync.errors import CursorError, LedgerError
from segsync.events import ListedAnew, OnEvent
from segsync.ledger import batches, listings, rejections, runs
from segsync.ledger.database import Ledger
from segsync.ledger.identifiers import forget_identifiers
from segsync.ledger.runs import Run
from segsync.models import FIRST_OFFSET, Outcomes, Page, Plan
from segsync.options import beside_ledger
from segsync.pipeline.chosen import PROFILES_PER_PAGE, ChosenIds


async def listed(
    source: Source, ledger: Ledger, plan: Plan, offset: str, limit: int | None, on_event: OnEvent
) -> AsyncGenerator[Page, None]:
    """The pages that the source lists, no faster than the ledger is written.

    Before the first is handed on, the ledger knows that there is one.
    """
    [run] = plan.runs
    number = plan.done_pages
    async with aclosing(_from_offset_or_anew(source, ledger, plan, offset, limit, on_event)) as pages:
        async for page in pages:
            if number == plan.done_pages:
                await ledger.ask(partial(runs.has_listed, run=run))
                if plan.begins_anew:
                    ledger.write(forget_identifiers)
                    ledger.write(partial(listings.forget_before, run=run))
            number += 1
            digests = b"".join(map(ledger.digest, _segment_ids(page)))
            ledger.write(partial(listings.add_page, run=run, number=number, digests=digests))
            await ledger.keep_up()
            yield page


async def _from_offset_or_anew(
    source: Source, ledger: Ledger, plan: Plan, offset: str, limit: int | None, on_event: OnEvent
) -> AsyncGenerator[Page, None]:
    """The pages from the plan's offset on.

    Where the source takes this cursor of the ledger no longer, they are all from the beginning, after an empty one that
    moves the checkpoint there. Once that has happened, profiles that are done are left out.
    """
    has_listed = False
    try:
        if plan.was_listed_anew:
            await _look_up_done(ledger, plan)
        found = _not_done(source, ledger, offset, limit) if plan.was_listed_anew else source.pages(offset, limit)
        async with aclosing(found) as pages:
            async for page in pages:
                has_listed = True
                yield page
    except CursorError:
        if has_listed or not plan.done_pages:
            raise  # an offset of the user's own
    else:
        return
    done = await _look_up_done(ledger, plan)
    async with aclosing(_not_done(source, ledger, plan.first_offset, limit)) as pages:
        async for page in pages:
            if not has_listed:
                has_listed = True
                on_event(ListedAnew(done))
                yield Page(offset, (), plan.first_offset)
            yield page


async def _look_up_done(ledger: Ledger, plan: Plan) -> int:
    [run] = plan.runs
    return await ledger.ask(partial(listings.look_up_done, run=run, done_pages=plan.done_pages))


async def _not_done(source: Source, ledger: Ledger, offset: str, limit: int | None) -> AsyncGenerator[Page, None]:
    """The pages from `offset` on without the profiles that are done, with at most `limit` others in all."""
    left = limit
    if left == 0:
        return
    async with aclosing(source.pages(offset, None)) as pages:
        async for page in pages:
            digests = [ledger.digest(each) for each in _segment_ids(page)]
            done = await ledger.ask(partial(listings.done_among, digests=digests))
            others = [each for each, digest in zip(page.profiles, digests, strict=True) if digest not in done]
            is_cut = left is not None and len(others) > left
            yield Page(page.cursor, tuple(others[:left]), page.cursor if is_cut else page.next_cursor)
            if left is not None:
                left -= len(others[:left])
                if left == 0:
                    return


def _segment_ids(page: Page) -> list[str]:
    return [each if isinstance(each, str) else each.segment_id for each in page.profiles]


async def of_batches(ledger: Ledger, replayed: Sequence[int]) -> AsyncGenerator[Page, None]:
    """The profiles of these batches, a page each."""
    for batch in replayed:
        members = await ledger.ask(partial(batches.members_of, batch=batch))
        yield Page(str(batch), tuple(member.segment_id for member in members if member.counts), None)


async def of_rejected(ledger: Ledger, run: int, kind: str = rejections.IS_REJECTED) -> AsyncGenerator[Page, None]:
    """The profiles that were last rejected in this run, or those of another kind (see `unresolved`)."""
    after: str | None = None

    def portion(db: Connection) -> list[str]:
        found = rejections.unresolved(db, kind, run=run, after=after, most=PROFILES_PER_PAGE)
        return [letter.segment_id for letter in found]

    while ids := await ledger.ask(portion):
        after = ids[-1]
        yield Page(after, tuple(ids), None)


async def of_ids(ledger: Ledger, chosen: ChosenIds) -> AsyncGenerator[Page, None]:
    """The profiles of given ids, no faster than the ledger is written."""
    async with aclosing(chosen.pages()) as found:
        async for page in found:
            await ledger.keep_up()
            yield page


def last_run(ledger: Ledger) -> Run | None:
    """The import that a resume continues: the last one, unless it did nothing and the one before was not finished."""
    found = [run for run in ledger.read(runs.runs) if run.is_listing]
    # A run that listed nothing is nothing to another source: it may have had a mistyped space.
    newest_first = [run for run in found if run.has_listed or run.is_from(ledger.source)]
    for run in newest_first:
        if run.has_listed:
            return run if run.is_unfinished else newest_first[0]
    return newest_first[0] if newest_first else None


def check_source(ledger: Ledger, *, begins_anew: bool) -> None:
    """Raise `LedgerError` where the import on the ledger is from another source.

    One that `begins_anew` may follow it, once nothing of it is left to do.
    """
    since = ledger.read(runs.first_current_run)
    for run in ledger.read(runs.runs):
        is_left = (run.is_listing and run.state != "done") or run.open_upserts or run.replays
        if run.id >= since and run.has_listed and not run.is_from(ledger.source) and (is_left or not begins_anew):
            other, this = (f"{each.name} {each.identity}" for each in (run.source, ledger.source))
            raise LedgerError(
                f"The import on the ledger {ledger.path} is from {other}, not from {this}. Finish it with the settings "
                "of that one, or choose another file for this one: --ledger FILE",
                code="ledger-of-other-space",
            )


def plan_new(ledger: Ledger, offset: str) -> Plan:
    """Begin at this offset. Raises `LedgerError` as `check_source` does."""
    check_source(ledger, begins_anew=offset == FIRST_OFFSET)
    run = ledger.read(partial(runs.begin_run, first_offset=offset, source=ledger.source))
    return _of_run("new", ledger, run, has_work=True)


def plan_resume(ledger: Ledger) -> Plan | None:
    """Continue the last run; None where there was none. Raises `LedgerError` as `check_source` does."""
    run = last_run(ledger)
    if run is None:
        return _plan_results_of_ids(ledger)
    check_source(ledger, begins_anew=False)
    has_work = run.state != "done" or ledger.read(runs.has_open_ends)
    if has_work:
        run = ledger.read(partial(runs.resume_run, run=run.id))
    return _of_run("resume", ledger, run, has_work=has_work)


def _plan_results_of_ids(ledger: Ledger) -> Plan | None:
    """Read the results that a run of given ids has left open; None where there are none.

    The ids that it has not read stay pending: they have to be given again.
    """
    found = next((run for run in ledger.read(runs.runs) if run.open_upserts or run.replays), None)
    if found is None:
        return None
    check_source(ledger, begins_anew=False)
    run = ledger.read(partial(runs.close_run_of_ids, run=found.id))
    return Plan("resume", (run.id,), 0, None, run.outcomes, ids_left=run.ids_left)


def plan_ids(ledger: Ledger, chosen: ChosenIds) -> Plan:
    """Read and send the profiles of these ids, whatever the ledger knows of them. Raises as `check_source` does.

    It is a run beside the imports: an unfinished one can be resumed as before. Only its own results are read.
    """
    check_source(ledger, begins_anew=False)
    name = beside_ledger(chosen.name, ledger.path) if ledger.path and chosen.name else chosen.name
    run = ledger.read(lambda db: runs.begin_run(db, FIRST_OFFSET, ledger.source, ids_from=name, ids=chosen.count))
    offset = FIRST_OFFSET if chosen.count else None
    return Plan("ids", (run.id,), run.id, offset, Outcomes(), expected=chosen.count, ids_from=chosen.name)


def plan_retry(ledger: Ledger) -> Plan:
    """Retry the profiles that are rejected or whose result is unknown, whichever run they are from.

    Each is retried once, for the last run that rejected it. Raises `LedgerError` as `check_source` does.
    """
    check_source(ledger, begins_anew=False)
    ledger.read(runs.close_killed_runs_of_ids)
    last = last_run(ledger)
    if last:
        ledger.read(partial(runs.prune, run=last.id))
    found = ledger.read(lambda db: Counter((each.run, each.stage) for each in rejections.to_retry(db, ledger.source)))
    with_rejections = sorted({run for run, _ in found})
    unknown = sum(count for (_, stage), count in found.items() if stage == rejections.UNKNOWN)
    since = min([ledger.read(runs.first_followed_run), *with_rejections])
    counted = [ledger.read(partial(runs.one_run, run=run)) for run in with_rejections] or ledger.read(
        partial(runs.runs, most=1)
    )
    before = sum((run.outcomes for run in counted), Outcomes())
    retried = Outcomes(rejected=found.total() - unknown, unknown=unknown)
    return Plan("retry", tuple(with_rejections), since, None, before, has_work=bool(with_rejections), retried=retried)


def _of_run(kind: Literal["new", "resume"], ledger: Ledger, run: Run, *, has_work: bool) -> Plan:
    begins_anew = run.first_offset == FIRST_OFFSET and run.done_pages == 0
    return Plan(
        kind=kind,
        runs=(run.id,),
        # The import before one that begins anew does not matter to it: every profile is listed again.
        followed_since=run.id if begins_anew else ledger.read(runs.first_followed_run),
        offset=run.offset,
        before=run.outcomes,
        done_pages=run.done_pages,
        begins_anew=begins_anew,
        first_offset=run.first_offset,
        was_listed_anew=ledger.read(partial(listings.began_anew, run=run.id)),
        has_work=has_work,
        expected=run.expected,
    )
