"""The flags. What they mean is decided elsewhere: `settings`, `terminal` and `sandbox`.

Heavy imports wait until a command needs them, so that `--help` answers at once.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from segsync.__about__ import __version__

if TYPE_CHECKING:
    from segsync.options import ImportOptions
    from segsync.settings import Settings


HELP = """Move a company's customers from a Twilio Segment space into Voucherify.

Credentials and settings come from the environment or from .env; .env-example lists them all.
"""

EPILOG = """Exit codes: 0 done. 1 stopped early; the message says how to resume. 2 wrong usage, settings, paths, ledger
or credentials. 3 done, but some profiles were rejected: see rejected-profiles.csv; or a check found what would fail.
130 or 143 ended by Ctrl-C or SIGTERM, after what was under way had been finished and sent.

A run leaves profiles-without-identifier.txt, rejected-profiles.csv and profiles-with-warnings.csv in the working
directory, each only if there is something to say.
"""


class Commands(TyperGroup):
    """Who comes from the Node script may type its offset as it was typed there."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and self.get_command(ctx, args[0]) is None:
            ctx.fail(f"There is no command '{args[0]}'. To begin at an offset: --offset {shlex.quote(args[0])}")
        return super().resolve_command(ctx, args)


app = typer.Typer(cls=Commands, pretty_exceptions_enable=False, rich_markup_mode=None)


class LogFormat(StrEnum):
    """How the lines of the log look."""

    TEXT = "text"
    JSON = "json"


METRICS_HOST = "127.0.0.1"

SANDBOX_PROFILES = 500

SANDBOX_DIRECTORY = "segsync-sandbox"
"""Where `--sandbox` leaves its files, so that those of a real import are safe from it."""


