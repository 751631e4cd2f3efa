"""Who was sent with an identifier before: from pages that are done, unless Voucherify refused the customer."""

from __future__ import annotations

from functools import partial
from random import Random

import pytest

from segsync.events import BatchSent, DuplicateIdentifier, PageDone, SentProfile, TraitLeftOut
from segsync.ledger import batches, identifiers
from segsync.ledger.database import Ledger
from segsync.ledger.identifiers import SEARCHES_WITHOUT_INDEX, SentIdentifiers, forget_identifiers
from segsync.ledger.profiles import ProfileOutcome, ProfileRow, save_profiles
from segsync.models import Outcomes
from tests.support.ledgers import open_ledger, rejected_in
from tests.unit.ledger.steps import Story, open_upserts

UNKNOWN = ProfileOutcome.UNKNOWN


@pytest.fixture
def story(ledger: Ledger) -> Story:
    return Story(ledger)


async def others(ledger: Ledger, *asked: str, source_id: str = "a@example.com") -> dict[str, list[str]]:
    """Who else may have been sent with the identifier of profile "a"."""
    return await SentIdentifiers(ledger).others([(each, source_id) for each in asked])


async def test_a_profile_is_known_once_its_page_is_done_and_not_before(story: Story) -> None:
    story.sent("aa_1", (1, "a"), (2, "b"))
    assert await others(story.ledger, "new") == {}
    story.page_done(1, sent=1)
    assert await others(story.ledger, "new") == {"new": ["a"]}
    assert await others(story.ledger, "new", source_id="b@example.com") == {}
    assert await others(story.ledger, "new", source_id="c@example.com") == {}


async def test_nobody_is_another_of_himself(story: Story) -> None:
    story.sent("aa_1", (1, "a"))
    story.page_done(1, sent=1)
    assert await others(story.ledger, "a", "b") == {"b": ["a"]}


async def test_a_profile_whose_upsert_has_a_result_is_known_unless_it_was_refused(story: Story) -> None:
    story.sent("aa_1", (1, "a"), (1, "b"))
    story.page_done(1, sent=2)
    story.done("aa_1", "b")
    assert await others(story.ledger, "new") == {"new": ["a"]}
    assert not (await others(story.ledger, "new", source_id="b@example.com")).get("new")


async def test_one_whose_result_is_unknown_is_in_nobodys_way(story: Story) -> None:
    story.sent("aa_1", (1, "a"))
    story.page_done(1, sent=1)
    story.done("aa_1")
    digest = story.ledger.digest("a@example.com")
    story.ledger.write(partial(save_profiles, rows=[ProfileRow("a", UNKNOWN, digest)]))
    assert not (await others(story.ledger, "new")).get("new")


async def test_one_that_is_to_be_sent_once_more_after_a_failure_is_known(story: Story) -> None:
    story.sent("aa_1", (1, "a"))
    story.page_done(1, sent=1)
    story.failed("aa_1")
    assert await others(story.ledger, "new") == {"new": ["a"]}


async def test_it_is_known_where_no_results_are_read(story: Story) -> None:
    story.follow(is_followed=False)
    story.sent("aa_1", (1, "a"))
    story.page_done(1, sent=1)
    assert await others(story.ledger, "new") == {"new": ["a"]}


async def test_a_crash_forgets_the_pages_that_are_repeated_and_a_resume_knows_the_others(story: Story) -> None:
    story.sent("aa_1", (1, "a"), (2, "b"))
    story.page_done(1, sent=1)
    story.crash()
    assert await others(story.ledger, "new") == {"new": ["a"]}
    assert await others(story.ledger, "new", source_id="b@example.com") == {}
    story.sent("aa_2", (1, "b"))
    story.page_done(1, sent=1)
    assert await others(story.ledger, "new", source_id="b@example.com") == {"new": ["b"]}


