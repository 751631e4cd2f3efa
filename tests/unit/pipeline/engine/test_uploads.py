"""Bulk upserts that fail: which customers they cost, and when it is an outage that costs nobody."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from segsync.errors import AnswerError, RefusedError, SegsyncError, StopError, TransientError
from segsync.events import ProfileRejected
from segsync.pipeline.engine.uploads import LAST_PATIENCE, MOST_SUSPECTS
from tests.support.memory import Import, MemorySink, MemorySource, refused, user_ids

PATIENCE_SECONDS = 300.0


def failing(status: int | None = 500) -> TransientError:
    return TransientError(f"answered {status}; given up", service="Test", status=status, request_id="req-1")


class PatientSink(MemorySink):
    """Retries what may pass for as long as its patience lasts; `sent` are the sizes and the patience of all upserts."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[int, float]] = []

    async def upsert(self, body: bytes) -> str:
        return await self.upsert_within(body, 1.0)

    async def upsert_within(self, body: bytes, patience: float) -> str:
        self.sent.append((len(msgspec.json.decode(body)), patience))
        ends_at = asyncio.get_running_loop().time() + PATIENCE_SECONDS * patience
        while True:
            try:
                return await super().upsert(body)
            except TransientError:
                if asyncio.get_running_loop().time() >= ends_at:
                    raise
            await asyncio.sleep(min(5.0, max(ends_at - asyncio.get_running_loop().time(), 0.0)))


def failing_on(sink: MemorySink, *bad: int, error: SegsyncError | None = None) -> None:
    bad_ids = set(user_ids(*bad))
    sink.trouble = lambda source_ids: (error or failing()) if bad_ids & set(source_ids) else None


def away_between(sink: MemorySink, begins: float, ends: float, *bad: int) -> None:
    """The sink is away for a while, and fails on some customers all the time."""
    bad_ids = set(user_ids(*bad))

    def trouble(source_ids: list[str]) -> SegsyncError | None:
        is_away = begins <= asyncio.get_running_loop().time() < ends
        return failing(503) if is_away or bad_ids & set(source_ids) else None

    sink.trouble = trouble


def assert_just_these_are_rejected(job: Import, *bad: int) -> None:
    assert sorted(int(segment_id) for segment_id, _ in job.rejections()) == sorted(bad)
    everybody = range(job.source.profiles)
    assert set(job.sink.received) == set(user_ids(*everybody)) - set(user_ids(*bad))
    assert job.counters.outcomes.pending == 0


def ended_at(job: Import) -> float:
    """When the import ended with an error, in seconds of its clock; nobody must have been rejected."""
    clock = 0.0

    async def watch() -> None:
        nonlocal clock
        while True:
            clock = asyncio.get_running_loop().time()
            await asyncio.sleep(1.0)

    with pytest.raises(TransientError):
        job.run(meanwhile=watch())
    assert job.rejections() == []
    assert job.counters.outcomes.pending > 0
    return clock


# --- what is said of the content ------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 409, 410, 411, 413, 414, 416, 417, 422, 424, 428, 431, 451, 498])
def test_whatever_status_the_content_is_refused_with_it_costs_that_customer_alone(status: int) -> None:
    sink = MemorySink()
    failing_on(sink, 42, error=refused(status))
    job = Import(MemorySource(250), sink)
    job.run()
    assert_just_these_are_rejected(job, 42)
    assert len(sink.received) == 249, "each once"


@pytest.mark.parametrize("status", [None, 302, 401, 402, 403, 404, 405, 406, 407, 408, 415, 423, 425, 429, 499])
def test_a_refusal_that_says_nothing_of_the_content_stops_the_import_and_rejects_nobody(status: int | None) -> None:
    sink = MemorySink()
    failing_on(sink, 42, error=RefusedError("refused", service="Test", status=status))
    job = Import(MemorySource(250), sink)
    with pytest.raises(RefusedError):
        job.run()
    assert (job.rejections(), job.counters.resume_offset) == ([], "0")