@app.callback(invoke_without_command=True, help=HELP, epilog=EPILOG)
def import_command(
    context: typer.Context,
    offset: Annotated[
        str | None,
        typer.Option(metavar="OFFSET", help="Where to begin: a number of profiles to skip, or a cursor of Segment's."),
    ] = None,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="Import the first N profiles only.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where the last import stood, or begin if there was none.")
    ] = False,
    retry_rejected: Annotated[
        bool, typer.Option("--retry-rejected", help="Take just the rejected profiles through again.")
    ] = False,
    no_confirm: Annotated[
        bool, typer.Option("--no-confirm", help="Do not ask what became of customers that were accepted.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Do it all, but send nothing and remember nothing.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where a dry run puts its customers: a new .ndjson or .csv.")
    ] = None,
    ledger: Annotated[
        str | None, typer.Option(metavar="FILE", help="Remembers the import. [SEGSYNC_LEDGER, segsync.db]")
    ] = None,
    concurrency: Annotated[
        str | None, typer.Option(metavar="N", help="Profiles fetched at a time. [SEGSYNC_CONCURRENCY, auto]")
    ] = None,
    batch_size: Annotated[
        str | None, typer.Option(metavar="N", help="Customers a bulk upsert. [SEGSYNC_BATCH_SIZE, 100]")
    ] = None,
    env_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Read settings from FILE instead of .env.")
    ] = None,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help=f"Import {SANDBOX_PROFILES} invented profiles, no account needed.")
    ] = False,
    profiles: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="How many there will be, for a bar and the time left.")
    ] = None,
    log_format: Annotated[
        LogFormat, typer.Option(help="json writes the log for machines, to standard error or --log-file.")
    ] = LogFormat.TEXT,
    log_file: Annotated[Path | None, typer.Option(metavar="FILE", help="Add the log to FILE too.")] = None,
    metrics_port: Annotated[
        int | None, typer.Option(metavar="PORT", min=1, max=65535, help="Serve metrics for Prometheus there.")
    ] = None,
    metrics_host: Annotated[
        str, typer.Option(metavar="HOST", help="The address that --metrics-port is on.")
    ] = METRICS_HOST,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Leave a page for people: report.html, say. [extra: report]")
    ] = None,
    report_ids: Annotated[
        int,
        typer.Option(metavar="N", min=0, show_default=False, help="Let it name N profiles a group, by Segment id."),
    ] = 0,
    summary_json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Leave the summary as JSON; - is standard output.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress: only problems and the summary.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Tell of every retry, rejection, page.")] = False,
    no_input: Annotated[bool, typer.Option("--no-input", help="Never ask anything.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Flags → settings → import."""
    if version:
        typer.echo(f"segsync {__version__}")
        raise typer.Exit
    if context.invoked_subcommand:
        _refuse_flags_before(context.invoked_subcommand, context)
        return
    _exclude({"--quiet": quiet, "--verbose": verbose})
    if sandbox and env_file:
        raise typer.BadParameter("--sandbox uses no settings but its own: leave out --env-file.")
    if offset is not None and not (offset.strip() and offset.isprintable()):
        raise typer.BadParameter("--offset must be a number or a cursor: 0 is the beginning.")
    _exclude(
        {"--resume": resume, "--retry-rejected": retry_rejected, "--offset": offset is not None},
        {"--sandbox": sandbox, "--resume": resume, "--retry-rejected": retry_rejected},
        {"--retry-rejected": retry_rejected, "--limit": limit is not None},
        {"--dry-run": dry_run, "--resume": resume, "--retry-rejected": retry_rejected},
        {"--dry-run": dry_run, "--report": report is not None},
        {"--retry-rejected": retry_rejected, "--profiles": profiles is not None},
    )
    _check_output(output, dry_run=dry_run)
    is_terminal = sys.stderr.isatty()
    # At a terminal the log's format is that of its file, if it has one: the terminal keeps its display.
    stderr_is_json = log_format is LogFormat.JSON and not (log_file and is_terminal)
    given = {
        "SEGSYNC_CONCURRENCY": ("--concurrency", concurrency),
        "SEGSYNC_BATCH_SIZE": ("--batch-size", batch_size),
        "SEGSYNC_LEDGER": ("--ledger", ledger),
    }
    said = {"--report": report, "--report-ids": report_ids or None, "--summary-json": summary_json}
    flags = {variable: (flag, value) for variable, (flag, value) in given.items() if value is not None}
    with _errors_in_words(as_json=stderr_is_json):
        from segsync.commands.import_ import dry_run_at_terminal, import_at_terminal
        from segsync.options import ImportOptions, ReportFiles
        from segsync.report.writer import check_outputs
        from segsync.settings import Settings

        outputs = ReportFiles(report=report, report_ids=report_ids, summary_json=summary_json)
        check_outputs(outputs)

        def options(settings: Settings) -> ImportOptions:
            return ImportOptions(
                settings=settings,
                ledger=Path(settings.ledger),
                offset=offset,
                resume=resume,
                retry_rejected=retry_rejected,
                confirm=not (no_confirm or dry_run),
                dry_run=dry_run,
                output=output,
                begins_anew=sandbox,
                limit=limit,
                mode="quiet" if quiet else "live" if is_terminal and not stderr_is_json else "lines",
                verbose=verbose,
                may_ask=not (no_input or stderr_is_json) and sys.stdin.isatty() and is_terminal,
                command=_command(),
                resume_flags=_resume_flags(
                    flags,
                    {
                        "--env-file": env_file,
                        "--profiles": profiles,
                        "--log-format": None if log_format is LogFormat.TEXT else log_format,
                        "--log-file": log_file,
                        "--metrics-port": metrics_port,
                        "--metrics-host": None if metrics_host == METRICS_HOST else metrics_host,
                        **said,
                    },
                    sandbox=sandbox,
                    no_confirm=no_confirm,
                    quiet=quiet,
                    verbose=verbose,
                    no_input=no_input,
                ),
                directory=Path(SANDBOX_DIRECTORY if sandbox else "."),
                profiles=profiles,
                log_format=log_format.value,
                log_file=log_file,
                stderr_is_json=stderr_is_json,
                metrics_port=metrics_port,
                metrics_host=metrics_host,
                outputs=outputs,
            )

        if sandbox:
            from segsync.commands.sandbox import import_sandbox

            code = import_sandbox(options, flags, profiles=SANDBOX_PROFILES, directory=Path(SANDBOX_DIRECTORY))
        else:
            run = dry_run_at_terminal if dry_run else import_at_terminal
            _, code = run(options(Settings.load(flags=flags, env_file=env_file)))
        raise typer.Exit(code)


@app.command("status")
def status_command(
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
    ledger: Annotated[str | None, typer.Option(metavar="FILE", help="The ledger. [SEGSYNC_LEDGER, segsync.db]")] = None,
    env_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Read settings from FILE instead of .env.")
    ] = None,
) -> None:
    """Tell how far the imports came, what is not confirmed, what to do next."""
    with _errors_in_words():
        from segsync.commands.status import say_status
        from segsync.settings import one_setting

        say_status(Path(ledger or one_setting("SEGSYNC_LEDGER", env_file=env_file)), as_json=as_json)


@app.command("check")
def check_command(
    sample: Annotated[int, typer.Option(metavar="N", min=1, max=10_000, help="Profiles to look at.")] = 100,
    profiles: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="How many there are: tells the calls and the time.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
    env_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Read settings from FILE instead of .env.")
    ] = None,
) -> None:
    """Try settings, both services and a sample of profiles before an import.

    It writes nothing anywhere, and exits with 0, or 3 if something failed.
    """
    with _errors_in_words():
        from segsync.commands.check import check_at_terminal

        raise typer.Exit(check_at_terminal(env_file=env_file, sample=sample, profiles=profiles, as_json=as_json))


