"""The table of messages: a row for each code that an error can carry, and a code for each error that a user can get."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from segsync import errors
from tests.support import guides

TREES = {
    path.relative_to(guides.ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted((guides.ROOT / "segsync").rglob("*.py"))
}
ERRORS = {
    name
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, errors.SegsyncError | errors.Problem)
}
SLUG = re.compile(r"[a-z]+(-[a-z0-9]+)*")

SOURCES = "\n".join(path.read_text(encoding="utf-8") for path in (guides.ROOT / "segsync").rglob("*.py"))

PAGE = guides.PAGES["docs/operators/messages.md"]
ROWS = [row for row in guides.rows(guides.section(PAGE, "Messages with a code")) if row[0] != "code"]
WORDS = guides.rows(guides.section(PAGE, "Messages without a code"))[1:]


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Where errors are made: by their class, by a name for one of several classes, or for a call to a service."""
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "class")
                is_of_call = "service" in {each.arg for each in node.keywords} and not name[0].isupper()
                if name in ERRORS or is_of_call:
                    yield f"{path}:{node.lineno}", node


def codes_in(node: ast.AST) -> set[str]:
    """The codes that a `code=…` in a call, or an assignment to `code`, can have."""
    values = [each.value for each in ast.walk(node) if isinstance(each, ast.keyword) and each.arg == "code"]
    for each in ast.walk(node):
        if isinstance(each, ast.Assign) and any(getattr(target, "id", "") == "code" for target in each.targets):
            values.append(each.value)
    texts = {text.value for value in values for text in ast.walk(value) if isinstance(text, ast.Constant)}
    return {text for text in texts if isinstance(text, str)}


CODES = set().union(*map(codes_in, TREES.values()))


def test_each_code_has_exactly_one_row_and_each_row_has_a_code() -> None:
    listed = [guides.named(row[:1]) for row in ROWS]
    assert all(len(codes) == 1 for codes in listed)
    assert sorted(code for codes in listed for code in codes) == sorted(CODES)


def test_each_code_is_a_slug_and_each_row_says_what_it_means_and_what_to_do() -> None:
    assert [code for code in CODES if not SLUG.fullmatch(code)] == []
    assert [row for row in ROWS if len(row) != 3 or not all(row)] == []


@pytest.mark.parametrize(("where", "call"), [pytest.param(*each, id=each[0]) for each in calls()])
def test_each_error_has_a_code(where: str, call: ast.Call) -> None:
    name = getattr(call.func, "id", getattr(call.func, "attr", ""))
    has_its_own = getattr(getattr(errors, name, None), "code", None)
    is_copied = any(each.arg is None and "_where" in ast.unparse(each.value) for each in call.keywords)
    is_copied |= name == "SettingsError" and not isinstance(call.args[0], ast.List)  # of problems, each with its own
    is_coded = is_copied or any(each.arg == "code" for each in call.keywords)
    assert has_its_own or is_coded, f"{where}: an error without code=…, by which messages.md could explain it"


@pytest.mark.parametrize("message", sorted(guides.named([row[0] for row in WORDS])))
def test_words_without_a_code_are_the_program_s(message: str) -> None:
    assert [part for part in message.split("…") if part.strip() not in SOURCES] == []
