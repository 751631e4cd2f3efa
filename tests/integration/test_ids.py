"""`--ids FILE`, and dry runs of what it takes and of what a retry takes."""

from __future__ import annotations

import csv
import re
import shlex
import subprocess

import msgspec
import pytest

from segsync.report.profile_lists import REJECTED, UNKNOWN_IDS, WARNINGS, WITHOUT_IDENTIFIER
from tests.conftest import StartSandbox
from tests.integration.conftest import Segsync, StartRepairable, ended, fast, moment, wait_until, wait_until_accepted
from tests.integration.truth import truth

pytestmark = pytest.mark.slow


def save_as_spreadsheet(segsync: Segsync, name: str, to: str) -> None:
    """As a spreadsheet saves a list after somebody has moved its columns: in UTF-16, with `;` and CRLF."""
    rows = [row[::-1] for row in csv.reader(segsync.lines(name))]
    with (segsync.directory / to).open("w", encoding="utf-16", newline="") as file:
        csv.writer(file, delimiter=";", lineterminator="\r\n").writerows([*rows, [], [""] * len(rows[0])])


def test_the_profiles_of_a_list_are_imported_alone_whatever_a_spreadsheet_made_of_it(
    segsync: Segsync, start_repairable: StartRepairable
) -> None:
    sandbox = start_repairable(fast(500, refused_later=0.03, refused_at_once=0.005))
    assert segsync(sandbox=sandbox).code == 3
    rejected = truth(sandbox.options).rejected
    save_as_spreadsheet(segsync, REJECTED, "to do.csv")
    before = sandbox.verdict()
    sandbox.repair()
    run = segsync("--ids", "to do.csv", sandbox=sandbox)
    after = sandbox.verdict()
    assert run.code == 0, run.stderr
    assert f"{len(rejected)} Segment ids from to do.csv" in run.stderr
    assert run.row("Profiles of --ids") == run.row("Customers confirmed") == len(rejected)
    assert after.is_right
    assert after.segment_calls - before.segment_calls == 2 * len(rejected), "it listed nothing, and read them alone"
    assert segsync.lines(REJECTED) == []
    status = segsync.status()
    assert [(each.state, each.ids_from, each.outcomes.rejected) for each in status.runs] == [
        ("done", "to do.csv", 0),
        ("done", None, 0),
    ]
    assert (status.rejections, status.next_step) == ([], "Nothing is left to do.")


