"""`--help`: flags in groups, examples, and plain text that fits 80 columns."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from segsync.cli.app import app
from segsync.cli.help import EXAMPLES, GROUPS
from tests.support.cli import call
from tests.support.program import COMMANDS, IMPORT, complaint, flags_of

PROGRAM_FLAGS = {"--version", "--help", "--install-completion", "--show-completion"}


def sections(text: str) -> dict[str, list[str]]:
    """The lines under each title of a help text."""
    found: dict[str, list[str]] = {}
    title = ""
    for line in text.splitlines():
        if line.endswith(":") and not line.startswith(" "):
            title = line.removesuffix(":")
        elif line.strip():
            found.setdefault(title, []).append(line.strip())
    return found


@pytest.mark.parametrize("command", [(), ("import",)])
def test_every_flag_of_an_import_is_in_a_group(tmp_path: Path, command: tuple[str, ...]) -> None:
    shown = sections(call(tmp_path, *command, "--help").stdout)
    for title, flags in GROUPS.items():
        assert [flag for flag in flags if not any(flag in line.split() for line in shown[title])] == []
    grouped = [flag for flags in GROUPS.values() for flag in flags]
    assert sorted(grouped) == sorted(flags_of(IMPORT) - PROGRAM_FLAGS)
    assert [flag for flag in PROGRAM_FLAGS & flags_of("import") if flag not in " ".join(shown["Other"])] == []


def test_help_is_plain_text_of_80_columns_even_at_a_terminal_with_colours(tmp_path: Path) -> None:
    for command in ((), *((name,) for name in COMMANDS if name != IMPORT)):
        environ = {"COLUMNS": "80", "FORCE_COLOR": "1", "TERM": "xterm-256color"}
        _usage, *lines = call(tmp_path, *command, "--help", environ=environ).stdout.splitlines()
        assert "".join(lines).isprintable()
        assert [line for line in lines if len(line) > 80 or line.endswith(("-", "..."))] == []


def test_help_shows_three_examples_that_the_program_takes(tmp_path: Path) -> None:
    shown = sections(call(tmp_path, "--help").stdout)["Examples"]
    assert [line.split("  ")[0] for line in shown] == list(EXAMPLES)
    assert len(EXAMPLES) == 3
    for command in EXAMPLES:
        program, *arguments = command.split()
        assert (program, complaint(arguments)) == (IMPORT, "")


def test_help_says_that_no_command_means_import(tmp_path: Path) -> None:
    shown = call(tmp_path, "--help").stdout
    assert "Usage: segsync [OPTIONS] [COMMAND]" in shown
    assert "Without a command, segsync imports." in " ".join(shown.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_h_is_short_for_help_everywhere(command: str) -> None:
    words = [] if command == IMPORT else [command]
    short, long = (CliRunner().invoke(app, [*words, flag], prog_name=IMPORT) for flag in ("-h", "--help"))
    assert (short.exit_code, short.stdout) == (0, long.stdout)
    assert short.stdout.startswith("Usage: segsync")


@pytest.mark.parametrize("command", [[], ["import"]])
def test_help_does_not_wait_for_what_an_import_needs(command: list[str]) -> None:
    code = (
        "import sys; from segsync.cli.app import app\n"
        f"app({[*command, '-h']!r}, standalone_mode=False)\n"
        "heavy = {'aiohttp', 'sqlite3', 'msgspec', 'asyncio', 'rich.console'} & sys.modules.keys()\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60, stdout=subprocess.DEVNULL)
