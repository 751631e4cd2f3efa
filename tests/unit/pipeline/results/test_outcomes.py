"""What each profile of a bulk upsert comes to, by the result of the upsert."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial
from sqlite3 import Connection

import pytest

from segsync.connectors.base import RefusedCustomer, UpsertResult
from segsync.connectors.voucherify import VoucherifySink
from segsync.errors import AnswerError, CallError, RefusedError, StopError, TransientError
from segsync.events import ActionEnded, ProfileRejected, ResultUnknown
from segsync.ledger import batches
from segsync.ledger.batches import SEARCH_ATTEMPT
from segsync.ledger.database import Ledger
from segsync.models import Outcomes, Rejection
from segsync.pipeline import results
from segsync.pipeline.results import FAILED_IN_A_ROW
from tests.support.ledgers import REASON, done, failed, not_ended
from tests.support.scripted import Script, answer, client_to
from tests.unit.pipeline.results.scene import Scene, until

# --- DONE -----------------------------------------------------------------------------------------------------


async def test_customers_of_an_action_that_is_done_are_confirmed(scene: Scene) -> None:
    scene.send(100, done(100))
    assert scene.outcomes == Outcomes(sent=100)
    await scene.follow()
    assert scene.outcomes == Outcomes(confirmed=100)
    assert scene.events[-1] == ActionEnded("aa_1", 100, 100, request_id="req-result")
    assert scene.open_upserts() == 0


@pytest.mark.parametrize("status", ["ENQUEUED", "IN_PROGRESS", "a status of tomorrow"])
async def test_an_action_that_has_not_ended_is_waited_for(scene: Scene, status: str) -> None:
    scene.send(3, not_ended(status))
    following = asyncio.ensure_future(scene.follow())
    await asyncio.sleep(0.02)
    assert not following.done()
    assert scene.outcomes == Outcomes(sent=3)
    scene.voucherify.results["aa_1"] = done(3)
    await following
    assert scene.outcomes == Outcomes(confirmed=3)


async def test_a_refused_customer_is_rejected_with_voucherifys_reason_and_all_that_is_known_of_it(
    scene: Scene,
) -> None:
    ids = scene.send(100, None)
    scene.voucherify.results["aa_1"] = done(100, ids[7:9])
    await scene.follow()
    assert scene.outcomes == Outcomes(confirmed=98, rejected=2)
    assert scene.rejections == [
        Rejection(f"use_{each}", each, "confirm", REASON, "req-result", "refused") for each in ids[7:9]
    ]
    assert [type(event) for event in scene.events[-3:]] == [ProfileRejected, ProfileRejected, ActionEnded]


async def test_where_the_answer_names_all_who_were_refused_no_report_is_read(scene: Scene) -> None:
    ids = scene.send(10, None)
    scene.voucherify.results["aa_1"] = done(10, ids[:2], reports=("https://files/1",))
    await scene.follow()
    assert scene.voucherify.calls == ["aa_1"]


async def test_where_the_answer_names_too_few_the_reports_name_the_others(scene: Scene) -> None:
    ids = scene.send(100, None)
    scene.voucherify.results["aa_1"] = done(100, ids[:30], listed=10, reports=("https://files/1", "https://files/2"))
    scene.voucherify.reports = {"https://files/1": ids[:20], "https://files/2": ids[20:30]}
    await scene.follow()
    assert scene.outcomes == Outcomes(confirmed=70, rejected=30)
    assert scene.rejected == ids[:30]


UNREADABLE = [
    RefusedError("files.example answered 403 to a report file of Voucherify", service="Voucherify", status=403),
    AnswerError("Voucherify names a report file that is not at an https URL", service="Voucherify"),
    TransientError("files.example answered 503 to a report file of Voucherify", service="Voucherify", status=503),
]


@pytest.mark.parametrize("error", UNREADABLE, ids=lambda error: type(error).__name__)
async def test_where_a_report_cannot_be_read_nobody_is_called_rejected_whom_nobody_named(
    scene: Scene, error: CallError
) -> None:
    ids = scene.send(100, None)
    scene.voucherify.reports = {"https://files/1": error}
    scene.voucherify.results["aa_1"] = done(100, ids[:30], listed=10, reports=("https://files/1",))
    await scene.follow()
    assert scene.outcomes == Outcomes(rejected=10, pending=90)
    assert scene.rejected == ids[:10]
    scene.replay(lambda again: done(90, again[:20], listed=0, reports=("https://files/1",)))
    await scene.follow()
    assert scene.outcomes == Outcomes(rejected=10, pending=90)


@pytest.mark.parametrize("error", UNREADABLE, ids=lambda error: type(error).__name__)
async def test_one_that_is_alone_is_rejected_with_what_is_known(scene: Scene, error: CallError) -> None:
    [source_id] = scene.send(1, None)
    scene.voucherify.reports = {"https://files/1": error}
    scene.voucherify.results["aa_1"] = done(1, [source_id], listed=0, reports=("https://files/1",))
    await scene.follow()
    assert scene.outcomes == Outcomes(rejected=1)
    assert scene.rejections[-1].reason.startswith("Voucherify refused the customer and does not say why")
    assert error.message in scene.rejections[-1].reason


# --- the names that a result gives ----------------------------------------------------------------------------


async def test_a_report_that_names_more_customers_than_failed_names_nobody(scene: Scene) -> None:
    ids = scene.send(100, None)
    scene.voucherify.results["aa_1"] = done(100, ids[:1], listed=0, reports=("https://files/1",))
    scene.voucherify.reports = {"https://files/1": ids}
    await scene.follow()
    assert scene.outcomes == Outcomes(pending=100)


async def test_errors_that_name_more_customers_than_failed_name_nobody(scene: Scene) -> None:
    ids = scene.send(10, None)
    refused = tuple(RefusedCustomer(each, REASON) for each in ids[:5])
    scene.voucherify.results["aa_1"] = UpsertResult("DONE", False, 9, 1, refused, (), None)
    await scene.follow()
    assert scene.outcomes == Outcomes(pending=10)


async def test_errors_keep_their_word_where_the_report_names_too_many(scene: Scene) -> None:
    ids = scene.send(10, None)
    scene.voucherify.results["aa_1"] = done(10, ids[:2], listed=1, reports=("https://files/1",))
    scene.voucherify.reports = {"https://files/1": ids}
    await scene.follow()
    assert scene.outcomes == Outcomes(rejected=1, pending=9)
    assert scene.rejected == ids[:1]


@pytest.mark.parametrize("returned", ["ada@example.com", " Ada@Example.com\t", "ADA@EXAMPLE.COM"])
async def test_an_id_that_comes_back_trimmed_or_in_lower_case_is_known(scene: Scene, returned: str) -> None:
    scene.send([" Ada@Example.com", "ben@example.com"], done(2, [returned]))
    await scene.follow()
    assert scene.outcomes == Outcomes(confirmed=1, rejected=1)
    assert [each.segment_id for each in scene.rejections] == ["use_ Ada@Example.com"]
    assert scene.rejected == [" Ada@Example.com"], "as the profile has it"


async def test_an_id_that_could_be_two_customers_names_neither(scene: Scene) -> None:
    scene.send(["Ada", "ADA", "ben"], done(3, ["ada"]))
    await scene.follow()
    assert scene.outcomes == Outcomes(pending=3)


async def test_an_id_that_is_exactly_one_customers_names_that_one(scene: Scene) -> None:
    scene.send(["Ada", "ADA", "ben"], done(3, ["ADA"]))
    await scene.follow()
    assert scene.outcomes == Outcomes(confirmed=2, rejected=1)
    assert scene.rejected == ["ADA"]


async def test_one_customer_named_twice_counts_once(scene: Scene) -> None:
    ids = scene.send(10, None)
    refused = (RefusedCustomer(ids[0], REASON), RefusedCustomer(f" {ids[0]}", "the same"))
    scene.voucherify.results["aa_1"] = UpsertResult("DONE", False, 8, 2, refused, (), None)
    await scene.follow()
    assert scene.outcomes == Outcomes(rejected=1, pending=9)


async def test_a_customer_that_no_count_calls_failed_is_not_called_rejected(scene: Scene) -> None:
    scene.send(1, UpsertResult("DONE", False, 0, 0, (), (), None))
    await scene.follow()
    assert scene.outcomes == Outcomes(unknown=1)
    assert scene.rejections == []


async def test_replayed_customers_that_succeed_are_confirmed(scene: Scene) -> None:
    ids = scene.send(100, None)
    scene.voucherify.results["aa_1"] = done(100, ids[:30], listed=10)
    await scene.follow()
    scene.replay(lambda again: done(90, again[:20]))
    await scene.follow()
    assert scene.outcomes == Outcomes(confirmed=70, rejected=30)
    assert scene.rejected == ids[:30]


@pytest.mark.parametrize(
    ("done_count", "failed_count"), [(97, None), (97, 0), (97, 3), (None, 3)], ids=["done", "both", "all", "failed"]
)
async def test_customers_that_were_neither_written_nor_named_are_not_confirmed(
    scene: Scene, done_count: int | None, failed_count: int | None
) -> None:
    scene.send(100, UpsertResult("DONE", True, done_count, failed_count, (), (), "req-result"))
    await scene.follow()
    assert scene.outcomes == Outcomes(pending=100)


async def test_an_action_without_counts_is_judged_by_its_success_flag(scene: Scene) -> None:
    scene.send(10, UpsertResult("DONE", True, None, None, (), (), None))
    scene.send(20, UpsertResult("DONE", False, None, None, (), (), None))
    await scene.follow()
    assert scene.outcomes == Outcomes(confirmed=10, pending=20)


async def test_an_error_about_somebody_else_does_not_hide_that_somebody_was_refused(scene: Scene) -> None:
    scene.send(10, done(10, ["a stranger"]))
    await scene.follow()
    assert scene.outcomes == Outcomes(pending=10)


# --- FAILED ---------------------------------------------------------------------------------------------------


async def test_a_failed_action_is_sent_once_more_and_then_searched(scene: Scene) -> None:
    ids = scene.send(5, failed())
    await scene.follow()
    assert (scene.outcomes, scene.rejections) == (Outcomes(pending=5), [])
    scene.replay(lambda _: failed())
    await scene.follow()
    assert (scene.outcomes, scene.rejections) == (Outcomes(pending=5), [])
    [replay] = scene.ledger.read(partial(batches.replays, since=0))
    assert (replay.attempt, replay.customers) == (SEARCH_ATTEMPT, len(ids))


async def test_a_customer_whose_action_fails_again_and_again_alone_is_rejected(scene: Scene) -> None:
    [source_id] = scene.send(1, failed())
    await scene.follow()
    for _ in range(2):
        scene.replay(lambda _: failed())
        assert scene.outcomes == Outcomes(sent=1)
        await scene.follow()
    assert scene.outcomes == Outcomes(sent=1), "it may be that all fail"
    scene.send(1, done(1))
    await scene.follow()
    assert scene.outcomes == Outcomes(confirmed=1, rejected=1)
    assert scene.rejections == [
        Rejection(
            f"use_{source_id}",
            source_id,
            "confirm",
            "the bulk upsert aa_3 FAILED in Voucherify",
            "aa_3",
            code="upsert-failed",
        )
    ]
    assert scene.ledger.read(partial(batches.replays, since=0)) == []


async def test_many_of_them_in_a_row_stop_the_import(scene: Scene) -> None:
    for _ in range(FAILED_IN_A_ROW + 5):
        scene.send(2, failed())
    with pytest.raises(StopError, match=r"^25 bulk upserts in a row failed \(the bulk upsert aa_25 FAILED"):
        await scene.follow()
    assert scene.outcomes == Outcomes(sent=10, pending=50)
    assert scene.rejections == []


async def test_one_that_is_done_between_them_shows_that_not_all_fail(scene: Scene) -> None:
    for _ in range(FAILED_IN_A_ROW - 1):
        scene.send(2, failed())
    scene.send(2, done(2))
    for _ in range(FAILED_IN_A_ROW - 1):
        scene.send(2, failed())
    await scene.follow()
    assert scene.outcomes == Outcomes(confirmed=2, pending=96)


async def test_what_failed_while_no_import_ran_does_not_stop_the_next_one(scene: Scene) -> None:
    for _ in range(FAILED_IN_A_ROW + 5):
        scene.send(2, failed())
    scene.begin_process()
    await scene.follow()
    assert scene.outcomes == Outcomes(pending=60)


# --- not known to Voucherify ----------------------------------------------------------------------------------


async def test_the_result_of_an_action_that_is_forgotten_for_good_is_unknown(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "YOUNG_SECONDS", 0.0)
    scene.send(5, None)
    await scene.follow()
    assert scene.outcomes == Outcomes(unknown=5)
    assert scene.rejections == []
    unknown = [event for event in scene.events if isinstance(event, ResultUnknown)]
    assert {event.reason for event in unknown} == {"Voucherify does not know the bulk upsert aa_1 any more"}
    assert scene.open_upserts() == 0


async def test_an_action_that_was_accepted_a_moment_ago_is_not_known_yet(scene: Scene) -> None:
    scene.send(5, None)
    following = asyncio.ensure_future(scene.follow())
    await until(lambda: scene.voucherify.calls.count("aa_1") >= 5)
    assert scene.outcomes == Outcomes(sent=5)
    scene.voucherify.results["aa_1"] = done(5)
    await following
    assert scene.outcomes == Outcomes(confirmed=5)


def sent_at(db: Connection, batch: int, moment: str) -> None:
    db.execute("UPDATE batches SET sent_at = ? WHERE id = ?", (moment, batch))


async def test_one_of_an_earlier_process_is_as_old_as_its_upsert(ledger: Ledger) -> None:
    scene = Scene(ledger)
    scene.send(2, None)
    scene.send(3, None)
    for batch, seconds in ((1, 301), (2, 270)):
        ago = (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()
        ledger.read(partial(sent_at, batch=batch, moment=ago))
    following = asyncio.ensure_future(scene.follow())
    await until(lambda: scene.voucherify.calls.count("aa_2") >= 5)
    assert scene.outcomes == Outcomes(sent=3, unknown=2)
    following.cancel()


# --- privacy --------------------------------------------------------------------------------------------------


async def test_a_reason_that_quotes_the_customer_is_reported_and_kept_without_it(ledger: Ledger) -> None:
    source_id = "ada.lovelace@example.com"
    action = {
        "id": "aa_1",
        "status": "DONE",
        "operation_status": "FAILED",
        "result": {
            "done_count": 1,
            "failed_count": 1,
            "errors": [
                {
                    "source_id": source_id,
                    "key": "invalid_customer",
                    "message": f"Customer {source_id} was refused",
                    "details": "phone +44 20 7946 0958 of 'Ada Lovelace' <countess@example.org> is taken",
                }
            ],
        },
    }
    async with client_to(Script(answer(action)), service="Voucherify") as client:
        scene = Scene(ledger, VoucherifySink(client))
        await scene.begin()
        scene.send([source_id, "ben@example.com"], None)
        await scene.follow()
    assert scene.outcomes == Outcomes(confirmed=1, rejected=1)
    [rejection] = scene.rejections
    assert rejection.source_id == source_id
    assert "invalid_customer: Customer … was refused" in rejection.reason
    assert ledger.path is not None
    kept = b"".join(each.read_bytes() for each in ledger.path.parent.iterdir()).decode(errors="replace")
    for reason in (rejection.reason, kept.replace(f"use_{source_id}", "").replace("use_ben@example.com", "")):
        for secret in ("ada.lovelace", "example.com", "Lovelace", "7946", "countess"):
            assert secret not in reason
