"""The checkpoint: which pages are done, from the outcome of each profile.

A page is done when each of its profiles has its outcome, and every page before it is done too. The resume point is
the first page that is not, so a crash at any moment repeats a little and skips nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque

from segsync.events import OnEvent, PageDone
from segsync.models import Outcomes, Page

MAX_OPEN_PAGES = 1000
"""How far reading may run ahead of the oldest open page, so that one profile whose call is retried for minutes holds
up no others, and memory has a bound."""


class OpenPage:
    """A page some of whose profiles have no outcome yet."""

    __slots__ = (
        *("cursor", "duplicate", "next_cursor", "number", "pending", "postponed", "rejected", "sent"),
        "without_identifier",
    )

    def __init__(self, page: Page, number: int) -> None:
        self.number = number
        self.cursor = page.cursor
        self.next_cursor = page.next_cursor
        self.pending = len(page.profiles)
        self.sent = self.without_identifier = self.duplicate = self.rejected = self.postponed = 0


class Checkpoint:
    """The open pages, oldest first; emits `PageDone` when one is done, in the order of the listing."""

    def __init__(self, on_event: OnEvent) -> None:
        self._on_event = on_event
        self._pages: deque[OpenPage] = deque()
        self._opened = 0
        self._room = asyncio.Event()
        self._room.set()

    async def room(self) -> bool:
        """Wait until one more page may be opened; whether it may, or there will never be room for it."""
        await self._room.wait()
        return not self._is_full

    def open(self, page: Page) -> OpenPage:
        self._opened += 1
        opened = OpenPage(page, self._opened)
        self._pages.append(opened)
        if opened.pending == 0:
            self._close_done_pages()
        elif self._is_full:
            self._look_for_room()
        return opened

    def sent(self, page: OpenPage) -> None:
        """A customer of this page was accepted by the sink."""
        page.sent += 1
        self._count_outcome(page)

    def without_identifier(self, page: OpenPage) -> None:
        """A profile of this page has no identifier, and is not sent."""
        page.without_identifier += 1
        self._count_outcome(page)

    def duplicate(self, page: OpenPage, *, was_sent: bool = False) -> None:
        """A profile of this page has the identifier of another one; it may have been sent before that one."""
        page.duplicate += 1
        if was_sent:
            page.sent -= 1
        else:
            self._count_outcome(page)

    def rejected(self, page: OpenPage) -> None:
        """A profile of this page will not become a customer."""
        page.rejected += 1
        self._count_outcome(page)

    def unknown_id(self, page: OpenPage) -> None:
        """An id on this page does not count as a profile, and so has no outcome."""
        self._count_outcome(page)

    def postponed(self, page: OpenPage) -> None:
        """A profile of this page is left to a later run: it stays pending, and so does the page."""
        page.postponed += 1
        self._look_for_room()

    def _count_outcome(self, page: OpenPage) -> None:
        page.pending -= 1
        if page.pending == 0:
            self._close_done_pages()
        elif page.pending == page.postponed:
            self._look_for_room()

    @property
    def _is_full(self) -> bool:
        return len(self._pages) >= MAX_OPEN_PAGES

    def _look_for_room(self) -> None:
        """End the wait for room where there is some, or where the oldest page will not be done in this run."""
        if self._is_full and self._pages[0].pending > self._pages[0].postponed:
            self._room.clear()
        else:
            self._room.set()

    def _close_done_pages(self) -> None:
        while self._pages and self._pages[0].pending == 0:
            page = self._pages.popleft()
            outcomes = Outcomes(
                sent=page.sent,
                without_identifier=page.without_identifier,
                duplicate=page.duplicate,
                rejected=page.rejected,
            )
            self._on_event(PageDone(page.number, page.cursor, page.next_cursor, outcomes))
        self._look_for_room()
