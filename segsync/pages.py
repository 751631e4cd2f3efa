"""Where the pages of an import come from: the source's listing, or the ledger, for profiles that are taken again."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial

from segsync.connectors.base import Source
from segsync.ledger import batches as entries
from segsync.ledger import rejections as entries_rejections
from segsync.ledger import runs as accounts
from segsync.ledger.database import Ledger
from segsync.models import Page

PROFILES_A_PAGE = 100


class WithPages:
    """A source whose profiles are those of `source`, on these pages."""

    def __init__(self, source: Source, pages: AsyncGenerator[Page, None]) -> None:
        self.profile = source.profile
        self.answers = source.answers
        self.usage = source.usage
        self._pages = pages

    def pages(self, _offset: str, _limit: int | None) -> AsyncGenerator[Page, None]:
        """All of them: where they begin and end is known."""
        return self._pages


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
        partial(entries_rejections.rejected_profiles, run=run, after=after, most=PROFILES_A_PAGE)
    ):
        after = ids[-1]
        yield Page(after, tuple(ids), None)
