"""The file of a dry run: the customers as they would be sent, or as Voucherify's CSV import wants them."""

from __future__ import annotations

import csv
import stat
from pathlib import Path
from typing import Any

import msgspec
import pytest

from segsync.connectors.file import COLUMNS, CsvOutput, NdjsonOutput, kind_of
from segsync.errors import SettingsError

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


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.ndjson", NdjsonOutput),
        ("a.jsonl", NdjsonOutput),
        ("A.CSV", CsvOutput),
        ("a.json", None),
        ("csv", None),
        ("a.csv.gz", None),
    ],
)
def test_the_name_says_the_kind(name: str, kind: object) -> None:
    assert kind_of(Path(name)) is kind


def test_ndjson_is_a_customer_a_line_byte_for_byte_as_it_would_be_sent(tmp_path: Path) -> None:
    path = tmp_path / "c.ndjson"
    bob = {"source_id": "2", "description": "two\nlines"}
    with NdjsonOutput(path) as output:
        output.add(body(ADA))
        output.add(body(bob, {"source_id": "3"}))
    lines = path.read_bytes().splitlines()
    assert lines == [msgspec.json.encode(each) for each in (ADA, bob, {"source_id": "3"})]
    assert (output.customers, mode(path)) == (3, 0o600)


def test_csv_has_voucherifys_columns_and_one_for_each_metadata_key(tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    with CsvOutput(path) as output:
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
    with CsvOutput(path) as output:
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
    with CsvOutput(tmp_path / "c.csv") as output:
        output.add(body(ADA))
    assert "takes 100 per file, so it has to be split" in output.notes[0]


@pytest.mark.parametrize("kind", [NdjsonOutput, CsvOutput])
def test_a_file_that_exists_is_left_alone_and_one_with_nobody_in_it_is_not_left(
    tmp_path: Path, kind: type[NdjsonOutput] | type[CsvOutput]
) -> None:
    path = tmp_path / "c"
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"--output .* exists already"), kind(path):
        pass
    assert path.read_text(encoding="utf-8") == "mine"
    path.unlink()
    with kind(path):
        assert path.exists()
    assert not path.exists()
    unwritable = r"--output .*nowhere.c cannot be written: No such file"
    with pytest.raises(SettingsError, match=unwritable), kind(tmp_path / "nowhere" / "c"):
        pass


@pytest.mark.parametrize("kind", [NdjsonOutput, CsvOutput])
def test_what_was_read_until_an_error_is_kept(tmp_path: Path, kind: type[NdjsonOutput] | type[CsvOutput]) -> None:
    path = tmp_path / "c"

    def run() -> None:
        with kind(path) as output:
            output.add(body(ADA))
            raise KeyError

    with pytest.raises(KeyError):
        run()
    assert "Lovelace" in path.read_text(encoding="utf-8")
