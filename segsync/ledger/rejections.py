"""The dead letters of an import in the ledger, and grouped by reason.

These are the rejected profiles, and those whose result is unknown, or which have the identifier of another profile.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from sqlite3 import Connection
from typing import Final, NamedTuple

from segsync.events import DuplicateIdentifier, ResultUnknown
from segsync.ledger.profiles import ProfileOutcome
from segsync.models import Connector, Rejection, RejectionGroup, Stage

UNKNOWN, DUPLICATE = NOT_REJECTED = ("unknown", "duplicate")
"""What stands in the place of a stage where a profile was not rejected."""

IS_REJECTED: Final = f"stage NOT IN {NOT_REJECTED}"

IS_UNKNOWN: Final = f"stage = '{UNKNOWN}'"

IS_DUPLICATE: Final = f"stage = '{DUPLICATE}'"

_COUNTS: Final = """
    (page <= (SELECT coalesce(max(number), 0) FROM pages WHERE pages.run = rejections.run)
    AND -page NOT IN (SELECT id FROM batches WHERE state = 'replay')
    OR run IN (SELECT run FROM unfinished))
"""
"""Whether a dead letter counts: it is on a page that is done, or of a run that ended early and reported it."""

_SAME_AS: Final = "has the same identifier as "


class DeadLetter(NamedTuple):
    """Why a profile did not become a customer, in the last run in which it did not."""

    segment_id: str
    run: int
    stage: str
    reason: str
    request_id: str | None


def holder_of(duplicate: DeadLetter) -> str:
    """The segment id of the profile whose identifier a duplicate has."""
    return duplicate.reason.removeprefix(_SAME_AS)


def add_unknown(db: Connection, run: int, page: int, result: ResultUnknown) -> None:
    """Whether this profile was imported is not known. `page` is its `PageKey`."""
    _add(db, run, page, result.segment_id, (UNKNOWN, result.reason, result.request_id))


def add_duplicate(db: Connection, run: int, page: int, duplicate: DuplicateIdentifier) -> None:
    """A profile has the identifier of another one. `page` is its `PageKey`."""
    _add(db, run, page, duplicate.segment_id, (DUPLICATE, f"{_SAME_AS}{duplicate.other}", None))


def add_rejection(db: Connection, run: int, page: int, rejection: Rejection) -> None:
    """A profile will not become a customer, for this reason. `page` is its `PageKey`."""
    _add(db, run, page, rejection.segment_id, (rejection.stage, rejection.reason, rejection.request_id))
    if rejection.code:
        known = (rejection.stage, same_for_all(rejection.reason), rejection.code)
        db.execute("INSERT OR REPLACE INTO codes (stage, reason, code) VALUES (?, ?, ?)", known)


def _add(db: Connection, run: int, page: int, segment_id: str, cause: tuple[str, str, str | None]) -> None:
    """Where earlier runs have a dead letter of the profile, it says the same from now on: each run adds up."""
    db.execute(
        "UPDATE rejections SET stage = ?, reason = ?, request_id = ? WHERE segment_id = ? AND run != ?",
        (*cause, segment_id, run),
    )
    if page == 0:  # a retry: its rows are there already, unless it was sent in the meantime
        changed = db.execute(
            "UPDATE rejections SET stage = ?, reason = ?, request_id = ? WHERE run = ? AND segment_id = ?",
            (*cause, run, segment_id),
        )
        if changed.rowcount:
            return
    db.execute(
        "INSERT OR REPLACE INTO rejections (run, segment_id, page, stage, reason, request_id) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (run, segment_id, page, *cause),
    )


def forget_rejections(db: Connection, run: int, segment_ids: Iterable[str]) -> None:
    """These profiles are not dead letters any more."""
    db.executemany("DELETE FROM rejections WHERE run = ? AND segment_id = ?", [(run, each) for each in segment_ids])


def resolve(db: Connection, segment_ids: Iterable[str], *, but_in: int) -> Counter[int]:
    """These profiles are not dead letters of other runs any more, except in `but_in`; how many were, by run."""
    resolved: Counter[int] = Counter()
    for segment_id in segment_ids:
        query = "SELECT run FROM rejections WHERE segment_id = ? AND run != ?"
        for (run,) in db.execute(query, (segment_id, but_in)).fetchall():
            resolved[run] += 1
            db.execute("DELETE FROM rejections WHERE segment_id = ? AND run = ?", (segment_id, run))
    return resolved


def unresolved(
    db: Connection, kind: str = IS_REJECTED, *, run: int | None = None, after: str | None = None, most: int = -1
) -> Iterator[DeadLetter]:
    """The profiles that are rejected now, whichever run they are from, in alphabetical order of their segment ids.

    A dead letter stays until a later result says that the profile was written, or it has another outcome. Each profile
    comes once, with what its last run says. `kind` is `IS_REJECTED`, `IS_UNKNOWN` or `IS_DUPLICATE`. `run` chooses
    those whose last run this is, `after` those behind this segment id, and `most` is how many at most; -1 is for all.
    They are read row by row, so memory does not grow with them.
    """
    behind = "?1 IS NULL" if after is None else "segment_id > ?1"  # an id may be empty
    query = f"{_unresolved(kind, behind)} AND (?2 IS NULL OR max(run) = ?2) ORDER BY segment_id LIMIT ?3"
    return map(DeadLetter._make, db.execute(query, (after, run, most)))


def count_unresolved(db: Connection, kind: str = IS_REJECTED) -> int:
    """How many profiles `unresolved` gives."""
    [(count,)] = db.execute(f"SELECT count(*) FROM ({_unresolved(kind)})").fetchall()  # noqa: S608 - texts of ours
    return int(count)


def _unresolved(kind: str, condition: str = "true") -> str:
    """The query for the last dead letters of this kind, where they meet the condition."""
    # SQLite takes the columns beside max() from the row that has the maximum ("Bare columns in an aggregate query").
    return (
        "SELECT segment_id, max(run), stage, reason, request_id FROM rejections "  # noqa: S608 - texts of ours
        f"WHERE {condition} AND {_COUNTS} AND coalesce((SELECT outcome FROM profiles "
        f"WHERE profiles.segment_id = rejections.segment_id), {ProfileOutcome.REJECTED:d}) >= "
        f"{ProfileOutcome.REJECTED:d} GROUP BY segment_id HAVING {kind}"
    )


def to_retry(db: Connection, source: Connector) -> Iterator[DeadLetter]:
    """The profiles of this source that are rejected now, then those whose result is unknown."""
    query = "SELECT id FROM runs WHERE source_name = ? AND source_identity = ?"
    from_source = {run for (run,) in db.execute(query, (source.name, source.identity))}
    for kind in (IS_REJECTED, IS_UNKNOWN):
        yield from (letter for letter in unresolved(db, kind) if letter.run in from_source)


MOST_GROUPS = 100
"""The most groups by reason: the rejections beyond them are one more group for each stage, `OTHERS`."""

OTHERS = "other reasons"

_ID = re.compile(r"\b(?:aa|use|req|ms|v)_\w+|\b[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}\b")

_BRACKETED = r"[(\[{<'\"]*…[)\]}>'\"]*"

_HIDDEN = re.compile(rf"{_BRACKETED}(?:[ ,]*{_BRACKETED})*")

_NUMBER = re.compile(r"(?<!answered )(?<!\w)\d[\d,.]*(?!\w)")


def same_for_all(reason: str) -> str:
    """A reason without what differs from profile to profile: ids, numbers but an HTTP status, what was hidden how."""
    return _HIDDEN.sub("…", _NUMBER.sub("…", _ID.sub("…", reason)))


def groups(
    db: Connection, runs: Collection[int] | None, kind: str = IS_REJECTED, *, most_ids: int = 0
) -> tuple[RejectionGroup, ...]:
    """The profiles of these runs of a kind (as in `unresolved`) by stage and reason, the largest group first.

    Reasons that differ in ids and numbers alone are one group. Each group has up to `most_ids` segment ids. A profile
    that is rejected in two runs counts twice, as it does in their outcomes. None is for the profiles that are
    `unresolved`, each of which counts once.
    """
    numbers = ", ".join(f"{run:d}" for run in runs or ())
    of_runs = f"SELECT * FROM rejections WHERE {kind} AND run IN ({numbers})"  # noqa: S608 - numbers
    found: dict[tuple[Stage, str], RejectionGroup] = {}
    for stage, reason, profiles, ids in db.execute(
        "SELECT stage, reason, count(*), "  # noqa: S608 - texts of ours
        "json_group_array(segment_id) FILTER (WHERE place <= ?) FROM ("
        f"SELECT iif({IS_UNKNOWN}, 'confirm', stage) AS stage, reason, segment_id, "
        "dense_rank() OVER (PARTITION BY stage, reason ORDER BY segment_id) AS place "
        f"FROM ({_unresolved(kind) if runs is None else of_runs})"
        ") GROUP BY stage, reason ORDER BY 3 DESC, stage, reason",
        (most_ids,),
    ):
        same, shown = same_for_all(reason), reason
        if (stage, same) not in found and len(found) >= MOST_GROUPS:
            same = shown = OTHERS
        group = found.get((stage, same)) or RejectionGroup(stage, shown, 0, code=_code_of(db, stage, same))
        found[stage, same] = RejectionGroup(
            stage,
            group.reason if group.reason == shown else same,
            group.profiles + profiles,
            tuple(sorted({*group.segment_ids, *json.loads(ids)})[:most_ids]),
            group.code,
        )
    return tuple(group for _, group in sorted(found.items(), key=lambda item: (-item[1].profiles, item[0])))


def _code_of(db: Connection, stage: Stage, reason: str) -> str | None:
    """The code of a reason that is the same for all; None for one of a ledger that knew no codes."""
    row = db.execute("SELECT code FROM codes WHERE stage = ? AND reason = ?", (stage, reason)).fetchone()
    return row and str(row[0])
