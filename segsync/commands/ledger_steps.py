"""The next steps that follow from a ledger, whichever command asks: what its imports and runs of ids have left."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from sqlite3 import Connection
from typing import Final, NamedTuple

from segsync.formatting import counted, printable, profiles
from segsync.ledger import runs
from segsync.ledger.runs import Run
from segsync.models import NextStep
from segsync.options import PATH_FLAGS, STANDARD_INPUT, Invocation, from_here, ids_in_words

REFUSED_STAGES = ("upsert", "confirm")
"""The stages of rejections by Voucherify: in the words that are shown, its own are redacted."""

SHOW_VALUES_WORDS = " (add --show-values to see Voucherify's own words)"

SEND_AGAIN_WORDS = "To send them again, which is safe, run:"

RESUME, RETRY = ("--resume",), ("--retry-rejected",)

ALL_LISTED: Final = ("done", "limited", "ids")
"""The states of imports all of whose profiles are listed, or those of `--limit`; "ids" where only ids were given."""


class Left(NamedTuple):
    """What a ledger has left to do, beside the profiles that are rejected or whose result is unknown.

    `state` is that of the last import, "ids" where there were only runs of given ids, and None where there was no run.
    `command` is how segsync is called for it, with its flags, and `limit` the value of its `--limit`. It
    `has_open_ends` where results are to be read, or profiles replayed. `ids_step` is for a run of ids that did not read
    them all, which may be the newest run (`are_ids_newest`).
    """

    state: str | None
    command: Invocation
    limit: int | None = None
    has_open_ends: bool = False
    ids_step: NextStep | None = None
    are_ids_newest: bool = False


def read_left(db: Connection, command: Invocation, ledger: Path, *, live: int | None = None) -> Left:
    """What the ledger at this path has left; `live` is the number of the run that works on it at this moment."""
    found = runs.runs(db)
    imports = [run for run in found if run.is_listing]
    # An import that listed nothing is not resumed, nor is a run of given ids.
    resumed = next(iter([*(run for run in imports if run.has_listed), *imports, *found]), None)
    state: str | None = imports[0].state if imports else "ids" if found else None
    state = "running" if live is not None else "killed" if state == "running" else state
    known = command.knowing(_flags_of(db, resumed, ledger)) if resumed else command
    limit = int(known.flags["--limit"][-1]) if "--limit" in known.flags else None
    if state == "limited" and limit is None and resumed:
        limit = resumed.outcomes.profiles
    ids = runs.ids_left(db)
    return Left(
        state,
        known,
        limit,
        has_open_ends=runs.has_open_ends(db),
        ids_step=_ids_step(db, command, ids, ledger) if ids else None,
        are_ids_newest=bool(ids and resumed and _last_seen(ids) >= _last_seen(resumed)),
    )


def _flags_of(db: Connection, run: Run, ledger: Path) -> list[list[str]]:
    """The flags of the last process that worked on a run, as `flags_to_keep` stores them."""
    flags = runs.flags_of(db, run.id)
    return [[words[0], from_here(words[1], ledger)] if words[0] in PATH_FLAGS else words for words in flags]


def _ids_step(db: Connection, command: Invocation, run: Run, ledger: Path) -> NextStep:
    file = from_here(run.ids_from, ledger) if run.ids_from else ""
    return of_ids(command.knowing(_flags_of(db, run, ledger)), file, run.ids_left)


def _last_seen(run: Run) -> str:
    return run.ended_at or run.began_at


def of_left(left: Left, unread: str = "") -> Iterator[NextStep]:
    """The steps for what is left, the first one first. `unread` says in words which results are not read."""
    ids_first = left.are_ids_newest or left.state in ALL_LISTED
    if left.ids_step and ids_first:
        yield left.ids_step
    if left.has_open_ends and left.state in ALL_LISTED:
        yield to_read_results(left, unread)
    if left.state == "limited":
        words = "The profiles of --limit are done. To import the rest, run:"
        yield _step(words, left.command.command(RESUME, without={"--limit"}))
    elif left.state not in (*ALL_LISTED, "running", None):
        words = "To resume the import, which reads the results too, run:" if unread else "To resume, run:"
        words = f"The {unread}. {words}" if unread else words
        yield _step(words, left.command.command(RESUME, *flag("--limit", left.limit), without={"--limit"}))
    if left.ids_step and not ids_first:
        yield left.ids_step


def to_read_results(left: Left, unread: str = "") -> NextStep:
    """The step that reads results and replays what failed, and lists nothing: for a limited import up to its limit."""
    words = f"The {unread}. To read them, run:" if unread else ""
    words = words or "Some customers are sent but not confirmed, or pending. To resume, run:"
    limit = flag("--limit", left.limit) if left.state == "limited" else []
    return _step(words, left.command.command(RESUME, *limit, without={"--limit", "--no-confirm"}))


def of_ledger(left: Left, *, rejected_at: Collection[str] = (), has_unknown: bool = False) -> list[NextStep]:
    """The next steps for a ledger, the first one first. `rejected_at` are the stages of rejections that are left."""
    if left.state is None:
        return [_step("No import has run yet. To begin, run:", left.command.command())]
    if left.state == "running":
        return [_step("An import is running.")]
    steps = [*of_left(left)]
    if rejected_at:
        words = f"To retry rejected profiles{hint(left.command, rejected_at)}:"
        steps.append(_step(words, left.command.command(RETRY)))
    elif has_unknown:
        steps.append(_step(f"Results are unknown. {SEND_AGAIN_WORDS}", left.command.command(RETRY)))
    if steps and "--sandbox" in left.command.flags:
        return [_step("Its sandbox ended with the import, which cannot be resumed.")]
    return sorted(steps, key=lambda step: not step.command) or [_step("Nothing is left to do.")]


def of_ids(command: Invocation, file: str, left: int) -> NextStep:
    """The next step after a run of the ids in `file` that left some of their profiles."""
    words = f"The profiles of {ids_in_words(file)} are not all done: {profiles(left)} left."
    if file == STANDARD_INPUT or file.startswith("/dev/fd/"):  # which a shell makes of <(command)
        return _step(f"{words} Give the same ids again, which is safe.")
    return _step(f"{words} To begin again with them, which is safe, run:", command.command(("--ids", file)))


def unread_words(customers: int) -> str:
    """That these results are not read, "" for none."""
    return f"results of {counted(customers, 'customer')} are not read" if customers else ""


def hint(command: Invocation, stages: Collection[str]) -> str:
    """That there is --show-values, where it was not given and Voucherify itself rejected profiles, at these stages."""
    is_of_use = "--show-values" not in command.flags and not {*REFUSED_STAGES}.isdisjoint(stages)
    return SHOW_VALUES_WORDS if is_of_use else ""


def flag(name: str, value: int | None) -> list[tuple[str, str]]:
    """A flag with its value as a command takes it, where it has one."""
    return [] if value is None else [(name, str(value))]


def _step(words: str, command: str | None = None) -> NextStep:
    return NextStep(printable(words), command)
