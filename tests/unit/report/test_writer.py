"""Files for others: what cannot be written is known before an import, and what is there is whole."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from rich.console import Console

from segsync.errors import OutputError
from segsync.models import Outcomes, WarningGroup
from segsync.options import ImportOptions, Invocation, ReportFiles
from segsync.report.counters import Counters
from segsync.report.import_report import Standing, make_report
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


def test_the_page_has_the_warnings_of_the_report(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    options = ImportOptions(
        settings=settings(),
        ledger=tmp_path / "prod.db",
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
    problems = (
        WarningGroup("birthdate", "is not an ISO 8601 date", 3, ("use_0", "use_1")),
        WarningGroup("name", "is a list, not text", 1),
    )
    standing = Standing(Outcomes(confirmed=5), problems=problems, warned_profiles=3)
    report = make_report(counters, state="done", error=None, is_confirmed=True, standing=standing)
    leave(options, report, 0, Console(quiet=True), steps=[])
    html = page.read_text(encoding="utf-8")
    assert "Warnings: 4 in 3 profiles</h2>" in html
    assert "is not an ISO 8601 date.</b>" in html
    assert [name for name in ("use_0", "use_1", "use_2") if name in html] == ["use_0", "use_1"]
