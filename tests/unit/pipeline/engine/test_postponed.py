"""A service that asks to wait for hours for some profiles: they stay pending, while the others go through."""

from __future__ import annotations

import pytest

from segsync.errors import TransientError
from segsync.pipeline.engine.checkpoint import MAX_OPEN_PAGES
from segsync.pipeline.engine.circuit_breaker import POSTPONED_IN_A_ROW
from tests.support.memory import READ_SECONDS, Import, MemorySink, MemorySource, user_ids

HOURS = 10_800.0


def asking_for(seconds: float | None, status: int = 503) -> TransientError:
    return TransientError(f"answered {status}", service="Test", status=status, retry_after_seconds=seconds)


def postponing(source: MemorySource, *indexes: int, seconds: float = HOURS) -> None:
    source.trouble = lambda index: asking_for(seconds) if index in indexes else None


def postponing_customers(sink: MemorySink, *indexes: int) -> None:
    late = set(user_ids(*indexes))
    sink.trouble = lambda source_ids: asking_for(HOURS) if late & set(source_ids) else None


# --- reads ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [600.0, HOURS, 30 * 86_400.0])
def test_profiles_that_are_to_be_read_in_hours_stay_pending_and_the_others_are_imported(seconds: float) -> None:
    job = Import(MemorySource(500), MemorySink())
    postponing(job.source, 150, 333, seconds=seconds)
    job.run()
    assert (job.counters.sent, job.rejections(), job.counters.outcomes.pending) == (498, [], 2)
    assert job.counters.resume_offset == "100"
    assert isinstance(job.unfinished, TransientError)
    assert job.unfinished.status == 503
    assert "2 profiles left pending, since Test asks to wait until 2" in str(job.unfinished)


def test_a_resume_takes_them() -> None:
    first, second = Import(MemorySource(300), MemorySink()), Import(MemorySource(300), MemorySink())
    postponing(first.source, 150)
    first.run()
    second.run(str(first.counters.resume_offset))
    assert {*first.sink.received, *second.sink.received} == set(user_ids(*range(300)))
    assert second.unfinished is None


@pytest.mark.parametrize("seconds", [None, 5.0, 400 * 86_400.0, 1e300])
def test_a_short_wait_and_a_senseless_one_reject_the_profile(seconds: float | None) -> None:
    job = Import(MemorySource(300), MemorySink())
    job.source.trouble = lambda index: asking_for(seconds) if index == 7 else None
    job.run()
    assert (job.rejections(), job.unfinished) == ([("7", "read")], None)


def test_where_the_source_asks_everybody_to_wait_it_stops_at_once() -> None:
    job = Import(MemorySource(300), MemorySink())
    job.source.is_away = True
    postponing(job.source, *range(300))
    with pytest.raises(TransientError, match="answered 503"):
        job.run()
    assert job.source.reads <= 32


def test_many_in_a_row_stop_the_import_instead_of_asking_for_each() -> None:
    job = Import(MemorySource(1000), MemorySink())
    postponing(job.source, *range(100, 1000))
    with pytest.raises(TransientError, match="answered 503"):
        job.run()
    assert job.source.reads < 100 + 4 * POSTPONED_IN_A_ROW["read"]
    assert (job.rejections(), job.counters.resume_offset) == ([], "100")


def test_many_that_are_not_in_a_row_do_not() -> None:
    job = Import(MemorySource(1000), MemorySink(), concurrency=1)
    postponing(job.source, *range(0, 1000, 2))
    job.run()
    assert (job.counters.sent, job.counters.outcomes.pending, job.rejections()) == (500, 500, [])


@pytest.mark.parametrize("seconds", [READ_SECONDS, 1000.0], ids=["before", "after"])
def test_when_no_more_pages_may_be_open_it_ends_whether_they_were_so_before_or_after(seconds: float) -> None:
    source = MemorySource(MAX_OPEN_PAGES + 500, page_size=1)
    source.seconds = lambda index: seconds if index == 0 else READ_SECONDS
    postponing(source, 0)
    job = Import(source, MemorySink())
    job.run()
    assert job.counters.listed == MAX_OPEN_PAGES
    assert (job.counters.sent, job.counters.outcomes.pending) == (MAX_OPEN_PAGES - 1, 1)
    assert job.unfinished
    assert job.counters.resume_offset == "0"


def test_a_page_whose_other_profiles_are_slow_is_waited_for() -> None:
    source = MemorySource(MAX_OPEN_PAGES * 2 + 4, page_size=2)
    source.seconds = lambda index: 1000.0 * index if index in (1, 3) else READ_SECONDS
    postponing(source, 2)
    job = Import(source, MemorySink(), concurrency=8)
    job.run()
    assert job.counters.listed == MAX_OPEN_PAGES * 2 + 2, "the first page is done, and made room for one more"
    assert job.counters.outcomes.pending == 1


# --- upserts --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("late", [7, 333, 499])
def test_an_upsert_that_is_to_be_made_in_hours_leaves_its_customers_pending(late: int) -> None:
    job = Import(MemorySource(500), MemorySink())
    postponing_customers(job.sink, late)
    job.run()
    assert (job.counters.sent, job.rejections(), job.counters.outcomes.pending) == (400, [], 100)
    assert job.unfinished
    assert "100 profiles left pending" in str(job.unfinished)


def test_many_upserts_that_are_not_in_a_row_may_be_left_for_later() -> None:
    job = Import(MemorySource(1000), MemorySink(), concurrency=1)
    postponing_customers(job.sink, 50, 350, 550, 750)
    job.run()
    assert (job.counters.sent, job.rejections(), job.counters.outcomes.pending) == (600, [], 400)


def test_where_every_upsert_is_answered_so_the_import_stops() -> None:
    job = Import(MemorySource(10_000), MemorySink())
    postponing_customers(job.sink, *range(10_000))
    with pytest.raises(TransientError, match="answered 503"):
        job.run()
    assert job.source.reads < 1000
    assert (job.rejections(), job.counters.resume_offset) == ([], "0")


def test_a_half_may_be_left_for_later_too() -> None:
    job = Import(MemorySource(8), MemorySink(), concurrency=1)

    def trouble(source_ids: list[str]) -> TransientError | None:
        if len(source_ids) == 8:
            return TransientError("answered 500", service="Test", status=500)
        return asking_for(HOURS) if "user-0" in source_ids else None

    job.sink.trouble = trouble
    job.run()
    assert (job.counters.sent, job.rejections(), job.counters.outcomes.pending) == (4, [], 4)
