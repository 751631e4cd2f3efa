"""Numbers in words; and no text anywhere that would say "1 profiles"."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import segsync
from segsync.formatting import clock, counted, first_profiles, profiles, segment_ids

PACKAGE = Path(segsync.__file__).parent
COUNTABLE = r"(?:profile|customer|call|upsert|page|trait|id|attempt|warning|check|key|reason|result)s\b|retries\b"
UNCOUNTED = re.compile(rf" (?:\w+ )?(?:{COUNTABLE})")
ALWAYS_MANY = {"CALLS_PER_CYCLE", "SANDBOX_PROFILES"}
NO_COUNT = {"service", "per_unit(calls_per_second)", "calls"}
"""What stands before such a word and is not a count of it: a name, and rates, which have decimals."""


@pytest.mark.parametrize(
    ("number", "words", "expected"),
    [
        (0, ("call",), "0 calls"),
        (1, ("bulk upsert",), "1 bulk upsert"),
        (2, ("bulk upsert",), "2 bulk upserts"),
        (1, ("retry", "retries"), "1 retry"),
        (1_000, ("retry", "retries"), "1,000 retries"),
    ],
)
def test_one_is_singular(number: int, words: tuple[str, ...], expected: str) -> None:
    assert counted(number, *words) == expected


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((0, "0"), (5, "5 s"), (59.6, "1 min"), (150, "2:30 min"), (599, "9:59 min"), (600, "10 min")),
        *((2030, "34 min"), (3599, "1 h"), (8121, "2 h 15"), (7200, "2 h")),
    ],
)
def test_a_time_is_as_fine_as_its_length_wants(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_the_first_of_one_has_no_number() -> None:
    assert (first_profiles(1), first_profiles(1000)) == ("the first profile", "the first 1,000 profiles")


def test_profiles_and_their_ids_are_counted_alike() -> None:
    assert (profiles(1), profiles(2)) == ("1 profile", "2 profiles")
    assert (segment_ids(1), segment_ids(2)) == ("1 Segment id", "2 Segment ids")


def numbers_before_plurals() -> Iterator[tuple[str, str]]:
    """Where a text puts a number before a plural, and the expression of the number."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                for number, text in zip(node.values, node.values[1:], strict=False):
                    if not isinstance(number, ast.FormattedValue) or not isinstance(text, ast.Constant):
                        continue
                    if UNCOUNTED.match(str(text.value)):
                        yield f"{path.relative_to(PACKAGE)}:{node.lineno}", ast.unparse(number.value)


def test_no_text_puts_a_number_before_a_plural() -> None:
    """`counted` writes both, so that one is "1 profile"."""
    found = [each for each in numbers_before_plurals() if each[1] not in ALWAYS_MANY | NO_COUNT]
    assert [each for each in found if not each[1].startswith("counted(")] == []


def test_no_text_of_the_page_puts_a_number_before_a_plural() -> None:
    template = (PACKAGE / "report" / "html" / "report.html.j2").read_text(encoding="utf-8")
    assert re.findall(rf"\}}\}}{UNCOUNTED.pattern}", template) == []
