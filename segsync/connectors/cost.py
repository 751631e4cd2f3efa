"""The calls and the time that an import would take: pure arithmetic on what a sample shows."""

from __future__ import annotations

import math

from msgspec import Struct

from segsync.connectors.base import result_calls
from segsync.connectors.factory import describe
from segsync.connectors.http.rate_limiter import net_of_margin
from segsync.models import Connector
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


def _seconds(calls: int, connector: Connector) -> float:
    """The time of these calls at the limit of the connector."""
    return calls / net_of_margin(connector.limit.per_second) if connector.limit else 0.0
