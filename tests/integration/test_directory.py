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
