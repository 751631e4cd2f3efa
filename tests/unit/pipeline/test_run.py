"""An import that another program starts."""

from __future__ import annotations

import asyncio
import threading
import traceback
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from sqlite3 import Connection
from typing import Any

import pytest

from segsync import Event, Settings, SettingsError, run_import
from segsync.commands.status import read_status
from segsync.errors import LedgerError
from segsync.events import BatchSent, PageDone
from segsync.ledger import batches, rejections, runs
from segsync.ledger.batches import FIRST_ATTEMPT, Member
from segsync.ledger.identifiers import SentIdentifiers
from segsync.models import Outcomes, Rejection
from segsync.pipeline.engine.checkpoint import OpenPage
from segsync.pipeline.engine.stages import Listed, Pipeline
from segsync.pipeline.run import open_ledger
from segsync.report.import_report import ImportReport
from segsync.report.profile_lists import REJECTED, WITHOUT_IDENTIFIER
from segsync.sandbox.options import SandboxOptions, connection
from segsync.sandbox.server import Sandbox, serve

OPTIONS = SandboxOptions(
    profiles=300, latency_ms=0.0, segment_requests_per_second=0, voucherify_requests_per_minute=0, action_seconds=0.0
)


@pytest.fixture
async def sandbox() -> AsyncIterator[tuple[Sandbox, Settings]]:
    async with serve(OPTIONS) as (sandbox, url):
        fast = {"SEGMENT_REQUESTS_PER_SECOND": "5000", "VOUCHERIFY_REQUESTS_PER_MINUTE": "100000"}
        yield sandbox, Settings.load(environ={**connection(url, OPTIONS), **fast})


