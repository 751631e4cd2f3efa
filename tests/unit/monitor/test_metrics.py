"""What Prometheus scrapes: counters and histograms by stage, service and status, over HTTP on this machine alone."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from segsync.errors import SettingsError
from segsync.events import (
    ActionEnded,
    BatchSent,
    CallAnswered,
    CallRetried,
    CallsLeft,
    ConcurrencyChanged,
    DuplicateIdentifier,
    Event,
    PaceChanged,
    PageDone,
    PageListed,
    ProfileRead,
    ProfileRejected,
    ProfileWithoutIdentifier,
    SentProfile,
)
from segsync.models import Outcomes, Rejection
from segsync.monitor.metrics import MOST_UNDER_WAY, Metrics, serving
from segsync.report.counters import Counters
from tests.unit.monitor.connectors import CONNECTORS

EVENTS: tuple[Event, ...] = (
    PageListed("0", 5),
    CallAnswered("Segment", 200, 0.03),
    CallAnswered("Segment", 503, 0.3),
    CallAnswered("Segment", None, 30.0),
    CallRetried("Segment", "answered 503", 1, 1.0, 0.0, 503),
    CallAnswered("Voucherify", 202, 0.1),
    CallsLeft("Voucherify", "POST", 57, 100),
    PaceChanged("Segment", 61.0, 100.0),
    ConcurrencyChanged(64),
    ProfileRead("use_1"),
    ProfileRead("use_2"),
    ProfileWithoutIdentifier("use_3"),
    ProfileRejected(Rejection("use_4", None, "read", "answered 400"), 1),
    ProfileRead("use_5"),
    DuplicateIdentifier("use_5", 1, "use_1"),
    BatchSent("aa_1", tuple(SentProfile(1, f"use_{each}", f"u{each}") for each in (1, 2))),
    PageDone(1, "0", None, Outcomes(sent=2, without_identifier=1, duplicate=1, rejected=1)),
    ProfileRejected(Rejection("use_2", "u2", "confirm", "invalid_customer"), 1),
    ActionEnded("aa_1", 2, 1, 1),
)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def scraped(port: int, host: str = "127.0.0.1") -> dict[str, float]:
    """Every sample, by its name and labels."""
    with urlopen(f"http://{host}:{port}/metrics") as answer:
        text = answer.read().decode()
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def counted(metrics: Metrics) -> None:
    counters = Counters("0")
    metrics.show(CONNECTORS, counters)
    for event in EVENTS:
        counters.count(event)
        metrics.on_event(event)


def test_a_scrape_has_calls_profiles_stages_and_limits() -> None:
    port = free_port()
    with serving("127.0.0.1", port) as metrics:
        counted(metrics)
        samples = scraped(port)
    expected = {
        "segsync_calls_total Segment 200": 1,
        "segsync_calls_total Segment 503": 1,
        "segsync_calls_total Segment none": 1,
        "segsync_calls_total Voucherify 202": 1,
        "segsync_retries_total Segment": 1,
        "segsync_call_seconds_count Segment": 3,
        "segsync_stage_profiles_total list": 5,
        "segsync_stage_profiles_total read": 4,
        "segsync_stage_profiles_total upsert": 2,
        "segsync_stage_profiles_total confirm": 2,
        "segsync_stage_seconds_count page": 1,
        "segsync_stage_seconds_count confirm": 1,
        "segsync_profiles_total sent": 2,
        "segsync_profiles_total confirmed": 1,
        "segsync_profiles_total without_identifier": 1,
        "segsync_profiles_total duplicate": 1,
        "segsync_profiles_total rejected": 2,
        "segsync_rejections_total read": 1,
        "segsync_rejections_total confirm": 1,
        "segsync_calls_left POST Voucherify": 57,
        "segsync_calls_allowed_per_second Segment": 100,
        "segsync_calls_pace_per_second Segment": 61,
        "segsync_concurrency": 64,
    }
    assert {name: samples.get(name) for name in expected} == expected


def test_the_outcomes_are_those_of_the_summary_and_add_up() -> None:
    port = free_port()
    with serving("127.0.0.1", port) as metrics:
        counted(metrics)
        samples = scraped(port)
    outcomes = {name.split()[1]: value for name, value in samples.items() if name.startswith("segsync_outcomes ")}
    assert outcomes == {
        "confirmed": 1,
        "sent": 0,
        "without_identifier": 1,
        "rejected": 2,
        "pending": 0,
        "duplicate": 1,
        "unknown": 0,
    }


def test_no_id_and_no_address_is_in_a_scrape() -> None:
    port = free_port()
    with serving("127.0.0.1", port) as metrics:
        counted(metrics)
        with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            text = answer.read().decode()
    assert not [secret for secret in ("use_", "aa_1", "spa_1", "token", "u2") if secret in text]


def test_upserts_whose_result_nobody_reads_do_not_fill_the_memory() -> None:
    metrics = Metrics()
    for number in range(MOST_UNDER_WAY + 10):
        metrics.on_event(BatchSent(f"aa_{number}", ()))
    assert len(metrics._under_way) == MOST_UNDER_WAY


def test_the_port_is_free_again_afterwards() -> None:
    port = free_port()
    for _ in range(2):
        with serving("127.0.0.1", port):
            pass


def test_it_listens_on_no_other_address() -> None:
    port = free_port()
    with serving("127.0.0.1", port), pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.2", port)).close()


def test_a_port_that_is_taken_is_named() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        pytest.raises(SettingsError, match=r"--metrics-port \d+ on 127.0.0.1 cannot be used: Address already in use"),
        serving("127.0.0.1", server.getsockname()[1]),
    ):
        pass


def test_a_host_that_is_not_ours_is_named() -> None:
    with pytest.raises(SettingsError, match=r"on 192\.0\.2\.1 cannot be used"), serving("192.0.2.1", free_port()):
        pass


@pytest.mark.parametrize("is_roundabout", [False, True], ids=["plain", "with .."])
def test_without_the_extra_the_message_has_the_command_that_installs_it(is_roundabout: bool) -> None:
    python = Path(os.path.normpath(sys.executable))
    called = python.parent / ".." / python.parent.name / python.name if is_roundabout else python
    code = f"import sys; sys.executable = {str(called)!r}; sys.modules['prometheus_client'] = None"
    ended = subprocess.run(
        [sys.executable, "-c", f"{code}; import segsync.monitor.metrics"], capture_output=True, text=True, check=False
    )
    assert f"needs the extra 'metrics': {python} -m pip install 'segsync[metrics]'" in ended.stderr
