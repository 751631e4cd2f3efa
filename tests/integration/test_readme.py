"""What the README and the guides say is so: their commands (run by .ci/run), settings, flags, example and messages."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

from segsync.sandbox import SandboxOptions
from segsync.settings import Settings, env_example, is_required, shown_default
from tests.conftest import StartSandbox
from tests.integration.conftest import SEGSYNC, Segsync

ROOT = Path(__file__).parents[2]
README, OPERATORS, EMBEDDING, CONTRIBUTING = (
    (ROOT / name).read_text(encoding="utf-8")
    for name in ("README.md", "docs/operators.md", "docs/embedding.md", "docs/contributing.md")
)


def _documented(pattern: str) -> set[str]:
    return set(re.findall(pattern, README + OPERATORS))


def test_every_setting_is_in_the_table_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| (.+?) \|", OPERATORS, re.MULTILINE))
    expected = {}
    for entry in fields(Settings):
        expected[entry.metadata["variable"]] = (
            "required" if is_required(entry) else f"`{default}`" if (default := shown_default(entry)) else "by region"
        )
    assert rows == expected


def test_the_example_file_has_every_setting() -> None:
    assert (ROOT / ".env-example").read_text(encoding="utf-8") == env_example()


def test_the_flags_of_the_table_are_those_of_the_program() -> None:
    table = OPERATORS[OPERATORS.index("| flag |") : OPERATORS.index("## What a run leaves")]
    help_text = subprocess.run([*SEGSYNC, "--help"], capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"--[a-z][a-z-]*", table)) == set(
        re.findall(r"--[a-z][a-z-]*", help_text.split("Commands:")[0])
    )


def test_the_flags_of_the_sandbox_exist() -> None:
    section = CONTRIBUTING[CONTRIBUTING.index("## The sandbox") : CONTRIBUTING.index("## Where things live")]
    help_text = subprocess.run([*SEGSYNC, "sandbox", "--help"], capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"--[a-z][a-z-]*", section)) <= set(re.findall(r"--[a-z][a-z-]*", help_text))


def test_the_example_for_other_programs_runs(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    [example] = re.findall(r"```python\n(.+?)```", EMBEDDING, re.DOTALL)
    sandbox = start_sandbox(
        SandboxOptions(profiles=300, segment_requests_per_second=0, voucherify_requests_per_minute=0, latency_ms=1.0)
    )
    run = subprocess.run(
        [sys.executable, "-c", example],
        cwd=segsync.directory,
        env=segsync.environment(sandbox),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "PageSettled" in run.stdout
    assert re.search(r"^done Fates\(.+\) 100$", run.stdout, re.MULTILINE)
    assert sandbox.verdict(last=100).is_right


def test_every_message_of_the_troubleshooting_table_is_one_that_the_program_says() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "segsync").glob("*.py"))
    table = OPERATORS[OPERATORS.index("| it says |") : OPERATORS.index("## One call a profile")]
    messages = re.findall(r"^\| (`.+?`) \|", table, re.MULTILINE)
    assert len(messages) > 5
    for message in messages:
        for part in re.findall(r"`(.+?)`", message):
            for words in part.split("…"):
                # A message is put together from names: the words around those are in the source.
                for name in ("SEGMENT_ACCESS_TOKEN", "VOUCHERIFY_APPLICATION_ID", "VOUCHERIFY_SECRET_KEY"):
                    words = words.replace(name, "…")  # noqa: PLW2901
                assert all(word.strip() in sources for word in words.split("…") if word.strip() != "and"), part


def test_the_files_and_exit_codes_are_those_of_the_help() -> None:
    help_text = subprocess.run([*SEGSYNC, "--help"], capture_output=True, text=True, check=True).stdout
    for file in _documented(r"`([a-z-]+\.(?:txt|csv))`"):
        assert file in help_text
    codes = re.findall(r"^\| ([\d, ]+) \|", README, re.MULTILINE)
    for code in ", ".join(codes).split(", "):
        assert re.search(rf"\b{code}\b", help_text)


def test_there_are_just_two_commands_to_start_with() -> None:
    commands = [line for line in README.splitlines() if line.startswith("python3 -m venv")]
    assert [command.rpartition("&& ")[2] for command in commands] == [
        ".venv/bin/python -m segsync --sandbox",
        ".venv/bin/python -m pytest",
    ]
