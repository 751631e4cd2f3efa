"""The line at the start of an import."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from segsync.models import Connector, Cost, Outcomes, Plan
from segsync.monitor.start import kind_words, start_words

CONNECTORS = (
    Connector("Segment", "spa_1", "https://profiles.segment.com", scope="space"),
    Connector("Voucherify", "1a2b3c4d-5e6f-7a8b", "https://api.voucherify.io", scope="project"),
)
WHERE = (
    "Segment space spa_1, identifier user_id, into Voucherify at api.voucherify.io, application 1a2b3c4d…, "
    "ledger my ledger.db."
)
NEW = Plan("new", (1,), 1, "0", Outcomes())
IDS = Plan("ids", (1,), 1, "0", Outcomes(), expected=1_200)


def words(plan: Plan = NEW, **changed: Any) -> str:
    about: dict[str, Any] = {
        "identifier": "user_id",
        "ledger": "my ledger.db",
        "limit": None,
        "cost": None,
        "is_dry_run": False,
        "is_sandbox": False,
    }
    return start_words(plan, CONNECTORS, **about | changed)


@pytest.mark.parametrize(
    ("plan", "changed", "what"),
    [
        (NEW, {}, "New import."),
        (NEW, {"limit": 100}, "New import of the first 100 profiles."),
        (Plan("new", (1,), 1, "c+/=", Outcomes()), {"limit": 1}, "New import of the first profile from offset c+/=."),
        (NEW, {"is_sandbox": True}, "New import from a sandbox."),
        (NEW, {"is_dry_run": True}, "Dry run, nothing is sent."),
        (NEW, {"is_dry_run": True, "is_sandbox": True}, "Dry run from a sandbox, nothing is sent."),
        (
            Plan("resume", (1,), 1, "800", Outcomes(confirmed=700, without_identifier=90, rejected=10)),
            {"limit": 1000},
            "Resuming from offset 800: 800 profiles done.",
        ),
        (
            Plan("resume", (1,), 1, None, Outcomes(sent=1_200)),
            {},
            "Resuming: all listed (1,200 profiles); waiting for Voucherify's results.",
        ),
        (
            Plan("resume", (1,), 0, None, Outcomes(sent=5, pending=1_200), ids_left=1_200),
            {},
            "Reading the results of given ids; 1,200 profiles of them stay pending.",
        ),
        (
            Plan("retry", (1, 2), 1, None, Outcomes(rejected=1_300), retried=Outcomes(rejected=1_200)),
            {},
            "Retrying rejected profiles: 1,200.",
        ),
        (
            Plan("retry", (1,), 1, None, Outcomes(), retried=Outcomes(rejected=3, unknown=2)),
            {},
            "Retrying rejected profiles: 3, and 2 whose result is unknown.",
        ),
        (
            structs.replace(IDS, ids_from="a b.csv"),
            {},
            "Importing only the profiles of 1,200 Segment ids from a b.csv.",
        ),
        (
            structs.replace(IDS, ids_from="-"),
            {},
            "Importing only the profiles of 1,200 Segment ids from standard input.",
        ),
        (IDS, {"is_dry_run": True}, "Dry run of the profiles of 1,200 Segment ids, nothing is sent."),
        (
            structs.replace(IDS, ids_from="the ledger a.db", retried=Outcomes(rejected=1_200)),
            {"is_dry_run": True},
            "Dry run of 1,200 rejected profiles, from the ledger a.db, nothing is sent.",
        ),
        (
            structs.replace(IDS, ids_from="the ledger a.db", retried=Outcomes(rejected=1, unknown=2)),
            {"is_dry_run": True},
            "Dry run of 1 rejected profile, and 2 whose result is unknown, from the ledger a.db, nothing is sent.",
        ),
    ],
)
def test_it_says_what_is_about_to_happen_and_where(plan: Plan, changed: dict[str, Any], what: str) -> None:
    assert words(plan, **changed) == f"{what} {WHERE}"


@pytest.mark.parametrize(
    ("plan", "kind"),
    [
        (NEW, "new run"),
        (Plan("resume", (1,), 1, None, Outcomes()), "resumed run"),
        (IDS, "import of given ids, run"),
        (Plan("retry", (1,), 1, None, Outcomes(), retried=Outcomes(unknown=1)), "retry of rejected profiles, run"),
        (structs.replace(IDS, retried=Outcomes(rejected=1)), "retry of rejected profiles, run"),
    ],
)
def test_the_log_names_the_kind_of_a_run_in_plain_words(plan: Plan, kind: str) -> None:
    assert kind_words(plan) == kind


def test_calls_and_time_follow_where_they_are_known() -> None:
    cost = Cost(400_000, {"Segment": 804_000, "Voucherify": 8_040}, 8_121.0, is_measured=False)
    line = words(cost=cost)
    calls = "804,000 Segment calls and 8,040 Voucherify calls"
    assert line == f"New import. {WHERE} 400,000 profiles: up to {calls}, about 2 h 15."


def test_those_of_a_resume_are_measured() -> None:
    cost = Cost(1, {"Segment": 3, "Voucherify": 2}, 0.1, is_measured=True)
    assert words(cost=cost).endswith(" 1 profile: about 3 Segment calls and 2 Voucherify calls, about 1 s.")


def test_a_dry_run_has_no_ledger_and_no_calls_to_the_sink() -> None:
    line = words(is_dry_run=True, ledger=None, cost=Cost(5, {"Segment": 11}, 0.2, is_measured=False))
    assert "ledger" not in line
    assert line.endswith("application 1a2b3c4d…. 5 profiles: up to 11 Segment calls, about 1 s.")


def test_a_source_and_a_sink_of_ones_own_are_named_as_they_describe_themselves() -> None:
    own = (Connector("Warehouse", "customers", scope="table"), Connector("File", ""))
    line = start_words(
        NEW, own, identifier=None, ledger=None, limit=None, cost=None, is_dry_run=False, is_sandbox=False
    )
    assert line == "New import. Warehouse table customers, into File."


def test_a_host_with_a_port_is_shown_with_it() -> None:
    sink = Connector("Voucherify", "1a2b3c4d-5e6f", "http://127.0.0.1:8080/a")
    line = start_words(
        NEW,
        (CONNECTORS[0], sink),
        identifier=None,
        ledger=None,
        limit=None,
        cost=None,
        is_dry_run=False,
        is_sandbox=False,
    )
    assert "into Voucherify at 127.0.0.1:8080, application 1a2b3c4d…" in line
    assert "5e6f" not in line
