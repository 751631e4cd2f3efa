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

import csv
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import IO, Any, Final, Protocol, Self

import msgspec

from segsync.connectors.base import MAX_BODY_BYTES
from segsync.errors import OutputError, SettingsError
from segsync.models import Connector


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


def problem_with(path: Path) -> str | None:
    """Why a dry run cannot write this file; None where it can."""
    if not kind_of(path):
        return f"--output {path} must end in {', '.join(NDJSON_SUFFIXES)} or {CSV_SUFFIX}"
    return f"--output {path} exists already: remove it, or choose another name" if path.exists() else None


@contextmanager
def output_at(path: Path | None) -> Iterator[Output | None]:
    """The file at `path`, finished when the context is left.

    Raises `SettingsError` where it exists or cannot be made, and on leaving `OutputError` where it cannot be written.
    """
    kind = kind_of(path) if path else None
    if path is None or kind is None:
        yield None
        return
    with kind(path) as output:
        yield output


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


class Output(Protocol):
    """A file for the customers of a dry run. `customers` is how many it has, `notes` what to know of it."""

    customers: int
    notes: list[str]

    def add(self, body: bytes) -> None:
        """Write the customers of a request body. Raises `OutputError`."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


def kind_of(path: Path) -> type[NdjsonOutput] | type[CsvOutput] | None:
    """The kind of output for the suffix of a path; None where it is neither."""
    suffix = path.suffix.lower()
    return NdjsonOutput if suffix in NDJSON_SUFFIXES else CsvOutput if suffix == CSV_SUFFIX else None


class NdjsonOutput:
    """One customer per line, exactly as it would be in the request.

    Entering raises `SettingsError` where the file exists or cannot be made; leaving removes a file without customers.
    """

    def __init__(self, path: Path) -> None:
        self.customers = 0
        self.notes: list[str] = []
        self._path = path

    def __enter__(self) -> Self:
        self._file = os.fdopen(_made(self._path), "wb")
        return self

    def add(self, body: bytes) -> None:
        customers = _CUSTOMERS.decode(body)
        try:
            self._file.writelines(b"%b\n" % bytes(customer) for customer in customers)
        except OSError as error:
            raise _unwritable(self._path, error) from None
        self.customers += len(customers)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _close(self._file, self._path, is_empty=not self.customers)


class CsvOutput:
    """Voucherify's import columns, then one for each metadata key that a customer has.

    All keys are known only at the end, so customers wait in a nameless file beside it until then. Entering
    raises as `NdjsonOutput` does, leaving `OutputError`. `notes` say what the import would not take as it is.
    """

    def __init__(self, path: Path) -> None:
        self.customers = 0
        self.notes: list[str] = []
        self._path = path
        self._is_flag: dict[str, bool] = {}
        self._no_columns: dict[str, None] = {}
        self._beyond_csv: dict[str, None] = {}

    def __enter__(self) -> Self:
        self._file = os.fdopen(_made(self._path), "w", encoding="utf-8", newline="")
        try:
            self._waiting = TemporaryFile(dir=self._path.parent)
        except OSError as error:
            _close(self._file, self._path, is_empty=True)
            raise _unwritable(self._path, error) from None
        return self

    def add(self, body: bytes) -> None:
        for customer in map(bytes, _CUSTOMERS.decode(body)):
            try:
                self._waiting.write(b"%b\n" % customer)
            except OSError as error:
                raise _unwritable(self._path, error) from None
            self.customers += 1
            for key, value in (_CUSTOMER.decode(customer).get("metadata") or {}).items():
                self._look_at(key, value)

    def _look_at(self, key: str, value: object) -> None:
        if not _can_be_a_column(key):
            self._no_columns[key] = None
            return
        if value is not None:
            self._is_flag[key] = isinstance(value, bool) and self._is_flag.get(key, True)
        if _is_beyond_csv(value):
            self._beyond_csv[key] = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            with self._waiting:
                self._waiting.seek(0)
                self._write_rows(self._waiting)
                self._file.flush()
            size = self._path.stat().st_size
        except OSError as problem:
            _close(self._file, self._path, is_empty=not self.customers)
            raise _unwritable(self._path, problem) from None
        _close(self._file, self._path, is_empty=not self.customers)
        self._make_notes(size)

    def _write_rows(self, lines: Iterable[bytes]) -> None:
        rows = csv.writer(self._file)
        rows.writerow([*COLUMNS, *self._is_flag])
        for line in lines:
            customer = _CUSTOMER.decode(line)
            metadata = customer.get("metadata") or {}
            standard = [_cell(_at(customer, where)) for where in COLUMNS.values()]
            rows.writerow([*standard, *(self._metadata_cell(key, metadata.get(key)) for key in self._is_flag)])

    def _metadata_cell(self, key: str, value: object) -> str:
        # An empty cell in a column of flags has Voucherify ignore the row: there it wants "null".
        return "null" if value is None and self._is_flag[key] else _cell(value)

    def _make_notes(self, size: int) -> None:
        if self._no_columns:
            self.notes.append(
                f"Metadata that is left out, since it cannot be a column (white space, or the name of one of "
                f"Voucherify's own): {_named(self._no_columns)}"
            )
        if self._beyond_csv:
            self.notes.append(
                f"Metadata that Voucherify's CSV import does not take as it is (nested, or a list of texts with "
                f"commas), written as JSON: {_named(self._beyond_csv)}"
            )
        if size > MOST_IMPORTED_BYTES:
            self.notes.append(
                f"{size:,} bytes: Voucherify's CSV import takes {MOST_IMPORTED_BYTES:,} per file, so it has to be split"
            )


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


def _named(keys: Iterable[str]) -> str:
    names = list(keys)
    more = f" and {len(names) - MOST_NAMED:,} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def _made(path: Path) -> int:
    """The descriptor of a new file that only its owner may read."""
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise SettingsError([f"--output {path} exists already: remove it, or choose another name"]) from None
    except OSError as error:
        raise SettingsError([f"--output {path} cannot be written: {error.strerror}"]) from None


def _close(file: IO[Any], path: Path, *, is_empty: bool) -> None:
    try:
        file.close()
        if is_empty:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(f"{path} cannot be written: {error.strerror}")
