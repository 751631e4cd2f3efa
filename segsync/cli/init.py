"""The flags of `init`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segsync.cli.errors import errors_in_words
from segsync.cli.flags import given_flags, option
from segsync.cli.invocation import invocation


def init_command(
    context: typer.Context, env_file: Annotated[Path | None, option("Write FILE instead of .env.", "FILE")] = None
) -> None:
    """Ask for the credentials, find their regions, and write .env.

    A file that exists is never overwritten. Secrets are not shown while you type them.
    """
    with errors_in_words():
        from segsync.commands.init import init_at_terminal

        check = invocation(given_flags(context)).other("check", "--env-file", "--ledger")
        init_at_terminal(env_file or Path(".env"), check)
