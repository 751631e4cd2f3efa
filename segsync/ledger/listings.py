"""Which profiles the pages of a run hold, so that a listing that begins anew leaves out those that are done.

A source may refuse the cursor of a resume, for example because it has expired. Then the run lists from its beginning:
an empty page marks that, whose next cursor is the first one of the run.
"""

from __future__ import annotations

from collections.abc import Iterable
from sqlite3 import Connection

DIGEST_BYTES = 8


def add_page(db: Connection, run: int, number: int, digests: bytes) -> None:
    """Write the digests of the segment ids on a page, one behind the other."""
    db.execute("INSERT OR REPLACE INTO listed (run, number, digests) VALUES (?, ?, ?)", (run, number, digests))


def forget_before(db: Connection, run: int) -> None:
    """Remove the pages of the runs before this one, which begins anew."""
    db.execute("DELETE FROM listed WHERE run < ?", (run,))


def began_anew(db: Connection, run: int) -> bool:
    """Whether the listing of a run has begun anew."""
    query = "SELECT EXISTS (SELECT 1 FROM pages JOIN runs ON id = run WHERE run = ? AND next_cursor = first_cursor)"
    return bool(db.execute(query, (run,)).fetchone()[0])


def look_up_done(db: Connection, run: int, done_pages: int) -> int:
    """Prepare `done_among` for the first pages of a run; how many profiles are on them.

    They are in a temporary table: memory must not grow with them.
    """
    db.execute("CREATE TEMP TABLE IF NOT EXISTS done_profiles (digest BLOB PRIMARY KEY) WITHOUT ROWID")
    db.execute("DELETE FROM done_profiles")
    for (digests,) in db.execute("SELECT digests FROM listed WHERE run = ? AND number <= ?", (run, done_pages)):
        found = (digests[at : at + DIGEST_BYTES] for at in range(0, len(digests), DIGEST_BYTES))
        db.executemany("INSERT OR IGNORE INTO done_profiles VALUES (?)", [(each,) for each in found])
    return int(db.execute("SELECT count(*) FROM done_profiles").fetchone()[0])


def done_among(db: Connection, digests: Iterable[bytes]) -> set[bytes]:
    """Those of these digests whose profiles are done."""
    query = "SELECT EXISTS (SELECT 1 FROM done_profiles WHERE digest = ?)"
    return {each for each in digests if db.execute(query, (each,)).fetchone()[0]}
