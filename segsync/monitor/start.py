"""The line at the start of an import: what is about to happen, from where, to where, and what it will take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from segsync.formatting import clock, counted, first_profiles, profiles, segment_ids
from segsync.models import FIRST_OFFSET, Connector, Cost, Plan
from segsync.options import ids_in_words

APPLICATION_SHOWN: Final = 8
"""How many characters of a project's id are shown: enough to tell projects apart."""


def start_words(
    plan: Plan,
    connectors: Sequence[Connector],
    *,
    identifier: str | None,
    ledger: str | None,
    limit: int | None,
    cost: Cost | None,
    is_dry_run: bool,
    is_sandbox: bool,
) -> str:
    """The line for people. `connectors` are the source and the sink; `cost` is None where the total is not known."""
    source, sink = connectors
    where = [
        f"{source.name} {source.scope} {source.identity}",
        f"identifier {identifier}" if identifier else "",
        f"into {sink.name}" + (f" at {host_of(sink)}" if sink.host else ""),
        f"application {shown_id(sink)}…" if sink.identity else "",
        f"ledger {ledger}" if ledger else "",
    ]
    what = _what(plan, limit=limit, is_dry_run=is_dry_run, is_sandbox=is_sandbox)
    return " ".join(filter(None, (f"{what}.", f"{', '.join(filter(None, where))}.", _cost_words(cost))))


def kind_words(plan: Plan) -> str:
    """What the plan is, in the log, before the number of its run."""
    if plan.retried.profiles:
        return "retry of rejected profiles, run"
    return {"resume": "resumed run", "ids": "import of given ids, run"}.get(plan.kind, f"{plan.kind} run")


def host_of(connector: Connector) -> str:
    """The host that is called, with its port where it has one."""
    return urlsplit(connector.host).netloc or connector.host


def shown_id(connector: Connector) -> str:
    """As much of its id as may be shown."""
    return connector.identity[:APPLICATION_SHOWN]


def _what(plan: Plan, *, limit: int | None, is_dry_run: bool, is_sandbox: bool) -> str:
    unknown = f", and {plan.retried.unknown:,} whose result is unknown" if plan.retried.unknown else ""
    if plan.kind == "retry":
        return f"Retrying rejected profiles: {plan.retried.rejected:,}{unknown}"
    if plan.retried.profiles:
        words = counted(plan.retried.rejected, "rejected profile") + unknown
        return f"Dry run of {words}, from {plan.ids_from}, nothing is sent"
    if plan.kind == "ids":
        where = f" from {ids_in_words(plan.ids_from)}" if plan.ids_from else ""
        words = f"the profiles of {segment_ids(plan.expected or 0)}{where}"
        return f"Dry run of {words}, nothing is sent" if is_dry_run else f"Importing only {words}"
    if plan.kind == "resume":
        return _resumed(plan)
    words = "Dry run" if is_dry_run else "New import"
    words += " from a sandbox" if is_sandbox else ""
    words += "" if limit is None else f" of {first_profiles(limit)}"
    words += "" if plan.offset == FIRST_OFFSET else f" from offset {plan.offset}"
    return f"{words}, nothing is sent" if is_dry_run else words


def _resumed(plan: Plan) -> str:
    if plan.ids_left:
        return f"Reading the results of given ids; {profiles(plan.ids_left)} of them stay pending"
    if plan.offset is None:
        return f"Resuming: all listed ({profiles(plan.before.profiles)}); waiting for Voucherify's results"
    return f"Resuming from offset {plan.offset}: {profiles(plan.before.done)} done"


def _cost_words(cost: Cost | None) -> str:
    if cost is None:
        return ""
    calls = " and ".join(counted(calls, f"{name} call") for name, calls in cost.calls.items())
    most = "about" if cost.is_measured else "up to"
    return f"{profiles(cost.profiles)}: {most} {calls}, about {clock(max(cost.seconds, 1))}."
