"""segsync moves a company's customers from Twilio Segment into Voucherify.

    from segsync import Settings, run_import

    report = await run_import(Settings.load())

`python -m segsync` does the same from a terminal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from segsync.__about__ import __version__

if TYPE_CHECKING:
    from segsync import errors, events
    from segsync.connectors.base import Sink, Source
    from segsync.errors import (
        AccessError,
        AccessLostError,
        AnswerError,
        BlockedError,
        CallError,
        CursorError,
        LedgerError,
        OutputError,
        QuotaError,
        RefusedError,
        SegsyncError,
        SettingsError,
        StopError,
        TransientError,
    )
    from segsync.events import Event
    from segsync.models import (
        CallLimit,
        Connector,
        LastCheck,
        Outcomes,
        Page,
        Profile,
        RejectionGroup,
        Usage,
        WarningGroup,
        WithoutIdentifier,
    )
    from segsync.pipeline.run import run_import
    from segsync.report.counters import ServiceCalls
    from segsync.report.import_report import ImportReport
    from segsync.settings import Settings

__all__ = [
    "AccessError",
    "AccessLostError",
    "AnswerError",
    "BlockedError",
    "CallError",
    "CallLimit",
    "Connector",
    "CursorError",
    "Event",
    "ImportReport",
    "LastCheck",
    "LedgerError",
    "Outcomes",
    "OutputError",
    "Page",
    "Profile",
    "QuotaError",
    "RefusedError",
    "RejectionGroup",
    "SegsyncError",
    "ServiceCalls",
    "Settings",
    "SettingsError",
    "Sink",
    "Source",
    "StopError",
    "TransientError",
    "Usage",
    "WarningGroup",
    "WithoutIdentifier",
    "__version__",
    "errors",
    "events",
    "run_import",
]

_MODULES = ("errors", "events")
_HOMES = ("errors", "events", "models", "connectors.base", "settings", "report.import_report", "pipeline.run")


def __getattr__(name: str) -> object:
    """Import a public name when it is first used, so that `segsync --help` does not wait for aiohttp."""
    from importlib import import_module

    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    for home in _HOMES if name in __all__ else ():
        module = import_module(f"{__name__}.{home}")
        if hasattr(module, name):
            return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
