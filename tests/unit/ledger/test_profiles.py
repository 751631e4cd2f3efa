"""One row per profile: what it came to last, and digests that tell whether it has changed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from random import Random

from segsync.events import (
    BatchSent,
    PageDone,
    ProfileRejected,
    ProfileWithoutIdentifier,
    SentProfile,
    TraitLeftOut,
)
from segsync.ledger import batches, recorder, runs
from segsync.ledger.database import Ledger
from segsync.ledger.profiles import ProfileOutcome, ProfileRow, Warned, save_profiles, save_warnings
from segsync.models import Outcomes, Rejection
from tests.support.ledgers import begin, open_ledger

CONFIRMED, SENT, WITHOUT_IDENTIFIER, REJECTED, *_ = ProfileOutcome


def rows(ledger: Ledger) -> dict[str, ProfileRow]:
    found = ledger.read(lambda db: db.execute("SELECT * FROM profiles").fetchall())
    return {segment_id: ProfileRow(segment_id, outcome, *digests) for segment_id, outcome, *digests in found}


def outcomes(ledger: Ledger) -> dict[str, int]:
    return {segment_id: row.outcome for segment_id, row in rows(ledger).items()}


def warnings(ledger: Ledger) -> list[tuple[str, ...]]:
    query = (
        "SELECT segment_id, trait, problems.problem FROM warnings JOIN problems ON id = warnings.problem ORDER BY 1, 2"
    )
    return ledger.read(lambda db: db.execute(query).fetchall())


def sent(*names: str, customer: str = "{}") -> tuple[SentProfile, ...]:
    return tuple(SentProfile(1, name, f"{name}@example.com", customer.encode()) for name in names)


def end(ledger: Ledger, refused: Sequence[str] = (), replayed: Sequence[str] = ()) -> None:
    """The result of the oldest open upsert."""
    [upsert, *_] = ledger.read(partial(batches.open_upserts, since=0, most=10))
    members = ledger.read(partial(batches.members_of, batch=upsert.id))
    rejections = [(1, Rejection(name, None, "confirm", "refused")) for name in refused]
    again = [member for member in members if member.segment_id in replayed]
    ledger.read(lambda db: batches.end_batch(db, upsert, rejections, again))


def test_a_customer_has_a_row_once_its_upsert_has_a_result(ledger: Ledger) -> None:
    record = recorder.for_listing(ledger, begin(ledger), done_pages=0, is_followed=True).record
    record(BatchSent("aa_1", sent("a", "b", "c", "d", customer='{"source_id":"x"}')))
    assert rows(ledger) == {}
    end(ledger, refused=["b"], replayed=["c"])
    assert outcomes(ledger) == {"a": CONFIRMED, "b": REJECTED, "d": CONFIRMED}
    assert rows(ledger)["a"] == ("a", CONFIRMED, ledger.digest("a@example.com"), ledger.digest('{"source_id":"x"}'))
    assert len(ledger.digest("a@example.com")) == 8


def test_without_confirmation_it_is_sent_at_once(ledger: Ledger) -> None:
    record = recorder.for_listing(ledger, begin(ledger), done_pages=0, is_followed=False).record
    record(BatchSent("aa_1", sent("a", "b")))
    assert outcomes(ledger) == {"a": SENT, "b": SENT}


def test_a_profile_that_is_not_sent_has_a_row_before_its_page_is_done(ledger: Ledger) -> None:
    run = begin(ledger)
    record = recorder.for_listing(ledger, run, done_pages=0, is_followed=True).record
    record(ProfileWithoutIdentifier("a"))
    record(ProfileRejected(Rejection("b", None, "read", "Segment answered 404"), 1))
    record(ProfileRejected(Rejection("c", "c@example.com", "map", "too large"), 1))
    record(ProfileWithoutIdentifier("d"))
    record(PageDone(1, "0", None, Outcomes(without_identifier=2, rejected=2)))
    assert rows(ledger) == {
        "a": ("a", WITHOUT_IDENTIFIER, None, None),
        "b": ("b", REJECTED, None, None),
        "c": ("c", REJECTED, ledger.digest("c@example.com"), None),
        "d": ("d", WITHOUT_IDENTIFIER, None, None),
    }


def test_a_row_is_that_of_the_last_import(ledger: Ledger) -> None:
    for customer, refused in (("{}", ()), ('{"name":"Ada"}', ("b",))):
        record = recorder.for_listing(ledger, begin(ledger), done_pages=0, is_followed=True).record
        record(BatchSent("aa_1", sent("a", "b", customer=customer)))
        end(ledger, refused=refused)
    assert outcomes(ledger) == {"a": CONFIRMED, "b": REJECTED}
    assert rows(ledger)["a"].content == ledger.digest('{"name":"Ada"}') != ledger.digest("{}")


def test_a_rejection_that_is_repeated_after_a_crash_leaves_no_row(ledger: Ledger) -> None:
    run = begin(ledger)
    record = recorder.for_listing(ledger, run, done_pages=0, is_followed=True).record
    record(ProfileRejected(Rejection("a", None, "read", "Segment answered 404"), 1))
    assert outcomes(ledger) == {"a": REJECTED}
    ledger.read(partial(runs.resume_run, run=run))
    assert outcomes(ledger) == {}


def test_a_retry_changes_the_row_when_it_is_sent_and_when_its_result_is_known(ledger: Ledger) -> None:
    run = begin(ledger)
    save = partial(save_profiles, rows=[ProfileRow(name, REJECTED) for name in ("a", "b", "c")])
    ledger.write(save)
    record = recorder.for_retry(ledger, run, is_followed=True).record
    record(BatchSent("aa_1", sent("a")))
    record(ProfileWithoutIdentifier("b"))
    assert outcomes(ledger) == {"a": SENT, "b": WITHOUT_IDENTIFIER, "c": REJECTED}
    end(ledger)
    assert outcomes(ledger) == {"a": CONFIRMED, "b": WITHOUT_IDENTIFIER, "c": REJECTED}


def test_warnings_are_rows_each_once_and_those_of_a_profile_that_is_read_again_are_replaced(ledger: Ledger) -> None:
    run = begin(ledger)
    listing = recorder.for_listing(ledger, run, done_pages=0, is_followed=True).record
    listing(TraitLeftOut("a", "birthdate", "is not an ISO 8601 date"))
    listing(TraitLeftOut("a", "phone", "is a list"))
    listing(TraitLeftOut("b", "birthdate", "is not an ISO 8601 date"))
    listing(TraitLeftOut("b", "birthdate", "is not an ISO 8601 date"))
    assert warnings(ledger) == []
    listing(BatchSent("aa_1", sent("a")))
    listing(ProfileRejected(Rejection("b", None, "upsert", "refused"), 1))
    before = [
        ("a", "birthdate", "is not an ISO 8601 date"),
        ("a", "phone", "is a list"),
        ("b", "birthdate", "is not an ISO 8601 date"),
    ]
    assert warnings(ledger) == before

    retry = recorder.for_retry(ledger, run, is_followed=True).record
    retry(TraitLeftOut("a", "name", "is a list"))
    assert warnings(ledger) == before
    retry(BatchSent("aa_2", sent("a", "b")))
    assert warnings(ledger) == [("a", "name", "is a list")]


def test_the_warnings_of_a_profile_that_has_no_identifier_any_more_go(ledger: Ledger) -> None:
    ledger.write(
        partial(save_warnings, warnings=[Warned("a", "phone", "is a list"), Warned("b", "phone", "is a list")])
    )
    recorder.for_retry(ledger, begin(ledger), is_followed=True).record(ProfileWithoutIdentifier("a"))
    assert warnings(ledger) == [("b", "phone", "is a list")]


def test_a_million_profiles_take_less_than_80_mb() -> None:
    """Measured on 50,000 whose ids are as long as Segment's and come in no order."""
    random = Random(1)
    profiles = 50_000
    with open_ledger() as ledger:
        for _ in range(profiles // 1000):
            page = [f"use_{random.getrandbits(160):027x}"[:31] for _ in range(1000)]
            found = [ProfileRow(each, CONFIRMED, random.randbytes(8), random.randbytes(8)) for each in page]
            ledger.write(partial(save_profiles, rows=found))
        [(pages, page_bytes)] = ledger.read(
            lambda db: db.execute("SELECT page_count, page_size FROM pragma_page_count, pragma_page_size").fetchall()
        )
    assert pages * page_bytes / profiles < 80
