"""The report file of a bulk upsert: a CSV file with a row per customer, which says who was refused.

Voucherify documents the columns `found` and `updated`, and not the other ones: an upserted customer has `found` false
and `updated` true. Which encoding and which delimiter it has is not documented either.
https://docs.voucherify.io/api-reference/customers/import-and-update-customers-asynchronously
"""

from __future__ import annotations

import codecs
import csv
import zlib
from collections.abc import Iterable, Mapping
from io import StringIO
from typing import Final

from segsync.connectors.base import RefusedCustomer
from segsync.connectors.http import responses as answers

MAX_BYTES: Final = 64 * 1024 * 1024
"""The most that a packed file is unpacked to: a customer's row is some hundred bytes."""

_DELIMITERS: Final = (",", ";", "\t", "|")

_SOURCE_ID_COLUMNS: Final = ("source_id", "sourceid", "customer_source_id")
_STATUS_COLUMNS: Final = ("status", "result", "operation_status")
_ERROR_COLUMNS: Final = ("error", "errors", "error_key", "error_code", "error_message", "error_details")
_REASON_COLUMNS: Final = ("key", "message", "details", "reason", *_ERROR_COLUMNS)

_NO: Final = frozenset({"FALSE", "NO", "0"})
_YES: Final = frozenset({"TRUE", "YES", "1"})
_FAILED: Final = frozenset({"FAILED", "FAILURE", "ERROR", "REJECTED", "INVALID"})

_ENCODINGS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def refused_in_report(content: bytes, secrets: Iterable[str] = ()) -> list[RefusedCustomer]:
    """The customers that a report says were refused; none where it does not say that of anybody, or cannot be read.

    The reasons do not quote `secrets`.
    """
    text = _text(content)
    try:
        rows = _rows(text)
    except csv.Error:  # a field of more than 128 KB
        return []
    refused = []
    for row in rows:
        source_id = next((row[column] for column in _SOURCE_ID_COLUMNS if row.get(column)), None)
        if source_id and _is_refused(row):
            reasons = [row[column] for column in _REASON_COLUMNS if row.get(column)]
            refused.append(refused_customer(source_id, reasons, secrets))
    return refused


def refused_customer(source_id: str, reasons: Iterable[object], secrets: Iterable[str]) -> RefusedCustomer:
    """A customer that was refused, with a reason that quotes neither it nor `secrets`."""
    reasons, secrets = tuple(reasons), tuple(secrets)
    reason = answers.reason(*reasons, hidden=(source_id, *secrets))
    if not reason:
        return RefusedCustomer(source_id, "Voucherify gives no reason", code="refused-without-reason")
    return RefusedCustomer(source_id, reason, words=answers.words(*reasons, hidden=secrets))


def _text(content: bytes) -> str:
    if content.startswith(b"\x1f\x8b"):
        try:
            content = zlib.decompressobj(wbits=31).decompress(content, MAX_BYTES)
        except zlib.error:
            return ""
    encoding = next((name for mark, name in _ENCODINGS if content.startswith(mark)), None)
    if encoding is None and b"\0" in content[:2]:
        encoding = "utf-16-be" if content.startswith(b"\0") else "utf-16-le"
    return content.decode(encoding or "utf-8", errors="replace").replace("\0", "")


def _rows(text: str) -> list[dict[str, str]]:
    """The rows by column, with the delimiter under which there is a column of source ids."""
    for delimiter in _DELIMITERS:
        rows = csv.reader(StringIO(text, newline=""), delimiter=delimiter)
        header = [name.strip().lower().replace(" ", "_") for name in next(rows, [])]
        if not set(_SOURCE_ID_COLUMNS).isdisjoint(header):
            return [dict(zip(header, row, strict=False)) for row in rows]
    return []


def _is_refused(row: Mapping[str, str]) -> bool:
    updated = row.get("updated", "").strip().upper()
    if updated in _YES or updated in _NO:
        return updated in _NO
    status = next((row[column].strip().upper() for column in _STATUS_COLUMNS if row.get(column)), None)
    return status in _FAILED if status else any(row.get(column) for column in _ERROR_COLUMNS)
