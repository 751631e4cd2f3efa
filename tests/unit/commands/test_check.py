"""The check on the terminal: readable without colours, in a narrow window, in ASCII."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from segsync.check.findings import Finding, finding
from segsync.check.run import FORMAT, CheckReport
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
    cost = estimate(1_000_000, Shares(0.5), settings(), is_example=True)
    report = CheckReport(FORMAT, is_ok, findings, "user_id", FINE, None, cost)
    console = Console(file=StringIO(), width=width, color_system=None)
    console.print(shown(report, is_plain=is_plain))
    assert isinstance(console.file, StringIO)
    assert max(map(len, console.file.getvalue().splitlines())) <= width
    return console.file.getvalue()


def test_each_state_is_a_sign_and_a_word_and_what_to_do_stands_below() -> None:
    text = printed(FINDINGS)
    for shown_text in (
        "✓ ok",
        "! warning",
        "✗ failed",
        "- not done",
        "→ Copy the key again.",
        "Not ready: 1 check failed",
    ):
        assert shown_text in text


def test_the_words_of_a_service_are_shown_as_they_are_and_cannot_command_the_terminal() -> None:
    text = printed(FINDINGS)
    assert "[bold]" in text
    assert "\x1b" not in text


def test_ready_counts_its_warnings() -> None:
    assert "Ready, with 1 warning. Nothing was written to Segment or Voucherify." in printed(FINDINGS[:2])
    assert "Ready. Nothing" in printed(FINDINGS[:1])


def test_the_findings_can_be_shown_in_ascii_alone() -> None:
    text = printed(FINDINGS, is_plain=True)
    assert "x failed" in text
    assert "+ ok" in text
    assert "-> Copy the key again." in text


@pytest.mark.parametrize("width", [40, 80, 200])
def test_it_fits_any_window(width: int) -> None:
    text = " ".join(printed(FINDINGS, width=width).split())
    assert "1,510,000" in text
    assert "user_id" in text


def test_the_identifier_is_marked_among_the_external_ids() -> None:
    [line] = [line for line in printed(FINDINGS).splitlines() if "becomes the source_id" in line]
    assert line.split()[0] == "user_id"
