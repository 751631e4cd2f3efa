"""What the README and the guides say is so: commands, flags, settings, names and links."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from dataclasses import fields
from typing import get_args

import pytest

import segsync
from segsync import events
from segsync.report.import_report import ImportReport
from segsync.sandbox.options import SandboxOptions
from segsync.settings import Settings
from tests.conftest import StartSandbox
from tests.integration.conftest import SEGSYNC, Segsync
from tests.support import guides
from tests.support.program import (
    COMMANDS,
    DEFAULTS,
    IMPORT,
    VARIABLES,
    calls_in,
    complaint,
    env_example,
    flags_of,
    shown_default,
)

OTHER_PROGRAMS = {"docker", "kubectl", "uv", ".venv/bin/python", "python"}
"""Their flags are not ours to check."""

FLAGS = {IMPORT: (guides.OPERATORS, "Flags"), "sandbox": (guides.CONTRIBUTING, "The sandbox")}
"""The sections that have a table of a command's flags; those of other commands are in the text."""

pages = pytest.mark.parametrize("page", guides.PAGES)


def flags_in(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text))


def test_every_setting_is_in_the_table_with_its_default() -> None:
    table = guides.section(guides.OPERATORS, "Settings")
    expected = {}
    for entry in fields(Settings):
        variable = entry.metadata["variable"]
        nothing = "by region" if variable.endswith("_BASE_URL") else "none"
        expected[f"`{variable}`"] = (
            "required"
            if entry.metadata["needed_by"]
            else f"`{default}`"
            if (default := shown_default(entry))
            else nothing
        )
    assert {cells[0]: cells[1] for cells in guides.rows(table)[1:]} == expected


@pages
def test_every_setting_that_is_named_exists(page: str) -> None:
    kinds = "|".join(sorted({variable.partition("_")[0] for variable in DEFAULTS}))
    assert set(re.findall(rf"\b(?:{kinds})_[A-Z_]+\b", guides.PAGES[page])) <= VARIABLES


def test_the_example_file_has_every_setting() -> None:
    assert (guides.ROOT / ".env-example").read_text(encoding="utf-8") == env_example()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_flag_is_in_the_guides(command: str) -> None:
    section = guides.section(*FLAGS[command]) if command in FLAGS else guides.ALL
    assert flags_of(command) - {"--help"} <= flags_in(section)


@pages
def test_every_command_that_is_written_down_is_one_that_segsync_takes(page: str) -> None:
    for block in guides.blocks(guides.PAGES[page], "sh"):
        for arguments in calls_in(block):
            assert complaint(arguments) == "", shlex.join(["segsync", *arguments])


@pages
def test_every_flag_that_is_named_exists(page: str) -> None:
    every = {flag for command in COMMANDS for flag in flags_of(command)}
    for code in guides.inline_code(guides.PAGES[page]):
        first = code.split()[0]
        if first.startswith("-"):
            assert flags_in(code) <= every, code
        elif first in COMMANDS and first != IMPORT:
            assert flags_in(code) <= flags_of(first), code
        elif first == IMPORT or first in OTHER_PROGRAMS:
            assert [complaint(arguments) for arguments in calls_in(code)] in ([], [""]), code
        else:
            assert not flags_in(code), code


@pages
def test_every_link_leads_somewhere(page: str) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", guides.PAGES[page]):
        path, _, anchor = target.partition("#")
        file = (guides.ROOT / page).parent / path if path else guides.ROOT / page
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}, target


@pages
def test_every_file_of_the_project_that_is_named_exists(page: str) -> None:
    for code in guides.inline_code(guides.PAGES[page]):
        if re.fullmatch(r"(?:tests|docs|segsync|benchmarks)/[\w./-]*|\.env-example|\.ci/\w+", code):
            assert (guides.ROOT / code).exists() or "segsync-sandbox" in code, code


def test_the_files_and_exit_codes_are_those_of_the_help() -> None:
    help_text = subprocess.run([*SEGSYNC, "--help"], capture_output=True, text=True, check=True).stdout
    for file in re.findall(r"`([a-z-]+\.(?:txt|csv))`", guides.README + guides.OPERATORS):
        assert file in help_text
    codes = [
        cells[0] for cells in guides.rows(guides.section(guides.README, "How a run ends")) if cells[0][0].isdigit()
    ]
    assert len(codes) == 5
    for code in ", ".join(codes).split(", "):
        assert re.search(rf"\b{code}\b", help_text)


