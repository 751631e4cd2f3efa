"""The calls and the time that an import would take: pure arithmetic on what a sample shows."""

from __future__ import annotations

import math

from msgspec import Struct

from segsync.connectors.base import result_calls
from segsync.connectors.factory import describe
from segsync.connectors.http.rate_limiter import net_of_margin
from segsync.models import Connector, Cost, Plan
from segsync.settings import Settings


class Shares(Struct, frozen=True):
    """The shares of profiles, 0 to 1, that have the identifier, and that have it as a trait.

    `trait_calls` is how many calls it takes to read the traits of one.
    """

    identifier: float
    identifier_trait: float = 0.0
    trait_calls: float = 1.0


class Estimate(Struct, frozen=True):
    """What it would take to import `profiles`, at the configured limits; `is_example` where their number is not known.

    `result_calls` read the results of bulk upserts: none with `--no-confirm`. Seconds are those that the calls to one
    service take without retries; `seconds` is the longer of the two, since they run side by side.
    """

    profiles: int
    is_example: bool
    customers: int
    listing_calls: int
    external_ids_calls: int
    traits_calls: int
    segment_calls: int
    segment_seconds: float
    upserts: int
    result_calls: int
    voucherify_calls: int
    voucherify_seconds: float
    seconds: float


def estimate(profiles: int, shares: Shares, settings: Settings, *, is_example: bool = False) -> Estimate:
    """What `profiles` would take where all are as the sample is."""
    customers = round(profiles * shares.identifier)
    listing = math.ceil(profiles / settings.segment_request_limit)
    if settings.identifier_lookup == "traits":
        external_ids, traits = profiles - round(profiles * shares.identifier_trait), profiles * shares.trait_calls
    else:
        external_ids, traits = profiles, customers * shares.trait_calls
    segment_calls = listing + external_ids + round(traits)
    upserts = math.ceil(customers / settings.batch_size)
    voucherify_calls = upserts + result_calls(upserts)
    source, sink = describe(settings)
    segment_seconds, voucherify_seconds = _seconds(segment_calls, source), _seconds(voucherify_calls, sink)
    return Estimate(
        profiles=profiles,
        is_example=is_example,
        customers=customers,
        listing_calls=listing,
        external_ids_calls=external_ids,
        traits_calls=round(traits),
        segment_calls=segment_calls,
        segment_seconds=segment_seconds,
        upserts=upserts,
        result_calls=result_calls(upserts),
        voucherify_calls=voucherify_calls,
        voucherify_seconds=voucherify_seconds,
        seconds=max(segment_seconds, voucherify_seconds),
    )


def cost_of_rest(plan: Plan, total: int | None, settings: Settings, *, confirm: bool, sends: bool) -> Cost | None:
    """What is left to do for a plan; None where nobody knows, or where only results are waited for.

    `total` is the number of profiles of the whole import, None where it is not known. `confirm` reads the results, and
    without `sends` nothing goes to the sink.
    """
    before = plan.before
    if plan.kind == "retry":
        left = plan.retried.done
    else:
        left = 0 if total is None or plan.offset is None else total - before.profiles
    if left <= 0:
        return None
    is_measured = plan.kind == "resume" and before.done > 0
    identifier = 1 - before.without_identifier / before.done if is_measured else 1.0
    made = estimate(left, Shares(identifier), settings)
    to_sink = made.voucherify_calls if confirm else made.upserts
    source, sink = describe(settings)
    calls = {source.name: made.segment_calls} | ({sink.name: to_sink} if sends else {})
    seconds = max(_seconds(calls.get(each.name, 0), each) for each in (source, sink))
    return Cost(left, calls, seconds, is_measured)


def _seconds(calls: int, connector: Connector) -> float:
    """The time of these calls at the limit of the connector."""
    return calls / net_of_margin(connector.limit.per_second) if connector.limit else 0.0
