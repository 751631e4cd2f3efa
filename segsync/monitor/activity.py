"""What an import is doing right now, in words; from its events alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

from segsync import events
from segsync.formatting import counted, in_seconds, per_unit, time_of_day
from segsync.models import Connector

READING = "reading profiles"
REPLAYING = "re-reading profiles of failed upserts"
RETRYING = "re-reading rejected profiles"
STOPPING = "stopping: finishing what is under way"

SLOW = 0.97
"""Less than this share of the allowed rate is worth a word."""


class Activity:
    """Takes the events of an import; `words()` says what it is doing.

    `connectors` are the source and the sink. `calls_left` has the latest of each service and method.
    """

    def __init__(self, connectors: Sequence[Connector]) -> None:
        self.is_stopping = False
        self.calls_left: dict[tuple[str, str], events.CallsLeft] = {}
        self._pace: dict[str, events.PaceChanged] = {}
        self._connectors = {connector.name: connector for connector in connectors}
        self._sink = connectors[-1].name
        self._clock = asyncio.get_running_loop().time
        self._doing = READING
        self._answered_at: dict[str, float] = {}
        self._outages: dict[str, tuple[float, int | None]] = {}  # since when no call succeeds, and the last status
        self._paused: dict[tuple[str, str], tuple[float, datetime]] = {}  # until when: on the loop's clock, for people

    def on_event(self, event: events.Event) -> None:
        match event:
            case events.CallAnswered(service, status):
                if _is_answer(status):
                    self._answered_at[service] = self._clock()
                    if self._outages:
                        self._outages.pop(service, None)
            case events.CallsLeft(service, method):
                self.calls_left[service, method] = event
            case events.CallRetried(service, status=status, elapsed_seconds=elapsed_seconds):
                # An outage only while no call succeeds: a single one may fail for a reason that is its alone. An answer
                # that is retried is no success: a proxy's page, or a refusal of credentials that were good before.
                answered_at = 0.0 if _is_answer(status) else self._answered_at.get(service, 0.0)
                began = max(self._clock() - elapsed_seconds, answered_at)
                since, _ = self._outages.get(service, (began, None))
                self._outages[service] = (min(began, since), status)
            case events.Throttled(service, seconds, method):
                self._paused[service, method] = (self._clock() + seconds, in_seconds(seconds))
            case events.PaceChanged(service):
                self._pace[service] = event
            case events.ReadingEnded(open_upserts) if open_upserts:
                self._doing = f"waiting for {self._sink}'s results"
            case events.PageReplayed(_, is_retry):
                self._doing = RETRYING if is_retry else REPLAYING

    def words(self, held_up: int = 0, *, in_utc: bool = False) -> str:
        """The activity, the most important first: stopping, a pause, an outage, slowed down, or what is being done.

        `held_up` customers wait for their turn at the sink, where that is all that is being done. Times are local, or
        `in_utc`.
        """
        if self.is_stopping:
            return STOPPING
        now = self._clock()
        if pauses := [(*pause, *paused) for paused, pause in self._paused.items() if pause[0] > now]:
            _, until, service, method = max(pauses)
            waits = f"bulk upserts wait for {service}" if method == "POST" else f"waiting for {service}"
            return f"{waits} until {time_of_day(until, in_utc=in_utc)}"
        if self._outages:
            service, (since, status) = min(self._outages.items(), key=lambda outage: outage[1][0])
            answer = "does not answer" if status is None else f"answers {status}"
            if status is not None and status < 400:
                answer += " with an unreadable body"
            return f"{service} {answer}, retrying, {now - since:.0f} s so far"
        for pace in self._pace.values():
            if pace.calls_per_second < SLOW * pace.allowed:
                return self.pace_words(pace)
        return f"sending to {self._sink}: {counted(held_up, 'customer')} waiting" if held_up else self._doing

    def pace_words(self, pace: events.PaceChanged) -> str:
        """That calls leave more slowly than they may."""
        connector = self._connectors[pace.service]
        why = f"429 below the configured rate; another client may be using this {connector.scope}"
        return f"slowed down to {rate_words(pace.calls_per_second, connector)}: {why}"


def _is_answer(status: int | None) -> bool:
    """Whether the service works: it understood the call, whatever it answered."""
    return status is not None and status < 500 and status not in (408, 425, 429)


def rate_words(calls_per_second: float, connector: Connector) -> str:
    """A rate beside the connector's limit, in the unit of the limit: "61.2 of 100 calls per second"."""
    limit = connector.limit
    if limit is None:
        return f"{per_unit(calls_per_second)} calls per second"
    rate = calls_per_second * limit.calls / limit.per_second
    return f"{per_unit(rate)} of {limit.calls:,g} {'call' if limit.calls == 1 else 'calls'} per {limit.per}"
