"""`--dry-run`: everything but the sending. What would be sent is in a file, and nothing else has changed."""

from __future__ import annotations

import csv
import stat

import msgspec
import pytest

from segsync.sandbox.process import SandboxProcess
from tests.conftest import StartSandbox
from tests.integration.conftest import Segsync, ended, fast, moment, wait_until

pytestmark = pytest.mark.slow


def accepted_by(sandbox: SandboxProcess) -> tuple[int, int]:
    seen = moment(sandbox)
    return seen.voucherify_calls, seen.accepted


def test_the_file_holds_exactly_what_an_import_then_sends(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(fast(500))
    run = segsync("--dry-run", "--output", "customers.ndjson", sandbox=sandbox)
    assert run.code == 0, run.stderr
    assert accepted_by(sandbox) == (1, 0), "Voucherify is asked for its metadata schema, and gets no other call"
    assert "Dry run: done, nothing was sent" in run.stdout
    assert "personal data" in run.stderr
    path = segsync.directory / "customers.ndjson"
    assert list(segsync.directory.iterdir()) == [path]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    customers = path.read_bytes().splitlines()
    assert run.row("Would be sent") == len(customers)
    assert run.row("Would be sent") + run.row("Without identifier") == run.row("Profiles listed") == 500
    assert not run.has_row("Customers")

    send_as_they_are(sandbox, customers)
    assert sandbox.verdict().is_right, "the file holds what should arrive"


def send_as_they_are(sandbox: SandboxProcess, customers: list[bytes]) -> None:
    from urllib.request import Request, urlopen

    connection = sandbox.connection
    headers = {
        "X-App-Id": connection["VOUCHERIFY_APPLICATION_ID"],
        "X-App-Token": connection["VOUCHERIFY_SECRET_KEY"],
        "Content-Type": "application/json",
    }
    for start in range(0, len(customers), 100):
        body = b"[" + b",".join(customers[start : start + 100]) + b"]"
        with urlopen(Request(f"{sandbox.url}/v1/customers/bulk/async", body, headers)) as answer:  # noqa: S310
            assert answer.status == 202


def test_the_csv_has_a_row_a_customer_in_voucherifys_columns(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    run = segsync("--dry-run", "--output", "customers.csv", sandbox=start_sandbox(fast(300)))
    with (segsync.directory / "customers.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert run.code == 0
    assert len(rows) == run.row("Would be sent")
    assert {"Source_id", "Name", "Email", "Address_line_1", "Address_Postal_Code", "plan", "tags"} <= set(rows[0])
    assert all(row["Source_id"] for row in rows)


def test_without_a_file_it_counts_and_leaves_nothing(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(fast(500, missing=0.05))
    run = segsync("--dry-run", "--limit", "250", sandbox=sandbox)
    assert run.code == 3, "deleted profiles would be rejected"
    assert run.row("Profiles listed") == 250
    assert run.row("Rejected") > 0
    assert accepted_by(sandbox) == (1, 0)
    assert list(segsync.directory.iterdir()) == []
    assert "resume" not in run.stderr


def test_a_real_import_and_what_it_left_are_not_touched(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(fast(400, missing=0.1))
    segsync("--limit", "200", sandbox=sandbox)
    before = {path.name: path.read_bytes() for path in segsync.directory.iterdir()}
    seen = accepted_by(sandbox)
    sound = start_sandbox(fast(400))
    run = segsync("--dry-run", "--offset", "100", sandbox=sound)
    assert run.code == 0
    assert run.row("Profiles listed") == 300
    assert {path.name: path.read_bytes() for path in segsync.directory.iterdir()} == before
    assert accepted_by(sandbox) == seen


@pytest.mark.parametrize("name", ["there.csv", "there.ndjson"])
def test_a_file_that_is_there_is_refused_before_anything_is_read(
    segsync: Segsync, start_sandbox: StartSandbox, name: str
) -> None:
    sandbox = start_sandbox(fast(100))
    (segsync.directory / name).write_text("mine", encoding="utf-8")
    run = segsync("--dry-run", "--output", name, sandbox=sandbox)
    assert run.code == 2
    assert f"{name} exists already" in run.stderr
    assert (segsync.directory / name).read_text(encoding="utf-8") == "mine"
    assert moment(sandbox).segment_calls == 0


def test_a_folder_that_is_not_there_is_named(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    run = segsync("--dry-run", "--output", "nowhere/a.csv", sandbox=start_sandbox(fast(100)))
    assert run.code == 2
    assert "nowhere/a.csv cannot be written: No such file or directory" in run.stderr


def test_a_failed_start_leaves_no_file_in_the_way_of_the_next(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(fast(100))
    assert segsync("--dry-run", "--output", "a.csv", sandbox=sandbox, SEGMENT_ACCESS_TOKEN="wrong").code == 2
    assert segsync("--dry-run", "--output", "a.csv", sandbox=sandbox).code == 0


@pytest.mark.parametrize("name", ["a.csv", "a.ndjson"])
def test_ctrl_c_ends_it_with_what_was_read_in_the_file(
    segsync: Segsync, start_sandbox: StartSandbox, name: str
) -> None:
    import signal

    sandbox = start_sandbox(fast(100_000))
    running = segsync.start("--dry-run", "--output", name, sandbox=sandbox, SEGMENT_REQUESTS_PER_SECOND="1000")
    wait_until(lambda: moment(sandbox).segment_calls > 1000)
    running.send_signal(signal.SIGINT)
    run = ended(running)
    assert run.code == 130
    assert "Dry run: interrupted, nothing was sent" in run.stdout
    assert "can't be resumed" in run.stderr
    lines = segsync.lines(name)
    assert 0 < run.row("Would be sent") <= len(lines)
    if name.endswith("ndjson"):
        assert all(msgspec.json.decode(line)["source_id"] for line in lines)


def test_it_can_be_tried_on_the_sandbox(segsync: Segsync) -> None:
    run = segsync("--sandbox", "--dry-run", "--output", "a.ndjson")
    assert run.code == 0, run.stderr
    assert run.row("Would be sent") == len(segsync.lines("a.ndjson"))
