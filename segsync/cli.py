"""The flags of each command. What they mean is decided elsewhere: `settings`, `commands` and `sandbox`.

Heavy imports wait until a command needs them, so that `--help` answers at once.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from segsync.__about__ import __version__
from segsync.options import METRICS_HOST, ImportOptions, LogFormat, ReportFiles

EPILOG = """Exit codes: 0 done. 1 stopped early; the message says how to resume. 2 usage or configuration error;
retrying won't help. 3 done, but some profiles were rejected: see rejected-profiles.csv; or a check found what would
fail. 130 or 143 ended by Ctrl-C or SIGTERM, after what was under way had been finished and sent.

A run leaves profiles-without-identifier.txt, duplicate-profiles.csv, rejected-profiles.csv and
profiles-with-warnings.csv in the working directory, each only if there is something to say.
"""

SANDBOX_PROFILES: Final = 500
SANDBOX_DIRECTORY: Final = Path("segsync-sandbox")
"""The folder for the files of `--sandbox`, so that those of a real import are safe from it."""

EXCLUSIVE: Final = (
    ("--quiet", "--verbose"),
    ("--resume", "--retry-rejected", "--offset"),
    ("--sandbox", "--resume", "--retry-rejected"),
    ("--retry-rejected", "--limit"),
    ("--dry-run", "--resume", "--retry-rejected"),
    ("--dry-run", "--report"),
    ("--retry-rejected", "--profiles"),
)
"""Groups of flags of which at most one may be given."""

NOT_REPEATED: Final = {"--offset", "--limit", "--resume", "--retry-rejected", "--dry-run", "--output"}
"""The flags of this run alone: the command that resumes it has its own."""

SETTINGS: Final = {
    "--concurrency": "SEGSYNC_CONCURRENCY",
    "--batch-size": "SEGSYNC_BATCH_SIZE",
    "--ledger": "SEGSYNC_LEDGER",
}
"""The variables that these flags win over."""


def _option(text: str, metavar: str | None = None, *names: str, **others: Any) -> Any:
    return typer.Option(*names, help=text, metavar=metavar, **others)


LedgerFile = Annotated[str | None, _option("The ledger, a checkpoint file. [SEGSYNC_LEDGER, segsync.db]", "FILE")]
EnvFile = Annotated[Path | None, _option("Read settings from FILE instead of .env.", "FILE")]
Profiles = Annotated[int | None, _option("Expected total, for the progress bar and ETA.", "N", min=1)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class Commands(TyperGroup):
    """The commands, with a hint for those who type an offset as the Node script took it."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and self.get_command(ctx, args[0]) is None:
            ctx.fail(f"There is no command '{args[0]}'. To begin at an offset: --offset {shlex.quote(args[0])}")
        return super().resolve_command(ctx, args)


