"""Writes into the ledger what happens to the profiles of a run, from its events."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from sqlite3 import Connection

from segsync.events import (
    BatchSent,
    DuplicateIdentifier,
    Event,
    PageDone,
    ProfileRejected,
    ProfileWithoutIdentifier,
    SentProfile,
    TraitLeftOut,
)
from segsync.ledger import batches, identifiers, rejections
from segsync.ledger.batches import FIRST_ATTEMPT, SECOND_ATTEMPT, Member, PageKey, folded
from segsync.ledger.database import Change, Ledger
from segsync.ledger.profiles import ProfileOutcome, ProfileRow, Warned, save_profiles, save_warnings
from segsync.models import Outcomes


class Recorder:
    """Writes a handful of rows per page and one per profile, in the order of the events.

    `key` gives the ledger's key for a page of the pipeline; `attempt` is how often these profiles are sent, and
    `is_followed` says whether the results of their upserts are read. Rows of profiles that are not sent wait for the
    next batch or the end of their page. The warnings of a profile are written when it is sent or rejected, in place of
    earlier ones where it `was_read_before`.
    """

    def __init__(
        self,
        ledger: Ledger,
        run: int,
        *,
        key: Callable[[int], PageKey],
        attempt: int,
        is_followed: bool,
        was_read_before: bool = True,
    ) -> None:
        self._ledger = ledger
        self._run = run
        self._key = key
        self._attempt = attempt
        self._is_followed = is_followed
        self._rows: list[ProfileRow] = []
        self._was_read_before = was_read_before
        self._warnings: dict[str, list[Warned]] = {}
        self._sent: defaultdict[int, dict[str, bytes]] = defaultdict(dict)  # from open pages, with what source id

    def record(self, event: Event) -> None:
        """Queue what this event changes. Raises `OutputError` where the ledger could not be written."""
        run = self._run
        match event:
            case TraitLeftOut(segment_id, trait, problem):
                self._warnings.setdefault(segment_id, []).append(Warned(segment_id, trait, problem))
            case ProfileWithoutIdentifier(segment_id):
                self._rows.append(ProfileRow(segment_id, ProfileOutcome.WITHOUT_IDENTIFIER))
                if self._key(1) == PageKey.retry():
                    self._write(partial(batches.lost_its_identifier, run=run, segment_id=segment_id))
            case ProfileRejected(rejection, page):
                source = None if rejection.source_id is None else self._ledger.digest(rejection.source_id)
                self._rows.append(ProfileRow(rejection.segment_id, ProfileOutcome.REJECTED, source))
                self._write(partial(rejections.add_rejection, run=run, page=self._key(page), rejection=rejection))
            case DuplicateIdentifier(segment_id, page):
                self._sent[self._key(page)].pop(segment_id, None)
                self._write_warnings([segment_id])
                self._write(partial(identifiers.end_as_duplicate, run=run, page=self._key(page), duplicate=event))
            case BatchSent(action_id, profiles):
                members = self._members(profiles)
                self._write_warnings([each.segment_id for each in profiles])
                self._write(
                    partial(
                        batches.add_batch,
                        run=run,
                        action_id=action_id,
                        members=members,
                        attempt=self._attempt,
                        is_followed=self._is_followed,
                    )
                )
                for member in members:
                    self._sent[member.page][member.segment_id] = member.digest
            case PageDone(number, _, next_cursor, outcomes):
                key = self._key(number)
                sent = self._sent.pop(key, {})
                self._write(partial(_end_page, run=run, key=key, next_cursor=next_cursor, outcomes=outcomes, sent=sent))

    def _write(self, change: Change) -> None:
        if self._rows:
            rows, self._rows = self._rows, []
            self._ledger.write(partial(_save, run=self._run, rows=rows))
            self._write_warnings([row.segment_id for row in rows])
        self._ledger.write(change)

    def _write_warnings(self, segment_ids: Sequence[str]) -> None:
        warnings = [each for segment_id in segment_ids for each in self._warnings.pop(segment_id, ())]
        earlier = segment_ids if self._was_read_before else ()
        if warnings or earlier:
            self._ledger.write(partial(save_warnings, warnings=warnings, in_place_of=earlier))

    def _members(self, profiles: Sequence[SentProfile]) -> list[Member]:
        digest, keys = self._ledger.digest, {page: int(self._key(page)) for page in {each.page for each in profiles}}
        return [
            Member(
                keys[each.page],
                each.segment_id,
                digest(each.source_id),
                content=digest(each.customer),
                folded=None if (text := folded(each.source_id)) == each.source_id else digest(text),
            )
            for each in profiles
        ]


def _save(db: Connection, run: int, rows: Sequence[ProfileRow]) -> None:
    save_profiles(db, rows)
    without = [row.segment_id for row in rows if row.outcome is ProfileOutcome.WITHOUT_IDENTIFIER]
    batches.are_without_identifier(db, run, without)


def _end_page(
    db: Connection, run: int, key: PageKey, next_cursor: str | None, outcomes: Outcomes, sent: Mapping[str, bytes]
) -> None:
    """A page is done: all at once, since identifiers of a page that is repeated would be in the way of earlier ones."""
    if key > 0:
        batches.finish_page(db, run, key, next_cursor, outcomes)
    elif key < 0:
        batches.end_replay(db, run, -key, outcomes)
    identifiers.add_identifiers(db, sent)


def for_listing(ledger: Ledger, run: int, *, done_pages: int, is_followed: bool) -> Recorder:
    """For the pages that the source lists, of which `done_pages` are behind us."""
    return Recorder(
        ledger,
        run,
        key=lambda number: PageKey.listed(done_pages + number),
        attempt=FIRST_ATTEMPT,
        is_followed=is_followed,
        was_read_before=run > 1 or done_pages > 0,
    )


def for_ids(ledger: Ledger, run: int, *, is_followed: bool) -> Recorder:
    """For the pages of given ids: most of these profiles were rejected or read before."""
    return Recorder(ledger, run, key=PageKey.listed, attempt=SECOND_ATTEMPT, is_followed=is_followed)


def for_replays(
    ledger: Ledger, run: int, replayed: Sequence[int], *, attempt: int = SECOND_ATTEMPT, is_followed: bool
) -> Recorder:
    """For pages of which the n-th holds the profiles of the n-th of these batches."""
    return Recorder(
        ledger,
        run,
        key=lambda number: PageKey.replay(replayed[number - 1]),
        attempt=attempt,
        is_followed=is_followed,
    )


def for_retry(ledger: Ledger, run: int, *, is_followed: bool) -> Recorder:
    """For profiles that had been rejected."""
    return Recorder(ledger, run, key=lambda _: PageKey.retry(), attempt=SECOND_ATTEMPT, is_followed=is_followed)
