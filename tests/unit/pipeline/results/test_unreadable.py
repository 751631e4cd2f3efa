"""One result that cannot be read holds up no others, and rejects nobody."""

from __future__ import annotations

import asyncio

import pytest

from segsync.connectors.base import ActionStatus, UpsertResult
from segsync.errors import AnswerError, CallError, RefusedError, TransientError
from segsync.events import ResultUnknown
from segsync.models import Outcomes
from tests.support.ledgers import done, not_ended
from tests.unit.pipeline.results.scene import Scene, until

ERRORS = [
    AnswerError("Voucherify answered 200 with not what its API documents", service="Voucherify", request_id="req-9"),
    RefusedError("Voucherify answered 400", service="Voucherify", status=400),
    TransientError("Voucherify answered 500; given up", service="Voucherify", status=500, others_succeed=True),
]


def unreadable(scene: Scene, bad: str, error: CallError) -> None:
    answer = scene.voucherify.upsert_result

    async def read(action_id: str) -> UpsertResult | None:
        if action_id == bad:
            raise error
        return await answer(action_id)

    scene.voucherify.upsert_result = read  # type: ignore[method-assign]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
async def test_the_others_are_read_and_it_is_unknown_at_the_end(scene: Scene, error: CallError) -> None:
    unreadable(scene, "aa_2", error)
    for _ in range(30):
        scene.send(2, done(2))
    await scene.follow()
    assert scene.outcomes == Outcomes(confirmed=58, unknown=2)
    assert scene.rejections == []
    reasons = {event.reason for event in scene.events if isinstance(event, ResultUnknown)}
    assert reasons == {f"the result of the bulk upsert aa_2 cannot be read: {error.message}"}
    assert scene.open_upserts() == 0


async def test_it_stays_open_as_long_as_others_are_waited_for(scene: Scene) -> None:
    unreadable(scene, "aa_2", ERRORS[0])
    for _ in range(3):
        scene.send(2, done(2))
    scene.send(2, not_ended())
    following = asyncio.ensure_future(scene.follow())
    await until(lambda: len(scene.ended) == 2)
    assert scene.outcomes == Outcomes(confirmed=4, sent=4)
    scene.voucherify.results["aa_4"] = done(2)
    await following
    assert scene.outcomes == Outcomes(confirmed=6, unknown=2)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
async def test_where_no_result_was_ever_read_it_is_not_this_one_alone(scene: Scene, error: CallError) -> None:
    unreadable(scene, "aa_1", error)
    scene.send(2, done(2))
    with pytest.raises(type(error)):
        await scene.follow()
    assert scene.outcomes == Outcomes(sent=2)


async def test_where_none_of_many_can_be_read_the_import_stops_early(scene: Scene) -> None:
    async def read(_action_id: str) -> UpsertResult | None:
        raise ERRORS[0]

    scene.voucherify.upsert_result = read  # type: ignore[assignment, method-assign]
    for _ in range(40):
        scene.send(2, done(2))
    with pytest.raises(AnswerError):
        await scene.follow()
    assert scene.outcomes == Outcomes(sent=80)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
async def test_a_resume_that_meets_it_first_reads_the_others_all_the_same(scene: Scene, error: CallError) -> None:
    unreadable(scene, "aa_1", error)
    for _ in range(3):
        scene.send(2, done(2))
    scene.begin_process()
    unreadable(scene, "aa_1", error)
    await scene.follow()
    assert scene.outcomes == Outcomes(confirmed=4, unknown=2)


AWAY = TransientError("Voucherify answered 503; given up", service="Voucherify", status=503)


async def test_after_all_is_sent_the_listing_shows_that_the_others_can_be_read(scene: Scene) -> None:
    unreadable(scene, "aa_1", AWAY)
    for _ in range(2):
        scene.send(2, done(2))
    await scene.follow()
    assert scene.outcomes == Outcomes(confirmed=2, unknown=2)


async def test_the_last_of_all_is_left_to_another_process_and_unknown_then(scene: Scene) -> None:
    scene.send(2, done(2))
    unreadable(scene, "aa_2", AWAY)
    scene.send(2, done(2))
    with pytest.raises(TransientError):
        await scene.follow()
    scene.begin_process()
    unreadable(scene, "aa_2", AWAY)
    await scene.follow()
    assert scene.outcomes == Outcomes(confirmed=2, unknown=2)


async def test_an_outage_is_no_unreadable_result(scene: Scene) -> None:
    async def away() -> dict[str, ActionStatus]:
        raise AWAY

    scene.send(2, done(2))
    await scene.follow()
    scene.voucherify.calls.clear()
    unreadable(scene, "aa_2", AWAY)
    scene.voucherify.action_statuses = away  # type: ignore[method-assign]
    for _ in range(2):
        scene.send(2, done(2))
    with pytest.raises(TransientError):
        await scene.follow()
    assert scene.outcomes == Outcomes(confirmed=2, sent=4)
    assert scene.voucherify.calls == [], "the others are not waited for, one after the other"
