"""The results of bulk upserts that Voucherify accepted, with a Voucherify in memory and a real ledger."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest
from msgspec import structs

from segsync.connectors.base import Results, UpsertResult
from segsync.connectors.voucherify import VoucherifySink
from segsync.errors import AccessError, AnswerError, CallError, OutputError, RefusedError, StopError, TransientError
from segsync.events import (
    ActionEnded,
    BatchSent,
    Event,
    OnEvent,
    PageDone,
    PageListed,
    PageReplayed,
    ProfileRejected,
    SentProfile,
)
from segsync.ledger import batches, recorder, runs
from segsync.ledger.database import Ledger
from segsync.models import CallLimit, Outcomes, Rejection
from segsync.pipeline import results
from segsync.pipeline.results import FAILED_IN_A_ROW, ResultReader
from segsync.report.counters import Counters
from tests.support.ledgers import (
    REASON,
    MemoryVoucherify,
    begin,
    done,
    failed,
    not_ended,
    open_ledger,
    outcomes_of,
    run_of,
)
from tests.support.scripted import Script, answer, client_to


@pytest.fixture(autouse=True)
def short_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(results, "LONGEST_LOOK_SECONDS", 0.002)


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what must happen, for as long as a busy machine needs for it."""
    while not holds():  # noqa: ASYNC110 - there is no event for it
        await asyncio.sleep(0.001)


class Scene:
    """An import that sends a batch per page, and reads the results."""

    def __init__(
        self,
        ledger: Ledger,
        voucherify: Results | None = None,
        *,
        patience_seconds: float = 30.0,
        calls_per_second: float = 1e6,
    ) -> None:
        self.ledger = ledger
        self.run = begin(ledger)
        self.voucherify = MemoryVoucherify()
        self.pages = self.actions = 0
        self.patience_seconds = patience_seconds
        self.voucherify.about = structs.replace(self.voucherify.about, limit=CallLimit(calls_per_second, "second"))
        self.begin_process(voucherify)

    def begin_process(self, voucherify: Results | None = None) -> None:
        """From now on all that was sent is of an earlier process."""
        self.events: list[Event] = []
        self.counters = Counters(str(self.pages), outcomes_of(self.ledger, self.run))
        self.reader = ResultReader(
            voucherify or self.voucherify,
            self.ledger,
            since=self.run,
            on_event_of=lambda _run: self.tell,
            patience_seconds=self.patience_seconds,
        )

    def tell(self, event: Event) -> None:
        self.events.append(event)
        self.counters.count(event)

    def send(self, customers: int | Sequence[str], result: UpsertResult | None) -> list[str]:
        """A page of customers in one upsert that will end so; their source ids."""
        number = self.pages + 1
        ids = customers if not isinstance(customers, int) else [f"c{number}-{i}" for i in range(customers)]
        record = recorder.for_listing(self.ledger, self.run, done_pages=0, is_followed=True).record
        self.pages = number
        self.tell(PageListed(str(number), len(ids)))
        self._send(record, number, ids, result)
        record(PageDone(number, "", str(number), Outcomes(sent=len(ids))))
        return list(ids)

    def send_again(self, result: Callable[[list[str]], UpsertResult | None]) -> None:
        """Replay what is pending, in upserts that end so."""
        numbers = self.ledger.read(partial(batches.replays, since=0)).get(self.run, [])
        record = recorder.for_replays(self.ledger, self.run, numbers, is_followed=True).record
        for number, batch in enumerate(numbers, 1):
            members = self.ledger.read(partial(batches.members_of, batch=batch))
            ids = [each.segment_id.removeprefix("use_") for each in members if each.counts]
            self.tell(PageReplayed(len(ids), is_retry=False))
            self._send(record, number, ids, result(ids))
            record(PageDone(number, "", None, Outcomes(sent=len(ids))))

    def _send(self, record: OnEvent, page: int, ids: Sequence[str], result: UpsertResult | None) -> None:
        self.actions += 1
        action_id = f"aa_{self.actions}"
        self.voucherify.outcomes[action_id] = result
        event = BatchSent(action_id, tuple(SentProfile(page, f"use_{each}", each) for each in ids))
        record(event)
        self.tell(event)
        self.reader.remember(event)

    async def begin(self) -> None:
        """So that what is sent from here on is of this process."""
        await self.follow()
        self.voucherify.calls.clear()

    async def follow(self) -> None:
        all_sent = asyncio.Event()
        all_sent.set()
        async with asyncio.timeout(100):
            await self.reader.follow(all_sent)

    @property
    def outcomes(self) -> Outcomes:
        """As the ledger has them, which is as the events report."""
        outcomes = outcomes_of(self.ledger, self.run)
        assert outcomes == self.counters.outcomes
        return outcomes

    @property
    def rejections(self) -> list[Rejection]:
        return [event.rejection for event in self.events if isinstance(event, ProfileRejected)]

    @property
    def rejected(self) -> list[str | None]:
        return [each.source_id for each in self.rejections]

    @property
    def ended(self) -> list[str]:
        return [event.action_id for event in self.events if isinstance(event, ActionEnded)]

    def open_upserts(self) -> int:
        return run_of(self.ledger, self.run).open_upserts


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path / "segsync.db") as opened:
        yield opened


