"""Whole imports whose metadata is more, or other, than the trait `metadata`.

The sandbox's verdict knows nothing of that, so the customers themselves are read.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote
from urllib.request import Request, urlopen

import msgspec
import pytest

from segsync.report.profile_lists import REJECTED, WARNINGS
from segsync.sandbox.options import APPLICATION_ID, SECRET_KEY
from segsync.sandbox.process import SandboxProcess
from segsync.sandbox.profiles import SandboxProfile, Space
from tests.conftest import StartSandbox
from tests.integration.conftest import Run, Segsync, fast

pytestmark = pytest.mark.slow

PROFILES = 150
MAPPED = {"name", "firstName", "first_name", "lastName", "last_name", "email", "description", "phone", "birthdate"} | {
    *("address", "city", "state", "country", "postalCode", "postal_code", "street", "line_1", "metadata")
}
ADDED = {"id", "object", "summary", "loyalty", "referrals"}
DEFINED = {"plan", "lifetime_value", "tags", "nested"}


def expected_customers(sandbox: SandboxProcess) -> Iterator[tuple[SandboxProfile, dict[str, Any]]]:
    """The profiles that have the identifier, and the customers that the sandbox expects of them."""
    space = Space(sandbox.options)
    for index in range(len(space)):
        profile = space.profile(index)
        if profile.customer is not None:
            yield profile, profile.customer


def arrived(sandbox: SandboxProcess, source_id: str) -> dict[str, Any] | None:
    """The customer as Voucherify has it, but for what it adds."""
    url = f"{sandbox.url}/v1/customers/{quote(source_id, safe='')}"
    request = Request(url, headers={"X-App-Id": APPLICATION_ID, "X-App-Token": SECRET_KEY})  # noqa: S310 - our own
    with urlopen(request) as answer:  # noqa: S310
        customer: dict[str, Any] = msgspec.json.decode(answer.read())
    return {name: value for name, value in customer.items() if name not in ADDED}


def values(traits: dict[str, Any], *names: str) -> dict[str, Any]:
    """Those of the traits that have a value."""
    return {name: traits[name] for name in names if traits.get(name) not in (None, "")}


def assert_all_arrived(sandbox: SandboxProcess, metadata_of: Any) -> int:
    """Every customer is as the sandbox expects it, but with this metadata; how many have any."""
    some = 0
    for profile, customer in expected_customers(sandbox):
        metadata = metadata_of(profile.traits, customer.get("metadata"))
        expected = {name: value for name, value in customer.items() if name != "metadata" and value is not None}
        assert arrived(sandbox, customer["source_id"]) == expected | (
            {} if metadata is None else {"metadata": metadata}
        )
        some += metadata is not None
    return some


def warned_of(segsync: Segsync) -> list[str]:
    return [row["trait"] for row in csv.DictReader(segsync.lines(WARNINGS))]


def imported(segsync: Segsync, sandbox: SandboxProcess, code: int = 0, **settings: str) -> Run:
    run = segsync("--verbose", sandbox=sandbox, **settings)
    assert run.code == code, run.stderr
    return run


@pytest.mark.parametrize("lookup", ["external_ids", "traits"])
@pytest.mark.parametrize("ignore_include", [False, True])
def test_traits_that_are_named_arrive_in_metadata_under_the_keys_that_were_asked_for(
    segsync: Segsync, start_sandbox: StartSandbox, ignore_include: bool, lookup: str
) -> None:
    sandbox = start_sandbox(fast(PROFILES, ignore_include=ignore_include))
    imported(
        segsync, sandbox, METADATA_TRAITS="computed_trait_3, first=computed_trait_0, city", IDENTIFIER_LOOKUP=lookup
    )

    def metadata_of(traits: dict[str, Any], metadata: dict[str, Any] | None) -> dict[str, Any] | None:
        named = values(traits, "computed_trait_3", "computed_trait_0", "city")
        first = {"first": named.pop("computed_trait_0")} if "computed_trait_0" in named else {}
        return {**(metadata or {}), **named, **first} or None

    assert assert_all_arrived(sandbox, metadata_of) > 50


def test_a_star_brings_all_traits_that_no_other_rule_uses_however_many_calls_that_takes(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    sandbox = start_sandbox(fast(PROFILES))
    imported(segsync, sandbox, METADATA_TRAITS="*,nth=computed_trait_2", SEGMENT_TRAITS_LIMIT="50")

    def metadata_of(traits: dict[str, Any], metadata: dict[str, Any] | None) -> dict[str, Any] | None:
        others = values(traits, *(set(traits) - MAPPED))
        nth = {"nth": others.pop("computed_trait_2")} if "computed_trait_2" in others else {}
        return {**others, **(metadata or {}), **nth} or None

    assert assert_all_arrived(sandbox, metadata_of) > 50
    assert max(len(profile.traits) for profile, _ in expected_customers(sandbox)) > 200
    customers = [profile for profile, _ in expected_customers(sandbox)]
    calls = sum(max(-(-len(profile.traits) // 50), 1) for profile in customers)
    assert sandbox.verdict().segment_calls == calls + 2 + PROFILES, "pages, identifiers, and each page of traits"


def test_values_arrive_as_the_schema_has_them_and_others_are_reported(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    sandbox = start_sandbox(fast(PROFILES))
    run = imported(segsync, sandbox, METADATA_TRAITS="plan=computed_trait_1,lifetime_value=postal_code,tags=country")
    warned = warned_of(segsync)

    def metadata_of(traits: dict[str, Any], metadata: dict[str, Any] | None) -> dict[str, Any] | None:
        result = dict(metadata or {})
        if (plan := traits.get("computed_trait_1")) is not None:
            result.pop("plan", None)
            if not isinstance(plan, list):
                result["plan"] = "true" if plan is True else str(plan)
        if "postal_code" in traits:
            result["lifetime_value"] = traits["postal_code"]
        if "country" in traits:
            result["tags"] = [traits["country"]]
        return result or None

    assert assert_all_arrived(sandbox, metadata_of) > 50
    lists = [profile for profile, _ in expected_customers(sandbox) if profile.traits.get("computed_trait_1") == [1]]
    assert warned.count("metadata.plan") == len(lists) > 0
    assert "metadata.plan is a list that cannot be converted to text: left out" in run.stderr
    assert run.row("Warnings") == len(warned)


def test_what_a_strict_schema_does_not_define_is_left_out_with_one_warning_a_key(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    sandbox = start_sandbox(fast(PROFILES, defined_metadata_only=True))
    run = imported(segsync, sandbox, METADATA_TRAITS="computed_trait_0,computed_trait_3")
    assert sandbox.verdict().is_right, "as if nothing had been named"
    undefined = [trait for trait in warned_of(segsync) if trait.startswith("metadata.")]
    assert sorted(undefined) == ["metadata.computed_trait_0", "metadata.computed_trait_3"]
    for trait in undefined:
        assert run.stderr.count(f"{trait} is not defined in Voucherify's metadata schema") == 1


def test_what_is_not_defined_can_be_dropped_where_it_would_be_allowed(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    sandbox = start_sandbox(fast(PROFILES))
    imported(segsync, sandbox, METADATA_TRAITS="*", METADATA_UNDEFINED="drop")
    assert sandbox.verdict().is_right


@pytest.mark.parametrize(("undefined", "stage"), [("reject", "map"), ("send", "upsert")])
def test_what_is_not_defined_can_cost_the_profile_before_or_after_voucherify_is_asked(
    segsync: Segsync, start_sandbox: StartSandbox, undefined: str, stage: str
) -> None:
    sandbox = start_sandbox(fast(PROFILES, defined_metadata_only=True))
    run = imported(segsync, sandbox, 3, METADATA_TRAITS="computed_trait_3", METADATA_UNDEFINED=undefined)
    rows = list(csv.DictReader(segsync.lines(REJECTED)))
    having = {p.segment_id for p, _ in expected_customers(sandbox) if values(p.traits, "computed_trait_3")}
    assert {row["segment_id"] for row in rows} == having
    assert {row["stage"] for row in rows} == {stage}
    assert run.row("Rejected") == len(rows) > 20
    if undefined == "reject":
        [reason] = {row["reason"] for row in rows}
        assert reason == (
            "metadata.computed_trait_3 is not defined in Voucherify's metadata schema, and METADATA_UNDEFINED is reject"
        )
    verdict = sandbox.verdict()
    assert (verdict.missing_count, verdict.wrong_count) == (len(rows), 0)


def test_when_everybody_would_be_rejected_the_import_stops_instead(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    sandbox = start_sandbox(fast(PROFILES, anonymous=0.0, identifier_trait=1.0, defined_metadata_only=True))
    run = imported(segsync, sandbox, 1, METADATA_TRAITS="who=user_id", METADATA_UNDEFINED="reject")
    assert "25 profiles in a row were rejected" in run.stderr
    assert "metadata.who is not defined in Voucherify's metadata schema" in run.stderr
    assert (run.row("Rejected"), segsync.lines(REJECTED)) == (0, [])


def test_a_mistake_in_the_names_is_reported_before_any_call(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(fast(10))
    run = imported(segsync, sandbox, 2, METADATA_TRAITS="plan,plan=tier", METADATA_UNDEFINED="keep")
    assert "METADATA_TRAITS=plan,plan=tier must name each key once, but 'plan' is there twice" in run.stderr
    assert "METADATA_UNDEFINED=keep must be one of auto, send, drop, reject" in run.stderr
    assert sandbox.verdict().segment_calls == 0
