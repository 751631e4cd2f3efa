"""A source and a sink for the tests of what shows an import."""

from __future__ import annotations

from segsync.models import CallLimit, Connector


def connectors(*, segment_per_second: float = 100, voucherify_per_minute: float = 100) -> tuple[Connector, Connector]:
    """Segment and Voucherify, with these limits."""
    return (
        Connector("Segment", "spa_1", "https://profiles.segment.com", CallLimit(segment_per_second, "second")),
        Connector("Voucherify", "id", "https://api.voucherify.io", CallLimit(voucherify_per_minute, "minute")),
    )


CONNECTORS = connectors()
