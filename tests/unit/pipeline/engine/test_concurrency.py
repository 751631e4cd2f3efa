"""How many profiles are read at a time follows from the latency, and from nothing else."""

from __future__ import annotations

import resource
from collections.abc import Callable

import pytest

from segsync.models import Usage
from segsync.pipeline.engine.concurrency import FIRST, MOST, ConcurrencyController, most_workers


def _sizes(calls_per_second: Callable[[int], float], allowed: float, seconds: int = 60) -> list[int]:
    """The size in each of so many seconds, where `size` workers make `calls_per_second(size)`."""
    controller = ConcurrencyController()
    sizes = []
    for now in range(seconds):
        calls = min(calls_per_second(controller.size), allowed)
        sizes.append(controller.judge(Usage(calls, calls / allowed), now))
    return sizes


def _at_latency(seconds: float) -> Callable[[int], float]:
    return lambda size: size / seconds


@pytest.mark.parametrize(
    ("allowed", "latency_seconds"), [(100, 0.08), (100, 0.5), (1000, 0.08), (1000, 0.2), (5000, 0.1)]
)
def test_it_grows_to_what_rate_and_latency_ask_for_and_not_much_beyond(allowed: float, latency_seconds: float) -> None:
    sizes = _sizes(_at_latency(latency_seconds), allowed)

    needed = allowed * latency_seconds
    assert sizes[10] >= 0.98 * needed, "within a few looks"
    assert sizes[-1] <= max(1.25 * needed, FIRST)


def test_it_stays_as_it_is_where_it_is_enough() -> None:
    assert set(_sizes(_at_latency(0.08), allowed=100)) == {FIRST}


def test_it_goes_back_where_more_workers_bring_nothing_and_tries_that_rarely() -> None:
    sizes = _sizes(lambda _size: 4000, allowed=100_000, seconds=120)

    assert sizes[1] == FIRST
    assert sum(size > FIRST for size in sizes) <= 5


def test_it_has_an_end_however_slow_the_service_is() -> None:
    assert _sizes(_at_latency(60), allowed=1000, seconds=900)[-1] == MOST


def test_it_grows_again_when_the_latency_does() -> None:
    controller = ConcurrencyController()
    for now in range(10):
        controller.judge(Usage(100, 1.0), now)
    for now in range(10, 20):
        calls = min(controller.size / 0.4, 100)
        controller.judge(Usage(calls, calls / 100), now)

    assert 40 <= controller.size <= 50


def test_an_outage_is_not_a_reason_to_try_more() -> None:
    controller = ConcurrencyController()
    assert [controller.judge(Usage(0.0, 0.0), now) for now in range(60)] == [FIRST] * 60


def test_it_is_not_judged_before_the_new_workers_have_had_an_answer() -> None:
    controller, latency_seconds = ConcurrencyController(), 3.0
    changed_at, sizes = 0.0, []
    before = after = FIRST
    for now in range(60):  # what is used follows the size a latency later
        working = after if now - changed_at >= latency_seconds else before
        calls = min(working / latency_seconds, 100)
        size = controller.judge(Usage(calls, calls / 100), now)
        if size != after:
            before, after, changed_at = after, size, now
        sizes.append(size)

    assert sizes == sorted(sizes), "it never goes back"
    assert sizes[30] >= 300


def test_there_are_no_more_workers_than_half_of_the_files_that_may_be_open(monkeypatch: pytest.MonkeyPatch) -> None:
    for files, workers in ((256, 128), (16, FIRST), (1_000_000, MOST), (resource.RLIM_INFINITY, MOST)):
        monkeypatch.setattr(resource, "getrlimit", lambda _kind, files=files: (files, files))
        assert most_workers() == workers
