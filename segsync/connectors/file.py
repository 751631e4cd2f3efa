"""A dry run: the whole import, into a file instead of Voucherify, or nowhere.

The file holds the customers as they would be sent, as NDJSON or in the columns of Voucherify's CSV import.

It holds personal data, so only its owner may read it, and a file that exists is not replaced.

The CSV columns are those of Voucherify, "Import and Update Customers using CSV"; a column of another name becomes
metadata of that name. Its page "Data import" says how values are written: lists with commas, no nested metadata, no
white space in a header. Cells are as they are, and not made safe for a spreadsheet: a machine reads them.
https://docs.voucherify.io/api-reference/customers/import-and-update-customers-using-csv
https://support.voucherify.io/article/574-data-import
"""

from __future__ import annotations

import codecs
import csv
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, Final

import msgspec

from segsync.connectors.base import MAX_BODY_BYTES
from segsync.errors import SettingsError
from segsync.models import Connector
from segsync.options import STANDARD_OUTPUT
from segsync.runtime import cannot_write, open_private, to_standard_output, writing

NDJSON_SUFFIXES: Final = (".ndjson", ".jsonl")

CSV_SUFFIX: Final = ".csv"

MOST_IMPORTED_BYTES: Final = 10_000_000
"""The largest CSV file of Voucherify's import (Voucherify, "Data import")."""

COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "Source_id": ("source_id",),
    "Name": ("name",),
    "Email": ("email",),
    "Phone": ("phone",),
    "Birthdate": ("birthdate",),
    "Description": ("description",),
    "Address_line_1": ("address", "line_1"),
    "Address_line_2": ("address", "line_2"),
    "Address_Postal_Code": ("address", "postal_code"),
    "Address_City": ("address", "city"),
    "Address_State": ("address", "state"),
    "Address_Country": ("address", "country"),
}
"""Voucherify's own columns, and where in a customer their values are."""

MOST_NAMED: Final = 10

_TAKEN: Final = frozenset({"id", *(column.lower() for column in COLUMNS)})

_CUSTOMERS = msgspec.json.Decoder(list[msgspec.Raw])

_CUSTOMER = msgspec.json.Decoder(dict[str, Any])


class DryRunSink:
    """A sink that sends nothing: customers go into `output`, where there is one. It has no results to read."""

    about = Connector("dry run", identity="")
    max_body_bytes = MAX_BODY_BYTES

    def __init__(self, output: Output | None = None) -> None:
        self._output = output
        self._upserts = 0

    async def upsert(self, body: bytes) -> str:
        """Write what would be sent; a name for the upsert that is not made. Raises `OutputError`."""
        if self._output:
            self._output.add(body)
        self._upserts += 1
        return f"dry-run-{self._upserts}"


class Output:
    """The customers of a dry run, one per line. `customers` is how many there are, `notes` what to know of the file.

    `write` takes lines.
    """

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self.customers = 0
        self.notes: list[str] = []
        self._write = write

    def add(self, body: bytes) -> None:
        """Write the customers of a request body, each exactly as it is there. Raises `OutputError`."""
        customers = _CUSTOMERS.decode(body)
        self._write(b"".join(b"%b\n" % bytes(customer) for customer in customers))
        self.customers += len(customers)


def problem_with(path: Path) -> str | None:
    """Why no file of a dry run may have this name; None where one may."""
    if str(path) != STANDARD_OUTPUT and path.suffix.lower() not in (*NDJSON_SUFFIXES, CSV_SUFFIX):
        return f"--output {path} must end in {', '.join(NDJSON_SUFFIXES)} or {CSV_SUFFIX}, or be {STANDARD_OUTPUT}"
    return None


@contextmanager
def output_at(path: Path | None) -> Iterator[Output | None]:
    """The file at `path`, finished when the context is left; a file without customers is removed.

    The path "-" is standard output, as NDJSON, which has each bulk upsert at once. Raises `SettingsError` where the
    file exists or cannot be made, and on leaving `OutputError` where it cannot be written.
    """
    if path is None:
        yield None
        return
    if str(path) == STANDARD_OUTPUT:
        yield Output(to_standard_output)
        return
    with _new_file(path) as file, ExitStack() as waiting:
        if path.suffix.lower() != CSV_SUFFIX:
            yield Output(_writer(path, file))
            return
        with writing(path):
            # All metadata keys are known only at the end: until then, customers wait in a nameless file beside it.
            lines = waiting.enter_context(TemporaryFile(dir=path.parent))
        output = Output(_writer(path, lines))
        try:
            yield output
        finally:
            if output.customers:
                with writing(path):
                    output.notes += _write_csv(lines, file)


