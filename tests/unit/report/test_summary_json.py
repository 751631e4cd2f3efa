"""The summary for programs: complete, versioned and documented."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from segsync.errors import CallError, OutputError, QuotaError, SegsyncError, SettingsError
from segsync.models import Outcomes, RejectionGroup, WarningGroup
from segsync.report.counters import ServiceCalls, Throughput
from segsync.report.import_report import ImportReport
from segsync.report.summary_json import FORMAT, encode
from tests.support import guides
from tests.support.summaries import read_summary

REPORT = ImportReport(
    state="done",
    error=None,
    outcomes=Outcomes(confirmed=90, sent=1, without_identifier=5, rejected=3, pending=1),
    before=Outcomes(confirmed=10),
    checkpointed=Outcomes(sent=50),
    is_confirmed=True,
    offset="0",
    resume_offset='cursor with "quotes" and <b>',
    seconds=12.5,
    calls={"Segment": ServiceCalls(200, 3, 1), "Voucherify": ServiceCalls(4)},
    warnings={"birthdate": 7},
    began_at="2026-03-02T21:14:00+00:00",
    ended_at="2026-03-02T21:14:12+00:00",
    throughput=Throughput(1.0, (40, 0, 50)),
    rejections=(RejectionGroup("read", "Segment answered 404", 3, ("use_1",), "not-found"),),
    warned_profiles=7,
    problems=(WarningGroup("birthdate", "is not an ISO 8601 date", 7, ("use_2",)),),
)


def written(report: ImportReport = REPORT, exit_code: int = 3, next_command: str | None = "segsync --resume") -> bytes:
    return encode(report, exit_code=exit_code, next_command=next_command)


def test_all_of_the_report_is_in_it() -> None:
    assert read_summary(written()) == REPORT


CALL: dict[str, Any] = {"service": "Segment", "status": 402, "request_id": "req_1"}


@pytest.mark.parametrize(
    ("error", "fields"),
    [
        (OutputError("x cannot be written"), {"kind": "OutputError", "message": "x cannot be written"}),
        (SegsyncError("who knows"), {"kind": "SegsyncError", "message": "who knows"}),
        (QuotaError("spent", **CALL), {"kind": "QuotaError", "message": "spent", **CALL}),
        (
            CallError("no answer", service="Voucherify"),
            {"kind": "CallError", "message": "no answer", "service": "Voucherify"},
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_is_named_for_machines(error: SegsyncError, fields: dict[str, Any]) -> None:
    stopped = msgspec.structs.replace(REPORT, state="stopped", error=error)
    assert msgspec.json.decode(written(stopped))["error"] == fields


def test_the_code_of_the_error_is_in_it() -> None:
    stopped = msgspec.structs.replace(REPORT, error=OutputError("full", code="file-unwritable"))
    assert msgspec.json.decode(written(stopped))["error_code"] == "file-unwritable"
    assert msgspec.json.decode(written())["error_code"] is None


def test_the_message_of_several_problems_has_them_all() -> None:
    stopped = msgspec.structs.replace(REPORT, error=SettingsError(["A is missing.", "B is missing."]))
    message = msgspec.json.decode(written(stopped))["error"]["message"]
    assert "A is missing." in message
    assert "B is missing." in message


def test_everything_that_the_table_shows_is_in_it() -> None:
    content = msgspec.json.decode(written())
    assert content["format"] == FORMAT == 3
    assert content["exit_code"] == 3
    assert content["profiles"] == sum(content["outcomes"].values()) == 100
    assert content["next_command"] == "segsync --resume"
    assert content["seconds_per_100_profiles"] == REPORT.seconds_per_100_profiles
    assert content["seconds_per_100_customers"] == REPORT.seconds_per_100_customers
    assert content["calls"]["Segment"] == {"calls": 200, "retries": 3, "rate_limited": 1}
    assert content["warnings"] == {"birthdate": 7}
    assert (content["error"], content["resume_offset"]) == (None, REPORT.resume_offset)


def test_the_guide_describes_every_field_and_no_other() -> None:
    [table] = re.findall(r"^\| `format`, `segsync`.*?\n\n", guides.OPERATORS, re.MULTILINE | re.DOTALL)
    assert guides.named([cells[0] for cells in guides.rows(table)]) == set(msgspec.json.decode(written()))


def test_it_ends_with_a_line_break_as_text_files_do() -> None:
    assert written().endswith(b"}\n")
