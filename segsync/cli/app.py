"""The commands, and the flags of an import. What they mean is decided elsewhere: `settings`, `commands` and `sandbox`.

Heavy imports wait until a command needs them, so that `--help` answers at once.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import typer

from segsync.__about__ import __version__
from segsync.cli.commands import check_command, status_command
from segsync.cli.errors import errors_in_words, warn
from segsync.cli.flags import (
    SETTINGS,
    EnvFile,
    LedgerFile,
    ListsDirectory,
    Profiles,
    given_flags,
    option,
    pass_on_flags,
    refuse_flags,
    refuse_flags_before,
)
from segsync.cli.help import Commands, ImportCommand
from segsync.cli.init import init_command
from segsync.cli.invocation import invocation
from segsync.cli.sandbox import sandbox_command
from segsync.options import METRICS_HOST, STANDARD_OUTPUT, ImportOptions, LogFormat, ReportFiles

SANDBOX_PROFILES: Final = 500
SANDBOX_DIRECTORY: Final = Path("segsync-sandbox")
"""The folder for the files of `--sandbox`, so that those of a real import are safe from it."""


app = typer.Typer(
    cls=Commands,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    subcommand_metavar="[COMMAND] [ARGS]...",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
@app.command("import", cls=ImportCommand, short_help="Import customers: the same as no command.")
def import_command(
    context: typer.Context,
    offset: Annotated[
        str | None, option("Where to begin: a number of profiles to skip, or a Segment cursor.", "OFFSET")
    ] = None,
    limit: Annotated[int | None, option("Import only the first N profiles.", "N", min=1)] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume the last import, or begin the first.")] = False,
    retry_rejected: Annotated[
        bool, typer.Option("--retry-rejected", help="Retry only profiles that are rejected or whose result is unknown.")
    ] = False,
    ids: Annotated[
        Path | None,
        option("Import only these: Segment ids, one per line, or a list that segsync wrote.", "FILE"),
    ] = None,
    no_confirm: Annotated[
        bool, typer.Option("--no-confirm", help="Don't wait for the results of bulk upserts.")
    ] = False,
    show_values: Annotated[
        bool, typer.Option("--show-values", help="Add Voucherify's own words to the list of rejected profiles.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Run without writing anything.")] = False,
    directory: ListsDirectory = None,
    output: Annotated[Path | None, option("Write a dry run to a new .ndjson or .csv; - is stdout.", "FILE")] = None,
    concurrency: Annotated[str | None, option("Concurrent profile reads. [SEGSYNC_CONCURRENCY, auto]", "N")] = None,
    batch_size: Annotated[str | None, option("Customers per bulk upsert. [SEGSYNC_BATCH_SIZE, 100]", "N")] = None,
    ledger: LedgerFile = None,
    env_file: EnvFile = None,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help=f"Import {SANDBOX_PROFILES} invented profiles, no account needed.")
    ] = False,
    profiles: Profiles = None,
    log_format: Annotated[LogFormat, option("Format of the log; json is for machines.")] = "text",
    log_file: Annotated[Path | None, option("Also write the log to FILE.", "FILE")] = None,
    metrics_port: Annotated[
        int | None, option("Serve Prometheus metrics on this port.", "PORT", min=1, max=65535)
    ] = None,
    metrics_host: Annotated[str, option("Address for --metrics-port.", "HOST")] = METRICS_HOST,
    report: Annotated[Path | None, option("Write an HTML report (needs the `report` extra).", "FILE")] = None,
    report_ids: Annotated[
        int, option("List up to N Segment ids per group in the report.", "N", min=0, show_default=False)
    ] = 0,
    summary_json: Annotated[Path | None, option("Write the summary as JSON; - is stdout.", "FILE")] = None,
    notify: Annotated[
        str | None, option("POST the summary to a webhook at the end. [SEGSYNC_NOTIFY_URL]", "URL")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only problems and the summary.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log every retry, rejection and page.")] = False,
    no_input: Annotated[bool, typer.Option("--no-input", help="Never ask a question.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Move a company's customers from a Twilio Segment space into Voucherify.

    Without a command, segsync imports. Credentials and settings come from the environment or from .env; .env-example
    lists them all.
    """
    if version:
        typer.echo(f"segsync {__version__}")
        raise typer.Exit
    given = given_flags(context)
    if context.invoked_subcommand == "import":
        pass_on_flags(context, given)
        return
    if context.invoked_subcommand:
        refuse_flags_before(context.invoked_subcommand, context, given)
        return
    refuse_flags(given, offset=offset, output=output)
    is_terminal = sys.stderr.isatty()
    # At a terminal the log's format is that of its file, if it has one: the terminal keeps its display.
    stderr_is_json = log_format == "json" and not (log_file and is_terminal)
    # Lines on standard output would run into the display, where both are the same terminal.
    prints_customers = str(output) == STANDARD_OUTPUT and sys.stdout.isatty()
    has_display = is_terminal and not stderr_is_json and not prints_customers
    outputs = ReportFiles(report=report, report_ids=report_ids, summary_json=summary_json)
    options = partial(
        ImportOptions,
        offset=offset,
        resume=resume,
        retry_rejected=retry_rejected,
        ids=ids,
        confirm=not (no_confirm or dry_run),
        show_values=show_values,
        dry_run=dry_run,
        output=output,
        limit=limit,
        mode="quiet" if quiet else "live" if has_display else "lines",
        verbose=verbose,
        may_ask=not (no_input or stderr_is_json) and sys.stdin.isatty() and is_terminal,
        command=invocation(given),
        directory=directory,
        profiles=profiles,
        log_format=log_format,
        log_file=log_file,
        stderr_is_json=stderr_is_json,
        metrics_port=metrics_port,
        metrics_host=metrics_host,
        outputs=outputs,
        has_notify_flag=bool(notify),
    )
    flags = {SETTINGS[flag]: (words[0], words[1]) for flag, words in given.items() if flag in SETTINGS}
    with errors_in_words(as_json=stderr_is_json, env_file=env_file):
        from segsync.check.misspelt import misspelt_settings
        from segsync.settings import Settings

        for warning in misspelt_settings(env_file=Path(os.devnull) if sandbox else env_file):
            warn(warning, as_json=stderr_is_json)
        if sandbox:
            from segsync.commands.sandbox import import_sandbox

            raise typer.Exit(import_sandbox(options, flags, profiles=SANDBOX_PROFILES, directory=SANDBOX_DIRECTORY))
        from segsync.commands.import_ import import_at_terminal

        settings = Settings.load(flags=flags, env_file=env_file)
        raise typer.Exit(import_at_terminal(options(settings=settings, ledger=Path(settings.ledger)))[1])


app.command("init")(init_command)
app.command("status")(status_command)
app.command("check")(check_command)
app.command("sandbox")(sandbox_command)
