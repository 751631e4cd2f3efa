"""The rejected profiles of an import as the ledger knows them, grouped by what was said of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from functools import lru_cache, partial
from sqlite3 import Connection

from segsync.errors import SegsyncError
from segsync.ledger.database import Ledger
from segsync.models import Rejection, RejectionGroup, Stage


def add_rejection(db: Connection, run: int, page: int, rejection: Rejection) -> None:
    """A profile will not become a customer, for this reason. `page` is its `PageKey`."""
    cause = (rejection.stage, rejection.reason, rejection.request_id)
    if page == 0:  # a retry: its rows are there, as often as the listing named it, unless it was sent in the meantime
        changed = db.execute(
            "UPDATE rejections SET stage = ?, reason = ?, request_id = ? WHERE run = ? AND segment_id = ?",
            (*cause, run, rejection.segment_id),
        )
        if changed.rowcount:
            return
    db.execute(
        "INSERT OR REPLACE INTO rejections (run, segment_id, page, stage, reason, request_id) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (run, rejection.segment_id, page, *cause),
    )


def forget_rejections(db: Connection, run: int, segment_ids: Iterable[str]) -> None:
    """These profiles are not rejected any more."""
    db.executemany(
        "DELETE FROM rejections WHERE run = ? AND segment_id = ?",
        [(run, segment_id) for segment_id in segment_ids],
    )


def runs_with_rejections(db: Connection, since: int) -> list[int]:
    """Those that have rejected profiles, from `since` on."""
    rows = db.execute("SELECT DISTINCT run FROM rejections WHERE run >= ? ORDER BY run", (since,)).fetchall()
    return [run for (run,) in rows if rejected_profiles(db, run, None, 1)]


def rejected_profiles(db: Connection, run: int, after: str | None, most: int) -> list[str]:
    """Segment ids of rejected profiles on pages that are done, in alphabetical order, those after `after`."""
    rows = db.execute(
        "SELECT DISTINCT segment_id FROM rejections WHERE run = ?1 AND (?2 IS NULL OR segment_id > ?2) "
        "AND page <= (SELECT coalesce(max(number), 0) FROM pages WHERE run = ?1) "
        "AND -page NOT IN (SELECT id FROM batches WHERE run = ?1 AND state = 'replay') "
        "ORDER BY segment_id LIMIT ?3",
        (run, after, most),
    )
    return [segment_id for (segment_id,) in rows]


def rejections_by_reason(db: Connection, since: int, most: int) -> list[tuple[str, str, int]]:
    """Stage, reason and count, the most frequent first."""
    return db.execute(
        "SELECT stage, reason, count(DISTINCT segment_id) FROM rejections WHERE run >= ? "
        "GROUP BY stage, reason ORDER BY 3 DESC, stage, reason LIMIT ?",
        (since, most),
    ).fetchall()


MOST_GROUPS = 100
"""Of which a report tells; what is beyond them is one more group for each stage."""

OTHERS = "other reasons"

_ID = re.compile(r"\b(?:aa|use|req|ms|v)_\w+|\b[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}\b")

_BRACKETED = r"[(\[{<'\"]*…[)\]}>'\"]*"

_HIDDEN = re.compile(rf"{_BRACKETED}(?:[ ,]*{_BRACKETED})*")

_NUMBER = re.compile(r"(?<!answered )(?<!\w)\d[\d,.]*(?!\w)")


def same_for_all(reason: str) -> str:
    """A reason without what differs from profile to profile: ids, numbers but an HTTP status, what was hidden how."""
    return _HIDDEN.sub("…", _NUMBER.sub("…", _ID.sub("…", reason)))


class _Group:
    """Reasons that say the same: as they are said where that is always in the same words."""

    def __init__(self, said: str) -> None:
        self.said = said
        self.profiles = 0
        self.segment_ids: list[str] = []

    def add(self, profiles: int, said: str, same: str) -> None:
        self.profiles += profiles
        if said != self.said:
            self.said = same


def groups(db: Connection, runs: Collection[int], *, most_ids: int = 0) -> tuple[RejectionGroup, ...]:
    """The rejected profiles of these runs by stage and reason, with the ids of the first `most_ids` of each group."""
    found: dict[tuple[Stage, str], _Group] = {}
    of_runs = f"rejections WHERE run IN ({', '.join('?' * len(runs))})"

    for stage, reason, profiles in db.execute(
        f"SELECT stage, reason, count(*) FROM {of_runs} GROUP BY stage, reason ORDER BY 3 DESC, stage, reason",  # noqa: S608
        (*runs,),
    ):
        same, said = same_for_all(reason), reason
        if (stage, same) not in found and len(found) >= MOST_GROUPS:
            same = said = OTHERS
        found.setdefault((stage, same), _Group(said)).add(profiles, said, same)
    if most_ids:
        normal = lru_cache(1000)(same_for_all)
        for segment_id, stage, reason in db.execute(
            f"SELECT segment_id, stage, reason FROM {of_runs} ORDER BY run, segment_id",  # noqa: S608
            (*runs,),
        ):
            group = found.get((stage, normal(reason))) or found[stage, OTHERS]
            if len(group.segment_ids) < most_ids:
                group.segment_ids.append(segment_id)
    largest_first = sorted(found.items(), key=lambda item: (-item[1].profiles, item[0]))
    return tuple(
        RejectionGroup(stage, group.said, group.profiles, tuple(group.segment_ids))
        for (stage, _), group in largest_first
    )


async def read_groups(ledger: Ledger, runs: Collection[int], *, most_ids: int = 0) -> tuple[RejectionGroup, ...]:
    """The same, as far as the ledger can be read: what an import came to is told even then."""
    question = partial(groups, runs=runs, most_ids=most_ids)
    try:
        return await ledger.ask(question)
    except SegsyncError:
        return ledger.salvage(question) or ()
