"""What the ledger's tables mean: the runs, how far each came, and what became of its profiles.

Pages carry the numbers in which they were listed, from 1 on. A profile that is taken again belongs to a page
too: -B for those of batch B, whose upsert failed as a whole, and 0 for those that had been rejected.
A page is settled when each of its profiles has its outcome, page -B when batch B is no longer to be taken
again. Only what is on settled pages counts: the rest will be repeated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from sqlite3 import Connection
from typing import Literal

import msgspec
from msgspec import Struct

from segsync.ledger.batches import Member, change_batch, close_batch, finish_page, members_in, one, spread_in
from segsync.ledger.database import now
from segsync.models import FIRST_OFFSET, Outcomes

State = Literal["running", "done", "limited", "interrupted", "stopped"]
"""Of a run. "limited" did what `--limit` asked for; one that is "running" without a process was killed."""


class Run(Struct, frozen=True):
    """How far a run came: `offset` is where it goes on, None at the end of the space."""

    id: int
    began_at: str
    ended_at: str | None
    state: State
    error: str | None
    first_offset: str
    offset: str | None
    done_pages: int
    has_listed: bool
    outcomes: Outcomes
    open_upserts: int
    replays: int

    @property
    def is_unfinished(self) -> bool:
        """Whether it was to do more than it did, and did something."""
        return self.state not in ("done", "limited") and self.done_pages > 0

    @property
    def has_more_to_do(self) -> bool:
        """Whether a resume has something to do."""
        return self.state != "done" or self.open_upserts + self.replays > 0


def begin_run(db: Connection, first_offset: str) -> Run:
    """A new run. The one before it will hardly be resumed any more."""
    for last in runs(db, most=1):
        _close_books(db, last)
    db.execute("INSERT INTO runs (began_at, state, first_cursor) VALUES (?, 'running', ?)", (now(), first_offset))
    [run] = runs(db, most=1)
    return run


def resume_run(db: Connection, run: int) -> Run:
    """Go on with a run: what it did beyond its settled pages will be repeated, and counts no longer."""
    db.execute("DELETE FROM pages WHERE run = ? AND is_closing", (run,))
    db.execute("UPDATE runs SET state = 'running', ended_at = NULL, error = NULL WHERE id = ?", (run,))
    return prune(db, run)


def prune(db: Connection, run: int) -> Run:
    """Forget what a run did on pages that are not settled, since it comes again."""
    _keep_pages(db, run, _settledness(db, run))
    return one_run(db, run)


def _close_books(db: Connection, run: Run) -> None:
    """Count what a run did on listed pages that were not settled, and hardly ever will be: as one more page."""
    is_settled = _settledness(db, run.id)
    _keep_pages(db, run.id, lambda page: page > 0 or is_settled(page))
    counts: Counter[int] = Counter()
    for _, _, spread, _ in _batches_partly_counted(db, run.id):
        counts.update({page: count for page, count in spread_in(spread).items() if page > run.done_pages})
    by_page = db.execute("SELECT page, count(*) FROM rejections WHERE run = ? GROUP BY page", (run.id,)).fetchall()
    counts.update({page: count for page, count in by_page if page > run.done_pages})
    if counts:
        finish_page(db, run.id, max(counts), run.offset, Outcomes(sent=counts.total()), is_closing=True)


def _keep_pages(db: Connection, run: int, is_kept: Callable[[int], bool]) -> None:
    """Forget what was sent and rejected on other pages than these."""
    for batch, state, spread, members in _batches_partly_counted(db, run):
        kept = {page: count for page, count in spread_in(spread).items() if is_kept(page)}
        if kept or state == "again":
            change_batch(
                db,
                batch,
                state,
                kept,
                [_with_counts(each, is_kept) for each in members_in(members)] if members else None,
            )
        else:
            close_batch(db, batch)
    pages = db.execute("SELECT DISTINCT page FROM rejections WHERE run = ?", (run,)).fetchall()
    db.executemany(
        "DELETE FROM rejections WHERE run = ? AND page = ?", [(run, page) for (page,) in pages if not is_kept(page)]
    )


def has_listed(db: Connection, run: int) -> None:
    """Segment has answered this run: what it lists is what counts from now on."""
    db.execute("UPDATE runs SET has_listed = 1 WHERE id = ?", (run,))


def expect(db: Connection, run: int, profiles: int) -> None:
    """Somebody has said how many profiles this run will have."""
    db.execute("UPDATE runs SET expected = ? WHERE id = ?", (profiles, run))


def expected(db: Connection, run: int) -> int | None:
    """How many profiles this run will have, as far as somebody said it."""
    [(profiles,)] = db.execute("SELECT expected FROM runs WHERE id = ?", (run,)).fetchall()
    return profiles  # type: ignore[no-any-return]


def end_run(db: Connection, run: int, state: State, error: str | None) -> None:
    db.execute("UPDATE runs SET state = ?, ended_at = ?, error = ? WHERE id = ?", (state, now(), error, run))


def runs(db: Connection, most: int = -1) -> list[Run]:
    """The last runs, the latest first; all of them where `most` is -1."""
    rows = db.execute("SELECT id FROM runs ORDER BY id DESC LIMIT ?", (most,)).fetchall()
    return [one_run(db, run) for (run,) in rows]


def one_run(db: Connection, run: int) -> Run:
    [(began_at, ended_at, state, error, first, listed)] = db.execute(
        "SELECT began_at, ended_at, state, error, first_cursor, has_listed FROM runs WHERE id = ?", (run,)
    ).fetchall()
    last = db.execute(
        "SELECT number, next_cursor FROM pages WHERE run = ? ORDER BY number DESC LIMIT 1", (run,)
    ).fetchone()
    done_pages, offset = last or (0, first)
    states = Counter(
        dict(
            db.execute(
                "SELECT state, count(*) FROM batches WHERE run = ? AND state IN ('open', 'again') GROUP BY state",
                (run,),
            ).fetchall()
        )
    )
    return Run(
        id=run,
        began_at=began_at,
        ended_at=ended_at,
        state=state,
        error=error,
        first_offset=first,
        offset=offset,
        done_pages=done_pages,
        has_listed=bool(listed or done_pages),
        outcomes=_outcomes(db, run),
        open_upserts=states["open"],
        replays=states["again"],
    )


def first_current_run(db: Connection) -> int:
    """The last run that began at the first page and came somewhere.

    It and those that began elsewhere since belong together: what they rejected is in one list. What was before
    them does not matter any more.
    """
    return one(
        db,
        "SELECT coalesce(max(id), 0) FROM runs WHERE first_cursor = ? "
        "AND (has_listed OR EXISTS (SELECT 1 FROM pages WHERE pages.run = runs.id))",
        FIRST_OFFSET,
    )[0]


def _outcomes(db: Connection, run: int) -> Outcomes:
    """What is settled. The confirmed ones are all that have no other outcome, so the outcomes always add up."""
    is_settled = _settledness(db, run)
    profiles, without = one(
        db,
        "SELECT coalesce(sum(profiles), 0), coalesce(sum(without_identifier), 0) + "
        "(SELECT late_without_identifier FROM runs WHERE id = ?1) FROM pages WHERE run = ?1",
        run,
    )
    by_page = db.execute("SELECT page, count(*) FROM rejections WHERE run = ? GROUP BY page", (run,))
    rejected = sum(count for page, count in by_page if is_settled(page))
    customers: Counter[str] = Counter()
    for state, count in db.execute(
        "SELECT state, sum(customers) FROM batches WHERE run = ? AND state IN ('open', 'unread', 'again') "
        "GROUP BY state",
        (run,),
    ):
        customers[state] += count
    for _, state, spread, _ in _batches_partly_counted(db, run):
        customers[state] -= sum(count for page, count in spread_in(spread).items() if not is_settled(page))
    sent, pending = customers["open"] + customers["unread"], customers["again"]
    return Outcomes(
        confirmed=profiles - without - rejected - sent - pending,
        sent=sent,
        without_identifier=without,
        rejected=rejected,
        pending=pending,
    )


def _settledness(db: Connection, run: int) -> Callable[[int], bool]:
    """Whether a page of this run is settled, by its number."""
    [settled] = one(db, "SELECT coalesce(max(number), 0) FROM pages WHERE run = ?", run)
    again = {batch for (batch,) in db.execute("SELECT id FROM batches WHERE run = ? AND state = 'again'", (run,))}
    return lambda page: page <= settled if page > 0 else -page not in again


def _batches_partly_counted(db: Connection, run: int) -> list[tuple[int, str, bytes, bytes | None]]:
    """Those that may have customers on pages that are not settled: few, since pages settle soon."""
    [settled] = one(db, "SELECT coalesce(max(number), 0) FROM pages WHERE run = ?", run)
    return db.execute(
        "SELECT id, state, spread, members FROM batches WHERE run = ? AND state IN ('open', 'unread', 'again') "
        "AND (last_page > ? OR first_page < 0)",
        (run, settled),
    ).fetchall()


def has_open_ends(db: Connection) -> bool:
    """Whether outcomes are still to be read, or upserts to be repeated."""
    since = first_current_run(db)
    return bool(one(db, "SELECT count(*) FROM batches WHERE state IN ('open', 'again') AND run >= ?", since)[0])


def rejected_now(db: Connection) -> set[str]:
    """The segment ids of all profiles that are rejected as things stand."""
    rows = db.execute("SELECT segment_id FROM rejections WHERE run >= ?", (first_current_run(db),))
    return {segment_id for (segment_id,) in rows}


def _with_counts(member: Member, is_settled: Callable[[int], bool]) -> Member:
    return msgspec.structs.replace(member, counts=member.counts and is_settled(member.page))
