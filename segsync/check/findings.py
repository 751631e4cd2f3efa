"""What the results of a check mean, and what to do about each: pure functions from counts to findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from itertools import chain
from typing import Final, Literal

from msgspec import Struct

from segsync.check.live import IDENTIFIER
from segsync.check.metadata import MetadataCheck
from segsync.check.sample import Sample
from segsync.check.unmapped import NotImported
from segsync.connectors.cost import Estimate
from segsync.connectors.voucherify import CALLS_PER_CYCLE
from segsync.formatting import counted, profiles
from segsync.mapping.problems import NOT_A_DATE, is_sent_as_null
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
    "not-imported": "Not imported",
    "live": "Live destination",
    "metadata-undefined": "Undefined metadata",
    "metadata-types": "Metadata types",
    "metadata-required": "Required metadata",
    "estimate": "Estimate",
}
"""The findings of a check by their ids, in the order in which they are shown."""


_OF_CUSTOMERS: Final = ("traits", "birthdates", "live")


def finding(about: str, state: State, detail: str, fix: str = "") -> Finding:
    """The finding with this id, with its title."""
    return Finding(about, TITLES[about], state, detail, fix)


def of_misspelt(sentences: Sequence[str]) -> list[Finding]:
    """What to do about settings that are misspelt, each in a sentence."""
    fix = "Correct it in the environment or in .env, or remove it."
    return [finding("settings", "warning", each, fix) for each in sentences]


def not_done(why: str, *abouts: str) -> list[Finding]:
    """The findings about what was not looked at, since something else comes first."""
    return [finding(about, "not done", why) for about in abouts]


def complete(findings: Sequence[Finding], needs: str) -> list[Finding]:
    """These in the order of their ids. What there is no finding about was not looked at: that `needs` something."""
    by_id = ([each for each in findings if each.id == about] or not_done(needs, about) for about in TITLES)
    return list(chain.from_iterable(by_id))


def of_sample(sample: Sample, identifier_type: str, *, traits_first: bool) -> list[Finding]:
    """Which profiles could be read, how many carry the identifier, and whether their traits can be used."""
    if not sample.read:
        return [_read(sample), *not_done("no profile was read", "identifier", *_OF_CUSTOMERS)]
    findings = [_read(sample), _identifier(sample, identifier_type, traits_first=traits_first)]
    if not sample.customers:
        return [*findings, *not_done("needs a profile with the identifier", *_OF_CUSTOMERS)]
    return [*findings, _traits(sample), _birthdates(sample), _live(sample, identifier_type)]


def _read(sample: Sample) -> Finding:
    if not sample.profiles:
        fix = "Check SEGMENT_SPACE_ID if there should be some."
        return finding("sample", "warning", "Segment lists no profiles in this space", fix)
    detail = f"sampled {sample.profiles:,} (the most recently active)"
    if not sample.unreadable:
        return finding("sample", "ok", detail)
    reasons = "; ".join(f"{count:,} x {reason}" for reason, count in sample.unreadable.items())
    detail += f", {sample.read:,} could be read; {reasons}"
    fix = "404 means deleted or merged meanwhile: nothing to fix. An import rejects only these."
    return finding("sample", "warning" if sample.read else "failed", detail, fix)


def _identifier(sample: Sample, identifier_type: str, *, traits_first: bool) -> Finding:
    others = {kind: count for kind, count in sample.external_ids.items() if kind != identifier_type}
    carried = f"also carried: {_counted(others)}" if others else "they carry no other external id"
    if not sample.customers:
        close = get_close_matches(identifier_type.lower(), [kind.lower() for kind in others], n=1, cutoff=0.7)
        meant = next((kind for kind in others if [kind.lower()] == close), None)
        hint = f"Did you mean '{meant}'? " if meant else ""
        detail = f"none of {profiles(sample.read)} carries '{identifier_type}'; {carried}"
        fix = f"{hint}Set IDENTIFIER_SAVED_AS_SOURCE_ID to the type that your customers are known by."
        return finding("identifier", "failed", detail, fix)
    detail = f"{sample.customers:,} of {profiles(sample.read)} {_carry(sample.customers)} '{identifier_type}'"
    if traits_first:
        detail += f", {sample.identifier_traits:,} as a trait"
    fixes = []
    if sample.differing:
        detail += f", which differs from the first external id in {sample.differing:,}"
        fixes.append("Decide which is right before the first import; IDENTIFIER_LOOKUP=external_ids uses the other.")
    if sample.several:
        detail += f"; {sample.several:,} {_carry(sample.several)} several; the first that Segment lists is used"
        fixes.append("Look at some of these in Segment: is the first the one that your other systems use?")
    return finding("identifier", "warning" if fixes else "ok", f"{detail}; {carried}", " ".join(fixes))


def _carry(count: int) -> str:
    return "carries" if count == 1 else "carry"


def _traits(sample: Sample) -> Finding:
    if not sample.traits:
        fix = "Customers would have nothing but a source_id: check the names of your traits."
        return finding("traits", "warning", "no customer has any of the traits that are mapped", fix)
    have = "has" if sample.customers == 1 else "have"
    traits = counted(len(sample.traits), "trait")
    detail = f"{counted(sample.customers, 'customer')} {have} {traits} that an import reads"
    fixes = []
    if sample.absent:
        detail += f". ATTRIBUTE_TRAITS names {_named(sample.absent, ', ')}, which none of them has"
        fixes.append("Write the names in ATTRIBUTE_TRAITS as they are in Segment.")
    if warnings := [warning for warning in sample.warnings if not warning.problem.startswith(NOT_A_DATE)]:
        problems = _named([f"{each.trait} {each.problem} ({each.customers:,})" for each in warnings], "; ")
        detail += f". Cannot be used as they are: {problems}"
        fixes.append("Fix these in Segment, or import without them.")
    return finding("traits", "warning" if fixes else "ok", detail, " ".join(fixes))


def _birthdates(sample: Sample) -> Finding:
    if not sample.bad_birthdates:
        return finding("birthdates", "ok", f"{sample.birthdates:,} seen, all are ISO 8601 dates")
    nulls = sum(each.customers for each in sample.warnings if is_sent_as_null(each.trait, each.problem))
    treatment = "sent as null" if nulls == sample.bad_birthdates else "left out"
    if 0 < nulls < sample.bad_birthdates:
        treatment += f", or sent as null ({nulls:,})"
    are = "is not an ISO 8601 date" if sample.bad_birthdates == 1 else "are not ISO 8601 dates"
    detail = f"{sample.bad_birthdates:,} of {sample.birthdates:,} {are}, and {treatment}"
    fix = "Write them as YYYY-MM-DD in Segment, or import without them."
    return finding("birthdates", "warning", detail, fix)


def of_not_imported(left: NotImported, *, calls: float, calls_for_all: float) -> Finding:
    """Which traits exist and are not imported, and what takes them.

    An import makes `calls` for the traits of a profile; it would make `calls_for_all` to read every one.
    """
    if not left.traits:
        return finding("not-imported", "ok", f"nothing: every trait of {counted(left.customers, 'customer')} is mapped")
    customers = counted(left.customers, "customer")
    detail = f"{left.number_words}, and how many of {customers} have each: {_counted(left.traits)}"
    extra = ""
    if round(calls_for_all, 1) > round(calls, 1):
        extra = f" ({calls_for_all:.1f} instead of {calls:.1f} calls for the traits of a profile)"
    fix = (
        f"{left.all_setting} adds them all to the metadata{extra}. Name traits there to add only some; "
        "ATTRIBUTE_TRAITS reads attributes from them."
    )
    return finding("not-imported", "warning", detail, fix)


def _live(sample: Sample, identifier_type: str) -> Finding:
    """What differs beside Segment's own Voucherify destination, if that runs with its default mapping."""
    differences = []
    if identifier_type != IDENTIFIER:
        differences.append(f"its source_id is the user id, not '{identifier_type}', so each customer would exist twice")
    elif sample.several:
        differences.append(f"each of several user ids is a customer there ({profiles(sample.several)})")
    if sample.not_live:
        differences.append(f"it does not read {_counted(sample.not_live)}")
    if not differences:
        return finding("live", "ok", "Segment's own Voucherify destination reads the same traits by default")
    detail = f"Segment's own Voucherify destination differs by default: {'; '.join(differences)}"
    fix = 'If you use it, change its mapping; "Beside the live destination" in the operator\'s guide has the table.'
    return finding("live", "warning", detail, fix)


