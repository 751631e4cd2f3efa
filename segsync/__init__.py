"""segsync moves a company's customers from Twilio Segment into Voucherify.

    from segsync import Settings, run_import

    report = await run_import(Settings.load())

`python -m segsync` does the same from a terminal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from segsync.__about__ import __version__

if TYPE_CHECKING:
    from segsync.errors import LedgerError, OutputError, SegsyncError, SettingsError
    from segsync.events import Event
    from segsync.pipeline.run import run_import
    from segsync.report.import_report import ImportReport
    from segsync.settings import Settings


__all__ = [
    "Event",
    "ImportReport",
    "LedgerError",
    "OutputError",
    "SegsyncError",
    "Settings",
    "SettingsError",
    "__version__",
    "run_import",
]

_HOMES = {
    "Event": "events",
    "ImportReport": "report.import_report",
    "LedgerError": "errors",
    "OutputError": "errors",
    "SegsyncError": "errors",
    "Settings": "settings",
    "SettingsError": "errors",
    "run_import": "pipeline.run",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used, so that `segsync --help` does not wait for aiohttp."""
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