async def test_profiles_that_are_retried_are_known_when_they_are_sent(story: Story) -> None:
    story.rejected(1, "a")
    story.page_done(1, rejected=1)
    assert await others(story.ledger, "new") == {}
    story.retry()
    story.sent("aa_1", (1, "a"))
    story.page_done(1, sent=1)
    assert await others(story.ledger, "new") == {"new": ["a"]}


async def test_an_import_that_begins_anew_knows_nobody_of_the_one_before(story: Story) -> None:
    story.sent("aa_1", (1, "a"))
    story.page_done(1, sent=1)
    story.done("aa_1")
    story.ledger.write(forget_identifiers)
    assert await others(story.ledger, "new") == {}
    anew = Story(story.ledger)
    anew.record(BatchSent("aa_2", (SentProfile(1, "c", "a@example.com"),)))
    anew.page_done(1, sent=1)
    assert await others(story.ledger, "new") == {"new": ["c"]}, "the row of a is of the import before"


async def test_digests_that_collide_name_others_and_prove_nothing(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ledger, "digest", lambda _ledger, _content: b"12345678")
    story.sent("aa_1", (1, "a"), (1, "b"))
    story.page_done(1, sent=2)
    assert await others(story.ledger, "new") == {"new": ["a", "b"]}


async def test_many_searches_find_the_same_with_an_index_and_few_need_none(story: Story) -> None:
    story.sent("aa_1", (1, "a"), (1, "b"))
    story.page_done(1, sent=2)
    story.done("aa_1")
    known = SentIdentifiers(story.ledger)

    def has_index() -> bool:
        look = "SELECT count(*) FROM sqlite_master WHERE name = 'profiles_by_source'"
        return bool(story.ledger.read(lambda db: batches.one(db, look))[0])

    for search in range(1, SEARCHES_WITHOUT_INDEX + 3):
        assert await known.others([("new", "a@example.com"), ("b", "x")]) == {"new": ["a"]}
        assert has_index() == (search >= SEARCHES_WITHOUT_INDEX)


@pytest.mark.parametrize("digest", [b"\0" * 8, b"\xff" * 8, b"\x7f" + b"\xff" * 7, b"\x80" + b"\0" * 7])
def test_a_key_has_8_bytes_and_begins_with_the_digest(digest: bytes) -> None:
    keys = [identifiers.key(digest, f"use_{number}") for number in range(1000)]
    assert {len(each) for each in keys} == {8}
    assert {each[:5] for each in keys} == {digest[:5]}
    assert {each[5] >> 4 for each in keys} == {digest[5] >> 4}
    assert len(set(keys)) > 995


# --- one that was sent before the profile that is listed first ------------------------------------------------


def replaced(story: Story, segment_id: str, page: int, action_id: str) -> None:
    story.record(DuplicateIdentifier(segment_id, page, "first", action_id))


@pytest.mark.parametrize("result", ["open", "confirmed", "not followed", "failed"])
def test_it_counts_as_a_duplicate_and_no_longer_as_sent(story: Story, result: str) -> None:
    story.follow(is_followed=result != "not followed")
    story.sent("aa_1", (1, "x"), (2, "y"), (2, "z"))
    if result == "confirmed":
        story.done("aa_1")
    if result == "failed":
        story.failed("aa_1")
    replaced(story, "y", 2, "aa_1")
    story.record(PageDone(1, "0", "1", Outcomes(sent=1)))
    story.record(PageDone(2, "1", None, Outcomes(sent=1, duplicate=1)))
    expected = {"confirmed": Outcomes(confirmed=2, duplicate=1), "failed": Outcomes(pending=2, duplicate=1)}
    assert story.outcomes == expected.get(result, Outcomes(sent=2, duplicate=1))
    if result == "open":
        story.done("aa_1")
        assert story.outcomes == Outcomes(confirmed=2, duplicate=1)
    if result == "failed":
        [replay] = story.ledger.read(partial(batches.replays, since=0))
        members = story.ledger.read(partial(batches.members_of, batch=replay.batch))
        assert [each.segment_id for each in members if each.counts] == ["x", "z"]
    rows = dict(story.ledger.read(lambda db: db.execute("SELECT segment_id, outcome FROM profiles").fetchall()))
    assert rows["y"] == ProfileOutcome.DUPLICATE