@pytest.fixture
async def scene(ledger: Ledger) -> Scene:
    scene = Scene(ledger)
    await scene.begin()
    return scene


# --- DONE -----------------------------------------------------------------------------------------------------


async def test_customers_of_an_action_that_is_done_are_confirmed(scene: Scene) -> None:
    scene.send(100, done(100))
    assert scene.outcomes == Outcomes(sent=100)
    await scene.follow()
    assert scene.outcomes == Outcomes(confirmed=100)
    assert scene.events[-1] == ActionEnded("aa_1", 100, 100, request_id="req-outcome")
    assert scene.open_upserts() == 0


@pytest.mark.parametrize("status", ["ENQUEUED", "IN_PROGRESS", "a status of tomorrow"])
async def test_one_that_has_not_ended_is_waited_for(scene: Scene, status: str) -> None:
    scene.send(3, not_ended(status))
    following = asyncio.ensure_future(scene.follow())
    await asyncio.sleep(0.02)
    assert not following.done()
    assert scene.outcomes == Outcomes(sent=3)
    scene.voucherify.outcomes["aa_1"] = done(3)
    await following
    assert scene.outcomes == Outcomes(confirmed=3)


async def test_a_refused_customer_is_rejected_with_voucherifys_reason_and_all_that_is_known_of_it(
    scene: Scene,
) -> None:
    ids = scene.send(100, None)
    scene.voucherify.outcomes["aa_1"] = done(100, ids[7:9])
    await scene.follow()
    assert scene.outcomes == Outcomes(confirmed=98, rejected=2)
    assert scene.rejections == [Rejection(f"use_{each}", each, "confirm", REASON, "req-outcome") for each in ids[7:9]]
    assert [type(event) for event in scene.events[-3:]] == [ProfileRejected, ProfileRejected, ActionEnded]


async def test_where_the_answer_names_all_who_were_refused_no_report_is_read(scene: Scene) -> None:
    ids = scene.send(10, None)
    scene.voucherify.outcomes["aa_1"] = done(10, ids[:2], reports=("https://files/1",))
    await scene.follow()
    assert scene.voucherify.calls == ["aa_1"]


