"""Looks at everything that an import needs, on a sample, and writes nothing anywhere.

settings → both services → a sample of profiles → its metadata against the schema → calls and time
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from msgspec import Struct

from segsync.check.findings import (
    TITLES,
    Finding,
    finding,
    not_done,
    of_estimate,
    of_metadata,
    of_sample,
    of_unknown_schema,
)
from segsync.check.metadata import MetadataCheck, check_metadata
from segsync.check.probe import VENDORS, Hosts, ServiceProbe
from segsync.check.sample import Sample, analyse, metadata_of
from segsync.connectors.cost import Estimate, Shares, estimate
from segsync.events import OnEvent, ignore
from segsync.settings import Settings

FORMAT = 2
"""The format of the JSON that `check --json` prints. It is raised when a field changes its meaning or goes."""

EXAMPLE_PROFILES = 1_000_000


class CheckReport(Struct, frozen=True):
    """What a check found, as `--json` prints it. `format` is `FORMAT`.

    `is_ok` is False where a finding "failed"; the others are "ok", "warning" or "not done". What could not be looked
    at is None.
    """

    format: int
    is_ok: bool
    findings: list[Finding]
    identifier: str | None = None
    sample: Sample | None = None
    metadata: MetadataCheck | None = None
    estimate: Estimate | None = None


def report_of_settings(problems: Sequence[str]) -> CheckReport:
    """The report where the settings cannot be used: nothing else is looked at."""
    fix = "Fix it in .env or the environment. .env-example explains all."
    return _report([finding("settings", "failed", problem, fix) for problem in problems], "needs the settings")


async def run_check(
    settings: Settings,
    *,
    sample: int = 100,
    profiles: int | None = None,
    hosts: Hosts = VENDORS,
    on_event: OnEvent = ignore,
) -> CheckReport:
    """Look at a `sample` of profiles, and at what `profiles` would take; never raises `SegsyncError`.

    Without `profiles` the estimate is an example.
    """
    probe = ServiceProbe(settings, hosts, on_event)
    (segment, read_sample), (voucherify, read_schema) = await asyncio.gather(probe.sample(sample), probe.schema())
    identifier, lookup = settings.identifier_saved_as_source_id, settings.identifier_lookup
    policy = settings.metadata_undefined
    used = f"space {settings.segment_space_id}, source_id is Segment's '{identifier}' from {lookup}"
    findings = [finding("settings", "ok", used), segment, voucherify]
    if read_schema and read_schema.problem:
        findings += of_unknown_schema(read_schema.problem, policy)
    if read_sample is None:
        return _report(findings, "needs Segment", identifier=identifier)
    counts, customers = analyse(read_sample, settings)
    findings += of_sample(counts, identifier, traits_first=lookup == "traits")
    schema = read_schema and read_schema.schema
    metadata = check_metadata([*map(metadata_of, customers)], schema, policy) if schema and customers else None
    if metadata:
        findings += of_metadata(metadata, policy)
    cost = _estimated(counts, profiles, settings)
    if cost:
        findings.append(of_estimate(cost))
    needs = "needs a profile with the identifier" if schema else "needs Voucherify"
    return _report(findings, needs, identifier=identifier, sample=counts, metadata=metadata, cost=cost)


def _report(
    findings: Sequence[Finding],
    needs: str,
    *,
    identifier: str | None = None,
    sample: Sample | None = None,
    metadata: MetadataCheck | None = None,
    cost: Estimate | None = None,
) -> CheckReport:
    """The report. What there is no finding about was not looked at: that `needs` something first."""
    looked_at = {each.id for each in findings}
    others = [not_done(about, needs) for about in TITLES if about not in looked_at]
    order = list(TITLES)
    return CheckReport(
        format=FORMAT,
        is_ok=not any(each.state == "failed" for each in findings),
        findings=sorted([*findings, *others], key=lambda each: order.index(each.id)),
        identifier=identifier,
        sample=sample,
        metadata=metadata,
        estimate=cost,
    )


def _estimated(sample: Sample, profiles: int | None, settings: Settings) -> Estimate | None:
    if not sample.customers:
        return None
    shares = Shares(sample.customers / sample.read, sample.identifier_traits / sample.read, sample.trait_calls)
    return estimate(profiles or EXAMPLE_PROFILES, shares, settings, is_example=profiles is None)
