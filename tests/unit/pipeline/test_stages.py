"""The stages, with a source and a sink in memory, on a clock that costs no time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from segsync.errors import AccessError, AnswerError, MappingError, RefusedError, StopError, TransientError
from segsync.events import BatchSent, ConcurrencyChanged, Event, PageDone, ProfileRejected
from segsync.mapping.customer import Warn
from segsync.models import Customer, Profile, Rejection, Usage, WithoutIdentifier
from segsync.pipeline.checkpoint import MAX_OPEN_PAGES
from segsync.pipeline.concurrency import LOOK_SECONDS
from segsync.pipeline.stages import IDLE_FLUSH_SECONDS, REJECTED_IN_A_ROW
from tests.conftest import run_virtual
from tests.support.memory import READ_SECONDS, Import, MemorySink, MemorySource, refused


def ids(*numbers: int) -> list[str]:
    return [f"user-{number}" for number in numbers]


def test_everything_arrives_once_in_batches_of_exactly_100_across_pages() -> None:
    job = Import(MemorySource(1050, page_size=70), MemorySink())
    job.run()
    assert [len(batch) for batch in job.sink.batches] == [100] * 10 + [50]
    assert sorted(job.sink.received) == sorted(ids(*range(1050)))
    assert (job.counters.sent, job.counters.outcomes.pending, job.counters.resume_offset) == (1050, 0, None)


def test_an_offset_and_a_limit_take_exactly_their_share() -> None:
    job = Import(MemorySource(1000), MemorySink())
    job.run("400", 250)
    assert sorted(job.sink.received) == sorted(ids(*range(400, 650)))
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
    assert sorted(job.sink.received) == sorted(ids(*(index for index in range(1000) if index % 5)))
    assert (job.counters.sent, job.counters.without_identifier, job.counters.resume_offset) == (800, 200, None)


def test_a_page_may_bring_ids_beside_whole_profiles() -> None:
    class MixedSource(MemorySource):
        def _listed(self, index: int) -> str | Profile | WithoutIdentifier:
            return str(index) if index % 4 == 0 else super()._listed(index)

    job = Import(MixedSource(200, brings_profiles=True), MemorySink())
    job.run()
    assert (job.source.reads, sorted(job.sink.received)) == (50, sorted(ids(*range(200))))


def test_whole_profiles_that_the_mapping_rejects_stop_the_import_as_those_that_are_read() -> None:
    job = Import(MemorySource(1000, brings_profiles=True), MemorySink())
    job.to_customer = _rejecting(lambda _index: True)
    with pytest.raises(StopError, match=f"^{REJECTED_IN_A_ROW} profiles in a row"):
        job.run()
    assert (job.counters.rejected, job.counters.resume_offset) == (0, "0")


def test_the_same_source_id_is_never_twice_in_one_request() -> None:
    source = MemorySource(600)
    source.source_id = lambda index: f"user-{index % 150}"
    job = Import(source, MemorySink())
    job.run()
    assert all(len(set(batch)) == len(batch) for batch in job.sink.batches)
    assert len(job.sink.received) == job.counters.sent == 600


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


def test_the_last_profiles_are_no_reason_to_read_more_at_a_time() -> None:
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
    settled = [event.cursor for event in job.events if isinstance(event, PageDone)]
    assert settled == [str(start) for start in range(0, 3000, 100)]
    assert sum(time < 30 for time in job.sink.times) >= 28


def test_a_404_costs_that_profile_only_however_many_there_are() -> None:
    source = MemorySource(500)
    source.trouble = lambda index: refused(404) if index < 200 else None
    job = Import(source, MemorySink())
    job.run()
    assert (job.counters.sent, job.counters.rejected) == (300, 200)
    assert job.rejections()[0][1] == "read"


def test_a_profile_that_fails_alone_is_rejected_and_the_others_go_on() -> None:
    source = MemorySource(300)
    alone = TransientError("answered 500", service="Test")
    source.trouble = lambda index: alone if index == 7 else None
    job = Import(source, MemorySink())
    job.run()
    assert job.rejections() == [("7", "read")]
    assert job.counters.sent == 299


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
    sink.trouble = lambda source_ids: TransientError("away", service="Test") if "user-450" in source_ids else None
    job = Import(MemorySource(2000), sink)
    with pytest.raises(TransientError, match="away"):
        job.run()
    assert job.counters.sent == len(sink.received)
    assert job.counters.resume_offset == "400"


@pytest.mark.parametrize("status", [400, 413])
def test_one_bad_customer_costs_one_customer(status: int) -> None:
    sink = MemorySink()
    sink.trouble = lambda source_ids: refused(status) if "user-42" in source_ids else None
    job = Import(MemorySource(300), sink)
    job.run()
    assert job.rejections() == [("42", "upsert")]
    assert sorted(sink.received) == sorted(ids(*(n for n in range(300) if n != 42)))


def test_a_poison_customer_in_every_tenth_batch_costs_just_those() -> None:
    sink = MemorySink()
    sink.trouble = lambda source_ids: refused(400) if any(s.endswith("000") for s in source_ids) else None
    job = Import(MemorySource(4000), sink)
    job.run()
    assert sorted(segment_id for segment_id, _ in job.rejections()) == ["1000", "2000", "3000"]
    assert job.counters.sent == 3997


def test_twenty_profiles_in_a_row_that_fail_alone_do_not_stop_the_import() -> None:
    source = MemorySource(300)
    source.trouble = lambda index: TransientError("500", service="Test") if 100 <= index < 120 else None
    job = Import(source, MemorySink())
    job.run()
    assert (job.counters.sent, job.counters.rejected) == (280, 20)


def test_the_last_profile_of_a_space_can_fail_alone_too() -> None:
    source = MemorySource(50)
    source.trouble = lambda index: TransientError("never answers", service="Test") if index == 49 else None
    job = Import(source, MemorySink())
    job.run()
    assert (job.counters.sent, job.counters.rejected, job.counters.resume_offset) == (49, 1, None)


def test_a_customer_that_the_sink_fails_on_without_end_costs_just_itself_while_others_go_through() -> None:
    sink = MemorySink()
    alone = TransientError("500", service="Test", others_succeed=True)
    sink.trouble = lambda source_ids: alone if "user-42" in source_ids else None
    job = Import(MemorySource(300), sink)
    job.run()
    assert job.rejections() == [("42", "upsert")]


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
    with pytest.raises(StopError, match=f"{REJECTED_IN_A_ROW} profiles in a row"):
        job.run()
    assert job.counters.rejected == 0, "it is not known whether anything is wrong with these"
    assert job.counters.resume_offset == "0"


def _rejecting(is_rejected: Callable[[int], bool]) -> Callable[[Profile, Warn], Customer]:
    """A mapping that rejects these profiles."""

    def to_customer(profile: Profile, _warn: Warn) -> Customer:
        if is_rejected(int(profile.segment_id)):
            raise MappingError("metadata.plan is not defined")
        return Customer(profile.source_id)

    return to_customer


def test_a_profile_that_the_mapping_rejects_costs_just_itself_and_says_why() -> None:
    rejected = {*range(0, 300, 3), *range(100, 120), 299}
    job = Import(MemorySource(300), MemorySink())
    job.to_customer = _rejecting(rejected.__contains__)
    job.run()
    assert sorted(job.rejections()) == sorted((str(index), "map") for index in rejected)
    assert (job.counters.sent, job.counters.outcomes.pending) == (300 - len(rejected), 0)
    assert {e.rejection.reason for e in job.events if isinstance(e, ProfileRejected)} == {
        "metadata.plan is not defined"
    }


def test_when_the_mapping_rejects_everybody_the_import_stops_before_the_first_of_them() -> None:
    job = Import(MemorySource(10_000), MemorySink())
    job.to_customer = _rejecting(lambda _index: True)
    with pytest.raises(StopError, match=r"25 profiles in a row were rejected.+metadata\.plan is not defined"):
        job.run()
    assert (job.counters.sent, job.rejections(), job.counters.resume_offset) == (0, [], "0")


def test_other_refusals_of_a_batch_stop_the_import() -> None:
    sink = MemorySink()
    sink.trouble = lambda _source_ids: refused(404)
    with pytest.raises(RefusedError):
        Import(MemorySource(300), sink).run()


def test_a_customer_larger_than_a_request_may_be_is_rejected_unsent() -> None:
    source, sink = MemorySource(3), MemorySink()
    source.traits = {"description": "x" * 1000}
    sink.max_body_bytes = 500
    job = Import(source, sink)
    job.run()
    assert job.rejections() == [(str(index), "map") for index in range(3)]
    assert sink.batches == []


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
    assert {*first.sink.received, *second.sink.received} == set(ids(*range(1000)))
    assert len(first.sink.received) + len(second.sink.received) <= 1000 + 400


def test_what_a_listener_raises_stops_the_import() -> None:
    job = Import(MemorySource(1000), MemorySink())

    def full_disk(event: Event) -> None:
        if isinstance(event, BatchSent):
            raise StopError("disk full")

    job._on_event = full_disk  # type: ignore[method-assign]
    with pytest.raises(StopError, match="disk full"):
        job.run()


@pytest.mark.parametrize("status", [400, 413])
def test_any_number_of_bad_neighbours_in_a_batch_cost_just_themselves(status: int) -> None:
    sink = MemorySink()
    sink.trouble = lambda source_ids: refused(status) if any(310 <= int(s[5:]) < 360 for s in source_ids) else None
    job = Import(MemorySource(500), sink, concurrency=1)
    job.run()
    assert sorted(segment_id for segment_id, _ in job.rejections()) == [str(index) for index in range(310, 360)]
    assert job.counters.sent == 450


# --- events of what was sent and what was rejected -------------------------------------------------------------


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


def test_each_rejection_is_reported_with_its_page() -> None:
    source, sink = MemorySource(40, page_size=10), MemorySink()
    source.trouble = lambda index: refused(404) if index in (3, 27) else None
    sink.trouble = lambda source_ids: refused(400) if "user-15" in source_ids else None
    job = Import(source, sink)
    job.run()
    pages = {e.rejection.segment_id: e.page for e in job.events if isinstance(e, ProfileRejected)}
    assert pages == {"3": 1, "15": 2, "27": 3}


def test_nobody_is_confirmed_by_an_upsert_that_was_accepted() -> None:
    job = Import(MemorySource(300), MemorySink())
    job.run()
    assert (job.counters.outcomes.sent, job.counters.outcomes.confirmed) == (300, 0)


def _rejection_of(job: Import) -> Rejection:
    [rejection] = [event.rejection for event in job.events if isinstance(event, ProfileRejected)]
    return rejection


@pytest.mark.parametrize("source_id", ["ada@example.com", "+48 600 700 800", "ada", "Ada/Lovelace", 'a"da', "käufer 1"])
def test_the_reason_of_a_customer_that_was_refused_alone_is_reported_without_the_customer(source_id: str) -> None:
    source, sink = MemorySource(5), MemorySink()
    source.source_id = lambda index: source_id if index == 2 else f"user-{index}"
    reason = f"property 'email' is invalid for {source_id}"
    sink.trouble = lambda source_ids: refused(400, reason) if source_id in source_ids else None
    job = Import(source, sink)
    job.run()
    rejection = _rejection_of(job)
    assert (rejection.segment_id, rejection.stage, rejection.request_id) == ("2", "upsert", "req-1")
    assert "property 'email' is invalid" in rejection.reason
    assert source_id not in rejection.reason
    assert rejection.source_id == source_id, "the list of the rejected ones has a column for it"


def test_the_reason_of_a_customer_that_the_sink_fails_on_is_reported_without_the_customer_too() -> None:
    sink = MemorySink()
    alone = TransientError("answered 500: cannot write user-2; given up", service="Test", others_succeed=True)
    sink.trouble = lambda source_ids: alone if "user-2" in source_ids else None
    job = Import(MemorySource(5), sink)
    job.run()
    assert "user-2" not in _rejection_of(job).reason
    assert "answered 500" in _rejection_of(job).reason


def test_what_stops_the_import_because_everybody_is_refused_gives_the_reason_without_the_customer() -> None:
    source, sink = MemorySource(1000), MemorySink()
    source.source_id = lambda index: f"ada{index}@example.com"
    sink.trouble = lambda source_ids: refused(400, f"metadata schema: {source_ids[0]} is not allowed")
    with pytest.raises(StopError, match="metadata schema") as caught:
        Import(source, sink).run()
    assert "example.com" not in str(caught.value)


# --- profiles that were chosen because they failed before ---------------------------------------------------------


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
def test_whoever_is_replayed_while_the_service_is_away_is_not_rejected_for_that(where: str) -> None:
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
    with pytest.raises(StopError, match=f"^{most} profiles in a row"):
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