@pytest.mark.parametrize("status", [None, 408, 423, 425, 429, 499])
def test_trouble_of_the_service_that_lasts_stops_the_import_however_the_others_do(status: int | None) -> None:
    sink = MemorySink()
    lasting = TransientError("lasts", service="Test", status=status, others_succeed=status is not None)
    failing_on(sink, 42, error=lasting)
    job = Import(MemorySource(250), sink)
    with pytest.raises(TransientError, match="lasts"):
        job.run()
    assert (job.rejections(), job.counters.resume_offset) == ([], "0")


class ConflictingSink(PatientSink):
    """Retries a 409 for a moment, as long as its share of the patience says, and then refuses."""

    async def upsert_within(self, body: bytes, patience: float) -> str:
        ends_at = asyncio.get_running_loop().time() + 10.0 * patience
        while True:
            try:
                return await MemorySink.upsert(self, body)
            except RefusedError:
                if asyncio.get_running_loop().time() >= ends_at:
                    raise
            await asyncio.sleep(0.5)


def test_a_conflict_that_passes_after_the_halving_rejects_nobody() -> None:
    sink, busy = ConflictingSink(), set(user_ids(*range(40)))

    def trouble(source_ids: list[str]) -> SegsyncError | None:
        return refused(409) if asyncio.get_running_loop().time() < 25.0 and busy & set(source_ids) else None

    sink.trouble = trouble
    job = Import(MemorySource(250), sink)
    job.run()
    assert_just_these_are_rejected(job)


def test_a_conflict_that_lasts_costs_that_customer_alone() -> None:
    sink = ConflictingSink()
    failing_on(sink, 42, error=refused(409))
    job = Import(MemorySource(250), sink)
    job.run()
    assert_just_these_are_rejected(job, 42)


def test_a_customer_whose_upserts_are_never_answered_costs_itself_alone() -> None:
    sink = PatientSink()
    failing_on(sink, 150, error=failing(None))
    job = Import(MemorySource(250), sink)
    job.run()
    assert_just_these_are_rejected(job, 150)


# --- a 5xx for as long as it is retried -----------------------------------------------------------------------


@pytest.mark.parametrize("bad", [0, 7, 29])
def test_a_5xx_for_one_of_thirty_costs_that_one(bad: int) -> None:
    sink = PatientSink()
    failing_on(sink, bad)
    job = Import(MemorySource(30), sink)
    job.run()
    assert_just_these_are_rejected(job, bad)
    assert len(sink.received) == 29, "each once"


def test_each_halving_has_half_the_patience() -> None:
    sink = PatientSink()
    failing_on(sink, 0)
    Import(MemorySource(16), sink).run()
    assert sink.sent[:5] == [(16, 1.0), (8, 1 / 2), (4, 1 / 4), (2, 1 / 8), (1, 1 / 16)]
    assert sink.sent[5:] == [(1, 1 / 16), (2, 1 / 8), (4, 1 / 4), (8, 1 / 2), (1, LAST_PATIENCE)]


def test_a_sink_without_a_patience_is_halved_too() -> None:
    sink = MemorySink()
    failing_on(sink, 3, 120)
    job = Import(MemorySource(250), sink)
    job.run()
    assert_just_these_are_rejected(job, 3, 120)


def test_the_last_customers_of_all_may_be_to_blame_without_anybody_accepted_behind_them() -> None:
    sink = PatientSink()
    failing_on(sink, 28, 29)
    job = Import(MemorySource(30), sink, concurrency=1)
    job.run()
    assert_just_these_are_rejected(job, 28, 29)


def test_a_customer_that_is_alone_in_the_last_batch_is_rejected_where_others_are_still_accepted() -> None:
    sink = PatientSink()
    failing_on(sink, 100)
    job = Import(MemorySource(101), sink, concurrency=1)
    job.run()
    assert_just_these_are_rejected(job, 100)


def test_many_bad_neighbours_cost_just_themselves() -> None:
    sink = PatientSink()
    failing_on(sink, *range(210, 210 + 2 * MOST_SUSPECTS))
    job = Import(MemorySource(300), sink, concurrency=1, rejected_in_a_row=None)
    job.run()
    assert_just_these_are_rejected(job, *range(210, 210 + 2 * MOST_SUSPECTS))


