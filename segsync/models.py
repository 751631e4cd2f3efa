"""What flows through an import.

page → profile → customer → batch → upsert. Everything here is plain data: no I/O, no behaviour.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType


class Plan(Struct, frozen=True):
    """What to do for which runs of the ledger.

    "new" lists the space from `offset` on; "resume" goes on with a run, whose listing is complete where `offset`
    is None; "retry" takes the rejected profiles of `runs` again. `before` is what became of the profiles of
    these runs by now. Outcomes are read of all runs from `followed_since` on. `expected` is how many profiles there
    will be, as an earlier process was told.
    """

    kind: Literal["new", "resume", "retry"]
    runs: tuple[int, ...]
    followed_since: int
    offset: str | None
    before: Outcomes
    done_pages: int = 0
    begins_anew: bool = False
    has_work: bool = True
    expected: int | None = None

    def left_of(self, limit: int | None) -> int | None:
        """What is left of a limit on profiles, which counts from the beginning of the run."""
        return None if limit is None else max(limit - self.before.profiles, 0)


class RejectionGroup(Struct, frozen=True):
    """How many profiles were rejected at a stage for reasons that say the same.

    `reason` is what was said, with "…" for ids and numbers in which the reasons differ. `segment_ids` names some of
    the profiles where that was asked for.
    """

    stage: Stage
    reason: str
    profiles: int
    segment_ids: tuple[str, ...] = ()


FIRST_OFFSET = "0"
"""The cursor of a space's first page."""

Stage = Literal["read", "map", "upsert", "confirm"]
"""Where a profile was rejected: reading it from Segment, mapping it, upserting it into Voucherify, or in the
outcome of an upsert that Voucherify had accepted."""


class NextStep(Struct, frozen=True):
    """Something to do after a run, in words, and the command that does it, where there is one."""

    words: str
    command: str | None = None


class Profile(Struct, frozen=True):
    """A profile that carries the identifier: `source_id` is its value."""

    segment_id: str
    source_id: str
    traits: dict[str, Any]


class WithoutIdentifier(Struct, frozen=True):
    """A profile that has no identifier, so there is nothing to send."""

    segment_id: str


class Page(Struct, frozen=True):
    """One page of the listing: the cursor it was asked with, its profiles, the cursor of the next page.

    A profile is its id where it has yet to be read, or the whole of it where the listing holds that already.
    `next_cursor` is None on the last page.
    """

    cursor: str
    profiles: tuple[str | Profile | WithoutIdentifier, ...]
    next_cursor: str | None


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


class Outcomes(Struct, frozen=True):
    """How many profiles have each outcome. They add up to the profiles listed.

    A profile that was upserted is `confirmed` once Voucherify has said that it wrote the customer; until then,
    or where nobody asks, it is `sent`.
    """

    confirmed: int = 0
    sent: int = 0
    without_identifier: int = 0
    rejected: int = 0
    pending: int = 0

    def __add__(self, other: Outcomes) -> Outcomes:
        return Outcomes(
            self.confirmed + other.confirmed,
            self.sent + other.sent,
            self.without_identifier + other.without_identifier,
            self.rejected + other.rejected,
            self.pending + other.pending,
        )

    @property
    def customers(self) -> int:
        """Those that were upserted, confirmed or not."""
        return self.confirmed + self.sent

    @property
    def done(self) -> int:
        """Those that have their outcomes."""
        return self.customers + self.without_identifier + self.rejected

    @property
    def profiles(self) -> int:
        """All of them, whatever became of each."""
        return self.done + self.pending


class CallLimit(Struct, frozen=True):
    """How many calls a connector makes at most, and in what time."""

    calls: float
    per: Literal["second", "minute"]

    @property
    def window_seconds(self) -> float:
        """The time over which the calls are counted."""
        return 1.0 if self.per == "second" else 60.0

    @property
    def per_second(self) -> float:
        """The same limit in calls per second."""
        return self.calls / self.window_seconds


class Connector(Struct, frozen=True):
    """Who a source or a sink is.

    `name` is what people call it ("Segment"), and what its calls are counted under. The ledger knows it by `host`, the
    URL that is called ("" for none), and `identity`: the space, the project, the table. `limit` is None for none.
    """

    name: str
    identity: str
    host: str = ""
    limit: CallLimit | None = None


class Usage(Struct, frozen=True):
    """How much of what a service allows was used lately: the calls a second, and the share of the allowed ones."""

    calls_per_second: float
    share: float
