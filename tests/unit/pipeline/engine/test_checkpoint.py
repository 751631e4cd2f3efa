"""Pages are done in the order of the listing, in whatever order their profiles get their outcomes."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import takewhile

from hypothesis import given
from hypothesis import strategies as st

from segsync.events import Event, PageDone
from segsync.models import Outcomes, Page
from segsync.pipeline.engine.checkpoint import MAX_OPEN_PAGES, Checkpoint, OpenPage
from tests.conftest import run_virtual

OUTCOMES = ("sent", "without_identifier", "duplicate", "rejected")
SPACES = st.lists(st.lists(st.sampled_from(OUTCOMES), max_size=5), min_size=1, max_size=6)
"""Pages, each a list of the outcomes of its profiles."""


def page(number: int, profiles: int) -> Page:
    return Page(f"c{number}", tuple(f"use_{number}_{each}" for each in range(profiles)), f"c{number + 1}")


def done_pages(events: list[Event]) -> list[PageDone]:
    assert all(isinstance(event, PageDone) for event in events)
    return [event for event in events if isinstance(event, PageDone)]


@given(SPACES, st.data())
def test_a_page_settles_once_it_and_all_before_it_are_complete(space: list[list[str]], data: st.DataObject) -> None:
    events: list[Event] = []
    checkpoint = Checkpoint(events.append)
    left = Counter({number: len(outcomes) for number, outcomes in enumerate(space)})
    order = data.draw(
        st.permutations([(number, outcome) for number, outcomes in enumerate(space) for outcome in outcomes])
    )
    opened: list[OpenPage] = []

    def open_up_to(number: int) -> None:
        opened.extend(checkpoint.open(page(each, len(space[each]))) for each in range(len(opened), number + 1))

    for number, outcome in order:
        open_up_to(number)
        getattr(checkpoint, outcome)(opened[number])
        left[number] -= 1
        complete = list(takewhile(lambda each: left[each] == 0, range(len(opened))))
        assert [event.cursor for event in done_pages(events)] == [f"c{each}" for each in complete]
    open_up_to(len(space) - 1)
    assert done_pages(events) == [
        PageDone(
            each + 1, f"c{each}", f"c{each + 1}", Outcomes(**{outcome: outcomes.count(outcome) for outcome in OUTCOMES})
        )
        for each, outcomes in enumerate(space)
    ]


@given(SPACES)
def test_the_outcomes_of_the_done_pages_add_up_to_the_profiles_listed(space: list[list[str]]) -> None:
    events: list[Event] = []
    checkpoint = Checkpoint(events.append)
    pages = [checkpoint.open(page(number, len(outcomes))) for number, outcomes in enumerate(space)]
    for opened, outcomes in zip(pages, space, strict=True):
        for outcome in outcomes:
            getattr(checkpoint, outcome)(opened)
    total = sum((event.outcomes for event in done_pages(events)), Outcomes())
    assert total == Outcomes(**{outcome: sum(outcomes.count(outcome) for outcomes in space) for outcome in OUTCOMES})
    assert total.profiles == sum(len(outcomes) for outcomes in space)


def test_a_customer_that_was_sent_can_turn_out_to_be_a_duplicate_while_its_page_is_open() -> None:
    events: list[Event] = []
    checkpoint = Checkpoint(events.append)
    first, later = checkpoint.open(page(0, 1)), checkpoint.open(page(1, 2))
    checkpoint.sent(later)
    checkpoint.sent(later)
    checkpoint.duplicate(later, was_sent=True)
    checkpoint.sent(first)
    assert [event.outcomes for event in done_pages(events)] == [Outcomes(sent=1), Outcomes(sent=1, duplicate=1)]


def test_an_empty_page_settles_at_once_but_not_before_the_pages_before_it() -> None:
    events: list[Event] = []
    checkpoint = Checkpoint(events.append)
    checkpoint.open(page(0, 0))
    assert [event.cursor for event in done_pages(events)] == ["c0"]
    first = checkpoint.open(page(1, 1))
    checkpoint.open(page(2, 0))
    assert [event.cursor for event in done_pages(events)] == ["c0"]
    checkpoint.rejected(first)
    assert [event.cursor for event in done_pages(events)] == ["c0", "c1", "c2"]


def test_the_last_page_settles_with_nothing_to_resume_from() -> None:
    events: list[Event] = []
    checkpoint = Checkpoint(events.append)
    checkpoint.sent(checkpoint.open(Page("c9", ("use_1",), None)))
    assert events == [PageDone(1, "c9", None, Outcomes(sent=1))]


def test_pages_are_numbered_from_1_on_in_the_order_of_the_listing_whatever_is_in_them() -> None:
    events: list[Event] = []
    checkpoint = Checkpoint(events.append)
    opened = [checkpoint.open(page(number, profiles)) for number, profiles in enumerate((2, 0, 1))]
    assert [each.number for each in opened] == [1, 2, 3]
    for each in (opened[2], opened[0], opened[0]):
        checkpoint.rejected(each)
    assert [event.number for event in done_pages(events)] == [1, 2, 3]


def test_nobody_is_confirmed_by_being_sent() -> None:
    events: list[Event] = []
    checkpoint = Checkpoint(events.append)
    checkpoint.sent(checkpoint.open(page(0, 1)))
    [event] = done_pages(events)
    assert (event.outcomes.sent, event.outcomes.confirmed, event.outcomes.customers) == (1, 0, 1)


async def has_room(checkpoint: Checkpoint) -> bool:
    try:
        async with asyncio.timeout(60):
            await checkpoint.room()
    except TimeoutError:
        return False
    return True


def test_reading_waits_for_the_oldest_page_once_too_many_are_open() -> None:
    async def scenario() -> None:
        checkpoint = Checkpoint(lambda _: None)
        opened: list[OpenPage] = []
        for number in range(MAX_OPEN_PAGES):
            assert await has_room(checkpoint)
            opened.append(checkpoint.open(page(number, 1)))
        assert not await has_room(checkpoint)
        checkpoint.sent(opened[1])  # it cannot be done before the oldest
        assert not await has_room(checkpoint)
        waiting = asyncio.create_task(checkpoint.room())
        await asyncio.sleep(1)
        assert not waiting.done()
        checkpoint.sent(opened[0])
        await waiting
        for number in (MAX_OPEN_PAGES, MAX_OPEN_PAGES + 1):
            assert await has_room(checkpoint)
            checkpoint.open(page(number, 1))
        assert not await has_room(checkpoint)

    run_virtual(scenario())


def test_empty_pages_take_no_room() -> None:
    async def scenario() -> None:
        checkpoint = Checkpoint(lambda _: None)
        for number in range(MAX_OPEN_PAGES + 5):
            checkpoint.open(page(number, 0))
        assert await has_room(checkpoint)

    run_virtual(scenario())
