"""What happens during an import, as plain data, in the order in which it happens."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from segsync.models import Outcomes, Rejection


class PageListed(Struct, frozen=True):
    """Segment listed `profiles` ids for the page at `cursor`."""

    cursor: str
    profiles: int


class ListedAnew(Struct, frozen=True):
    """The source no longer takes the cursor of a resume: it lists from the beginning, without `done` profiles."""

    done: int


class PageReplayed(Struct, frozen=True):
    """`profiles` of earlier pages are replayed: their upsert failed, or they are retried (`is_retry`).

    A retry is of profiles that were rejected, or whose result `was_unknown`. A replay that `is_search` sends them in
    smaller upserts, to find who was refused.
    """

    profiles: int
    is_retry: bool
    was_unknown: bool = False
    is_search: bool = False


class ProfileWithoutIdentifier(Struct, frozen=True):
    """The profile has no external id of the configured type: nothing is sent."""

    segment_id: str


class IdUnknown(Struct, frozen=True):
    """The source knows no profile of this id, which somebody gave (`--ids`): it counts as none."""

    segment_id: str


class ProfileRejected(Struct, frozen=True):
    """A profile of the page with this number did not become a customer; `rejection` says why."""

    rejection: Rejection
    page: int


class ResultUnknown(Struct, frozen=True):
    """Whether Voucherify wrote the customer of this profile is not known, for this `reason`, and will not be."""

    segment_id: str
    page: int
    reason: str
    request_id: str | None = None


class DuplicateIdentifier(Struct, frozen=True):
    """A profile of the page with this number has the identifier of the profile `other`, whose values are kept.

    It is not sent. Where it was sent before `other` came, by the upsert `action_id`, the values of `other` followed.
    """

    segment_id: str
    page: int
    other: str
    action_id: str | None = None


class TraitLeftOut(Struct, frozen=True):
    """The profile is sent without this trait, or not with all of it as it is; `problem` says why, without its value.

    `trait` is its name, that of a part ("address.city"), or "external_ids.user_id" for the identifier.
    """

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
    """All profiles up to the end of page `number` (from 1 on, in order) are done: a resume begins at `next_cursor`."""

    number: int
    cursor: str
    next_cursor: str | None
    outcomes: Outcomes


class ReadingEnded(Struct, frozen=True):
    """All profiles are read and sent; the results of `open_upserts` async actions are pending."""

    open_upserts: int


class ActionEnded(Struct, frozen=True):
    """Voucherify carried out an async action of `customers`: it wrote `confirmed` and `rejected` others.

    A `ProfileRejected` came before for each of these, a `ResultUnknown` for the `unknown` ones; the rest is replayed.
    Support asks for the `request_id`, if any.
    """

    action_id: str
    customers: int
    confirmed: int
    rejected: int = 0
    request_id: str | None = None
    unknown: int = 0


class CallAnswered(Struct, frozen=True):
    """One HTTP exchange ended, after `seconds`; `status` is None when no answer came."""

    service: str
    status: int | None
    seconds: float


class CallRetried(Struct, frozen=True):
    """A call that failed first `elapsed_seconds` ago is retried in `wait_seconds`; `status` None: no answer came."""

    service: str
    reason: str
    attempt: int
    wait_seconds: float
    elapsed_seconds: float
    status: int | None = None
    request_id: str | None = None


class CallsLeft(Struct, frozen=True):
    """The calls of a method left of `limit`, this minute or hour. Voucherify counts upserts (POST) and GETs apart."""

    service: str
    method: str
    remaining: int
    limit: int | None = None


class PaceChanged(Struct, frozen=True):
    """Calls leave at another rate, of the `allowed` one: a 429 slowed them down, or they speed up again."""

    service: str
    calls_per_second: float
    allowed: float


class ConcurrencyChanged(Struct, frozen=True):
    """From now on `profiles` are read at a time: at first, and when the services' latency asks for another number."""

    profiles: int


class Throttled(Struct, frozen=True):
    """The service asked for `seconds` without calls of this method: bulk upserts (POST), or all the others (GET)."""

    service: str
    seconds: float
    method: str = "GET"


Event = (
    PageListed
    | ListedAnew
    | PageReplayed
    | ProfileWithoutIdentifier
    | IdUnknown
    | ProfileRejected
    | ResultUnknown
    | DuplicateIdentifier
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


KeepWords = Callable[[Rejection, str | None], object]
"""Gets a service's own words about a rejection, which may be personal, so that they are in no event."""


def ignore(_event: Event) -> None:
    """For callers that want no events."""


def ignore_words(_rejection: Rejection, _words: str | None) -> None:
    """For callers that want no words."""


def both(first: OnEvent, second: OnEvent) -> OnEvent:
    """A callback that hands each event to two, one after the other."""

    def on_event(event: Event) -> None:
        first(event)
        second(event)

    return on_event
