"""What the ledger's tables say of a run is the truth, whatever happens, and wherever it is cut off.

A machine plays random histories with the real `Checkpoint` and `Recorder`, keeps a plain account of its own of every
profile, and compares the two after each step. The tests behind it are single histories, told by hand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from segsync.events import BatchSent, Event, PageDone, ProfileRejected, ProfileWithoutIdentifier, SentProfile
from segsync.ledger import batches, recorder, rejections, runs
from segsync.ledger.batches import FIRST_ATTEMPT, LAST_ATTEMPT, Member, OpenBatch, PageKey
from segsync.ledger.database import Ledger
from segsync.ledger.recorder import Recorder
from segsync.ledger.runs import Run
from segsync.models import Outcomes, Page, Rejection, Stage
from segsync.pipeline.checkpoint import Checkpoint, OpenPage
from tests.support.ledgers import begin, open_ledger, outcomes_of, run_of

KINDS = ["customer", "customer", "customer", "without", "rejected"]

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


def end(ledger: Ledger, batch: OpenBatch, refused: Iterable[Member] = (), again: Sequence[Member] = ()) -> None:
    """The outcome of a batch, as the confirmation writes it."""
    rejected = [(member.page, rejection(member.segment_id, "confirm")) for member in refused]
    ledger.read(lambda db: batches.end_batch(db, batch, rejected, again))


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with open_ledger() as opened:
        yield opened


# --- random histories -----------------------------------------------------------------------------------------


@dataclass
class Upsert:
    """What really became of a batch. `members` are those that still count."""

    members: list[Place]
    attempt: int
    state: str = "open"
    refused: set[str] = field(default_factory=set)
    again: list[Place] = field(default_factory=list)


class Taking:
    """A pipeline: the profiles of its pages that are to be read, and those that wait for a batch."""

    def __init__(self, tell: Callable[[Taking, Event], None], record: Recorder, page: Callable[[int], int]) -> None:
        self.record = record
        self.page = page
        self.book = Checkpoint(partial(tell, self))
        self.to_read: list[tuple[OpenPage, str]] = []
        self.read: list[tuple[OpenPage, str]] = []

    def open(self, ids: Sequence[str], cursor: str, next_cursor: str | None = None) -> None:
        page = self.book.open(Page(cursor, tuple(ids), next_cursor))
        self.to_read += [(page, segment_id) for segment_id in ids]

    @property
    def is_over(self) -> bool:
        return not self.to_read and not self.read


class Histories(RuleBasedStateMachine):
    """One run, in as many processes as it takes, with outcomes, repetitions and retries at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = open_ledger()
        self.run = begin(self.ledger)
        self.space: list[list[str]] = []
        self.settled = 0
        self.outcomes: dict[Place, str | int] = {}
        """ "without", "rejected", or the number of the upsert that took the profile along."""
        self.upserts: dict[int, Upsert] = {}
        self.replays: list[int] = []
        self.start()

    def teardown(self) -> None:
        self.ledger.close()

    def start(self) -> None:
        """A process begins to list where the run stands."""
        self.events_left: int | None = None
        before = self.listed = self.settled
        record = recorder.for_listing(self.ledger, self.run, done_pages=before, is_followed=True)
        self.taking = Taking(self.tell, record, lambda number: before + number)
        self.is_listing = True

    def tell(self, taking: Taking, event: Event) -> None:
        """What happens reaches the ledger, unless the process has been killed by then."""
        if self.events_left == 0:
            return
        if self.events_left:
            self.events_left -= 1
        taking.record.record(event)
        match event:
            case BatchSent(_, profiles):
                members = [(taking.page(each.page), each.segment_id) for each in profiles]
                number = len(self.upserts) + 1
                self.upserts[number] = Upsert(members, FIRST_ATTEMPT if self.is_listing else LAST_ATTEMPT)
                self.outcomes.update(dict.fromkeys(members, number))
            case ProfileRejected(rejected, page):
                self.outcomes[taking.page(page), rejected.segment_id] = "rejected"
            case PageDone(number):
                if self.is_listing:
                    self.settled = taking.page(number)
                elif taking.page(number) != PageKey.retry():
                    self.upserts[-taking.page(number)].state = "closed"

    # --- the truth

    def is_settled(self, place: Place) -> bool:
        page = place[0]
        return page <= self.settled if page >= 0 else self.upserts[-page].state != "again"

    def outcome_of(self, place: Place) -> str:
        """Of a profile on a settled page."""
        segment_id = place[1]
        outcome = self.outcomes.get((PageKey.retry(), segment_id), self.outcomes[place])
        while isinstance(outcome, int):
            upsert = self.upserts[outcome]
            if upsert.state == "open":
                return "sent"
            if segment_id not in {each for _, each in upsert.again}:
                return "rejected" if segment_id in upsert.refused else "confirmed"
            if upsert.state == "again":
                return "pending"
            outcome = self.outcomes[-outcome, segment_id]
        return outcome

    def settled_places(self) -> list[Place]:
        return [(number, each) for number, ids in enumerate(self.space[: self.settled], 1) for each in ids]

    @property
    def is_alive(self) -> bool:
        return self.events_left != 0

    @invariant()
    def the_ledger_tells_the_truth(self) -> None:
        run = run_of(self.ledger, self.run)
        truth = Counter(self.outcome_of(place) for place in self.settled_places())
        assert run.outcomes == Outcomes(
            confirmed=truth["confirmed"],
            sent=truth["sent"],
            without_identifier=truth["without"],
            rejected=truth["rejected"],
            pending=truth["pending"],
        )
        assert run.done_pages == self.settled
        assert run.offset == str(self.settled)
        states = Counter(upsert.state for upsert in self.upserts.values())
        assert (run.open_upserts, run.replays) == (states["open"], states["again"])

    # --- what may happen

    @precondition(lambda self: self.is_alive and self.is_listing)
    @rule(profiles=st.integers(0, 5))
    def list_page(self, profiles: int) -> None:
        """The next page: one that was listed before is the same again."""
        if self.listed == len(self.space):
            self.space.append([f"use_{self.listed + 1}_{i}" for i in range(profiles)])
        self.listed += 1
        self.taking.open(self.space[self.listed - 1], str(self.listed - 1), str(self.listed))

    @precondition(lambda self: self.is_alive and self.taking.to_read)
    @rule(which=st.integers(0, 99), kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=5))
    def read_profiles(self, which: int, kinds: list[str]) -> None:
        """A few of those that are listed, in any order."""
        taking = self.taking
        for kind in kinds[: len(taking.to_read)]:
            page, segment_id = taking.to_read.pop(which % len(taking.to_read))
            if kind == "customer":
                taking.read.append((page, segment_id))
            elif kind == "rejected":
                self.tell(taking, ProfileRejected(rejection(segment_id), page.number))
                taking.book.rejected(page)
            else:
                if self.is_alive:
                    self.outcomes[taking.page(page.number), segment_id] = "without"
                self.tell(taking, ProfileWithoutIdentifier(segment_id))
                taking.book.without_identifier(page)

    @precondition(lambda self: self.is_alive and self.taking.read)
    @rule(first=st.integers(0, 99), size=st.integers(1, 6))
    def send_batch(self, first: int, size: int) -> None:
        """Of any pages: a batch spans several of them, and some customers wait for a later one."""
        read = self.taking.read
        first %= len(read)
        items, read[first : first + size] = read[first : first + size], []
        sent = tuple(SentProfile(page.number, each, f"{each}@example.com") for page, each in items)
        self.tell(self.taking, BatchSent(f"aa_{len(self.upserts) + 1}", sent))
        for page, _ in items:
            self.taking.book.sent(page)

    @precondition(lambda self: self.is_alive and not self.taking.is_over)
    @rule(kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=5), size=st.integers(1, 6))
    def read_and_send_all(self, kinds: list[str], size: int) -> None:
        """All that is listed, unless the process is killed in the midst of it."""
        while self.taking.to_read and self.is_alive:
            self.read_profiles(0, kinds)
        while self.taking.read and self.is_alive:
            self.send_batch(0, size)

    @precondition(lambda self: self.is_alive and any(each.state == "open" for each in self.upserts.values()))
    @rule(which=st.integers(0, 99), how=st.sampled_from(["DONE", "FAILED", "unnamed"]), refused=st.integers(0, 63))
    def hear_outcome(self, which: int, how: str, refused: int) -> None:
        opened = open_upserts(self.ledger)
        assert [each.id for each in opened] == [n for n, each in self.upserts.items() if each.state == "open"]
        batch = opened[which % len(opened)]
        upsert, members = self.upserts[batch.id], members_of(self.ledger, batch.id)
        assert [(each.page, each.segment_id) for each in members] == upsert.members
        assert (batch.customers, batch.attempt) == (len(members), upsert.attempt)
        if how == "FAILED":
            named = [] if batch.attempt == FIRST_ATTEMPT else members
        else:
            named = [each for place, each in enumerate(members) if refused & 1 << place]
        again = [each for each in members if each not in named and how != "DONE"]
        if batch.attempt == LAST_ATTEMPT and again:
            again, named = [], members
        end(self.ledger, batch, named, again)
        upsert.refused = {each.segment_id for each in named}
        upsert.again = [(each.page, each.segment_id) for each in again]
        upsert.state = "again" if again else "closed"

    @precondition(lambda self: self.is_alive and self.taking.is_over)
    @rule()
    def take_failed_upserts_again(self) -> None:
        failed = self.ledger.read(partial(batches.replays, since=0)).get(self.run, [])
        assert failed == [number for number, each in self.upserts.items() if each.state == "again"]
        self.is_listing = False
        record = recorder.for_replays(self.ledger, self.run, failed, is_followed=True)
        self.taking = Taking(self.tell, record, lambda number: -failed[number - 1])
        for batch in failed:
            ids = [each.segment_id for each in members_of(self.ledger, batch)]
            assert ids == [segment_id for _, segment_id in self.upserts[batch].again]
            self.taking.open(ids, str(batch))

    @precondition(lambda self: self.is_alive and self.taking.is_over)
    @rule()
    def take_the_rejected_again(self) -> None:
        ids = self.ledger.read(partial(rejections.rejected_profiles, run=self.run, after="", most=10_000))
        assert ids == sorted(place[1] for place in self.settled_places() if self.outcome_of(place) == "rejected")
        self.is_listing = False
        self.taking = Taking(
            self.tell, recorder.for_retry(self.ledger, self.run, is_followed=True), lambda _: PageKey.retry()
        )
        self.taking.open(ids, "")

    @precondition(lambda self: self.events_left is None)
    @rule(events=st.integers(0, 5))
    def kill(self, events: int) -> None:
        """After so many events more."""
        self.events_left = events

    @precondition(lambda self: not self.is_alive)
    @rule()
    def resume(self) -> None:
        self.outcomes = {place: outcome for place, outcome in self.outcomes.items() if self.is_settled(place)}
        for upsert in self.upserts.values():
            if upsert.state == "open":
                upsert.members = list(filter(self.is_settled, upsert.members))
                upsert.state = "open" if upsert.members else "closed"
            elif upsert.state == "again":
                upsert.again = list(filter(self.is_settled, upsert.again))
        run = resume(self.ledger, self.run)
        assert (run.state, run.done_pages) == ("running", self.settled)
        self.start()

    @rule()
    def finish(self) -> None:
        """Whatever has happened, the rest of the work can be done, and then nothing is open."""
        self.events_left = 0
        self.resume()
        while self.listed < len(self.space):
            self.list_page(0)
        while not self.taking.is_over or any(each.state != "closed" for each in self.upserts.values()):
            while self.taking.to_read:
                self.read_profiles(0, ["customer"])
            while self.taking.read:
                self.send_batch(0, 3)
            while any(each.state == "open" for each in self.upserts.values()):
                self.hear_outcome(0, "DONE", 1)
            self.take_failed_upserts_again()
        outcomes = outcomes_of(self.ledger, self.run)
        assert (outcomes.sent, outcomes.pending, outcomes.profiles) == (0, 0, sum(map(len, self.space)))


