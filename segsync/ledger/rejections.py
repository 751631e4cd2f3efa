"""The rejected profiles of an import in the ledger, and grouped by reason."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from functools import partial
from sqlite3 import Connection

from segsync.errors import SegsyncError
from segsync.ledger.database import Ledger
from segsync.models import Rejection, RejectionGroup, Stage


def add_rejection(db: Connection, run: int, page: int, rejection: Rejection) -> None:
    """A profile will not become a customer, for this reason. `page` is its `PageKey`."""
    cause = (rejection.stage, rejection.reason, rejection.request_id)
    if page == 0:  # a retry: its rows are there already, unless it was sent in the meantime
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
    db.executemany("DELETE FROM rejections WHERE run = ? AND segment_id = ?", [(run, each) for each in segment_ids])


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
    db: Connection, runs: Collection[int], *, most_ids: int = 0, each_once: bool = False
) -> tuple[RejectionGroup, ...]:
    """The rejected profiles of these runs by stage and reason, the largest group first.

    Reasons that differ in ids and numbers alone are one group. Each group has up to `most_ids` segment ids. A profile
    that is rejected in two runs counts twice, as it does in their outcomes, unless it is to count `each_once`.
    """
    profiles_of_reason = "count(DISTINCT segment_id)" if each_once else "count(*)"
    found: dict[tuple[Stage, str], RejectionGroup] = {}
    for stage, reason, profiles, ids in db.execute(
        f"SELECT stage, reason, {profiles_of_reason}, "  # noqa: S608 - one of two texts
        "json_group_array(segment_id) FILTER (WHERE place <= ?) FROM ("
        "SELECT stage, reason, segment_id, dense_rank() OVER (PARTITION BY stage, reason ORDER BY segment_id) AS place "
        "FROM rejections WHERE run IN (SELECT value FROM json_each(?))"
        ") GROUP BY stage, reason ORDER BY 3 DESC, stage, reason",
        (most_ids, json.dumps([*runs])),
    ):
        same, shown = same_for_all(reason), reason
        if (stage, same) not in found and len(found) >= MOST_GROUPS:
            same = shown = OTHERS
        group = found.get((stage, same)) or RejectionGroup(stage, shown, 0)
        found[stage, same] = RejectionGroup(
            stage,
            group.reason if group.reason == shown else same,
            group.profiles + profiles,
            tuple(sorted({*group.segment_ids, *json.loads(ids)})[:most_ids]),
        )
    return tuple(group for _, group in sorted(found.items(), key=lambda item: (-item[1].profiles, item[0])))


async def read_groups(ledger: Ledger, runs: Collection[int], *, most_ids: int = 0) -> tuple[RejectionGroup, ...]:
    """The groups as far as the ledger can be read: a report is made even where it cannot."""
    question = partial(groups, runs=runs, most_ids=most_ids)
    try:
        return await ledger.ask(question)
    except SegsyncError:
        return ledger.salvage(question) or ()
