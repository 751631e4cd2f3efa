"""Every rejection and warning has words for someone who has never used a terminal, and the right ones."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segsync.connectors.segment_profile import damaged_identifier
from segsync.errors import MappingError, QuotaError
from segsync.mapping.customer import to_customer
from segsync.mapping.metadata import TraitChoice, metadata_rules
from segsync.mapping.metadata_schema import Definition, MetadataSchema
from segsync.mapping.problems import DAMAGED_NUMBER, DAMAGED_TEXT, MISSING, NOT_A_DATE, SEVERAL, UNDEFINED, ProblemKind
from segsync.models import Profile, RejectionGroup, Stage, WarningGroup
from segsync.report.html.advice import FIXES, KINDS, STAGES, advised, kind_of_rejection, warning_meaning


@pytest.mark.parametrize(
    ("stage", "code", "title"),
    [
        ("read", "not-found", "No longer in Segment"),
        ("read", "service-failed", "Segment could not read them"),
        ("read", "no-answer", "Segment could not read them"),
        ("read", "cursor-unusable", "Segment's answer could not be used"),
        ("read", damaged_identifier("user_id").code, "The customer id is damaged"),
        ("read", None, "Segment's answer could not be used"),
        ("map", "too-large", "Too large to send"),
        ("map", "value-unsendable", "A value cannot be sent"),
        ("map", MappingError.code, "Voucherify's metadata schema does not allow it"),
        ("map", None, "Could not be made a customer"),
        ("upsert", "too-large", "Too large to send"),
        ("upsert", "refused", "Voucherify refused the customer"),
        ("upsert", "rate-limited", "Voucherify could not accept them"),
        ("upsert", QuotaError.code, "Voucherify refused the customer"),
        ("confirm", "refused", "Voucherify refused the customer"),
        ("confirm", "upsert-failed", "The upload failed twice"),
        ("confirm", "refused-without-reason", "Voucherify refused the customer without a reason"),
        ("confirm", None, "Voucherify refused the customer"),
    ],
)
def test_a_rejection_is_known_by_its_code(stage: Stage, code: str | None, title: str) -> None:
    assert kind_of_rejection(stage, code).title == title


STAGE = st.sampled_from(get_args(Stage))
CODE = st.sampled_from([None, *(code for kind in KINDS for code in kind.codes), "something-else"])


@given(STAGE, CODE)
def test_there_is_a_fix_for_any_rejection(stage: Stage, code: str | None) -> None:
    kind = kind_of_rejection(stage, code)
    assert kind.title
    assert kind.meaning
    assert kind.fix
    assert STAGES[stage]


TELLING = (
    "schema",
    "schema_version",
    "metadata",
    "birthdate_source",
    "address",
    "not defined",
    "undefined",
    "in JSON",
    "too large",
    "answered 404",
    "answered 503",
    "did not answer",
    "returned a damaged",
    "does not say why",
    "gives no reason",
    "the bulk upsert",
    "external_ids",
    "that does not meet",
    "is not an ISO 8601 date",
)
"""Names of traits, each of which is a word that some message has."""

GROUPS = st.lists(st.builds(RejectionGroup, STAGE, st.sampled_from(TELLING), st.integers(1, 99), code=CODE))


@given(GROUPS)
def test_kinds_add_up_to_the_rejections_the_largest_first(rejections: list[RejectionGroup]) -> None:
    kinds = advised(rejections)
    counts = [each.profiles for each in kinds]
    assert sum(counts) == sum(group.profiles for group in rejections)
    assert counts == sorted(counts, reverse=True)
    assert len({each.kind.title for each in kinds}) == len(kinds) <= len(KINDS)


@pytest.mark.parametrize("code", [code for kind in KINDS for code in kind.codes])
@pytest.mark.parametrize("stage", get_args(Stage))
def test_no_word_in_a_reason_changes_what_is_advised(stage: Stage, code: str) -> None:
    groups = [RejectionGroup(stage, f"metadata.{name} is a list, not text", 1, code=code) for name in TELLING]
    assert len(advised(groups)) == 1


# --- warnings ---------------------------------------------------------------------------------------------------


def warnings_of(traits: dict[str, object], schema: MetadataSchema | None = None) -> dict[str, str]:
    """What the mapping warns of, by trait, and what the page says about it."""
    found: list[tuple[str, str]] = []
    rules = metadata_rules(TraitChoice.parse("*"), "drop" if schema else "send", schema, used=("birthdate", "email"))
    to_customer(Profile("use_1", "u1", traits), lambda *warning: found.append(warning), rules)
    return {trait: warning_meaning(WarningGroup(trait, problem, 1)) for trait, problem in found}


def test_metadata_that_is_text_is_not_the_schemas_fault() -> None:
    meanings = warnings_of({"metadata": "vip", "address": 7, "email": ["a"]})
    assert set(meanings) == {"metadata", "address", "email"}
    assert set(meanings.values()) == {
        "Left out. Voucherify accepts no value of this type there. Correct it in Segment."
    }


@pytest.mark.parametrize("name", TELLING)
def test_the_name_of_a_trait_brings_no_advice(name: str) -> None:
    """Each problem of a trait that is called like a message, beside the same of one that is not."""
    schema = MetadataSchema({name: Definition(type="number"), "plain": Definition(type="number")})
    unfit = warnings_of({name: "many", "plain": "many"}, schema)
    assert unfit[f"metadata.{name}"] == unfit["metadata.plain"]
    undefined = warnings_of({name: "many", "plain": "many"}, MetadataSchema(allow_defined_only=True))
    assert undefined[f"metadata.{name}"] == undefined["metadata.plain"] != unfit["metadata.plain"]
    for problem in (DAMAGED_TEXT, DAMAGED_NUMBER, MISSING, UNDEFINED, NOT_A_DATE, "is a list, not text"):
        of_name, of_plain = (warning_meaning(WarningGroup(trait, problem, 1)) for trait in (name, "plain"))
        assert of_name == of_plain


@pytest.mark.parametrize(
    ("trait", "problem", "meaning"),
    [
        ("birthdate", NOT_A_DATE, "Sent as null. Write it like 1990-12-31 in Segment."),
        ("birthday", NOT_A_DATE, "Left out. Write it like 1990-12-31 in Segment."),
        ("birthdate", DAMAGED_NUMBER, "Left out. Correct the number in Segment."),
        ("name", DAMAGED_TEXT, "Correct the text in Segment."),
        ("external_ids.user_id", SEVERAL, "If that is the wrong one, correct the profile in Segment."),
        ("metadata.plan", MISSING, "Sent without it, so Voucherify may refuse the customer. Name a trait for it"),
    ],
)
def test_a_warning_says_what_the_customer_has_instead_and_what_to_do(trait: str, problem: str, meaning: str) -> None:
    assert warning_meaning(WarningGroup(trait, problem, 1)).startswith(meaning)


def test_each_kind_of_problem_has_a_fix() -> None:
    assert set(FIXES) == set(get_args(ProblemKind))
