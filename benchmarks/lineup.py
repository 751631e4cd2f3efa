"""The contestants by name. segsync gets its defaults; dlt gets the number of threads that fits each scenario."""

from __future__ import annotations

import math
from typing import Final

import msgspec

from benchmarks.measure import Contestant
from segsync.connectors.http.rate_limiter import net_of_margin

EVERYBODY: Final = {"SEGMENT_TRAITS_LIMIT": "200"}

WITHOUT_LIMIT: Final = {"SEGMENT_REQUESTS_PER_SECOND": "100000", "VOUCHERIFY_REQUESTS_PER_MINUTE": "1000000"}
"""Settings for segsync where the sandbox has no limit, since it needs one: these are beyond its reach."""

SEGSYNC: Final = Contestant("segsync", ("segsync", "--quiet", "--no-input"), EVERYBODY)
SEGSYNC_BY_TRAIT: Final = msgspec.structs.replace(SEGSYNC, name="segsync, by trait").with_settings(
    IDENTIFIER_LOOKUP="traits"
)
SEGSYNC_UNLIMITED: Final = SEGSYNC.with_settings(**WITHOUT_LIMIT)
SEGSYNC_UNCONFIRMED: Final = Contestant(
    "segsync --no-confirm", (*SEGSYNC.module, "--no-confirm"), SEGSYNC_UNLIMITED.settings
)

ORIGINAL: Final = Contestant("original", ("benchmarks.contestants.original",), EVERYBODY)
ORIGINAL_UNLIMITED: Final = msgspec.structs.replace(ORIGINAL, name="original, no limit enforced")
DLT: Final = Contestant("dlt", ("benchmarks.contestants.dlt_import",), EVERYBODY)
FLOOR: Final = Contestant("floor", ("benchmarks.contestants.floor",), EVERYBODY)

BEST_DLT_WORKERS: Final = 4
"""Without a latency more threads only wait for each other: 2, 8 and 16 were no faster."""


def dlt_for(calls_per_second: int, latency_ms: float) -> Contestant:
    """dlt with as many threads as calls are under way at the limit: it has no pace, so nothing else holds it back."""
    workers = math.ceil(calls_per_second * latency_ms / 1000) or BEST_DLT_WORKERS
    return DLT.with_settings(EXTRACT__WORKERS=str(workers), EXTRACT__MAX_PARALLEL_ITEMS=str(2 * workers))


def floor_for(calls_per_second: int) -> Contestant:
    """The floor at segsync's own pace: calls that left evenly at the very limit would arrive a little too close."""
    return FLOOR.with_settings(CALLS_PER_SECOND=str(net_of_margin(calls_per_second))) if calls_per_second else FLOOR
