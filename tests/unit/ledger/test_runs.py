"""The ledger's tables hold the truth about a run, whatever happens, and wherever it is cut off.

A machine plays random histories with the real `Checkpoint` and `Recorder`, keeps a plain account of every profile
itself, and compares the two after each step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from segsync.events import (
    BatchSent,
    Event,
    PageDone,
    ProfileRejected,
    ProfileWithoutIdentifier,
    ResultUnknown,
    SentProfile,
)
from segsync.ledger import batches, recorder, rejections
from segsync.ledger.batches import FIRST_ATTEMPT, SECOND_ATTEMPT, PageKey
from segsync.ledger.recorder import Recorder
from segsync.models import Outcomes, Page
from segsync.pipeline.engine.checkpoint import Checkpoint, OpenPage
from tests.support.ledgers import begin, open_ledger, outcomes_of, rejected_in, replays_of, run_of
from tests.unit.ledger.steps import Place, end_batch, members_of, open_upserts, rejection, resume

RESULTS = ["DONE", "FAILED", "unnamed", "forgotten"]
KINDS = ["customer", "customer", "customer", "without", "rejected"]


@dataclass
class Upsert:
    """The truth about a batch. `members` are those that still count."""

    members: list[Place]
    attempt: int
    state: str = "open"
    refused: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    replays: list[Place] = field(default_factory=list)


class Pipeline:
    """The profiles of the open pages that are to be read, and those that wait for a batch."""

    def __init__(self, emit: Callable[[Pipeline, Event], None], record: Recorder, page: Callable[[int], int]) -> None:
        self.record = record
        self.page = page
        self.checkpoint = Checkpoint(partial(emit, self))
        self.to_read: list[tuple[OpenPage, str]] = []
        self.read: list[tuple[OpenPage, str]] = []

    def open(self, ids: Sequence[str], cursor: str, next_cursor: str | None = None) -> None:
        page = self.checkpoint.open(Page(cursor, tuple(ids), next_cursor))
        self.to_read += [(page, segment_id) for segment_id in ids]

    @property
    def is_over(self) -> bool:
        return not self.to_read and not self.read


class Histories(RuleBasedStateMachine):
    """One run, in as many processes as it takes, with results, replays and retries at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = open_ledger()
        self.run = begin(self.ledger)
        self.space: list[list[str]] = []
        self.done_pages = 0
        self.outcomes: dict[Place, str | int] = {}
        """ "without", "rejected", or the number of the upsert that has the profile."""
        self.upserts: dict[int, Upsert] = {}
        self.start()

    def teardown(self) -> None:
        self.ledger.close()

    def start(self) -> None:
        """Begin a process, which lists on from where the run stands."""
        self.events_left: int | None = None
        before = self.listed = self.done_pages
        record = recorder.for_listing(self.ledger, self.run, done_pages=before, is_followed=True)
        self.pipeline = Pipeline(self.emit, record, lambda number: before + number)
        self.is_listing = True

    def emit(self, pipeline: Pipeline, event: Event) -> None:
        """Record the event in the ledger, unless the process has been killed by then."""
        if self.events_left == 0:
            return
        if self.events_left:
            self.events_left -= 1
        pipeline.record.record(event)
        match event:
            case BatchSent(_, profiles):
                members = [(pipeline.page(each.page), each.segment_id) for each in profiles]
                number = len(self.upserts) + 1
                self.upserts[number] = Upsert(members, FIRST_ATTEMPT if self.is_listing else SECOND_ATTEMPT)
                self.outcomes.update(dict.fromkeys(members, number))
            case ProfileRejected(rejected, page):
                self.outcomes[pipeline.page(page), rejected.segment_id] = "rejected"
            case PageDone(number):
                if self.is_listing:
                    self.done_pages = pipeline.page(number)
                elif pipeline.page(number) != PageKey.retry():
                    self.upserts[-pipeline.page(number)].state = "closed"

    # --- the truth

    def is_done(self, place: Place) -> bool:
        page = place[0]
        return page <= self.done_pages if page >= 0 else self.upserts[-page].state != "replay"

    def outcome_of(self, place: Place) -> str:
        """The outcome of a profile on a done page."""
        segment_id = place[1]
        outcome = self.outcomes.get((PageKey.retry(), segment_id), self.outcomes[place])
        while isinstance(outcome, int):
            upsert = self.upserts[outcome]
            if upsert.state == "open":
                return "sent"
            if segment_id in upsert.unknown:
                return "unknown"
            if segment_id not in {each for _, each in upsert.replays}:
                return "rejected" if segment_id in upsert.refused else "confirmed"
            if upsert.state == "replay":
                return "pending"
            outcome = self.outcomes[-outcome, segment_id]
        return outcome

    def done_places(self) -> list[Place]:
        return [(number, each) for number, ids in enumerate(self.space[: self.done_pages], 1) for each in ids]

    @property
    def is_alive(self) -> bool:
        return self.events_left != 0

    @invariant()
    def the_ledger_holds_the_truth(self) -> None:
        run = run_of(self.ledger, self.run)
        truth = Counter(self.outcome_of(place) for place in self.done_places())
        assert run.outcomes == Outcomes(
            confirmed=truth["confirmed"],
            sent=truth["sent"],
            without_identifier=truth["without"],
            rejected=truth["rejected"],
            unknown=truth["unknown"],
            pending=truth["pending"],
        )
        assert run.done_pages == self.done_pages
        assert run.offset == str(self.done_pages)
        states = Counter(upsert.state for upsert in self.upserts.values())
        assert (run.open_upserts, run.replays) == (states["open"], states["replay"])

    # --- what may happen

    @precondition(lambda self: self.is_alive and self.is_listing)
    @rule(profiles=st.integers(0, 5))
    def list_page(self, profiles: int) -> None:
        """List the next page. One that was listed before holds the same profiles."""
        if self.listed == len(self.space):
            self.space.append([f"use_{self.listed + 1}_{i}" for i in range(profiles)])
        self.listed += 1
        self.pipeline.open(self.space[self.listed - 1], str(self.listed - 1), str(self.listed))

    @precondition(lambda self: self.is_alive and self.pipeline.to_read)
    @rule(which=st.integers(0, 99), kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=5))
    def read_profiles(self, which: int, kinds: list[str]) -> None:
        """Read a few of the profiles that are listed, in any order."""
        pipeline = self.pipeline
        for kind in kinds[: len(pipeline.to_read)]:
            page, segment_id = pipeline.to_read.pop(which % len(pipeline.to_read))
            if kind == "customer":
                pipeline.read.append((page, segment_id))
            elif kind == "rejected":
                self.emit(pipeline, ProfileRejected(rejection(segment_id), page.number))
                pipeline.checkpoint.rejected(page)
            else:
                if self.is_alive:
                    self.outcomes[pipeline.page(page.number), segment_id] = "without"
                self.emit(pipeline, ProfileWithoutIdentifier(segment_id))
                pipeline.checkpoint.without_identifier(page)

    @precondition(lambda self: self.is_alive and self.pipeline.read)
    @rule(first=st.integers(0, 99), size=st.integers(1, 6))
    def send_batch(self, first: int, size: int) -> None:
        """Send customers of any pages: a batch spans several of them, and some customers wait for a later one."""
        read = self.pipeline.read
        first %= len(read)
        items, read[first : first + size] = read[first : first + size], []
        sent = tuple(SentProfile(page.number, each, f"{each}@example.com") for page, each in items)
        self.emit(self.pipeline, BatchSent(f"aa_{len(self.upserts) + 1}", sent))
        for page, _ in items:
            self.pipeline.checkpoint.sent(page)

    @precondition(lambda self: self.is_alive and not self.pipeline.is_over)
    @rule(kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=5), size=st.integers(1, 6))
    def read_and_send_all(self, kinds: list[str], size: int) -> None:
        """Read and send all that is listed, unless the process is killed while doing so."""
        while self.pipeline.to_read and self.is_alive:
            self.read_profiles(0, kinds)
        while self.pipeline.read and self.is_alive:
            self.send_batch(0, size)

    @precondition(lambda self: self.is_alive and any(each.state == "open" for each in self.upserts.values()))
    @rule(
        which=st.integers(0, 99),
        how=st.sampled_from(["DONE", "FAILED", "unnamed", "forgotten"]),
        refused=st.integers(0, 63),
    )
    def read_result(self, which: int, how: str, refused: int) -> None:
        opened = open_upserts(self.ledger)
        assert [each.id for each in opened] == [n for n, each in self.upserts.items() if each.state == "open"]
        batch = opened[which % len(opened)]
        upsert, members = self.upserts[batch.id], members_of(self.ledger, batch.id)
        assert [(each.page, each.segment_id) for each in members] == upsert.members
        assert (batch.customers, batch.attempt) == (len(members), upsert.attempt)
        named = [each for place, each in enumerate(members) if refused & 1 << place and how in ("DONE", "unnamed")]
        replays = [each for each in members if each not in named and how in ("FAILED", "unnamed")]
        unknown = members if how == "forgotten" else []
        end_batch(self.ledger, batch, named, replays, unknown, is_search=how == "unnamed")
        upsert.refused, upsert.unknown = ({each.segment_id for each in of} for of in (named, unknown))
        upsert.replays = [(each.page, each.segment_id) for each in replays]
        upsert.state = "replay" if replays else "closed"

    @precondition(lambda self: self.is_alive and self.pipeline.is_over)
    @rule()
    def replay_failed_upserts(self) -> None:
        failed = replays_of(self.ledger)
        assert failed == [number for number, each in self.upserts.items() if each.state == "replay"]
        self.is_listing = False
        record = recorder.for_replays(self.ledger, self.run, failed, is_followed=True)
        self.pipeline = Pipeline(self.emit, record, lambda number: -failed[number - 1])
        for batch in failed:
            ids = [each.segment_id for each in members_of(self.ledger, batch)]
            assert ids == [segment_id for _, segment_id in self.upserts[batch].replays]
            self.pipeline.open(ids, str(batch))

    @precondition(lambda self: self.is_alive and self.pipeline.is_over)
    @rule()
    def give_up_the_search(self) -> None:
        for replay in self.ledger.read(partial(batches.replays, since=0)):
            results = [
                ResultUnknown(each.segment_id, each.page, "too many calls")
                for each in members_of(self.ledger, replay.batch)
                if each.counts
            ]
            self.ledger.read(partial(batches.give_up, replay=replay, results=results))
            upsert = self.upserts[replay.batch]
            upsert.unknown |= {segment_id for _, segment_id in upsert.replays}
            upsert.replays, upsert.state = [], "closed"

    @precondition(lambda self: self.is_alive and self.pipeline.is_over)
    @rule(outcome=st.sampled_from(["rejected", "unknown"]))
    def retry(self, outcome: str) -> None:
        """Retry the profiles that are rejected, or those whose result is unknown."""
        kind = rejections.IS_REJECTED if outcome == "rejected" else rejections.IS_UNKNOWN
        ids = rejected_in(self.ledger, self.run, kind)
        assert ids == sorted(place[1] for place in self.done_places() if self.outcome_of(place) == outcome)
        self.is_listing = False
        self.pipeline = Pipeline(
            self.emit, recorder.for_retry(self.ledger, self.run, is_followed=True), lambda _: PageKey.retry()
        )
        self.pipeline.open(ids, "")

    @precondition(lambda self: self.events_left is None)
    @rule(events=st.integers(0, 5))
    def kill(self, events: int) -> None:
        """End the process after this many more events."""
        self.events_left = events

    @precondition(lambda self: not self.is_alive)
    @rule()
    def resume(self) -> None:
        self.outcomes = {place: outcome for place, outcome in self.outcomes.items() if self.is_done(place)}
        for upsert in self.upserts.values():
            if upsert.state == "open":
                upsert.members = list(filter(self.is_done, upsert.members))
                upsert.state = "open" if upsert.members else "closed"
            elif upsert.state == "replay":
                upsert.replays = list(filter(self.is_done, upsert.replays))
        run = resume(self.ledger, self.run)
        assert (run.state, run.done_pages) == ("running", self.done_pages)
        self.start()

    @rule()
    def finish(self) -> None:
        """Do the rest of the work, whatever has happened. Nothing is open then."""
        self.events_left = 0
        self.resume()
        while self.listed < len(self.space):
            self.list_page(0)
        while not self.pipeline.is_over or any(each.state != "closed" for each in self.upserts.values()):
            while self.pipeline.to_read:
                self.read_profiles(0, ["customer"])
            while self.pipeline.read:
                self.send_batch(0, 3)
            while any(each.state == "open" for each in self.upserts.values()):
                self.read_result(0, "DONE", 1)
            self.replay_failed_upserts()
        outcomes = outcomes_of(self.ledger, self.run)
        assert (outcomes.sent, outcomes.pending, outcomes.profiles) == (0, 0, sum(map(len, self.space)))


Histories.TestCase.settings = settings(max_examples=200, stateful_step_count=40)
TestHistories = Histories.TestCase
