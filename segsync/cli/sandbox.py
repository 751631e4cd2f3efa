"""The flags of `sandbox`."""

from __future__ import annotations

from typing import Annotated

import typer

from segsync.cli.errors import errors_in_words
from segsync.cli.flags import option


def sandbox_command(
    context: typer.Context,
    port: Annotated[int, option("Port on 127.0.0.1; 0 picks a free one.", "PORT", min=0, max=65535)] = 8080,
    profiles: Annotated[int, option("Profiles in the space.", "N", min=0)] = 500,
    seed: Annotated[int, option("Same seed, same profiles.", "N")] = 1,
    identifier: Annotated[str, option("Type of the external id that identifies customers.", "TYPE")] = "user_id",
    anonymous: Annotated[float, option("Share of profiles without that id.", "SHARE", min=0, max=1)] = 0.15,
    messy: Annotated[bool, typer.Option("--messy", help="Traits of every kind, most with odd values.")] = False,
    identifier_trait: Annotated[
        float, option("Share of profiles with that id that have it as a trait too.", "SHARE", min=0, max=1)
    ] = 0.0,
    segment_requests_per_second: Annotated[
        int, option("Segment's limit of calls; 0 for none.", "N", "--requests-per-second", min=0)
    ] = 100,
    voucherify_requests_per_minute: Annotated[
        int, option("Voucherify's limit of calls; 0 for none.", "N", "--requests-per-minute", min=0)
    ] = 100,
    bulk_requests_per_hour: Annotated[int, option("Voucherify's limit of bulk upserts; 0 for none.", "N", min=0)] = 0,
    latency_ms: Annotated[float, option("Median latency of a call.", "MS", min=0)] = 20.0,
    action_seconds: Annotated[float, option("Seconds until a bulk upsert has its result.", "SECONDS", min=0)] = 0.5,
    too_many: Annotated[float, option("Share of calls answered 429.", "SHARE", min=0, max=1)] = 0.0,
    server_error: Annotated[float, option("Share of calls answered 5xx.", "SHARE", min=0, max=1)] = 0.0,
    garbled: Annotated[float, option("Share of calls with an unreadable answer.", "SHARE", min=0, max=1)] = 0.0,
    cut: Annotated[float, option("Share of calls whose connection is cut.", "SHARE", min=0, max=1)] = 0.0,
    hang: Annotated[float, option("Share of calls that are never answered.", "SHARE", min=0, max=1)] = 0.0,
    missing: Annotated[float, option("Share of profiles listed, then answered 404.", "SHARE", min=0, max=1)] = 0.0,
    refused_at_once: Annotated[float, option("Share of customers answered 400.", "SHARE", min=0, max=1)] = 0.0,
    refused_later: Annotated[float, option("Share of customers refused after 202.", "SHARE", min=0, max=1)] = 0.0,
    failed_actions: Annotated[float, option("Share of bulk upserts that end FAILED.", "SHARE", min=0, max=1)] = 0.0,
    errors_listed: Annotated[int, option("Refused customers named per result, at most.", "N", min=0)] = 1000,
    report_columns: Annotated[str, option("Columns of a report.", "NAMES")] = "source_id,found,updated",
    foreign_reports: Annotated[
        bool, typer.Option("--foreign-reports", help="Voucherify's reports are on another host.")
    ] = False,
    reports_want_credentials: Annotated[
        bool, typer.Option("--reports-want-credentials", help="Reports are answered 401 without credentials.")
    ] = False,
    short_listing: Annotated[
        bool, typer.Option("--short-listing", help="Voucherify's listing of actions has no operation_status.")
    ] = False,
    take_nulls: Annotated[bool, typer.Option("--take-nulls", help="A customer's attributes may be null.")] = False,
    defined_metadata_only: Annotated[
        bool, typer.Option("--defined-metadata-only", help="Refuse undefined metadata.")
    ] = False,
    ignore_include: Annotated[
        bool, typer.Option("--ignore-include", help="Segment ignores include, and answers with everything.")
    ] = False,
) -> None:
    """Serve both APIs on this machine, to try segsync against. Ctrl-C ends it."""
    with errors_in_words():
        from segsync.commands.sandbox import serve_until_signal
        from segsync.sandbox.options import Faults, SandboxOptions

        faults = Faults(too_many=too_many, server_error=server_error, garbled=garbled, cut=cut, hang=hang)
        own = {name: value for name, value in context.params.items() if name in SandboxOptions.__struct_fields__}
        serve_until_signal(SandboxOptions(**own, segment_faults=faults, voucherify_faults=faults), port)