Histories.TestCase.settings = settings(max_examples=200, stateful_step_count=40)
TestHistories = Histories.TestCase


# --- single histories -----------------------------------------------------------------------------------------


class Story:
    """A run whose events are told by hand."""

    def __init__(self, ledger: Ledger, first_offset: str = "0") -> None:
        self.ledger = ledger
        self.run = begin(ledger, first_offset)
        self.follow()

    def follow(self, *, done_pages: int = 0, is_followed: bool = True) -> None:
        self.record = recorder.for_listing(self.ledger, self.run, done_pages=done_pages, is_followed=is_followed).record

    def again(self, *failed: int) -> None:
        self.record = recorder.for_replays(self.ledger, self.run, failed, is_followed=True).record

    def retry(self) -> None:
        self.record = recorder.for_retry(self.ledger, self.run, is_followed=True).record

    def sent(self, action_id: str, *places: Place) -> None:
        profiles = tuple(SentProfile(page, each, f"{each}@example.com") for page, each in places)
        self.record(BatchSent(action_id, profiles))

    def rejected(self, page: int, segment_id: str, reason: str = "who knows") -> None:
        self.record(ProfileRejected(Rejection(segment_id, None, "read", reason), page))

    def settled(self, page: int, *, sent: int = 0, without_identifier: int = 0, rejected: int = 0) -> None:
        outcomes = Outcomes(sent=sent, without_identifier=without_identifier, rejected=rejected)
        self.record(PageDone(page, str(page - 1), str(page), outcomes))

    def batch(self, action_id: str) -> OpenBatch:
        return next(each for each in open_upserts(self.ledger) if each.action_id == action_id)

    def done(self, action_id: str, *refused: str) -> None:
        batch = self.batch(action_id)
        end(self.ledger, batch, [each for each in members_of(self.ledger, batch.id) if each.segment_id in refused])

    def failed(self, action_id: str) -> int:
        batch = self.batch(action_id)
        end(self.ledger, batch, again=members_of(self.ledger, batch.id))
        return batch.id

    def crash(self) -> Run:
        """And resume."""
        run = resume(self.ledger, self.run)
        self.follow(done_pages=run.done_pages)
        return run

    @property
    def outcomes(self) -> Outcomes:
        return outcomes_of(self.ledger, self.run)


