"""What flows through an import, and the events that tell of it.

page → profile → customer → batch → upsert. Everything here is plain data: no I/O, no behaviour.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

FIRST_OFFSET = "0"
"""The cursor of a space's first page."""

Stage = Literal["read", "map", "upsert", "confirm"]
"""Where a profile was rejected: reading it from Segment, mapping it, upserting it into Voucherify, or in the
outcome of an upsert that Voucherify had accepted."""


class Page(Struct, frozen=True):
    """One page of the listing: the cursor it was asked with, its segment ids, the cursor of the next page.

    `next_cursor` is None on the last page.
    """

    cursor: str
    segment_ids: tuple[str, ...]
    next_cursor: str | None


class Profile(Struct, frozen=True):
    """A Segment profile that carries the identifier: `source_id` is its value."""

    segment_id: str
    source_id: str
    traits: dict[str, Any]


class Address(Struct, frozen=True, omit_defaults=True):
    """A customer's postal address; what Segment does not have is UNSET and is not sent."""

    city: str | UnsetType = UNSET
    state: str | UnsetType = UNSET
    line_1: str | UnsetType = UNSET
    country: str | UnsetType = UNSET
    postal_code: str | UnsetType = UNSET


SYSTEM_METADATA = {"source": "segmentio"}


class Customer(Struct, frozen=True, omit_defaults=True):
    """A customer as `POST /v1/customers/bulk/async` takes it (Voucherify, "Import and Update Customers").

    UNSET attributes are left out of the request, so that an upsert does not wipe what Voucherify
    already has. `birthdate` is `YYYY-MM-DD`, or None (sent as null) where Segment's value is no date.
    """

    source_id: str
    name: str | UnsetType = UNSET
    email: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    phone: str | UnsetType = UNSET
    birthdate: str | UnsetType | None = UNSET
    address: Address | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET
    system_metadata: dict[str, str] | UnsetType = UNSET


class Rejection(Struct, frozen=True):
    """A profile that will not become a customer, and why. `reason` holds no personal data."""

    segment_id: str
    source_id: str | None
    stage: Stage
    reason: str
    request_id: str | None = None


class Fates(Struct, frozen=True):
    """How many profiles met each fate. They add up to the profiles listed.

    A profile that was upserted is `confirmed` once Voucherify has said that it wrote the customer; until then,
    or where nobody asks, it is `sent`.
    """

    confirmed: int = 0
    sent: int = 0
    without_identifier: int = 0
    rejected: int = 0
    to_do: int = 0

    def __add__(self, other: Fates) -> Fates:
        return Fates(
            self.confirmed + other.confirmed,
            self.sent + other.sent,
            self.without_identifier + other.without_identifier,
            self.rejected + other.rejected,
            self.to_do + other.to_do,
        )

    @property
    def customers(self) -> int:
        """Those that were upserted, confirmed or not."""
        return self.confirmed + self.sent

    @property
    def done(self) -> int:
        """Those that have met their fate."""
        return self.customers + self.without_identifier + self.rejected

    @property
    def profiles(self) -> int:
        """All of them, whatever became of each."""
        return self.done + self.to_do


class Usage(Struct, frozen=True):
    """How much of what a service allows was used lately: the calls a second, and the share of the allowed ones."""

    calls_per_second: float
    share: float


# --- Events: what an import tells while it runs, in the order in which it happens ---------------------


class PageListed(Struct, frozen=True):
    """Segment listed `profiles` ids for the page at `cursor`."""

    cursor: str
    profiles: int


class PageTakenAgain(Struct, frozen=True):
    """`profiles` of earlier pages are read once more: their upsert failed as a whole, or they `were_rejected`."""

    profiles: int
    were_rejected: bool


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
    """A profile whose customer was sent, and the number of its page."""

    page: int
    segment_id: str
    source_id: str


class BatchSent(Struct, frozen=True):
    """Voucherify accepted the customers of these profiles as one async action."""

    action_id: str
    profiles: tuple[SentProfile, ...]


class PageSettled(Struct, frozen=True):
    """Every profile up to the end of this page has met its fate; an import can resume from `next_cursor`.

    Pages settle in the order in which they were listed, which is the order of their numbers, from 1 on.
    `next_cursor` is None at the end of the space.
    """

    number: int
    cursor: str
    next_cursor: str | None
    fates: Fates


class ReadingEnded(Struct, frozen=True):
    """All profiles are read and sent; what is left is to hear what became of `open_actions` async actions."""

    open_actions: int


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
    """From now on `profiles` are read at a time, since the services' latency asks for that many."""

    profiles: int


class ServicePaused(Struct, frozen=True):
    """The service asked for `seconds` without calls; every call to it waits."""

    service: str
    seconds: float


Event = (
    PageListed
    | PageTakenAgain
    | ProfileWithoutIdentifier
    | ProfileRejected
    | TraitLeftOut
    | MetadataUnchecked
    | ProfileRead
    | BatchSent
    | PageSettled
    | ReadingEnded
    | ActionEnded
    | CallAnswered
    | CallRetried
    | CallsLeft
    | PaceChanged
    | ServicePaused
    | ConcurrencyChanged
)
OnEvent = Callable[[Event], None]
"""Called from the event loop, synchronously: it must be quick, and what it raises stops the import."""


def ignore(_event: Event) -> None:
    """For callers that want no events."""