def test_warnings_and_profiles_without_identifier_are_lists_too(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(fast(300))
    segsync(sandbox=sandbox)
    warned = {row["segment_id"] for row in csv.DictReader(segsync.lines(WARNINGS))}
    assert 0 < len(warned) < len(segsync.lines(WARNINGS)) - 1, "some have several rows"
    accepted = moment(sandbox).accepted
    run = segsync("--ids", WARNINGS, sandbox=sandbox)
    assert (run.code, run.row("Customers confirmed")) == (0, len(warned))
    assert moment(sandbox).accepted == accepted + len(warned)
    without = segsync.lines(WITHOUT_IDENTIFIER)
    run = segsync("--ids", WITHOUT_IDENTIFIER, sandbox=sandbox)
    assert (run.code, run.row("Without identifier"), run.row("Customers confirmed")) == (0, len(without), 0)
    assert sandbox.verdict().is_right


def test_ids_that_segment_does_not_know_are_listed_and_the_others_imported(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    sandbox = start_sandbox(fast(100))
    known = sorted(truth(sandbox.options).customers)[:30]
    unknown = [f"use_unknown_{number:02}" for number in range(12)]
    (segsync.directory / "ids.txt").write_text("\n".join([*unknown, *known]))
    run = segsync("--ids", "ids.txt", "--summary-json", "summary.json", sandbox=sandbox)
    assert run.code == 3
    assert (run.row("Profiles of --ids"), run.row("Customers confirmed"), run.row("Unknown ids")) == (30, 30, 12)
    assert f"Segment does not know 12 Segment ids ({UNKNOWN_IDS}): {', '.join(unknown[:10])} and 2 more" in run.stderr
    assert segsync.lines(UNKNOWN_IDS) == unknown
    assert "--retry-rejected" not in run.stderr
    assert segsync.lines(REJECTED) == []
    summary = msgspec.json.decode((segsync.directory / "summary.json").read_bytes())
    assert (summary["exit_code"], summary["profiles"], summary["unknown_ids"]) == (3, 30, 12)
    assert segsync.status().runs[0].profiles == 30
    (segsync.directory / "ids.txt").write_text("\n".join(unknown))
    run = segsync("--ids", "ids.txt", sandbox=sandbox)
    assert run.code == 3
    assert "It knows none of them" in run.stderr
    (segsync.directory / "ids.txt").write_text("\n".join(known))
    assert segsync("--ids", "ids.txt", sandbox=sandbox).code == 0
    assert segsync.lines(UNKNOWN_IDS) == [], "it is the list of the last run"


def test_ids_come_from_standard_input(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(fast(100))
    [segment_id, *_] = sorted(truth(sandbox.options).customers)
    done = subprocess.run(
        [*segsync.command, "--ids", "-"],
        cwd=segsync.directory,
        env=segsync.environment(sandbox),
        input=f"{segment_id}\n",
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert moment(sandbox).accepted == 1


def test_dry_runs_of_both_read_and_map_and_change_nothing(segsync: Segsync, start_repairable: StartRepairable) -> None:
    sandbox = start_repairable(fast(300, refused_later=0.05, missing=0.02))
    assert segsync("--ledger", "prod.db", sandbox=sandbox).code == 3
    rows = list(csv.DictReader(segsync.lines(f"prod-{REJECTED}")))
    ids = {row["segment_id"] for row in rows}
    gone = {row["segment_id"] for row in rows if row["stage"] == "read"}
    assert ids > gone > set()
    (segsync.directory / "ids.csv").write_text("segment_id\n" + "\n".join(ids))
    before = {path.name: path.read_bytes() for path in segsync.directory.iterdir()}
    accepted = moment(sandbox).accepted
    for flags, name in ((("--retry-rejected",), "retry.ndjson"), (("--ids", "ids.csv"), "ids.ndjson")):
        run = segsync("--dry-run", *flags, "--ledger", "prod.db", "--output", name, sandbox=sandbox)
        assert run.code == 3
        assert run.row("Would be sent") == len(ids) - len(gone)
        assert run.row("Unknown ids") == len(gone)
        is_retry = "--retry-rejected" in flags
        assert run.row("Rejected profiles" if is_retry else "Profiles of --ids") == len(ids) - len(gone)
        what = f"{len(ids)} rejected profiles" if is_retry else f"the profiles of {len(ids)} Segment ids"
        assert f"Dry run of {what}" in run.stderr
        assert len(segsync.lines(name)) == len(ids) - len(gone)
        (segsync.directory / name).unlink()
        run = segsync("--dry-run", *flags, "--ledger", "prod.db", sandbox=sandbox)
        assert (run.code, run.row("Would be sent")) == (3, len(ids) - len(gone))
    assert moment(sandbox).accepted == accepted
    assert {path.name: path.read_bytes() for path in segsync.directory.iterdir()} == before
    sandbox.repair()
    segsync("--limit", "1", "--ledger", "empty.db", sandbox=sandbox)
    run = segsync("--dry-run", "--retry-rejected", "--ledger", "empty.db", "--output", "none.csv", sandbox=sandbox)
    assert (run.code, run.stdout) == (0, "")
    assert "The ledger empty.db has no rejected profiles: nothing to retry." in run.stderr
    assert not (segsync.directory / "none.csv").exists()


def test_ctrl_c_names_the_command_that_begins_again_and_kill_9_is_repaired_by_it_too(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    sandbox = start_sandbox(fast(400))
    running = segsync.start("--ledger", "prod.db", sandbox=sandbox, SEGMENT_REQUESTS_PER_SECOND="400")
    wait_until_accepted(sandbox, 100)
    running.terminate()
    assert ended(running).code == 143
    offset = segsync.first_run("prod.db").offset
    everybody = truth(sandbox.options)
    (segsync.directory / "my ids.txt").write_text("\n".join(sorted(everybody.all)))
    flags = ("--ids", "my ids.txt", "--ledger", "prod.db", "--batch-size", "20")
    for end in ("terminate", "kill"):
        accepted = moment(sandbox).accepted
        running = segsync.start(*flags, sandbox=sandbox, SEGMENT_REQUESTS_PER_SECOND="400")
        wait_until(lambda since=accepted: moment(sandbox).accepted > since + 40)  # type: ignore[misc]
        getattr(running, end)()
        stopped = ended(running)
        if end == "terminate":
            assert stopped.code == 143
            [command] = re.findall(r"python\S* -m segsync (--ids .+)\n", stopped.stderr)
    run = segsync(*shlex.split(command), sandbox=sandbox)
    assert run.code == 0, run.stderr
    assert run.row("Customers confirmed") == len(everybody.customers)
    assert sandbox.verdict().is_right
    runs = segsync("status", "--json", "--ledger", "prod.db").stdout
    assert [each["state"] for each in msgspec.json.decode(runs)["runs"]] == ["done", *["interrupted"] * 3]
    assert segsync("status", "--json", "--ledger", "prod.db").stdout.count('"my ids.txt"') == 3
    resumed = segsync("--resume", "--ledger", "prod.db", "--no-input", sandbox=sandbox)
    assert f"Resuming from offset {offset}" in resumed.stderr
    assert (resumed.code, resumed.row("Profiles listed")) == (0, 400)
