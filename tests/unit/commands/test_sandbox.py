"""The flags of `python -m segsync sandbox` are the options of a sandbox."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from segsync.cli.app import app
from segsync.sandbox.options import Faults, SandboxOptions

FLAGS: list[tuple[list[str], dict[str, Any]]] = [
    ([], {}),
    (["--failed-actions", "0.25"], {"failed_actions": 0.25}),
    (["--errors-listed", "3"], {"errors_listed": 3}),
    (["--foreign-reports"], {"foreign_reports": True}),
    (["--reports-want-credentials"], {"reports_want_credentials": True}),
    (["--report-columns", "source_id,status"], {"report_columns": "source_id,status"}),
    (["--short-listing"], {"short_listing": True}),
    (["--bulk-requests-per-hour", "50"], {"bulk_requests_per_hour": 50}),
    (["--messy"], {"messy": True}),
    (["--take-nulls"], {"take_nulls": True}),
    (["--garbled", "0.01"], dict.fromkeys(("segment_faults", "voucherify_faults"), Faults(garbled=0.01))),
    (["--refused-later", "0.5", "--action-seconds", "2"], {"refused_later": 0.5, "action_seconds": 2.0}),
]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[SandboxOptions]:
    """The options of the sandboxes that would have been served."""
    options: list[SandboxOptions] = []
    monkeypatch.setattr("segsync.commands.sandbox.serve_until_signal", lambda each, _port: options.append(each))
    return options


@pytest.mark.parametrize(("flags", "changes"), FLAGS, ids=str)
def test_a_flag_is_the_option_of_its_name(
    served: list[SandboxOptions], flags: list[str], changes: dict[str, Any]
) -> None:
    ended = CliRunner().invoke(app, ["sandbox", *flags])
    assert ended.exit_code == 0, ended.output
    assert served == [msgspec.structs.replace(SandboxOptions(), **changes)]


@pytest.mark.parametrize(
    "flags", [["--failed-actions", "1.1"], ["--failed-actions", "-0.1"], ["--errors-listed", "-1"]]
)
def test_a_share_is_from_0_to_1_and_nothing_is_listed_less_than_not_at_all(
    served: list[SandboxOptions], flags: list[str]
) -> None:
    assert CliRunner().invoke(app, ["sandbox", *flags]).exit_code == 2
    assert served == []
