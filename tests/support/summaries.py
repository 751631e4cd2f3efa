"""Reads what `--summary-json` wrote."""

from __future__ import annotations

from typing import Any

import msgspec

from segsync.errors import SegsyncError
from segsync.report.import_report import ImportReport


def read_summary(content: bytes) -> ImportReport:
    """The report in a summary. Its error has the message alone."""

    def error(_type: type, fields: dict[str, Any]) -> SegsyncError:
        return SegsyncError(fields["message"])

    return msgspec.json.decode(content, type=ImportReport, dec_hook=error)
