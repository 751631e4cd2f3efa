"""How segsync was called, for the commands that it prints."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from segsync.cli.flags import EXCLUSIVE, OF_ONE_RUN, SECRET
from segsync.options import Invocation

MODULE = "__main__.py"
"""What the program is called where it was started as `python -m segsync`."""


def invocation(given: Mapping[str, Sequence[str]]) -> Invocation:
    """How this process was called, with the flags that were `given`.

    A ledger that the environment names counts as given: `SEGSYNC_LEDGER=a.db segsync` sets it for one command alone,
    and without it the next command would begin another import. A ledger of `.env` is found there again.
    """
    flags = dict(given)
    ledger = os.environ.get("SEGSYNC_LEDGER", "").strip()
    if ledger and not {"--ledger", "--sandbox"} & flags.keys():
        flags["--ledger"] = ["--ledger", ledger]
    return Invocation(program(sys.argv, sys.orig_argv), flags, OF_ONE_RUN, EXCLUSIVE, SECRET)


def init_command(env_file: Path | None) -> str:
    """The command that asks for credentials and writes `.env`; "" where that exists, or another file is used."""
    from segsync.settings import ENV_FILE

    return "" if env_file or ENV_FILE.exists() else invocation({}).other("init")


def program(argv: Sequence[str], orig_argv: Sequence[str]) -> Sequence[str]:
    """The words that started the program, up to its arguments, interpreter flags included: `python -m segsync`.

    `argv` and `orig_argv` are those of `sys`. A console script is its path: a shell that found `segsync` in its PATH
    may have had another one, e.g. that of `uv run`.
    """
    return orig_argv[: len(orig_argv) - len(argv) + 1] if Path(argv[0]).name == MODULE else argv[:1]
