"""What can go wrong, sorted by how one recovers from it.

========================  ===================================================================
class                     way out
========================  ===================================================================
`SettingsError`           change a setting, start again
`AccessError`             change a credential or the space id, then resume
`QuotaError`              wait for the plan's next cycle or raise the plan, then resume
`TransientError`          retry the same call; the client does, until its time is up
`RefusedError`            this payload or profile will never pass; others may
`MappingError`            this profile cannot become a customer as it is; others may
`StopError`               look into the reason that it gives, then resume
`OutputError`             make room or a place for the files, then resume
`LedgerError`             use another ledger, or wait for the run that uses this one
`AnswerError`             the service does not speak the API that segsync knows
========================  ===================================================================

Nothing in a message is personal or secret: no header, no query string, no request or answer body.
"""

from __future__ import annotations

import os
import shlex
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar


def how_to_install(extra: str) -> str:
    """The command that adds an extra to the segsync that runs: with another environment's pip it would be lost.

    The interpreter's path is normalised, but its links are not followed: they would lead out of the environment.
    """
    return shlex.join([os.path.normpath(sys.executable), "-m", "pip", "install", f"segsync[{extra}]"])


def defect(error: Exception) -> StopError:
    """The error for an exception that nobody expected. It names kind and place alone: the text may quote a customer."""
    places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)[-3:]]
    return StopError(
        f"unexpected {type(error).__name__} at {' > '.join(places)}. This is a defect: please report it with this line"
    )


class SegsyncError(Exception):
    """Root of everything that segsync raises on purpose."""


class SettingsError(SegsyncError):
    """One or more settings are missing or not allowed.

    `problems` holds one sentence per problem, each naming its variable or flag.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class MappingError(SegsyncError):
    """The settings reject a profile. The message names what is wrong with it, and no value of it."""


class StopError(SegsyncError):
    """The import stopped for a reason that is not one service's answer alone."""


class OutputError(SegsyncError):
    """A file that the import writes, its ledger or standard output could not be written."""


class LedgerError(SegsyncError):
    """The ledger cannot be used: not made, not a ledger, damaged, in use, or of a newer segsync or another project."""


class CallError(SegsyncError):
    """A call to one of the two services failed.

    `service` is "Segment" or "Voucherify". `status` is the HTTP status, None when no answer came. `request_id` is the
    id that the service's support asks for, where the service gave one.
    """

    def __init__(self, message: str, *, service: str, status: int | None = None, request_id: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.service = service
        self.status = status
        self.request_id = request_id

    def __str__(self) -> str:
        return f"{self.message} [request id {self.request_id}]" if self.request_id else self.message


class AccessError(CallError):
    """A credential was refused, or what a setting or `--offset` names does not exist."""


class QuotaError(CallError):
    """The plan's calls are used up: a retry in some minutes will not help."""


class TransientError(CallError):
    """A failure worth a retry: a rate limit, a 5xx, a cut connection, a time-out.

    `retry_after_seconds` is how long the service asked to wait, None where it did not ask. When it is raised to a
    caller the tries have run out. `others_succeed` is whether the same service answered other calls between the last
    tries: then this call is broken, not the service.
    """

    def __init__(
        self,
        message: str,
        *,
        service: str,
        status: int | None = None,
        request_id: str | None = None,
        retry_after_seconds: float | None = None,
        others_succeed: bool = False,
    ) -> None:
        super().__init__(message, service=service, status=status, request_id=request_id)
        self.retry_after_seconds = retry_after_seconds
        self.others_succeed = others_succeed


class RefusedError(CallError):
    """The service answered 4xx: it understood the call, and would answer the same again."""


class AnswerError(CallError):
    """An answer that is not what the API documents: HTML, cut JSON, a field of another type, a cursor that repeats."""


E = TypeVar("E", bound=BaseException)


def first_of(errors: BaseExceptionGroup[E]) -> E:
    """The error that came first: the others follow from it."""
    error = errors.exceptions[0]
    return first_of(error) if isinstance(error, BaseExceptionGroup) else error
