"""Shell completion, as a shell uses it, and how long the command line takes to answer."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.conftest import PATIENCE_SECONDS, SEGSYNC

COMPLETE = """
eval "$(segsync --show-completion bash)"
COMP_WORDS=({words}) COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_segsync_completion segsync
printf '%s\\n' "${{COMPREPLY[@]}}"
"""

NAMED = {**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
"""The shell is the one that is named, not the one that the tests were started from: there need not be one."""


def completed(words: str) -> list[str]:
    """What bash offers where these words have been typed and Tab is pressed."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash on this machine")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    ended = subprocess.run(
        [bash, "--norc", "-c", COMPLETE.format(words=words)],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=True,
    )
    assert ended.stderr == ""
    return ended.stdout.split()


def test_a_shell_completes_flags_and_commands() -> None:
    assert completed("segsync --ret") == ["--retry-rejected"]
    assert completed("segsync --limit 5 --led") == ["--ledger"]
    assert {"status", "sandbox"} <= set(completed("segsync ''"))
    assert completed("segsync status --j") == ["--json"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_completion_is_that_of_the_command_however_it_is_asked_for(shell: str) -> None:
    asked = [*SEGSYNC, "--show-completion", shell]
    script = subprocess.run(
        asked, env=NAMED, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True
    ).stdout
    assert "_SEGSYNC_COMPLETE" in script
    assert "python" not in script


def test_completion_is_installed_where_the_shell_looks(tmp_path: Path) -> None:
    asked = [*SEGSYNC, "--install-completion", "bash"]
    environment = {**NAMED, "HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}
    ended = subprocess.run(asked, env=environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True)
    [script] = tmp_path.rglob("segsync.sh")
    assert "_SEGSYNC_COMPLETE" in script.read_text(encoding="utf-8")
    assert str(script) in (tmp_path / ".bashrc").read_text(encoding="utf-8")
    assert str(script) in "".join(ended.stdout.splitlines())


@pytest.mark.parametrize("flag", ["--help", "--version"])
def test_commands_without_an_import_do_not_load_its_libraries(flag: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "segsync", flag], capture_output=True, text=True, check=True
    )
    loaded = {line.rpartition("|")[2].strip() for line in ended.stderr.splitlines()}
    assert "typer" in loaded
    assert loaded & {"aiohttp", "asyncio", "dotenv", "msgspec", "rich", "sqlite3", "tenacity", "uvloop"} == set()