REFUSALS: Final = {"send": "Voucherify refuses them", "reject": "an import rejects them"}
"""How metadata that the schema does not allow is refused, by METADATA_UNDEFINED. With others it is left out."""


def of_metadata(check: MetadataCheck, policy: str) -> list[Finding]:
    """How an import with METADATA_UNDEFINED=`policy`, and then Voucherify, treat the sample's metadata."""
    treatment = REFUSALS.get(policy, "an import leaves them out")
    return [_undefined(check, policy, treatment), _wrong_types(check, policy, treatment), _missing(check)]


def of_unknown_schema(problem: str, policy: str) -> list[Finding]:
    """The findings about metadata where Voucherify answers, but the schema cannot be read."""
    if policy in NEED_THE_SCHEMA:
        state: State = "failed"
        detail = f"{problem}, which METADATA_UNDEFINED={policy} needs"
        fix = "Give the key that right, or set METADATA_UNDEFINED=send."
    else:
        state, detail = "warning", f"{problem}: an import sends metadata as it is"
        fix = "Give the key that right to see here what Voucherify would refuse."
    others = not_done("needs the metadata schema", "metadata-types", "metadata-required")
    return [finding("metadata-undefined", state, detail, fix), *others]


def _undefined(check: MetadataCheck, policy: str, treatment: str) -> Finding:
    about, of_all = "metadata-undefined", f"of {counted(check.customers, 'customer')}"
    if not check.undefined:
        detail = f"none; {check.with_metadata:,} {of_all} with metadata, {counted(check.defined, 'defined key')}"
        return finding(about, "ok", detail)
    keys = f"{_counted(check.undefined)}, {of_all}"
    if not check.allow_defined_only and policy not in ("drop", "reject"):
        fix = "Before the import, define those that segments or validation rules will use: this sets their type."
        return finding(about, "warning", f"{keys}: accepted, since the schema allows it", fix)
    why = "the schema allows only defined keys" if check.allow_defined_only else f"METADATA_UNDEFINED is {policy}"
    detail = f"{keys}: {treatment}, since {why}"
    fix = "Define them in Project settings > Metadata schema > Customer, or allow undefined ones there."
    if policy == "drop":
        return finding(about, "warning", detail, fix)
    return finding(about, "failed", detail, f"{fix} To import without them, set METADATA_UNDEFINED=drop.")


