"""The pages of a listing, and what happens where the source takes the cursor of a resume no longer."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from segsync.errors import AnswerError, CursorError, SegsyncError
from segsync.events import Event, ListedAnew
from segsync.ledger import batches, runs
from segsync.ledger.database import Ledger
from segsync.models import Outcomes, Page, Plan
from segsync.pipeline.plan import listed, plan_new, plan_resume
from tests.support.ledgers import open_ledger
from tests.support.memory import MemorySource


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with open_ledger() as opened:
        yield opened


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> MemorySource:
    monkeypatch.setattr("tests.support.memory.READ_SECONDS", 0.0)
    return MemorySource(60, page_size=10)


def expired(*offsets: int, kind: type[SegsyncError] = CursorError) -> Any:
    error = CursorError("answered 410", service="Memory", status=410)
    return lambda start: (
        (error if kind is CursorError else AnswerError("no", service="Memory")) if start in offsets else None
    )


class Process:
    """One process of an import: its plan, the pages that it listed, and its events. All but the last pages are done."""

    def __init__(self, source: MemorySource, ledger: Ledger, *, limit: int | None = None, offset: str = "0") -> None:
        self.source, self.ledger, self.limit = source, ledger, limit
        self.plan: Plan = plan_resume(ledger) or plan_new(ledger, offset)
        self.pages: list[Page] = []
        self.events: list[Event] = []

    async def run(self, most: int = 1000, undone: int = 0) -> None:
        """List up to `most` pages, of which the last ones stay `undone`."""
        assert self.plan.offset is not None
        pages = listed(
            self.source, self.ledger, self.plan, self.plan.offset, self.plan.left_of(self.limit), self.events.append
        )
        async for page in pages:
            self.pages.append(page)
            if len(self.pages) == most:
                break
        await pages.aclose()
        for number, page in enumerate(self.pages[: len(self.pages) - undone], self.plan.done_pages + 1):
            done = Outcomes(sent=len(page.profiles))
            change = partial(batches.finish_page, run=1, number=number, next_cursor=page.next_cursor, outcomes=done)
            self.ledger.write(change)

    @property
    def cursors(self) -> list[tuple[str, int, str | None]]:
        return [(page.cursor, len(page.profiles), page.next_cursor) for page in self.pages]

    @property
    def profiles(self) -> list[int]:
        return [int(str(each)) for page in self.pages for each in page.profiles]


async def test_a_cursor_of_the_ledger_that_is_refused_lists_anew_without_the_profiles_that_are_done(
    source: MemorySource, ledger: Ledger
) -> None:
    await Process(source, ledger).run(3, undone=1)
    source.listing_trouble = expired(20)
    source.profiles = 65
    second = Process(source, ledger)
    assert second.plan.offset == "20"
    source.listing_trouble = lambda start: expired(20)(start) if not second.pages else None
    await second.run()
    assert second.events == [ListedAnew(20)]
    assert second.cursors[:4] == [("20", 0, "0"), ("0", 0, "10"), ("10", 0, "20"), ("20", 10, "30")]
    assert second.profiles == list(range(20, 65))
    run = ledger.read(partial(runs.one_run, run=1))
    assert (run.outcomes, run.offset, run.done_pages) == (Outcomes(confirmed=65), None, 10)


async def test_after_a_crash_while_it_lists_anew_the_done_ones_are_still_left_out(
    source: MemorySource, ledger: Ledger
) -> None:
    await Process(source, ledger).run(3)
    source.listing_trouble = expired(30)
    second = Process(source, ledger)
    await second.run(2)
    assert second.cursors == [("30", 0, "0"), ("0", 0, "10")]
    source.listing_trouble = lambda _start: None
    third = Process(source, ledger)
    assert (third.plan.offset, third.plan.was_listed_anew, third.plan.begins_anew) == ("10", True, False)
    await third.run()
    assert (third.events, third.profiles) == ([], list(range(30, 60)))
    assert ledger.read(partial(runs.one_run, run=1)).outcomes == Outcomes(confirmed=60)


@pytest.mark.parametrize("second_pages", [1, 2, 5, 6])
async def test_a_cursor_may_be_refused_again_and_again(source: MemorySource, ledger: Ledger, second_pages: int) -> None:
    await Process(source, ledger).run(3)
    source.listing_trouble = expired(30)
    second = Process(source, ledger)
    source.listing_trouble = lambda start: expired(30)(start) if not second.pages else None
    await second.run(second_pages)
    third = Process(source, ledger)
    offset = int(third.plan.offset or 0)
    source.listing_trouble = lambda start: expired(offset)(start) if not third.pages and offset else None
    await third.run()
    assert sorted([*range(30), *second.profiles, *third.profiles]) == list(range(60))
    assert ledger.read(partial(runs.one_run, run=1)).outcomes == Outcomes(confirmed=60)


async def test_it_lists_anew_from_where_the_import_began(source: MemorySource, ledger: Ledger) -> None:
    await Process(source, ledger, offset="20").run(2)
    source.listing_trouble = expired(40)
    second = Process(source, ledger)
    source.listing_trouble = lambda start: expired(40)(start) if not second.pages else None
    await second.run()
    assert second.cursors[0] == ("40", 0, "20")
    assert second.profiles == list(range(40, 60))


async def test_a_limit_counts_profiles_that_are_not_done_and_a_page_that_it_cuts_is_listed_again(
    source: MemorySource, ledger: Ledger
) -> None:
    await Process(source, ledger, limit=35).run(2)
    source.listing_trouble = expired(20)
    second = Process(source, ledger, limit=35)
    source.listing_trouble = lambda start: expired(20)(start) if not second.pages else None
    await second.run()
    assert (second.profiles, second.pages[-1].cursor, second.pages[-1].next_cursor) == (
        list(range(20, 35)),
        "30",
        "30",
    )
    ledger.read(partial(runs.end_run, run=1, state="limited", error=None))
    source.listing_trouble = lambda _start: None
    rest = Process(source, ledger)
    await rest.run()
    assert rest.profiles == list(range(35, 60))


async def test_whole_profiles_are_left_out_as_ids_are(source: MemorySource, ledger: Ledger) -> None:
    source.brings_profiles = True
    source.source_id = lambda index: None if index % 2 else f"user-{index}"
    await Process(source, ledger).run(2)
    source.listing_trouble = expired(20)
    second = Process(source, ledger)
    source.listing_trouble = lambda start: expired(20)(start) if not second.pages else None
    await second.run()
    assert sum(len(page.profiles) for page in second.pages) == 40


async def test_an_offset_of_the_users_own_that_is_refused_is_an_error(source: MemorySource, ledger: Ledger) -> None:
    asked: list[int] = []

    def refuse(start: int) -> SegsyncError:
        asked.append(start)
        return CursorError("answered 410", service="Memory", status=410)

    source.listing_trouble = refuse
    for _ in range(2):
        process = Process(source, ledger, offset="20")
        with pytest.raises(CursorError):
            await process.run()
        assert (process.pages, process.events) == ([], [])
    assert asked == [20, 20]


async def test_where_the_beginning_is_refused_too_that_is_the_error_and_the_checkpoint_stays(
    source: MemorySource, ledger: Ledger
) -> None:
    await Process(source, ledger).run(2)
    source.listing_trouble = expired(0, 20)
    second = Process(source, ledger)
    with pytest.raises(CursorError):
        await second.run()
    assert (second.pages, second.events) == ([], [])
    assert ledger.read(partial(runs.one_run, run=1)).offset == "20"


@pytest.mark.parametrize("kind", [AnswerError, CursorError])
async def test_other_trouble_of_a_resume_and_a_cursor_that_is_refused_later_are_errors(
    source: MemorySource, ledger: Ledger, kind: type[SegsyncError]
) -> None:
    await Process(source, ledger).run(2)
    source.listing_trouble = expired(20 if kind is AnswerError else 40, kind=kind)
    second = Process(source, ledger)
    with pytest.raises(kind):
        await second.run()
    assert (second.events, second.profiles) == ([], [] if kind is AnswerError else list(range(20, 40)))