@app.command("sandbox")
def sandbox_command(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.", min=0, max=65535)] = 8080,
    profiles: Annotated[int, typer.Option(help="Profiles in the space.", min=0)] = 500,
    seed: Annotated[int, typer.Option(help="Same seed, same profiles.")] = 1,
    identifier: Annotated[str, typer.Option(help="External id type that customers are known by.")] = "user_id",
    anonymous: Annotated[float, typer.Option(help="Share of profiles without it.", min=0, max=1)] = 0.15,
    identifier_trait: Annotated[
        float, typer.Option(help="Share of the others with it as a trait.", min=0, max=1)
    ] = 0.0,
    requests_per_second: Annotated[int, typer.Option(help="Segment's limit; 0 for none.", min=0)] = 100,
    requests_per_minute: Annotated[int, typer.Option(help="Voucherify's limit; 0 for none.", min=0)] = 100,
    latency_ms: Annotated[float, typer.Option(help="Median latency of a call.", min=0)] = 20.0,
    action_seconds: Annotated[float, typer.Option(help="How long a bulk upsert takes to be done.", min=0)] = 0.5,
    too_many: Annotated[float, typer.Option(help="Share of calls answered 429.", min=0, max=1)] = 0.0,
    server_error: Annotated[float, typer.Option(help="Share of calls answered 5xx.", min=0, max=1)] = 0.0,
    cut: Annotated[float, typer.Option(help="Share of calls whose connection is cut.", min=0, max=1)] = 0.0,
    hang: Annotated[float, typer.Option(help="Share of calls that are never answered.", min=0, max=1)] = 0.0,
    missing: Annotated[float, typer.Option(help="Share of profiles listed, then answered 404.", min=0, max=1)] = 0.0,
    refused_at_once: Annotated[float, typer.Option(help="Share of customers answered 400.", min=0, max=1)] = 0.0,
    refused_later: Annotated[float, typer.Option(help="Share of customers refused after 202.", min=0, max=1)] = 0.0,
    failed_actions: Annotated[float, typer.Option(help="Share of bulk upserts that end FAILED.", min=0, max=1)] = 0.0,
    errors_listed: Annotated[int, typer.Option(help="Refused customers that a result names at most.", min=0)] = 1000,
    foreign_reports: Annotated[bool, typer.Option("--foreign-reports", help="Reports are on another host.")] = False,
    defined_metadata_only: Annotated[bool, typer.Option("--defined-metadata-only", help="Strict schema.")] = False,
    ignore_include: Annotated[bool, typer.Option("--ignore-include", help="Answer all, whatever is asked.")] = False,
) -> None:
    """Serve both APIs on this machine until Ctrl-C, to try segsync against."""
    with _errors_in_words():
        from segsync.commands.sandbox import serve_until_signal
        from segsync.sandbox.options import Faults, SandboxOptions

        faults = Faults(too_many=too_many, server_error=server_error, cut=cut, hang=hang)
        options = SandboxOptions(
            profiles=profiles,
            seed=seed,
            identifier=identifier,
            anonymous=anonymous,
            missing=missing,
            identifier_trait=identifier_trait,
            refused_at_once=refused_at_once,
            refused_later=refused_later,
            failed_actions=failed_actions,
            errors_listed=errors_listed,
            foreign_reports=foreign_reports,
            defined_metadata_only=defined_metadata_only,
            ignore_include=ignore_include,
            latency_ms=latency_ms,
            action_seconds=action_seconds,
            segment_requests_per_second=requests_per_second,
            voucherify_requests_per_minute=requests_per_minute,
            segment_faults=faults,
            voucherify_faults=faults,
        )
        serve_until_signal(options, port)


