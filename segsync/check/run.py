"""Looks at everything that an import needs, on a sample, and changes nothing in Segment or Voucherify.

settings → both services → a sample of profiles → its metadata against the schema → calls and time
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from segsync.check.findings import (
    Finding,
    complete,
    finding,
    of_estimate,
    of_metadata,
    of_misspelt,
    of_not_imported,
    of_sample,
    of_unknown_schema,
)
from segsync.check.metadata import MetadataCheck, check_metadata
from segsync.check.probe import ServiceProbe
from segsync.check.sample import Sample, analyse
from segsync.check.unmapped import NotImported, not_imported
from segsync.connectors.cost import Estimate, Shares, estimate
from segsync.errors import Problem, SettingsError
from segsync.events import CallAnswered, Event, OnEvent, both, ignore
from segsync.mapping.metadata_schema import MetadataSchema
from segsync.settings import Settings

FORMAT = 2
"""The format of the JSON that `check --json` prints. It is raised when a field changes its meaning or goes."""

EXAMPLE_PROFILES = 1_000_000


class CheckReport(Struct, frozen=True):
    """What a check found, as `--json` prints it. `format` is `FORMAT`.

    `is_ok` is False where a finding "failed"; the others are "ok", "warning" or "not done". What could not be looked
    at is None. `calls` are those that the check itself made, by service.
    """

    format: int
    is_ok: bool
    findings: list[Finding]
    identifier: str | None = None
    sample: Sample | None = None
    metadata: MetadataCheck | None = None
    estimate: Estimate | None = None
    not_imported: NotImported | None = None
    calls: dict[str, int] = {}


def report_of_settings(
    problems: Sequence[Problem], misspelt: Sequence[str] = (), *, env_file: Path | None = None
) -> CheckReport:
    """The report where the settings cannot be used: nothing else is looked at but the `misspelt` ones."""
    where = env_file or ".env"
    fix = f"Fix it in the environment or in {where}; .env-example lists and explains all settings."
    no_file = "Check the name after --env-file."
    failed = [
        finding("settings", "failed", problem.with_code, no_file if problem.code == "env-file-unreadable" else fix)
        for problem in problems
    ]
    return CheckReport(FORMAT, is_ok=False, findings=complete([*failed, *of_misspelt(misspelt)], "needs the settings"))


async def run_check(
    settings: Settings,
    *,
    misspelt: Sequence[str] = (),
    sample: int = 100,
    profiles: int | None = None,
    on_event: OnEvent = ignore,
) -> CheckReport:
    """Look at a `sample` of profiles, and at what `profiles`, or else an example, take. Raises no `SegsyncError`.

    `misspelt` are the sentences of `misspelt_settings`.
    """
    made = Counter[str]()

    def count(event: Event) -> None:
        if isinstance(event, CallAnswered):
            made[event.service] += 1

    try:
        probe = ServiceProbe(settings, on_event=both(count, on_event))
    except SettingsError as error:  # of the environment, not of the settings themselves
        return report_of_settings(error.problems, misspelt)
    (segment, read_sample), (voucherify, schema) = await asyncio.gather(probe.sample(sample), probe.schema())
    identifier, lookup = settings.identifier_saved_as_source_id, settings.identifier_lookup
    policy = settings.metadata_undefined
    used = f"space {settings.segment_space_id}, source_id is Segment's '{identifier}' from {lookup}"
    found = [finding("settings", "ok", used), *of_misspelt(misspelt), segment, voucherify]
    counts = metadata = cost = left = None
    needs = "needs Segment"
    if isinstance(schema, str):
        found += of_unknown_schema(schema, policy)
    if read_sample:
        needs = "needs a profile with the identifier" if schema else "needs Voucherify"
        counts, customers = analyse(read_sample, settings)
        found += of_sample(counts, identifier, traits_first=lookup == "traits")
        if customers and isinstance(schema, MetadataSchema):
            metadata = check_metadata([each.metadata or {} for each in customers], schema, policy)
            found += of_metadata(metadata, policy)
        if customers:
            left = not_imported(read_sample.unmapped, counts.customers, settings)
            found.append(of_not_imported(left, calls=counts.trait_calls, calls_for_all=read_sample.calls_for_all))
            shares = Shares(counts.customers / counts.read, counts.identifier_traits / counts.read, counts.trait_calls)
            cost = estimate(profiles or EXAMPLE_PROFILES, shares, settings, is_example=profiles is None)
            found.append(of_estimate(cost))
    is_ok = all(each.state != "failed" for each in found)
    return CheckReport(FORMAT, is_ok, complete(found, needs), identifier, counts, metadata, cost, left, dict(made))
