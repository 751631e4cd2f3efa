"""A whole import against hostile services, and what must be true of it."""

from __future__ import annotations

import asyncio
import csv
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from aiohttp import web

from segsync import run_import
from segsync.commands.status import read_status
from segsync.events import BatchSent, ProfileRejected, ProfileWithoutIdentifier, ResultUnknown
from segsync.models import Outcomes
from segsync.report.import_report import ImportReport
from segsync.report.profile_lists import REJECTED, WARNINGS, WITHOUT_IDENTIFIER
from tests.support.hostile import CREDENTIALS, Hostile
from tests.support.scripted import Answer, Events, answer

PERSONAL = "ada.lovelace@example.com"
MOST_CHARACTERS = 400
"""Of one clear sentence."""

LISTING, IDS, TRAITS = r"profiles\?limit", "segment_id:use_1/external_ids", "segment_id:use_1/traits"
UPSERT, RESULT, REPORT = "^POST", r"^GET /v1/async-actions/", r"^GET /reports/"

Fields: TypeAlias = dict[str, Any]
DEEP = b"[" * 100_000 + b"]" * 100_000
NOT_DOCUMENTED = "not what its API documents"

SEGMENT_IDS = [
    *("a/b", "../..", "..", ".", "a\nb", "a\r\nb", "a\tb", 'a"b', "a'b", "a,b", "a;b", "a%2fb", "%", "%00", "%zz"),
    *(
        "?x=1",
        "#f",
        "a&b=c",
        "a+b",
        "a b",
        " ",
        "\\",
        "\\n",
        "zoë",
        "李小龍",
        "😀",
        "\u2028",
        "\x85",
        "\ufeffa",
        "a\u202eb",
    ),
    *("\x1b[31mred", "\x1b]0;pwned\x07", "\x00", "a\x00b", "=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1", '"=1+1"'),
    *("segment_id:x", ":", "x" * 2000, "é" * 1000, "[red]a[/red]"),
]


@dataclass(frozen=True)
class Imported:
    """A run that has ended, and what it left."""

    hostile: Hostile
    directory: Path
    report: ImportReport
    events: Events

    @property
    def error(self) -> str:
        return str(self.report.error or "")

    @property
    def upserts(self) -> int:
        return sum(call.startswith("POST") for call in self.hostile.calls)

    def rows(self, name: str) -> list[list[str]]:
        """The rows of a CSV file, as a spreadsheet reads it."""
        path = self.directory / name
        if not path.exists():
            return []
        limit = csv.field_size_limit(sys.maxsize)  # for the whole process: the program cannot rely on it
        try:
            with path.open(encoding="utf-8", newline="") as file:
                return list(csv.reader(file, strict=True))
        finally:
            csv.field_size_limit(limit)

    def lines(self, name: str) -> list[str]:
        path = self.directory / name
        return path.read_bytes().decode().split("\n")[:-1] if path.exists() else []

    def reasons(self) -> dict[str, str]:
        return {each.rejection.segment_id: each.rejection.reason for each in self.events.of(ProfileRejected)}


async def imported(
    hostile: Hostile, directory: Path, *, resume: bool = False, retry: bool = False, **changed: Any
) -> Imported:
    """Run an import in a separate task, with little patience unless the settings are `changed`."""
    events = Events()
    settings = hostile.settings(**{"confirm_seconds": 0.5, "retry_seconds": 0.05, **changed})
    running = run_import(
        settings,
        directory=directory,
        ledger=directory / "segsync.db",
        resume=resume,
        retry_rejected=retry,
        on_event=events.append,
    )
    return Imported(hostile, directory, await asyncio.create_task(running), events)


def assert_nobody_is_lost(run: Imported) -> None:
    """The run is done, each profile has one outcome, and the report, the files and the ledger agree."""
    assert run.report.state == "done", run.error
    sent = {each.segment_id for event in run.events.of(BatchSent) for each in event.profiles}
    without = [event.segment_id for event in run.events.of(ProfileWithoutIdentifier)]
    rejections = [event.rejection for event in run.events.of(ProfileRejected)]
    rejected = [rejection.segment_id for rejection in rejections]
    unknown = [event.segment_id for event in run.events.of(ResultUnknown)]
    confirmed = sent - set(rejected) - set(unknown)
    assert sorted([*confirmed, *without, *rejected, *unknown]) == sorted(run.hostile.profiles)
    expected = Outcomes(
        confirmed=len(confirmed), without_identifier=len(without), rejected=len(rejected), unknown=len(unknown)
    )
    assert run.report.outcomes == expected
    assert read_status(run.directory / "segsync.db").runs[0].outcomes == expected
    assert {str(run.hostile.profiles[each].source_id) for each in confirmed} <= set(run.hostile.source_ids)

    rows = run.rows(REJECTED)
    assert rows[:1] == ([["segment_id", "source_id", "stage", "reason", "request_id"]] if rejected else [])
    assert len(rows[1:]) == len(run.lines(REJECTED)[1:]) == len(rejected), "a line each"
    assert len(run.lines(WITHOUT_IDENTIFIER)) == len(without)
    for name in (REJECTED, WARNINGS):
        for cell in (cell for row in run.rows(name) for cell in row):
            assert cell.isprintable()
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    for rejection in rejections:
        assert_is_a_sentence(rejection.reason)


def assert_is_a_sentence(text: str) -> None:
    """One that a user can do something with."""
    assert text
    assert text.isprintable()
    assert len(text) <= MOST_CHARACTERS
    assert "This is a defect" not in text
    assert PERSONAL not in text
    assert not [secret for secret in CREDENTIALS if secret in text]


async def assert_it_can_go_on(run: Imported) -> None:
    """The run stopped with a sentence, and when the services behave again, a resume brings everybody."""
    assert run.report.state == "stopped"
    assert_is_a_sentence(run.error)
    outcomes = run.report.outcomes
    assert min(outcomes.confirmed, outcomes.sent, outcomes.without_identifier, outcomes.rejected, outcomes.pending) >= 0
    run.hostile.behave()
    resumed = await imported(run.hostile, run.directory, resume=True)
    assert resumed.report.state == "done", resumed.error
    assert resumed.report.outcomes == Outcomes(confirmed=len(run.hostile.profiles))
    wanted = {str(profile.source_id) for profile in run.hostile.profiles.values()}
    assert wanted == set(run.hostile.source_ids)


async def assert_a_clear_outcome(run: Imported) -> None:
    """Either nobody is lost, or the run stopped and can go on."""
    if run.report.state == "done":
        assert_nobody_is_lost(run)
    else:
        await assert_it_can_go_on(run)


def refusing_one(hostile: Hostile, *reports: str) -> Answer:
    """The result of a bulk upsert in which user-1 was refused, if it is in it: only the reports name it."""

    async def respond(request: web.Request) -> web.StreamResponse:
        action_id = request.path.rpartition("/")[2]
        customers = hostile.customers_of(action_id)
        failed = sum(customer["source_id"] == "user-1" for customer in customers)
        result = {"done_count": len(customers) - failed, "failed_count": failed, "reports": reports, "errors": []}
        operation = "FAILED" if failed else "SUCCESS"
        fields = {"id": action_id, "status": "DONE", "operation_status": operation, "result": result}
        return await answer(fields)(request)

    return respond


def assert_it_was_found_without_a_name(run: Imported) -> None:
    """The customers were sent again in halves, until the one that was refused stood alone."""
    assert_nobody_is_lost(run)
    assert list(run.reasons()) == ["use_1"]
    assert re.search("does not say why|gives no reason", run.reasons()["use_1"])
    assert run.upserts > 2
