"""What an import did, as one object."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Literal

from msgspec import Struct

from segsync.errors import SegsyncError
from segsync.models import Outcomes, RejectionGroup
from segsync.report.counters import Counters, Throughput

EndState = Literal["done", "interrupted", "stopped"]


class ServiceCalls(Struct, frozen=True):
    """Calls to one service: `calls` is all of them, `retries` those that repeated a failed one."""

    calls: int = 0
    retries: int = 0
    rate_limited: int = 0


class ImportReport(Struct, frozen=True):
    """What an import did.

    `state` is "done", "interrupted" (it was asked to stop) or "stopped" (by `error`). `outcomes` add up to the profiles
    listed, those of earlier processes of the same import included, whose share is `before`; `is_confirmed` says whether
    Voucherify's results were read. `offset` is where this process began to list and `resume_offset` where the next one
    goes on, None where nothing is left to list. `checkpointed` are the outcomes of the profiles before it, each as it
    was when its page was done: results that came later are in `outcomes` alone. `warnings` counts by trait what was
    left out of customers; a resume counts again what it repeats. In a dry run, "sent" is what would be sent.

    `began_at` and `ended_at` are this process's, in UTC (ISO 8601); `seconds` is the time that it worked, by a clock
    that nobody sets. Where the process had nothing to do, that is 0, and the times are those of the run that did it
    all. `throughput` is how many profiles the process read when. `rejections` groups the rejected profiles by reason,
    the largest group first; they add up to `outcomes.rejected`, earlier processes' included.
    """

    state: EndState
    error: SegsyncError | None
    outcomes: Outcomes
    before: Outcomes
    checkpointed: Outcomes
    is_confirmed: bool
    offset: str | None
    resume_offset: str | None
    seconds: float
    calls: Mapping[str, ServiceCalls]
    warnings: Mapping[str, int]
    began_at: str | None = None
    ended_at: str | None = None
    throughput: Throughput = Throughput()
    rejections: tuple[RejectionGroup, ...] = ()
    is_dry_run: bool = False

    @property
    def seconds_per_100_profiles(self) -> float | None:
        """Wall-clock seconds for 100 profiles of this process, None where there were none."""
        return _seconds_per_100(self.seconds, self.outcomes.done - self.before.done)

    @property
    def seconds_per_100_customers(self) -> float | None:
        """Wall-clock seconds for 100 customers that this process sent, None where there were none."""
        return _seconds_per_100(self.seconds, self.outcomes.customers - self.before.customers)


def _seconds_per_100(seconds: float, done: int) -> float | None:
    return 100 * seconds / done if done > 0 else None


def make_report(
    counters: Counters,
    *,
    state: EndState,
    error: SegsyncError | None,
    is_confirmed: bool,
    is_dry_run: bool = False,
    rejections: Iterable[RejectionGroup] = (),
) -> ImportReport:
    """The report of an import whose events `counters` counted, and which ends now."""
    return ImportReport(
        state=state,
        error=error,
        outcomes=counters.outcomes,
        before=counters.before,
        is_confirmed=is_confirmed,
        checkpointed=counters.checkpointed,
        offset=counters.offset,
        resume_offset=counters.resume_offset,
        seconds=counters.seconds,
        calls={
            name: ServiceCalls(service.calls, service.retries, service.rate_limited)
            for name, service in sorted(counters.services.items())
        },
        warnings=dict(counters.left_out.most_common()),
        is_dry_run=is_dry_run,
        began_at=counters.began_at.isoformat(timespec="seconds") if counters.began_at else None,
        ended_at=datetime.now(UTC).isoformat(timespec="seconds"),
        throughput=counters.buckets.throughput,
        rejections=tuple(rejections),
    )
