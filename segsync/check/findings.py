"""What the results of a check mean, and what to do about each: pure functions from counts to findings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Final, Literal

from msgspec import Struct

from segsync.check.metadata import MetadataCheck
from segsync.check.sample import Sample
from segsync.connectors.cost import Estimate
from segsync.connectors.voucherify import CALLS_PER_CYCLE
from segsync.pipeline.mapper import NEED_THE_SCHEMA

State = Literal["ok", "warning", "failed", "not done"]

MOST_NAMED = 8
"""The most keys, types or traits that one finding names. The JSON has all of them."""


class Finding(Struct, frozen=True):
    """One line of a check. Where it is not "ok", `fix` says what to do about it."""

    id: str
    title: str
    state: State
    detail: str
    fix: str = ""


TITLES: Mapping[str, str] = {
    "settings": "Settings",
    "segment": "Segment",
    "voucherify": "Voucherify",
    "sample": "Profiles",
    "identifier": "Identifier",
    "traits": "Traits",
    "birthdates": "Birthdates",
    "metadata-undefined": "Undefined metadata",
    "metadata-types": "Metadata types",
    "metadata-required": "Required metadata",
    "estimate": "Estimate",
}
"""The findings of a check by their ids, in the order in which they are shown."""


def finding(about: str, state: State, detail: str, fix: str = "") -> Finding:
    """The finding with this id, with its title."""
    return Finding(about, TITLES[about], state, detail, fix)


def not_done(about: str, why: str) -> Finding:
    """The finding about something that was not looked at, since something else comes first."""
    return finding(about, "not done", why)


def of_sample(sample: Sample, identifier_type: str, *, traits_first: bool) -> list[Finding]:
    """Which profiles could be read, how many carry the identifier, and whether their traits can be used."""
    if not sample.read:
        why = "no profile was read"
        return [_read(sample), *(not_done(about, why) for about in ("identifier", "traits", "birthdates"))]
    findings = [_read(sample), _identifier(sample, identifier_type, traits_first=traits_first)]
    if not sample.customers:
        why = "needs a profile with the identifier"
        return [*findings, *(not_done(about, why) for about in ("traits", "birthdates"))]
    return [*findings, _traits(sample), _birthdates(sample)]


def _read(sample: Sample) -> Finding:
    if not sample.profiles:
        return finding(
            "sample",
            "warning",
            "Segment lists no profiles in this space",
            "Check SEGMENT_SPACE_ID if there should be some.",
        )
    if not sample.unreadable:
        return finding("sample", "ok", f"sampled {sample.profiles:,} (the most recently active)")
    reasons = "; ".join(f"{count:,} x {reason}" for reason, count in sample.unreadable.items())
    return finding(
        "sample",
        "warning" if sample.read else "failed",
        f"sampled {sample.profiles:,} (the most recently active), {sample.read:,} could be read; {reasons}",
        "Nothing where they were deleted or merged meanwhile (404): an import rejects these, and no others.",
    )


def _identifier(sample: Sample, identifier_type: str, *, traits_first: bool) -> Finding:
    others = {kind: count for kind, count in sample.external_ids.items() if kind != identifier_type}
    carried = f"also carried: {_counted(others)}" if others else "they carry no other external id"
    if not sample.customers:
        close = get_close_matches(identifier_type.lower(), [kind.lower() for kind in others], n=1, cutoff=0.7)
        meant = next((kind for kind in others if [kind.lower()] == close), None)
        hint = f"Did you mean '{meant}'? " if meant else ""
        return finding(
            "identifier",
            "failed",
            f"none of {sample.read:,} profiles carries '{identifier_type}'; {carried}",
            f"{hint}Set IDENTIFIER_SAVED_AS_SOURCE_ID to the type that your customers are known by.",
        )
    detail = f"{sample.customers:,} of {sample.read:,} profiles carry '{identifier_type}'"
    if traits_first:
        detail += f", {sample.identifier_traits:,} as a trait"
    if sample.differing:
        return finding(
            "identifier",
            "warning",
            f"{detail}, which differs from the first external id in {sample.differing:,}; {carried}",
            "Decide which is right before the first import; IDENTIFIER_LOOKUP=external_ids takes the other.",
        )
    return finding("identifier", "ok", f"{detail}; {carried}")


def _traits(sample: Sample) -> Finding:
    if not sample.traits:
        return finding(
            "traits",
            "warning",
            "no customer has any of the traits that are mapped",
            "Customers would arrive with their source_id alone: check the names of your traits.",
        )
    has = f"{len(sample.traits)} of the mapped traits seen, in {sample.customers:,} customers"
    warnings = [warning for warning in sample.warnings if warning.trait != "birthdate"]
    if not warnings:
        return finding("traits", "ok", has)
    left_out = "; ".join(f"{each.trait} {each.problem} ({each.customers:,})" for each in warnings[:MOST_NAMED])
    return finding(
        "traits",
        "warning",
        f"{has}. Left out: {left_out}{_more(warnings)}",
        "Fix these in Segment, or import without them.",
    )


def _birthdates(sample: Sample) -> Finding:
    if not sample.bad_birthdates:
        return finding("birthdates", "ok", f"{sample.birthdates:,} seen, all are ISO 8601 dates")
    return finding(
        "birthdates",
        "warning",
        f"{sample.bad_birthdates:,} of {sample.birthdates:,} are not ISO 8601 dates, and sent as null",
        "Write them as YYYY-MM-DD in Segment, or import without them.",
    )


REFUSALS: Final = {"send": "Voucherify refuses them", "reject": "an import rejects them"}
"""How metadata that the schema does not allow is refused, by METADATA_UNDEFINED. With others it is left out."""


def of_metadata(check: MetadataCheck, policy: str) -> list[Finding]:
    """How an import with METADATA_UNDEFINED=`policy`, and then Voucherify, treat the sample's metadata."""
    treatment = REFUSALS.get(policy, "an import leaves them out")
    return [_undefined(check, policy, treatment), _wrong_types(check, policy, treatment), _missing(check)]


