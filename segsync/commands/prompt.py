"""What the options mean for the ledger as it is: begin, resume, or ask the user."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final

from rich.console import Console
from rich.text import Text

from segsync.commands import next_steps
from segsync.commands.next_steps import EXIT_DONE, EXIT_INTERRUPTED, EXIT_STOPPED, EXIT_USAGE
from segsync.formatting import minute, printable, profiles
from segsync.ledger.database import Ledger
from segsync.ledger.rejections import IS_UNKNOWN, count_unresolved
from segsync.ledger.runs import Run
from segsync.models import FIRST_OFFSET, Plan
from segsync.options import ImportOptions
from segsync.pipeline.chosen import ChosenIds
from segsync.pipeline.plan import last_run, plan_ids, plan_new, plan_resume, plan_retry

ANSWERS: Final = {"y": True, "yes": True, "n": False, "no": False}


def choose(options: ImportOptions, ledger: Ledger, console: Console, chosen: ChosenIds | None = None) -> Plan | int:
    """The plan for what is asked for, or an exit code where there is nothing to do. Prints which on `console`.

    `chosen` are the ids that are asked for.
    """

    def show(text: str) -> None:
        console.print(Text(printable(text)), soft_wrap=True)

    if chosen:
        return plan_ids(ledger, chosen)
    if options.retry_rejected:
        plan = plan_retry(ledger)
        if plan.has_work:
            return plan
        of_others = ledger.read(lambda db: count_unresolved(db) + count_unresolved(db, IS_UNKNOWN))
        show(nothing_to_retry(options, of_others))
        return EXIT_DONE
    if not options.resume and options.offset is None and not options.is_sandbox:
        last = last_run(ledger)
        if last and last.is_unfinished:
            show(f"The ledger {options.ledger} holds an unfinished import: {_described(last)}.")
            return _asked(options, ledger, last, console, show)
    return _resume(options, ledger, show) if options.resume else plan_new(ledger, options.offset or FIRST_OFFSET)


def _asked(
    options: ImportOptions, ledger: Ledger, last: Run, console: Console, show: Callable[[str], None]
) -> Plan | int:
    """What the user wants of an unfinished import: it, or nothing. Beginning anew takes a flag."""
    code, wants_it = EXIT_USAGE, None
    if options.may_ask:
        try:
            wants_it = ask("Resume? [Y/n] " if last.offset is None else f"Resume at offset {last.offset}? [Y/n] ", "y")
        except KeyboardInterrupt:
            code = EXIT_INTERRUPTED
    if wants_it:
        return _resume(options, ledger, show)
    console.print("Nothing was done.")
    steps = [next_steps.to_begin_anew(options)]
    if wants_it is None:
        steps.insert(0, next_steps.to_resume(options, last.outcomes.profiles))
    for line in (line for step in steps for line in next_steps.step_lines(step)):
        console.print(line, soft_wrap=True)
    return code if wants_it is None else EXIT_STOPPED


def nothing_to_retry(options: ImportOptions, of_others: int = 0) -> str:
    """`of_others` is how many profiles of another space are rejected, or have an unknown result."""
    if of_others:
        those = f"those of {profiles(of_others)} are from another Segment space, whose settings retry them"
        return f"The ledger {options.ledger} has no rejections from this Segment space: nothing to retry; {those}."
    return f"The ledger {options.ledger} has no rejected profiles: nothing to retry."


def _resume(options: ImportOptions, ledger: Ledger, show: Callable[[str], None]) -> Plan | int:
    plan = plan_resume(ledger)
    if plan is None:
        show(f"No import has run on the ledger {options.ledger} yet: beginning at the first profile.")
        return plan_new(ledger, FIRST_OFFSET)
    if not plan.has_work:
        show(f"The last import on the ledger {options.ledger} is complete: nothing to resume.")
        return EXIT_DONE
    return plan


def _described(run: Run) -> str:
    how = {"running": "crashed or was killed", "interrupted": "interrupted"}.get(run.state, "stopped early")
    done = f"{profiles(run.checkpointed.done)} done, up to offset {run.offset or 'the end'}"
    return f"started at {minute(run.began_at)} UTC, {how}, {done}"


def resume_question(offset: str | None) -> str:
    """The question after an error, in the words of the Node script that segsync replaces."""
    where = "" if offset is None else f" from the offset: {offset}"
    return f'Do you wish to resume the process{where}? Type "yes" or "no": '


def ask(question: str, default: str = "") -> bool | None:
    """Whether the user says yes, asked again until it is yes or no; None where the input ends.

    Enter alone means the `default`. Raises `KeyboardInterrupt` for Ctrl-C.
    """
    while True:
        sys.stderr.write(printable(question))
        sys.stderr.flush()
        try:
            line = sys.stdin.readline()
        except KeyboardInterrupt:
            sys.stderr.write("\n")
            raise
        if not line:
            sys.stderr.write("\n")
            return None
        answer = line.strip().lower() or default
        if answer in ANSWERS:
            return ANSWERS[answer]
        sys.stderr.write("Please answer yes or no.\n")
