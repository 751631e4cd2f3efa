"""What the report file of a bulk upsert says, however it is written."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Sequence
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segsync.connectors import report_file
from segsync.connectors.report_file import refused_in_report
from segsync.redact import MOST_CHARACTERS

NO_REASON = "Voucherify gives no reason"


def report(*rows: Sequence[str]) -> bytes:
    text = StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def refused(content: bytes) -> dict[str, str]:
    return {each.source_id: each.reason for each in refused_in_report(content)}


def test_a_status_says_who_was_refused() -> None:
    rows = [
        ("source_id", "status", "message"),
        ("ada", "SUCCESS", ""),
        ("ben", "FAILED", "Invalid"),
        ("cyd", " failed ", ""),
        ("dan", "SUCCESS", "was updated"),
    ]
    assert refused(report(*rows)) == {"ben": "Invalid", "cyd": NO_REASON}


@pytest.mark.parametrize("name", ["source_id", "SOURCE_ID", "Source Id", " sourceId ", "customer_source_id"])
def test_columns_are_known_by_their_names(name: str) -> None:
    assert refused(report(("row", name, "Error Message"), ("1", "ada", "Invalid"))) == {"ada": "Invalid"}


# --- what the columns say -------------------------------------------------------------------------------------

UPDATED = (
    ("source_id", "found", "updated"),
    ("ada", "false", "true"),
    ("ben", "false", "false"),
    ("cyd", "true", "true"),
)


def test_the_documented_columns_say_who_was_written() -> None:
    assert refused(report(*UPDATED)) == {"ben": NO_REASON}


@pytest.mark.parametrize(("yes", "no"), [("TRUE", "FALSE"), (" true ", " False"), ("1", "0"), ("yes", "no")])
def test_true_and_false_are_known_however_they_are_written(yes: str, no: str) -> None:
    rows = [("source_id", "Updated", "message"), ("ada", yes, "Customer updated"), ("ben", no, "Invalid")]
    assert refused(report(*rows)) == {"ben": "Invalid"}


@pytest.mark.parametrize(
    "header",
    [
        *(("source_id",), ("source_id", "name"), ("source_id", "message"), ("source_id", "key", "details")),
        *(("source_id", "found"), ("source_id", "updated_at"), ("source_id", "updated"), ("source_id", "status")),
    ],
)
def test_a_report_whose_columns_say_neither_names_nobody(header: Sequence[str]) -> None:
    values = {"source_id": "ada", "message": "Customer created", "status": "created", "updated": "2026-11-28"}
    row = tuple(values.get(column, "false" if column == "found" else "something") for column in header)
    assert refused(report(header, row)) == {}


def test_an_error_in_a_row_says_that_it_was_refused() -> None:
    rows = [("source_id", "error", "message"), ("ada", "", "fine"), ("ben", "invalid_customer", "No consent")]
    assert refused(report(*rows)) == {"ben": "No consent: invalid_customer"}


@pytest.mark.parametrize("result", ["FAILED", "Failure", "error", "rejected", "INVALID"])
def test_a_result_is_a_status_too(result: str) -> None:
    assert refused(report(("source_id", "result"), ("ada", result), ("ben", "created"))) == {"ada": NO_REASON}


# --- how it is written ----------------------------------------------------------------------------------------


def text_of(delimiter: str = ",", newline: str = "\r\n") -> str:
    return newline.join(delimiter.join(row) for row in UPDATED)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_any_usual_delimiter_is_understood(delimiter: str) -> None:
    assert refused(text_of(delimiter).encode()) == {"ben": NO_REASON}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_any_usual_encoding_is_understood(encoding: str) -> None:
    assert refused(text_of(";").encode(encoding)) == {"ben": NO_REASON}


def test_a_packed_report_is_understood() -> None:
    assert refused(gzip.compress(text_of().encode("utf-16"))) == {"ben": NO_REASON}


@pytest.mark.parametrize("cut", [1, 10, 25])
def test_a_packed_report_that_is_cut_or_damaged_is_no_defect(cut: int) -> None:
    packed = gzip.compress(text_of().encode())
    refused(packed[:-cut])
    assert refused(packed[:cut] + b"\0" * 30) == {}


def test_a_packed_report_is_unpacked_no_further_than_memory_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_file, "MAX_BYTES", 1000)
    endless = gzip.compress(text_of().encode() + b"\n" * 50_000_000)
    assert refused(endless) == {"ben": NO_REASON}


def test_an_id_may_have_commas_quotes_line_breaks_and_any_script() -> None:
    ids = ['a,"b"', "a\nb", "żółć", " ada ", "=cmd|x"]
    rows = [("source_id", "status"), *((each, "FAILED") for each in ids)]
    assert list(refused(report(*rows))) == ids
    assert list(refused(b"\xef\xbb\xbf" + report(*rows))) == ids


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n",
        b"source_id,status\n",
        b"<html><body>Access denied</body></html>",
        b'{"error": "expired"}',
        b"\x00\xff\xfe\x89PNG",
        b"name,status\nada,FAILED\n",
        b"source_id,status\n,FAILED\n",
        b'source_id,status\n"' + b"x" * 200_000 + b'",FAILED\n',
    ],
)
def test_what_is_not_a_report_names_nobody(content: bytes) -> None:
    assert refused(content) == {}


def test_rows_that_are_too_short_or_too_long_are_read_as_far_as_they_go() -> None:
    content = b"source_id,status,message\nada\nben,FAILED\ncyd,FAILED,Invalid,more,and more\n"
    assert refused(content) == {"ben": NO_REASON, "cyd": "Invalid"}


def test_a_reason_in_a_report_does_not_quote_the_customer() -> None:
    content = report(
        ("source_id", "error_message"), ("ada@example.com", "Customer ada@example.com of 'Ada K' is invalid")
    )
    [reason] = refused(content).values()
    assert "ada" not in reason.lower()
    assert "invalid" in reason


def test_a_long_reason_is_cut() -> None:
    [reason] = refused(report(("source_id", "error"), ("ada", "refused " * 10_000))).values()
    assert len(reason) <= MOST_CHARACTERS


@given(st.binary())
def test_nothing_that_a_file_may_hold_breaks_it(content: bytes) -> None:
    refused_in_report(content)
    refused_in_report(b"source_id,status\n" + content)


IDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)


@given(st.dictionaries(IDS, st.booleans()))
def test_those_that_a_report_calls_failed_are_refused_and_no_others(customers: dict[str, bool]) -> None:
    rows = [(source_id, "FAILED" if failed else "SUCCESS") for source_id, failed in customers.items()]
    assert list(refused(report(("source_id", "status"), *rows))) == [
        each for each, failed in customers.items() if failed
    ]