def names_in(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


async def test_an_offset_may_be_a_number(sandbox: tuple[Sandbox, Settings]) -> None:
    served, settings = sandbox
    report = await run_import(settings, offset=200)
    assert (report.state, report.error, report.outcomes.profiles) == ("done", None, 100)
    verdict = served.verdict(first=200)
    assert verdict.is_right
    assert report.outcomes.confirmed == verdict.arrived > 0


async def test_a_limit_below_1_is_refused_before_anything_is_called(sandbox: tuple[Sandbox, Settings]) -> None:
    served, settings = sandbox
    with pytest.raises(SettingsError, match="limit=0 must be 1 or more"):
        await run_import(settings, limit=0)
    assert served.segment.calls == 0


@pytest.mark.parametrize("offset", ["a\nb", "\x1b[31m", "\ud800"])
async def test_an_offset_that_cannot_be_one_is_refused_before_anything_is_called(
    sandbox: tuple[Sandbox, Settings], offset: str, tmp_path: Path
) -> None:
    served, settings = sandbox
    with pytest.raises(SettingsError, match="must be a number or a cursor") as caught:
        await run_import(settings, offset=offset, ledger=tmp_path / "a.db")
    assert str(caught.value).isprintable()
    assert served.segment.calls == 0
    assert names_in(tmp_path) == []


async def test_by_default_customers_are_confirmed_and_no_files_are_written(
    sandbox: tuple[Sandbox, Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    served, settings = sandbox
    report = await run_import(settings)
    verdict = served.verdict()
    assert verdict.is_right
    assert report.is_confirmed
    assert report.outcomes == Outcomes(confirmed=verdict.expected, without_identifier=300 - verdict.expected)
    assert names_in(tmp_path) == []


async def test_no_result_is_left_unread_because_the_ledger_was_slow_to_answer(
    sandbox: tuple[Sandbox, Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    served, settings = sandbox
    loop, is_all_sent, looked_up = asyncio.get_running_loop(), threading.Event(), set[str]()
    monkeypatch.setattr("segsync.pipeline.results.LOOK_SECONDS", 0.001)
    open_upserts, others, customers = batches.open_upserts, SentIdentifiers.look_up, served.verdict().expected

    def slow(db: Connection, since: int, most: int) -> list[batches.OpenBatch]:
        found = open_upserts(db, since, most)
        assert len(looked_up) < customers or is_all_sent.wait(30)
        return found

    def counted(known: SentIdentifiers, db: Connection, digests: Mapping[str, bytes]) -> dict[str, list[str]]:
        looked_up.update(digests)  # the last question to the ledger before the last customers are sent
        return others(known, db, digests)

    def on_event(event: Event) -> None:
        if isinstance(event, PageDone) and event.next_cursor is None:
            loop.call_later(0.05, is_all_sent.set)

    monkeypatch.setattr(batches, "open_upserts", slow)
    monkeypatch.setattr(SentIdentifiers, "look_up", counted)
    report = await run_import(settings, on_event=on_event)
    assert report.state == "done"
    assert (report.outcomes.sent, report.outcomes.confirmed) == (0, served.verdict().arrived)


async def test_without_confirmation_customers_are_sent_and_no_result_is_asked_for(
    sandbox: tuple[Sandbox, Settings],
) -> None:
    served, settings = sandbox
    report = await run_import(settings, confirm=False)
    verdict = served.verdict()
    assert (report.state, report.is_confirmed) == ("done", False)
    assert report.outcomes == Outcomes(sent=verdict.expected, without_identifier=300 - verdict.expected)
    assert verdict.action_reads + verdict.action_listings == 0


async def test_a_stop_is_reported_as_an_interruption_with_the_command_to_resume(
    sandbox: tuple[Sandbox, Settings],
) -> None:
    _, settings = sandbox
    stop = asyncio.Event()
    stop.set()
    report = await run_import(settings, stop=stop)
    assert (report.state, report.resume_offset, report.outcomes) == ("interrupted", "0", Outcomes())


async def test_a_profile_without_an_outcome_is_never_called_done(
    sandbox: tuple[Sandbox, Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, settings = sandbox
    process = Pipeline._process

    async def forget_one(pipeline: Pipeline, page: OpenPage, place: int, listed: Listed) -> None:
        if listed != served.space.segment_id(150):
            await process(pipeline, page, place, listed)

    with monkeypatch.context() as patched:
        patched.setattr(Pipeline, "_process", forget_one)
        report = await run_import(settings, ledger=tmp_path / "a.db")
    assert report.state == "stopped"
    assert "Profiles that were listed and have no outcome: 1" in str(report.error)
    assert report.resume_offset == "100"
    resumed = await run_import(settings, ledger=tmp_path / "a.db", resume=True)
    assert resumed.state == "done"
    assert served.verdict().is_right


async def test_an_unexpected_error_is_reported_by_its_place_and_not_by_its_text(
    sandbox: tuple[Sandbox, Settings],
) -> None:
    def broken(event: Event) -> None:
        if isinstance(event, BatchSent):
            raise KeyError("ada@example.com")

    _, settings = sandbox
    report = await run_import(settings, on_event=broken)
    assert report.state == "stopped"
    assert report.resume_offset is not None
    assert "unexpected KeyError at " in str(report.error)
    assert "test_run.py:" in str(report.error)
    assert "please report it" in str(report.error)
    assert report.error is not None
    shown = "".join(traceback.format_exception(report.error))
    assert "ada@example.com" not in shown, "neither itself nor a cause or context quotes a customer"


# --- with a ledger --------------------------------------------------------------------------------------------


async def stopped_after(pages: int, settings: Settings, ledger: Path, directory: Path | None = None) -> ImportReport:
    """An import that is asked to stop once this many pages are done."""
    stop = asyncio.Event()

    def on_event(event: Event) -> None:
        if isinstance(event, PageDone) and event.number == pages:
            stop.set()

    return await run_import(settings, ledger=ledger, on_event=on_event, stop=stop, directory=directory)


@pytest.fixture
def small(sandbox: tuple[Sandbox, Settings], tmp_path: Path) -> tuple[Sandbox, Settings, Path]:
    """Pages and batches of ten, so that there are many; and where to keep a ledger."""
    served, settings = sandbox
    names = {entry: getattr(settings, entry) for entry in settings.__dataclass_fields__}
    return served, Settings(**{**names, "segment_request_limit": 10, "batch_size": 10}), tmp_path / "segsync.db"


async def test_a_resume_finishes_what_was_interrupted_and_reports_all_of_it(
    small: tuple[Sandbox, Settings, Path], tmp_path: Path
) -> None:
    served, settings, ledger = small
    first = await stopped_after(3, settings, ledger, tmp_path)
    assert first.state == "interrupted"
    assert first.resume_offset is not None
    assert 30 <= int(first.resume_offset) < 300
    second = await run_import(settings, ledger=ledger, resume=True, directory=tmp_path)
    verdict = served.verdict()
    assert verdict.is_right
    assert (second.state, second.offset, second.resume_offset) == ("done", first.resume_offset, None)
    assert second.outcomes == Outcomes(confirmed=verdict.expected, without_identifier=300 - verdict.expected)
    assert second.before.profiles == int(first.resume_offset)
    assert len((tmp_path / WITHOUT_IDENTIFIER).read_text().split()) == 300 - verdict.expected


async def test_a_resume_without_anything_to_resume_begins(small: tuple[Sandbox, Settings, Path]) -> None:
    served, settings, ledger = small
    report = await run_import(settings, ledger=ledger, resume=True)
    assert (report.state, report.outcomes.profiles) == ("done", 300)
    assert served.verdict().is_right


async def test_a_limit_counts_from_the_beginning_of_an_import_that_is_resumed(
    small: tuple[Sandbox, Settings, Path],
) -> None:
    served, settings, ledger = small
    first = await run_import(settings, ledger=ledger, limit=40)
    assert (first.state, first.outcomes.profiles, first.resume_offset) == ("done", 40, "40")
    second = await run_import(settings, ledger=ledger, limit=100, resume=True)
    assert (second.state, second.outcomes.profiles, second.resume_offset) == ("done", 100, "100")
    assert served.verdict(0, 100).is_right


async def test_an_unfinished_import_from_another_space_is_left_alone(
    small: tuple[Sandbox, Settings, Path],
) -> None:
    """Neither a resume nor a retry reads from another space, and nothing begins before it is finished."""
    served, settings, ledger = small
    await run_import(settings, ledger=ledger, limit=20)
    before = read_status(ledger)
    calls = served.segment.calls
    other = replace(settings, segment_space_id="spa_other")
    message = (
        f"The import on the ledger {ledger} is from Segment {settings.segment_space_id}, not from Segment spa_other"
    )
    different: list[dict[str, Any]] = [{}, {"resume": True}, {"retry_rejected": True}, {"offset": 100}]
    for options in different:
        with pytest.raises(LedgerError, match=f"{message}.*--ledger FILE"):
            await run_import(other, ledger=ledger, **options)
    assert (served.segment.calls, read_status(ledger)) == (calls, before)


def with_identifier(served: Sandbox) -> list[tuple[str, str]]:
    """Segment id and source id of each profile that becomes a customer."""
    profiles = (served.space.profile(index) for index in range(len(served.space)))
    return [(profile.segment_id, profile.customer["source_id"]) for profile in profiles if profile.customer]


async def test_a_retry_reads_only_rejected_profiles_and_drops_from_the_list_those_that_succeed(
    small: tuple[Sandbox, Settings, Path], tmp_path: Path
) -> None:
    served, settings, path = small
    fixed, _ = with_identifier(served)[0]
    gone = "use_deleted"
    with open_ledger(settings, path) as ledger:
        run = ledger.read(lambda db: runs.begin_run(db, "0", ledger.source)).id
        for segment_id in (fixed, gone):
            rejection = Rejection(segment_id, None, "upsert", "the first time")
            ledger.read(partial(rejections.add_rejection, run=run, page=1, rejection=rejection))
        ledger.read(lambda db: batches.finish_page(db, run, 1, None, Outcomes(sent=98, rejected=2)))
        ledger.read(lambda db: runs.end_run(db, run, "done", None))
    header = "segment_id,source_id,stage,reason,request_id"
    rows = [f"{segment_id},,upsert,the first time," for segment_id in (fixed, gone)]
    (tmp_path / REJECTED).write_text("\n".join([header, *rows, ""]))

    report = await run_import(settings, ledger=path, retry_rejected=True, directory=tmp_path)

    assert (report.state, report.error, report.offset) == ("done", None, None)
    assert report.before == Outcomes(confirmed=98, rejected=2)
    assert report.outcomes == Outcomes(confirmed=99, rejected=1)
    assert served.verdict().accepted == 1, "nobody else was sent"
    listed = (tmp_path / REJECTED).read_text().splitlines()
    assert len(listed) == 2
    assert listed[1].startswith(f"{gone},,read,Segment answered 404")


async def test_a_retry_that_replays_a_failed_upsert_too_counts_each_for_what_it_is(
    small: tuple[Sandbox, Settings, Path],
) -> None:
    served, settings, path = small
    people = with_identifier(served)[:11]
    with open_ledger(settings, path) as ledger:
        run = ledger.read(lambda db: runs.begin_run(db, "0", ledger.source)).id
        rejection = Rejection(people[0][0], None, "upsert", "answered 400")
        ledger.read(lambda db: rejections.add_rejection(db, run, 1, rejection))
        members = [Member(1, segment_id, ledger.digest(source_id)) for segment_id, source_id in people[1:]]
        ledger.read(lambda db: batches.add_batch(db, run, "aa_1", members, attempt=FIRST_ATTEMPT, is_followed=True))
        ledger.read(lambda db: batches.finish_page(db, run, 1, "11", Outcomes(sent=10, rejected=1)))
        [batch] = ledger.read(lambda db: batches.open_upserts(db, 0, 10))
        ledger.read(lambda db: batches.end_batch(db, batch, [], members))
        ledger.read(lambda db: runs.end_run(db, run, "interrupted", None))

    report = await run_import(settings, ledger=path, retry_rejected=True)

    assert report.before == Outcomes(rejected=1, pending=10)
    assert report.outcomes == Outcomes(confirmed=11)
    assert served.verdict().accepted == 11


@pytest.mark.parametrize("is_fixed", [True, False])
async def test_a_retry_after_a_crash_leaves_out_profiles_of_pages_that_a_resume_repeats(
    small: tuple[Sandbox, Settings, Path], is_fixed: bool
) -> None:
    served, settings, path = small
    people = [segment_id for segment_id, _ in with_identifier(served)]
    on_page_2 = people[15] if is_fixed else "use_deleted"
    with open_ledger(settings, path) as ledger:
        run = ledger.read(lambda db: runs.begin_run(db, "0", ledger.source)).id
        for page, segment_id in ((1, people[0]), (2, on_page_2)):
            rejection = Rejection(segment_id, None, "read", "answered 404")
            ledger.read(partial(rejections.add_rejection, run=run, page=page, rejection=rejection))
        ledger.read(lambda db: batches.finish_page(db, run, 1, "10", Outcomes(sent=9, rejected=1)))  # and page 2 is not

    retried = await run_import(settings, ledger=path, retry_rejected=True)

    with open_ledger(settings, path) as ledger:
        remembered = ledger.read(lambda db: runs.one_run(db, run)).outcomes
    assert (retried.before, retried.outcomes) == (Outcomes(confirmed=9, rejected=1), Outcomes(confirmed=10))
    assert remembered == Outcomes(confirmed=10)
    assert served.verdict().accepted == 1
    resumed = await run_import(settings, ledger=path, resume=True)
    assert (resumed.outcomes.profiles, resumed.outcomes.rejected) == (300, 0)
