"""What a user reads when a command fails, or what it was given looks wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from segsync.cli.invocation import init_command


@contextmanager
def errors_in_words(*, as_json: bool = False, env_file: Path | None = None) -> Iterator[None]:
    """Whatever goes wrong, a user reads a sentence and the shell gets an exit code.

    `env_file` is the file of settings that was named: without one, `segsync init` can write those that are missing.
    """
    from segsync.errors import LedgerError, SegsyncError, SettingsError
    from segsync.formatting import printable

    try:
        yield
    except SegsyncError as error:
        text = printable(f"Error: {error.with_code}")
        if isinstance(error, SettingsError):
            from segsync.commands.output import how_to_init

            are_settings = {"setting-missing", "setting-invalid"} & {problem.code for problem in error.problems}
            heading = f"Invalid configuration{' (.env-example lists the settings)' if are_settings else ''}:"
            text = "\n".join([heading, *(f"  {problem.with_code}" for problem in error.problems)])
            text += how_to_init(error.problems, init_command(env_file))
        _print(text, "ERROR", error.code, as_json=as_json)
        raise typer.Exit(2 if isinstance(error, SettingsError | LedgerError) else 1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def warn(text: str, *, as_json: bool) -> None:
    """Print a warning before there is a log."""
    _print(text if as_json else f"Warning: {text}", "WARNING", as_json=as_json)


def _print(text: str, level: str, code: str | None = None, *, as_json: bool) -> None:
    if as_json:
        from segsync.monitor.log_handlers import json_message

        text = json_message(text, level, code)
    typer.echo(text, err=True)
