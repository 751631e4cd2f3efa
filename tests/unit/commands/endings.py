"""Reports of runs that ended in every way, and what a terminal shows of each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rich.text import Text

from segsync.cli.flags import EXCLUSIVE, OF_ONE_RUN
from segsync.commands import next_steps
from segsync.commands.next_steps import conclusion
from segsync.errors import AccessError, SegsyncError, StopError
from segsync.models import Outcomes
from segsync.options import ImportOptions, Invocation
from segsync.report.import_report import EndState, ImportReport
from segsync.settings import Settings

ENOUGH = StopError("enough")
REFUSED = AccessError("Segment answered 401", service="Segment", status=401)


def called(*flags: str) -> Invocation:
    """`python -m segsync`, with these flags and their values."""
    given: dict[str, list[str]] = {}
    for word in flags:
        if word.startswith("--"):
            given[word] = []
        given[[*given][-1]].append(word)
    return Invocation(["python", "-m", "segsync"], given, OF_ONE_RUN, EXCLUSIVE)


REQUEST = ImportOptions(
    settings=Settings(
        segment_access_token="token",
        segment_space_id="spa_1",
        voucherify_application_id="id",
        voucherify_secret_key="key",
        identifier_saved_as_source_id="email",
    ),
    ledger=Path("my ledger.db"),
    offset=None,
    limit=None,
    mode="quiet",
    verbose=False,
    may_ask=False,
    command=called("--ledger", "my ledger.db"),
)
FLAGS = "--ledger 'my ledger.db'"
RETRY = replace(REQUEST, retry_rejected=True)
IDS = replace(REQUEST, ids=Path("my ids.csv"), command=called("--ids", "my ids.csv", "--ledger", "my ledger.db"))
AT_A_TERMINAL = replace(REQUEST, may_ask=True)
SANDBOX = replace(REQUEST, is_sandbox=True, command=called("--sandbox", "--quiet"))


def ended(
    state: EndState,
    outcomes: Outcomes,
    *,
    error: SegsyncError | None = None,
    offset: str | None = "0",
    resume_offset: str | None = None,
    checkpointed: Outcomes | None = None,
    is_confirmed: bool = True,
    unknown_ids: int | None = None,
) -> ImportReport:
    return ImportReport(
        state=state,
        error=error,
        outcomes=outcomes,
        before=Outcomes(),
        checkpointed=outcomes if checkpointed is None else checkpointed,
        is_confirmed=is_confirmed,
        offset=offset,
        resume_offset=resume_offset,
        seconds=1.0,
        calls={},
        warnings={},
        rejected_now=outcomes.rejected,
        unknown_now=outcomes.unknown,
        unknown_ids=unknown_ids,
    )


def shown(report: ImportReport, options: ImportOptions = REQUEST) -> list[str]:
    lines = conclusion(report, next_steps.of_run(options, report))
    assert all(isinstance(line, Text) for line in lines), "brackets in a cursor are no markup"
    return [line.plain for line in lines]


HALF = ended(
    "stopped",
    Outcomes(confirmed=50, sent=30, pending=20),
    error=ENOUGH,
    resume_offset="50",
    checkpointed=Outcomes(confirmed=50),
)
