"""What an import tells while it runs, in the order in which it happens. Plain data."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from segsync.models import Outcomes, Rejection


class PageListed(Struct, frozen=True):
    """Segment listed `profiles` ids for the page at `cursor`."""

    cursor: str
    profiles: int


class PageReplayed(Struct, frozen=True):
    """`profiles` of earlier pages are read once more: their upsert failed as a whole, or they `is_retry`."""

    profiles: int
    is_retry: bool


class ProfileWithoutIdentifier(Struct, frozen=True):
    """The profile has no external id of the configured type, so there is nothing to send."""

    segment_id: str


class ProfileRejected(Struct, frozen=True):
    """A profile of the page with this number did not become a customer; `rejection` says why."""

    rejection: Rejection
    page: int


class TraitLeftOut(Struct, frozen=True):
    """The profile is sent, but not this trait; `problem` says what was wrong with it, without its value."""

    segment_id: str
    trait: str
    problem: str


class MetadataUnchecked(Struct, frozen=True):
    """Voucherify's metadata schema could not be read, for this `reason`: metadata goes as it is."""

    reason: str


class ProfileRead(Struct, frozen=True):
    """The profile was read from Segment and mapped: its customer now waits for a batch."""

    segment_id: str


class SentProfile(Struct, frozen=True):
    """A profile that was sent, the number of its page, and its customer as JSON. It is personal data."""

    page: int
    segment_id: str
    source_id: str
    customer: bytes = b""


class BatchSent(Struct, frozen=True):
    """Voucherify accepted the customers of these profiles as one async action."""

    action_id: str
    profiles: tuple[SentProfile, ...]


class PageDone(Struct, frozen=True):
    """Every profile up to the end of this page has its outcome; an import can resume from `next_cursor`.

    Pages settle in the order in which they were listed, which is the order of their numbers, from 1 on.
    `next_cursor` is None at the end of the space.
    """

    number: int
    cursor: str
    next_cursor: str | None
    outcomes: Outcomes


class ReadingEnded(Struct, frozen=True):
    """All profiles are read and sent; what is left is to hear what became of `open_upserts` async actions."""

    open_upserts: int


class ActionEnded(Struct, frozen=True):
    """Voucherify carried out an async action of `customers`: it wrote `confirmed` of them and `rejected` others.

    Each of these has been told as `ProfileRejected` before; the rest is taken again. `request_id` is what Voucherify's
    support asks for, where it gave one.
    """

    action_id: str
    customers: int
    confirmed: int
    rejected: int = 0
    request_id: str | None = None


class CallAnswered(Struct, frozen=True):
    """One HTTP exchange ended, after `seconds`; `status` is None when no answer came."""

    service: str
    status: int | None
    seconds: float


class CallRetried(Struct, frozen=True):
    """A failed call will be tried again in `wait_seconds`; `elapsed_seconds` after its first failure.

    `status` is None when no answer came.
    """

    service: str
    reason: str
    attempt: int
    wait_seconds: float
    elapsed_seconds: float
    status: int | None = None
    request_id: str | None = None


class CallsLeft(Struct, frozen=True):
    """An answer said how many calls of this method may still go in the service's current minute or hour, of `limit`.

    Voucherify counts bulk upserts (POST) apart from reads (GET).
    """

    service: str
    method: str
    remaining: int
    limit: int | None = None


class PaceChanged(Struct, frozen=True):
    """Calls leave at another rate, of the `allowed` one: a refusal slowed them down, or they are coming back up."""

    service: str
    calls_per_second: float
    allowed: float


class ConcurrencyChanged(Struct, frozen=True):
    """From now on `profiles` are read at a time: at first, and when the services' latency asks for another number."""

    profiles: int


class Throttled(Struct, frozen=True):
    """The service asked for `seconds` without calls; every call to it waits."""

    service: str
    seconds: float


Event = (
    PageListed
    | PageReplayed
    | ProfileWithoutIdentifier
    | ProfileRejected
    | TraitLeftOut
    | MetadataUnchecked
    | ProfileRead
    | BatchSent
    | PageDone
    | ReadingEnded
    | ActionEnded
    | CallAnswered
    | CallRetried
    | CallsLeft
    | PaceChanged
    | Throttled
    | ConcurrencyChanged
)

OnEvent = Callable[[Event], None]
"""Called from the event loop, synchronously: it must be quick, and what it raises stops the import."""


def ignore(_event: Event) -> None:
    """For callers that want no events."""


def both(first: OnEvent, second: OnEvent) -> OnEvent:
    """A callback that hands each event to two, one after the other."""

    def on_event(event: Event) -> None:
        first(event)
        second(event)

    return on_event