async def test_it_is_known_to_nobody(story: Story) -> None:
    story.sent("aa_1", (1, "a"))
    replaced(story, "a", 1, "aa_1")
    story.record(PageDone(1, "0", None, Outcomes(duplicate=1)))
    assert await others(story.ledger, "new") == {}


def test_one_that_was_refused_meanwhile_stays_rejected(story: Story) -> None:
    story.sent("aa_1", (1, "x"), (1, "y"))
    story.done("aa_1", "y")
    replaced(story, "y", 1, "aa_1")
    story.record(PageDone(1, "0", None, Outcomes(sent=1, duplicate=1)))
    assert story.outcomes == Outcomes(confirmed=1, rejected=1)
    rows = dict(story.ledger.read(lambda db: db.execute("SELECT segment_id, outcome FROM profiles").fetchall()))
    assert rows["y"] == ProfileOutcome.REJECTED


def test_upserts_of_one_name_are_told_apart(story: Story) -> None:
    """A sink of one's own may call all its upserts the same."""
    story.sent("same", (1, "x"), (2, "y"))
    story.sent("same", (2, "z"))
    replaced(story, "y", 2, "same")
    assert [upsert.customers for upsert in open_upserts(story.ledger)] == [1, 1]


def test_the_warnings_of_a_duplicate_are_written_with_it(story: Story) -> None:
    story.record(TraitLeftOut("y", "phone", "is a list"))
    story.record(DuplicateIdentifier("y", 1, "first"))
    assert story.ledger.read(lambda db: db.execute("SELECT segment_id FROM warnings").fetchall()) == [("y",)]


def test_a_crash_repeats_a_duplicate(story: Story) -> None:
    story.page_done(1, sent=0)
    story.record(DuplicateIdentifier("y", 2, "first"))
    assert story.ledger.read(lambda db: db.execute("SELECT * FROM profiles").fetchall())
    story.crash()
    assert story.ledger.read(lambda db: db.execute("SELECT * FROM profiles").fetchall()) == []
    assert story.outcomes == Outcomes()


def test_a_retry_makes_a_rejected_profile_a_duplicate_and_takes_no_duplicates(story: Story) -> None:
    story.rejected(1, "y")
    story.record(DuplicateIdentifier("z", 1, "first"))
    story.record(PageDone(1, "0", None, Outcomes(rejected=1, duplicate=1)))
    assert rejected_in(story.ledger, story.run) == ["y"]
    story.retry()
    story.record(DuplicateIdentifier("y", 1, "first"))
    assert story.outcomes == Outcomes(duplicate=2)
    assert rejected_in(story.ledger, story.run) == []


# --- the size -------------------------------------------------------------------------------------------------


def test_a_million_profiles_take_less_than_80_mb_with_their_identifiers_pages_and_upserts() -> None:
    """Measured on 50,000 whose ids are as long as Segment's and come in no order."""
    random, profiles = Random(1), 50_000
    with open_ledger() as ledger:
        story = Story(ledger)
        for page in range(1, profiles // 100 + 1):
            ids = [f"use_{random.getrandbits(160):027x}"[:31] for _ in range(100)]
            story.sent(f"aa_{page:018}", *((page, each) for each in ids))
            story.page_done(page, sent=100)
            story.done(f"aa_{page:018}")
        query = "SELECT page_count, page_size, freelist_count FROM pragma_page_count, pragma_page_size, "
        [(pages, page_bytes, free)] = ledger.read(lambda db: db.execute(f"{query}pragma_freelist_count").fetchall())
    assert free < 50, "room for what comes next"
    assert (pages - free) * page_bytes / profiles < 80