def _refuse_flags_before(name: str, context: Any) -> None:
    """What stands before a command is a flag of the import: it would not count for the command, and seem to."""
    command = context.command.get_command(context, name)
    known = {option for parameter in command.params for option in parameter.opts}
    given = [
        parameter.opts[0]
        for parameter in context.command.params
        if context.get_parameter_source(parameter.name).name == "COMMANDLINE"
    ]
    problems = [
        f"{flag} goes behind the command: {name} {flag}."
        if flag in known
        else f"{flag} is for an import: {name} has no such flag."
        for flag in given
    ]
    if problems:
        raise typer.BadParameter(" ".join(problems))


def _exclude(*groups: Mapping[str, bool]) -> None:
    """Of each of these groups of flags one may be given, no more."""
    for group in groups:
        given = [flag for flag, is_given in group.items() if is_given]
        if len(given) > 1:
            raise typer.BadParameter(f"{' and '.join(given)} exclude each other.")


def _check_output(output: Path | None, *, dry_run: bool) -> None:
    """The file of a dry run: only there, and of a kind that its name tells."""
    if output is None:
        return
    if not dry_run:
        raise typer.BadParameter("--output is for a --dry-run: an import sends its customers to Voucherify.")
    from segsync.connectors.file import problem_with

    if problem := problem_with(output):
        raise typer.BadParameter(problem)


def _command() -> list[str]:
    """How this program was called, for the command that resumes."""
    is_module = Path(sys.argv[0]).name == "__main__.py"
    return [sys.orig_argv[0], "-m", "segsync"] if is_module else sys.argv[:1]


def _resume_flags(settings: Mapping[str, tuple[str, str]], others: Mapping[str, object], **switches: bool) -> list[str]:
    """What was said on the command line and has to be said again; None is what was not said."""
    return [
        *(word for pair in settings.values() for word in pair),
        *(word for flag, value in others.items() if value is not None for word in (flag, str(value))),
        *(f"--{name.replace('_', '-')}" for name, is_on in switches.items() if is_on),
    ]


@contextmanager
def _errors_in_words(*, as_json: bool = False) -> Iterator[None]:
    """Whatever goes wrong, a user reads a sentence and the shell gets an exit code."""
    from segsync.errors import LedgerError, SegsyncError, SettingsError
    from segsync.formatting import printable

    def say(text: str) -> None:
        if as_json:
            from segsync.monitor.log_handlers import json_error

            text = json_error(text)
        typer.echo(text, err=True)

    try:
        yield
    except SettingsError as error:
        lines = "\n".join(f"  {problem}" for problem in error.problems)
        say(f"Settings are missing or not allowed (see .env-example):\n{lines}")
        raise typer.Exit(2) from None
    except LedgerError as error:
        say(printable(f"Error: {error}"))
        raise typer.Exit(2) from None
    except SegsyncError as error:
        say(printable(f"Error: {error}"))
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
