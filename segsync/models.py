"""What flows through an import, as plain data: page → profile → customer, and what comes of it. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from operator import add, sub
from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import astuple

FIRST_OFFSET = "0"
"""The cursor of a space's first page."""

Stage = Literal["read", "map", "upsert", "confirm"]
"""Where a profile was rejected: read from the source, mapped, upserted, or in the result of an accepted upsert."""

SYSTEM_METADATA = {"source": "segmentio"}


class Profile(Struct, frozen=True):
    """A profile that carries the identifier: `source_id` is its value.

    `problems` are what was wrong with it where it was read: each (trait, problem), as `TraitLeftOut` has them.
    """

    segment_id: str
    source_id: str
    traits: dict[str, Any]
    problems: tuple[tuple[str, str], ...] = ()


class WithoutIdentifier(Struct, frozen=True):
    """A profile that has no identifier: nothing is sent."""

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
    """A customer's postal address; what the profile does not have is UNSET and is not sent."""

    city: str | UnsetType = UNSET
    state: str | UnsetType = UNSET
    line_1: str | UnsetType = UNSET
    line_2: str | UnsetType = UNSET
    country: str | UnsetType = UNSET
    postal_code: str | UnsetType = UNSET


class Customer(Struct, frozen=True, omit_defaults=True):
    """A customer as `POST /v1/customers/bulk/async` takes it (Voucherify, "Import and Update Customers").

    UNSET attributes are left out of the request, and so stay as they are: that is documented for the attributes of a
    customer, not for the parts of its address and metadata. `birthdate` is `YYYY-MM-DD`, or None (sent as null) where
    the profile's value is not a date. `system_metadata` is what the Node script sends; Voucherify's page does not name
    it.
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
    """A profile that will not become a customer, and why. `reason` holds no personal data.

    `code` is the code of the reason, as in `SegsyncError`.
    """

    segment_id: str
    source_id: str | None
    stage: Stage
    reason: str
    request_id: str | None = None
    code: str | None = None


class RejectionGroup(Struct, frozen=True):
    """`profiles` were rejected at a stage for the same `reason`, "…" where ids differ; `segment_ids` names some.

    Profiles whose result is unknown are grouped like this too. `code` is the code of the reason, where it has one.
    """

    stage: Stage
    reason: str
    profiles: int
    segment_ids: tuple[str, ...] = ()
    code: str | None = None


class WarningGroup(Struct, frozen=True):
    """The number of `profiles` in which a `trait` had the same `problem`; `segment_ids` names some."""

    trait: str
    problem: str
    profiles: int
    segment_ids: tuple[str, ...] = ()


def by_trait(problems: Iterable[WarningGroup]) -> dict[str, int]:
    """How often each trait had a problem, the most frequent one first."""
    counts = Counter[str]()
    for each in problems:
        counts[each.trait] += each.profiles
    return dict(counts.most_common())


class Outcomes(Struct, frozen=True):
    """How many profiles have each outcome. They add up to the profiles listed.

    A profile that was upserted is `confirmed` once its result says that the customer was written, `sent` until then,
    and `unknown` where the result can never be known. A `duplicate` has the identifier of another profile, whose values
    were sent.
    """

    confirmed: int = 0
    sent: int = 0
    without_identifier: int = 0
    duplicate: int = 0
    rejected: int = 0
    unknown: int = 0
    pending: int = 0

    def __add__(self, other: Outcomes) -> Outcomes:
        return Outcomes(*map(add, astuple(self), astuple(other)))

    def __sub__(self, other: Outcomes) -> Outcomes:
        return Outcomes(*map(sub, astuple(self), astuple(other)))

    @property
    def customers(self) -> int:
        """Those that were upserted, confirmed or not."""
        return self.confirmed + self.sent

    @property
    def done(self) -> int:
        """Those that are not pending."""
        return self.customers + self.without_identifier + self.duplicate + self.rejected + self.unknown

    @property
    def profiles(self) -> int:
        """All of them."""
        return self.done + self.pending


class LastCheck(Struct, frozen=True):
    """What the last check with the settings of an import found that the import leaves behind.

    `traits` is the number of traits in its sample that are not imported; `names` has the most frequent ones, and
    `setting` is a line for `.env` that imports them, "" where there are none. `checked_at` is UTC (ISO 8601).
    """

    checked_at: str
    traits: int
    names: tuple[str, ...] = ()
    setting: str = ""


class Plan(Struct, frozen=True):
    """What to do for which runs of the ledger.

    "new" lists the space from `offset` on; "resume" goes on with a run, whose listing is complete where `offset` is
    None; "retry" replays the profiles of `runs` that are rejected or whose result is unknown; "ids" reads the ids that
    `ids_from` names, and `offset` is how many of them are before the first that is read. `retried` counts the profiles
    of a retry, or of its dry run, by what they are, each once. `before` are the outcomes of these runs so far. Results
    are read for all runs from `followed_since` on. `expected` is the number of profiles that an earlier process was
    given, or that of the ids. `ids_left` is how many ids the resumed run did not read, nor will it.
    """

    kind: Literal["new", "resume", "retry", "ids"]
    runs: tuple[int, ...]
    followed_since: int
    offset: str | None
    before: Outcomes
    done_pages: int = 0
    begins_anew: bool = False
    first_offset: str = FIRST_OFFSET
    was_listed_anew: bool = False
    has_work: bool = True
    expected: int | None = None
    retried: Outcomes = Outcomes()
    ids_from: str = ""
    ids_left: int = 0

    def total(self, profiles: int | None, limit: int | None) -> int | None:
        """How many profiles the whole import has, where that is known: as the user expects it, or a limit."""
        return min((each for each in (profiles or self.expected, limit) if each is not None), default=None)

    def left_of(self, limit: int | None) -> int | None:
        """What is left of a limit on profiles, which counts from the beginning of the run."""
        return None if limit is None else max(limit - self.before.profiles, 0)


class NextStep(Struct, frozen=True):
    """Something to do after a run, in words, and the command that does it, where there is one."""

    words: str
    command: str | None = None


class CallLimit(Struct, frozen=True):
    """How many calls a connector makes at most, per second or minute."""

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
    URL that is called ("" for none), and `identity`: the space, the project, the table. `scope` says which of these it
    is, in a word. `limit` is None for none.
    """

    name: str
    identity: str
    host: str = ""
    limit: CallLimit | None = None
    scope: str = "space"


class Cost(Struct, frozen=True):
    """What the rest of an import takes: `profiles` to read, the calls by connector, and the time without retries.

    Where it `is_measured`, as many profiles have the identifier as had it so far; otherwise all have it.
    """

    profiles: int
    calls: dict[str, int]
    seconds: float
    is_measured: bool


class Usage(Struct, frozen=True):
    """How much of what a service allows was used lately: the calls per second, and the share of the allowed ones."""

    calls_per_second: float
    share: float
