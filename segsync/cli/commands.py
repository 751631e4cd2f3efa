"""The flags of `status` and `check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segsync.cli.errors import errors_in_words, warn
from segsync.cli.flags import AsJson, EnvFile, LedgerFile, ListsDirectory, given_flags, option
from segsync.cli.invocation import init_command, invocation


def status_command(
    context: typer.Context,
    as_json: AsJson = False,
    ledger: LedgerFile = None,
    env_file: EnvFile = None,
    directory: ListsDirectory = None,  # as all flags are, it is in `given_flags`
) -> None:
    """Show the outcomes and the next step, and write the lists.

    The lists of profiles are written as the ledger has them now, even while an import runs.
    """
    with errors_in_words():
        from segsync.check.misspelt import misspelt_settings
        from segsync.commands.status import print_status
        from segsync.settings import one_setting

        for warning in misspelt_settings(env_file=env_file):
            warn(warning, as_json=False)
        path = Path(one_setting("SEGSYNC_LEDGER", flags=_ledger_flag(ledger), env_file=env_file))
        given = {flag: words for flag, words in given_flags(context).items() if flag != "--json"}
        print_status(path, as_json=as_json, command=invocation(given), writes_lists=True)


def check_command(
    sample: Annotated[int, option("Number of profiles to read.", "N", min=1, max=10_000)] = 100,
    profiles: Annotated[int | None, option("Total to estimate calls and time for.", "N", min=1)] = None,
    as_json: AsJson = False,
    ledger: LedgerFile = None,
    env_file: EnvFile = None,
) -> None:
    """Check settings, both services and a sample of profiles.

    It writes nothing to Segment or Voucherify. The ledger stores which traits are not imported: the summary of an
    import repeats them. Exit codes: 0, ready; 2, invalid settings; 3, something else failed.
    """
    with errors_in_words():
        from segsync.commands.check import check_at_terminal

        raise typer.Exit(
            check_at_terminal(
                env_file=env_file,
                sample=sample,
                profiles=profiles,
                as_json=as_json,
                flags=_ledger_flag(ledger),
                init_command=init_command(env_file),
            )
        )


def _ledger_flag(ledger: str | None) -> dict[str, tuple[str, str]]:
    """What `--ledger` sets, as `Settings.load` takes it."""
    return {} if ledger is None else {"SEGSYNC_LEDGER": ("--ledger", ledger)}