app = typer.Typer(cls=Commands, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.callback(invoke_without_command=True, epilog=EPILOG)
def import_command(
    context: typer.Context,
    offset: Annotated[
        str | None, _option("Where to begin: a number of profiles to skip, or a Segment cursor.", "OFFSET")
    ] = None,
    limit: Annotated[int | None, _option("Import only the first N profiles.", "N", min=1)] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume the last import, or begin the first.")] = False,
    retry_rejected: Annotated[
        bool, typer.Option("--retry-rejected", help="Retry only profiles that are rejected or whose result is unknown.")
    ] = False,
    no_confirm: Annotated[
        bool, typer.Option("--no-confirm", help="Don't wait for the results of bulk upserts.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Run without writing anything.")] = False,
    output: Annotated[Path | None, _option("New .ndjson or .csv for a dry run's customers.", "FILE")] = None,
    concurrency: Annotated[str | None, _option("Concurrent profile reads. [SEGSYNC_CONCURRENCY, auto]", "N")] = None,
    batch_size: Annotated[str | None, _option("Customers per bulk upsert. [SEGSYNC_BATCH_SIZE, 100]", "N")] = None,
    ledger: LedgerFile = None,
    env_file: EnvFile = None,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help=f"Import {SANDBOX_PROFILES} invented profiles, no account needed.")
    ] = False,
    profiles: Profiles = None,
    log_format: Annotated[LogFormat, _option("Format of the log; json is for machines.")] = "text",
    log_file: Annotated[Path | None, _option("Also write the log to FILE.", "FILE")] = None,
    metrics_port: Annotated[
        int | None, _option("Serve Prometheus metrics on this port.", "PORT", min=1, max=65535)
    ] = None,
    metrics_host: Annotated[str, _option("Address for --metrics-port.", "HOST")] = METRICS_HOST,
    report: Annotated[Path | None, _option("Write an HTML report (needs the `report` extra).", "FILE")] = None,
    report_ids: Annotated[
        int, _option("List up to N Segment ids per group in the report.", "N", min=0, show_default=False)
    ] = 0,
    summary_json: Annotated[Path | None, _option("Write the summary as JSON; - is stdout.", "FILE")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only problems and the summary.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log every retry, rejection and page.")] = False,
    no_input: Annotated[bool, typer.Option("--no-input", help="Never ask a question.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Move a company's customers from a Twilio Segment space into Voucherify.

    Credentials and settings come from the environment or from .env; .env-example lists them all.
    """
    if version:
        typer.echo(f"segsync {__version__}")
        raise typer.Exit
    given = _given(context)
    if context.invoked_subcommand:
        _refuse_flags_before(context.invoked_subcommand, context, given)
        return
    _refuse_flags(given, offset=offset, output=output)
    is_terminal = sys.stderr.isatty()
    # At a terminal the log's format is that of its file, if it has one: the terminal keeps its display.
    stderr_is_json = log_format == "json" and not (log_file and is_terminal)
    is_module = Path(sys.argv[0]).name == "__main__.py"
    outputs = ReportFiles(report=report, report_ids=report_ids, summary_json=summary_json)
    options = partial(
        ImportOptions,
        offset=offset,
        resume=resume,
        retry_rejected=retry_rejected,
        confirm=not (no_confirm or dry_run),
        dry_run=dry_run,
        output=output,
        limit=limit,
        mode="quiet" if quiet else "live" if is_terminal and not stderr_is_json else "lines",
        verbose=verbose,
        may_ask=not (no_input or stderr_is_json) and sys.stdin.isatty() and is_terminal,
        command=[sys.orig_argv[0], "-m", "segsync"] if is_module else sys.argv[:1],
        resume_flags=[word for flag, words in given.items() if flag not in NOT_REPEATED for word in words],
        profiles=profiles,
        log_format=log_format,
        log_file=log_file,
        stderr_is_json=stderr_is_json,
        metrics_port=metrics_port,
        metrics_host=metrics_host,
        outputs=outputs,
    )
    flags = {SETTINGS[flag]: (words[0], words[1]) for flag, words in given.items() if flag in SETTINGS}
    with _errors_in_words(as_json=stderr_is_json):
        from segsync.report.writer import check_outputs

        check_outputs(outputs)
        if sandbox:
            from segsync.commands.sandbox import import_sandbox

            raise typer.Exit(import_sandbox(options, flags, profiles=SANDBOX_PROFILES, directory=SANDBOX_DIRECTORY))
        from segsync.commands.import_ import import_at_terminal
        from segsync.settings import Settings

        settings = Settings.load(flags=flags, env_file=env_file)
        raise typer.Exit(import_at_terminal(options(settings=settings, ledger=Path(settings.ledger)))[1])


@app.command("status")
def status_command(as_json: AsJson = False, ledger: LedgerFile = None, env_file: EnvFile = None) -> None:
    """Show how far the imports came, their outcomes, and the next step."""
    with _errors_in_words():
        from segsync.commands.status import print_status
        from segsync.settings import one_setting

        print_status(Path(ledger or one_setting("SEGSYNC_LEDGER", env_file=env_file)), as_json=as_json)


@app.command("check")
def check_command(
    sample: Annotated[int, _option("Profiles to look at.", "N", min=1, max=10_000)] = 100,
    profiles: Profiles = None,
    as_json: AsJson = False,
    env_file: EnvFile = None,
) -> None:
    """Check settings, both services and a sample of profiles before an import.

    It writes nothing anywhere, and exits with 0, or 3 if something failed.
    """
    with _errors_in_words():
        from segsync.commands.check import check_at_terminal

        raise typer.Exit(check_at_terminal(env_file=env_file, sample=sample, profiles=profiles, as_json=as_json))


@app.command("sandbox")
def sandbox_command(
    context: typer.Context,
    port: Annotated[int, _option("Port on 127.0.0.1; 0 picks a free one.", min=0, max=65535)] = 8080,
    profiles: Annotated[int, _option("Profiles in the space.", min=0)] = 500,
    seed: Annotated[int, _option("Same seed, same profiles.")] = 1,
    identifier: Annotated[str, _option("External id type that customers are known by.")] = "user_id",
    anonymous: Annotated[float, _option("Share of profiles without it.", min=0, max=1)] = 0.15,
    messy: Annotated[bool, typer.Option("--messy", help="Traits of every kind, most of them odd.")] = False,
    identifier_trait: Annotated[float, _option("Share of the others with it as a trait.", min=0, max=1)] = 0.0,
    segment_requests_per_second: Annotated[
        int, _option("Segment's limit; 0 for none.", None, "--requests-per-second", min=0)
    ] = 100,
    voucherify_requests_per_minute: Annotated[
        int, _option("Voucherify's limit; 0 for none.", None, "--requests-per-minute", min=0)
    ] = 100,
    bulk_requests_per_hour: Annotated[int, _option("Its limit of bulk upserts an hour; 0 for none.", min=0)] = 0,
    latency_ms: Annotated[float, _option("Median latency of a call.", min=0)] = 20.0,
    action_seconds: Annotated[float, _option("Seconds until a bulk upsert has its result.", min=0)] = 0.5,
    too_many: Annotated[float, _option("Share of calls answered 429.", min=0, max=1)] = 0.0,
    server_error: Annotated[float, _option("Share of calls answered 5xx.", min=0, max=1)] = 0.0,
    garbled: Annotated[float, _option("Share of calls with an unreadable answer.", min=0, max=1)] = 0.0,
    cut: Annotated[float, _option("Share of calls whose connection is cut.", min=0, max=1)] = 0.0,
    hang: Annotated[float, _option("Share of calls that are never answered.", min=0, max=1)] = 0.0,
    missing: Annotated[float, _option("Share of profiles listed, then answered 404.", min=0, max=1)] = 0.0,
    refused_at_once: Annotated[float, _option("Share of customers answered 400.", min=0, max=1)] = 0.0,
    refused_later: Annotated[float, _option("Share of customers refused after 202.", min=0, max=1)] = 0.0,
    failed_actions: Annotated[float, _option("Share of bulk upserts that end FAILED.", min=0, max=1)] = 0.0,
    errors_listed: Annotated[int, _option("Most refused customers that a result names.", min=0)] = 1000,
    report_columns: Annotated[str, _option("Columns of a report.", "NAMES")] = "source_id,found,updated",
    foreign_reports: Annotated[bool, typer.Option("--foreign-reports", help="Reports are on another host.")] = False,
    reports_want_credentials: Annotated[
        bool, typer.Option("--reports-want-credentials", help="Reports are answered 401 without credentials.")
    ] = False,
    short_listing: Annotated[
        bool, typer.Option("--short-listing", help="The listing of actions has no operation_status.")
    ] = False,
    take_nulls: Annotated[bool, typer.Option("--take-nulls", help="A customer's attributes may be null.")] = False,
    defined_metadata_only: Annotated[bool, typer.Option("--defined-metadata-only", help="Strict schema.")] = False,
    ignore_include: Annotated[bool, typer.Option("--ignore-include", help="Answer all, whatever is asked.")] = False,
) -> None:
    """Serve both APIs on this machine until Ctrl-C, to try segsync against."""
    with _errors_in_words():
        from segsync.commands.sandbox import serve_until_signal
        from segsync.sandbox.options import Faults, SandboxOptions

        faults = Faults(too_many=too_many, server_error=server_error, garbled=garbled, cut=cut, hang=hang)
        own = {name: value for name, value in context.params.items() if name in SandboxOptions.__struct_fields__}
        serve_until_signal(SandboxOptions(**own, segment_faults=faults, voucherify_faults=faults), port)


def _given(context: Any) -> dict[str, list[str]]:
    """The flags that stand on the command line, each with the words to type it again."""
    return {
        parameter.opts[0]: parameter.opts[:1] if parameter.is_flag else [parameter.opts[0], str(value)]
        for parameter in context.command.params
        if context.get_parameter_source(parameter.name).name == "COMMANDLINE"
        for value in [context.params.get(parameter.name)]
    }


def _refuse_flags_before(name: str, context: Any, given: Mapping[str, object]) -> None:
    """Refuse flags before a command: they are flags of the import, and would seem to count for the command."""
    known = {option for parameter in context.command.get_command(context, name).params for option in parameter.opts}
    problems = [
        f"{flag} goes behind the command: {name} {flag}."
        if flag in known
        else f"{flag} is for an import: {name} has no such flag."
        for flag in given
    ]
    if problems:
        raise typer.BadParameter(" ".join(problems))


def _refuse_flags(given: Mapping[str, object], *, offset: str | None, output: Path | None) -> None:
    """Refuse flags that do not go together or have no meaning."""
    for group in EXCLUSIVE:
        both = [flag for flag in group if flag in given]
        if len(both) > 1:
            raise typer.BadParameter(f"{' and '.join(both)} exclude each other.")
    if {"--sandbox", "--env-file"} <= given.keys():
        raise typer.BadParameter("--sandbox uses no settings but its own: leave out --env-file.")
    if offset is not None and not (offset.strip() and offset.isprintable()):
        raise typer.BadParameter("--offset must be a number or a cursor: 0 is the beginning.")
    if output and "--dry-run" not in given:
        raise typer.BadParameter("--output is for a --dry-run: an import sends its customers to Voucherify.")
    if output:
        from segsync.connectors.file import problem_with

        if problem := problem_with(output):
            raise typer.BadParameter(problem)


@contextmanager
def _errors_in_words(*, as_json: bool = False) -> Iterator[None]:
    """Whatever goes wrong, a user reads a sentence and the shell gets an exit code."""
    from segsync.errors import LedgerError, SegsyncError, SettingsError
    from segsync.formatting import printable

    try:
        yield
    except SegsyncError as error:
        text = printable(f"Error: {error}")
        if isinstance(error, SettingsError):
            problems = "\n".join(f"  {problem}" for problem in error.problems)
            text = f"Invalid configuration (.env-example lists the settings):\n{problems}"
        if as_json:
            from segsync.monitor.log_handlers import json_error

            text = json_error(text)
        typer.echo(text, err=True)
        raise typer.Exit(2 if isinstance(error, SettingsError | LedgerError) else 1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