def test_bad_customers_in_every_batch_cost_just_themselves() -> None:
    sink = PatientSink()
    failing_on(sink, *range(50, 3000, 100))
    job = Import(MemorySource(3000), sink)
    job.run()
    assert_just_these_are_rejected(job, *range(50, 3000, 100))


def test_the_reason_is_that_of_the_last_failure_without_the_customer() -> None:
    sink = MemorySink()
    failing_on(sink, 2, error=TransientError("500: cannot write user-2", service="Test", status=500, request_id="r"))
    job = Import(MemorySource(5), sink)
    job.run()
    [rejection] = [event.rejection for event in job.events if isinstance(event, ProfileRejected)]
    assert (rejection.reason, rejection.request_id) == ("500: cannot write …", "r")


# --- an outage ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profiles", [1, 3, 30, 5000])
def test_an_outage_from_the_start_rejects_nobody_and_ends_within_some_times_the_patience(profiles: int) -> None:
    sink = PatientSink()
    failing_on(sink, *range(5000))
    job = Import(MemorySource(profiles), sink)
    assert ended_at(job) < 3.3 * PATIENCE_SECONDS
    assert job.counters.resume_offset == "0"


@pytest.mark.parametrize("profiles", [3, 100])
def test_an_outage_is_reported_by_the_failure_that_had_all_of_the_patience(profiles: int) -> None:
    sink = PatientSink()
    sink.trouble = lambda ids: TransientError(f"{len(ids)} of {profiles} failed", service="Test", status=500)
    with pytest.raises(TransientError, match=f"^{profiles} of {profiles} failed$"):
        Import(MemorySource(profiles), sink).run()


def test_an_outage_in_the_middle_rejects_nobody_either() -> None:
    sink = PatientSink()
    away_between(sink, 10.0, 1e9)
    job = Import(MemorySource(5000), sink)
    assert ended_at(job) < 10 + 3.5 * PATIENCE_SECONDS
    assert job.counters.sent == len(sink.received) > 0


@pytest.mark.parametrize("ends", [1.2, 1.5, 1.9, 2.0, 2.05, 2.2])
def test_when_an_outage_ends_while_batches_are_halved_everybody_arrives(ends: float) -> None:
    sink = PatientSink()
    away_between(sink, 0.0, ends * PATIENCE_SECONDS)
    job = Import(MemorySource(30), sink)
    job.run()
    assert_just_these_are_rejected(job)


@pytest.mark.parametrize("accepted", [1, 50, 75, 90])
def test_an_outage_that_begins_while_a_batch_is_halved_rejects_nobody(accepted: int) -> None:
    sink = PatientSink()
    sink.trouble = lambda ids: failing() if "user-99" in ids or len(sink.received) >= accepted else None
    job = Import(MemorySource(100), sink, concurrency=1)
    ended_at(job)
    assert accepted <= len(sink.received) < 99


@pytest.mark.parametrize("status", [429, None])
def test_a_half_that_meets_trouble_of_the_service_has_all_of_the_patience(status: int | None) -> None:
    sink = PatientSink()

    def trouble(source_ids: list[str]) -> SegsyncError | None:
        if len(source_ids) == 30:
            return failing(500)
        is_limited = asyncio.get_running_loop().time() < PATIENCE_SECONDS + 200
        return failing(status) if is_limited else failing(500) if "user-7" in source_ids else None

    sink.trouble = trouble
    job = Import(MemorySource(30), sink)
    job.run()
    assert_just_these_are_rejected(job, 7)


def test_other_errors_on_the_way_stop_the_import() -> None:
    sink = MemorySink()
    sink.trouble = lambda ids: failing(500) if len(ids) == 30 else AnswerError("no JSON", service="Test")
    job = Import(MemorySource(30), sink)
    with pytest.raises(AnswerError):
        job.run()
    assert job.rejections() == []


def test_refusals_of_everybody_still_open_the_circuit_breaker() -> None:
    sink = MemorySink()
    sink.trouble = lambda _ids: refused(422)
    job = Import(MemorySource(1000), sink)
    with pytest.raises(StopError, match="25 profiles in a row"):
        job.run()
    assert job.rejections() == []
