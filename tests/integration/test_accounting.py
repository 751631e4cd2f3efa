"""Nobody is lost sight of: after a stop, a kill or a retry, the commands that are printed bring everybody over."""

from __future__ import annotations

import re
import shlex

import msgspec
import pytest

from tests.conftest import StartSandbox
from tests.integration.conftest import Run, Segsync, StartRepairable, ended, fast, moment, wait_until
from tests.integration.truth import truth

pytestmark = pytest.mark.slow

AN_HOUR = 3600.0


def printed(run: Run) -> list[list[str]]:
    """The flags of each command that a run prints."""
    return [shlex.split(flags) for flags in re.findall(r"-m segsync (--.+)\n", run.stderr)]


@pytest.mark.parametrize("end", ["terminate", "kill"])
def test_the_ids_that_a_run_left_stay_the_next_step_until_they_are_read(
    segsync: Segsync, start_sandbox: StartSandbox, end: str
) -> None:
    sandbox = start_sandbox(fast(400))
    everybody = truth(sandbox.options)
    (segsync.directory / "all.txt").write_text("\n".join(sorted(everybody.all)))
    again = ["--ids", "all.txt", "--batch-size", "20", "--no-input"]
    running = segsync.start(*again, sandbox=sandbox, SEGMENT_REQUESTS_PER_SECOND="200")
    wait_until(lambda: moment(sandbox).accepted > 40)
    getattr(running, end)()
    stopped = ended(running)
    assert end == "kill" or printed(stopped) == [again]
    status = segsync.status()
    assert shlex.split(status.next_command or "")[3:] == again
    assert status.runs[0].profiles == 400
    assert status.runs[0].outcomes.pending > 0
    if status.runs[0].open_upserts:
        resumed = segsync("--resume", "--no-input", "--summary-json", "s.json", sandbox=sandbox)
        assert (resumed.code, printed(resumed)[0][:2]) == (3, again[:2])
        assert resumed.row("Pending") == segsync.status().runs[0].outcomes.pending > 0
        summary = msgspec.json.decode((segsync.directory / "s.json").read_bytes())
        assert shlex.split(summary["next_command"])[3:5] == again[:2]
    assert segsync("--limit", "10", "--offset", "0", sandbox=sandbox).code == 0
    run = segsync(*shlex.split(segsync.status().next_command or "")[3:], sandbox=sandbox)
    assert run.code == 0
    assert sandbox.verdict().is_right
    assert segsync.status().next_command is not None, "the rest of the space"


def test_after_an_interrupted_retry_reading_results_imports_nobody_else(
    segsync: Segsync, start_repairable: StartRepairable
) -> None:
    sandbox = start_repairable(fast(400, refused_later=0.3))
    assert segsync("--limit", "200", sandbox=sandbox).code == 3
    sandbox.repair(action_seconds=AN_HOUR)
    running = segsync.start("--retry-rejected", sandbox=sandbox)
    wait_until(lambda: segsync.first_run().outcomes.rejected == 0)
    running.terminate()
    stopped = ended(running)
    assert "are not read. To read them, run:" in stopped.stderr
    assert printed(stopped) == [["--resume", "--limit", "200"], ["--resume"]]
    assert shlex.split(segsync.status().next_command or "")[3:] == ["--resume", "--limit", "200"]
    sandbox.pass_time(AN_HOUR)
    accepted = moment(sandbox).accepted
    read = segsync("--resume", "--limit", "200", sandbox=sandbox)
    assert (read.code, read.row("Profiles listed"), moment(sandbox).accepted) == (0, 200, accepted)
    sandbox.repair()
    run = segsync(*printed(read)[-1], sandbox=sandbox)
    assert (run.code, run.row("Profiles listed")) == (0, 400)
    assert sandbox.verdict().is_right


def test_a_retry_of_a_limited_import_names_the_rest_and_a_resume_what_is_rejected(
    segsync: Segsync, start_repairable: StartRepairable
) -> None:
    sandbox = start_repairable(fast(300, refused_later=0.2))
    assert segsync("--limit", "150", sandbox=sandbox).code == 3
    sandbox.repair()
    retry = segsync("--retry-rejected", "--summary-json", "s.json", "--report", "r.html", sandbox=sandbox)
    assert (retry.code, printed(retry)) == (0, [["--resume", "--report", "r.html", "--summary-json", "s.json"]])
    summary = msgspec.json.decode((segsync.directory / "s.json").read_bytes())
    assert shlex.split(summary["next_command"])[3] == "--resume"
    assert "--resume" in (segsync.directory / "r.html").read_text(encoding="utf-8")


def test_a_resume_with_nothing_to_do_exits_with_3_while_profiles_are_rejected(
    segsync: Segsync, start_repairable: StartRepairable
) -> None:
    sandbox = start_repairable(fast(200, refused_later=0.2))
    assert segsync(sandbox=sandbox).code == 3
    rejected = segsync.first_run().outcomes.rejected
    for _ in range(2):
        run = segsync("--resume", "--no-input", "--summary-json", "s.json", sandbox=sandbox)
        assert "is complete: nothing to resume." in run.stderr
        assert f"Rejected: {rejected} profiles." in run.stderr
        summary = msgspec.json.decode((segsync.directory / "s.json").read_bytes())
        assert (run.code, summary["exit_code"]) == (3, 3)
        assert printed(run) == [["--retry-rejected", "--summary-json", "s.json", "--no-input"]]
    sandbox.repair()
    assert segsync(*printed(run)[0], sandbox=sandbox).code == 0
    for flag in ("--resume", "--retry-rejected"):
        assert segsync(flag, sandbox=sandbox).code == 0
