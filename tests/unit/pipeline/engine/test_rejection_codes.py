"""A rejection has the code of what it is for, at whatever stage that is."""

from __future__ import annotations

from segsync.errors import AnswerError, RefusedError, TransientError
from segsync.events import ProfileRejected
from segsync.models import Customer, Profile
from tests.support.memory import Import, MemorySink, MemorySource, rejecting


def codes(job: Import) -> dict[str, str | None]:
    """The codes of the rejections, by the segment id of the profile."""
    job.run()
    rejections = [event.rejection for event in job.events if isinstance(event, ProfileRejected)]
    return {rejection.segment_id: rejection.code for rejection in rejections}


def test_one_that_could_not_be_read() -> None:
    source = MemorySource(100)
    troubles = {
        3: RefusedError("gone", service="Test", status=404, code="not-found"),
        4: AnswerError("damaged", service="Test", code="identifier-damaged"),
        5: TransientError("slow", service="Test", code="no-answer"),
        6: RefusedError("of somebody else's source", service="Test", status=400),
    }
    source.trouble = troubles.get
    assert codes(Import(source, MemorySink())) == {
        "3": "not-found",
        "4": "identifier-damaged",
        "5": "no-answer",
        "6": None,
    }


def test_one_that_could_not_be_made_a_customer() -> None:
    job = Import(MemorySource(100), MemorySink(), batch_size=1)
    rejects = rejecting(lambda number: number == 3)
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    metadata: dict[int, object] = {4: "x" * 2_000, 5: deep}

    def customer(profile: Profile, *rest: object) -> Customer:
        number = int(profile.segment_id)
        if number in metadata:
            return Customer(profile.source_id, metadata={"a": metadata[number]})
        return rejects(profile, lambda *_: None)

    job.to_customer = customer
    job.sink.max_body_bytes = 1_000
    assert codes(job) == {"3": "metadata-rejected", "4": "too-large", "5": "value-unsendable"}


def test_one_that_the_sink_refused() -> None:
    sink = MemorySink()
    refusal = RefusedError("refused", service="Test", status=400, code="refused")
    sink.trouble = lambda source_ids: refusal if "user-3" in source_ids else None
    assert codes(Import(MemorySource(100), sink)) == {"3": "refused"}
