"""What the options mean for the ledger as it is: begin, resume, or ask the user."""

from __future__ import annotations

import sys
from collections.abc import Callable

from rich.console import Console
from rich.text import Text

from segsync.commands.next_steps import EXIT_DONE, EXIT_USAGE
from segsync.formatting import printable
from segsync.ledger.database import Ledger
from segsync.ledger.runs import Run
from segsync.models import FIRST_OFFSET, Plan
from segsync.options import ImportOptions
from segsync.pipeline.plan import last_run, plan_new, plan_resume, plan_retry
from segsync.pipeline.run import tidy_rejected

WAYS_ON = "To resume it: --resume. To begin again from the first profile: --offset 0"


def choose(options: ImportOptions, ledger: Ledger, console: Console) -> Plan | int:
    """The plan for what is asked for, or an exit code where there is nothing to do. Says which on `console`."""

    def say(text: str) -> None:
        console.print(Text(printable(text)), soft_wrap=True)

    if options.retry_rejected:
        plan = plan_retry(ledger)
        if plan.has_work:
            say(f"Retrying rejected profiles: {plan.before.rejected:,}.")
            return plan
        tidy_rejected(ledger, options.directory)
        say(f"The ledger {options.ledger} has no rejected profiles: nothing to retry.")
        return EXIT_DONE
    if options.resume:
        return _choose_resume(options, ledger, say)
    last = last_run(ledger)
    if options.offset is None and not options.begins_anew and last and last.is_unfinished:
        say(f"The ledger {options.ledger} holds an unfinished import: {describe(last)}.")
        return _ask(options, ledger, last, say)
    return plan_new(ledger, options.offset or FIRST_OFFSET)


def _choose_resume(options: ImportOptions, ledger: Ledger, say: Callable[[str], None]) -> Plan | int:
    plan = plan_resume(ledger)
    if plan is None:
        say(f"No import has run on the ledger {options.ledger} yet: beginning at the first profile.")
        return plan_new(ledger, FIRST_OFFSET)
    if not plan.has_work:
        tidy_rejected(ledger, options.directory)
        say(f"The last import on the ledger {options.ledger} is complete: nothing to resume.")
        return EXIT_DONE
    if plan.offset is None:
        say(f"Resuming: all {plan.before.profiles:,} profiles are listed; waiting for Voucherify's results.")
    else:
        say(f"Resuming from offset {plan.offset}: {plan.before.done:,} profiles are done.")
    return plan


def _ask(options: ImportOptions, ledger: Ledger, last: Run, say: Callable[[str], None]) -> Plan | int:
    """Ask the user: neither to begin again nor to resume is right without an answer."""
    wish = ""
    if options.may_ask:
        wish = answer(resume_question(last.offset) + '"yes" resumes, "no" begins again from the first profile: ')
    if wish == "yes":
        return _choose_resume(options, ledger, say)
    if wish == "no":
        return plan_new(ledger, FIRST_OFFSET)
    say(f"Nothing was done. {WAYS_ON}")
    return EXIT_USAGE


def describe(run: Run) -> str:
    """An unfinished run in a few words."""
    how = {"running": "crashed or was killed", "interrupted": "was interrupted"}.get(run.state, "stopped early")
    began = run.began_at[:16].replace("T", " ")
    done = f"{run.outcomes.done:,} profiles are done"
    return f"it started at {began} UTC, {how}, and {done}, up to offset {run.offset or 'the end'}"


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
