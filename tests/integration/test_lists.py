"""The lists of profiles, as the commands leave them: from the ledger, whole, and by its name."""

from __future__ import annotations

import csv

import pytest

from segsync.report.profile_lists import REJECTED, WARNINGS, WITHOUT_IDENTIFIER
from tests.conftest import StartSandbox
from tests.integration.conftest import Segsync, StartRepairable, ended, fast, wait_until_accepted
from tests.integration.truth import truth

pytestmark = pytest.mark.slow


def rejected(segsync: Segsync, name: str = REJECTED) -> set[str]:
    return {row[0] for row in csv.reader(segsync.lines(name)[1:])}


def test_the_rejected_stay_listed_through_a_run_of_a_few_profiles_and_keep_their_exit_code(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    sandbox = start_sandbox(fast(300, refused_later=0.05))
    assert segsync(sandbox=sandbox).code == 3
    everybody = set(truth(sandbox.options).rejected)
    assert rejected(segsync) == everybody
    run = segsync("--limit", "10", "--offset", "0", sandbox=sandbox)
    assert run.code == 3
    assert rejected(segsync) == everybody
    assert f"{REJECTED} lists {len(everybody)} profiles" in run.stderr


def test_what_a_killed_run_did_not_write_the_status_writes(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(fast(3000, latency_ms=20.0, missing=0.1))
    running = segsync.start("--ledger", "prod.db", sandbox=sandbox)
    wait_until_accepted(sandbox, 300)
    running.kill()
    running.wait()
    assert rejected(segsync, f"prod-{REJECTED}") == set()
    assert segsync("status", "--ledger", "prod.db").code == 0
    status = segsync("status", "--ledger", "prod.db", "--json")
    assert rejected(segsync, f"prod-{REJECTED}") != set()
    assert f'"rejected": {len(rejected(segsync, f"prod-{REJECTED}"))}' in status.stdout
    assert not (segsync.directory / REJECTED).exists()


def test_a_second_ctrl_c_writes_them_too(segsync: Segsync, start_repairable: StartRepairable) -> None:
    sandbox = start_repairable(fast(3000, latency_ms=20.0))
    running = segsync.start(sandbox=sandbox)
    wait_until_accepted(sandbox, 200)
    for _ in range(2):
        running.terminate()
    assert ended(running).code == 143
    status = segsync.status()
    assert len(rejected(segsync, WARNINGS)) == status.warned_profiles > 0


def test_two_imports_in_one_folder_have_lists_of_their_own(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    one, two = start_sandbox(fast(200)), start_sandbox(fast(300, seed=2))
    assert segsync(sandbox=one).code == 0
    before = segsync.lines(WITHOUT_IDENTIFIER)
    run = segsync("--ledger", "prod.db", sandbox=two)
    assert run.code == 0
    assert segsync.lines(WITHOUT_IDENTIFIER) == before != []
    assert f"prod-{WITHOUT_IDENTIFIER}" in run.stdout
    assert set(segsync.lines(f"prod-{WITHOUT_IDENTIFIER}")) == truth(two.options).without_identifier


def test_a_list_that_cannot_be_written_costs_nothing_and_status_writes_it(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    sandbox = start_sandbox(fast(2000))
    running = segsync.start(sandbox=sandbox)
    wait_until_accepted(sandbox, 100)
    (segsync.directory / WITHOUT_IDENTIFIER).mkdir()
    run = ended(running)
    assert run.code == 1
    assert f"{WITHOUT_IDENTIFIER} cannot be written: Is a directory" in run.stderr
    assert sandbox.verdict().is_right
    assert segsync("status").code == 1
    (segsync.directory / WITHOUT_IDENTIFIER).rmdir()
    assert segsync("status").code == 0
    assert set(segsync.lines(WITHOUT_IDENTIFIER)) == truth(sandbox.options).without_identifier