@pytest.fixture
def story(ledger: Ledger) -> Story:
    return Story(ledger)


def test_customers_of_a_page_that_is_repeated_count_once_and_so_do_their_late_refusals(story: Story) -> None:
    story.sent("aa_1", (1, "ada"), (1, "ben"), (2, "cyd"), (2, "dan"))
    story.settled(1, sent=2)
    assert story.outcomes == Outcomes(sent=2)
    assert story.crash().outcomes == Outcomes(sent=2)
    story.sent("aa_2", (1, "cyd"), (1, "dan"))
    story.settled(1, sent=2)
    assert story.outcomes == Outcomes(sent=4)
    story.done("aa_1", "ada", "cyd")
    assert story.outcomes == Outcomes(confirmed=1, sent=2, rejected=1)
    story.done("aa_2", "cyd")
    assert story.outcomes == Outcomes(confirmed=2, rejected=2)


def test_a_batch_all_of_whose_pages_are_repeated_is_not_followed_any_more(story: Story) -> None:
    story.sent("aa_1", (1, "ada"))
    story.settled(1, sent=1)
    story.sent("aa_2", (2, "ben"), (3, "cyd"))
    story.crash()
    assert [each.action_id for each in open_upserts(story.ledger)] == ["aa_1"]


def test_a_refusal_on_a_page_that_is_not_settled_counts_when_it_is(story: Story) -> None:
    story.sent("aa_1", (1, "ada"), (1, "ben"))
    story.done("aa_1", "ben")
    assert story.outcomes == Outcomes()
    story.settled(1, sent=3)  # and a third one, of another batch
    story.sent("aa_2", (1, "cyd"))
    assert story.outcomes == Outcomes(confirmed=1, sent=1, rejected=1)


