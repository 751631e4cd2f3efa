"""What the results of a check mean, and what to do about each: pure functions from counts to findings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Final, Literal

from msgspec import Struct

from segsync.check.metadata import MetadataCheck
from segsync.check.sample import Sample
from segsync.connectors.cost import CALLS_A_CYCLE, Estimate
from segsync.pipeline.mapper import NEED_THE_SCHEMA

State = Literal["ok", "warning", "failed", "not done"]

MOST_NAMED = 8
"""Keys, types or traits that one finding names; the JSON has all of them."""


class Finding(Struct, frozen=True):
    """One line of a check. Where it is not "ok", `to_do` says what to do about it."""

    id: str
    title: str
    state: State
    detail: str
    to_do: str = ""


TITLES: Mapping[str, str] = {
    "settings": "Settings",
    "segment": "Segment",
    "voucherify": "Voucherify",
    "sample": "Sample",
    "identifier": "Identifier",
    "traits": "Traits",
    "birthdates": "Birthdates",
    "metadata-undefined": "Undefined metadata",
    "metadata-types": "Metadata types",
    "metadata-required": "Required metadata",
    "estimate": "Estimate",
}
"""The findings of a check by their ids, in the order in which they are told."""


def finding(about: str, state: State, detail: str, to_do: str = "") -> Finding:
    return Finding(about, TITLES[about], state, detail, to_do)


def not_done(about: str, why: str) -> Finding:
    return finding(about, "not done", why)


def of_sample(sample: Sample, identifier_type: str, *, traits_first: bool) -> list[Finding]:
    """What was read, who carries the identifier, and whether the traits can be used."""
    if not sample.read:
        why = "no profile was read"
        return [_read(sample), *(not_done(about, why) for about in ("identifier", "traits", "birthdates"))]
    return [_read(sample), _identifier(sample, identifier_type, traits_first=traits_first), *_traits(sample)]


def _read(sample: Sample) -> Finding:
    if not sample.profiles:
        return finding(
            "sample",
            "warning",
            "Segment lists no profiles in this space",
            "Check SEGMENT_SPACE_ID if there should be some.",
        )
    detail = f"{sample.read:,} of {sample.profiles:,} profiles read, those that were active last"
    if not sample.unreadable:
        return finding("sample", "ok", detail)
    reasons = "; ".join(f"{count:,} x {reason}" for reason, count in sample.unreadable.items())
    to_do = "Profiles that are deleted or merged meanwhile (404) are rejected in an import, and no others for them."
    return finding("sample", "warning" if sample.read else "failed", f"{detail}; {reasons}", to_do)


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


def _traits(sample: Sample) -> list[Finding]:
    if not sample.customers:
        return [not_done(about, "needs a profile with the identifier") for about in ("traits", "birthdates")]
    warned = [warning for warning in sample.warnings if warning.trait != "birthdate"]
    has = f"{len(sample.traits)} of the mapped traits seen, in {sample.customers:,} customers"
    if not sample.traits:
        traits = finding(
            "traits",
            "warning",
            "no customer has any of the traits that are mapped",
            "Customers would arrive with their source_id alone: check the names of your traits.",
        )
    elif warned:
        left_out = "; ".join(f"{each.trait} {each.problem} ({each.customers:,})" for each in warned[:MOST_NAMED])
        traits = finding(
            "traits",
            "warning",
            f"{has}. Left out: {left_out}{_more(warned)}",
            "Mend these in Segment, or import without them.",
        )
    else:
        traits = finding("traits", "ok", has)
    if sample.bad_birthdates:
        birthdates = finding(
            "birthdates",
            "warning",
            f"{sample.bad_birthdates:,} of {sample.birthdates:,} are no ISO 8601 date, and sent as null",
            "Write them as YYYY-MM-DD in Segment, or import without them.",
        )
    else:
        birthdates = finding("birthdates", "ok", f"{sample.birthdates:,} seen, all are ISO 8601 dates")
    return [traits, birthdates]


FATES: Final = {"send": "Voucherify refuses them", "reject": "an import rejects them"}
"""What becomes of metadata that the schema does not allow, by METADATA_UNDEFINED; else it is left out."""


def of_metadata(check: MetadataCheck, policy: str) -> list[Finding]:
    """What an import makes of the sample's metadata where METADATA_UNDEFINED is `policy`, and Voucherify of that."""
    outcome = FATES.get(policy, "an import leaves them out")
    return [_undefined(check, policy, outcome), _wrong_types(check, policy, outcome), _missing(check)]


def of_unknown_schema(problem: str, policy: str) -> list[Finding]:
    """What follows where Voucherify answers, but does not tell what it allows as metadata."""
    about = "metadata-undefined"
    if policy in NEED_THE_SCHEMA:
        needed = f"{problem}, which METADATA_UNDEFINED={policy} needs"
        told = finding(about, "failed", needed, "Give the key that right, or set METADATA_UNDEFINED=send.")
    else:
        unchecked = f"{problem}: an import sends metadata as it is"
        told = finding(about, "warning", unchecked, "Give the key that right to see here what Voucherify would refuse.")
    others = ("metadata-types", "metadata-required")
    return [told, *(not_done(other, "needs the metadata schema") for other in others)]


def _undefined(check: MetadataCheck, policy: str, outcome: str) -> Finding:
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
            f"{keys}: {outcome}, since {why}",
            "Define them in Project settings > Metadata schema > Customer, or allow undefined ones there."
            + (" To do without them, set METADATA_UNDEFINED=drop." if policy != "drop" else ""),
        )
    return finding(
        about,
        "warning",
        f"{keys}: accepted, since the schema allows it",
        "Define those that segments or validation rules are to use, before the import: it sets their type.",
    )


def _wrong_types(check: MetadataCheck, policy: str, outcome: str) -> Finding:
    if not check.wrong_types:
        return finding("metadata-types", "ok", "all values are of their defined types, or can be said as such")
    wrong = "; ".join(
        f"{each.key} is {' or '.join(each.found)}, not {each.expected} ({each.customers:,})"
        for each in check.wrong_types[:MOST_NAMED]
    )
    more = _more(check.wrong_types)
    return finding(
        "metadata-types",
        "failed" if policy in FATES else "warning",
        f"{wrong}{more}, of {check.customers:,} customers: {outcome}",
        "Mend the values in Segment, or the type in Voucherify's schema.",
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


def of_estimate(made: Estimate) -> Finding:
    """Whether the plan's calls are enough; that it takes long is nothing to mend."""
    calls = f"{made.segment_calls:,} Segment calls and {made.voucherify_calls:,} Voucherify calls"
    detail = f"{made.profiles:,} profiles: {calls}{' (an example: say how many with --profiles)' * made.is_example}"
    if made.voucherify_calls > CALLS_A_CYCLE:
        return finding(
            "estimate",
            "warning",
            detail,
            f"A plan may have {CALLS_A_CYCLE:,} Voucherify calls a cycle: look at yours. --no-confirm halves them.",
        )
    return finding("estimate", "ok", detail)


def _counted(counts: Mapping[str, int]) -> str:
    named = ", ".join(f"{name} {count:,}" for name, count in list(counts.items())[:MOST_NAMED])
    return named + _more(counts)


def _more(all_of_them: Iterable[object]) -> str:
    left = len(list(all_of_them)) - MOST_NAMED
    return f" and {left:,} more" if left > 0 else ""
