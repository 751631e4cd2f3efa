"""Profiles that are rejected by themselves, while all others go through."""

from __future__ import annotations

import pytest

from segsync.errors import TransientError
from segsync.events import ProfileRejected
from segsync.models import Rejection
from tests.support.memory import Import, MemorySink, MemorySource, refused, rejecting, user_ids


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


@pytest.mark.parametrize("status", [400, 413])
def test_one_bad_customer_costs_one_customer(status: int) -> None:
    sink = MemorySink()
    sink.trouble = lambda source_ids: refused(status) if "user-42" in source_ids else None
    job = Import(MemorySource(300), sink)
    job.run()
    assert job.rejections() == [("42", "upsert")]
    assert sorted(sink.received) == sorted(user_ids(*(n for n in range(300) if n != 42)))


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


def test_a_profile_that_the_mapping_rejects_costs_just_itself_and_says_why() -> None:
    rejected = {*range(0, 300, 3), *range(100, 120), 299}
    job = Import(MemorySource(300), MemorySink())
    job.to_customer = rejecting(rejected.__contains__)
    job.run()
    assert sorted(job.rejections()) == sorted((str(index), "map") for index in rejected)
    assert (job.counters.sent, job.counters.outcomes.pending) == (300 - len(rejected), 0)
    assert {e.rejection.reason for e in job.events if isinstance(e, ProfileRejected)} == {
        "metadata.plan is not defined"
    }


def test_a_customer_larger_than_a_request_may_be_is_rejected_unsent() -> None:
    source, sink = MemorySource(3), MemorySink()
    source.traits = {"description": "x" * 1000}
    sink.max_body_bytes = 500
    job = Import(source, sink)
    job.run()
    assert job.rejections() == [(str(index), "map") for index in range(3)]
    assert sink.batches == []


@pytest.mark.parametrize("status", [400, 413])
def test_any_number_of_bad_neighbours_in_a_batch_cost_just_themselves(status: int) -> None:
    sink = MemorySink()
    sink.trouble = lambda source_ids: refused(status) if any(310 <= int(s[5:]) < 360 for s in source_ids) else None
    job = Import(MemorySource(500), sink, concurrency=1)
    job.run()
    assert sorted(segment_id for segment_id, _ in job.rejections()) == [str(index) for index in range(310, 360)]
    assert job.counters.sent == 450


def test_each_rejection_is_reported_with_its_page() -> None:
    source, sink = MemorySource(40, page_size=10), MemorySink()
    source.trouble = lambda index: refused(404) if index in (3, 27) else None
    sink.trouble = lambda source_ids: refused(400) if "user-15" in source_ids else None
    job = Import(source, sink)
    job.run()
    pages = {e.rejection.segment_id: e.page for e in job.events if isinstance(e, ProfileRejected)}
    assert pages == {"3": 1, "15": 2, "27": 3}


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
