"""Numbers of an import for Prometheus. It needs the extra `metrics`, and is imported only where it is asked for."""

from __future__ import annotations

import os
import socket
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final

from segsync.__about__ import __version__
from segsync.errors import SettingsError, how_to_install
from segsync.events import (
    ActionEnded,
    BatchSent,
    CallAnswered,
    CallRetried,
    CallsLeft,
    ConcurrencyChanged,
    Event,
    PaceChanged,
    PageDone,
    PageListed,
    ProfileRead,
    ProfileRejected,
    ProfileWithoutIdentifier,
)
from segsync.models import Connector, Outcomes
from segsync.report.counters import Counters

try:
    from prometheus_client import (
        CollectorRegistry,
        Counter,
        Gauge,
        Histogram,
        Info,
        ProcessCollector,
        start_http_server,
    )
except ImportError:
    raise SettingsError([f"--metrics-port needs the extra 'metrics': {how_to_install('metrics')}"]) from None


CALL_SECONDS: Final = (0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3.0, 6.0, 12.0, 30.0)

STAGE_SECONDS: Final = (0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)

MOST_UNDER_WAY: Final = 10_000
"""The most pages and upserts whose time is taken: where nobody reads results, upserts have no end."""


class Metrics:
    """Counts the events of all imports of this process; the outcomes are those of the last import's counters.

    What is replayed counts again, in everything but `segsync_outcomes`.
    """

    def __init__(self) -> None:
        self.registry = own = CollectorRegistry()
        ProcessCollector(registry=own)
        Info("segsync", "The program", registry=own).info({"version": __version__})
        self._profiles = Counter("segsync_profiles", "Profiles that have an outcome", ["outcome"], registry=own)
        self._stages = Counter("segsync_stage_profiles", "Profiles that came through a stage", ["stage"], registry=own)
        self._rejections = Counter("segsync_rejections", "Profiles rejected, by stage", ["stage"], registry=own)
        self._calls = Counter(
            "segsync_calls", "HTTP calls, by status: none where no answer came", ["service", "status"], registry=own
        )
        self._retries = Counter("segsync_retries", "Calls retried", ["service"], registry=own)
        self._call_seconds = Histogram(
            "segsync_call_seconds", "Time of a call", ["service"], buckets=CALL_SECONDS, registry=own
        )
        self._stage_seconds = Histogram(
            "segsync_stage_seconds",
            "Time of a page from its listing until it is done (page), of an upsert until its result (confirm)",
            ["stage"],
            buckets=STAGE_SECONDS,
            registry=own,
        )
        self._outcomes = Gauge(
            "segsync_outcomes", "Profiles by outcome, as the summary adds them up", ["outcome"], registry=own
        )
        self._allowed = Gauge(
            "segsync_calls_allowed_per_second", "Calls per second as configured", ["service"], registry=own
        )
        self._pace = Gauge(
            "segsync_calls_pace_per_second", "Calls per second that may leave now", ["service"], registry=own
        )
        self._left = Gauge("segsync_calls_left", "Calls left, as the service says", ["service", "method"], registry=own)
        self._concurrency = Gauge("segsync_concurrency", "Profiles read at a time", registry=own)
        self._under_way: OrderedDict[tuple[str, str], float] = OrderedDict()

    def show(self, connectors: Sequence[Connector], counters: Counters) -> None:
        """From now on the numbers of these counters are shown, and the limits of these connectors."""
        for outcome in Outcomes.__struct_fields__:
            self._outcomes.labels(outcome).set_function(partial(_number_of, counters, outcome))
        for connector in connectors:
            if connector.limit:
                self._allowed.labels(connector.name).set(connector.limit.per_second)
                self._pace.labels(connector.name).set(connector.limit.per_second)

    def on_event(self, event: Event) -> None:
        """Count an event."""
        match event:
            case CallAnswered(service, status, seconds):
                self._calls.labels(service, "none" if status is None else str(status)).inc()
                self._call_seconds.labels(service).observe(seconds)
            case CallRetried(service):
                self._retries.labels(service).inc()
            case CallsLeft(service, method, remaining):
                self._left.labels(service, method).set(remaining)
            case PaceChanged(service, calls_per_second):
                self._pace.labels(service).set(calls_per_second)
            case ConcurrencyChanged(profiles):
                self._concurrency.set(profiles)
            case _:
                self._count_profiles(event)

    def _count_profiles(self, event: Event) -> None:
        match event:
            case ProfileRead():
                self._stages.labels("read").inc()
            case ProfileWithoutIdentifier():
                self._stages.labels("read").inc()
                self._profiles.labels("without_identifier").inc()
            case PageListed(cursor, profiles):
                self._stages.labels("list").inc(profiles)
                self._begin("page", cursor)
            case PageDone(_, cursor):
                self._end("page", cursor)
            case BatchSent(action_id, sent):
                self._stages.labels("upsert").inc(len(sent))
                self._profiles.labels("sent").inc(len(sent))
                self._begin("confirm", action_id)
            case ActionEnded(action_id, _, confirmed, rejected):
                self._stages.labels("confirm").inc(confirmed + rejected)
                self._profiles.labels("confirmed").inc(confirmed)
                self._end("confirm", action_id)
            case ProfileRejected(rejection):
                self._profiles.labels("rejected").inc()
                self._rejections.labels(rejection.stage).inc()

    def _begin(self, stage: str, which: str) -> None:
        self._under_way[stage, which] = time.monotonic()
        if len(self._under_way) > MOST_UNDER_WAY:
            self._under_way.popitem(last=False)

    def _end(self, stage: str, which: str) -> None:
        began = self._under_way.pop((stage, which), None)
        if began is not None:
            self._stage_seconds.labels(stage).observe(time.monotonic() - began)


def _number_of(counters: Counters, outcome: str) -> float:
    return float(getattr(counters.outcomes, outcome))


@contextmanager
def serving(host: str, port: int) -> Iterator[Metrics]:
    """Metrics that are served at http://host:port/metrics. Raises `SettingsError` where they cannot be."""
    metrics = Metrics()
    try:
        # Tried first: some Pythons let a second program share the port, and each scrape would reach either.
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        socket.create_server(address[:2], family=family).close()
        server, thread = start_http_server(port, addr=host, registry=metrics.registry)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise SettingsError(
            [f"--metrics-port {port} on {host} cannot be used: {reason}. Choose another, or another --metrics-host"]
        ) from None
    try:
        yield metrics
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
