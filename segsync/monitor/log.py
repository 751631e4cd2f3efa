"""The log of an import: records on the logger `segsync`, with the fields of the event in `extra`.

The guide for operators lists the events, their levels and fields. Calls and profiles that simply go well, of which
there are millions, are never logged: the progress of every few seconds counts them.
No trait and no source id is in a record. Segment ids are, as in the files that a run leaves.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from itertools import count
from logging import DEBUG, ERROR, INFO, WARNING
from pathlib import Path
from typing import Any, Final

from msgspec.structs import asdict

from segsync import events
from segsync.__about__ import __version__
from segsync.errors import CallError, with_code
from segsync.formatting import counted, duration, in_seconds, time_of_day
from segsync.mapping.problems import consequence
from segsync.models import Connector, Cost, Plan, Rejection
from segsync.monitor.activity import READING, Activity, rate_words
from segsync.monitor.progress import Progress, ProgressMeter
from segsync.monitor.start import kind_words, shown_id, start_words
from segsync.report.counters import Counters
from segsync.report.import_report import ImportReport, make_report
from segsync.report.profile_lists import DUPLICATES, REJECTED, WARNINGS, list_path

LOGGER: Final = logging.getLogger("segsync")
LOGGER.addHandler(logging.NullHandler())  # without it, Python prints the warnings of programs that configure no logging

PROFILES: Final = frozenset({events.ProfileRead, events.ProfileWithoutIdentifier})
CALLS: Final = frozenset({events.CallAnswered, events.CallsLeft})
"""These are most of the events: they are let by at once."""

LINE_SECONDS = 5.0
REJECTIONS_SHOWN = 10
WARNINGS_SHOWN = 10


@dataclass(eq=False)
class Log:
    """Logs one import while it is `running`; its `on_event` takes the import's events after `counters` has had them.

    `connectors` are the source and the sink, `profiles` the number that the user expects, `limit` the most that are
    imported. Where the import `has_lists`, they name all rejected profiles and all warnings, in the
    folder `lists`. `activity` and `meter` are for a display too. `run` is the number in the ledger and a random mark of
    this process. `identifier` and `cost` are for the first line: the type of external id, and what is ahead, where that
    is known.
    """

    plan: Plan
    counters: Counters
    connectors: Sequence[Connector]
    _: KW_ONLY
    stop: asyncio.Event
    batch_size: int
    ledger: Path | None = None
    profiles: int | None = None
    limit: int | None = None
    identifier: str | None = None
    cost: Cost | None = None
    confirms: bool = True
    is_dry_run: bool = False
    is_sandbox: bool = False
    has_lists: bool = True
    lists: Path | None = None

    def __post_init__(self) -> None:
        self.run = f"{self.plan.runs[-1] if self.plan.runs else 0}-{secrets.token_hex(4)}"
        total = self.plan.total(self.profiles, self.limit)
        counters, connectors, sends = self.counters, self.connectors, not self.is_dry_run
        self.activity = Activity(connectors)
        self.meter = ProgressMeter(
            counters, total, connectors, batch_size=self.batch_size, sends=sends, confirms=self.confirms
        )
        self._sink = self.connectors[-1].name
        self._logged_at: dict[str, float] = {}
        self._count_of = defaultdict[str, Iterator[int]](lambda: count(1))
        self._slowed: set[str] = set()
        self._clock = asyncio.get_running_loop().time

    @contextmanager
    def running(self) -> Iterator[None]:
        """Log the beginning, and for as long as this is open how far the import is."""
        source, sink = self.connectors
        allowed = {each.name: round(each.limit.per_second, 2) for each in self.connectors if each.limit}
        about: dict[str, Any] = {"identifier": self.identifier, "limit": self.limit, "is_dry_run": self.is_dry_run}
        about |= {"ledger": self.ledger and str(self.ledger), "is_sandbox": self.is_sandbox}
        words = start_words(self.plan, self.connectors, cost=self.cost, **about)
        self._log(
            "run_started",
            f"segsync {__version__} starts: {kind_words(self.plan)} {self.run}. {words}",
            at_terminal=words,
            kind=self.plan.kind,
            space=source.identity,
            host=sink.host or None,
            application=shown_id(sink) or None,
            offset=self.plan.offset,
            expected=self.cost and asdict(self.cost),
            calls_allowed_per_second=allowed,
            version=__version__,
            outcomes=asdict(self.counters.outcomes),
            **about,
        )
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(self._log_progress()), loop.create_task(self._log_stop())]
        try:
            yield
        except asyncio.CancelledError:
            self.ended(make_report(self.counters, state="interrupted", error=None, is_confirmed=self.confirms))
            raise
        finally:
            for task in tasks:
                task.cancel()

    def ended(self, report: ImportReport) -> None:
        """Log the summary, the last record of a run."""
        outcomes, error = report.outcomes, report.error
        for problem in report.unwritten:
            self._log("list_unwritten", f"Error: {problem}", ERROR)
        done = f"{outcomes.done:,} of {counted(outcomes.profiles, 'profile')} done"
        words = f"{report.state} after {duration(report.seconds)}: {done}"
        call = error if isinstance(error, CallError) else None
        self._log(
            "summary",
            f"{words}; {error.with_code}" if error else words,
            ERROR if error else INFO,
            state=report.state,
            outcomes=asdict(outcomes),
            offset=report.resume_offset,
            seconds=report.seconds,
            **self._calls(),
            warnings=sum(report.warnings.values()),
            error=None if error is None else str(error),
            code=error and error.code,
            service=call and call.service,
            status=call and call.status,
            request_id=call and call.request_id,
        )

    def on_event(self, event: events.Event) -> None:  # noqa: PLR0912 - a branch per event
        kind = type(event)
        if kind in PROFILES:
            return
        self.activity.on_event(event)
        if kind in CALLS:
            return
        match event:
            case events.CallRetried(service, reason, attempt, wait, so_far):
                level = WARNING if self._is_due(service) else DEBUG
                words = f"{reason}; attempt {attempt + 1} follows in {wait:.1f} s, {so_far:.0f} s so far"
                self._log("call_retried", words, level, **asdict(event))
            case events.Throttled(service, seconds, method):
                level = INFO if self._is_due(f"{service} {method} pause", ahead_seconds=seconds) else DEBUG
                who = "bulk upserts to wait" if method == "POST" else "to wait"
                until, words = in_seconds(seconds), f"{service} asks {who} until"
                in_utc, local = (f"{words} {time_of_day(until, in_utc=in_utc)}" for in_utc in (True, False))
                self._log("throttled", in_utc, level, at_terminal=local, **asdict(event))
            case events.PaceChanged(service, calls_per_second, allowed):
                is_slowed = calls_per_second < allowed
                level = DEBUG if is_slowed == (service in self._slowed) else INFO
                self._slowed = self._slowed | {service} if is_slowed else self._slowed - {service}
                words = f"{service}: {self.activity.pace_words(event) if is_slowed else 'back at full rate'}"
                self._log("pace_changed", words, level, **asdict(event))
            case events.ProfileRejected(rejection):
                self._log_rejection(rejection)
            case events.ResultUnknown(segment_id, _, reason):
                level = WARNING if next(self._count_of["unknown"]) <= REJECTIONS_SHOWN else DEBUG
                words = f"Result unknown: {segment_id}: {reason}"
                self._log("result_unknown", words, level, stage="confirm", **asdict(event))
            case events.DuplicateIdentifier():
                self._log_duplicate(event)
            case events.TraitLeftOut():
                self._log_warning(event)
            case events.MetadataUnchecked(reason):
                words = f"Warning: {reason}, so metadata is sent as it is: {self._sink} may refuse it"
                self._log("metadata_unchecked", words, WARNING, stage="map", reason=reason)
            case events.ListedAnew(done):
                words = f"{self.connectors[0].name} no longer accepts the ledger's cursor: listing again from the "
                words += f"beginning, skipping {counted(done, 'profile')} already done"
                self._log("listed_anew", words, WARNING, stage="list", profiles=done)
            case events.PageReplayed() | events.ReadingEnded():
                self._log_stage(event)
            case _ if LOGGER.isEnabledFor(DEBUG):
                self._log_detail(event)

    def _log_detail(self, event: events.Event) -> None:
        match event:
            case events.PageListed(cursor, profiles):
                words = f"Listed {counted(profiles, 'profile')} at offset {cursor}"
                self._log("page_listed", words, DEBUG, stage="list", offset=cursor, profiles=profiles)
            case events.BatchSent(action_id, sent):
                words = f"{'Would send' if self.is_dry_run else 'Sent'} {counted(len(sent), 'customer')} as {action_id}"
                self._log("batch_sent", words, DEBUG, stage="upsert", action_id=action_id, customers=len(sent))
            case events.PageDone(_, cursor, next_cursor, outcomes):
                self._log(
                    "page_done",
                    f"The page at offset {cursor} is done",
                    DEBUG,
                    stage="upsert",
                    offset=next_cursor,
                    page=cursor,
                    profiles=outcomes.profiles,
                    outcomes=asdict(self.counters.outcomes),
                )
            case events.ActionEnded(action_id, customers, confirmed, rejected, _, unknown):
                words = f"{action_id} has ended: {confirmed} of {counted(customers, 'customer')} confirmed"
                words += f", {rejected} rejected" + (f", {unknown} unknown" if unknown else "")
                self._log("action_ended", words, DEBUG, stage="confirm", **asdict(event))
            case events.ConcurrencyChanged(profiles):
                words = f"Concurrent profile reads: {profiles}"
                self._log("concurrency_changed", words, DEBUG, stage="read", profiles=profiles)

    def _log_stage(self, event: events.PageReplayed | events.ReadingEnded) -> None:
        if isinstance(event, events.PageReplayed):
            words = f"{'Retrying' if event.is_retry else 'Replaying'} {counted(event.profiles, 'profile')}"
            if event.is_search:
                words += f" in smaller bulk upserts: {self._sink} refused some and does not say which"
            level = DEBUG if event.is_search and not self._is_due("search") else INFO
            self._log("page_replayed", words, level, profiles=event.profiles)
        elif event.open_upserts:
            words = f"All customers are sent. Waiting for the results of {counted(event.open_upserts, 'bulk upsert')}"
            level = INFO if self._is_due("results") else DEBUG
            outcomes = asdict(self.counters.outcomes)
            self._log("reading_ended", words, level, open_upserts=event.open_upserts, outcomes=outcomes)

    def _log_rejection(self, rejection: Rejection) -> None:
        is_shown = next(self._count_of["rejected"]) <= REJECTIONS_SHOWN
        if is_shown or LOGGER.isEnabledFor(DEBUG):
            fields = asdict(rejection)
            del fields["source_id"]  # it is personal data
            words = f"Rejected: {rejection.segment_id} ({rejection.stage}): "
            words += with_code(rejection.reason, rejection.code)
            self._log("profile_rejected", words, WARNING if is_shown else DEBUG, **fields)
        if not is_shown:
            self._log_more_in(REJECTED)

    def _log_duplicate(self, event: events.DuplicateIdentifier) -> None:
        is_shown = next(self._count_of["duplicate"]) <= WARNINGS_SHOWN
        if is_shown or LOGGER.isEnabledFor(DEBUG):
            words = f"Duplicate identifier: {event.segment_id} has the same as {event.other}, whose values are kept"
            fields = {"segment_id": event.segment_id, "same_identifier_as": event.other}
            self._log("duplicate_identifier", words, WARNING if is_shown else DEBUG, **fields)
        if not is_shown:
            self._log_more_in(DUPLICATES)

    def _log_warning(self, event: events.TraitLeftOut) -> None:
        """The first of each trait; at a terminal of a few with the same problem: there can be hundreds of keys."""
        trait, problem, is_verbose = event.trait, event.problem, LOGGER.isEnabledFor(DEBUG)
        is_first = next(self._count_of[trait]) == 1
        is_shown = is_first and next(self._count_of[problem]) <= WARNINGS_SHOWN
        if is_first or is_verbose:
            parts = (f"Warning: {event.segment_id} {trait} {problem}", consequence(trait, problem, self._sink))
            words = ": ".join(filter(None, parts))
            at_terminal = words if is_shown or is_verbose else ""
            level = WARNING if is_first else DEBUG
            self._log("trait_left_out", words, level, at_terminal=at_terminal, stage="map", **asdict(event))
        if not is_shown:
            self._log_more_in(WARNINGS)

    def _log_more_in(self, file: str) -> None:
        """Once for each file: that it has more than are shown."""
        file = str(list_path(file, self.lists or Path(), self.ledger))
        if next(self._count_of[file]) == 1 and not LOGGER.isEnabledFor(DEBUG):
            where = f"in {file}" if self.has_lists else "not shown: --verbose shows all"
            self._log("more_in_file", f"More of these are {where}", file=file if self.has_lists else None)

    def _is_due(self, topic: str, ahead_seconds: float = 0.0) -> bool:
        """True once in any `LINE_SECONDS` for each topic; what is `ahead` is due only if it comes later than before."""
        moment = self._clock() + ahead_seconds
        is_due = moment - self._logged_at.get(topic, -LINE_SECONDS) >= LINE_SECONDS
        if is_due:
            self._logged_at[topic] = moment
        return is_due

    def _log(
        self, event: str, message: str, level: int = INFO, *, at_terminal: str | None = None, **fields: object
    ) -> None:
        """`at_terminal` is what a terminal shows instead of the message, and nothing where it is empty."""
        if at_terminal not in (None, message):
            fields["at_terminal"] = at_terminal
        LOGGER.log(level, message, extra={"event": event, "run": self.run, **fields})

    async def _log_stop(self) -> None:
        await self.stop.wait()
        self.activity.is_stopping = True
        words = f"Stopping: {'finishing' if self.is_dry_run else 'finishing and sending'} what is under way"
        more = f"{words}. Press Ctrl-C again to stop at once."
        self._log("stopping", words, at_terminal=more, outcomes=asdict(self.counters.outcomes))

    async def _log_progress(self) -> None:
        while True:
            self.meter.look()
            await asyncio.sleep(LINE_SECONDS)
            progress, counters = self.meter.look(), self.counters
            words = self._progress_words(progress)
            in_utc, local = (self.activity.words(progress.held_up, in_utc=in_utc) for in_utc in (True, False))
            ends = ("", "") if local == READING else (f"; {in_utc}", f"; {local}")
            left = {" ".join(call): left.remaining for call, left in self.activity.calls_left.items()}
            self._log(
                "progress",
                words + ends[0],
                at_terminal=words + ends[1],
                activity=in_utc,
                offset=counters.resume_offset,
                outcomes=asdict(counters.outcomes),
                read=counters.profiles_read,
                total=counters.listed if progress.waits_for_results else progress.total,
                eta_seconds=progress.eta_seconds,
                profiles_per_second=round(progress.profiles_per_second, 1),
                calls_per_second={name: round(rate, 2) for name, rate in progress.calls_per_second.items()},
                **self._calls(),
                calls_left=left or None,
            )

    def _progress_words(self, progress: Progress) -> str:
        counters, calls = self.counters, self._calls()
        sent = counted(counters.confirmed + counters.sent, "customer")
        sent = f"{sent} sent, {counters.confirmed:,} of them confirmed"
        if self.is_dry_run:
            sent = f"{counted(counters.sent, 'customer')} would be sent"
        rates = (f"{each.name} {rate_words(progress.calls_per_second[each.name], each)}" for each in self.connectors)
        parts = [
            f"{counted(counters.profiles_read, 'profile')} read ({progress.profiles_per_second:.0f}/s), {sent}, "
            f"{counters.without_identifier:,} without identifier, {counters.rejected:,} rejected"
            + (f", {counters.duplicate:,} with a duplicate identifier" if counters.duplicate else "")
            + (f", {counters.unknown:,} with an unknown result" if counters.unknown else ""),
            ", ".join(rates),
            f"{counted(calls['retries'], 'retry', 'retries')}, {calls['rate_limited']:,} x 429",
            progress.words(),
            "" if counters.resume_offset is None else f"offset {counters.resume_offset}",
        ]
        return "; ".join(part for part in parts if part)

    def _calls(self) -> dict[str, Any]:
        services = self.counters.services
        return {
            "calls": {name: service.calls for name, service in services.items()},
            "retries": sum(service.retries for service in services.values()),
            "rate_limited": sum(service.rate_limited for service in services.values()),
        }
