"""Files for others: what cannot be written is known before an import, and what is there is whole."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from rich.console import Console

from segsync.errors import OutputError
from segsync.events import TraitLeftOut
from segsync.options import ImportOptions, Invocation, ReportFiles
from segsync.report.counters import Counters
from segsync.report.import_report import make_report
from segsync.report.profile_lists import WARNINGS
from segsync.report.writer import leave, write
from tests.support.configured import settings


def test_a_new_file_is_for_its_owner_and_one_that_was_there_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write(path, b"one")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    write(path, b"two")
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"two", 0o644)
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_is_followed(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    link.symlink_to(target)
    write(link, b"content")
    assert link.is_symlink()
    assert target.read_bytes() == b"content"


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "summary.json"
    write(path, b"before")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"summary\.json cannot be written: No space left on device"):
        write(path, b"after")
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_a_container_has_mounted_is_written_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "termination-log"
    path.write_bytes(b"a longer text that was there before")

    def busy(_source: str, _target: Path) -> None:
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(os, "replace", busy)
    write(path, b"content")
    assert path.read_bytes() == b"content"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(OutputError, match="busy"):
        write(tmp_path / "new", b"content")


def test_standard_output_is_a_file_too(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    write(Path("-"), b"content")
    assert capfdbinary.readouterr().out == b"content"


@pytest.mark.parametrize(("is_dry_run", "warnings"), [(False, "4 in 3 profiles"), (True, "1 in 1 profile")])
def test_the_page_counts_the_warnings_of_the_whole_import_and_those_of_a_dry_run_alone(
    tmp_path: Path, is_dry_run: bool, warnings: str
) -> None:
    rows = "".join(f"use_{number},birthdate,is not an ISO 8601 date\n" for number in range(3))
    rows += 'use_2,name,"is a list, not text"\n'
    (tmp_path / WARNINGS).write_text(f"segment_id,trait,problem\n{rows}", encoding="utf-8")
    page = tmp_path / "report.html"
    options = ImportOptions(
        settings=settings(),
        ledger=tmp_path / "segsync.db",
        offset=None,
        limit=None,
        mode="quiet",
        verbose=False,
        may_ask=False,
        command=Invocation(["segsync"]),
        directory=tmp_path,
        outputs=ReportFiles(report=page, report_ids=2),
    )
    counters = Counters("0")
    counters.count(TraitLeftOut("use_1", "birthdate", "is a list, not text"))
    report = make_report(counters, state="done", error=None, is_confirmed=True, is_dry_run=is_dry_run)
    leave(options, report, 0, Console(quiet=True), steps=[])
    html = page.read_text(encoding="utf-8")
    assert f"Warnings: {warnings}</h2>" in html
    assert ("is not an ISO 8601 date.</b>" in html) == (not is_dry_run)
    named = ("use_0", "use_1", "use_2")  # of each problem two
    assert [name for name in named if name in html] == ([] if is_dry_run else [*named])
    assert html.count("use_2") == (not is_dry_run)
