"""A Segment space, a Voucherify project and a disk, all in memory: for whole imports that are killed at any moment.

Nothing is between them and the import but `run_import`: it gets a source and a sink in memory.
"""

from __future__ import annotations

import asyncio
import shutil
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any
from zlib import crc32

from segsync import ImportReport, Settings, run_import
from segsync.commands.status import RunStatus, read_status
from segsync.connectors.base import UpsertResult
from segsync.events import Event
from segsync.ledger.database import reading
from segsync.ledger.profiles import ProfileOutcome
from segsync.ledger.rejections import unresolved
from segsync.models import Outcomes
from segsync.report.profile_lists import REJECTED
from tests.support.ledgers import SPACE, MemoryVoucherify, done, failed
from tests.support.memory import MemorySource

SETTINGS: Mapping[str, Any] = {
    "segment_access_token": "token",
    "segment_space_id": SPACE,
    "voucherify_application_id": "app-of-the-project",
    "voucherify_secret_key": "key",
    "voucherify_requests_per_minute": 1_000_000,
    "batch_size": 20,
    "concurrency": 8,
}


def smallest(outcomes: Outcomes) -> int:
    smallest_count: int = min(getattr(outcomes, name) for name in Outcomes.__struct_fields__)
    return smallest_count


class World:
    """A Segment space, a Voucherify project and a directory for the ledger and the files."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ledger = directory / "segsync.db"
        self.source = MemorySource(300, page_size=10)
        self.source.seconds = lambda _index: 0.0
        self.voucherify = MemoryVoucherify()
        self.events: list[Event] = []
        self.at_event: Callable[[Event], None] = lambda _event: None

    async def run(self, *, settings: Mapping[str, Any] | None = None, **options: Any) -> ImportReport:
        """Run an import, as a new process would. Its report and the ledger must agree, whatever happens."""
        self.events = []

        def on_event(event: Event) -> None:
            self.events.append(event)
            self.at_event(event)

        async with asyncio.timeout(200):
            report = await run_import(
                Settings(**{**SETTINGS, **(settings or {})}),
                source=self.source,
                sink=self.voucherify,
                ledger=self.ledger,
                on_event=on_event,
                directory=self.directory,
                **options,
            )
        status = read_status(self.ledger)
        recorded = status.runs
        assert (report.warnings, report.warned_profiles) == (status.warnings, status.warned_profiles)
        assert (report.rejected_now, report.unknown_now) == tuple(
            sum(reason.profiles for reason in reasons) for reasons in (status.rejections, status.unknown)
        )
        assert self.rejected_in_file() == self.rejected_now()
        for outcomes in (report.outcomes, *(run.outcomes for run in recorded)):
            assert smallest(outcomes) >= 0
        if options.get("retry_rejected"):  # a retry may cover several runs
            return report
        state = "limited" if report.state == "done" and report.resume_offset else report.state
        assert (state, report.outcomes) in [(run.state, run.outcomes) for run in recorded]
        if report.state == "done":
            assert report.outcomes.pending == 0
        return report

    async def run_killed(self, event: int, seed: str, *, kind: type = object, **options: Any) -> bool:
        """Kill the run at this event of its kind, and return whether it got there.

        The ledger is then as it was at that moment.
        """
        killed = self.directory.parent / f"killed-{seed}"
        left = event

        def count(event: Event) -> None:
            nonlocal left
            left -= isinstance(event, kind)
            if left == 0 and not killed.exists():
                killed.mkdir()
                for name in ("segsync.db", "segsync.db-wal"):
                    if (self.directory / name).exists():
                        shutil.copyfile(self.directory / name, killed / name)
                for path in self.directory.glob("*profiles*"):
                    shutil.copyfile(path, killed / path.name)
                running.cancel()

        self.at_event = count
        running = asyncio.ensure_future(self.run(**options))
        await asyncio.wait({running})
        self.at_event = lambda _event: None
        if not killed.exists():
            running.result()
            return False
        self.directory, self.ledger = killed, killed / "segsync.db"
        return True

    def status(self, run: int = 0) -> RunStatus:
        """The status of a run, counted from the newest one."""
        return read_status(self.ledger).runs[run]

    def rejected(self) -> dict[str, str]:
        """The dead letters of the ledger, and the stage of each."""
        with reading(self.ledger) as db:
            return dict(db.execute("SELECT segment_id, stage FROM rejections").fetchall())

    def rows(self) -> dict[ProfileOutcome, set[str]]:
        """The profiles that the ledger has a row of, by outcome."""
        found: defaultdict[ProfileOutcome, set[str]] = defaultdict(set)
        with reading(self.ledger) as db:
            for segment_id, outcome in db.execute("SELECT segment_id, outcome FROM profiles"):
                found[ProfileOutcome(outcome)].add(segment_id)
        return found

    def rejected_now(self) -> set[str]:
        """The segment ids that are rejected now, whichever run they are from."""
        with reading(self.ledger) as db:
            return {letter.segment_id for letter in unresolved(db)}

    def rejected_in_file(self) -> set[str]:
        path = self.directory / REJECTED
        return {line.split(",")[0] for line in path.read_text().splitlines()[1:]} if path.exists() else set()

    def count(self, kind: type[Event]) -> int:
        return sum(isinstance(event, kind) for event in self.events)


def users(*numbers: int) -> set[str]:
    return {f"user-{number}" for number in numbers}


def poison(*numbers: int) -> Callable[[list[str]], UpsertResult]:
    """Upserts in which Voucherify refuses these users."""
    bad = users(*numbers)
    return lambda source_ids: done(len(source_ids), [each for each in source_ids if each in bad])


class Fragile:
    """Fails every third upsert whose customers have not been in one that failed; refuses the `bad` users.

    The result of every other upsert does not name whom it refused.
    """

    def __init__(self, *bad: int, seed: int = 0) -> None:
        self.verdict = poison(*bad)
        self.random = Random(seed)
        self.have_failed: set[str] = set()

    def __call__(self, source_ids: list[str]) -> UpsertResult:
        if self.random.random() < 0.33 and not self.have_failed & set(source_ids):
            self.have_failed |= set(source_ids)
            return failed()
        return self.verdict(source_ids)

    def names_refused(self, action_id: str) -> bool:
        return crc32(action_id.encode()) % 2 == 0
