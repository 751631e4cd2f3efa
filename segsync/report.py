"""What an import did, as one object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from segsync.errors import SegsyncError
from segsync.models import Fates
from segsync.tally import Tally

Outcome = Literal["done", "interrupted", "stopped"]


class ServiceCalls(Struct, frozen=True):
    """Calls to one service: `calls` is all of them, `retries` those that repeated a failed one."""

    calls: int = 0
    retries: int = 0
    rate_limited: int = 0


class ImportReport(Struct, frozen=True):
    """What an import did.

    `outcome` is "done", "interrupted" (it was asked to stop) or "stopped" (by `error`). `fates` add up to the
    profiles listed. `resume_offset` is where the next import goes on, None where nothing is left; what lies
    before it is counted in `settled`. `warnings` counts by trait what was left out of customers; a resume counts
    those again that it repeats.
    """

    outcome: Outcome
    error: SegsyncError | None
    fates: Fates
    settled: Fates
    offset: str
    resume_offset: str | None
    seconds: float
    calls: Mapping[str, ServiceCalls]
    warnings: Mapping[str, int]

    @property
    def seconds_per_100_profiles(self) -> float | None:
        """Wall-clock seconds for 100 profiles, None where there were none."""
        done = self.fates.profiles - self.fates.to_do
        return 100 * self.seconds / done if done else None

    @property
    def seconds_per_100_customers(self) -> float | None:
        """Wall-clock seconds for 100 customers sent, None where there were none."""
        return 100 * self.seconds / self.fates.sent if self.fates.sent else None

    def then(self, later: ImportReport) -> ImportReport:
        """This import and the one that resumed it, as one: what is beyond the resume point was done again."""
        services = {*self.calls, *later.calls}
        return ImportReport(
            outcome=later.outcome,
            error=later.error,
            fates=self.settled + later.fates,
            settled=self.settled + later.settled,
            offset=self.offset,
            resume_offset=later.resume_offset,
            seconds=self.seconds + later.seconds,
            calls={name: _added(self.calls.get(name), later.calls.get(name)) for name in sorted(services)},
            warnings={
                trait: self.warnings.get(trait, 0) + later.warnings.get(trait, 0)
                for trait in sorted({*self.warnings, *later.warnings})
            },
        )


def _added(first: ServiceCalls | None, second: ServiceCalls | None) -> ServiceCalls:
    first, second = first or ServiceCalls(), second or ServiceCalls()
    return ServiceCalls(
        first.calls + second.calls, first.retries + second.retries, first.rate_limited + second.rate_limited
    )


def make_report(tally: Tally, *, outcome: Outcome, error: SegsyncError | None, seconds: float) -> ImportReport:
    """The report of an import whose events `tally` counted."""
    return ImportReport(
        outcome=outcome,
        error=error,
        fates=tally.fates,
        settled=tally.settled,
        offset=tally.offset,
        resume_offset=tally.resume_offset,
        seconds=seconds,
        calls={
            name: ServiceCalls(service.calls, service.retries, service.rate_limited)
            for name, service in sorted(tally.services.items())
        },
        warnings=dict(tally.left_out.most_common()),
    )
