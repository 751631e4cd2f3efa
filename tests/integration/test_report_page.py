"""The page of a whole run, looked at in a browser: at a desk and on a phone, in light and in dark, without a complaint.

Without Chromium they skip; Debian has it as `chromium`.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import ExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from segsync.sandbox.process import SandboxProcess
from tests.integration.conftest import Segsync, fast
from tests.support.chromium import CHROMIUM, Tab, chromium_tab
from tests.support.summaries import read_summary

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here (on Debian: apt-get install chromium)"),
]

PHONE, DESK = 360, 1280


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a run with a bit of everything left its page and its summary."""
    directory = tmp_path_factory.mktemp("run")
    with ExitStack() as stack:
        sandbox = stack.enter_context(
            SandboxProcess(fast(1500, missing=0.02, refused_at_once=0.01, refused_later=0.02, anonymous=0.3))
        )
        run = Segsync(directory)(
            *("--report", "report.html", "--summary-json", "summary.json"),
            sandbox=sandbox,
            SEGMENT_REQUESTS_PER_SECOND="500",
        )
    assert run.code == 3, run.stderr
    return directory


@pytest_asyncio.fixture
async def tab(tmp_path: Path) -> AsyncGenerator[Tab, None]:
    async with chromium_tab(tmp_path) as opened:
        yield opened


@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_renders_with_the_numbers_of_the_run(directory: Path, tab: Tab, width: int, scheme: str) -> None:
    report = read_summary((directory / "summary.json").read_bytes())
    url = (directory / "report.html").as_uri()
    await tab.open(url, width=width, scheme=scheme)

    text = await tab.ask("document.body.innerText")
    outcomes = report.outcomes
    assert f"{outcomes.customers:,} customers imported" in text
    assert f"Outcomes of {outcomes.profiles:,} profiles" in text
    assert f"Rejected profiles: {outcomes.rejected:,}" in text
    assert f"Profiles without an identifier: {outcomes.without_identifier:,}" in text
    assert f"Warnings: {sum(report.warnings.values()):,}" in text
    counts = await tab.ask("[...document.querySelectorAll('.kind .count')].map(each => each.innerText)")
    assert sum(int(count.replace(",", "")) for count in counts) == outcomes.rejected > 0

    assert await tab.ask("document.documentElement.scrollWidth") == width  # nothing sticks out
    overflowing = (
        "[...document.querySelectorAll('.card *')].filter(each => each.getBoundingClientRect().right >"
        " each.closest('.card').getBoundingClientRect().right).map(each => each.outerHTML)"
    )
    assert await tab.ask(overflowing) == []
    pictures = await tab.ask(
        "[...document.querySelectorAll('svg')].map(each => each.getBoundingClientRect())"
        ".filter(each => each.width).map(each => [each.left, each.right, each.height])"
    )
    assert len(pictures) == 2  # the ring, and one of the plots
    assert all(left >= 0 and right <= width and height > 100 for left, right, height in pictures)
    sizes = await tab.ask(
        "[...document.querySelectorAll('.plot text')].map(each => each.getBoundingClientRect().height)"
        ".filter(height => height)"
    )
    assert min(sizes) >= 10  # to be read

    background, ink = await tab.ask(
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    )
    assert (_lightness(background) > _lightness(ink)) == (scheme == "light")
    colours = await tab.ask("[...document.querySelectorAll('svg .arc')].map(each => getComputedStyle(each).stroke)")
    assert len(set(colours)) == 3
    assert not {"none", "rgb(0, 0, 0)"} & {*colours}  # as it would be if the page's colours did not reach the picture

    assert tab.complaints == []
    assert tab.requests == [url]
    screenshot = await tab.screenshot()
    assert screenshot.startswith(b"\x89PNG")
    assert len(screenshot) > 20_000


async def test_it_prints_dark_on_white(directory: Path, tab: Tab) -> None:
    await tab.open((directory / "report.html").as_uri(), width=DESK, scheme="dark", media="print")
    background = await tab.ask("getComputedStyle(document.body).backgroundColor")
    ink = await tab.ask("getComputedStyle(document.body).color")
    assert (background, _lightness(ink) < 60) == ("rgb(255, 255, 255)", True)


async def test_the_browser_complains_where_there_is_reason_to(tmp_path: Path, tab: Tab) -> None:
    page = tmp_path / "page.html"
    page.write_text("<script>console.error('no'); nothing()</script><img src='missing.png'>")
    await tab.open(page.as_uri(), width=DESK)
    assert len(tab.complaints) >= 2
    assert len(tab.requests) == 2


def _lightness(colour: str) -> float:
    return sum(int(part) for part in re.findall(r"\d+", colour)[:3]) / 3
