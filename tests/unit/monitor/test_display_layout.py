"""The live display fits its window: from 40 to 200 columns, and a low one."""

from __future__ import annotations

import re

import pytest
from rich.cells import cell_len
from rich.console import Console

from segsync.events import CallRetried, CallsLeft, Event, PageDone, Throttled
from segsync.models import CallLimit, Connector, Outcomes
from segsync.monitor.display import Display
from segsync.monitor.progress import Progress
from segsync.report.counters import Counters
from tests.conftest import run_virtual
from tests.unit.monitor.connectors import log_of

CONNECTORS = (
    Connector("Segment", "spa_dkF93kfXlL2mCvb3n4Mz0q", limit=CallLimit(1000, "second")),
    Connector("Voucherify", "id", "https://a-dedicated-cluster.eu.voucherify.example", CallLimit(2000, "minute")),
)
WIDTHS = (40, 60, 80, 120, 200)
MILLIONS = Outcomes(confirmed=30_123_456, sent=1_345_678, without_identifier=15_456_789, rejected=12_345)
NUMBERS = [
    *("46,938,268", "31,469,134", "30,123,456", "15,456,789", "12,345"),
    *("112,345,678", "543,210", "1,957", "57", "46938268", "985", "1,?985"),
]


def drawn(
    width: int,
    height: int = 30,
    *,
    events: tuple[Event, ...] = (),
    total: int | None = 50_000_000,
    more_than: int | None = None,
    waits_for_results: bool = False,
    held_up: int = 0,
    eta_seconds: float | None = 7828.0,
    offset: str = "46938268",
) -> list[str]:
    """The lines of the picture in a window of that size, in the middle of a large import."""

    async def main() -> list[str]:
        counters = Counters("0", MILLIONS)
        log = log_of(counters, CONNECTORS)
        left = (CallsLeft("Voucherify", "POST", 1957, 2000), CallsLeft("Voucherify", "GET", 57, 2000))
        for event in (*left, PageDone(1, "0", offset, Outcomes()), *events):
            counters.count(event)
            log.activity.on_event(event)
        counters.services["Segment"].calls, counters.services["Voucherify"].calls = 112_345_678, 543_210
        counters.services["Segment"].retries, counters.services["Segment"].rate_limited = 1_234, 17
        progress = Progress(
            502.3,
            {"Segment": 985.2, "Voucherify": 1985 / 60},
            counters.outcomes.done,
            total,
            eta_seconds,
            more_than,
            waits_for_results,
            held_up,
        )
        console = Console(width=width, height=height, color_system=None)
        with console.capture() as capture:
            console.print(Display(log, console).picture(progress, 93_784.0))
        return capture.get().splitlines()

    return run_virtual(main())


@pytest.mark.parametrize("width", WIDTHS)
def test_no_line_is_longer_than_the_window_is_wide_and_no_number_is_cut(width: int) -> None:
    lines = drawn(width, events=(CallRetried("Segment", "", 1, 2.0, 40.0, 503),))
    assert [line for line in lines if cell_len(line) > width] == []
    text = "\n".join(lines)
    assert [number for number in NUMBERS if not re.search(rf"(?<![\d,]){number}(?![\d,])", text)] == []
    assert "…" not in "".join(lines[1:]), "nothing but the route is shortened"


@pytest.mark.parametrize("width", WIDTHS)
def test_the_progress_bar_the_share_and_the_eta_are_there_at_any_width(width: int) -> None:
    text = "\n".join(drawn(width))
    assert "━━━" in text
    assert "93% of 50,000,000" in text
    assert "ETA 2:10:28" in text


@pytest.mark.parametrize("width", WIDTHS)
def test_both_limits_are_there_at_any_width(width: int) -> None:
    words = " ".join(" ".join(drawn(width)).split())
    assert "985 of 1,000 calls per second" in words
    assert "1,985 of 2,000 calls per minute" in words
    assert re.search(r"reads 57 left of 2,000 uploads 1,957 left of 2,000", words)


def test_without_a_total_there_is_no_bar() -> None:
    text = "\n".join(drawn(80, total=None, eta_seconds=None))
    assert "━" not in text
    assert "left of 2,000" in text
    assert not re.search(r"\d+%", text)


def test_at_the_start_there_is_a_share_and_no_eta() -> None:
    [words] = [line.strip() for line in drawn(80, eta_seconds=None) if "%" in line]
    assert words == "93% of 50,000,000 done"


@pytest.mark.parametrize("width", WIDTHS)
def test_more_profiles_than_expected_have_neither_a_bar_nor_a_share(width: int) -> None:
    lines = drawn(width, total=None, more_than=46_938_268, eta_seconds=None)
    assert "more profiles than --profiles 46938268" in lines
    assert not re.search("━|%", "\n".join(lines))


@pytest.mark.parametrize("width", WIDTHS)
def test_where_only_results_are_left_the_share_is_that_of_the_confirmed(width: int) -> None:
    assert "93% of 50,000,000 confirmed" in "\n".join(drawn(width, waits_for_results=True))


@pytest.mark.parametrize("width", WIDTHS)
def test_customers_that_wait_for_the_sink_are_the_activity(width: int) -> None:
    words = " ".join(" ".join(drawn(width, held_up=1450)).split())
    assert "sending to Voucherify: 1,450 customers waiting" in words


@pytest.mark.parametrize("width", [40, 80])
@pytest.mark.parametrize("height", [6, 8, 10, 12, 14, 16, 24, 50])
@pytest.mark.parametrize("pause", [(), (Throttled("Voucherify", 60.0),)])
def test_it_is_no_higher_than_the_window_and_shows_the_most_important(
    width: int, height: int, pause: tuple[Event, ...]
) -> None:
    lines = drawn(width, height, events=pause)
    assert len(lines) < height
    words = " ".join(" ".join(lines).split())
    assert "46,938,268" in words
    assert re.search("waiting for Voucherify until" if pause else "reading profiles", words)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_cursor_is_shown_as_it_is_or_shortened_and_never_obeyed(width: int) -> None:
    lines = drawn(width, offset="[/b]:key:\x1b[31m" + "x" * 300)
    [line] = [line for line in lines if "Offset" in line]
    assert "[/b]:key:" in line
    assert "\x1b" not in line
    assert cell_len(line) <= width
