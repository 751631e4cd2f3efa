"""What the counts of a sample mean: which are fine, which are warnings, which stop an import; and what to do."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from segsync.check.findings import Finding, of_estimate, of_metadata, of_sample, of_unknown_schema
from segsync.check.metadata import MetadataCheck, WrongType
from segsync.check.sample import Sample, TraitWarning
from segsync.connectors.cost import Shares, estimate
from segsync.mapping.problems import NAMED_NOT_A_DATE, NOT_A_DATE, NOT_A_DATE_OMITTED
from tests.support.configured import settings

FINE = Sample(
    profiles=100,
    unreadable={},
    external_ids={"anonymous_id": 100, "user_id": 60, "email": 70},
    customers=60,
    identifier_traits=0,
    differing=0,
    several=0,
    traits={"name": 50},
    birthdates=10,
    bad_birthdates=0,
    warnings=[],
    not_live={},
    trait_calls=1.0,
)
DEFINED = MetadataCheck(
    customers=60, with_metadata=40, defined=3, allow_defined_only=False, undefined={}, wrong_types=[], missing={}
)


def findings_of(identifier: str = "user_id", *, traits_first: bool = False, **changed: Any) -> dict[str, Finding]:
    sample = msgspec.structs.replace(FINE, **changed)
    return {each.id: each for each in of_sample(sample, identifier, traits_first=traits_first)}


def states(findings: dict[str, Finding]) -> dict[str, str]:
    return {about: each.state for about, each in findings.items() if each.state != "ok"}


def metadata(policy: str = "auto", **changed: Any) -> dict[str, Finding]:
    return {each.id: each for each in of_metadata(msgspec.structs.replace(DEFINED, **changed), policy)}


def test_what_is_fine_is_ok_with_its_numbers() -> None:
    findings = findings_of()
    assert states(findings) == {}
    assert findings["identifier"].detail == (
        "60 of 100 profiles carry 'user_id'; also carried: anonymous_id 100, email 70"
    )
    assert not [each for each in findings.values() if each.fix]


def test_a_wrong_identifier_is_seen_at_once_with_what_there_is_instead() -> None:
    findings = findings_of("User_Id", customers=0, traits={})
    assert states(findings) == {
        "identifier": "failed",
        **dict.fromkeys(("traits", "birthdates", "live"), "not done"),
    }
    assert "none of 100 profiles carries 'User_Id'" in findings["identifier"].detail
    assert "anonymous_id 100, user_id 60, email 70" in findings["identifier"].detail
    assert findings["identifier"].fix.startswith("Did you mean 'user_id'? Set IDENTIFIER_SAVED_AS_SOURCE_ID")


def test_an_empty_space_is_a_warning_and_one_that_cannot_be_read_a_failure() -> None:
    assert states(findings_of(profiles=0, customers=0))["sample"] == "warning"
    assert states(findings_of(unreadable={"answered 404": 100}, customers=0))["sample"] == "failed"
    findings = findings_of(unreadable={"answered 404": 3})
    assert states(findings) == {"sample": "warning"}
    assert findings["sample"].detail == ("sampled 100 (the most recently active), 97 could be read; 3 x answered 404")


def test_a_trait_that_differs_from_the_external_id_is_a_warning() -> None:
    findings = findings_of(traits_first=True, identifier_traits=55, differing=5)
    assert states(findings) == {"identifier": "warning"}
    assert "55 as a trait, which differs from the first external id in 5" in findings["identifier"].detail


def test_profiles_with_several_identifiers_are_a_warning() -> None:
    findings = findings_of(several=3)
    assert states(findings) == {"identifier": "warning", "live": "warning"}
    assert "each of several user ids is a customer there (3 profiles)" in findings["live"].detail
    assert "3 carry several; the first that Segment lists is used" in findings["identifier"].detail


def test_what_the_live_destination_does_not_read_is_a_warning_with_counts() -> None:
    findings = findings_of(not_live={"firstName": 20, "birthday": 3})
    assert states(findings) == {"live": "warning"}
    assert "it does not read firstName 20, birthday 3" in findings["live"].detail
    assert "Beside the live destination" in findings["live"].fix


def test_an_identifier_other_than_the_user_id_makes_every_customer_twice_beside_the_live_destination() -> None:
    findings = findings_of("email", traits_first=True)
    assert states(findings) == {"live": "warning"}
    assert "not 'email', so each customer would exist twice" in findings["live"].detail


def test_traits_that_cannot_be_used_and_bad_birthdates_are_separate_warnings() -> None:
    warnings = [TraitWarning("birthdate", "is not an ISO 8601 date", 4), TraitWarning("name", "is a list, not text", 2)]
    findings = findings_of(warnings=warnings, bad_birthdates=4)
    assert states(findings) == {"traits": "warning", "birthdates": "warning"}
    assert "name is a list, not text (2)" in findings["traits"].detail
    assert findings["birthdates"].detail == "4 of 10 are not ISO 8601 dates, and sent as null"
    assert states(findings_of(traits={})) == {"traits": "warning"}


def test_a_trait_that_is_named_and_that_nobody_has_is_a_warning() -> None:
    found = findings_of(absent=["mobil_phone"])
    assert states(found) == {"traits": "warning"}
    assert "ATTRIBUTE_TRAITS names mobil_phone, which none of them has" in found["traits"].detail
    assert found["traits"].fix == "Write the names in ATTRIBUTE_TRAITS as they are in Segment."


def test_a_named_birthdate_that_is_not_a_date_is_called_null() -> None:
    [named] = [TraitWarning("dob", NAMED_NOT_A_DATE, 1)]
    assert "an ISO 8601 date, and sent as null" in findings_of(warnings=[named], bad_birthdates=1)["birthdates"].detail


def test_birthdates_that_are_left_out_are_not_called_null() -> None:
    warnings = [TraitWarning("birthdate", NOT_A_DATE, 1), TraitWarning("birthday", NOT_A_DATE, 2)]
    assert "left out, or sent as null (1)" in findings_of(warnings=warnings, bad_birthdates=3)["birthdates"].detail
    [omitted] = [TraitWarning("birthdate", NOT_A_DATE_OMITTED, 1)]
    assert "an ISO 8601 date, and left out" in findings_of(warnings=[omitted], bad_birthdates=1)["birthdates"].detail


def test_undefined_metadata_is_fatal_only_where_the_schema_allows_no_other() -> None:
    assert states(metadata()) == {}
    assert states(metadata(undefined={"colour": 7})) == {"metadata-undefined": "warning"}
    findings = metadata(undefined={"colour": 7, "size": 1}, allow_defined_only=True)
    assert states(findings) == {"metadata-undefined": "failed"}
    assert "colour 7, size 1, of 60 customers" in findings["metadata-undefined"].detail
    assert (
        "an import leaves them out, since the schema allows only defined keys" in findings["metadata-undefined"].detail
    )
    assert "Define them" in findings["metadata-undefined"].fix


@pytest.mark.parametrize(
    ("policy", "undefined", "wrong", "treatment"),
    [
        ("auto", "failed", "warning", "leaves them out"),
        ("drop", "warning", "warning", "leaves them out"),
        ("send", "failed", "failed", "Voucherify refuses them"),
        ("reject", "failed", "failed", "an import rejects them"),
    ],
)
def test_the_settings_decide_how_such_metadata_is_treated(
    policy: str, undefined: str, wrong: str, treatment: str
) -> None:
    findings = metadata(
        policy,
        undefined={"colour": 7},
        wrong_types=[WrongType("spent", 9, "number", ["string"])],
        allow_defined_only=True,
    )
    assert states(findings) == {"metadata-undefined": undefined, "metadata-types": wrong}
    assert all(treatment in findings[about].detail for about in ("metadata-undefined", "metadata-types"))


@pytest.mark.parametrize("policy", ["auto", "drop", "send", "reject"])
def test_a_setting_that_is_made_already_is_not_advised(policy: str) -> None:
    fix = metadata(policy, undefined={"colour": 7}, allow_defined_only=True)["metadata-undefined"].fix
    assert ("set METADATA_UNDEFINED=drop" in fix) == (policy != "drop")


@pytest.mark.parametrize(
    ("policy", "state", "fix"),
    [
        ("auto", "warning", "Give the key that right to see"),
        ("send", "warning", "Give the key that right to see"),
        ("drop", "failed", "or set METADATA_UNDEFINED=send."),
        ("reject", "failed", "or set METADATA_UNDEFINED=send."),
    ],
)
def test_a_schema_that_cannot_be_read_fails_only_where_an_import_needs_it(policy: str, state: str, fix: str) -> None:
    [undefined, *others] = of_unknown_schema("the key may not", policy)
    assert (undefined.state, fix in undefined.fix) == (state, True)
    assert undefined.detail.startswith("the key may not")
    assert {each.state for each in others} == {"not done"}


def test_wrong_types_and_missing_keys_are_counted() -> None:
    findings = metadata(wrong_types=[WrongType("spent", 9, "number", ["string"])], missing={"plan": 12})
    assert states(findings) == {"metadata-types": "warning", "metadata-required": "failed"}
    assert "spent is string, not number (9), of 60 customers" in findings["metadata-types"].detail
    assert "no valid value for plan 12, of 60 customers" in findings["metadata-required"].detail


def test_many_keys_are_named_up_to_a_limit() -> None:
    findings = metadata(undefined={f"key_{number}": 1 for number in range(30)})
    assert "and 22 more" in findings["metadata-undefined"].detail


@pytest.mark.parametrize(("profiles", "state"), [(1_000_000, "ok"), (10_000_000, "warning")])
def test_more_calls_than_a_plan_may_have_are_a_warning(profiles: int, state: str) -> None:
    finding = of_estimate(estimate(profiles, Shares(0.9), settings(), is_example=True))
    assert finding.state == state
    assert "an example" in finding.detail
