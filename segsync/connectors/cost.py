"""The calls and the time that an import would take: pure arithmetic on what a sample shows."""

from __future__ import annotations

import math

from msgspec import Struct

from segsync.connectors.base import LISTED_ACTIONS
from segsync.connectors.http.rate_limiter import net_of_margin
from segsync.settings import Settings

CALLS_A_CYCLE = 100_000
"""What Voucherify's Business plan has in a billing cycle (Voucherify, "Limits")."""


class Shares(Struct, frozen=True):
    """What a sample says of all profiles: the shares, 0 to 1, that carry the identifier, and that carry it as a trait.

    `trait_calls` is how many calls it takes to read the traits of one.
    """

    identifier: float
    identifier_trait: float = 0.0
    trait_calls: float = 1.0


class Estimate(Struct, frozen=True):
    """What it would take to import `profiles`, at the configured limits; `is_example` where nobody said how many.

    Segment: calls to list them, to ask for external ids, and for traits. Voucherify: bulk upserts, and calls that read
    what became of them (none of these with `--no-confirm`). Seconds are those that the calls to one service take with
    no retries; `seconds` is the longer of the two, since they run side by side.
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
    if settings.identifier_lookup == "traits":  # everybody's traits, and external ids of those without the trait
        external_ids = round(profiles * (1 - shares.identifier_trait))
        traits = round(profiles * shares.trait_calls)
    else:
        external_ids, traits = profiles, round(customers * shares.trait_calls)
    upserts = math.ceil(customers / settings.batch_size)
    outcomes = result_calls(upserts)
    segment_calls, voucherify_calls = listing + external_ids + traits, upserts + outcomes
    segment_seconds = segment_calls / net_of_margin(settings.segment_requests_per_second)
    voucherify_seconds = voucherify_calls / net_of_margin(settings.voucherify_requests_per_minute / 60)
    return Estimate(
        profiles=profiles,
        is_example=is_example,
        customers=customers,
        listing_calls=listing,
        external_ids_calls=external_ids,
        traits_calls=traits,
        segment_calls=segment_calls,
        segment_seconds=segment_seconds,
        upserts=upserts,
        result_calls=outcomes,
        voucherify_calls=voucherify_calls,
        voucherify_seconds=voucherify_seconds,
        seconds=max(segment_seconds, voucherify_seconds),
    )


def result_calls(upserts: int) -> int:
    """The calls that read what became of so many bulk upserts."""
    return upserts + math.ceil(upserts / LISTED_ACTIONS)
