"""A list of rejected profiles that somebody saved from a spreadsheet: what only it holds is not lost."""

from __future__ import annotations

import csv
import json
import stat
from collections.abc import Callable
from contextlib import closing
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segsync.commands.status import print_status
from segsync.ledger.database import Ledger
from segsync.models import Rejection
from segsync.report.list_writer import ProfileLists
from segsync.report.profile_lists import REJECTED
from segsync.report.rejection_details import Key, RejectionDetails
from tests.support.ledgers import open_ledger
from tests.unit.ledger.steps import Story

REASON = 'name ‹…› was refused; "Ö" is not, one of a, b'
WORDS = "Zoë\tSmith; «Ada», 17 €"
BAD = Rejection("use_bad", "ada;lö@example.com", "read", REASON)


def filled(path: Path) -> Ledger:
    """A ledger with a rejected profile."""
    ledger = open_ledger(path)
    story = Story(ledger)
    story.rejected(1, "use_bad", REASON)
    story.page_done(1, rejected=1)
    return ledger


def write(ledger: Ledger, directory: Path, known: Rejection | None = None) -> list[str]:
    """The lists as a process writes them that knows this rejection; gives what it has to say."""
    with closing(ProfileLists(directory, ledger.path, shows_values=True)) as lists:
        if known:
            lists.keep(known, WORDS)
        assert ledger.read(lists.write) == ()
        return lists.notes


def resaved(path: Path, encoding: str, delimiter: str, change: Callable[[list[list[str]]], object] = len) -> None:
    """Save a list as a spreadsheet does."""
    rows = [*csv.reader(StringIO(path.read_text(encoding="utf-8"), newline=""))]
    change(rows)
    text = StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator="\r\n").writerows(rows)
    path.write_bytes(text.getvalue().encode(encoding))


def as_excel(rows: list[list[str]]) -> None:
    rows.insert(0, ["sep=;"])


def with_other_headers(rows: list[list[str]]) -> None:
    rows[0] = [name.replace("_", " ").title() for name in rows[0]]


def in_another_order(rows: list[list[str]]) -> None:
    rows[:] = [["mine", *reversed(row)] for row in rows] + [["", "", "", "", "", "", ""]]


@pytest.mark.parametrize("change", [len, with_other_headers, in_another_order, as_excel])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_source_ids_and_words_come_back(
    tmp_path: Path, encoding: str, delimiter: str, change: Callable[[list[list[str]]], object]
) -> None:
    path = tmp_path / REJECTED
    with filled(tmp_path / "segsync.db") as ledger:
        write(ledger, tmp_path, BAD)
        before = path.read_bytes()
        assert BAD.source_id
        assert BAD.source_id.encode() in before
        resaved(path, encoding, delimiter, change)
        for _ in range(2):
            assert write(ledger, tmp_path) == []
            assert path.read_bytes() == before


TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters="\ufeff"), min_size=1)


@settings(deadline=None, max_examples=50)
@given(TEXTS, TEXTS, st.sampled_from(",;\t"), st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_whatever_they_are(
    tmp_path_factory: pytest.TempPathFactory, source_id: str, words: str, delimiter: str, encoding: str
) -> None:
    path = tmp_path_factory.mktemp("list") / REJECTED
    key = Key("use_bad", "read", words, "")
    rows = [["segment_id", "source_id", "stage", "reason", "request_id", "words"]]
    rows.append([key.segment_id, source_id, key.stage, key.reason, key.request_id, words])
    path.write_text(
        "\n".join(",".join(f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in row) for row in rows), "utf-8"
    )
    resaved(path, encoding, delimiter)
    with closing(RejectionDetails()) as details:
        details.carry_over(path)
        assert details.of(key) == (source_id, words)


UNREADABLE = {
    "a workbook": b"PK\x03\x04\x14\x00\x06\x00\x08\x00" + bytes(range(256)) * 9,
    "without the names of the columns": b"use_bad,ada,read,answered 404,,words\n",
    "without a column": b"segment_id,source_id,words\nuse_bad,ada,words\n",
    "utf-16 without its mark": "segment_id,source_id,stage,reason,request_id\n".encode("utf-16-le"),
    "one long line": b"a" * 3_000_000,
    "a long line at its end": b"segment_id,source_id,stage,reason,request_id\n" + b"a" * 3_000_000,
}


@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE)
def test_one_that_cannot_be_read_is_kept_under_another_name_and_named(tmp_path: Path, content: bytes) -> None:
    path, kept = tmp_path / REJECTED, [tmp_path / f"{REJECTED}.bak", tmp_path / f"{REJECTED}.bak2"]
    with filled(tmp_path / "segsync.db") as ledger:
        write(ledger, tmp_path)
        before = path.read_bytes()
        for copy in kept:
            path.write_bytes(content)
            path.chmod(0o644)
            [note] = write(ledger, tmp_path)
            assert note.startswith(f"{path} cannot be read: ")
            assert f"It is now {copy}, and the new list has none of its source ids and words" in note
            assert (copy.read_bytes(), stat.S_IMODE(copy.stat().st_mode)) == (content, 0o600)
            assert path.read_bytes() == before
            assert write(ledger, tmp_path) == []
    assert kept[0].read_bytes() == content


@pytest.mark.parametrize("content", [b"", b"\r\n", b"\xef\xbb\xbf", b";;;\n"])
def test_one_with_nothing_in_it_is_replaced(tmp_path: Path, content: bytes) -> None:
    with filled(tmp_path / "segsync.db") as ledger:
        (tmp_path / REJECTED).write_bytes(content)
        assert write(ledger, tmp_path) == []
    assert not [path for path in tmp_path.iterdir() if ".bak" in path.name]


@pytest.mark.parametrize("as_json", [False, True])
def test_status_says_so_on_standard_error(tmp_path: Path, capsys: pytest.CaptureFixture[str], as_json: bool) -> None:
    filled(tmp_path / "segsync.db").close()
    (tmp_path / REJECTED).write_bytes(b"a workbook")
    print_status(tmp_path / "segsync.db", as_json=as_json, writes_lists=True)
    out, err = capsys.readouterr()
    assert err.startswith(f"Warning: {tmp_path / REJECTED} cannot be read: its first line does not name the columns.")
    assert err.count("\n") == 1
    assert not as_json or json.loads(out)["ledger"]
