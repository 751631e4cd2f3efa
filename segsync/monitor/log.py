"""The log of an import: one line an event.

Always told: the beginning and the end of a run, every few seconds how far it is, stopping, slowing down and coming
back, profiles that are taken again, that everything is sent; calls that are tried again and requests to wait, at most
every few seconds for each service; the first rejections, and the first warning of each trait (at a terminal those of
ten traits with the same problem).
With `verbose`: each of these, and each page, bulk upsert, outcome and change of concurrency.
Never: calls and profiles that simply go well, of which there are millions. The numbers of every few seconds count them.

No trait and no source id is in a line. Segment ids are, as in the files that a run leaves.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

import msgspec
from msgspec import structs

from segsync.__about__ import __version__
from segsync.errors import CallError
from segsync.events import (
    ActionEnded,
    BatchSent,
    CallAnswered,
    CallRetried,
    CallsLeft,
    ConcurrencyChanged,
    Event,
    MetadataUnchecked,
    PaceChanged,
    PageDone,
    PageListed,
    PageReplayed,
    ProfileRead,
    ProfileRejected,
    ProfileWithoutIdentifier,
    ReadingEnded,
    Throttled,
    TraitLeftOut,
)
from segsync.formatting import duration, in_seconds, time_of_day
from segsync.mapping.metadata import MISSING
from segsync.models import Plan
from segsync.monitor.activity import READING, Activity, in_words
from segsync.monitor.log_handlers import Level, Line, Writer
from segsync.monitor.progress import Progress, ProgressMeter, outlook
from segsync.report.counters import Counters
from segsync.report.import_report import ImportReport
from segsync.report.profile_lists import REJECTED, WARNINGS
from segsync.settings import Settings

NEVER_TOLD: Final = frozenset({CallAnswered, CallsLeft, ProfileRead, ProfileWithoutIdentifier})
"""These are most of the events: they are let by at once."""

LINE_SECONDS = 5.0

REJECTIONS_SHOWN = 10

WARNINGS_SHOWN = 10


class Log:
    """Writes the lines of one import to all `writers`.

    It is a context manager around the import, and its `on_event` wants the import's events after `counters` and
    `activity` have had them. `run` says which it is: the number in the ledger and a random mark of this process.
    """

    def __init__(
        self,
        settings: Settings,
        plan: Plan,
        counters: Counters,
        activity: Activity,
        meter: ProgressMeter,
        writers: Sequence[Writer],
        *,
        verbose: bool = False,
        is_dry_run: bool = False,
    ) -> None:
        self.run = f"{plan.runs[-1] if plan.runs else 0}-{secrets.token_hex(4)}"
        self._settings = settings
        self._plan = plan
        self._counters = counters
        self._activity = activity
        self._meter = meter
        self._writers = writers
        self._verbose = verbose
        self._is_dry_run = is_dry_run
        self._told: dict[str, float] = {}
        self._counted: Counter[str] = Counter()
        self._slowed: set[str] = set()
        self._clock = asyncio.get_running_loop().time
        self._ticker: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        plan = self._plan
        fields = {"kind": plan.kind, "offset": plan.offset, "version": __version__, "counts": self._counts()}
        self._tell("run_started", f"segsync {__version__} begins: {plan.kind} run {self.run}", fields)
        self._ticker = asyncio.get_running_loop().create_task(self._tick())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._ticker:
            self._ticker.cancel()

    def is_stopping(self) -> None:
        """The import was asked to end."""
        ending = "finished" if self._is_dry_run else "finished and sent"
        words = f"Stopping: what is under way is {ending}. Press Ctrl-C again to stop at once."
        self._tell("stopping", words, {"counts": self._counts()})

    def ended(self, report: ImportReport) -> None:
        """The last line of a run."""
        outcomes = report.outcomes
        error = report.error
        fields: dict[str, object] = {
            "state": report.state,
            "offset": report.resume_offset,
            "seconds": report.seconds,
            "counts": self._counts(),
            "error": None if error is None else str(error),
        }
        if isinstance(error, CallError):
            fields |= {"service": error.service, "status": error.status, "request_id": error.request_id}
        words = (
            f"{report.state} after {duration(report.seconds)}: {outcomes.done:,} of {outcomes.profiles:,} profiles done"
        )
        level: Level = "error" if error else "info"
        self._tell("run_ended", f"{words}; {error}" if error else words, fields, level)

    def on_event(self, event: Event) -> None:
        """Tell what is worth a line."""
        if type(event) in NEVER_TOLD:
            return
        match event:
            case CallRetried() | Throttled() | PaceChanged():
                self._tell_of_service(event)
            case MetadataUnchecked(reason):
                words = f"Warning: {reason}, so metadata goes as it is: Voucherify may refuse it"
                self._tell("metadata_unchecked", words, {"stage": "map", "reason": reason}, "warning")
            case ProfileRejected() | TraitLeftOut():
                self._tell_of_profile(event)
            case PageReplayed(profiles):
                self._tell("page_replayed", f"Taking {profiles:,} profiles again", {"profiles": profiles})
            case ReadingEnded(open_upserts) if open_upserts:
                words = f"All is sent. Waiting for the outcome of {open_upserts:,} bulk upserts"
                self._tell("reading_ended", words, {"open_upserts": open_upserts, "counts": self._counts()})
            case PageListed() | BatchSent() | PageDone() | ActionEnded() | ConcurrencyChanged() if self._verbose:
                self._tell_all(event)

    def _tell_of_service(self, event: CallRetried | Throttled | PaceChanged) -> None:
        service = event.service
        fields: dict[str, object]
        match event:
            case CallRetried(_, reason, attempt, wait_seconds, elapsed_seconds, status, request_id):
                fields = {
                    "service": service,
                    "status": status,
                    "request_id": request_id,
                    "attempt": attempt,
                    "wait_seconds": wait_seconds,
                    "elapsed_seconds": elapsed_seconds,
                }
                words = f"{reason}; attempt {attempt + 1} in {wait_seconds:.1f} s, {elapsed_seconds:.0f} s so far"
                self._tell_now_and_then(service, Line("call_retried", words, fields, "warning"))
            case Throttled(_, seconds):
                until, words = in_seconds(seconds), f"{service} asks to wait until"
                line = Line(
                    "throttled",
                    f"{words} {time_of_day(until, in_utc=True)}",
                    {"service": service, "seconds": seconds},
                    at_terminal=f"{words} {time_of_day(until, in_utc=False)}",
                )
                self._tell_now_and_then(f"{service} pause", line, ahead_seconds=seconds)
            case PaceChanged(_, calls_per_second, allowed):
                is_slowed = calls_per_second < allowed
                if is_slowed == (service in self._slowed) and not self._verbose:
                    return
                self._slowed = self._slowed | {service} if is_slowed else self._slowed - {service}
                words = in_words(event) if is_slowed else "back at full rate"
                fields = {"service": service, "calls_per_second": calls_per_second, "allowed": allowed}
                self._tell("pace_changed", f"{service}: {words}", fields)

    def _tell_of_profile(self, event: ProfileRejected | TraitLeftOut) -> None:
        fields: dict[str, object]
        match event:
            case ProfileRejected(rejection):
                fields = {
                    "stage": rejection.stage,
                    "segment_id": rejection.segment_id,
                    "reason": rejection.reason,
                    "request_id": rejection.request_id,
                }
                words = f"Rejected: {rejection.segment_id} ({rejection.stage}): {rejection.reason}"
                line = Line("profile_rejected", words, fields, "warning")
                self._tell_first("rejected", REJECTIONS_SHOWN, line, REJECTED)
            case TraitLeftOut(segment_id, trait, problem):
                fields = {"stage": "map", "segment_id": segment_id, "trait": trait, "problem": problem}
                words = f"Warning: {segment_id} {trait} {problem}: {_what_becomes_of(trait, problem)}"
                self._tell_warning(trait, problem, Line("trait_left_out", words, fields, "warning"))

    def _tell_all(self, event: PageListed | BatchSent | PageDone | ActionEnded | ConcurrencyChanged) -> None:
        """Of what is many."""
        fields: dict[str, object]
        match event:
            case PageListed(cursor, profiles):
                fields = {"stage": "list", "offset": cursor, "profiles": profiles}
                self._tell("page_listed", f"Listed {profiles} profiles at offset {cursor}", fields, "debug")
            case BatchSent(action_id, sent):
                fields = {"stage": "upsert", "action_id": action_id, "customers": len(sent)}
                words = f"{'Would send' if self._is_dry_run else 'Sent'} {len(sent)} customers as {action_id}"
                self._tell("batch_sent", words, fields, "debug")
            case PageDone(_, cursor, next_cursor, outcomes):
                fields = {"stage": "upsert", "offset": next_cursor, "page": cursor, "profiles": outcomes.profiles}
                words = f"The page at offset {cursor} is done"
                self._tell("page_done", words, {**fields, "counts": self._counts()}, "debug")
            case ActionEnded(action_id, customers, confirmed, rejected, request_id):
                fields = {
                    "stage": "confirm",
                    "action_id": action_id,
                    "request_id": request_id,
                    "customers": customers,
                    "confirmed": confirmed,
                    "rejected": rejected,
                }
                words = f"{action_id} has ended: {confirmed} of {customers} customers confirmed, {rejected} rejected"
                self._tell("action_ended", words, fields, "debug")
            case ConcurrencyChanged(profiles):
                words = f"Reading {profiles} profiles at a time"
                self._tell("concurrency_changed", words, {"stage": "read", "profiles": profiles}, "debug")

    # --- how often -----------------------------------------------------------------------------------------

    def _tell_now_and_then(self, topic: str, line: Line, ahead_seconds: float = 0.0) -> None:
        """One line a topic for any `LINE_SECONDS` that it is about: an outage is told, not recited.

        What is about a moment so far `ahead` is told again only if that comes later than the one that was told.
        """
        moment = self._clock() + ahead_seconds
        if self._verbose or moment - self._told.get(topic, -LINE_SECONDS) >= LINE_SECONDS:
            self._told[topic] = moment
            self._write(line)

    def _tell_first(self, topic: str, most: int, line: Line, file: str) -> None:
        """The first few of a kind; the others are in the file."""
        if self._verbose or self._count(topic) <= most:
            self._write(line)
        else:
            self._tell_of_more_in(file)

    def _tell_warning(self, trait: str, problem: str, line: Line) -> None:
        """The first of each trait, at a terminal that of a few with the same problem: there can be hundreds of keys."""
        if self._verbose:
            self._write(line)
            return
        is_first = self._count(trait) == 1
        is_shown = is_first and self._count(problem) <= WARNINGS_SHOWN
        if is_first:
            self._write(line if is_shown else structs.replace(line, at_terminal=""))
        if not is_shown:
            self._tell_of_more_in(WARNINGS)

    def _tell_of_more_in(self, file: str) -> None:
        if self._count(file) == 1:
            words = "--verbose tells of all of these" if self._is_dry_run else f"More of these are in {file}"
            self._tell("more_in_file", words, {"file": None if self._is_dry_run else file})

    def _count(self, topic: str) -> int:
        self._counted[topic] += 1
        return self._counted[topic]

    def _tell(self, event: str, message: str, fields: dict[str, object], level: Level = "info") -> None:
        self._write(Line(event, message, fields, level))

    def _write(self, line: Line) -> None:
        for writer in self._writers:
            writer.write(line, self.run)

    # --- how far -------------------------------------------------------------------------------------------

    async def _tick(self) -> None:
        """Tell how far it is until the import ends."""
        while True:
            self._meter.look()
            await asyncio.sleep(LINE_SECONDS)
            self._write(self._progress(self._meter.look()))

    def _progress(self, speed: Progress) -> Line:
        counters, services, settings = self._counters, self._counters.services, self._settings
        retries = sum(service.retries for service in services.values())
        rate_limited = sum(service.rate_limited for service in services.values())
        left = {f"{left.service} {left.method}": left.remaining for left in self._activity.calls_left.values()}
        fields: dict[str, object] = {
            "activity": self._activity.words(speed.held_up, in_utc=True),
            "offset": counters.resume_offset,
            "counts": self._counts(),
            "read": counters.profiles_read,
            "total": counters.listed if speed.waits_for_results else speed.total,
            "seconds_left": speed.seconds_left,
            "rates": {
                "profiles_per_second": round(speed.profiles, 1),
                "segment_calls_per_second": round(speed.segment, 1),
                "voucherify_calls_per_minute": round(speed.voucherify * 60, 1),
            },
            "calls": {name: service.calls for name, service in services.items()},
            "calls_left": left or None,
            "retries": retries,
            "rate_limited": rate_limited,
        }
        sent = f"{counters.confirmed + counters.sent} customers sent, {counters.confirmed} of them confirmed"
        if self._is_dry_run:
            sent = f"{counters.sent} customers would be sent"
        words = (
            f"{counters.profiles_read} profiles read ({speed.profiles:.0f}/s), {sent}, "
            f"{counters.without_identifier} without identifier, {counters.rejected} rejected; "
            f"Segment {speed.segment:.1f} calls/s of {settings.segment_requests_per_second:g}, "
            f"Voucherify {speed.voucherify * 60:.0f}/min of {settings.voucherify_requests_per_minute:g}; "
            f"{retries} retries, {rate_limited} x 429"
        )
        offset = "" if counters.resume_offset is None else f"; offset {counters.resume_offset}"
        words = f"{words}{outlook(speed)}{offset}"
        state, in_utc = (self._activity.words(speed.held_up, in_utc=in_utc) for in_utc in (False, True))
        if state == READING:
            return Line("progress", words, fields)
        return Line("progress", f"{words}; {in_utc}", fields, at_terminal=f"{words}; {state}")

    def _counts(self) -> object:
        return msgspec.to_builtins(self._counters.outcomes)


def _what_becomes_of(trait: str, problem: str) -> str:
    if problem == MISSING:
        return "sent without it, so Voucherify may refuse the customer"
    return "sent as null" if trait == "birthdate" else "left out"
