"""`--summary-json`: an `ImportReport` as JSON, with what follows from it. The operator's guide describes each field."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from segsync.__about__ import __version__
from segsync.errors import CallError, SegsyncError
from segsync.report.import_report import ImportReport

FORMAT: Final = 3
"""It is raised when a field changes its meaning or goes; fields may be added."""


def encode(report: ImportReport, *, exit_code: int, next_command: str | None) -> bytes:
    """The JSON, indented, with a line break at its end."""
    fields: dict[str, Any] = msgspec.to_builtins(report, enc_hook=_error_fields)
    document = {
        "format": FORMAT,
        "segsync": __version__,
        "state": report.state,
        "exit_code": exit_code,
        "error": None,
        "error_code": report.error and report.error.code,
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
