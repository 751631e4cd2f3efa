"""`status`: the runs of a ledger, how far each came, the outcomes of its profiles, and the next step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from sqlite3 import Connection
from typing import Final

from msgspec import Struct
from msgspec.structs import asdict
from rich.table import Column, Table
from rich.text import Text

from segsync.commands import next_steps
from segsync.commands.ledger_steps import of_ledger, read_left
from segsync.commands.output import LABELS, NOTES, add_warnings, outcome_table, plain_table, print_json, print_outcomes
from segsync.errors import OutputError, with_code
from segsync.formatting import counted, minute, printable
from segsync.ledger import profiles, rejections, runs
from segsync.ledger.database import reading
from segsync.ledger.sqlite_file import is_in_use
from segsync.models import NextStep, Outcomes, by_trait
from segsync.options import Invocation, from_here, ids_in_words
from segsync.report.list_writer import ProfileLists
from segsync.report.profile_lists import DUPLICATES, REJECTED, WARNINGS, WITHOUT_IDENTIFIER, list_path
from segsync.runtime import QuietConsole, standard_output

FORMAT = 3
"""The format of the JSON that `--json` prints: raised when a field changes its meaning or goes."""

REASONS_SHOWN, EARLIER_SHOWN = 10, 5

SHORT: Final = {
    "confirmed": "confirmed",
    "sent": "sent",
    "without_identifier": "without identifier",
    "duplicate": "with a duplicate identifier",
    "rejected": "rejected",
    "unknown": "with an unknown result",
    "pending": "pending",
}
"""The outcomes in the line of an earlier run."""


class RunStatus(Struct, frozen=True):
    """One import. `state` is "running", "done", "limited" (by `--limit`), "interrupted", "stopped" or "killed".

    `offset` is where it would resume, None at the end of the space. `outcomes` add up to `profiles`. Those of a run
    that ended early are as it reported them, beyond `offset` too.
    `open_upserts` are the bulk upserts whose result is not read yet. Times are UTC.
    `ids_from` is the file of `--ids`, None for an import of the space; its run is never resumed, so `offset` is None
    then.
    """

    id: int
    state: str
    began_at: str
    ended_at: str | None
    source: str
    first_offset: str
    offset: str | None
    profiles: int
    outcomes: Outcomes
    open_upserts: int
    error: str | None
    ids_from: str | None = None


class RejectionReason(Struct, frozen=True):
    """How many profiles were rejected at a stage for the same reason, but for ids and numbers in it."""

    stage: str
    reason: str
    profiles: int
    code: str | None = None


class Status(Struct, frozen=True):
    """A ledger: its runs, the latest first, and the reasons for which profiles are rejected, or results unknown, now.

    `lists` is the folder of its lists of profiles. `warnings` counts by trait what `warned_profiles` were sent without.
    `next_step` says in words what to do next, `next_command` is the command for it, None where there is none. They are
    the first of `steps`.
    """

    format: int
    ledger: str
    lists: str
    runs: list[RunStatus]
    rejections: list[RejectionReason]
    unknown: list[RejectionReason]
    warnings: Mapping[str, int]
    warned_profiles: int
    next_step: str
    next_command: str | None
    steps: list[NextStep]


def read_status(path: Path, command: Invocation | None = None) -> Status:
    """The status of the ledger at `path`, even while an import writes it. Raises `LedgerError`.

    `command` is how segsync is called for this ledger. The next command repeats that, and the flags of the last run.
    """
    command = command or Invocation(["segsync"], {"--ledger": ["--ledger", str(path)]})
    is_running = is_in_use(path)
    with reading(path) as db:
        found = runs.runs(db)
        live = next((run.id for run in found if run.state == "running"), None) if is_running else None
        shown = [_status_of(run, path, is_running=run.id == live) for run in found]
        rejected, unknown = (_reasons(db, kind) for kind in (rejections.IS_REJECTED, rejections.IS_UNKNOWN))
        warnings = profiles.count_warnings(db)
        left = read_left(db, command, path, live=live)
    steps = of_ledger(left, rejected_at={reason.stage for reason in rejected}, has_unknown=bool(unknown))
    return Status(
        format=FORMAT,
        ledger=str(path),
        lists=str(_lists(path, left.command)),
        runs=shown,
        rejections=rejected,
        unknown=unknown,
        warnings=by_trait(warnings.problems),
        warned_profiles=warnings.profiles,
        next_step=steps[0].words,
        next_command=steps[0].command,
        steps=steps,
    )


def _lists(path: Path, command: Invocation) -> Path:
    """Where the lists go: into the folder that was named now or when the last run began, or beside the ledger."""
    named = command.flags.get("--directory")
    return Path(named[-1]) if named else path.parent


def print_status(path: Path, *, as_json: bool, command: Invocation | None = None, writes_lists: bool = False) -> None:
    """Print the status of a ledger, for people or for machines, and write its lists of profiles, if that is wanted.

    Raises `LedgerError`, and `OutputError` where a list or standard output cannot be written.
    """
    status = read_status(path, command)
    if as_json:
        print_json(status)
    else:
        _print(status)
    problems = write_lists(path, Path(status.lists)) if writes_lists else ()  # which may take a minute
    if problems:
        message = f"{'. '.join(problems)}. Nothing is lost: the lists come from the ledger. Fix this, and try again"
        raise OutputError(message, code="list-unwritable")


def write_lists(path: Path, directory: Path) -> Sequence[str]:
    """Write the lists of profiles of the ledger at `path`; a sentence for each that cannot be written.

    A warning on standard error names what was in the place of a list and is kept under another name.
    """
    with closing(ProfileLists(directory, path)) as lists:
        problems = lists.write_from(partial(reading, path))
        for note in lists.notes:
            QuietConsole(stderr=True).print(Text(printable(f"Warning: {note}")), soft_wrap=True)
        return problems


def _print(status: Status) -> None:
    with standard_output() as console:
        console.print(Text(printable(f"Ledger {status.ledger}"), style="bold"))
        for run in status.runs[:1]:
            print_outcomes(console, _latest(run, status))
        if status.rejections:
            console.print(_reason_table("Rejected", status.rejections))
        if status.unknown:
            console.print(_reason_table("Result unknown", status.unknown))
        for run in status.runs[1 : 1 + EARLIER_SHOWN]:
            console.print(_earlier(run), soft_wrap=True)
        for line in (line for step in status.steps for line in next_steps.step_lines(step)):
            console.print(line, soft_wrap=True)


def _status_of(run: runs.Run, ledger: Path, *, is_running: bool) -> RunStatus:
    return RunStatus(
        id=run.id,
        state="killed" if run.state == "running" and not is_running else run.state,
        began_at=run.began_at,
        ended_at=run.ended_at,
        source=f"{run.source.name} {run.source.identity}",
        first_offset=run.first_offset,
        offset=run.offset,
        profiles=run.outcomes.profiles,
        outcomes=run.outcomes,
        open_upserts=run.open_upserts,
        error=run.error,
        ids_from=run.ids_from and from_here(run.ids_from, ledger),
    )


def _latest(run: RunStatus, status: Status) -> Table:
    notes = NOTES | {
        "confirmed": "written by Voucherify",
        "sent": f"result not read, {counted(run.open_upserts, 'bulk upsert')} open",
        "profiles": "all listed" if run.offset is None else Text(f"done up to offset {printable(run.offset)}"),
        "pending": "a resume imports them" if run.ids_from is None else "not done",
    }
    names = {"without_identifier": WITHOUT_IDENTIFIER, "duplicate": DUPLICATES, "rejected": REJECTED}
    notes |= {outcome: Text(_list(name, status)) for outcome, name in names.items()}
    if run.ids_from is not None:
        notes["profiles"] = "given, and known to Segment" if run.state == "done" else "given"
    table = outcome_table(f"Run {run.id}{_of_ids(run)}: {_state(run)}", run.outcomes, LABELS, notes)
    add_warnings(table, status.warnings, status.warned_profiles, _list(WARNINGS, status))
    table.add_row("Source", "", Text(printable(run.source)))
    table.add_row("Started", "", f"{minute(run.began_at)} UTC")
    table.add_row("Ended", "", f"{minute(run.ended_at)} UTC" if run.ended_at else "")
    if run.error:
        table.add_row("Error", "", Text(printable(run.error)))
    return table


def _list(name: str, status: Status) -> str:
    return printable(str(list_path(name, Path(status.lists), Path(status.ledger))))


def _of_ids(run: RunStatus) -> str:
    return "" if run.ids_from is None else f" of the ids in {printable(ids_in_words(run.ids_from) or 'a program')}"


def _state(run: RunStatus) -> str:
    return {"limited": "completed (--limit)", "killed": "crashed or was killed"}.get(run.state, run.state)


def _earlier(run: RunStatus) -> Text:
    where = f" from offset {printable(run.first_offset)}" if run.ids_from is None else _of_ids(run)
    counts = [f"{count:,} {SHORT[name]}" for name, count in asdict(run.outcomes).items() if count]
    what = ", ".join([_state(run), counted(run.profiles, "profile"), *counts])
    return Text(f"Run {run.id} of {minute(run.began_at)}{where}: {what}")


def _reasons(db: Connection, kind: str) -> list[RejectionReason]:
    groups = rejections.groups(db, None, kind)[:REASONS_SHOWN]
    return [RejectionReason(group.stage, group.reason, group.profiles, group.code) for group in groups]


def _reason_table(title: str, reasons: list[RejectionReason]) -> Table:
    columns = Column("Profiles", justify="right"), Column("Stage"), Column("Reason", overflow="fold")
    table = plain_table(title, *columns)
    for reason in reasons:
        table.add_row(f"{reason.profiles:,}", reason.stage, Text(printable(with_code(reason.reason, reason.code))))
    return table
