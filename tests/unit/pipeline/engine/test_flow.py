"""The way from the pages of a source to the batches of a sink, in memory, on a clock that costs no time."""

from __future__ import annotations

import asyncio

import pytest

from segsync.errors import StopError, TransientError
from segsync.events import BatchSent, ConcurrencyChanged, PageDone
from segsync.models import Profile, Usage, WithoutIdentifier
from segsync.pipeline.engine.concurrency import LOOK_SECONDS
from segsync.pipeline.engine.stages import IDLE_FLUSH_SECONDS
from tests.conftest import run_virtual
from tests.support.memory import READ_SECONDS, Import, MemorySink, MemorySource, user_ids


def test_everything_arrives_once_in_batches_of_exactly_100_across_pages() -> None:
    job = Import(MemorySource(1050, page_size=70), MemorySink())
    job.run()
    assert [len(batch) for batch in job.sink.batches] == [100] * 10 + [50]
    assert sorted(job.sink.received) == sorted(user_ids(*range(1050)))
    assert (job.counters.sent, job.counters.outcomes.pending, job.counters.resume_offset) == (1050, 0, None)


def test_an_offset_and_a_limit_take_exactly_their_share() -> None:
    job = Import(MemorySource(1000), MemorySink())
    job.run("400", 250)
    assert sorted(job.sink.received) == sorted(user_ids(*range(400, 650)))
    assert job.counters.resume_offset == "650"


def test_an_empty_space_is_done_at_once() -> None:
    job = Import(MemorySource(0), MemorySink())
    job.run()
    assert job.sink.batches == []
    assert job.counters.outcomes.profiles == 0


def test_profiles_without_identifier_are_not_sent_and_reported() -> None:
    source = MemorySource(500)
    source.source_id = lambda index: None if index % 5 else f"user-{index}"
    job = Import(source, MemorySink())
    job.run()
    assert (job.counters.sent, job.counters.without_identifier) == (100, 400)


def test_pages_of_whole_profiles_need_no_read() -> None:
    source = MemorySource(1000, brings_profiles=True)
    source.source_id = lambda index: None if index % 5 == 0 else f"user-{index}"
    job = Import(source, MemorySink())
    job.run()
    assert source.reads == 0
    assert sorted(job.sink.received) == sorted(user_ids(*(index for index in range(1000) if index % 5)))
    assert (job.counters.sent, job.counters.without_identifier, job.counters.resume_offset) == (800, 200, None)


def test_a_page_may_bring_ids_beside_whole_profiles() -> None:
    class MixedSource(MemorySource):
        def _listed(self, index: int) -> str | Profile | WithoutIdentifier:
            return str(index) if index % 4 == 0 else super()._listed(index)

    job = Import(MixedSource(200, brings_profiles=True), MemorySink())
    job.run()
    assert (job.source.reads, sorted(job.sink.received)) == (50, sorted(user_ids(*range(200))))


def test_what_was_read_does_not_wait_for_a_batch_to_fill_while_nothing_comes() -> None:
    source = MemorySource(30)
    source.seconds = lambda index: 300.0 if index == 29 else READ_SECONDS
    job = Import(source, MemorySink())
    job.run()
    assert [len(batch) for batch in job.sink.batches] == [29, 1]
    assert job.sink.times[0] < IDLE_FLUSH_SECONDS + 2


def test_slow_uploads_cost_no_read_throughput_while_the_queues_have_room() -> None:
    fast, slow = Import(MemorySource(800), MemorySink()), Import(MemorySource(800), MemorySink(seconds=2.0))
    fast.run()
    slow.run()
    assert slow.sink.times[-1] <= fast.sink.times[-1] + 2.1


@pytest.mark.parametrize("concurrency", [1, 8, 40])
def test_a_configured_concurrency_is_kept(concurrency: int) -> None:
    job = Import(MemorySource(500), MemorySink(), concurrency=concurrency)
    job.source.usage = lambda: Usage(1.0, 0.01)
    job.run()
    assert job.source.most_under_way == concurrency


def test_more_profiles_are_read_at_a_time_while_much_of_what_is_allowed_is_unused() -> None:
    job = Import(MemorySource(20_000), MemorySink(), concurrency=None)
    reads_before = 0

    def usage() -> Usage:
        nonlocal reads_before
        reads, reads_before = job.source.reads - reads_before, job.source.reads
        return Usage(reads / LOOK_SECONDS, reads / (1000 * LOOK_SECONDS))

    job.source.usage = usage
    job.run()
    assert 95 <= job.source.most_under_way <= 130, "1,000 reads a second of a tenth of a second each"
    assert [event.profiles for event in job.events if isinstance(event, ConcurrencyChanged)][:2] == [16, 64]
    assert job.counters.sent == 20_000


