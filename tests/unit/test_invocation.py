"""How segsync was called, and the commands that follow from it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable
from itertools import combinations

import pytest

from segsync.cli.flags import EXCLUSIVE, OF_ONE_RUN, SECRET
from segsync.cli.invocation import invocation, program
from segsync.options import Invocation
from tests.support.program import COMMAND, complaint

PYTHON = ["python", "-m", "segsync"]
STEPS = [
    [("--resume",)],
    [("--resume",), ("--limit", "5")],
    [("--retry-rejected",)],
    [("--offset", "c+/=& é"), ("--limit", "5")],
    [],
]

VALUES = {
    "--output": "new.csv",
    "--log-format": "json",
    "--offset": "50",
    "--metrics-host": "127.0.0.1",
}


def words_of(parameter: object) -> list[str]:
    """A flag as somebody types it, with a value that it takes."""
    flag = parameter.opts[0]  # type: ignore[attr-defined]
    return [flag] if parameter.is_flag else [flag, VALUES.get(flag, "7")]  # type: ignore[attr-defined]


FLAGS = {
    parameter.opts[0]: words_of(parameter)
    for parameter in COMMAND.params
    if not {"--version", "--install-completion", "--show-completion"} & {*parameter.opts}
}


def excluded(words: Iterable[str]) -> list[tuple[str, ...]]:
    """The groups of which there is more than one flag among the words."""
    return [group for group in EXCLUSIVE if len({*group} & {*words}) > 1]


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_whatever_was_given_a_command_has_no_flags_that_exclude_each_other(step: list[tuple[str, ...]]) -> None:
    for pair in combinations(FLAGS, 2):
        if excluded(pair):
            continue  # nobody could have called it so
        called = Invocation(PYTHON, {flag: FLAGS[flag] for flag in pair}, OF_ONE_RUN, EXCLUSIVE)
        words = shlex.split(called.command(*step))
        assert words[:3] == PYTHON
        assert complaint(words[3:]) == ""
        assert excluded(words) == [], words
        assert all(words.count(flag) <= 1 for flag in FLAGS), words


@pytest.mark.parametrize("step", STEPS, ids=str)
@pytest.mark.parametrize("flag", ["--ledger", "--env-file", "--report-ids", "--log-file", "--batch-size", "--no-input"])
def test_flags_that_every_step_takes_are_repeated_with_each(flag: str, step: list[tuple[str, ...]]) -> None:
    command = Invocation(PYTHON, {flag: FLAGS[flag]}, OF_ONE_RUN, EXCLUSIVE).command(*step)
    assert command.endswith(shlex.join(FLAGS[flag]))


def test_a_flag_that_a_step_cannot_have_is_left_out_of_its_command_alone() -> None:
    called = Invocation(PYTHON, {"--profiles": FLAGS["--profiles"]}, OF_ONE_RUN, EXCLUSIVE)
    assert called.command(("--retry-rejected",)) == "python -m segsync --retry-rejected"
    assert called.command(("--resume",)) == "python -m segsync --resume --profiles 7"


@pytest.mark.parametrize("flag", sorted(OF_ONE_RUN))
def test_what_one_run_does_is_not_repeated_with_the_next_step(flag: str) -> None:
    called = Invocation(PYTHON, {flag: FLAGS[flag], "--quiet": ["--quiet"]}, OF_ONE_RUN, EXCLUSIVE)
    assert called.command() == "python -m segsync --quiet"


def test_the_same_once_more_has_every_flag_as_it_was_given() -> None:
    flags = {flag: FLAGS[flag] for flag in ("--offset", "--limit", "--sandbox")}
    assert Invocation(["segsync"], flags, OF_ONE_RUN, EXCLUSIVE).again() == "segsync --offset 50 --limit 7 --sandbox"


def test_a_secret_is_in_no_command() -> None:
    called = Invocation(["segsync"], {flag: [flag, "https://x/s3cret"] for flag in SECRET}, OF_ONE_RUN, (), SECRET)
    assert {called.again(), called.command(("--resume",))} == {"segsync", "segsync --resume"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("--quiet", "--resume --report-ids 7 --quiet"),
        ("--retry-rejected", "--resume --verbose --report-ids 7"),  # a flag of one run excludes none of the next
    ],
)
def test_flags_of_an_earlier_run_give_way_to_those_that_exclude_them(given: str, expected: str) -> None:
    called = Invocation(["segsync"], {given: [given]}, OF_ONE_RUN, EXCLUSIVE)
    known = called.knowing([["--verbose"], ["--report-ids", "7"], ["--limit", "9"]])
    assert known.command(("--resume",)) == f"segsync {expected}"
    assert known.flags["--limit"] == ["--limit", "9"]


@pytest.mark.parametrize(
    ("word", "quoted"),
    [
        ("a b.db", "'a b.db'"),
        ("it's.db", """'it'"'"'s.db'"""),
        ("$HOME", "'$HOME'"),
        ("a\nb\\c'd", r"$'a\nb\\c\'d'"),
        ("\x1b[1m", r"$'\x1b[1m'"),
    ],
)
def test_words_are_quoted_for_a_shell_and_stay_in_one_line(word: str, quoted: str) -> None:
    assert Invocation(["segsync"], {"--log-file": ["--log-file", word]}).command() == f"segsync --log-file {quoted}"


# --- how this process was called ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("orig_argv", "argv", "words"),
    [
        ("python -m segsync --resume", "/a/segsync/__main__.py --resume", "python -m segsync"),
        (".venv/bin/python -m segsync", "/a/segsync/__main__.py", ".venv/bin/python -m segsync"),
        ("python -X utf8 -m segsync -q -v", "/a/segsync/__main__.py -q -v", "python -X utf8 -m segsync"),
        ("/a/bin/python /a/bin/segsync --limit 5", "/a/bin/segsync --limit 5", "/a/bin/segsync"),
        ("/a/bin/python .venv/bin/segsync", ".venv/bin/segsync", ".venv/bin/segsync"),
    ],
)
def test_the_program_is_called_as_it_was_called(orig_argv: str, argv: str, words: str) -> None:
    assert [*program(argv.split(), orig_argv.split())] == words.split()


@pytest.fixture
def _called_as_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/a/segsync/__main__.py", "status"])
    monkeypatch.setattr(sys, "orig_argv", [*PYTHON, "status"])


@pytest.mark.usefixtures("_called_as_module")
@pytest.mark.parametrize(
    ("environment", "given", "repeated"),
    [
        ("", {}, ""),
        ("a.db", {}, " --ledger a.db"),
        (" a b.db ", {}, " --ledger 'a b.db'"),
        ("a.db", {"--ledger": ["--ledger", "b.db"]}, " --ledger b.db"),
        ("a.db", {"--sandbox": ["--sandbox"]}, " --sandbox"),
    ],
)
def test_a_ledger_that_the_environment_names_is_named_too(
    monkeypatch: pytest.MonkeyPatch, environment: str, given: dict[str, list[str]], repeated: str
) -> None:
    monkeypatch.setenv("SEGSYNC_LEDGER", environment)
    assert invocation(given).command() == f"python -m segsync{repeated}"
