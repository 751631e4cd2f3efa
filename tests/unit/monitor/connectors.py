"""A source and a sink for the tests of what shows an import, and the log of one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from segsync.models import CallLimit, Connector, Plan
from segsync.monitor.log import Log
from segsync.report.counters import Counters


def connectors(*, segment_per_second: float = 100, voucherify_per_minute: float = 100) -> tuple[Connector, Connector]:
    """Segment and Voucherify, with these limits."""
    return (
        Connector("Segment", "spa_1", "https://profiles.segment.com", CallLimit(segment_per_second, "second")),
        Connector(
            "Voucherify", "id", "https://api.voucherify.io", CallLimit(voucherify_per_minute, "minute"), "project"
        ),
    )


CONNECTORS = connectors()


def log_of(counters: Counters, connectors: Sequence[Connector], *, profiles: int | None = None) -> Log:
    """The log of a new import, of this many profiles."""
    plan = Plan("new", (1,), 1, "0", counters.before)
    return Log(plan, counters, connectors, stop=asyncio.Event(), batch_size=100, profiles=profiles)
