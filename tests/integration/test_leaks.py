"""No run leaves anything personal or secret behind: not on the terminal, not in a file."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from types import MappingProxyType

import msgspec
import pytest

from segsync.mapping.customer import MAPPED_TRAITS
from segsync.report.profile_lists import REJECTED, WARNINGS, WITHOUT_IDENTIFIER
from segsync.sandbox.options import ACCESS_TOKEN, APPLICATION_ID, SECRET_KEY, Faults, SandboxOptions
from segsync.sandbox.process import SandboxProcess
from segsync.sandbox.profiles import Space
from tests.conftest import StartSandbox
from tests.integration.conftest import PATIENCE_SECONDS, SEGSYNC, Segsync
from tests.integration.leaks import forms, is_distinctive, leaks

pytestmark = pytest.mark.slow

WORDS = {"unknown"}
"""Values that are words of ours as well."""


def texts_of(value: object) -> Iterator[str]:
    """Every text and number in a JSON value."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        for entry in value:
            yield from texts_of(entry)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def personal_values(options: SandboxOptions) -> set[str]:
    """What identifies the people of a sandbox's space: names, addresses, numbers, days, in words and as a whole."""
    space, found = Space(options), set[str]()
    for profile in map(space.profile, range(len(space))):
        found |= {each["id"] for each in profile.external_ids if each["type"] in (options.identifier, "email")}
        for name in MAPPED_TRAITS:
            if name != "metadata":
                for text in texts_of(profile.traits.get(name)):
                    found |= {text, *text.split()}
    return set(filter(is_distinctive, found)) - WORDS


SECRETS = {form for secret in (ACCESS_TOKEN, APPLICATION_ID, SECRET_KEY) for form in forms(secret)}


def without_source_ids(rejected: str) -> str:
    """The list of rejected profiles without the column that has to name them."""
    rows = csv.DictReader(StringIO(rejected))
    return "\n".join(value for row in rows for name, value in row.items() if name != "source_id")


TROUBLE = SandboxOptions(
    profiles=120,
    messy=True,
    missing=0.05,
    refused_at_once=0.03,
    refused_later=0.1,
    failed_actions=0.2,
    errors_listed=2,
    foreign_reports=True,
    report_columns="source_id,found,updated,key,message,details",
    latency_ms=1.0,
    action_seconds=0.05,
    segment_requests_per_second=0,
    voucherify_requests_per_minute=0,
    segment_faults=Faults(too_many=0.01, server_error=0.02, cut=0.02),
    voucherify_faults=Faults(server_error=0.02, cut=0.02),
)
PERSONAL = personal_values(TROUBLE)
HIDDEN = SECRETS | {form for value in PERSONAL for form in forms(value)}

DEFECT = """
import sys
from segsync.pipeline import job

def broken(profile, warn, **_rules):
    raise LookupError(f"{profile.source_id} {profile.traits}")

job.to_customer = broken
sys.argv[0] = "segsync"
from segsync.__main__ import main
main()
"""
"""The program, with an error in it whose text quotes a customer."""


@dataclass(frozen=True)
class Left:
    """What a run printed, how it looked in the process list, and every file that it left."""

    code: int
    output: str
    command_lines: str
    files: dict[str, bytes]


