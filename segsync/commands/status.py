"""`status`: the runs of a ledger, how far each came, the outcomes of its profiles, and the next step."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct
from rich import box
from rich.table import Table
from rich.text import Text

from segsync.commands.next_steps import next_step_of_ledger
from segsync.formatting import printable
from segsync.ledger import rejections as entries_rejections
from segsync.ledger import runs as accounts
from segsync.ledger.database import reading
from segsync.ledger.file import is_in_use
from segsync.ledger.runs import Run
from segsync.models import Outcomes
from segsync.runtime import standard_output, to_standard_output

FORMAT = 2
"""The format of the JSON that `--json` prints: raised when a field changes its meaning or goes."""

REASONS_SHOWN = 10

EARLIER_SHOWN = 5


class RunStatus(Struct, frozen=True):
    """One import. `state` is "running", "done", "limited" (by `--limit`), "interrupted", "stopped" or "killed".

    `offset` is where it would resume, None at the end of the space; `outcomes` are those of the profiles up to there,
    and `open_upserts` the bulk upserts whose result is not read yet. Times are UTC.
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


class RejectionReason(Struct, frozen=True):
    """How many profiles were rejected at a stage for the same reason, but for ids and numbers in it."""

    stage: str
    reason: str
    profiles: int


class Status(Struct, frozen=True):
    """A ledger: its runs, the latest first, and the reasons for which profiles are rejected now.

    `next_step` says in words what to do next, `next_command` is the command for it, None where there is none.
    """

    format: int
    ledger: str
    runs: list[RunStatus]
    rejections: list[RejectionReason]
    next_step: str
    next_command: str | None


def read_status(path: Path) -> Status:
    """The status of the ledger at `path`, even while an import writes it. Raises `LedgerError`."""
    is_running = is_in_use(path)
    with reading(path) as db:
        runs = [_status_of(run, is_running=is_running and number == 0) for number, run in enumerate(accounts.runs(db))]
        since = accounts.first_current_run(db)
        reasons = entries_rejections.groups(db, [run.id for run in runs if run.id >= since], each_once=True)[
            :REASONS_SHOWN
        ]
        step = next_step_of_ledger(
            runs[0].state if runs else None, has_open_ends=accounts.has_open_ends(db), has_rejections=bool(reasons)
        )
        return Status(
            format=FORMAT,
            ledger=str(path),
            runs=runs,
            rejections=[RejectionReason(group.stage, group.reason, group.profiles) for group in reasons],
            next_step=step.words,
            next_command=step.command,
        )


def say_status(path: Path, *, as_json: bool) -> None:
    """Print the status of a ledger, for people or for machines. Raises `LedgerError` and `OutputError`."""
    status = read_status(path)
    if as_json:
        to_standard_output(msgspec.json.format(msgspec.json.encode(status)) + b"\n")
        return
    with standard_output() as console:
        console.print(Text(printable(f"Ledger {status.ledger}"), style="bold"))
        for run in status.runs[:1]:
            console.print(_latest(run))
        if status.rejections:
            console.print(_rejections(status.rejections))
        for run in status.runs[1 : 1 + EARLIER_SHOWN]:
            console.print(_earlier(run), soft_wrap=True)
        console.print(Text(status.next_step), soft_wrap=True)
        if status.next_command:
            console.print(Text(f"  {status.next_command}", style="bold"), soft_wrap=True)


def _status_of(run: Run, *, is_running: bool) -> RunStatus:
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
    )


def _latest(run: RunStatus) -> Table:
    outcomes = run.outcomes
    are_open = f"result not read, {run.open_upserts:,} bulk upserts open" if outcomes.sent else ""
    table = Table(box=box.SIMPLE, show_header=False, title=f"Run {run.id}: {_state(run)}", title_justify="left")
    table.add_column()
    table.add_column(justify="right")
    table.add_column(style="dim", overflow="fold")
    table.add_row("Profiles", f"{run.profiles:,}", _until(run))
    table.add_row("  Customers confirmed", f"{outcomes.confirmed:,}", "written by Voucherify")
    table.add_row("  Customers sent", f"{outcomes.sent:,}", are_open)
    table.add_row("  Without identifier", f"{outcomes.without_identifier:,}", "")
    table.add_row("  Rejected", f"{outcomes.rejected:,}", "")
    table.add_row("  Pending", f"{outcomes.pending:,}", "their bulk upsert failed" if outcomes.pending else "")
    table.add_row("Source", "", Text(printable(run.source)))
    table.add_row("Started", "", f"{_minute(run.began_at)} UTC")
    table.add_row("Ended", "", f"{_minute(run.ended_at)} UTC" if run.ended_at else "")
    if run.error:
        table.add_row("Error", "", Text(printable(run.error)))
    return table


def _state(run: RunStatus) -> str:
    return {"limited": "completed (--limit)", "killed": "crashed or was killed"}.get(run.state, run.state)


def _until(run: RunStatus) -> Text:
    """The offset as it is: brackets in a cursor are not markup."""
    return Text("all of them" if run.offset is None else f"up to offset {printable(run.offset)}")


def _earlier(run: RunStatus) -> Text:
    outcomes = run.outcomes
    return Text(
        f"Run {run.id} of {_minute(run.began_at)} from offset {printable(run.first_offset)}: {_state(run)}, "
        f"{run.profiles:,} profiles, {outcomes.confirmed:,} confirmed, {outcomes.sent:,} sent, "
        f"{outcomes.without_identifier:,} without identifier, {outcomes.rejected:,} rejected"
    )


def _minute(time: str) -> str:
    return time[:16].replace("T", " ")


def _rejections(reasons: list[RejectionReason]) -> Table:
    table = Table(box=box.SIMPLE, title="Rejected", title_justify="left", title_style="bold")
    table.add_column("Profiles", justify="right")
    table.add_column("Stage")
    table.add_column("Reason", overflow="fold")
    for reason in reasons:
        table.add_row(f"{reason.profiles:,}", reason.stage, Text(printable(reason.reason)))
    return table
