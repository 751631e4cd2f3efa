"""`--summary-json`: what an import did, for programs. An `ImportReport` as JSON, and what can be worked out from it.

======================================  =====================================================================
field                                   what it is
======================================  =====================================================================
`format`                                1; raised when a field changes its meaning or goes
`segsync`                               the version that wrote this
`state`                                 "done", "interrupted" (Ctrl-C, SIGTERM) or "stopped" (by `error`)
`exit_code`                             what the shell got
`error`                                 null, or `kind` (a class of `segsync.errors`), `message` and, of a call
                                        that failed, `service`, `status`, `request_id`
`profiles`                              listed, those of earlier processes of the same import included; they are
                                        the sum of `outcomes`
`outcomes`                                 `confirmed`, `sent` (accepted, outcome not read), `without_identifier`,
                                        `rejected`, `pending`
`before`                                the share of `outcomes` that earlier processes of the same import had
`settled`                               the outcomes of what lies before `resume_offset`, as they stood when its
                                        pages settled: before outcomes that came later
`is_confirmed`                          whether outcomes were read: false with `--no-confirm`
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

All of it is there in every file; `decode` gives the `ImportReport` back and ignores what a later format may add.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from segsync import errors
from segsync.__about__ import __version__
from segsync.errors import CallError, SegsyncError, SettingsError
from segsync.report.import_report import ImportReport

FORMAT: Final = 1


class _Said(msgspec.Struct, omit_defaults=True):
    """An error as JSON has it."""

    kind: str
    message: str
    service: str | None = None
    status: int | None = None
    request_id: str | None = None


def encode(report: ImportReport, *, exit_code: int, next_command: str | None) -> bytes:
    """The JSON, indented, with a line break at its end."""
    fields: dict[str, Any] = msgspec.to_builtins(report, enc_hook=_said)
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


def decode(content: bytes) -> ImportReport:
    """The report in a file that `encode` made. Raises `msgspec.DecodeError` for anything else."""
    return msgspec.json.decode(content, type=ImportReport, dec_hook=_error)


def _said(error: object) -> dict[str, Any]:
    if isinstance(error, CallError):
        said = _Said(type(error).__name__, error.message, error.service, error.status, error.request_id)
    elif isinstance(error, SegsyncError):
        said = _Said(type(error).__name__, str(error))
    else:
        raise NotImplementedError(f"{type(error).__name__} in a report")
    fields: dict[str, Any] = msgspec.to_builtins(said)
    return fields


def _error(_type: type, fields: object) -> SegsyncError:
    """The error again, as far as JSON has said it; one that a later segsync may know is a plain `SegsyncError`."""
    said = msgspec.convert(fields, type=_Said)
    kind = getattr(errors, said.kind, None)
    if not isinstance(kind, type) or not issubclass(kind, SegsyncError):
        return SegsyncError(said.message)
    if issubclass(kind, SettingsError):
        return SettingsError(said.message.splitlines())
    if issubclass(kind, CallError):
        return kind(said.message, service=said.service or "", status=said.status, request_id=said.request_id)
    return kind(said.message)
