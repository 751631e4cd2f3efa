"""The options of a sandbox, what may be switched while it runs, and its credentials."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct, field, inspect

Share = Annotated[float, Meta(ge=0, le=1)]

Count = Annotated[int, Meta(ge=0, le=1_000_000_000)]

Duration = Annotated[float, Meta(ge=0, le=86_400_000)]

REPORT_COLUMNS = "source_id,found,updated"
"""Voucherify documents `found` and `updated`; a row without the customer's id would name nobody."""


class Faults(Struct, frozen=True, forbid_unknown_fields=True):
    """Shares of a service's calls, 0 to 1, that go wrong, whatever was asked.

    `too_many` are answered 429 and `server_error` 500, 502, 503 or 504. `garbled` have their effect, but are answered
    with a 2xx that says nothing: half of the answer, none, a web page, or an empty object. `cut` break the connection,
    some before the call has had its effect and some after it. `hang` are never answered.
    """

    too_many: Share = 0.0
    server_error: Share = 0.0
    garbled: Share = 0.0
    cut: Share = 0.0
    hang: Share = 0.0


class Switches(Struct, frozen=True, forbid_unknown_fields=True):
    """All that can go wrong, or be slow: what `PUT /sandbox/faults` changes while the sandbox runs.

    `missing` is the share of profiles that are listed but answered 404 afterwards. Voucherify answers 400 to a request
    with one of the `refused_at_once` share of customers in it, and reports those of `refused_later` as failed when
    their action has ended, `action_seconds` after it was accepted. Who is refused depends on the seed and the source
    id alone. An action names at most `errors_listed` of them. Its report has a row for every customer, in the
    `report_columns`: `source_id`, `found`, `updated`, `status`, `key`, `message` and `details` are filled. It is at
    another host than the API with `foreign_reports`; with `reports_want_credentials` it is answered 401 without them.
    `failed_actions` is the share of actions that end FAILED and write nothing. Whether one fails depends on its
    number, so the same customers may be written by the next. With `short_listing` the listing of actions has no
    `operation_status`, as in the vendor's older documentation. With `take_nulls` an attribute may be null, as the
    original script sends what a profile does not have; the vendor's OpenAPI has text there. Limits of 0 mean no limit;
    with `bulk_requests_per_hour` bulk upserts count by the hour, and not by the minute.
    """

    missing: Share = 0.0
    refused_at_once: Share = 0.0
    refused_later: Share = 0.0
    failed_actions: Share = 0.0
    errors_listed: Count = 1000
    report_columns: str = REPORT_COLUMNS
    foreign_reports: bool = False
    reports_want_credentials: bool = False
    short_listing: bool = False
    take_nulls: bool = False
    defined_metadata_only: bool = False
    ignore_include: bool = False
    latency_ms: Duration = 20.0
    action_seconds: Duration = 0.5
    segment_requests_per_second: Count = 100
    voucherify_requests_per_minute: Count = 100
    bulk_requests_per_hour: Count = 0
    segment_faults: Faults = field(default=Faults(), name="segment")
    voucherify_faults: Faults = field(default=Faults(), name="voucherify")


class SandboxOptions(Switches, frozen=True, kw_only=True):
    """The space, and what goes wrong with it.

    `anonymous` is the share of profiles without the identifier. A few of the others have an odd trait; in a `messy`
    space most have, and some have two identifiers. `identifier_trait` is the share of those with the identifier that
    carry it as a trait of that name too; where it is not 0, no other profile has such a trait. With `crowded` some have
    more external ids than one call gives, the identifier beyond them. The same seed gives the same space.
    """

    profiles: Count = 500
    seed: int = 1
    identifier: str = "user_id"
    anonymous: Share = 0.15
    messy: bool = False
    identifier_trait: Share = 0.0
    crowded: bool = True


def switches(options: Switches) -> Switches:
    """The part of the options that `PUT /sandbox/faults` changes."""
    return Switches(**{name: getattr(options, name) for name in Switches.__struct_fields__})


def switched(options: SandboxOptions, changes: bytes) -> SandboxOptions:
    """The options after the changes of a JSON object, which may be parts of `Switches`; the rest stays as it is.

    Raises `msgspec.MsgspecError` for what is not such an object: not JSON, an unknown name, a value of another type or
    beyond its range.
    """
    merged = msgspec.to_builtins(switches(options))
    for name, value in msgspec.json.decode(changes, type=dict[str, Any]).items():
        is_part = isinstance(value, dict) and isinstance(merged.get(name), dict)
        merged[name] = {**merged[name], **value} if is_part else value
    new = msgspec.convert(merged, Switches)
    return msgspec.structs.replace(options, **{name: getattr(new, name) for name in Switches.__struct_fields__})


def takes() -> dict[str, Any]:
    """What a JSON object for `switched` may hold: by name, the values in words."""

    def words(value: inspect.Type) -> Any:
        match value:
            case inspect.StructType():
                return {each.encode_name: words(each.type) for each in value.fields}
            case inspect.FloatType(ge=least, le=most):
                return f"{least} to {most:,}"
            case inspect.IntType(ge=least, le=most):
                return f"a whole number, {least} to {most:,}"
            case inspect.BoolType():
                return "true or false"
        return "text"

    found: dict[str, Any] = words(inspect.type_info(Switches))
    return found


# The sandbox's own credentials: they open nothing but the sandbox.
SPACE_ID = "spa_sandbox"

ACCESS_TOKEN = "sandbox-access-token"  # noqa: S105

APPLICATION_ID = "sandbox-application-id"

SECRET_KEY = "sandbox-secret-key"  # noqa: S105


def connection(url: str, options: SandboxOptions) -> dict[str, str]:
    """The settings for an import from a sandbox at `url`, by variable."""
    limits = {
        "SEGMENT_REQUESTS_PER_SECOND": options.segment_requests_per_second,
        "VOUCHERIFY_REQUESTS_PER_MINUTE": options.voucherify_requests_per_minute,
    }
    return {
        "SEGMENT_ACCESS_TOKEN": ACCESS_TOKEN,
        "SEGMENT_SPACE_ID": SPACE_ID,
        "SEGMENT_BASE_URL": url,
        "VOUCHERIFY_APPLICATION_ID": APPLICATION_ID,
        "VOUCHERIFY_SECRET_KEY": SECRET_KEY,
        "VOUCHERIFY_BASE_URL": url,
        "IDENTIFIER_SAVED_AS_SOURCE_ID": options.identifier,
        **{variable: str(limit) for variable, limit in limits.items() if limit},
    }
