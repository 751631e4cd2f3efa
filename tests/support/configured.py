"""Settings for tests that make no calls, or only calls to a service that they name."""

from __future__ import annotations

from typing import Any

from segsync.settings import Settings


def settings(**changed: Any) -> Settings:
    """Complete settings, with these fields changed."""
    credentials: dict[str, Any] = {
        "segment_access_token": "t",
        "segment_space_id": "s",
        "voucherify_application_id": "a",
        "voucherify_secret_key": "k",
    }
    return Settings(**{**credentials, **changed})
