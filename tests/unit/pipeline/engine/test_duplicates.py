"""Two profiles with one identifier: the one that is listed first keeps its values, whoever is read first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

import msgspec
import pytest

from segsync.errors import SegsyncError, TransientError
from segsync.events import BatchSent, DuplicateIdentifier, PageDone, PageListed
from segsync.models import Outcomes, Profile
from tests.support.memory import READ_SECONDS, Import, MemorySink, MemorySource, refused, rejecting

SHARED = "the-same"


class Sharing(MemorySource):
    """The profiles with these indices have one identifier; everybody's name is the segment id."""

    def __init__(self, profiles: int, *indices: int, brings_profiles: bool = False) -> None:
        super().__init__(profiles, brings_profiles=brings_profiles)
        self.source_id = lambda index: SHARED if index in indices else f"user-{index}"

    def _profile(self, index: int) -> Profile | None:
        source_id = self.source_id(index)
        return None if source_id is None else Profile(str(index), source_id, {"name": str(index)})


class Sink(MemorySink):
    """Knows whose values it took last; refuses the profiles in `bad`; `delay` is how long an upsert takes."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[tuple[str, str]] = []
        self.bad: Sequence[str] = ()
        self.delay: Callable[[set[str]], float] = lambda _source_ids: 0.0

    async def upsert(self, body: bytes) -> str:
        taken = [(each["source_id"], each.get("name", "")) for each in msgspec.json.decode(body)]
        await asyncio.sleep(self.delay({source_id for source_id, _ in taken}))
        if any(name in self.bad for _, name in taken):
            raise refused(400)
        self.taken += taken
        return await super().upsert(body)

    def names(self) -> list[str]:
        """The profiles whose values the shared customer had, one after the other."""
        return [name for source_id, name in self.taken if source_id == SHARED]


def importing(source: MemorySource, sink: Sink, batch_size: int = 100) -> Import:
    """An import that knows who was sent from pages that are done."""

    async def others(customers: Sequence[tuple[str, str]]) -> Mapping[str, Sequence[str]]:
        done = {event.number for event in job.events if isinstance(event, PageDone)}
        replaced = {event.segment_id for event in job.events if isinstance(event, DuplicateIdentifier)}
        sent = [each for event in job.events if isinstance(event, BatchSent) for each in event.profiles]
        holders = {
            each.source_id: each.segment_id for each in sent if each.page in done and each.segment_id not in replaced
        }
        return {
            segment_id: [holders[source_id]]
            for segment_id, source_id in customers
            if holders.get(source_id, segment_id) != segment_id
        }

    job = Import(source, sink, batch_size=batch_size, others=others)
    return job


def late(source: MemorySource, **seconds: float) -> None:
    """Have some profiles, by `p` and their index, take so long to read."""
    source.seconds = lambda index: seconds.get(f"p{index}", READ_SECONDS)


def duplicates(job: Import) -> list[tuple[str, str]]:
    """Who is a duplicate of whom. All that was listed is accounted for, in the counters as on the pages."""
    outcomes = job.counters.outcomes
    done = sum((event.outcomes for event in job.events if isinstance(event, PageDone)), Outcomes())
    listed = sum(event.profiles for event in job.events if isinstance(event, PageListed))
    assert outcomes == done
    assert (outcomes.profiles, outcomes.pending) == (listed, 0)
    found = [(each.segment_id, each.other) for each in job.events if isinstance(each, DuplicateIdentifier)]
    assert len(found) == outcomes.duplicate
    return sorted(found, key=lambda each: int(each[0]))


@pytest.mark.parametrize("brings_profiles", [False, True])
def test_the_second_of_two_profiles_is_not_sent_and_is_counted(brings_profiles: bool) -> None:
    job = importing(Sharing(300, 20, 120, 121, brings_profiles=brings_profiles), Sink())
    job.run()
    assert duplicates(job) == [("120", "20"), ("121", "20")]
    assert job.sink.received.count(SHARED) == 1
    assert job.counters.outcomes == Outcomes(sent=298, duplicate=2)


@pytest.mark.parametrize("second", [21, 99, 260], ids=["beside it", "on its page", "three pages later"])
@pytest.mark.parametrize("seconds", [READ_SECONDS * 2, 3.0, 25.0])
def test_one_that_is_listed_first_but_read_later_is_sent_last(seconds: float, second: int) -> None:
    source = Sharing(1000, 20, second)
    late(source, p20=seconds)
    sink = Sink()
    job = importing(source, sink)
    job.run()
    assert duplicates(job) == [(str(second), "20")]
    assert sink.names()[-1] == "20"
    assert job.counters.outcomes == Outcomes(sent=999, duplicate=1)


def test_the_first_waits_until_the_other_one_is_accepted_so_that_its_values_come_last() -> None:
    source, sink = Sharing(200, 0, 150), Sink()
    late(source, p0=2.0)
    sink.delay = lambda ids: 30.0 if SHARED in ids else 0.0
    job = importing(source, sink, batch_size=10)
    job.run()
    assert sink.names() == ["150", "0"]
    assert duplicates(job) == [("150", "0")]


def test_one_that_waits_for_another_is_sent_where_voucherify_refuses_that_one() -> None:
    for slow, refused_one in (("p20", "30"), ("p30", "20")):
        source, sink = Sharing(200, 20, 30), Sink()
        late(source, **{slow: 1.0})
        sink.bad = [refused_one]
        job = importing(source, sink)
        job.run()
        assert duplicates(job) == []
        assert job.rejections() == [(refused_one, "upsert")]
        assert job.counters.outcomes == Outcomes(sent=199, rejected=1)


def test_one_that_cannot_be_read_or_mapped_is_in_nobodys_way() -> None:
    source = Sharing(200, 20, 30, 40)
    source.trouble = lambda index: refused(404) if index == 20 else None
    sink = Sink()
    job = importing(source, sink)
    job.to_customer = rejecting(lambda index: index == 30)
    job.run()
    assert duplicates(job) == []
    assert job.counters.outcomes == Outcomes(sent=198, rejected=2)
    assert sink.received.count(SHARED) == 1


def test_a_profile_that_is_listed_twice_is_sent_twice_and_no_duplicate_of_itself() -> None:
    class Moving(Sharing):
        def _listed(self, index: int) -> str:
            return "7" if index == 207 else str(index)

    job = importing(Moving(300), Sink())
    job.run()
    assert duplicates(job) == []
    assert job.counters.outcomes == Outcomes(sent=300)
    assert job.sink.received.count("user-7") == 2


def test_a_profile_that_is_listed_twice_keeps_its_first_place() -> None:
    class Moving(Sharing):
        def _listed(self, index: int) -> str:
            return "7" if index == 57 else str(index)

    source, sink = Moving(100, 7, 30), Sink()
    late(source, p30=5.0)
    job = importing(source, sink, batch_size=10)
    job.run()
    assert duplicates(job) == [("30", "7")]
    assert sink.names() == ["7", "7"]
    assert job.counters.outcomes == Outcomes(sent=99, duplicate=1)


def test_while_many_profiles_wait_for_one_customer_reading_waits_too() -> None:
    source, sink = Sharing(5000, *range(5000)), Sink()
    sink.delay = lambda _source_ids: 40.0
    job = importing(source, sink)
    reads: list[int] = []

    async def look() -> None:
        await asyncio.sleep(39)
        reads.append(source.reads)

    job.run(meanwhile=look())
    assert reads[0] < 300, "some 6,000 could have been read by then"
    assert sink.names()[-1] == "0"
    assert len(sink.names()) <= 2
    assert job.counters.outcomes == Outcomes(sent=1, duplicate=4999)
    assert len(duplicates(job)) == 4999


def test_nobody_is_remembered_in_memory_beyond_the_pages_that_are_open() -> None:
    sink = Sink()
    job = Import(Sharing(2000, 0, 1900), sink)  # nobody knows who was sent from the pages that are done
    job.run()
    assert sink.names() == ["0", "1900"]
    assert duplicates(job) == []


class Before:
    """Says that one profile, "0", may have the identifier of another."""

    def __init__(self) -> None:
        self.questions = 0

    async def __call__(self, customers: Sequence[tuple[str, str]]) -> Mapping[str, Sequence[str]]:
        self.questions += 1
        assert len(customers) <= 100
        return {segment_id: ["0"] for segment_id, _ in customers if segment_id in ("50", "60")}


def resumed(source: MemorySource) -> tuple[Import, Before]:
    before = Before()
    job = Import(source, Sink(), others=before)
    return job, before


def test_who_was_sent_from_an_earlier_page_is_asked_once_a_batch_and_read_once_an_identifier() -> None:
    source = Sharing(300, 0, 50, 60)
    job, before = resumed(source)
    job.run(offset="10")
    assert duplicates(job) == [("50", "0"), ("60", "0")]
    assert job.counters.outcomes == Outcomes(sent=288, duplicate=2)
    assert (before.questions, source.reads) == (3, 290 + 1)


@pytest.mark.parametrize(
    "now",
    [
        refused(404),
        Profile("0", "another", {}),
        None,
        TransientError("answered 500", service="Test", status=500, others_succeed=True),
    ],
    ids=["merged away", "another identifier", "no identifier", "cannot be read"],
)
def test_nobody_is_a_duplicate_of_a_profile_that_does_not_have_the_identifier_now(
    now: SegsyncError | Profile | None,
) -> None:
    source = Sharing(300, 0, 50)
    read = source.read

    async def changed(segment_id: str) -> Profile | None:
        if segment_id != "0":
            return await read(segment_id)
        if isinstance(now, SegsyncError):
            raise now
        return now

    source.read = changed  # type: ignore[method-assign]
    job, _ = resumed(source)
    job.run(offset="10")
    assert duplicates(job) == []
    assert job.counters.outcomes == Outcomes(sent=290)


def test_an_outage_while_another_profile_is_read_makes_nobody_a_duplicate() -> None:
    source = Sharing(300, 0, 50)
    source.trouble = lambda index: TransientError("away", service="Test") if index == 0 else None
    source.is_away = True
    job, _ = resumed(source)
    with pytest.raises(TransientError, match="away"):
        job.run(offset="10")
    assert job.counters.outcomes.duplicate == 0
    assert job.counters.resume_offset == "10"
