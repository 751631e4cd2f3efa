"""The ledger as a file: whose it is, where it is, what damages it, and where it cannot be written."""

from __future__ import annotations

import re
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from segsync.ledger.migration import FORMAT
from segsync.sandbox.process import SandboxProcess
from tests.conftest import StartSandbox
from tests.integration.conftest import (
    SEGSYNC,
    Segsync,
    calls,
    ended,
    fast,
    wait_until_accepted,
)
from tests.integration.truth import assert_files_match, truth

pytestmark = pytest.mark.slow

WITH_A_SMALL_DISK = """
import os, resource, sys
_, size, *command = sys.argv
resource.setrlimit(resource.RLIMIT_FSIZE, (int(size), int(size)))
os.execv(command[0], command)
"""
"""Runs a command for which no file can grow beyond that many bytes."""


def _with_a_small_disk(segsync: Segsync, size: int) -> Segsync:
    return Segsync(segsync.directory, (sys.executable, "-c", WITH_A_SMALL_DISK, str(size), *SEGSYNC))


# --- whose it is, and whether it is one -------------------------------------------------------------------------


def test_a_ledger_of_another_import_is_named_and_no_call_is_made(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(fast(100))
    assert segsync("--limit", "50", sandbox=sandbox).code == 0
    before, status = calls(sandbox), segsync.status()
    another_space = "The import on the ledger segsync.db is from Segment spa_sandbox, not from Segment spa_another."
    another_project = "The ledger segsync.db belongs to imports into another Voucherify project."
    for settings, message in (
        ({"SEGMENT_SPACE_ID": "spa_another"}, another_space),
        ({"VOUCHERIFY_APPLICATION_ID": "another-application"}, another_project),
    ):
        for arguments in ((), ("--retry-rejected",)):
            run = segsync(*arguments, sandbox=sandbox, **settings)
            assert run.code == 2
            assert message in run.stderr
            assert "--ledger FILE" in run.stderr
            assert "another-application" not in run.stderr
    assert calls(sandbox) == before
    assert segsync.status() == status


def _is_not_a_database(path: Path) -> None:
    path.write_text("Dear diary,\n" * 1000)


def _is_cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:6000])


