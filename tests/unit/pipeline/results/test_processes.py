"""Results that one process leaves to the next."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from segsync.connectors.base import UpsertResult
from segsync.errors import AccessError, OutputError
from segsync.events import BatchSent, Event, PageDone, SentProfile
from segsync.ledger import recorder, runs
from segsync.ledger.database import Ledger
from segsync.ledger.result_writer import ResultWriter
from segsync.models import Outcomes, Rejection
from tests.support.ledgers import REASON, done, failed, not_ended, outcomes_of
from tests.unit.pipeline.results.scene import Scene, until


async def test_results_that_an_earlier_process_left_unread_are_read(scene: Scene) -> None:
    ids = scene.send(10, None)
    scene.voucherify.results["aa_1"] = done(10, ids[:1])
    scene.send(5, failed())
    scene.begin_process()
    await scene.follow()
    assert scene.outcomes == Outcomes(confirmed=9, rejected=1, pending=5)
    assert scene.rejections == [Rejection(f"use_{ids[0]}", ids[0], "confirm", REASON, "req-result", "refused")]


async def test_only_customers_that_still_count_are_reported(ledger: Ledger) -> None:
    """The others are on a page that the resumed import has sent once more."""
    scene = Scene(ledger)
    scene.send(3, done(3))
    record = recorder.for_listing(ledger, scene.run, done_pages=0, is_followed=True).record
    sent = ((1, "ada"), (1, "ben"), (2, "cyd"), (2, "dan"))
    record(BatchSent("aa_old", tuple(SentProfile(page, f"use_{each}", each) for page, each in sent)))
    record(PageDone(1, "", "1", Outcomes(sent=5)))
    ledger.read(partial(runs.resume_run, run=scene.run))
    scene.begin_process()
    assert scene.outcomes == Outcomes(sent=5)
    scene.voucherify.results["aa_old"] = done(4, ["ben", "dan"])
    await scene.follow()
    assert scene.outcomes == Outcomes(confirmed=4, rejected=1)
    assert scene.rejected == ["ben"]
    assert scene.ended.count("aa_old") == 1


async def test_upserts_of_runs_that_do_not_matter_any_more_are_left_alone(ledger: Ledger) -> None:
    old = Scene(ledger)
    old.send(5, done(5))
    scene = Scene(ledger)
    await scene.follow()
    assert scene.voucherify.calls == old.voucherify.calls == []
    assert old.outcomes == Outcomes(sent=5)


async def test_an_early_end_leaves_unread_results_open(scene: Scene) -> None:
    scene.send(5, done(5))
    scene.send(5, not_ended())
    following = asyncio.ensure_future(scene.follow())
    await until(lambda: scene.ended == ["aa_1"])
    following.cancel()
    assert await asyncio.gather(following, return_exceptions=True)
    assert scene.outcomes == Outcomes(confirmed=5, sent=5)
    scene.voucherify.results["aa_2"] = done(5)
    await scene.follow()
    assert scene.outcomes == Outcomes(confirmed=10)


async def test_a_result_that_could_not_be_written_into_the_files_stays_open(scene: Scene) -> None:
    ids = scene.send(5, None)
    scene.voucherify.results["aa_1"] = done(5, ids[:1])

    def disk_full(_event: Event) -> None:
        raise OutputError("rejected-profiles.csv cannot be written: No space left on device")

    scene.emit = disk_full  # type: ignore[assignment, method-assign]
    with pytest.raises(OutputError):
        await scene.follow()
    assert outcomes_of(scene.ledger, scene.run) == Outcomes(sent=5)
    assert scene.open_upserts() == 1


async def test_an_error_of_the_calls_ends_the_reading_and_leaves_all_open(scene: Scene) -> None:
    scene.send(5, done(5))

    async def refuse(_action_id: str) -> UpsertResult | None:
        raise AccessError("Voucherify answered 401", service="Voucherify", status=401)

    scene.voucherify.upsert_result = refuse  # type: ignore[assignment, method-assign]
    with pytest.raises(AccessError):
        await scene.follow()
    assert scene.outcomes == Outcomes(sent=5)


async def test_rejections_that_an_earlier_process_did_not_write_do_not_know_the_source_ids(scene: Scene) -> None:
    scene.send(1, done(1, ["c1-0"], listed=0))
    scene.begin_process()
    await scene.follow()
    scene.replay(lambda again: done(1, again, listed=0))
    scene.writer = ResultWriter(scene.ledger, lambda _run: scene.emit)  # which has not seen the replay
    scene.reader._writer = scene.writer
    await scene.follow()
    assert scene.rejected == [None]
    assert [each.segment_id for each in scene.rejections] == ["use_c1-0"]


async def test_one_that_failed_alone_in_an_earlier_process_is_sent_again(scene: Scene) -> None:
    scene.send(1, failed())
    for _ in range(2):
        await scene.follow()
        scene.replay(lambda _: failed())
    scene.begin_process()
    await scene.follow()
    assert scene.outcomes == Outcomes(pending=1)
