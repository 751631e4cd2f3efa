"""The ids of `--ids FILE`: as people write them, as segsync does, and as a spreadsheet saves what segsync wrote."""

from __future__ import annotations

import codecs
import csv
import os
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segsync.errors import SettingsError
from segsync.events import (
    DuplicateIdentifier,
    Event,
    PageDone,
    ProfileRejected,
    ProfileWithoutIdentifier,
    TraitLeftOut,
)
from segsync.ledger import recorder
from segsync.models import Outcomes, Rejection
from segsync.pipeline.chosen import ChosenIds, chosen, ids_in, unescaped
from segsync.report.list_writer import ProfileLists, one_line
from segsync.report.profile_lists import DUPLICATES, REJECTED, WARNINGS, WITHOUT_IDENTIFIER
from tests.conftest import run_virtual
from tests.support.ledgers import begin, open_ledger

REJECTED_ROWS = [
    ["segment_id", "source_id", "stage", "reason", "request_id"],
    ["use_1", "ada@example.com", "confirm", "invalid_customer: “…” was refused", "v-1"],
    ["use_2", "", "read", "answered 500, given up", ""],
]


def ids_of(path: Path) -> list[str]:
    with chosen(path) as ids:
        assert ids
        found = pages_of(ids)
        assert ids.count == len(found)
        return found


def pages_of(ids: ChosenIds) -> list[str]:
    async def listed() -> list[str]:
        return [str(each) for page in [page async for page in ids.pages()] for each in page.profiles]

    return run_virtual(listed())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ids.txt"


