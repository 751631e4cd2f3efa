"""The numbers of an import, counted from its events alone."""

from __future__ import annotations

from collections import Counter, defaultdict

from segsync.models import (
    BatchSent,
    CallAnswered,
    CallRetried,
    Event,
    Fates,
    PageListed,
    PageSettled,
    ProfileRead,
    ProfileRejected,
    ProfileWithoutIdentifier,
    TraitLeftOut,
)


class ServiceTally:
    """The calls to one service: all of them, those that were repeats, and the 429s among their answers."""

    __slots__ = ("calls", "rate_limited", "retries")

    def __init__(self) -> None:
        self.calls = self.retries = self.rate_limited = 0


class Tally:
    """Counts events. `resume_offset` is where an import can go on; None at the end of the space."""

    def __init__(self, offset: str) -> None:
        self.offset = offset
        self.resume_offset: str | None = offset
        self.listed = self.read = self.sent = self.without_identifier = self.rejected = 0
        self.settled = Fates()
        self.left_out: Counter[str] = Counter()
        self.services: defaultdict[str, ServiceTally] = defaultdict(ServiceTally)

    def count(self, event: Event) -> None:
        match event:
            case CallAnswered(service, status):
                calls = self.services[service]
                calls.calls += 1
                if status == 429:
                    calls.rate_limited += 1
            case ProfileRead():
                self.read += 1
            case ProfileWithoutIdentifier():
                self.without_identifier += 1
            case BatchSent(customers):
                self.sent += customers
            case PageListed(_, profiles):
                self.listed += profiles
            case PageSettled(_, next_cursor, fates):
                self.resume_offset = next_cursor
                self.settled += fates
            case ProfileRejected():
                self.rejected += 1
            case TraitLeftOut(_, trait):
                self.left_out[trait] += 1
            case CallRetried(service):
                self.services[service].retries += 1

    @property
    def fates(self) -> Fates:
        """What became of the profiles listed so far."""
        to_do = self.listed - self.sent - self.without_identifier - self.rejected
        return Fates(self.sent, self.without_identifier, self.rejected, to_do)
