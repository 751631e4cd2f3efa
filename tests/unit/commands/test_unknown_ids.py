"""The ids that Segment does not know: some are printed at the end, and all of them are in a list."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from segsync.commands.unknown_ids import unknown_ids_notes
from segsync.models import Outcomes
from segsync.pipeline.chosen import ChosenIds
from segsync.report.import_report import EndState, ImportReport
from segsync.report.profile_lists import UNKNOWN_IDS
from tests.unit.commands.endings import REQUEST, ended


@pytest.fixture
def chosen() -> Iterator[ChosenIds]:
    """Twenty ids, of which the first twelve are unknown."""
    with closing(ChosenIds(f"use_{number:02}" for number in range(20))) as ids:
        for number in reversed(range(12)):
            ids.mark_unknown(f"use_{number:02}")
        yield ids


REPORT: ImportReport = ended("done", Outcomes(confirmed=8), unknown_ids=12)
SHOWN = ", ".join(f"use_{number:02}" for number in range(10))


def test_ten_are_shown_and_all_are_in_a_private_list_with_the_name_of_the_ledger(
    chosen: ChosenIds, tmp_path: Path
) -> None:
    options = replace(REQUEST, ledger=Path("prod.db"), directory=tmp_path)
    name = f"prod-{UNKNOWN_IDS}"
    assert unknown_ids_notes(chosen, REPORT, options) == [
        f"Segment does not know 12 Segment ids ({tmp_path / name}): {SHOWN} and 2 more"
    ]
    [path] = tmp_path.iterdir()
    assert (path.name, stat.S_IMODE(path.stat().st_mode)) == (name, 0o600)
    assert path.read_text().splitlines() == [f"use_{number:02}" for number in range(12)]


@pytest.mark.parametrize(("state", "is_written"), [("done", True), ("interrupted", False), ("stopped", False)])
def test_the_list_that_has_to_be_given_again_stays_as_it_is(
    chosen: ChosenIds, tmp_path: Path, state: EndState, is_written: bool
) -> None:
    path = tmp_path / UNKNOWN_IDS
    path.write_text("use_00\nuse_19\n")
    options = replace(REQUEST, ledger=Path("segsync.db"), directory=tmp_path, ids=path)
    [note] = unknown_ids_notes(chosen, ended(state, Outcomes(confirmed=8), unknown_ids=12), options)
    assert (path.read_text() == "use_00\nuse_19\n") is not is_written
    assert (f"({path})" in note) is is_written


def test_a_dry_run_leaves_no_list(chosen: ChosenIds, tmp_path: Path) -> None:
    options = replace(REQUEST, directory=tmp_path, dry_run=True)
    assert unknown_ids_notes(chosen, REPORT, options) == [f"Segment does not know 12 Segment ids: {SHOWN} and 2 more"]
    assert not list(tmp_path.iterdir())


def test_where_all_are_unknown_the_space_may_be_wrong(tmp_path: Path) -> None:
    with closing(ChosenIds(["=use\x1b"])) as ids:
        ids.mark_unknown("=use\x1b")
        report = structs.replace(REPORT, unknown_ids=1)
        first, second = unknown_ids_notes(ids, report, replace(REQUEST, ledger=Path("segsync.db"), directory=tmp_path))
    assert first == f"Segment does not know 1 Segment id ({tmp_path / UNKNOWN_IDS}): '=use\\x1b"
    assert "SEGMENT_SPACE_ID and SEGMENT_REGION" in second


def test_a_list_that_cannot_be_written_is_named_and_the_ids_are_shown_all_the_same(
    chosen: ChosenIds, tmp_path: Path
) -> None:
    options = replace(REQUEST, ledger=Path("segsync.db"), directory=tmp_path / "missing")
    first, second = unknown_ids_notes(chosen, REPORT, options)
    problem = f"{tmp_path / 'missing' / UNKNOWN_IDS} cannot be written: No such file or directory"
    assert first == f"Error: {problem} [file-unwritable]"
    assert SHOWN in second
