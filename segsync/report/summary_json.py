"""`--summary-json`: the report of an import for programs. An `ImportReport` as JSON, with what follows from it.

======================================  =====================================================================
field                                   what it is
======================================  =====================================================================
`format`                                2; raised when a field changes its meaning or goes
`segsync`                               the version that wrote this
`state`                                 "done", "interrupted" (Ctrl-C, SIGTERM) or "stopped" (by `error`)
`exit_code`                             the exit code of the process
`error`                                 null, or `kind` (a class of `segsync.errors`), `message` and, of a call
                                        that failed, `service`, `status`, `request_id`
`profiles`                              listed, those of earlier processes of the same import included; they are
                                        the sum of `outcomes`
`outcomes`                              `confirmed`, `sent` (accepted, result not read), `without_identifier`,
                                        `rejected`, `pending`
`before`                                the share of `outcomes` that earlier processes of the same import had
`checkpointed`                          the outcomes of the profiles before `resume_offset`, each as it was when
                                        its page was done: results that came later are in `outcomes` alone
`is_confirmed`                          whether results were read: false with `--no-confirm`
`is_dry_run`                            with `--dry-run`: `sent` is what would be sent
`offset`                                where this process began to list
`resume_offset`                         where the next one goes on; null where nothing is left to list
`next_command`                          the command that does what is left, null where nothing is
`began_at`, `ended_at`                  of this process, UTC; of the last run where this one had nothing to do
`seconds`                               the time that this process took; 0 where it had nothing to do
`seconds_per_100_profiles`,             of this process, null where there were none
`seconds_per_100_customers`
`calls`                                 by service: `calls`, `retries` (of these), `rate_limited` (answered 429)
`warnings`                              by trait: how often it was left out of a customer
`throughput`                            `profiles` read from Segment in each stretch of `bucket_seconds`
`rejections`                            rejected profiles by `stage` and `reason`, the most frequent first:
                                        `profiles` is how many, `segment_ids` names the first with `--report-ids`
======================================  =====================================================================

Every file has all of these fields; a later format may add some.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from segsync.__about__ import __version__
from segsync.errors import CallError, SegsyncError
from segsync.report.import_report import ImportReport

FORMAT: Final = 2


def encode(report: ImportReport, *, exit_code: int, next_command: str | None) -> bytes:
    """The JSON, indented, with a line break at its end."""
    fields: dict[str, Any] = msgspec.to_builtins(report, enc_hook=_error_fields)
    document = {
        "format": FORMAT,
        "segsync": __version__,
        "state": report.state,
        "exit_code": exit_code,
        "error": None,
        "profiles": report.outcomes.profiles,
        **fields,
        "seconds_per_100_profiles": report.seconds_per_100_profiles,
        "seconds_per_100_customers": report.seconds_per_100_customers,
        "next_command": next_command,
    }
    return msgspec.json.format(msgspec.json.encode(document)) + b"\n"


def _error_fields(error: object) -> dict[str, Any]:
    """An error as JSON has it."""
    if isinstance(error, CallError):
        call = {"service": error.service, "status": error.status, "request_id": error.request_id}
        known = {name: value for name, value in call.items() if value is not None}
        return {"kind": type(error).__name__, "message": error.message, **known}
    if isinstance(error, SegsyncError):
        return {"kind": type(error).__name__, "message": str(error)}
    raise NotImplementedError(f"{type(error).__name__} in a report")
