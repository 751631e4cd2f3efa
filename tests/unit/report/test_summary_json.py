"""The summary for programs: complete, versioned, documented, and the same object as the report."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from segsync.errors import (
    AccessError,
    AnswerError,
    CallError,
    LedgerError,
    OutputError,
    QuotaError,
    RefusedError,
    SegsyncError,
    SettingsError,
    StopError,
    TransientError,
)
from segsync.models import Outcomes, RejectionGroup
from segsync.report import summary_json
from segsync.report.counters import Throughput
from segsync.report.import_report import ImportReport, ServiceCalls
from segsync.report.summary_json import FORMAT, decode, encode

REPORT = ImportReport(
    state="done",
    error=None,
    outcomes=Outcomes(confirmed=90, sent=1, without_identifier=5, rejected=3, pending=1),
    before=Outcomes(confirmed=10),
    settled=Outcomes(sent=50),
    is_confirmed=True,
    offset="0",
    resume_offset='cursor with "quotes" and <b>',
    seconds=12.5,
    calls={"Segment": ServiceCalls(200, 3, 1), "Voucherify": ServiceCalls(4)},
    warnings={"birthdate": 7},
    began_at="2026-03-02T21:14:00+00:00",
    ended_at="2026-03-02T21:14:12+00:00",
    throughput=Throughput(1.0, (40, 0, 50)),
    rejections=(RejectionGroup("read", "Segment answered 404", 3, ("use_1",)),),
)


def written(report: ImportReport = REPORT, exit_code: int = 3, next_command: str | None = "segsync --resume") -> bytes:
    return encode(report, exit_code=exit_code, next_command=next_command)


def test_the_same_object_comes_back() -> None:
    assert decode(written()) == REPORT


CALL: dict[str, Any] = {"service": "Segment", "status": 402, "request_id": "req_1"}


@pytest.mark.parametrize(
    "error",
    [
        StopError("enough"),
        OutputError("x cannot be written"),
        LedgerError("damaged"),
        SegsyncError("who knows"),
        SettingsError(["A is missing.", "B is missing."]),
        *(
            kind("no", **CALL)
            for kind in (CallError, AccessError, QuotaError, TransientError, RefusedError, AnswerError)
        ),
        CallError("no answer", service="Voucherify"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_comes_back_as_it_was(error: SegsyncError) -> None:
    stopped = msgspec.structs.replace(REPORT, state="stopped", error=error)
    back = decode(written(stopped))
    assert type(back.error) is type(error)
    assert str(back.error) == str(error)
    assert vars(back.error) == vars(error)
    assert msgspec.structs.replace(back, error=error) == stopped


def test_the_error_is_named_for_machines() -> None:
    stopped = msgspec.structs.replace(REPORT, state="stopped", error=QuotaError("spent", **CALL))
    assert msgspec.json.decode(written(stopped))["error"] == {"kind": "QuotaError", "message": "spent", **CALL}


@pytest.mark.parametrize("kind", ["LaterError", "Sequence", "__name__", "annotations"])
def test_an_error_of_a_later_version_is_an_error_still(kind: str) -> None:
    content = msgspec.json.decode(written())
    content["error"] = {"kind": kind, "message": "words", "later": 1}
    content["later"] = {}
    assert str(decode(msgspec.json.encode(content)).error) == "words"


def test_everything_that_the_table_shows_is_in_it() -> None:
    content = msgspec.json.decode(written())
    assert content["format"] == FORMAT == 1
    assert content["exit_code"] == 3
    assert content["profiles"] == sum(content["outcomes"].values()) == 100
    assert content["next_command"] == "segsync --resume"
    assert content["seconds_per_100_profiles"] == REPORT.seconds_per_100_profiles
    assert content["seconds_per_100_customers"] == REPORT.seconds_per_100_customers
    assert content["calls"]["Segment"] == {"calls": 200, "retries": 3, "rate_limited": 1}
    assert content["warnings"] == {"birthdate": 7}
    assert (content["error"], content["resume_offset"]) == (None, REPORT.resume_offset)


def test_every_field_is_documented_and_there_is_no_other() -> None:
    assert summary_json.__doc__
    table = "\n".join(line[:40] for line in summary_json.__doc__.splitlines() if line.startswith("`"))
    assert set(re.findall(r"`(\w+)`", table)) == set(msgspec.json.decode(written()))


def test_it_ends_with_a_line_break_as_text_files_do() -> None:
    assert written().endswith(b"}\n")
