"""What `python -m segsync sandbox` and `--sandbox` say."""

from __future__ import annotations

import asyncio
import signal

import typer

from segsync.errors import StopError
from segsync.sandbox.options import SandboxOptions, connection
from segsync.sandbox.server import Verdict, serve_until


def serve_until_signal(options: SandboxOptions, port: int) -> None:
    """Serve a sandbox until Ctrl-C or SIGTERM. Raises `StopError` where the port is taken."""

    def ready(url: str) -> None:
        typer.echo(f"# {options.profiles:,} profiles at {url} until Ctrl-C. Settings to use it with, for .env:")
        for variable, value in connection(url, options).items():
            typer.echo(f"{variable}={value}")

    async def serve() -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                loop.add_signal_handler(number, stop.set)
            except NotImplementedError:  # Windows' event loop: Ctrl-C raises KeyboardInterrupt there
                break
        await serve_until(stop, options, port, ready)

    try:
        asyncio.run(serve())
    except OSError as error:
        raise StopError(f"Port {port} of 127.0.0.1 cannot be used: {error.strerror}. Choose another: --port") from None


def say_verdict(verdict: Verdict, *, to_stderr: bool = False) -> bool:
    """Print what arrived against what should have; whether that is the same."""
    typer.echo(
        f"Sandbox: {verdict.expected - verdict.refused} customers should have arrived, {verdict.arrived} did, "
        f"{verdict.missing_count} missing, {verdict.wrong_count} wrong, {verdict.unexpected_count} unexpected: "
        f"{'that matches' if verdict.is_right else 'that does NOT match'}.",
        err=to_stderr,
    )
    return verdict.is_right
