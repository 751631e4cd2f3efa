"""What stops an import, and from where the next one resumes."""

from __future__ import annotations

import asyncio

import pytest

from segsync.errors import AccessError, AnswerError, RefusedError, StopError, TransientError
from segsync.events import BatchSent, Event
from segsync.models import Profile
from segsync.pipeline.engine.checkpoint import MAX_OPEN_PAGES
from segsync.pipeline.engine.stages import REJECTED_IN_A_ROW
from tests.conftest import run_virtual
from tests.support.memory import Import, MemorySink, MemorySource, refused, rejecting


def test_whole_profiles_that_the_mapping_rejects_stop_the_import_as_those_that_are_read() -> None:
    job = Import(MemorySource(1000, brings_profiles=True), MemorySink())
    job.to_customer = rejecting(lambda _index: True)
    with pytest.raises(StopError, match=f"^{REJECTED_IN_A_ROW} profiles? in a row"):
        job.run()
    assert (job.counters.rejected, job.counters.resume_offset) == (0, "0")


def test_when_the_source_is_away_what_was_read_is_still_sent_and_the_first_open_page_is_the_resume_point() -> None:
    source = MemorySource(1000)
    source.is_away = True
    source.trouble = lambda index: TransientError("away", service="Test") if index == 555 else None
    job = Import(source, MemorySink())
    with pytest.raises(TransientError, match="away"):
        job.run()
    assert job.counters.sent >= 500
    assert job.counters.resume_offset == "500"
    assert job.counters.outcomes.profiles == job.counters.listed


def test_a_listing_that_breaks_lets_the_pages_before_it_finish() -> None:
    source = MemorySource(1000)
    source.listing_trouble = lambda start: AnswerError("repeats", service="Test") if start == 300 else None
    job = Import(source, MemorySink())
    with pytest.raises(AnswerError, match="repeats"):
        job.run()
    assert job.counters.sent == 300
    assert job.counters.resume_offset == "300"


def test_a_refused_credential_stops_at_once() -> None:
    source = MemorySource(10_000)
    source.trouble = lambda _index: AccessError("answered 401", service="Test", status=401)
    job = Import(source, MemorySink())
    with pytest.raises(AccessError):
        job.run()
    assert source.reads <= 16


def test_a_sink_that_fails_ends_the_import_and_nothing_counts_as_sent_that_was_not() -> None:
    sink = MemorySink()
    sink.trouble = lambda _ids: TransientError("away", service="Test") if len(sink.received) >= 400 else None
    job = Import(MemorySource(2000), sink)
    with pytest.raises(TransientError, match="away"):
        job.run()
    assert job.counters.sent == len(sink.received)
    assert job.counters.resume_offset == "400"


def test_a_systemic_refusal_leaves_the_resume_point_before_the_first_that_was_refused() -> None:
    source, sink = MemorySource(2000), MemorySink()
    source.source_id = lambda index: f"user-{index}" if index % 20 == 0 else None
    sink.trouble = lambda _source_ids: refused(400)
    job = Import(source, sink)
    with pytest.raises(StopError):
        job.run()
    assert job.counters.resume_offset == "0"
    assert job.rejections() == []
    assert job.counters.outcomes.pending >= 25


@pytest.mark.parametrize("where", ["source", "sink"])
def test_when_everybody_is_refused_the_import_stops_instead_of_rejecting_the_whole_space(where: str) -> None:
    source, sink = MemorySource(10_000), MemorySink()
    if where == "source":
        source.trouble = lambda _index: refused(400)
    else:
        sink.trouble = lambda _source_ids: refused(400)
    job = Import(source, sink)
    with pytest.raises(StopError, match=f"{REJECTED_IN_A_ROW} profiles? in a row"):
        job.run()
    assert job.counters.rejected == 0, "it is not known whether anything is wrong with these"
    assert job.counters.resume_offset == "0"


def test_when_the_mapping_rejects_everybody_the_import_stops_before_the_first_of_them() -> None:
    job = Import(MemorySource(10_000), MemorySink())
    job.to_customer = rejecting(lambda _index: True)
    with pytest.raises(StopError, match=r"25 profiles in a row were rejected.+metadata\.plan is not defined"):
        job.run()
    assert (job.counters.sent, job.rejections(), job.counters.resume_offset) == (0, [], "0")