async def test_where_it_names_too_few_the_reports_name_the_others(scene: Scene) -> None:
    ids = scene.send(100, None)
    scene.voucherify.outcomes["aa_1"] = done(100, ids[:30], listed=10, reports=("https://files/1", "https://files/2"))
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
async def test_where_a_report_cannot_be_read_those_who_are_not_named_are_replayed_once(
    scene: Scene, error: CallError
) -> None:
    ids = scene.send(100, None)
    scene.voucherify.reports = {"https://files/1": error}
    scene.voucherify.outcomes["aa_1"] = done(100, ids[:30], listed=10, reports=("https://files/1",))
    await scene.follow()
    assert scene.outcomes == Outcomes(rejected=10, pending=90)
    assert scene.rejected == ids[:10]
    scene.send_again(lambda again: done(90, again[:20], listed=0, reports=("https://files/1",)))
    await scene.follow()
    assert scene.outcomes == Outcomes(rejected=100)
    assert scene.rejected == ids
    assert scene.rejections[-1].reason.startswith("Voucherify refused 20 of 90 customers and does not say which")
    assert error.message in scene.rejections[-1].reason


async def test_what_is_replayed_and_goes_through_then_is_confirmed(scene: Scene) -> None:
    ids = scene.send(100, None)
    scene.voucherify.outcomes["aa_1"] = done(100, ids[:30], listed=10)
    await scene.follow()
    scene.send_again(lambda again: done(90, again[:20]))
    await scene.follow()
    assert scene.outcomes == Outcomes(confirmed=70, rejected=30)
    assert scene.rejected == ids[:30]


@pytest.mark.parametrize(
    ("done_count", "failed_count"), [(97, None), (97, 0), (97, 3), (None, 3)], ids=["done", "both", "all", "failed"]
)
async def test_customers_that_were_not_written_and_are_not_named_are_no_customers(
    scene: Scene, done_count: int | None, failed_count: int | None
) -> None:
    scene.send(100, UpsertResult("DONE", True, done_count, failed_count, (), (), "req-outcome"))
    await scene.follow()
    assert scene.outcomes == Outcomes(pending=100)


async def test_an_action_that_counts_nothing_is_taken_at_its_word(scene: Scene) -> None:
    scene.send(10, UpsertResult("DONE", True, None, None, (), (), None))
    scene.send(20, UpsertResult("DONE", False, None, None, (), (), None))
    await scene.follow()
    assert scene.outcomes == Outcomes(confirmed=10, pending=20)


async def test_an_error_about_somebody_else_does_not_hide_that_somebody_was_refused(scene: Scene) -> None:
    scene.send(10, done(10, ["a stranger"]))
    await scene.follow()
    assert scene.outcomes == Outcomes(pending=10)


# --- FAILED, and not known ------------------------------------------------------------------------------------

GONE = [(failed, "FAILED in Voucherify"), (lambda: None, "is not known to Voucherify")]


@pytest.mark.parametrize(("result", "reason"), GONE, ids=["FAILED", "404"])
async def test_an_action_that_came_to_nothing_is_repeated_once_and_its_customers_are_rejected_then(
    scene: Scene, result: Callable[[], UpsertResult | None], reason: str
) -> None:
    ids = scene.send(5, result())
    await scene.follow()
    assert (scene.outcomes, scene.rejections) == (Outcomes(pending=5), [])
    scene.send_again(lambda _: result())
    await scene.follow()
    assert scene.outcomes == Outcomes(rejected=5)
    assert scene.rejections == [
        Rejection(f"use_{each}", each, "confirm", f"the bulk upsert aa_2 {reason}", "aa_2") for each in ids
    ]
    assert scene.ledger.read(partial(batches.replays, since=0)) == {}


@pytest.mark.parametrize(("result", "reason"), GONE, ids=["FAILED", "404"])
async def test_many_of_them_in_a_row_stop_the_import(
    scene: Scene, result: Callable[[], UpsertResult | None], reason: str
) -> None:
    for _ in range(FAILED_IN_A_ROW + 5):
        scene.send(2, result())
    with pytest.raises(StopError, match=rf"^25 bulk upserts in a row failed \(the bulk upsert aa_25 {reason}\)"):
        await scene.follow()
    assert scene.outcomes == Outcomes(sent=10, pending=50)
    assert scene.rejections == []


