"""What an import did, as one object."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import copy
from datetime import UTC, datetime
from typing import Literal

from msgspec import Struct

from segsync.errors import SegsyncError
from segsync.models import LastCheck, Outcomes, RejectionGroup, WarningGroup
from segsync.report.counters import Counters, ServiceCalls, Throughput

EndState = Literal["done", "interrupted", "stopped"]


class ImportReport(Struct, frozen=True):
    """What an import did.

    `state` is "done", "interrupted" (it was asked to stop) or "stopped" (by `error`). `outcomes` add up to the profiles
    listed, those of earlier processes of the same import included, whose share is `before`; `is_confirmed` says whether
    Voucherify's results were read. In a dry run, "sent" is what would be sent. `offset` is where this process began to
    list and `resume_offset` where the next one goes on, None where nothing is left to list. `checkpointed` are the
    outcomes of the profiles before it, as they were when their pages were done. `warnings` counts by trait what this
    process left out of customers, `problems` by trait and problem; `warned_profiles` have any. `rejections` groups the
    rejected profiles by reason, the largest group first, and `unknown` those whose result is unknown. `not_imported` is
    what the last check with these settings found.

    `began_at` and `ended_at` are this process's, in UTC (ISO 8601); `seconds` is the time that it worked, by a clock
    that nobody sets. One that had nothing to do has 0 seconds, and the times of the run that did it all.
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
    unknown: tuple[RejectionGroup, ...] = ()
    is_dry_run: bool = False
    not_imported: LastCheck | None = None
    warned_profiles: int = 0
    problems: tuple[WarningGroup, ...] = ()

    @property
    def seconds_per_100_profiles(self) -> float | None:
        """Wall-clock seconds for 100 profiles of this process, None where there were fewer."""
        return self._seconds_per_100(self.outcomes.done - self.before.done)

    @property
    def seconds_per_100_customers(self) -> float | None:
        """Wall-clock seconds for 100 customers that this process sent, None where it had fewer than 100 profiles."""
        return self._seconds_per_100(self.outcomes.customers - self.before.customers)

    def _seconds_per_100(self, done: int) -> float | None:
        is_enough = self.outcomes.done - self.before.done >= 100  # of fewer, start and end are most of the time
        return 100 * self.seconds / done if is_enough and done > 0 else None


def make_report(
    counters: Counters,
    *,
    state: EndState,
    error: SegsyncError | None,
    is_confirmed: bool,
    is_dry_run: bool = False,
    rejections: Iterable[RejectionGroup] = (),
    unknown: Iterable[RejectionGroup] = (),
    not_imported: LastCheck | None = None,
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
        calls={name: copy(calls) for name, calls in sorted(counters.services.items())},
        warnings=dict(counters.left_out.most_common()),
        is_dry_run=is_dry_run,
        began_at=counters.began_at.isoformat(timespec="seconds") if counters.began_at else None,
        ended_at=datetime.now(UTC).isoformat(timespec="seconds"),
        throughput=counters.buckets.throughput,
        rejections=tuple(rejections),
        unknown=tuple(unknown),
        not_imported=not_imported,
        warned_profiles=counters.warned_profiles,
        problems=tuple(WarningGroup(*text, count) for text, count in counters.problems.most_common()),
    )