def watched(
    segsync: Segsync,
    sandbox: SandboxProcess,
    *arguments: str,
    program: tuple[str, ...] = SEGSYNC,
    kill_at: str = "",
    settings: Mapping[str, str] = MappingProxyType({}),
) -> Left:
    """Run it, and look at its process while it runs. It is killed when `kill_at` is in its ledger."""
    process = subprocess.Popen(
        [*program, *arguments],
        cwd=segsync.directory,
        env=segsync.environment(sandbox, **{"SEGSYNC_RETRY_SECONDS": "3", "SEGSYNC_BATCH_SIZE": "20", **settings}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    seen = set[str]()
    log = segsync.directory / "segsync.db-wal"
    while process.poll() is None:
        time.sleep(0.02)
        try:
            seen |= {path.read_text() for path in Path(f"/proc/{process.pid}").glob("cmdline")}
        except OSError:  # it has just ended
            break
        if kill_at and log.exists() and kill_at.encode() in log.read_bytes():
            process.send_signal(signal.SIGKILL)
            break
    output, _ = process.communicate(timeout=PATIENCE_SECONDS)
    files = {path.name: path.read_bytes() for path in segsync.directory.iterdir()}
    return Left(process.returncode, output, "\n".join(seen), files)


def assert_nothing_leaked(left: Left, segsync: Segsync) -> None:
    assert "Traceback" not in left.output
    assert leaks(left.output, HIDDEN) == set()
    assert leaks("\n".join(left.files), HIDDEN) == set(), "names of files"
    if sys.platform == "linux":
        assert "segsync" in left.command_lines
    assert leaks(left.command_lines, HIDDEN) == set()
    for name, content in left.files.items():
        shown = without_source_ids(content.decode()).encode() if name == REJECTED else content
        assert leaks(shown, HIDDEN) == set(), name
    for as_json in (False, True):
        status = segsync.status_output("segsync.db", as_json=as_json)
        assert "spa_sandbox" in status
        assert leaks(status, HIDDEN) == set()


def test_the_search_finds_planted_secrets() -> None:
    assert {"Lovelace", "José", "李", "Porcelanowa", "person7@example.com"} <= PERSONAL
    assert any(value.startswith("+48 600") for value in PERSONAL)
    assert leaks("Basic c2FuZGJveC1hY2Nlc3MtdG9rZW46", HIDDEN)
    assert leaks("GET /customers/person7%40example.com", HIDDEN)
    assert leaks(r"{'name': 'Jos\u00e9'}", HIDDEN)
    assert not leaks("12:30:01 Rejected: use_0000000100000000007 (read): Segment answered 404 (not_found)", HIDDEN)


VERBOSITIES = ("--quiet", "--no-input", "--verbose")
"""The flag in the middle leaves the verbosity as it is."""


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Segsync, Left]]:
    """A troubled run at each verbosity, at the same time: most of it is waiting."""

    def run(verbosity: str) -> tuple[Segsync, Left]:
        segsync = Segsync(tmp_path_factory.mktemp("troubled"))
        with SandboxProcess(TROUBLE) as sandbox:
            left = watched(segsync, sandbox, verbosity)
            assert sandbox.verdict().leaked_credentials == 0
        return segsync, left

    with ThreadPoolExecutor() as pool:
        return dict(zip(VERBOSITIES, pool.map(run, VERBOSITIES), strict=True))


@pytest.mark.parametrize("verbosity", VERBOSITIES)
def test_a_troubled_run_names_nobody(troubled: dict[str, tuple[Segsync, Left]], verbosity: str) -> None:
    segsync, left = troubled[verbosity]
    assert left.code == 3, left.output
    assert {REJECTED, WARNINGS, WITHOUT_IDENTIFIER, "segsync.db"} <= set(left.files)
    stages = {row["stage"] for row in csv.DictReader(StringIO(left.files[REJECTED].decode()))}
    assert stages == {"read", "upsert", "confirm"}, "a customer was rejected at each stage"
    assert_nothing_leaked(left, segsync)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with SandboxProcess(TROUBLE) as process:
        yield process


@pytest.mark.parametrize(
    ("program", "settings", "code"),
    [
        (SEGSYNC, {"SEGMENT_ACCESS_TOKEN": f"{ACCESS_TOKEN}-wrong"}, 2),
        (SEGSYNC, {"VOUCHERIFY_SECRET_KEY": f"{SECRET_KEY}-wrong"}, 2),
        (SEGSYNC, {"VOUCHERIFY_BASE_URL": "http://127.0.0.1:1", "SEGSYNC_RETRY_SECONDS": "0.3"}, 1),
        ((sys.executable, "-c", DEFECT), {}, 1),
    ],
    ids=["wrong token", "wrong key", "outage", "defect"],
)
def test_a_run_that_ends_in_an_error_names_nobody(
    segsync: Segsync, sandbox: SandboxProcess, program: tuple[str, ...], settings: dict[str, str], code: int
) -> None:
    left = watched(segsync, sandbox, "--verbose", program=program, settings=settings)
    assert left.code == code, left.output
    if program != SEGSYNC:
        assert "unexpected LookupError" in left.output
    assert_nothing_leaked(left, segsync)


def test_a_credential_that_is_not_allowed_is_not_repeated(segsync: Segsync, sandbox: SandboxProcess) -> None:
    run = segsync(sandbox=sandbox, VOUCHERIFY_SECRET_KEY=f"{SECRET_KEY} ü")
    assert run.code == 2
    assert "VOUCHERIFY_SECRET_KEY must be printable ASCII" in run.stderr
    assert leaks(run.stdout + run.stderr, HIDDEN) == set()


def test_a_run_that_is_killed_leaves_nobody_in_its_ledger(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    """With all that SQLite keeps beside the file; and neither does the run that resumes it."""
    sandbox = start_sandbox(msgspec.structs.replace(TROUBLE, failed_actions=0.0))
    slowly = {"SEGMENT_REQUEST_LIMIT": "20", "SEGMENT_REQUESTS_PER_SECOND": "100"}
    left = watched(segsync, sandbox, "--verbose", kill_at="aa_0000000001", settings=slowly)
    assert left.code == -signal.SIGKILL
    assert {"segsync.db", "segsync.db-wal", "segsync.db-shm"} <= set(left.files)
    assert_nothing_leaked(left, segsync)
    resumed = watched(segsync, sandbox, "--verbose", "--resume")
    assert resumed.code == 3, resumed.output
    assert_nothing_leaked(resumed, segsync)