async def test_one_that_is_done_between_them_says_that_not_all_fail(scene: Scene) -> None:
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


# --- all customers of a batch were refused --------------------------------------------------------------------


async def test_three_batches_all_of_whose_customers_were_refused_stop_the_import_and_reject_nobody(
    scene: Scene,
) -> None:
    """E.g. a metadata schema that lacks a property."""
    for _ in range(4):
        ids = scene.send(10, None)
        scene.voucherify.outcomes[f"aa_{scene.actions}"] = done(10, ids)
    with pytest.raises(StopError, match="refused all 30 customers of 3 bulk upserts in a row") as raised:
        await scene.follow()
    assert REASON in str(raised.value)
    assert scene.outcomes == Outcomes(sent=10, pending=30)
    assert scene.rejections == []


async def test_one_success_between_them_makes_them_rejections(scene: Scene) -> None:
    for result in ("refused", "refused", "done", "refused", "refused"):
        ids = scene.send(50, None)
        scene.voucherify.outcomes[f"aa_{scene.actions}"] = done(50, ids if result == "refused" else ())
    await scene.follow()
    assert scene.outcomes == Outcomes(confirmed=50, rejected=200)


async def test_a_batch_of_refused_customers_waits_for_the_next_and_is_not_asked_for_again(scene: Scene) -> None:
    ids = scene.send(10, done(10, [f"c1-{i}" for i in range(10)]))
    scene.send(10, not_ended())
    following = asyncio.ensure_future(scene.follow())
    await asyncio.sleep(0.02)
    assert scene.rejections == []
    assert scene.outcomes == Outcomes(sent=20)
    scene.voucherify.outcomes["aa_2"] = done(10)
    await following
    assert scene.rejected == ids
    assert scene.voucherify.calls.count("aa_1") == 1


async def test_at_the_end_of_all_they_are_rejections(scene: Scene) -> None:
    for _ in range(2):
        ids = scene.send(50, None)
        scene.voucherify.outcomes[f"aa_{scene.actions}"] = done(50, ids)
    await scene.follow()
    assert scene.outcomes == Outcomes(rejected=100)


async def test_a_few_customers_in_small_batches_stop_nothing(scene: Scene) -> None:
    for _ in range(8):
        ids = scene.send(3, None)
        scene.voucherify.outcomes[f"aa_{scene.actions}"] = done(3, ids)
    await scene.follow()
    assert scene.outcomes == Outcomes(rejected=24)


async def test_those_of_an_earlier_process_are_replayed_since_the_schema_may_be_fixed(scene: Scene) -> None:
    for _ in range(4):
        ids = scene.send(10, None)
        scene.voucherify.outcomes[f"aa_{scene.actions}"] = done(10, ids)
    scene.begin_process()
    await scene.follow()
    assert scene.outcomes == Outcomes(pending=40)
    scene.send_again(lambda again: done(10, again))
    await scene.follow()
    assert scene.outcomes == Outcomes(rejected=40)


async def test_so_do_batches_that_were_refused_as_a_whole_by_their_counts_alone(scene: Scene) -> None:
    """Where nobody is named, all who were sent would be rejected, upsert by upsert, to the end of the space."""
    for _ in range(FAILED_IN_A_ROW):
        scene.send(100, UpsertResult("DONE", False, 0, 100, (), (), None))
    with pytest.raises(StopError):
        await scene.follow()
    assert scene.rejections == []


# --- patience -------------------------------------------------------------------------------------------------