def test_what_is_taken_again_is_to_do_until_all_of_it_has_has_its_outcome(story: Story) -> None:
    story.sent("aa_1", (1, "ada"), (1, "ben"), (1, "cyd"))
    story.settled(1, sent=3)
    batch = story.failed("aa_1")
    assert story.outcomes == Outcomes(pending=3)
    story.again(batch)
    story.sent("aa_2", (1, "ada"))
    story.rejected(1, "ben")
    assert story.outcomes == Outcomes(pending=3)
    assert story.crash().outcomes == Outcomes(pending=3)
    story.again(batch)
    story.rejected(1, "ben")
    story.record(ProfileWithoutIdentifier("cyd"))
    story.sent("aa_3", (1, "ada"))
    story.settled(1, sent=1, without_identifier=1, rejected=1)
    assert story.outcomes == Outcomes(sent=1, without_identifier=1, rejected=1)
    assert [each.action_id for each in open_upserts(story.ledger)] == ["aa_3"]
    assert story.crash().outcomes == Outcomes(sent=1, without_identifier=1, rejected=1)
    story.done("aa_3")
    assert story.outcomes == Outcomes(confirmed=1, without_identifier=1, rejected=1)


def test_a_rejected_profile_that_is_taken_again_has_the_outcome_that_it_meets_then(story: Story) -> None:
    for name in ("ada", "ben", "cyd", "dan"):
        story.rejected(1, name)
    story.settled(1, rejected=4)
    story.retry()
    story.sent("aa_1", (1, "ada"), (1, "ben"))
    assert story.outcomes == Outcomes(sent=2, rejected=2)
    story.record(ProfileWithoutIdentifier("cyd"))
    story.rejected(1, "dan")
    story.settled(1, sent=2, without_identifier=1, rejected=1)
    assert story.crash().outcomes == Outcomes(sent=2, without_identifier=1, rejected=1)
    story.done("aa_1", "ben")
    assert story.outcomes == Outcomes(confirmed=1, without_identifier=1, rejected=2)
    assert story.ledger.read(runs.rejected_now) == {"ben", "dan"}


