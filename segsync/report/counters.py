"""The numbers of an import, counted from its events alone."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from msgspec import Struct

from segsync import events
from segsync.models import Outcomes

SAMPLE_SECONDS = 1.0
"""How often the number of profiles read is looked at."""

MOST_BUCKETS = 240


class Throughput(Struct, frozen=True):
    """Profiles that were read in each bucket of `bucket_seconds`, from the start of the process on.

    A profile without identifier counts, one that could not be read does not. The last bucket may be shorter.
    """

    bucket_seconds: float = SAMPLE_SECONDS
    profiles: tuple[int, ...] = ()


class Buckets:
    """Collects a `Throughput`: when there would be more than `MOST_BUCKETS`, each bucket becomes twice as wide."""

    def __init__(self) -> None:
        self._seconds = SAMPLE_SECONDS
        self._profiles: list[int] = []

    def add(self, at_seconds: float, profiles: int) -> None:
        """Count profiles at this time since the start."""
        while (number := int(at_seconds / self._seconds)) >= MOST_BUCKETS:
            self._seconds *= 2
            self._profiles = [sum(self._profiles[at : at + 2]) for at in range(0, len(self._profiles), 2)]
        self._profiles += [0] * (number + 1 - len(self._profiles))
        self._profiles[number] += profiles

    @property
    def throughput(self) -> Throughput:
        return Throughput(self._seconds, tuple(self._profiles))


NOTHING_BEFORE = Outcomes()


class ServiceCalls(Struct):
    """Calls to one service: `calls` is all of them, `retries` those that repeated a failed one."""

    calls: int = 0
    retries: int = 0
    rate_limited: int = 0


class Counters:
    """Counts the events of an import. `resume_offset` is where it can resume; None at the end of the space.

    `before` are the outcomes of earlier processes of the same import, `waiting` the customers that are read and not
    sent yet. Times, `services` (calls by the name of the service), `unknown_ids` (None where no ids are given) and
    warnings are those of this process: `left_out` by trait, `problems` by trait and problem, of `warned_profiles`.
    """

    listed: int
    confirmed: int
    sent: int
    without_identifier: int
    duplicate: int
    rejected: int
    unknown: int

    def __init__(self, offset: str | None, before: Outcomes = NOTHING_BEFORE) -> None:
        self.offset = offset
        self.before = before
        self.left_out: Counter[str] = Counter()
        self.problems: Counter[tuple[str, str]] = Counter()
        self.warned_profiles = 0
        self._warned: str | None = None
        self.unknown_ids: int | None = None
        self.services: defaultdict[str, ServiceCalls] = defaultdict(ServiceCalls)
        self.buckets = Buckets()
        self._replayed: set[str] = set()  # upserts that failed: their customers are pending, and no longer sent
        self.began_at: datetime | None = None
        self.seconds = 0.0
        self.resume(offset, before)

    def resume(self, offset: str | None, done: Outcomes) -> None:
        """Go on at `offset` in the same process with what is `done` before it: what lies beyond is repeated."""
        self.resume_offset = offset
        self.checkpointed = done
        self.listed = done.profiles
        self.confirmed = done.confirmed
        self.sent = done.sent
        self.without_identifier = done.without_identifier
        self.duplicate = done.duplicate
        self.rejected = done.rejected
        self.unknown = done.unknown
        self.read = done.done - done.without_identifier
        self.waiting = 0

    def count(self, event: events.Event) -> None:  # noqa: PLR0912, PLR0915 - a branch per event
        match event:
            case events.CallAnswered(service, status):
                calls = self.services[service]
                calls.calls += 1
                if status == 429:
                    calls.rate_limited += 1
            case events.ProfileRead():
                self.read += 1
                self.waiting += 1
            case events.TraitLeftOut(segment_id, trait, problem):
                self.left_out[trait] += 1
                self.problems[trait, problem] += 1
                self.warned_profiles += segment_id != self._warned  # those of one profile come one after the other
                self._warned = segment_id
            case events.ProfileWithoutIdentifier():
                self.without_identifier += 1
            case events.IdUnknown():
                self.unknown_ids = (self.unknown_ids or 0) + 1
                self.listed -= 1
            case events.DuplicateIdentifier(_, _, _, action_id):
                self.duplicate += 1
                if action_id is None:
                    self.waiting -= 1
                elif action_id not in self._replayed:
                    self._sent_no_longer(1)
            case events.BatchSent(_, profiles):
                self.sent += len(profiles)
                self.waiting -= len(profiles)
            case events.ActionEnded(action_id, customers, confirmed, rejected, _, unknown):
                self.confirmed += confirmed
                self._sent_no_longer(customers - rejected)
                if customers > confirmed + rejected + unknown:
                    self._replayed.add(action_id)
            case events.PageListed(_, profiles):
                self.listed += profiles
            case events.PageReplayed(profiles, is_retry, was_unknown):
                if was_unknown:
                    self.unknown -= profiles
                elif is_retry:
                    self.rejected -= profiles
            case events.PageDone(_, _, next_cursor, outcomes):
                self.resume_offset = next_cursor
                self.checkpointed += outcomes
            case events.ProfileRejected(rejection):
                self.rejected += 1
                if rejection.stage == "confirm":
                    self.sent -= 1
                elif rejection.stage == "upsert":
                    self.waiting -= 1
            case events.ResultUnknown():
                self.unknown += 1
            case events.CallRetried(service):
                self.services[service].retries += 1

    def _sent_no_longer(self, customers: int) -> None:
        """A duplicate may have been confirmed before it was found, or be in a result that is read at that moment."""
        self.sent -= customers
        self.confirmed += min(self.sent, 0)
        self.sent = max(self.sent, 0)

    @property
    def profiles_read(self) -> int:
        """The profiles that were read, with or without an identifier."""
        return self.read + self.without_identifier

    @property
    def outcomes(self) -> Outcomes:
        """The outcomes of the profiles listed so far."""
        counted = (self.confirmed, self.sent, self.without_identifier, self.duplicate, self.rejected, self.unknown)
        return Outcomes(*counted, pending=self.listed - sum(counted))


@contextmanager
def measured(counters: Counters) -> Iterator[None]:
    """Measure the time of an import and its throughput while this is open."""
    loop = asyncio.get_running_loop()
    started = looked = loop.time()
    earlier, before = counters.seconds, counters.profiles_read

    def look() -> None:
        nonlocal looked, before
        now, total = loop.time(), counters.profiles_read
        middle = (looked + now) / 2  # timers are late, and more so in time
        counters.buckets.add(earlier + middle - started, total - before)
        counters.seconds = earlier + now - started
        looked, before = now, total

    async def look_on() -> None:
        while True:
            await asyncio.sleep(SAMPLE_SECONDS)
            look()

    counters.began_at = counters.began_at or datetime.now(UTC)
    looking = loop.create_task(look_on())
    try:
        yield
    finally:
        looking.cancel()
        look()
