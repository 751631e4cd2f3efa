"""The file of a dry run: the customers as they would be sent, or as Voucherify's CSV import wants them."""

from __future__ import annotations

import csv
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from segsync.connectors.file import COLUMNS, Output, output_at, problem_with
from segsync.errors import OutputError, SettingsError

FULL = Path("/dev/full")

ADA: dict[str, Any] = {
    "source_id": "1",
    "name": 'Ada "A", Lovelace',
    "birthdate": None,
    "address": {"line_1": "St James's Square", "city": "London", "postal_code": "SW1"},
    "metadata": {"plan": "pro", "spent": 12.5, "tags": ["a", "b"], "is_vip": True},
    "system_metadata": {"source": "segmentio"},
}


def body(*customers: dict[str, Any]) -> bytes:
    return msgspec.json.encode(customers)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@contextmanager
def written(path: Path) -> Iterator[Output]:
    with output_at(path) as output:
        assert output is not None
        yield output


@pytest.mark.parametrize("name", ["a.json", "csv", "a.csv.gz"])
def test_another_ending_is_refused(tmp_path: Path, name: str) -> None:
    assert "must end in .ndjson, .jsonl or .csv" in str(problem_with(tmp_path / name))


@pytest.mark.parametrize(("name", "is_csv"), [("a.ndjson", False), ("a.jsonl", False), ("A.CSV", True)])
def test_the_name_says_the_kind(tmp_path: Path, name: str, is_csv: bool) -> None:
    path = tmp_path / name
    assert problem_with(path) is None
    with written(path) as output:
        output.add(body(ADA))
    assert path.read_text(encoding="utf-8").startswith("Source_id,") is is_csv


def test_ndjson_is_a_customer_a_line_byte_for_byte_as_it_would_be_sent(tmp_path: Path) -> None:
    path = tmp_path / "c.ndjson"
    bob = {"source_id": "2", "description": "two\nlines"}
    with written(path) as output:
        output.add(body(ADA))
        output.add(body(bob, {"source_id": "3"}))
    lines = path.read_bytes().splitlines()
    assert lines == [msgspec.json.encode(each) for each in (ADA, bob, {"source_id": "3"})]
    assert (output.customers, mode(path)) == (3, 0o600)


def test_csv_has_voucherifys_columns_and_one_for_each_metadata_key(tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    with written(path) as output:
        output.add(body({"source_id": "0", "metadata": {"first": "=1+1"}}))
        output.add(body(ADA))
    first, ada = rows(path)
    assert list(ada) == [*COLUMNS, "first", "plan", "spent", "tags", "is_vip"]
    assert (ada["Source_id"], ada["Name"], ada["Birthdate"]) == ("1", 'Ada "A", Lovelace', "")
    assert (ada["Address_line_1"], ada["Address_City"], ada["Address_Postal_Code"]) == (
        "St James's Square",
        "London",
        "SW1",
    )
    assert (ada["plan"], ada["spent"], ada["tags"], ada["is_vip"], ada["first"]) == ("pro", "12.5", "a,b", "true", "")
    assert first["first"] == "=1+1", "for a machine: nothing is put before it"
    assert first["is_vip"] == "null", "an empty flag has Voucherify ignore the row"
    assert (output.notes, mode(path)) == ([], 0o600)
    assert list(tmp_path.iterdir()) == [path]


def test_what_csv_cannot_hold_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    metadata = {"Email": "x", "two words": "y", "nested": {"a": 1}, "texts": ["a, b"], "plan": "pro"}
    with written(path) as output:
        output.add(body({"source_id": "1", "email": "ada@example.com", "metadata": metadata}))
    [row] = rows(path)
    assert row["Email"] == "ada@example.com", "metadata does not take an attribute's place"
    assert (row["nested"], row["texts"]) == ('{"a":1}', '["a, b"]')
    assert "two words" not in row
    left_out, as_json = output.notes
    assert left_out.endswith(": Email, two words")
    assert as_json.endswith(": nested, texts")


def test_a_file_too_large_for_the_import_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segsync.connectors.file.MOST_IMPORTED_BYTES", 100)
    with written(tmp_path / "c.csv") as output:
        output.add(body(ADA))
    assert "takes 100 per file, so it has to be split" in output.notes[0]


@pytest.mark.parametrize("name", ["c.ndjson", "c.csv"])
def test_a_file_that_exists_is_left_alone_and_one_with_nobody_in_it_is_not_left(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"--output .* exists already"), written(path):
        pass
    assert path.read_text(encoding="utf-8") == "mine"
    path.unlink()
    with written(path):
        assert path.exists()
    assert not path.exists()
    unwritable = r"--output .*nowhere.c.* cannot be written: No such file"
    with pytest.raises(SettingsError, match=unwritable), written(tmp_path / "nowhere" / name):
        pass


@pytest.mark.parametrize("name", ["c.ndjson", "c.csv"])
def test_what_was_read_until_an_error_is_kept(tmp_path: Path, name: str) -> None:
    path = tmp_path / name

    def run() -> None:
        with written(path) as output:
            output.add(body(ADA))
            raise KeyError

    with pytest.raises(KeyError):
        run()
    assert "Lovelace" in path.read_text(encoding="utf-8")


@pytest.mark.skipif(not FULL.exists(), reason="no device that is always full here")
@pytest.mark.parametrize("name", ["c.ndjson", "c.csv"])
def test_a_full_disk_is_reported_with_the_file(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / name
    monkeypatch.setattr("segsync.connectors.file.open_private", lambda _path, _flags: os.open(FULL, os.O_WRONLY))
    with pytest.raises(OutputError, match=rf"{name} cannot be written: No space left"), written(path) as output:
        output.add(body(ADA))
