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

from segsync import events
from segsync.__about__ import __version__
from segsync.errors import SettingsError, how_to_install
from segsync.models import Connector, Outcomes
from segsync.report.counters import Counters

try:
    import prometheus_client as prometheus
except ImportError:
    problem = f"--metrics-port needs the extra 'metrics': {how_to_install('metrics')}"
    raise SettingsError([problem], code="extra-missing") from None

CALL_SECONDS: Final = (0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3.0, 6.0, 12.0, 30.0)
STAGE_SECONDS: Final = (0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)

MOST_UNDER_WAY: Final = 10_000
"""The most pages and upserts whose time is taken: where nobody reads results, upserts have no end."""


class Metrics:
    """Counts the events of all imports of this process; the outcomes are those of the last import's counters.

    What is replayed counts again, in everything but `segsync_outcomes`.
    """

    def __init__(self) -> None:
        self.registry = prometheus.CollectorRegistry()
        counter = partial(prometheus.Counter, registry=self.registry)
        gauge = partial(prometheus.Gauge, registry=self.registry)
        histogram = partial(prometheus.Histogram, registry=self.registry)
        prometheus.ProcessCollector(registry=self.registry)
        prometheus.Info("segsync", "The program", registry=self.registry).info({"version": __version__})
        self._profiles = counter("segsync_profiles", "Profiles that have an outcome", ["outcome"])
        self._stages = counter("segsync_stage_profiles", "Profiles that passed a stage", ["stage"])
        self._rejections = counter("segsync_rejections", "Profiles rejected, by stage", ["stage"])
        by_status = "HTTP calls by status; none: no answer"
        self._calls = counter("segsync_calls", by_status, ["service", "status"])
        self._retries = counter("segsync_retries", "Calls retried", ["service"])
        self._call_seconds = histogram("segsync_call_seconds", "Time of a call", ["service"], buckets=CALL_SECONDS)
        self._stage_seconds = histogram(
            "segsync_stage_seconds",
            "Time of a page from its listing until it is done (page), of an upsert until its result (confirm)",
            ["stage"],
            buckets=STAGE_SECONDS,
        )
        self._outcomes = gauge("segsync_outcomes", "Profiles by outcome, as in the summary", ["outcome"])
        self._allowed = gauge("segsync_calls_allowed_per_second", "Calls per second as configured", ["service"])
        self._pace = gauge("segsync_calls_pace_per_second", "Calls per second allowed now", ["service"])
        self._left = gauge("segsync_calls_left", "Calls left, as reported by the service", ["service", "method"])
        self._concurrency = gauge("segsync_concurrency", "Concurrent profile reads")
        self._under_way: OrderedDict[tuple[str, str], float] = OrderedDict()

    def show(self, connectors: Sequence[Connector], counters: Counters) -> None:
        """From now on the numbers of these counters are shown, and the limits of these connectors."""

        def number_of(outcome: str) -> float:
            return float(getattr(counters.outcomes, outcome))

        for outcome in Outcomes.__struct_fields__:
            self._outcomes.labels(outcome).set_function(partial(number_of, outcome))
        for connector in connectors:
            if connector.limit:
                self._allowed.labels(connector.name).set(connector.limit.per_second)
                self._pace.labels(connector.name).set(connector.limit.per_second)

    def on_event(self, event: events.Event) -> None:
        match event:
            case events.CallAnswered(service, status, seconds):
                self._calls.labels(service, "none" if status is None else str(status)).inc()
                self._call_seconds.labels(service).observe(seconds)
            case events.CallRetried(service):
                self._retries.labels(service).inc()
            case events.CallsLeft(service, method, remaining):
                self._left.labels(service, method).set(remaining)
            case events.PaceChanged(service, calls_per_second):
                self._pace.labels(service).set(calls_per_second)
            case events.ConcurrencyChanged(profiles):
                self._concurrency.set(profiles)
            case _:
                self._count_profiles(event)

    def _count_profiles(self, event: events.Event) -> None:
        match event:
            case events.ProfileRead():
                self._stages.labels("read").inc()
            case events.ProfileWithoutIdentifier():
                self._stages.labels("read").inc()
                self._profiles.labels("without_identifier").inc()
            case events.PageListed(cursor, profiles):
                self._stages.labels("list").inc(profiles)
                self._begin("page", cursor)
            case events.PageDone(_, cursor):
                self._end("page", cursor)
            case events.BatchSent(action_id, sent):
                self._stages.labels("upsert").inc(len(sent))
                self._profiles.labels("sent").inc(len(sent))
                self._begin("confirm", action_id)
            case events.ActionEnded(action_id, _, confirmed, rejected):
                self._stages.labels("confirm").inc(confirmed + rejected)
                self._profiles.labels("confirmed").inc(confirmed)
                self._end("confirm", action_id)
            case events.DuplicateIdentifier():
                self._profiles.labels("duplicate").inc()
            case events.ResultUnknown():
                self._profiles.labels("unknown").inc()
            case events.ProfileRejected(rejection):
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


@contextmanager
def serving(host: str, port: int) -> Iterator[Metrics]:
    """Metrics that are served at http://host:port/metrics. Raises `SettingsError` where they cannot be."""
    metrics = Metrics()
    try:
        # Tried first: some Pythons let a second program share the port, and each scrape would reach either.
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        socket.create_server(address[:2], family=family).close()
        server, thread = prometheus.start_http_server(port, addr=host, registry=metrics.registry)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise SettingsError(
            [f"--metrics-port {port} on {host} cannot be used: {reason}. Choose another, or another --metrics-host"],
            code="port-unusable",
        ) from None
    try:
        yield metrics
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
