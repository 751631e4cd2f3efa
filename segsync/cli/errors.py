"""What a user reads when a command fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer


@contextmanager
def errors_in_words(*, as_json: bool = False) -> Iterator[None]:
    """Whatever goes wrong, a user reads a sentence and the shell gets an exit code."""
    from segsync.errors import LedgerError, SegsyncError, SettingsError
    from segsync.formatting import printable

    try:
        yield
    except SegsyncError as error:
        text = printable(f"Error: {error.with_code}")
        if isinstance(error, SettingsError):
            problems = "\n".join(f"  {problem.with_code}" for problem in error.problems)
            text = f"Invalid configuration (.env-example lists the settings):\n{problems}"
        if as_json:
            from segsync.monitor.log_handlers import json_error

            text = json_error(text, error.code)
        typer.echo(text, err=True)
        raise typer.Exit(2 if isinstance(error, SettingsError | LedgerError) else 1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