def test_when_fewer_are_read_at_a_time_again_nobody_is_lost() -> None:
    job = Import(MemorySource(3000), MemorySink(), concurrency=None)
    looks = iter([Usage(100.0, 0.1), None, Usage(100.0, 0.1)])
    job.source.usage = lambda: next(looks, Usage(100.0, 1.0))
    job.run()
    assert [event.profiles for event in job.events if isinstance(event, ConcurrencyChanged)] == [16, 64, 16]
    assert max(job.source.levels) == 64
    assert max(job.source.levels[2000:]) == 16
    assert sorted(job.sink.received) == sorted(f"user-{index}" for index in range(3000))


def test_the_last_profiles_do_not_raise_the_concurrency() -> None:
    source = MemorySource(300)
    source.seconds = lambda index: 60.0 if index == 299 else READ_SECONDS
    source.usage = lambda: Usage(1.0, 0.01) if source.reads == 300 else None
    job = Import(source, MemorySink(), concurrency=None)
    job.run()
    assert [event.profiles for event in job.events if isinstance(event, ConcurrencyChanged)] == [16]


def test_a_sink_that_stands_still_stops_the_reading_instead_of_filling_memory() -> None:
    job = Import(MemorySource(100_000), MemorySink(seconds=1e9), concurrency=None)
    job.source.usage = lambda: Usage(1.0, 0.01) if job.source.reads > 2600 else None

    async def look() -> None:
        await asyncio.sleep(1000)
        assert job.stop is not None
        raise StopError("seen enough")

    with pytest.raises(TimeoutError):
        run_virtual(asyncio.wait_for(job.start("0", None, look()), 1001))
    assert 2600 < job.source.reads < 3000
    assert job.source.most_under_way == 16, "it is not the latency: more workers would only fill memory"


def test_one_slow_profile_holds_up_nobody_but_its_page() -> None:
    source = MemorySource(3000)
    source.seconds = lambda index: 100.0 if index == 150 else READ_SECONDS
    job = Import(source, MemorySink())
    job.run()
    done = [event.cursor for event in job.events if isinstance(event, PageDone)]
    assert done == [str(start) for start in range(0, 3000, 100)]
    assert sum(time < 30 for time in job.sink.times) >= 28


def test_batches_stay_below_the_size_that_a_request_may_have() -> None:
    source, sink = MemorySource(100), MemorySink()
    source.traits = {"description": "x" * 1000}
    sink.max_body_bytes = 12_000
    job = Import(source, sink)
    job.run()
    assert max(len(batch) for batch in sink.batches) == 11
    assert len(sink.received) == 100


def test_once_it_is_asked_to_stop_no_new_profile_is_begun_and_what_is_under_way_is_sent() -> None:
    job = Import(MemorySource(5000), MemorySink())

    async def interrupt() -> None:
        await asyncio.sleep(6)
        assert job.stop is not None
        self_reads.append(job.source.reads)
        job.stop.set()

    self_reads: list[int] = []
    job.run(meanwhile=interrupt())
    assert self_reads[0] <= job.source.reads <= self_reads[0] + 1
    assert len(job.sink.received) == job.source.reads == job.counters.sent
    assert job.counters.resume_offset == str(job.source.reads // 100 * 100)
    assert job.counters.outcomes.pending > 0


def test_a_resume_from_the_resume_point_leaves_nobody_out() -> None:
    first = Import(MemorySource(1000), MemorySink())
    first.source.is_away = True
    first.source.trouble = lambda index: TransientError("away", service="Test") if index == 777 else None
    with pytest.raises(TransientError):
        first.run()
    second = Import(MemorySource(1000), MemorySink())
    second.run(str(first.counters.resume_offset))
    assert {*first.sink.received, *second.sink.received} == set(user_ids(*range(1000)))
    assert len(first.sink.received) + len(second.sink.received) <= 1000 + 400


def test_each_upsert_is_reported_with_its_action_and_with_whose_customers_are_in_it() -> None:
    source = MemorySource(30, page_size=10)
    source.source_id = lambda index: f"user-{index}" if index % 3 else None
    job = Import(source, MemorySink(), batch_size=7)
    job.run()
    sent = [event for event in job.events if isinstance(event, BatchSent)]
    assert [event.action_id for event in sent] == [f"aa_{number}" for number in range(1, len(sent) + 1)]
    assert [[each.source_id for each in event.profiles] for event in sent] == job.sink.batches
    profiles = {each for event in sent for each in event.profiles}
    assert {(each.page, each.segment_id, each.source_id) for each in profiles} == {
        (index // 10 + 1, str(index), f"user-{index}") for index in range(30) if index % 3
    }
    assert all(each.source_id.encode() in each.customer for each in profiles)


def test_nobody_is_confirmed_by_an_upsert_that_was_accepted() -> None:
    job = Import(MemorySource(300), MemorySink())
    job.run()
    assert (job.counters.outcomes.sent, job.counters.outcomes.confirmed) == (300, 0)