def test_the_readme_is_short_and_in_the_order_of_a_first_hour() -> None:
    assert len(guides.README.split()) <= 750
    assert re.findall(r"^## (.+)$", guides.README, re.MULTILINE) == [
        "What is imported",
        "Install",
        "Try it",
        "Import your customers",
        "How a run ends",
        "Guides",
        "Licence",
    ]


def test_there_are_just_two_commands_to_start_with() -> None:
    commands = [line for line in guides.README.splitlines() if line.startswith("python3 -m venv")]
    assert [command.rpartition("&& ")[2] for command in commands] == [
        ".venv/bin/python -m segsync --sandbox",
        ".venv/bin/python -m pytest -n 4",
    ]


def test_the_map_of_the_package_is_the_package() -> None:
    [tree] = guides.blocks(guides.section(guides.CONTRIBUTING, "Where things live"), "text")
    package = guides.ROOT / "segsync"
    files = {path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    modules = {path for path in files if path.name != "__init__.py" or path.stat().st_size}
    folders = {f"{path.parent.relative_to(guides.ROOT).as_posix()}/" for path in files}
    assert guides.files_in(tree) == {path.relative_to(guides.ROOT).as_posix() for path in modules} | folders


def test_every_event_and_every_field_of_the_report_that_is_named_exists() -> None:
    rows = guides.rows(guides.section(guides.EMBEDDING, "Events"))[1:]
    assert {code for cells in rows for code in guides.named(cells[:1])} == {
        event.__name__ for event in get_args(events.Event)
    }
    report = [cells[:1] for cells in guides.rows(guides.section(guides.EMBEDDING, "The report"))[1:]]
    assert all(hasattr(ImportReport, name) for cells in report for name in guides.named(cells))


@pages
def test_examples_import_public_names_alone(page: str) -> None:
    for example in guides.blocks(guides.PAGES[page], "python"):
        for node in ast.walk(ast.parse(example)):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("segsync"):
                assert node.module == "segsync"
                assert {alias.name for alias in node.names} <= set(segsync.__all__)


def test_the_check_that_is_shown_is_what_the_program_prints(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    """The guide leaves out some of it, and marks each place with a line of its own."""
    # The sandbox sets no limit: on a busy machine a 429 would be one call more.
    options = SandboxOptions(messy=True, latency_ms=1.0, segment_requests_per_second=0)
    sandbox = start_sandbox(options)
    environment = sandbox.connection | {"SEGMENT_REQUESTS_PER_SECOND": "100", "COLUMNS": "80"}
    run = segsync("check", "--profiles", "400000", sandbox=sandbox, **environment)
    printed = "".join(f"{line.rstrip()}\n" for line in run.stdout.splitlines())
    printed = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:38677", printed)
    [shown] = guides.blocks(guides.section(guides.OPERATORS, "Check"), "text")
    parts = re.split(r"^…\n", shown, flags=re.MULTILINE)
    assert printed.startswith(parts[0])
    assert printed.endswith(parts[-1])
    assert re.search(".*".join(map(re.escape, parts)), printed, re.DOTALL), printed


def test_the_example_for_other_programs_runs_and_is_logged(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    example, logging, _ = guides.blocks(guides.EMBEDDING, "python")
    sandbox = start_sandbox(
        SandboxOptions(profiles=300, segment_requests_per_second=0, voucherify_requests_per_minute=0, latency_ms=1.0)
    )
    run = subprocess.run(
        [sys.executable, "-c", logging + example],
        cwd=segsync.directory,
        env=segsync.environment(sandbox),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "PageDone" in run.stdout
    assert re.search(r"^done Outcomes\(.+\) 100$", run.stdout, re.MULTILINE)
    assert re.search(r"^INFO:segsync:segsync .+ starts: new run 1-", run.stderr, re.MULTILINE)
    assert re.search(r"^INFO:segsync:done after .+: 100 of 100 profiles done$", run.stderr, re.MULTILINE)
    assert sandbox.verdict(last=100).is_right


def test_the_example_of_a_source_and_a_sink_runs() -> None:
    *_, example = guides.blocks(guides.EMBEDDING, "python")
    run = subprocess.run([sys.executable, "-W", "error", "-c", example], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == '[{"source_id":"u1","email":"ada@example.com","system_metadata":{"source":"segmentio"}}]\n'