def _wrong_types(check: MetadataCheck, policy: str, treatment: str) -> Finding:
    if not check.wrong_types:
        return finding("metadata-types", "ok", "all values match or convert to the schema's types and criteria")
    wrong = [
        f"{each.key} is {' or '.join(each.found)}, not {each.expected} ({each.customers:,})"
        for each in check.wrong_types
    ]
    detail = f"{_named(wrong, '; ')}, of {counted(check.customers, 'customer')}: {treatment}"
    fix = "Fix the values in Segment, or the definition in Voucherify's schema."
    return finding("metadata-types", "failed" if policy in REFUSALS else "warning", detail, fix)


def _missing(check: MetadataCheck) -> Finding:
    if not check.missing:
        return finding("metadata-required", "ok", "no required key is missing")
    detail = f"no valid value for {_counted(check.missing)}, of {counted(check.customers, 'customer')}"
    fix = "Make these keys optional in Voucherify's schema, or give every customer a value in Segment."
    return finding("metadata-required", "failed", detail, fix)


def of_estimate(cost: Estimate) -> Finding:
    """Whether the plan's calls are enough. A long time alone is not a warning."""
    detail = (
        f"{profiles(cost.profiles)}: {counted(cost.segment_calls, 'Segment call')} and "
        f"{counted(cost.voucherify_calls, 'Voucherify call')}"
        f"{' (an example: give your number with --profiles)' * cost.is_example}"
    )
    if cost.voucherify_calls <= CALLS_PER_CYCLE:
        return finding("estimate", "ok", detail)
    fix = f"A plan may have {CALLS_PER_CYCLE:,} Voucherify calls per cycle: check yours. --no-confirm saves up to half."
    return finding("estimate", "warning", detail, fix)


def _counted(counts: Mapping[str, int]) -> str:
    return _named([f"{name} {count:,}" for name, count in counts.items()], ", ")


def _named(names: Sequence[str], separator: str) -> str:
    more = len(names) - MOST_NAMED
    return separator.join(names[:MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")