async def test_when_nothing_ends_any_more_the_import_stops_and_the_outcomes_stay_to_be_read(ledger: Ledger) -> None:
    scene = Scene(ledger, patience_seconds=0.05)
    await scene.begin()
    scene.send(30, not_ended())
    scene.send(10, not_ended())
    with pytest.raises(StopError, match=r"ended none of 2 bulk upserts \(40 customers\) for 0 s.*resumed"):
        await scene.follow()
    assert scene.outcomes == Outcomes(sent=40)
    scene.voucherify.outcomes = {"aa_1": done(30), "aa_2": done(10)}
    scene.begin_process()
    await scene.follow()
    assert scene.outcomes == Outcomes(confirmed=40)


async def test_every_end_renews_the_patience(ledger: Ledger) -> None:
    scene, now = Scene(ledger, patience_seconds=10.0), 0.0
    await scene.begin()
    scene.reader._clock = lambda: now
    for _ in range(4):
        scene.send(1, not_ended())

    async def end(action_id: str) -> None:
        calls = len(scene.voucherify.calls) + 10
        await until(lambda: len(scene.voucherify.calls) >= calls)  # looks at which nothing has ended
        scene.voucherify.outcomes[action_id] = done(1)
        await until(lambda: action_id in scene.ended)

    following = asyncio.ensure_future(scene.follow())
    for action_id in list(scene.voucherify.outcomes):
        now += 6.0
        await end(action_id)
    await following
    assert scene.outcomes == Outcomes(confirmed=4)


async def test_while_customers_are_still_sent_nobody_loses_patience(ledger: Ledger) -> None:
    scene = Scene(ledger, patience_seconds=0.01)
    await scene.begin()
    scene.send(1, not_ended())
    all_sent = asyncio.Event()
    following = asyncio.ensure_future(scene.reader.follow(all_sent))
    await asyncio.sleep(0.1)
    assert not following.done()
    scene.voucherify.outcomes["aa_1"] = done(1)
    all_sent.set()
    await following
    assert scene.outcomes == Outcomes(confirmed=1)


async def test_while_customers_are_still_sent_the_looks_leave_them_their_calls(ledger: Ledger) -> None:
    scene = Scene(ledger, calls_per_second=100.0)  # of which every fifth may be a look
    await scene.begin()
    for _ in range(10):
        scene.send(1, not_ended())
    following = asyncio.ensure_future(scene.reader.follow(asyncio.Event()))
    await asyncio.sleep(0.3)
    assert scene.voucherify.calls.count("listing") <= 7
    await until(lambda: "listing" in scene.voucherify.calls)
    following.cancel()


# --- how many calls -------------------------------------------------------------------------------------------


async def test_one_or_two_are_asked_for_by_their_ids(scene: Scene) -> None:
    scene.send(1, done(1))
    scene.send(1, done(1))
    await scene.follow()
    assert scene.voucherify.calls == ["aa_1", "aa_2"]


async def test_of_many_a_listing_shows_which_have_ended(scene: Scene) -> None:
    for number in range(80):
        scene.send(1, done(1) if number % 2 else not_ended())
    following = asyncio.ensure_future(scene.follow())
    await until(lambda: len(scene.ended) == 40 and scene.voucherify.calls.count("listing") >= 2)
    calls = Counter(scene.voucherify.calls)
    del calls["listing"]
    assert calls == Counter({f"aa_{number}": 1 for number in range(2, 81, 2)})
    for action_id in scene.voucherify.outcomes:
        scene.voucherify.outcomes[action_id] = done(1)
    await following
    assert scene.outcomes == Outcomes(confirmed=80)


@pytest.mark.parametrize("count", [101, 150, 250])
async def test_those_that_are_too_old_for_the_listing_are_found_and_reported_once(scene: Scene, count: int) -> None:
    for _ in range(count):
        scene.send(2, done(2))
    await scene.follow()
    assert scene.outcomes == Outcomes(confirmed=2 * count)
    assert Counter(scene.ended) == Counter({f"aa_{number}": 1 for number in range(1, count + 1)})


async def test_failures_that_are_too_old_for_the_listing_are_counted_once(scene: Scene) -> None:
    for number in range(120):
        scene.send(2, failed() if number in (3, 17) else done(2))
    await scene.follow()
    assert scene.outcomes == Outcomes(confirmed=236, pending=4)


