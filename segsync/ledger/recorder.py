"""Writes into the ledger what happens to the profiles of a run, as the events tell it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from segsync.events import BatchSent, Event, PageDone, ProfileRejected, ProfileWithoutIdentifier, SentProfile
from segsync.ledger import batches as entries
from segsync.ledger import rejections as entries_rejections
from segsync.ledger.batches import FIRST_ATTEMPT, LAST_ATTEMPT, Member
from segsync.ledger.database import Ledger

RETRY_PAGE: Final = 0


class Recorder:
    """Writes a handful of rows a page, in the order of the events.

    `page` says under which number the ledger knows a page of the pipeline's; `attempt` is how often these
    profiles are sent, and `is_followed` whether somebody will read the outcomes of their upserts.
    """

    def __init__(
        self, ledger: Ledger, run: int, *, page: Callable[[int], int], attempt: int, is_followed: bool
    ) -> None:
        self._ledger = ledger
        self._run = run
        self._page = page
        self._attempt = attempt
        self._is_followed = is_followed

    def record(self, event: Event) -> None:
        """Queue what this event changes. Raises `OutputError` where the ledger could not be written."""
        run = self._run
        match event:
            case BatchSent(action_id, profiles):
                self._ledger.write(
                    lambda db: entries.add_batch(
                        db,
                        run,
                        action_id,
                        [self._member(profile) for profile in profiles],
                        attempt=self._attempt,
                        is_followed=self._is_followed,
                    )
                )
            case ProfileRejected(rejection, page):
                self._ledger.write(lambda db: entries_rejections.add_rejection(db, run, self._page(page), rejection))
            case ProfileWithoutIdentifier(segment_id) if self._page(1) == RETRY_PAGE:
                self._ledger.write(lambda db: entries.lost_its_identifier(db, run, segment_id))
            case PageDone(number, _, next_cursor, outcomes):
                page = self._page(number)
                if page > 0:
                    self._ledger.write(lambda db: entries.finish_page(db, run, page, next_cursor, outcomes))
                elif page < 0:
                    self._ledger.write(lambda db: entries.end_replay(db, run, -page, outcomes))

    def _member(self, profile: SentProfile) -> Member:
        return Member(self._page(profile.page), profile.segment_id, self._ledger.digest(profile.source_id))


def for_listing(ledger: Ledger, run: int, *, done_pages: int, is_followed: bool) -> Recorder:
    """For the pages that Segment lists, of which `done_pages` are behind us."""
    return Recorder(
        ledger, run, page=lambda number: done_pages + number, attempt=FIRST_ATTEMPT, is_followed=is_followed
    )


def for_replays(ledger: Ledger, run: int, batches: Sequence[int], *, is_followed: bool) -> Recorder:
    """For pages of which the n-th holds the profiles of the n-th of these batches."""
    return Recorder(
        ledger, run, page=lambda number: -batches[number - 1], attempt=LAST_ATTEMPT, is_followed=is_followed
    )


def for_rejected(ledger: Ledger, run: int, *, is_followed: bool) -> Recorder:
    """For profiles that had been rejected."""
    return Recorder(ledger, run, page=lambda _: RETRY_PAGE, attempt=LAST_ATTEMPT, is_followed=is_followed)
