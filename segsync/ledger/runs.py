"""The runs of a ledger, how far each came, and the outcomes of its profiles.

A profile belongs to a page, by its `PageKey`. A listed page is done when each of its profiles has its outcome, the page
of a replayed batch when that batch is no longer to be replayed. Only what is on pages that are done counts: the rest
will be repeated.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from sqlite3 import Connection
from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import astuple

from segsync.ledger.batches import Member, change_batch, close_batch, finish_page, members_in, one, spread_in
from segsync.ledger.database import now
from segsync.ledger.profiles import FORGET_REJECTED
from segsync.ledger.rejections import NOT_REJECTED
from segsync.models import FIRST_OFFSET, Connector, Outcomes

State = Literal["running", "done", "limited", "interrupted", "stopped"]
"""Of a run. "limited" did what `--limit` asked for; one that is "running" without a process was killed."""


_IS_IMPORT = "id NOT IN (SELECT run FROM runs_of_ids)"


class Run(Struct, frozen=True):
    """How far a run came: `offset` is where it continues, None at the end of the source.

    `expected` is how many profiles it will have, None where nobody gave it. `checkpointed` are the outcomes of the
    profiles before `offset`. Those of a run that ended early are `outcomes` as it reported them, beyond `offset` too.
    `ids_from` is where the ids of a run came from that reads given ones, None where the source lists them. Such a run
    is never continued: its `offset` is None, and those of its `expected` ids that it did not read are pending.
    """

    id: int
    began_at: str
    ended_at: str | None
    state: State
    error: str | None
    source: Connector
    expected: int | None
    first_offset: str
    offset: str | None
    done_pages: int
    has_listed: bool
    checkpointed: Outcomes
    outcomes: Outcomes
    open_upserts: int
    replays: int
    ids_from: str | None = None

    @property
    def is_listing(self) -> bool:
        """Whether the source lists its profiles: it is an import, and not a run of given ids."""
        return self.ids_from is None

    @property
    def ids_left(self) -> int:
        """How many given ids it did not read: nobody does, unless they are given again."""
        return 0 if self.is_listing else self.outcomes.pending - self.checkpointed.pending

    @property
    def is_unfinished(self) -> bool:
        """Whether it was to do more than it did, and did something."""
        return self.state not in ("done", "limited") and self.done_pages > 0

    def is_from(self, source: Connector) -> bool:
        """Whether its profiles come from this source."""
        return (self.source.name, self.source.identity) == (source.name, source.identity)


def begin_run(
    db: Connection, first_offset: str, source: Connector, *, ids_from: str | None = None, ids: int | None = None
) -> Run:
    """A new run. The import before it will hardly be resumed any more, unless this is a run of given `ids`."""
    close_killed_runs_of_ids(db)
    if ids_from is None:
        last_import = f"SELECT max(id) FROM runs WHERE {_IS_IMPORT} HAVING max(id)"  # noqa: S608 - a condition of ours
        for (last,) in db.execute(last_import).fetchall():
            _close_books(db, one_run(db, last))
    db.execute(
        "INSERT INTO runs (began_at, state, source_name, source_identity, first_cursor, expected) "
        "VALUES (?, 'running', ?, ?, ?, ?)",
        (now(), source.name, source.identity, first_offset, ids),
    )
    if ids_from is not None:
        db.execute("INSERT INTO runs_of_ids SELECT max(id), ? FROM runs", (ids_from,))
    [run] = runs(db, most=1)
    return run


def resume_run(db: Connection, run: int) -> Run:
    """Go on with a run: what it did beyond its checkpoint will be repeated, and counts no longer."""
    close_killed_runs_of_ids(db)
    db.execute("DELETE FROM pages WHERE run = ? AND is_closing", (run,))
    db.execute("UPDATE runs SET state = 'running', ended_at = NULL, error = NULL WHERE id = ?", (run,))
    return prune(db, run)


def prune(db: Connection, run: int) -> Run:
    """Forget what a run did on pages that are not done, since they are repeated."""
    db.execute("DELETE FROM unfinished WHERE run = ?", (run,))
    _keep_pages(db, run, _is_done_test(db, run))
    return one_run(db, run)


def close_killed_runs_of_ids(db: Connection) -> None:
    """What runs of given ids did before they were killed counts as it is: nobody continues them."""
    killed = f"SELECT id FROM runs WHERE NOT ({_IS_IMPORT}) AND state = 'running'"  # noqa: S608 - a condition of ours
    for (run,) in db.execute(killed).fetchall():
        close_run_of_ids(db, run)
        db.execute("UPDATE runs SET state = 'interrupted' WHERE id = ?", (run,))


def close_run_of_ids(db: Connection, run: int) -> Run:
    """End a run of given ids: what it did counts, and the ids that it did not read stay pending.

    One that has ended before keeps the outcomes that it reported then.
    """
    before = one_run(db, run)
    _close_books(db, before)
    beyond = before.outcomes - _checkpointed(db, run)
    if before.state != "running" or beyond.profiles > 0:
        _save_beyond(db, run, Outcomes(pending=beyond.profiles) if before.state == "running" else beyond)
    return one_run(db, run)


def _close_books(db: Connection, run: Run) -> None:
    """Count what a run did on listed pages that were not done, and hardly ever will be, as one more page."""
    db.execute("DELETE FROM unfinished WHERE run = ?", (run.id,))
    is_done = _is_done_test(db, run.id)
    _keep_pages(db, run.id, lambda page: page > 0 or is_done(page))
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
        if kept or state == "replay":
            kept_members = [_with_counts(each, is_kept) for each in members_in(members)] if members else None
            change_batch(db, batch, state, kept, kept_members)
        else:
            close_batch(db, batch)
    pages = db.execute("SELECT DISTINCT page FROM rejections WHERE run = ?", (run,)).fetchall()
    dropped = [(run, page) for (page,) in pages if not is_kept(page)]
    db.executemany(FORGET_REJECTED, dropped)
    db.executemany("DELETE FROM rejections WHERE run = ? AND page = ?", dropped)


def has_listed(db: Connection, run: int) -> None:
    """The source has answered this run: what it lists is what counts from now on."""
    db.execute("UPDATE runs SET has_listed = 1 WHERE id = ?", (run,))


def expect(db: Connection, run: int, profiles: int) -> None:
    """Write how many profiles this run will have, as the user expects it."""
    db.execute("UPDATE runs SET expected = ? WHERE id = ?", (profiles, run))


def keep_flags(db: Connection, run: int, flags: Sequence[Sequence[str]]) -> None:
    """Write the flags of the process that works on this run, each with its value."""
    db.execute("INSERT OR REPLACE INTO flags VALUES (?, ?)", (run, msgspec.json.encode(flags).decode()))


def flags_of(db: Connection, run: int) -> list[list[str]]:
    """The flags of the last process that worked on this run; none where nobody wrote them."""
    found = db.execute("SELECT words FROM flags WHERE run = ?", (run,)).fetchone()
    return msgspec.json.decode(found[0], type=list[list[str]]) if found else []


def end_run(db: Connection, run: int, state: State, error: str | None, outcomes: Outcomes | None = None) -> None:
    """A run has ended so; `error` is what stopped it, and `outcomes` are those that it has counted, as it reports them.

    They count beside the checkpoint until the run is resumed.
    """
    if not one_run(db, run).is_listing:
        close_run_of_ids(db, run)
    if outcomes and state in ("interrupted", "stopped"):
        _save_beyond(db, run, outcomes - _checkpointed(db, run))
    db.execute("UPDATE runs SET state = ?, ended_at = ?, error = ? WHERE id = ?", (state, now(), error, run))
    if state == "done":
        db.execute("DELETE FROM listed WHERE run = ?", (run,))


def runs(db: Connection, most: int = -1) -> list[Run]:
    """The last runs, the latest first; all of them where `most` is -1."""
    rows = db.execute("SELECT id FROM runs ORDER BY id DESC LIMIT ?", (most,)).fetchall()
    return [one_run(db, run) for (run,) in rows]


def one_run(db: Connection, run: int) -> Run:
    """A run as it stands."""
    [(began_at, ended_at, state, error, expected, ids_from, first, listed, opened, replays, *source)] = db.execute(
        "SELECT began_at, ended_at, state, error, expected, "
        "(SELECT ids_from FROM runs_of_ids WHERE run = runs.id), first_cursor, has_listed, "
        "(SELECT count(*) FROM batches WHERE run = runs.id AND state = 'open'), "
        "(SELECT count(*) FROM batches WHERE run = runs.id AND state = 'replay'), "
        "source_name, source_identity FROM runs WHERE id = ?",
        (run,),
    ).fetchall()
    last = db.execute("SELECT number, next_cursor FROM pages WHERE run = ? ORDER BY number DESC LIMIT 1", (run,))
    done_pages, offset = last.fetchone() or (0, first)
    checkpointed, beyond = _checkpointed(db, run), _beyond(db, run)
    if ids_from is not None and state == "running" and offset is not None and beyond == Outcomes():
        beyond = Outcomes(pending=max((expected or 0) - int(offset), 0))
    return Run(
        id=run,
        began_at=began_at,
        ended_at=ended_at,
        state=state,
        error=error,
        source=Connector(*source),
        expected=expected,
        first_offset=first,
        offset=offset if ids_from is None else None,
        done_pages=done_pages,
        has_listed=bool(listed or done_pages),
        checkpointed=checkpointed,
        outcomes=checkpointed + beyond,
        open_upserts=opened,
        replays=replays,
        ids_from=ids_from,
    )


def first_current_run(db: Connection) -> int:
    """The last run that began at the first page and listed something.

    It and those that began elsewhere since belong together: what they rejected is in one list. What was before
    them does not matter any more.
    """
    return one(
        db,
        f"SELECT coalesce(max(id), 0) FROM runs WHERE first_cursor = ? AND {_IS_IMPORT} "  # noqa: S608 - one of ours
        "AND (has_listed OR EXISTS (SELECT 1 FROM pages WHERE pages.run = runs.id))",
        FIRST_OFFSET,
    )[0]


def first_followed_run(db: Connection) -> int:
    """Results are read of all runs from this one on: the current ones, and earlier ones whose profiles were retried."""
    query = "SELECT min(run) FROM batches WHERE state IN ('open', 'replay') AND first_page <= 0"
    [(retried,)] = db.execute(query).fetchall()
    current = first_current_run(db)
    return current if retried is None else min(retried, current)


def ids_left(db: Connection) -> Run | None:
    """The last run of a file of ids that has not read them all.

    None where they were read since: by another run of that file, or by an import of the whole space.
    """
    later = set[str | None]()
    for run in runs(db):
        if run.is_listing and run.state == "done" and run.first_offset == FIRST_OFFSET:
            return None
        if run.ids_from and run.ids_from not in later and run.ids_left:
            return run
        later.add(run.ids_from)
    return None


def outcomes_of(db: Connection, of_runs: Iterable[int]) -> Outcomes:
    """The outcomes of these runs together."""
    return sum((_checkpointed(db, run) + _beyond(db, run) for run in of_runs), Outcomes())


def _checkpointed(db: Connection, run: int) -> Outcomes:
    """The outcomes on pages that are done. The confirmed ones are all that have no other, so they always add up."""
    is_done = _is_done_test(db, run)
    profiles, without = one(
        db,
        "SELECT coalesce(sum(profiles), 0), coalesce(sum(without_identifier), 0) + "
        "(SELECT late_without_identifier FROM runs WHERE id = ?1) FROM pages WHERE run = ?1",
        run,
    )
    by_page = db.execute("SELECT page, stage, count(*) FROM rejections WHERE run = ? GROUP BY page, stage", (run,))
    letters: Counter[str] = Counter()
    for page, stage, count in by_page:
        if is_done(page):
            letters[stage if stage in NOT_REJECTED else "rejected"] += count
    by_state = db.execute(
        "SELECT state, sum(customers) FROM batches WHERE run = ? AND state IN ('open', 'unread', 'replay') "
        "GROUP BY state",
        (run,),
    )
    customers = Counter(dict(by_state.fetchall()))
    for _, state, spread, _ in _batches_partly_counted(db, run):
        customers[state] -= sum(count for page, count in spread_in(spread).items() if not is_done(page))
    sent, pending = customers["open"] + customers["unread"], customers["replay"]
    return Outcomes(
        confirmed=profiles - without - letters.total() - sent - pending,
        sent=sent,
        without_identifier=without,
        pending=pending,
        **letters,
    )


def _save_beyond(db: Connection, run: int, difference: Outcomes) -> None:
    db.execute("INSERT OR REPLACE INTO unfinished VALUES (?, ?)", (run, json.dumps(astuple(difference))))


def _beyond(db: Connection, run: int) -> Outcomes:
    """How the outcomes that a run reported when it ended early differ from those on pages that are done."""
    difference = Outcomes()
    for (saved,) in db.execute("SELECT difference FROM unfinished WHERE run = ?", (run,)):
        difference += Outcomes(*json.loads(saved))
    return difference


def _is_done_test(db: Connection, run: int) -> Callable[[int], bool]:
    """A function that says whether a page of this run is done, by its key."""
    [done] = one(db, "SELECT coalesce(max(number), 0) FROM pages WHERE run = ?", run)
    replays = {batch for (batch,) in db.execute("SELECT id FROM batches WHERE run = ? AND state = 'replay'", (run,))}
    return lambda page: page <= done if page > 0 else -page not in replays


def _batches_partly_counted(db: Connection, run: int) -> list[tuple[int, str, bytes, bytes | None]]:
    """The batches that may have customers on pages that are not done: few, since pages are done soon."""
    [done] = one(db, "SELECT coalesce(max(number), 0) FROM pages WHERE run = ?", run)
    return db.execute(
        "SELECT id, state, spread, members FROM batches WHERE run = ? AND state IN ('open', 'unread', 'replay') "
        "AND (last_page > ? OR first_page < 0)",
        (run, done),
    ).fetchall()


def has_open_ends(db: Connection) -> bool:
    """Whether results are still to be read, or profiles to be replayed."""
    since = first_followed_run(db)
    return bool(one(db, "SELECT count(*) FROM batches WHERE state IN ('open', 'replay') AND run >= ?", since)[0])


def _with_counts(member: Member, is_done: Callable[[int], bool]) -> Member:
    return msgspec.structs.replace(member, counts=member.counts and is_done(member.page))
