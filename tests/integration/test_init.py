"""`init`, as a user runs it: nothing secret is shown, and the file is enough for the commands that follow."""

from __future__ import annotations

import os
import shlex
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
from dotenv import dotenv_values

from segsync.sandbox.options import ACCESS_TOKEN, APPLICATION_ID, SECRET_KEY, SPACE_ID
from segsync.sandbox.process import SandboxProcess
from tests.conftest import StartSandbox
from tests.integration.conftest import PATIENCE_SECONDS, RATES, SEGSYNC, Segsync, fast
from tests.integration.leaks import leaks

pytestmark = pytest.mark.slow

TYPED = (ACCESS_TOKEN, SPACE_ID, APPLICATION_ID, SECRET_KEY)


def environment(sandbox: SandboxProcess | None) -> dict[str, str]:
    """Where the sandbox is, and no credential."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("SEG", "VOUCHERIFY_"))}
    places = {"SEGMENT_BASE_URL": sandbox.url, "VOUCHERIFY_BASE_URL": sandbox.url} if sandbox else {}
    return {**own, **places, "TERM": "xterm"}


@pytest.fixture
def terminal(segsync: Segsync, start_sandbox: StartSandbox) -> Iterator[pexpect.spawn[str]]:
    """`segsync init` at a terminal, whose sandbox accepts its own credentials."""
    child = pexpect.spawn(
        SEGSYNC[0],
        [*SEGSYNC[1:], "init"],
        cwd=segsync.directory,
        env=environment(start_sandbox(fast(10))),
        encoding="utf-8",
        timeout=PATIENCE_SECONDS,
        dimensions=(50, 300),
    )
    yield child
    child.close(force=True)


def type_all(terminal: pexpect.spawn[str], *lines: str) -> str:
    """Answer the questions one by one; gives all that the terminal has shown until the last of them."""
    shown = ""
    for line, variable in zip(lines, ("ACCESS_TOKEN", "SPACE_ID", "APPLICATION_ID", "SECRET_KEY"), strict=False):
        terminal.expect(rf"{variable}[^\n]*: ")
        shown += f"{terminal.before}{terminal.after}"
        terminal.sendline(line)
    return shown


def test_at_a_terminal_no_secret_is_shown(terminal: pexpect.spawn[str], segsync: Segsync) -> None:
    shown = type_all(terminal, *TYPED)
    terminal.expect(pexpect.EOF)
    shown += str(terminal.before)
    terminal.close()
    assert terminal.exitstatus == 0
    assert leaks(shown, {ACCESS_TOKEN, APPLICATION_ID, SECRET_KEY}) == set()
    assert SPACE_ID in shown
    path = segsync.directory / ".env"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert set(TYPED) <= set(dotenv_values(path).values())


@pytest.mark.parametrize(("key", "code"), [("c", 130), ("d", 2)])
@pytest.mark.parametrize("typed", [0, 1, 3])
def test_ctrl_c_and_ctrl_d_write_nothing(
    terminal: pexpect.spawn[str], segsync: Segsync, key: str, code: int, typed: int
) -> None:
    type_all(terminal, *TYPED[:typed])
    terminal.expect(r"[A-Z]_[A-Z_]+[^\n]*: ")
    terminal.sendcontrol(key)
    terminal.expect(r"\.env was not written")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == code
    assert list(segsync.directory.iterdir()) == []


@pytest.mark.parametrize("flags", [[], ["--env-file", "prod settings.env"]])
def test_the_command_that_is_printed_and_an_import_need_the_file_alone(
    segsync: Segsync, start_sandbox: StartSandbox, flags: list[str]
) -> None:
    sandbox = start_sandbox(fast(50))

    def run(command: list[str], own: dict[str, str], given: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=segsync.directory, env=own, input=given, capture_output=True, text=True, check=False
        )

    made = run([*SEGSYNC, "init", *flags], environment(sandbox), "\n".join(TYPED))
    assert (made.returncode, "Traceback" in made.stderr) == (0, False), made.stderr
    assert leaks(made.stdout + made.stderr, {ACCESS_TOKEN, APPLICATION_ID, SECRET_KEY}) == set()
    checked = run(shlex.split(made.stdout.splitlines()[-1]), environment(None))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "Ready" in checked.stdout
    imported = run([*SEGSYNC, *flags], environment(None) | RATES)
    assert imported.returncode == 0, imported.stderr
    assert sandbox.verdict().is_right


def test_a_file_that_is_there_is_left_alone_and_named(segsync: Segsync) -> None:
    path: Path = segsync.directory / ".env"
    path.write_text("SEGMENT_SPACE_ID=mine\n", encoding="utf-8")
    run = segsync("init")
    assert run.code == 2
    assert ".env exists already" in run.stderr
    assert "SEGMENT_ACCESS_TOKEN" not in run.stderr, "it is refused before the first question"
    assert path.read_text(encoding="utf-8") == "SEGMENT_SPACE_ID=mine\n"
    assert "was not written" in segsync("init", "--env-file", "other.env").stderr
    assert not (segsync.directory / "other.env").exists()