def _has_a_broken_page(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[8192 : 8192 + 600] = b"\xa5" * 600
    path.write_bytes(content)


def _is_of_another_program(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE recipes (name TEXT)")


def _is_newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version={FORMAT + 1}")


DAMAGED = "is damaged or not an SQLite file. It was left as it is."


def test_a_ledger_that_cannot_be_understood_is_named_and_left_as_it_is(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    sandbox = start_sandbox(fast(100))
    assert segsync("--limit", "50", sandbox=sandbox).code == 0
    before = calls(sandbox)
    ledger = segsync.directory / "segsync.db"
    sound = ledger.read_bytes()
    for damage, message in (
        (_is_not_a_database, DAMAGED),
        (_is_cut_off, DAMAGED),
        (_has_a_broken_page, DAMAGED),
        (_is_of_another_program, "segsync.db is not a ledger of segsync. Choose another file: --ledger FILE"),
        (_is_newer, "was written by a newer segsync"),
    ):
        ledger.write_bytes(sound)
        damage(ledger)
        content = ledger.read_bytes()
        for arguments in (("--resume",), ("status",)):
            run = segsync(*arguments, sandbox=sandbox)
            assert run.code == 2, damage
            assert message in run.stderr
            assert "segsync.db" in run.stderr
        assert ledger.read_bytes() == content
    assert f"(format {FORMAT + 1}, this one knows {FORMAT}). Update segsync" in run.stderr
    assert calls(sandbox) == before


def test_a_ledger_that_was_only_just_made_holds_no_run_and_can_be_used(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    """A process that is killed in its first moments leaves such a file."""
    (segsync.directory / "segsync.db").touch()
    status = segsync("status")
    assert "No import has run" in status.stdout + status.stderr, status
    assert segsync("--resume", sandbox=start_sandbox(fast(100))).code == 0


# --- where it cannot be written -----------------------------------------------------------------------------


def test_a_ledger_that_cannot_be_made_is_known_before_anything_is_sent(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    sandbox = start_sandbox(fast(100))
    (segsync.directory / "folder").mkdir()
    (segsync.directory / "file").touch()
    for ledger, why in (
        ("nowhere/segsync.db", "No such file or directory"),
        ("folder", "Is a directory"),
        ("file/segsync.db", "Not a directory"),
    ):
        run = segsync("--ledger", ledger, sandbox=sandbox)
        assert run.code == 2
        way_out = "Choose another file: --ledger FILE, or SEGSYNC_LEDGER"
        assert run.stderr == f"Error: The ledger {ledger} cannot be written: {why}. {way_out} [ledger-unwritable]\n"
    assert calls(sandbox) == 0
    assert sorted(path.name for path in segsync.directory.iterdir()) == ["file", "folder"]


def test_a_disk_that_is_full_already_is_known_before_anything_is_sent(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    sandbox = start_sandbox(fast(100))
    run = _with_a_small_disk(segsync, 4096)(sandbox=sandbox)
    assert run.code == 2
    assert "The ledger segsync.db cannot be written" in run.stderr
    assert calls(sandbox) == 0
    assert segsync("--resume", sandbox=sandbox).code == 0
    assert sandbox.verdict().is_right


def test_a_disk_that_gets_full_for_the_ledger_stops_the_run_and_loses_nothing(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    sandbox = start_sandbox(fast(1200, missing=0.03, refused_later=0.02))
    run = _with_a_small_disk(segsync, 150_000)(sandbox=sandbox)
    assert run.code == 1, run
    assert "Error: The ledger segsync.db cannot be written" in run.stderr
    assert "python -m segsync --resume" in run.stderr
    assert 0 < sandbox.verdict().accepted < 1000, "that was in the middle"
    _assert_a_resume_completes(segsync, sandbox)


def test_the_offset_that_a_full_disk_leaves_to_go_on_from_is_not_ahead_of_the_ledger(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    """A run that starts at that offset would never read results that the ledger does not know."""
    sandbox = start_sandbox(fast(1500, refused_later=0.05, action_seconds=0.3))
    for size in (120_000, 140_000, 150_000, 160_000):
        run = _with_a_small_disk(segsync, size)("--ledger", f"{size}.db", sandbox=sandbox)
        assert run.code == 1
        for offset in re.findall(r"--offset (\d+)", run.stderr):
            reached = segsync.first_run(f"{size}.db").offset
            assert int(offset) <= int(reached or 0), f"with {size:,} bytes"


def _assert_a_resume_completes(segsync: Segsync, sandbox: SandboxProcess) -> None:
    run = segsync("--resume", sandbox=sandbox)
    verdict, expected = sandbox.verdict(), truth(sandbox.options)
    assert run.code == 3
    assert verdict.is_right
    assert run.row("Profiles listed") == sandbox.options.profiles
    assert run.row("Customers confirmed") == len(expected.customers)
    assert run.row("Rejected") == len(expected.rejected)
    assert_files_match(expected, segsync)


# --- where it is, and who may see it ------------------------------------------------------------


def test_the_ledger_is_where_the_flag_says_or_the_environment_or_the_env_file(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    sandbox = start_sandbox(fast(50))
    (segsync.directory / ".env").write_text("SEGSYNC_LEDGER=by-file.db\n")
    assert segsync(sandbox=sandbox).code == 0
    assert segsync(sandbox=sandbox, SEGSYNC_LEDGER="by-environment.db").code == 0
    assert segsync("--ledger", "by-flag.db", sandbox=sandbox, SEGSYNC_LEDGER="by-environment.db").code == 0
    assert sorted(path.name for path in segsync.directory.glob("*.db")) == [
        "by-environment.db",
        "by-file.db",
        "by-flag.db",
    ]
    assert "Ledger by-file.db" in segsync("status").stdout
    assert "Ledger by-environment.db" in segsync("status", SEGSYNC_LEDGER="by-environment.db").stdout
    assert "Ledger by-flag.db" in segsync("status", "--ledger", "by-flag.db").stdout


def test_the_command_that_resumes_names_the_ledger_that_the_flag_named(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    run = segsync(
        "--ledger",
        "my ledger.db",
        sandbox=start_sandbox(fast(50)),
        SEGMENT_BASE_URL="http://127.0.0.1:1",
        SEGSYNC_RETRY_SECONDS="0",
    )
    assert run.code == 1
    assert "python -m segsync --resume --ledger 'my ledger.db'\n" in run.stderr


def test_the_ledger_and_the_files_are_for_their_owner_alone(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(fast(700, missing=0.05))
    (segsync.directory / "segsync.db").touch(mode=0o666)
    running = segsync.start(sandbox=sandbox, SEGMENT_REQUESTS_PER_SECOND="800")
    wait_until_accepted(sandbox, 100)
    during = _modes(segsync)
    assert ended(running).code == 3
    assert {"segsync.db", "segsync.db-wal", "segsync.db-shm"} <= set(during)
    after = _modes(segsync)
    names = ("profiles-with-warnings.csv", "profiles-without-identifier.txt", "rejected-profiles.csv", "segsync.db")
    assert set(names) <= set(after)
    assert {**during, **after} == dict.fromkeys({**during, **after}, 0o600)


def _modes(segsync: Segsync) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in segsync.directory.iterdir()}
