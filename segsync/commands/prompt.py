"""What the options mean for the ledger as it is: begin, resume, or ask the user."""

from __future__ import annotations

import sys
from collections.abc import Callable

from rich.console import Console
from rich.text import Text

from segsync.commands.next_steps import EXIT_DONE, EXIT_USAGE
from segsync.formatting import minute, printable
from segsync.ledger.database import Ledger
from segsync.ledger.runs import Run
from segsync.models import FIRST_OFFSET, Plan
from segsync.options import ImportOptions
from segsync.pipeline.plan import last_run, plan_new, plan_resume, plan_retry
from segsync.pipeline.run import tidy_rejected


def choose(options: ImportOptions, ledger: Ledger, console: Console) -> Plan | int:
    """The plan for what is asked for, or an exit code where there is nothing to do. Prints which on `console`."""

    def show(text: str) -> None:
        console.print(Text(printable(text)), soft_wrap=True)

    if options.retry_rejected:
        plan = plan_retry(ledger)
        if plan.has_work:
            unknown = f", and {plan.before.unknown:,} whose result is unknown" if plan.before.unknown else ""
            show(f"Retrying rejected profiles: {plan.before.rejected:,}{unknown}.")
            return plan
        tidy_rejected(ledger, options.directory)
        show(f"The ledger {options.ledger} has no rejected profiles: nothing to retry.")
        return EXIT_DONE
    wish = "yes" if options.resume else "no"
    last = last_run(ledger)
    if not options.resume and options.offset is None and not options.is_sandbox and last and last.is_unfinished:
        show(f"The ledger {options.ledger} holds an unfinished import: {_described(last)}.")
        question = resume_question(last.offset) + '"yes" resumes, "no" begins again from the first profile: '
        wish = answer(question) if options.may_ask else ""
    if wish == "yes":
        return _resume(options, ledger, show)
    if wish == "no":
        return plan_new(ledger, options.offset or FIRST_OFFSET)
    show("Nothing was done. To resume it: --resume. To begin again from the first profile: --offset 0")
    return EXIT_USAGE


def _resume(options: ImportOptions, ledger: Ledger, show: Callable[[str], None]) -> Plan | int:
    plan = plan_resume(ledger)
    if plan is None:
        show(f"No import has run on the ledger {options.ledger} yet: beginning at the first profile.")
        return plan_new(ledger, FIRST_OFFSET)
    if not plan.has_work:
        tidy_rejected(ledger, options.directory)
        show(f"The last import on the ledger {options.ledger} is complete: nothing to resume.")
        return EXIT_DONE
    if plan.offset is None:
        show(f"Resuming: all {plan.before.profiles:,} profiles are listed; waiting for Voucherify's results.")
    else:
        show(f"Resuming from offset {plan.offset}: {plan.before.done:,} profiles are done.")
    return plan


def _described(run: Run) -> str:
    how = {"running": "crashed or was killed", "interrupted": "was interrupted"}.get(run.state, "stopped early")
    done = f"{run.outcomes.done:,} profiles are done"
    return f"it started at {minute(run.began_at)} UTC, {how}, and {done}, up to offset {run.offset or 'the end'}"


def resume_question(offset: str | None) -> str:
    """The question of the Node script that segsync replaces."""
    where = "" if offset is None else f" from the offset: {offset}"
    return f"Do you wish to resume the process{where}? "


def answer(question: str) -> str:
    """What the user types, in lower case; nothing for Ctrl-C or the end of the input."""
    sys.stderr.write(printable(question))
    sys.stderr.flush()
    try:
        return sys.stdin.readline().strip().lower()
    except KeyboardInterrupt:
        return ""
