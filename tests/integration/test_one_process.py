"""Imports as the command line makes them, in this process: what is printed and stored around the import itself."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from segsync.commands.import_ import import_at_terminal
from segsync.commands.status import read_status
from segsync.options import ImportOptions
from segsync.sandbox.process import SandboxProcess
from segsync.settings import Settings
from tests.conftest import StartSandbox
from tests.integration.conftest import RATES, fast
from tests.unit.commands.endings import called


class Typed:
    """What the user types, line by line, before the input ends."""

    def __init__(self, *lines: str) -> None:
        self._lines = [*lines]

    def readline(self) -> str:
        return self._lines.pop(0) if self._lines else ""


def options(directory: Path, sandbox: SandboxProcess, *flags: str, **more: Any) -> ImportOptions:
    settings = Settings.load(environ={**sandbox.connection, **RATES}, env_file=Path("/dev/null"))
    defaults: dict[str, Any] = {"offset": None, "limit": None, "mode": "lines", "verbose": False, "may_ask": False}
    return ImportOptions(
        settings=settings,
        ledger=directory / "a.db",
        directory=directory,
        command=called("--ledger", str(directory / "a.db"), *flags),
        **defaults | more,
    )


def test_an_import_begins_with_its_line_and_status_repeats_its_flags(
    tmp_path: Path, start_sandbox: StartSandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--limit", "20", "--batch-size", "10")
    _, code = import_at_terminal(options(tmp_path, start_sandbox(fast(50)), *flags, limit=20))
    assert code == 0
    first = capsys.readouterr().err.splitlines()[0]
    assert re.search(
        r"New import of the first 20 profiles\. .* 20 profiles: up to 41 Segment calls and \d Voucherify", first
    )
    status = read_status(tmp_path / "a.db", called("--ledger", "a.db"))
    assert status.next_command == "python -m segsync --resume --batch-size 10 --ledger a.db"


def test_a_retry_leaves_the_flags_of_the_run_as_they_are(tmp_path: Path, start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(fast(50, refused_later=0.5))
    import_at_terminal(options(tmp_path, sandbox, "--batch-size", "10"))
    import_at_terminal(options(tmp_path, sandbox, "--retry-rejected", "--quiet", retry_rejected=True))
    command = read_status(tmp_path / "a.db", called()).next_command
    assert command == "python -m segsync --retry-rejected --batch-size 10"


@pytest.mark.parametrize(("typed", "begins_anew"), [(("perhaps\n", "N\n"), True), ((), False)], ids=["no", "Ctrl-D"])
def test_no_after_an_error_ends_with_the_ways_on(
    tmp_path: Path,
    start_sandbox: StartSandbox,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    typed: tuple[str, ...],
    *,
    begins_anew: bool,
) -> None:
    monkeypatch.setattr("sys.stdin", Typed(*typed))
    sandbox = start_sandbox(fast(100, refused_at_once=1.0))
    _, code = import_at_terminal(options(tmp_path, sandbox, may_ask=True, offset="10"))
    assert code == 1
    shown = capsys.readouterr().err
    assert shown.count("Do you wish to resume the process from the offset: 10? Type") == max(len(typed), 1)
    commands = [line.split()[3:-2] for line in shown.splitlines() if line.startswith("  python -m segsync")]
    assert commands == [["--resume"], ["--offset", "10"], *([["--offset", "0"]] if begins_anew else [])]


def test_no_at_offset_0_names_the_way_to_begin_anew_once(
    tmp_path: Path, start_sandbox: StartSandbox, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", Typed("no\n"))
    import_at_terminal(options(tmp_path, start_sandbox(fast(100, refused_at_once=1.0)), may_ask=True))
    assert capsys.readouterr().err.count("segsync --offset 0 ") == 1


def test_yes_after_an_error_resumes_and_says_so(
    tmp_path: Path, start_sandbox: StartSandbox, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", Typed("Y\n"))
    sandbox = start_sandbox(fast(100, refused_at_once=1.0))
    _, code = import_at_terminal(options(tmp_path, sandbox, may_ask=True))
    shown = capsys.readouterr().err
    assert code == 1
    assert re.findall(r"\d\d:\d\d:\d\d (Resuming from offset 0: 0 profiles done\.) Segment space", shown)
    assert shown.count("Do you wish") == 1, "a second error ends it"
