"""The commands, flags and settings of the program, for tests of the texts that name them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import Field, fields
from itertools import takewhile
from typing import Any

import typer

from segsync.cli.app import app
from segsync.secret_files import SUFFIX
from segsync.settings import AUTO, SECRETS, Settings

IMPORT = "segsync"
"""Stands for the command without a name."""

COMMAND: Any = typer.main.get_command(app)
COMMANDS: dict[str, Any] = {IMPORT: COMMAND, **COMMAND.commands}
DEFAULTS: dict[str, Any] = {entry.metadata["variable"]: entry.default for entry in fields(Settings)}
"""By variable."""

VARIABLES = {*DEFAULTS, *(secret + SUFFIX for secret in SECRETS)}
"""All that can be set."""


def shown_default(entry: Field[Any]) -> str:
    """The default of a setting as a user would write it."""
    default = entry.default
    return AUTO if default is None else f"{default:g}" if isinstance(default, float) else str(default)


def env_example() -> str:
    """The text of `.env-example`: every setting, with its explanation and its default."""
    lines = [
        "# Copy this file to .env and fill in the first four. The environment wins over .env, flags win over both.",
        "# A secret can be in a file instead: SEGMENT_ACCESS_TOKEN_FILE=/run/secrets/segment names it.",
        "",
    ]
    for entry in fields(Settings):
        required = " Required." if entry.metadata["needed_by"] else ""
        lines.append(f"# {entry.metadata['explanation']}{required}")
        lines += [f"{entry.metadata['variable']}={shown_default(entry)}", ""]
    return "\n".join(lines[:-1]) + "\n"


def flags_of(command: str) -> set[str]:
    """The long flags of a command."""
    context = COMMANDS[command].make_context(IMPORT, [], resilient_parsing=True)
    options = [option for parameter in COMMANDS[command].get_params(context) for option in parameter.opts]
    return {option for option in options if option.startswith("--")}


def complaint(arguments: Sequence[str]) -> str:
    """The error of the command line about these arguments, before anything runs; empty if it accepts them."""
    command, rest = IMPORT, list(arguments)
    if name := next((word for word in rest if word in COMMAND.commands), ""):
        command = name
        rest.remove(name)
    if any(word == "--help" or word.endswith("-completion") for word in rest):  # these act while they are parsed
        return ", ".join({word for word in rest if word.startswith("--")} - flags_of(command))
    try:
        with COMMANDS[command].make_context(IMPORT, rest) as context:
            return " ".join([*getattr(context, "_protected_args", ()), *context.args])
    except Exception as error:  # noqa: BLE001 - of the library's, which has no public name for it
        return str(error) or type(error).__name__


def calls_in(text: str) -> Iterator[list[str]]:
    """The arguments of every `… segsync …` in shell commands: what comes behind its name in its line, up to a pipe."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        places = [place for place, word in enumerate(words) if word.rpartition("/")[2] == IMPORT]
        if places:
            yield list(takewhile(lambda word: word != "|", words[places[-1] + 1 :]))
