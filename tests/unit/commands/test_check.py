"""The check on the terminal: readable without colours, in a narrow window, in ASCII."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from segsync.check.findings import Finding, finding
from segsync.check.run import CheckReport
from segsync.commands.check import shown
from segsync.connectors.cost import Shares, estimate
from tests.support.configured import settings
from tests.unit.check.test_findings import FINE

FINDINGS = [
    finding("settings", "ok", "space spa_1"),
    finding("segment", "warning", "slow", "Wait."),
    finding("voucherify", "failed", "refused [bold]\x1b[2Jyou", "Copy the key again."),
    finding("metadata-types", "not done", "needs Voucherify"),
]


def printed(findings: list[Finding], *, width: int = 80, is_plain: bool = False) -> str:
    is_ok = not any(each.state == "failed" for each in findings)
    made = estimate(1_000_000, Shares(0.5), settings(), is_example=True)
    report = CheckReport(1, is_ok, findings, "user_id", FINE, None, made)
    console = Console(file=StringIO(), width=width, color_system=None)
    console.print(shown(report, is_plain=is_plain))
    assert isinstance(console.file, StringIO)
    assert max(map(len, console.file.getvalue().splitlines())) <= width
    return console.file.getvalue()


def test_each_state_is_a_sign_and_a_word_and_what_to_do_stands_below() -> None:
    text = printed(FINDINGS)
    for said in ("✓ ok", "! warning", "✗ failed", "- not done", "To do: Copy the key again.", "Not ready: 1 failed"):
        assert said in text


def test_what_a_service_said_is_shown_as_it_is_and_commands_no_terminal() -> None:
    text = printed(FINDINGS)
    assert "[bold]" in text
    assert "\x1b" not in text


def test_ready_counts_its_warnings() -> None:
    assert "Ready, with 1 warning. Nothing was written anywhere." in printed(FINDINGS[:2])
    assert "Ready. Nothing" in printed(FINDINGS[:1])


def test_ascii_alone_is_enough_for_the_findings() -> None:
    text = printed(FINDINGS, is_plain=True)
    assert "x failed" in text
    assert "+ ok" in text


@pytest.mark.parametrize("width", [40, 80, 200])
def test_it_fits_any_window(width: int) -> None:
    text = " ".join(printed(FINDINGS, width=width).split())
    assert "1,510,000" in text
    assert "user_id" in text


def test_the_identifier_is_marked_among_the_external_ids() -> None:
    [line] = [line for line in printed(FINDINGS).splitlines() if "becomes the source_id" in line]
    assert line.split()[0] == "user_id"
