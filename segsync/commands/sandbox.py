"""`python -m segsync sandbox` and `--sandbox`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from errno import EEXIST
from pathlib import Path

import typer

from segsync.commands.import_ import import_at_terminal
from segsync.commands.next_steps import EXIT_DONE, EXIT_STOPPED
from segsync.errors import SettingsError, StopError
from segsync.formatting import counted
from segsync.ledger.sqlite_file import is_in_use
from segsync.options import ImportOptions
from segsync.runtime import signals_to, why_not
from segsync.sandbox.options import SandboxOptions, connection
from segsync.sandbox.process import SandboxProcess
from segsync.sandbox.server import serve_until
from segsync.secret_files import both_forms
from segsync.settings import SECRETS, Settings


def serve_until_signal(options: SandboxOptions, port: int) -> None:
    """Serve a sandbox until Ctrl-C or SIGTERM. Raises `StopError` where the port is taken."""

    def ready(url: str) -> None:
        typer.echo(f"# {counted(options.profiles, 'profile')} at {url} until Ctrl-C. Settings for .env, to use it:")
        for variable, value in connection(url, options).items():
            typer.echo(f"{variable}={value}")
        typer.echo(f"# To show its faults: curl {url}/sandbox/faults")
        typer.echo(f"# To change one: curl -X PUT -d '{{\"refused_later\": 0.05}}' {url}/sandbox/faults")

    async def serve() -> None:
        stop = asyncio.Event()
        with signals_to(lambda _number: stop.set()):
            await serve_until(stop, options, port, ready)

    try:
        asyncio.run(serve())
    except OSError as error:
        message = f"Port {port} of 127.0.0.1 cannot be used: {error.strerror}. Choose another: --port"
        raise StopError(message, code="port-unusable") from None


def import_sandbox(
    options: Callable[..., ImportOptions], flags: Mapping[str, tuple[str, str]], *, profiles: int, directory: Path
) -> int:
    """Import from a new sandbox, compare what arrived with what should have, and give the exit code.

    The ledger is in `directory`, a folder that no real import has. Raises `SettingsError` where that cannot be made,
    `StopError` where the sandbox does not start, and what an import raises.
    """
    try:
        directory.mkdir(exist_ok=True)
    except OSError as error:
        way_out = "Rename it" if error.errno == EEXIST else "Change to a folder that you may write to"
        problem = f"The folder {directory} of --sandbox cannot be made: {why_not(error)}. {way_out}"
        raise SettingsError([problem], code="file-unwritable") from None
    with SandboxProcess(SandboxOptions(profiles=profiles)) as sandbox:
        # Only segsync's own settings count here: no credential of a real account goes to a sandbox.
        secret = {form for variable in SECRETS for form in both_forms(variable)}
        own = {name: value for name, value in os.environ.items() if name.startswith("SEGSYNC_") and name not in secret}
        own["SEGSYNC_LEDGER"] = str(directory / "segsync.db")
        settings = Settings.load(flags=flags, environ={**own, **sandbox.connection}, env_file=Path(os.devnull))
        where = Path(settings.ledger)
        import_options = options(settings=settings, ledger=where, is_sandbox=True)
        if not import_options.dry_run and where == directory / "segsync.db":
            _remove_ledger_of_last_sandbox(where)
        report, code = import_at_terminal(import_options)
        if import_options.dry_run or report is None or report.state != "done":
            return code
        first = int(report.offset or 0)
        verdict = sandbox.verdict(first, first + report.outcomes.profiles)
        typer.echo(
            f"Sandbox: {counted(verdict.expected - verdict.refused, 'customer')} expected, {verdict.arrived} arrived, "
            f"{verdict.missing_count} missing, {verdict.wrong_count} wrong, {verdict.unexpected_count} unexpected: "
            f"{'that matches' if verdict.is_right else 'that does NOT match'}.",
            err=import_options.use_standard_output,
        )
        return code if verdict.is_right or code != EXIT_DONE else EXIT_STOPPED


def _remove_ledger_of_last_sandbox(path: Path) -> None:
    """Each sandbox is another Voucherify, and ends with its run: its ledger is of no use to the next one."""
    if not is_in_use(path):
        for name in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
            if name.is_file():  # the ledger names what else is in its place
                name.unlink()