def of_unknown_schema(problem: str, policy: str) -> list[Finding]:
    """The findings about metadata where Voucherify answers, but the schema cannot be read."""
    about = "metadata-undefined"
    if policy in NEED_THE_SCHEMA:
        needed = f"{problem}, which METADATA_UNDEFINED={policy} needs"
        undefined = finding(about, "failed", needed, "Give the key that right, or set METADATA_UNDEFINED=send.")
    else:
        unchecked = f"{problem}: an import sends metadata as it is"
        fix = "Give the key that right to see here what Voucherify would refuse."
        undefined = finding(about, "warning", unchecked, fix)
    others = ("metadata-types", "metadata-required")
    return [undefined, *(not_done(other, "needs the metadata schema") for other in others)]


def _undefined(check: MetadataCheck, policy: str, treatment: str) -> Finding:
    about, of_all = "metadata-undefined", f"of {check.customers:,} customers"
    if not check.undefined:
        return finding(
            about, "ok", f"none; {check.with_metadata:,} {of_all} have metadata, {check.defined:,} defined keys"
        )
    keys = f"{_counted(check.undefined)}, {of_all}"
    if check.allow_defined_only or policy in ("drop", "reject"):
        why = "the schema allows only defined keys" if check.allow_defined_only else f"METADATA_UNDEFINED is {policy}"
        return finding(
            about,
            "warning" if policy == "drop" else "failed",
            f"{keys}: {treatment}, since {why}",
            "Define them in Project settings > Metadata schema > Customer, or allow undefined ones there."
            + (" To do without them, set METADATA_UNDEFINED=drop." if policy != "drop" else ""),
        )
    return finding(
        about,
        "warning",
        f"{keys}: accepted, since the schema allows it",
        "Define those that segments or validation rules are to use, before the import: it sets their type.",
    )


def _wrong_types(check: MetadataCheck, policy: str, treatment: str) -> Finding:
    if not check.wrong_types:
        return finding("metadata-types", "ok", "all values match or convert to the schema's types")
    wrong = "; ".join(
        f"{each.key} is {' or '.join(each.found)}, not {each.expected} ({each.customers:,})"
        for each in check.wrong_types[:MOST_NAMED]
    )
    more = _more(check.wrong_types)
    return finding(
        "metadata-types",
        "failed" if policy in REFUSALS else "warning",
        f"{wrong}{more}, of {check.customers:,} customers: {treatment}",
        "Fix the values in Segment, or the type in Voucherify's schema.",
    )


def _missing(check: MetadataCheck) -> Finding:
    if not check.missing:
        return finding("metadata-required", "ok", "no required key is missing")
    return finding(
        "metadata-required",
        "failed",
        f"{_counted(check.missing)}, of {check.customers:,} customers, would have no value for it that fits",
        "Make these keys optional in Voucherify's schema, or give every customer a value in Segment.",
    )


def of_estimate(cost: Estimate) -> Finding:
    """Whether the plan's calls are enough. A long time alone is not a warning."""
    calls = f"{cost.segment_calls:,} Segment calls and {cost.voucherify_calls:,} Voucherify calls"
    detail = f"{cost.profiles:,} profiles: {calls}{' (an example: give your number with --profiles)' * cost.is_example}"
    if cost.voucherify_calls > CALLS_PER_CYCLE:
        return finding(
            "estimate",
            "warning",
            detail,
            f"A plan may have {CALLS_PER_CYCLE:,} Voucherify calls a cycle: look at yours. --no-confirm halves them.",
        )
    return finding("estimate", "ok", detail)


def _counted(counts: Mapping[str, int]) -> str:
    named = ", ".join(f"{name} {count:,}" for name, count in list(counts.items())[:MOST_NAMED])
    return named + _more(counts)


def _more(all_of_them: Iterable[object]) -> str:
    left = len(list(all_of_them)) - MOST_NAMED
    return f" and {left:,} more" if left > 0 else ""
