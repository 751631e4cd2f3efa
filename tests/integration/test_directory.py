"""`--directory`: where the lists of profiles go."""

from __future__ import annotations

import stat

from tests.conftest import StartSandbox
from tests.integration.conftest import Segsync, fast


def test_lists_go_to_the_directory_which_the_command_that_resumes_names_again(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    sandbox = start_sandbox(fast(300, missing=0.1))
    run = segsync("--limit", "100", "--directory", "out/lists", sandbox=sandbox)
    assert run.code == 3, run.stderr
    [command] = [line for line in run.stderr.splitlines() if "--resume" in line]
    assert "--directory out/lists" in command
    folder = segsync.directory / "out" / "lists"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    rejected = len((folder / "rejected-profiles.csv").read_text(encoding="utf-8").splitlines()) - 1
    assert rejected == run.row("Rejected") > 0
    assert {path.name for path in segsync.directory.iterdir() if path.suffix in (".csv", ".txt")} == set()
    assert segsync("--resume", "--directory", "out/lists", sandbox=sandbox).code == 3
    assert len((folder / "rejected-profiles.csv").read_text(encoding="utf-8").splitlines()) - 1 > rejected


def test_two_ledgers_of_the_same_name_keep_their_lists_apart_beside_them(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    for name in ("eu", "us"):
        (segsync.directory / name).mkdir()
    run = segsync("--ledger", "eu/prod.db", sandbox=start_sandbox(fast(60, missing=0.2)))
    assert run.code == 3, run.stderr
    before = segsync.lines("eu/prod-rejected-profiles.csv")
    assert len(before) - 1 == run.row("Rejected") > 0
    assert " eu/prod-rejected-profiles.csv" in run.stdout
    assert segsync("--ledger", "us/prod.db", "--limit", "1", sandbox=start_sandbox(fast(60, seed=2))).code == 0
    for arguments in (("status", "--ledger", "us/prod.db"), ("status", "--ledger", "eu/prod.db")):
        assert segsync(*arguments).code == 0
        assert segsync.lines("eu/prod-rejected-profiles.csv") == before
    assert [path.name for path in segsync.directory.iterdir() if path.is_file()] == []
