"""What can go wrong, sorted by how one recovers from it, each message with a stable code.

Nothing in a message is personal or secret: no header, no query string, no request or answer body.
"""

from __future__ import annotations

import os
import shlex
import sys
import traceback
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Self, TypeVar

LONG_WAIT_SECONDS, SENSELESS_WAIT_SECONDS = 600.0, 366 * 86_400.0
"""A service that asks to wait so long for one profile, when the tries have run out, is to be asked in a later run; one
that asks for more than a year is broken."""


def how_to_install(extra: str) -> str:
    """The command that adds an extra to the segsync that runs: with another environment's pip it would be lost.

    An environment without pip is one that uv made (`uv tool install`). The interpreter's path is normalised, but its
    links are not followed: they would lead out of the environment.
    """
    python = os.path.normpath(sys.executable)
    with_uv = find_spec("pip") is None
    installer = ["uv", "pip", "install", "--python", python] if with_uv else [python, "-m", "pip", "install"]
    return shlex.join([*installer, f"segsync[{extra}]"])


def defect(error: Exception) -> StopError:
    """The error for an exception that nobody expected. It names kind and place alone: the text may quote a customer."""
    places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)[-3:]]
    return StopError(
        f"unexpected {type(error).__name__} at {' > '.join(places)}. This is a defect: please report it with this line",
        code="defect",
    )


def with_code(text: str, code: str | None) -> str:
    """A message as a user reads it: the code, by which the guide's table of messages explains it, is at its end."""
    return f"{text} [{code}]" if code else text


class SegsyncError(Exception):
    """Root of everything that segsync raises on purpose.

    `code` is a short name of the message, such as "ledger-in-use", which stays the same when its words change. It is
    None for an error that a source or a sink of somebody else's raised without one.
    """

    code: str | None = None

    def __init__(self, message: str = "", *, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code or self.code

    @property
    def with_code(self) -> str:
        """The message as a user reads it: "… [ledger-in-use]"."""
        return with_code(str(self), self.code)


class Problem(str):
    """A sentence about one setting or flag, and the `code` of its kind."""

    __slots__ = ("code",)
    code: str | None

    def __new__(cls, sentence: str, *, code: str | None) -> Self:
        problem = super().__new__(cls, sentence)
        problem.code = code
        return problem

    @property
    def with_code(self) -> str:
        """The sentence as a user reads it."""
        return with_code(self, self.code)


class SettingsError(SegsyncError):
    """Settings are missing or not allowed. `problems` has a sentence for each, with its variable or flag: fix these.

    Each has its own code; that of the error is the first one's.
    """

    def __init__(self, problems: Sequence[str], *, code: str | None = None) -> None:
        self.problems = tuple(each if isinstance(each, Problem) else Problem(each, code=code) for each in problems)
        super().__init__("\n".join(self.problems), code=next((each.code for each in self.problems), code))

    @property
    def with_code(self) -> str:
        """Each problem as a user reads it, on a line of its own."""
        return "\n".join(each.with_code for each in self.problems)


class MappingError(SegsyncError):
    """The settings reject this profile; others may pass. The message names what is wrong with it, and no value."""

    code = "metadata-rejected"


class StopError(SegsyncError):
    """The import stopped for a reason that is not one service's answer alone: look into it, then resume."""


class OutputError(SegsyncError):
    """A file, the ledger or standard output could not be written: make room or choose a place, then resume."""


class LedgerError(SegsyncError):
    """The ledger cannot be used: in use, damaged, not a ledger, of another project or a newer segsync. Use another."""


class CallError(SegsyncError):
    """A call to one of the two services failed.

    `service` is the name of its connector, such as "Segment". `status` is the HTTP status, None when no answer came.
    `request_id` is the id that the service's support asks for, where the service gave one. `words` are the service's
    own, not redacted: they may be personal, so they are in no message and no log.
    """

    def __init__(
        self,
        message: str,
        *,
        service: str,
        status: int | None = None,
        request_id: str | None = None,
        code: str | None = None,
        words: str | None = None,
    ) -> None:
        super().__init__(message, code=code)
        self.message = message
        self.service = service
        self.status = status
        self.request_id = request_id
        self.words = words

    def __str__(self) -> str:
        return f"{self.message} [request id {self.request_id}]" if self.request_id else self.message


class AccessError(CallError):
    """A credential was refused, or what a setting or `--offset` names does not exist: change that, then resume."""


class BlockedError(AccessError):
    """A proxy, a firewall or a certificate stands between us and the service: change that, then resume."""


class AccessLostError(CallError):
    """A call was refused for the patience with retries, after the same credentials were accepted: look, then resume."""


class CursorError(AccessError):
    """The first page of a listing is refused for its cursor: it names none, or has expired. A resume lists anew."""


class QuotaError(CallError):
    """The plan's calls are used up: wait for its next cycle or raise the plan, then resume."""

    code = "quota-used-up"


class TransientError(CallError):
    """A failure worth a retry: a rate limit, a 5xx, a cut connection, a time-out. A caller gets it when tries ran out.

    `retry_after_seconds` is how long the service asked to wait, None where it did not ask. `others_succeed` is whether
    the same service answered other calls between the last tries: then this call is broken, not the service.
    `is_garbled` is whether there was an answer that cannot be read: what was asked for may have been done.
    """

    def __init__(
        self,
        message: str,
        *,
        service: str,
        status: int | None = None,
        request_id: str | None = None,
        code: str | None = None,
        retry_after_seconds: float | None = None,
        others_succeed: bool = False,
        is_garbled: bool = False,
        words: str | None = None,
    ) -> None:
        super().__init__(message, service=service, status=status, request_id=request_id, code=code, words=words)
        self.retry_after_seconds = retry_after_seconds
        self.others_succeed = others_succeed
        self.is_garbled = is_garbled

    @property
    def asks_for_later(self) -> bool:
        """Whether the service asked for a wait that is long, and not senselessly so: a later run can honor it."""
        asked = self.retry_after_seconds
        return asked is not None and LONG_WAIT_SECONDS <= asked <= SENSELESS_WAIT_SECONDS


class RefusedError(CallError):
    """The service answered 4xx: this payload or profile will never pass; others may."""


class AnswerError(CallError):
    """An answer that the API does not document: HTML, cut JSON, a field of another type, a cursor that repeats."""


E = TypeVar("E", bound=BaseException)


def first_of(errors: BaseExceptionGroup[E]) -> E:
    """The error that came first: the others follow from it."""
    error = errors.exceptions[0]
    return first_of(error) if isinstance(error, BaseExceptionGroup) else error
