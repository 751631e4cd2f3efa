"""The options of a sandbox, and its credentials."""

from __future__ import annotations

from msgspec import Struct


class Faults(Struct, frozen=True):
    """Shares of a service's calls, 0 to 1, that go wrong, whatever was asked.

    `too_many` are answered 429 and `server_error` 500, 502, 503 or 504. `cut` break the connection, some before
    the call has had its effect and some after it. `hang` are never answered.
    """

    too_many: float = 0.0
    server_error: float = 0.0
    cut: float = 0.0
    hang: float = 0.0


class SandboxOptions(Struct, frozen=True):
    """The space, the two services' limits, and what goes wrong.

    `anonymous` is the share of profiles without the identifier, `missing` of those that are listed but
    answered 404 afterwards. A few of those with the identifier have an odd trait; in a `messy` space most have, and
    some have two identifiers. `identifier_trait` is the share of those with the identifier that carry it as a
    trait of that name too; where it is not 0, no other profile has such a trait. With `crowded` some have more
    external ids than one call gives, the identifier beyond them. Voucherify answers 400 to a request
    with one of the `refused_at_once` share of customers in it, and reports those of `refused_later` as failed
    when their action has ended, `action_seconds` after it was accepted. An action names at most `errors_listed`
    of them; its report, at another host than the API with `foreign_reports`, names all. `failed_actions` is the
    share of actions that end FAILED and write nothing. Whether one fails depends on its number, so the same
    customers may be written by the next. Rates of 0 mean no limit. The same seed gives the same space.
    """

    profiles: int = 500
    seed: int = 1
    identifier: str = "user_id"
    anonymous: float = 0.15
    messy: bool = False
    missing: float = 0.0
    identifier_trait: float = 0.0
    crowded: bool = True
    refused_at_once: float = 0.0
    refused_later: float = 0.0
    failed_actions: float = 0.0
    errors_listed: int = 1000
    foreign_reports: bool = False
    defined_metadata_only: bool = False
    ignore_include: bool = False
    latency_ms: float = 20.0
    action_seconds: float = 0.5
    segment_requests_per_second: int = 100
    voucherify_requests_per_minute: int = 100
    segment_faults: Faults = Faults()
    voucherify_faults: Faults = Faults()


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