def test_a_profile_that_the_listing_names_twice_adds_up_after_a_retry_in_vain(story: Story) -> None:
    """Segment lists by recent activity: who becomes active is moved, and may be listed once more."""
    story.rejected(1, "ada")
    story.settled(1, rejected=1)
    story.rejected(2, "ada")
    story.settled(2, rejected=1)
    assert story.outcomes == Outcomes(rejected=2)
    story.retry()
    story.rejected(1, "ada")
    assert story.outcomes == Outcomes(rejected=2)


def test_upserts_that_nobody_asks_about_stay_sent(story: Story) -> None:
    story.follow(is_followed=False)
    story.sent("aa_1", (1, "ada"), (2, "ben"))
    story.settled(1, sent=1)
    assert open_upserts(story.ledger) == []
    assert not story.ledger.read(runs.has_open_ends)
    assert story.crash().outcomes == Outcomes(sent=1)


def test_a_run_says_how_it_ended_and_is_open_again_when_it_is_resumed(story: Story) -> None:
    story.ledger.read(partial(runs.end_run, run=story.run, state="stopped", error="Segment is away"))
    ended = run_of(story.ledger, story.run)
    assert (ended.state, ended.error, ended.ended_at is None) == ("stopped", "Segment is away", False)
    resumed = story.crash()
    assert (resumed.state, resumed.error, resumed.ended_at) == ("running", None, None)


def test_rejected_profiles_come_in_portions_each_once(story: Story) -> None:
    names = [f"use_{number:03}" for number in range(250)]
    for name in names:
        story.rejected(1, name)
    story.settled(1, rejected=250)
    story.rejected(2, names[7])
    story.settled(2, rejected=1)
    portions, after = [], ""
    while portion := story.ledger.read(partial(rejections.rejected_profiles, run=story.run, after=after, most=100)):
        portions.append(portion)
        after = portion[-1]
    assert [len(portion) for portion in portions] == [100, 100, 50]
    assert [name for portion in portions for name in portion] == names


def test_runs_belong_together_since_the_last_that_began_at_the_first_page_and_came_somewhere(ledger: Ledger) -> None:
    first, behind = Story(ledger), Story(ledger, "500")
    for story, name in ((first, "ada"), (behind, "ben")):
        story.rejected(1, name)
        story.sent(f"aa_{name}", (1, f"{name}-2"))
    since = partial(runs.first_current_run)
    assert ledger.read(since) == 0
    behind.settled(1, sent=1, rejected=1)
    assert ledger.read(since) == 0
    first.settled(1, sent=1, rejected=1)
    assert ledger.read(since) == first.run
    anew = Story(ledger)
    assert ledger.read(since) == first.run
    assert ledger.read(runs.rejected_now) == {"ada", "ben"}
    anew.settled(1)
    assert ledger.read(since) == anew.run
    assert ledger.read(runs.rejected_now) == set()
    assert not ledger.read(runs.has_open_ends)
    assert ledger.read(partial(batches.count_open, since=0)) == (2, 2)
    assert ledger.read(partial(batches.count_open, since=anew.run)) == (0, 0)
    assert ledger.read(partial(rejections.runs_with_rejections, since=0)) == [first.run, behind.run]