@pytest.mark.parametrize(
    "content",
    [
        "use_1\nuse_2\n",
        "use_1\nuse_2",
        "use_1\r\nuse_2\r\n",
        "use_1\ruse_2\r",
        "\n  use_1 \t\n\n\u00a0use_2\u00a0\n \n",
        "\ufeffuse_1\nuse_2\n",
        "use_1\n\ufeffuse_2\n",
        '"use_1"\n"use_2"\n',
        "use_1;;\nuse_2;;\n;;\n",
        '"use_1",,\n"use_2",,\n,,\n',
        "use_1\t\nuse_2\t\n",
        "use_1\nuse_2\nuse_1\nuse_2\n",
        "segment_id\nuse_1\nuse_2\n",
        '"Segment ID"\n"use_1"\n"use_2"\n',
        "sep=;\nsegment_id;name\nuse_1;a\nuse_2;b\n",
        '"sep=,"\nname,segment_id\na,use_1\nb,use_2\n',
        "name\tsegment_id\na\tuse_1\nb\tuse_2\n",
        'reason;segment_id;stage\n"a; b";use_1;read\n"a ""b""";use_2;read\n',
        'segment_id,reason\nuse_1,"a quote that is not closed\nuse_2,another\n',
        'segment_id,reason\nuse_1,x\n\ufeff"segment_id","reason"\n\ufeff"use_2",y\n',
        "segment_id\nuse_1\nsegment_id\nuse_2\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_ids_are_read_however_they_were_written(file: Path, content: str, encoding: str) -> None:
    file.write_bytes(content.encode(encoding))
    assert ids_of(file) == ["use_1", "use_2"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_a_list_is_read_however_a_spreadsheet_saves_it(
    file: Path, encoding: str, line_end: str, delimiter: str, quoting: int
) -> None:
    with file.open("w", encoding=encoding, newline="") as opened:
        csv.writer(opened, delimiter=delimiter, lineterminator=line_end, quoting=quoting).writerows(REJECTED_ROWS)  # type: ignore[arg-type]
    assert ids_of(file) == ["use_1", "use_2"]


ODD_IDS = [
    "=use",
    "+use",
    "-use",
    "@use",
    "'use",
    "''use",
    r"u\se",
    r"u\\se",
    r"u\x41",
    'u"s"e',
    "usé",
    "u\x1bse",
    "use_1",
]


def happens(name: str, segment_id: str) -> Iterator[Event]:
    """What puts a profile into the list of this name."""
    if name == WITHOUT_IDENTIFIER:
        yield ProfileWithoutIdentifier(segment_id)
    elif name == DUPLICATES:
        yield DuplicateIdentifier(segment_id, 1, "use_other")
    else:
        yield TraitLeftOut(segment_id, "birthdate", "is not a date")
        yield TraitLeftOut(segment_id, "address.city", "is not text")
        yield ProfileRejected(Rejection(segment_id, "ada@example.com", "read", "answered, so; to\tspeak", "req-1"), 1)


@pytest.mark.parametrize("name", [WITHOUT_IDENTIFIER, DUPLICATES, REJECTED, WARNINGS])
@pytest.mark.parametrize("prefix", ["", "prod-"])
def test_each_list_that_segsync_writes_gives_its_profiles_back_each_once(
    tmp_path: Path, name: str, prefix: str
) -> None:
    path = tmp_path / f"{prefix.strip('-') or 'segsync'}.db"
    with open_ledger() as ledger, closing(ProfileLists(tmp_path, path)) as lists:
        record = recorder.for_listing(ledger, begin(ledger), done_pages=0, is_followed=True).record
        for event in (event for segment_id in ODD_IDS for event in happens(name, segment_id)):
            record(event)
        record(PageDone(1, "0", None, Outcomes(rejected=len(ODD_IDS))))
        assert ledger.read(lists.write) == ()
    assert sorted(ids_of(tmp_path / f"{prefix}{name}")) == sorted(ODD_IDS)


@given(st.text(min_size=1, max_size=50))
def test_what_a_list_escapes_is_read_as_it_was(value: str) -> None:
    assert unescaped(one_line(value)) == value


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "holds no Segment ids"),
        (b" \n\n;;\n", "holds no Segment ids"),
        (b"segment_id,stage\n", "holds no Segment ids"),
        (b"\xef\xbb\xbf", "holds no Segment ids"),
        (b"use_1\n\x00\x01\x02\n", "line 2: not text"),
        (b"PK\x03\x04\x14\x00\x06\x00\x08\n", "line 1: not text"),
        (b"SQLite format 3\x00\x10\x00\n", "line 1: not text"),
        (b"use_1\n\xff\xfe\n", "line 2: not text"),
        (b"use_1\nada@example.com\n", "line 2: an e-mail address instead of a Segment id"),
        (b"use_1\nuse_2\n\nName of the customer\n", "line 4: several words"),
        (b"use_1,read,answered 404\n", "line 1: several columns, and none is named segment_id"),
        (b"segment_id,reason\nuse_1,x\n,y\n", "line 3: no Segment id"),
        (b"stage,segment_id\nread,use_1\nread\n", "line 3: no Segment id"),
        (b"use_1\n" + b"x" * (2 << 20), "line 2: not text"),
        (one_line("x" * 2000).encode(), "line 1: an id of more than 1,000 characters"),
    ],
)
def test_a_file_that_holds_something_else_is_named_with_its_line_and_nothing_of_it(
    file: Path, content: bytes, words: str
) -> None:
    file.write_bytes(content)
    with pytest.raises(SettingsError) as raised, chosen(file):
        pass
    [problem] = raised.value.problems
    assert problem.startswith(f"--ids {file}")
    assert words in problem
    assert "ada" not in problem


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path, words in ((tmp_path / "none.txt", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(SettingsError, match=f"{path} cannot be read: {words}"), chosen(path):
            pass


def test_ids_come_from_standard_input_and_from_a_pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(codecs.BOM_UTF8 + b"use_1\nuse_2\n")))
    assert ids_of(Path("-")) == ["use_1", "use_2"]
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(b"use_1\nnot an id\n")))
    with pytest.raises(SettingsError, match="--ids standard input, line 2: several words"), chosen(Path("-")):
        pass
    reader, writer = os.pipe()
    os.write(writer, b"use_3\n")
    os.close(writer)
    assert list(ids_in(Path(f"/dev/fd/{reader}"))) == ["use_3"]
    os.close(reader)


def test_pages_have_a_hundred_ids_and_say_how_many_were_before() -> None:
    async def listed(ids: ChosenIds) -> list[tuple[str, int, str | None]]:
        return [(page.cursor, len(page.profiles), page.next_cursor) async for page in ids.pages()]

    with closing(ChosenIds(f"use_{number}" for number in range(250))) as ids:
        assert run_virtual(listed(ids)) == [("0", 100, "100"), ("100", 100, "200"), ("200", 50, None)]
    with closing(ChosenIds([])) as ids:
        assert run_virtual(listed(ids)) == []


def test_the_unknown_ids_come_in_the_order_of_the_file() -> None:
    with closing(ChosenIds(["c", "a", "b"])) as ids:
        for each in ("a", "c"):
            ids.mark_unknown(each)
        assert list(ids.unknown()) == ["c", "a"]


def test_memory_does_not_grow_with_the_file(file: Path) -> None:
    with file.open("w") as opened:
        opened.writelines(f"use_{number:027x}\n" for number in range(100_000))
    tracemalloc.start()
    try:
        with chosen(file) as ids:
            assert ids
            assert ids.count == 100_000
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 2_000_000
