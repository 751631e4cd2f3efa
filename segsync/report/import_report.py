"""What an import did, as one object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from datetime import UTC, datetime
from typing import Literal

from msgspec import Struct

from segsync.errors import SegsyncError
from segsync.models import LastCheck, Outcomes, RejectionGroup, WarningGroup, by_trait
from segsync.report.counters import Counters, ServiceCalls, Throughput

EndState = Literal["done", "interrupted", "stopped"]


class ImportReport(Struct, frozen=True):
    """What an import did.

    `state` is "done", "interrupted" (it was asked to stop) or "stopped" (by `error`). `outcomes` add up to the profiles
    listed, those of earlier processes of the same import included, whose share is `before`; `is_confirmed` says whether
    Voucherify's results were read. In a dry run, "sent" is what would be sent. `offset` is where this process began to
    list and `resume_offset` where the next one goes on, None where nothing is left to list. `checkpointed` are the
    outcomes of the profiles before it, as they were when their pages were done. `rejections` groups the rejected
    profiles by reason, the largest group first, and `unknown` those whose result is unknown. `not_imported` is what the
    last check with these settings found.

    Of the whole ledger, its earlier imports included: `warnings` counts by trait what `warned_profiles` were sent
    without, `problems` by trait and problem; and `rejected_now` and `unknown_now` the profiles that are rejected, or
    whose result is unknown, and who have had no other outcome since. `unwritten` says which lists of profiles could not
    be written, and why.

    Of this process: `offset`, `calls`, `throughput` and times, and `unknown_ids`, the number of given ids that the
    source does not know; they are not among the profiles, and it is None where no ids were given.

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
    rejected_now: int = 0
    unknown_now: int = 0
    unwritten: tuple[str, ...] = ()
    unknown_ids: int | None = None

    @property
    def left(self) -> str:
        """Why a run that is done is no full success, in two words, "" where it is one: exit code 3."""
        counts = {
            "rejected profiles": self.rejected_now or self.outcomes.rejected,
            "unknown results": self.unknown_now or self.outcomes.unknown,
            "unknown ids": self.unknown_ids,
        }
        return next((words for words, count in counts.items() if count), "")

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


class Standing(Struct, frozen=True):
    """What the ledger holds of some runs, and of all its profiles.

    `outcomes` are those of the runs, and `rejections` and `unknown` their profiles grouped by reason. `rejected_now`
    and `unknown_now` count the profiles of the ledger whose rejection is unresolved, or whose result is unknown,
    whichever run that is from. `problems` counts what customers were sent without, for `warned_profiles`.
    """

    outcomes: Outcomes
    rejections: tuple[RejectionGroup, ...] = ()
    unknown: tuple[RejectionGroup, ...] = ()
    rejected_now: int = 0
    unknown_now: int = 0
    problems: tuple[WarningGroup, ...] = ()
    warned_profiles: int = 0


def _as_counted(counters: Counters) -> Standing:
    """How an import stands as far as this process has seen it."""
    outcomes = counters.outcomes
    return Standing(
        outcomes,
        rejected_now=outcomes.rejected,
        unknown_now=outcomes.unknown,
        problems=tuple(WarningGroup(*text, count) for text, count in counters.problems.most_common()),
        warned_profiles=counters.warned_profiles,
    )


def make_report(
    counters: Counters,
    *,
    state: EndState,
    error: SegsyncError | None,
    is_confirmed: bool,
    is_dry_run: bool = False,
    standing: Standing | None = None,
    not_imported: LastCheck | None = None,
    unwritten: Sequence[str] = (),
) -> ImportReport:
    """The report of an import whose events `counters` counted, and which ends now.

    Its `standing` is that of the ledger, None where that cannot be read: what the counters have seen beyond the
    checkpoint will be repeated.
    """
    standing = standing or _as_counted(counters)
    return ImportReport(
        state=state,
        error=error,
        outcomes=standing.outcomes,
        before=counters.before,
        is_confirmed=is_confirmed,
        checkpointed=counters.checkpointed,
        offset=counters.offset,
        resume_offset=counters.resume_offset,
        seconds=counters.seconds,
        calls={name: copy(calls) for name, calls in sorted(counters.services.items())},
        warnings=by_trait(standing.problems),
        is_dry_run=is_dry_run,
        began_at=counters.began_at.isoformat(timespec="seconds") if counters.began_at else None,
        ended_at=datetime.now(UTC).isoformat(timespec="seconds"),
        throughput=counters.buckets.throughput,
        rejections=standing.rejections,
        unknown=standing.unknown,
        not_imported=not_imported,
        warned_profiles=standing.warned_profiles,
        problems=standing.problems,
        rejected_now=standing.rejected_now,
        unknown_now=standing.unknown_now,
        unwritten=tuple(unwritten),
        unknown_ids=counters.unknown_ids,
    )