def _writer(path: Path, file: IO[bytes]) -> Callable[[bytes], None]:
    def write(content: bytes) -> None:
        with writing(path):
            file.write(content)

    return write


@contextmanager
def _new_file(path: Path) -> Iterator[IO[bytes]]:
    try:
        file = os.fdopen(open_private(path, os.O_WRONLY | os.O_EXCL), "wb")
    except FileExistsError:
        problem = f"--output {path} exists already: remove it, or choose another name"
        raise SettingsError([problem], code="output-exists") from None
    except OSError as error:
        problem = cannot_write(f"--output {path}", error, "Choose another file")
        raise SettingsError([problem], code="file-unwritable") from None
    try:
        yield file
    finally:
        with writing(path):
            is_empty = not file.tell()
            file.close()
            if is_empty:
                path.unlink(missing_ok=True)


def _write_csv(lines: IO[bytes], file: IO[bytes]) -> list[str]:
    """Write customers in Voucherify's import columns, then one for each metadata key that any of them has.

    What is returned are notes on what the import would not take as it is.
    """
    is_flag: dict[str, bool] = {}  # by column
    left_out: dict[str, None] = {}
    beyond_csv: dict[str, None] = {}
    lines.seek(0)
    for key, value in (item for line in lines for item in _metadata(_CUSTOMER.decode(line)).items()):
        if not _can_be_a_column(key):
            left_out[key] = None
            continue
        if value is not None:
            is_flag[key] = isinstance(value, bool) and is_flag.get(key, True)
        if _is_beyond_csv(value):
            beyond_csv[key] = None
    # An empty cell in a column of flags has Voucherify ignore the row: there it wants "null".
    empty = {key: "null" if is_flag[key] else "" for key in is_flag}
    lines.seek(0)
    rows = csv.writer(codecs.getwriter("utf-8")(file))
    rows.writerow([*COLUMNS, *empty])
    for customer in map(_CUSTOMER.decode, lines):
        metadata = _metadata(customer)
        standard = [_cell(_at(customer, where)) for where in COLUMNS.values()]
        rows.writerow([*standard, *(_cell(metadata.get(key)) or empty[key] for key in empty)])
    return list(_notes(left_out, beyond_csv, file.tell()))


def _notes(left_out: Collection[str], beyond_csv: Collection[str], size: int) -> Iterator[str]:
    if left_out:
        yield (
            "Metadata that is left out, since it cannot be a column (white space, or the name of one of "
            f"Voucherify's own): {_named(left_out)}"
        )
    if beyond_csv:
        yield (
            "Metadata that Voucherify's CSV import does not take as it is (nested, or a list of texts with "
            f"commas), written as JSON: {_named(beyond_csv)}"
        )
    if size > MOST_IMPORTED_BYTES:
        yield f"{size:,} bytes: Voucherify's CSV import takes {MOST_IMPORTED_BYTES:,} per file, so it has to be split"


def _metadata(customer: Mapping[str, Any]) -> dict[str, Any]:
    return customer.get("metadata") or {}


def _can_be_a_column(key: str) -> bool:
    return bool(key) and key.lower() not in _TAKEN and not any(sign.isspace() for sign in key)


def _is_beyond_csv(value: object) -> bool:
    if isinstance(value, list):
        return any(isinstance(each, dict | list) or "," in str(each) for each in value)
    return isinstance(value, dict)


def _at(customer: Mapping[str, Any], where: Sequence[str]) -> object:
    found: Any = customer
    for name in where:
        found = (found or {}).get(name)
    return found


def _cell(value: object) -> str:
    """A value as Voucherify's import reads it; empty for None."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and not _is_beyond_csv(value):
        return ",".join(map(_cell, value))
    return msgspec.json.encode(value).decode()


def _named(keys: Collection[str]) -> str:
    more = f" and {len(keys) - MOST_NAMED:,} more" if len(keys) > MOST_NAMED else ""
    return ", ".join(islice(keys, MOST_NAMED)) + more
