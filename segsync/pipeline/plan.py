"""What an import is to do, given what the ledger remembers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial
from typing import Literal

from segsync.connectors.base import Source
from segsync.ledger import batches as entries
from segsync.ledger import rejections as entries_rejections
from segsync.ledger import runs as accounts
from segsync.ledger.database import Ledger
from segsync.ledger.runs import Run
from segsync.models import FIRST_OFFSET, Outcomes, Page, Plan

PROFILES_PER_PAGE = 100


async def listed(
    source: Source, ledger: Ledger, run: int, offset: str, limit: int | None
) -> AsyncGenerator[Page, None]:
    """The pages that the source lists, no faster than the ledger is written.

    That there are any is written before the first is handed on, where the files of an earlier import are cleared.
    """
    async with aclosing(source.pages(offset, limit)) as pages:
        has_listed = False
        async for page in pages:
            if not has_listed:
                has_listed = True
                await ledger.ask(partial(accounts.has_listed, run=run))
            await ledger.keep_up()
            yield page


async def of_batches(ledger: Ledger, batches: Sequence[int]) -> AsyncGenerator[Page, None]:
    """The profiles of these batches, a page each."""
    for batch in batches:
        members = await ledger.ask(partial(entries.members_of, batch=batch))
        yield Page(str(batch), tuple(member.segment_id for member in members if member.counts), None)


async def of_rejected(ledger: Ledger, run: int) -> AsyncGenerator[Page, None]:
    """The rejected profiles of a run."""
    after: str | None = None
    while ids := await ledger.ask(
        partial(entries_rejections.rejected_profiles, run=run, after=after, most=PROFILES_PER_PAGE)
    ):
        after = ids[-1]
        yield Page(after, tuple(ids), None)


def last_run(ledger: Ledger) -> Run | None:
    """The run that a resume goes on with: the last one, unless it did nothing and the one before was not finished."""
    runs = ledger.read(accounts.runs)
    for run in runs:
        if run.has_listed:
            return run if run.is_unfinished else runs[0]
    return runs[0] if runs else None


def plan_new(ledger: Ledger, offset: str) -> Plan:
    """Begin at this offset."""
    return _of_run("new", ledger, ledger.read(partial(accounts.begin_run, first_offset=offset)), has_work=True)


def plan_resume(ledger: Ledger) -> Plan | None:
    """Go on where the last run stood; None where there was none."""
    run = last_run(ledger)
    if run is None:
        return None
    has_work = run.state != "done" or ledger.read(accounts.has_open_ends)
    if has_work:
        run = ledger.read(partial(accounts.resume_run, run=run.id))
    return _of_run("resume", ledger, run, has_work=has_work)


def plan_retry(ledger: Ledger) -> Plan:
    """Take the rejected profiles again, and them alone."""
    since = ledger.read(accounts.first_current_run)
    last = last_run(ledger)
    if last:
        ledger.read(partial(accounts.prune, run=last.id))
    runs = ledger.read(partial(entries_rejections.runs_with_rejections, since=since))
    counted = [ledger.read(partial(accounts.one_run, run=run)) for run in runs] or ledger.read(
        partial(accounts.runs, most=1)
    )
    before = sum((run.outcomes for run in counted), Outcomes())
    return Plan("retry", tuple(runs), since, None, before, has_work=bool(runs))


def _of_run(kind: Literal["new", "resume"], ledger: Ledger, run: Run, *, has_work: bool) -> Plan:
    begins_anew = run.first_offset == FIRST_OFFSET and run.done_pages == 0
    return Plan(
        kind=kind,
        runs=(run.id,),
        # What an import before it came to does not matter to one that begins anew: everybody comes again.
        followed_since=run.id if begins_anew else ledger.read(accounts.first_current_run),
        offset=run.offset,
        before=run.outcomes,
        done_pages=run.done_pages,
        begins_anew=begins_anew,
        has_work=has_work,
        expected=ledger.read(partial(accounts.expected, run=run.id)),
    )
