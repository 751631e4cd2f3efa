"""The steps of a run, written into its ledger one by one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from segsync.events import BatchSent, PageDone, ProfileRejected, ResultUnknown, SentProfile
from segsync.ledger import batches, recorder, runs
from segsync.ledger.batches import Member, OpenBatch
from segsync.ledger.database import Ledger
from segsync.ledger.runs import Run
from segsync.models import Outcomes, Rejection, Stage
from tests.support.ledgers import begin, outcomes_of

Place = tuple[int, str]
"""A page by its number in the ledger, and a profile on it."""


def rejection(segment_id: str, stage: Stage = "read") -> Rejection:
    return Rejection(segment_id, f"{segment_id}@example.com", stage, "who knows", "req-1")


def open_upserts(ledger: Ledger) -> list[OpenBatch]:
    return ledger.read(partial(batches.open_upserts, since=0, most=10_000))


def members_of(ledger: Ledger, batch: int) -> list[Member]:
    return [each for each in ledger.read(partial(batches.members_of, batch=batch)) if each.counts]


def resume(ledger: Ledger, run: int) -> Run:
    return ledger.read(partial(runs.resume_run, run=run))


def end_batch(
    ledger: Ledger,
    batch: OpenBatch,
    refused: Iterable[Member] = (),
    replays: Sequence[Member] = (),
    forgotten: Iterable[Member] = (),
    *,
    is_search: bool = False,
) -> None:
    """The result of a batch, as the pipeline writes it."""
    rejected = [(member.page, rejection(member.segment_id, "confirm")) for member in refused]
    unknown = [ResultUnknown(member.segment_id, member.page, "forgotten") for member in forgotten]
    ledger.read(lambda db: batches.end_batch(db, batch, rejected, replays, unknown=unknown, is_search=is_search))


class Story:
    """A run whose events are recorded one by one."""

    def __init__(self, ledger: Ledger, first_offset: str = "0") -> None:
        self.ledger = ledger
        self.run = begin(ledger, first_offset)
        self.follow()

    def follow(self, *, done_pages: int = 0, is_followed: bool = True) -> None:
        self.record = recorder.for_listing(self.ledger, self.run, done_pages=done_pages, is_followed=is_followed).record

    def replay(self, *failed: int) -> None:
        self.record = recorder.for_replays(self.ledger, self.run, failed, is_followed=True).record

    def retry(self) -> None:
        self.record = recorder.for_retry(self.ledger, self.run, is_followed=True).record

    def sent(self, action_id: str, *places: Place) -> None:
        profiles = tuple(SentProfile(page, each, f"{each}@example.com") for page, each in places)
        self.record(BatchSent(action_id, profiles))

    def rejected(self, page: int, segment_id: str, reason: str = "who knows") -> None:
        self.record(ProfileRejected(Rejection(segment_id, None, "read", reason), page))

    def page_done(self, page: int, *, sent: int = 0, without_identifier: int = 0, rejected: int = 0) -> None:
        outcomes = Outcomes(sent=sent, without_identifier=without_identifier, rejected=rejected)
        self.record(PageDone(page, str(page - 1), str(page), outcomes))

    def batch(self, action_id: str) -> OpenBatch:
        return next(each for each in open_upserts(self.ledger) if each.action_id == action_id)

    def done(self, action_id: str, *refused: str) -> None:
        batch = self.batch(action_id)
        end_batch(
            self.ledger, batch, [each for each in members_of(self.ledger, batch.id) if each.segment_id in refused]
        )

    def failed(self, action_id: str) -> int:
        batch = self.batch(action_id)
        end_batch(self.ledger, batch, replays=members_of(self.ledger, batch.id))
        return batch.id

    def crash(self) -> Run:
        """Crash, and resume."""
        run = resume(self.ledger, self.run)
        self.follow(done_pages=run.done_pages)
        return run

    @property
    def outcomes(self) -> Outcomes:
        return outcomes_of(self.ledger, self.run)