@pytest.mark.parametrize("count", [2, 3, 40, 130])
async def test_an_old_one_that_is_stuck_does_not_hide_the_others(scene: Scene, count: int) -> None:
    scene.send(1, not_ended())
    for _ in range(count - 1):
        scene.send(1, done(1))
    following = asyncio.ensure_future(scene.follow())
    await until(lambda: len(set(scene.ended)) == count - 1)
    assert not following.done()
    scene.voucherify.outcomes["aa_1"] = done(1)
    await following
    assert scene.outcomes == Outcomes(confirmed=count)


async def test_one_that_is_stuck_and_too_old_for_the_listing_costs_few_calls(scene: Scene) -> None:
    for _ in range(110):
        scene.send(1, not_ended())
    following = asyncio.ensure_future(scene.follow())
    await until(lambda: scene.voucherify.calls.count("listing") >= 10)
    following.cancel()
    calls = Counter(scene.voucherify.calls)
    assert calls.total() <= 3 * calls["listing"]


# --- from process to process ----------------------------------------------------------------------------------


async def test_outcomes_that_an_earlier_process_left_open_are_read(scene: Scene) -> None:
    ids = scene.send(10, None)
    scene.voucherify.outcomes["aa_1"] = done(10, ids[:1])
    scene.send(5, failed())
    scene.begin_process()
    await scene.follow()
    assert scene.outcomes == Outcomes(confirmed=9, rejected=1, pending=5)
    assert scene.rejections == [Rejection(f"use_{ids[0]}", ids[0], "confirm", REASON, "req-outcome")]


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
    scene.voucherify.outcomes["aa_old"] = done(4, ["ben", "dan"])
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


async def test_to_end_early_leaves_open_what_is_not_read(scene: Scene) -> None:
    scene.send(5, done(5))
    scene.send(5, not_ended())
    following = asyncio.ensure_future(scene.follow())
    await until(lambda: scene.ended == ["aa_1"])
    following.cancel()
    assert await asyncio.gather(following, return_exceptions=True)
    assert scene.outcomes == Outcomes(confirmed=5, sent=5)
    scene.voucherify.outcomes["aa_2"] = done(5)
    await scene.follow()
    assert scene.outcomes == Outcomes(confirmed=10)


async def test_an_outcome_that_could_not_be_written_into_the_files_stays_open(scene: Scene) -> None:
    ids = scene.send(5, None)
    scene.voucherify.outcomes["aa_1"] = done(5, ids[:1])

    def disk_full(_event: Event) -> None:
        raise OutputError("rejected-profiles.csv cannot be written: No space left on device")

    scene.tell = disk_full  # type: ignore[assignment, method-assign]
    with pytest.raises(OutputError):
        await scene.follow()
    assert outcomes_of(scene.ledger, scene.run) == Outcomes(sent=5)
    assert scene.open_upserts() == 1


async def test_what_the_calls_raise_ends_it_and_leaves_all_open(scene: Scene) -> None:
    scene.send(5, done(5))

    async def refuse(_action_id: str) -> UpsertResult | None:
        raise AccessError("Voucherify answered 401", service="Voucherify", status=401)

    scene.voucherify.upsert_result = refuse  # type: ignore[assignment, method-assign]
    with pytest.raises(AccessError):
        await scene.follow()
    assert scene.outcomes == Outcomes(sent=5)


async def test_rejections_of_a_failed_upsert_name_the_source_ids_of_this_process(scene: Scene) -> None:
    scene.send(2, failed())
    await scene.follow()
    scene.send_again(lambda _: failed())
    scene.begin_process()
    await scene.follow()
    assert scene.rejected == [None, None]  # the ledger does not know them
    assert [each.segment_id for each in scene.rejections] == ["use_c1-0", "use_c1-1"]


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