def test_other_refusals_of_a_batch_stop_the_import() -> None:
    sink = MemorySink()
    sink.trouble = lambda _source_ids: refused(404)
    with pytest.raises(RefusedError):
        Import(MemorySource(300), sink).run()


def test_what_a_listener_raises_stops_the_import() -> None:
    job = Import(MemorySource(1000), MemorySink())

    def full_disk(event: Event) -> None:
        if isinstance(event, BatchSent):
            raise StopError("disk full")

    job._on_event = full_disk  # type: ignore[method-assign]
    with pytest.raises(StopError, match="disk full"):
        job.run()


def test_what_stops_the_import_because_everybody_is_refused_gives_the_reason_without_the_customer() -> None:
    source, sink = MemorySource(1000), MemorySink()
    source.source_id = lambda index: f"ada{index}@example.com"
    sink.trouble = lambda source_ids: refused(400, f"metadata schema: {source_ids[0]} is not allowed")
    with pytest.raises(StopError, match="metadata schema") as caught:
        Import(source, sink).run()
    assert "example.com" not in str(caught.value)


@pytest.mark.parametrize("where", ["source", "sink"])
def test_profiles_that_are_replayed_may_all_be_refused_once_more(where: str) -> None:
    source, sink = MemorySource(4 * REJECTED_IN_A_ROW), MemorySink()
    if where == "source":
        source.trouble = lambda _index: refused(400)
    else:
        sink.trouble = lambda _source_ids: refused(400)
    job = Import(source, sink, rejected_in_a_row=None)
    job.run()
    assert (job.counters.sent, job.counters.rejected, job.counters.outcomes.pending) == (0, 4 * REJECTED_IN_A_ROW, 0)
    assert job.counters.resume_offset is None


def test_many_pages_of_profiles_that_are_all_refused_once_more_do_not_stand_still() -> None:
    source = MemorySource(MAX_OPEN_PAGES + 50, page_size=1)
    source.trouble = lambda _index: refused(400)
    job = Import(source, MemorySink(), rejected_in_a_row=None)
    job.run()
    assert job.counters.rejected == MAX_OPEN_PAGES + 50


@pytest.mark.parametrize("where", ["source", "sink"])
def test_profiles_replayed_while_the_service_is_away_are_not_rejected(where: str) -> None:
    source, sink = MemorySource(300), MemorySink()
    away = TransientError("away", service="Test")
    if where == "source":
        source.is_away = True
        source.trouble = lambda _index: away
    else:
        sink.trouble = lambda _source_ids: away
    job = Import(source, sink, rejected_in_a_row=None)
    with pytest.raises(TransientError, match="away"):
        job.run()
    assert job.counters.rejected == 0


@pytest.mark.parametrize("most", [1, 5, 60])
def test_how_many_may_be_rejected_in_a_row_can_be_chosen(most: int) -> None:
    source = MemorySource(1000)
    source.trouble = lambda index: refused(400) if index >= 100 else None
    job = Import(source, MemorySink(), rejected_in_a_row=most)
    with pytest.raises(StopError, match=f"^{most} profiles? in a row"):
        job.run()
    assert job.counters.resume_offset == "100"


def test_reading_and_writing_that_fail_at_the_same_moment_end_the_import() -> None:
    async def at_the_same_moment() -> float:
        moment = asyncio.Event()

        class FailingSource(MemorySource):
            async def read(self, segment_id: str) -> Profile | None:
                if segment_id != "7":
                    return Profile(segment_id, segment_id, {})
                await moment.wait()
                raise AccessError("401", service="Test")

        class FailingSink(MemorySink):
            async def upsert(self, body: bytes) -> str:
                await moment.wait()
                raise AccessError("401", service="Test")

        # Until then the queues fill up, so that nothing more can be put.
        asyncio.get_running_loop().call_later(10, moment.set)
        with pytest.raises(AccessError):
            async with asyncio.timeout(60):
                await Import(FailingSource(5000), FailingSink(), batch_size=10).start("0", None, None)
        return asyncio.get_running_loop().time()

    assert run_virtual(at_the_same_moment()) < 11
