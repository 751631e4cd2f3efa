"""The guides as pages to read: each has one title, says what it is for, and uses the project's words."""

from __future__ import annotations

import re

import pytest

from tests.support import guides

TITLED = [path for path in guides.PAGES if path.startswith("docs/") and not path.startswith("docs/decisions/")]

AVOIDED = re.compile(
    r"\bfates?\b|what became|\bhear(?:s|ing)? (?:of|from)\b|\bmend|\btold\b|still to do"
    r"|(?<!there )\bis no (?!longer)|, say[.,)]|came over|see below\]|ended without a word|\bfor ever\b|who watches",
    re.IGNORECASE,
)
"""Words that had to be read twice: outcome, fix, "is not a", "for example" and the like are in their place now."""


def headings(page: str) -> list[tuple[str, str]]:
    """The marks and the words of its headings. In a block of code, `#` begins a comment."""
    prose = re.sub(r"^ *```.*?^ *```", "", page, flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"^(#+) (.+)$", prose, re.MULTILINE)


@pytest.mark.parametrize("path", TITLED)
def test_a_page_has_one_title_and_no_section_of_the_same_name(path: str) -> None:
    (mark, title), *others = headings(guides.PAGES[path])
    assert mark == "#"
    assert all(mark != "#" and words != title for mark, words in others)


@pytest.mark.parametrize("path", TITLED)
def test_a_page_begins_with_what_it_is_for(path: str) -> None:
    _, first, *_ = guides.PAGES[path].split("\n\n")
    assert re.match(r"[A-Z][^\n|`#]", first), first
    assert first.endswith(".")


def test_no_two_pages_of_the_operator_s_guide_have_a_section_of_the_same_name() -> None:
    pages = [page for path, page in guides.PAGES.items() if path.startswith("docs/operators/")]
    words = [words for page in pages for _, words in headings(page)]
    assert sorted(words) == sorted(set(words))


def test_the_index_names_each_page_of_the_operator_s_guide() -> None:
    index = guides.PAGES["docs/operators.md"]
    assert [path for path in TITLED if path.startswith("docs/operators/") and path[5:] not in index] == []


@pytest.mark.parametrize("path", guides.PAGES)
def test_words_that_had_to_be_read_twice_do_not_come_back(path: str) -> None:
    assert AVOIDED.findall(guides.PAGES[path]) == []
