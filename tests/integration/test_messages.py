"""The table "it says | what to do": each message is one of the program's, and each that stops an import is in it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from segsync import errors
from tests.support import guides
from tests.support.program import DEFAULTS

SOURCES = {
    path.relative_to(guides.ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted((guides.ROOT / "segsync").rglob("*.py"))
}
ERRORS = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}

MESSAGES = [
    sorted(guides.named(cells[:1]))
    for cells in guides.rows(guides.section(guides.OPERATORS, "When something goes wrong"))[1:]
]
"""The messages of each row, with `…` where a name or a number is put in."""


def parts(message: str) -> list[str]:
    """The words of a message between what is put in."""
    for variable in DEFAULTS:
        if f"refuses {variable}" in message or f"and {variable}" in message:
            message = message.replace(variable, "…")  # the names of credentials are put in
    return [words for words in re.split(r"\s*…\s*", message) if words and words != "and"]


def text_of(node: ast.expr) -> str:
    """A message as it stands in the source, with `…` for what is put in."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(value) for value in node.values)
    if isinstance(node, ast.BinOp):
        return text_of(node.left) + text_of(node.right)
    if isinstance(node, ast.List):
        return " ".join(map(text_of, node.elts))
    return "…"


def raised() -> Iterator[tuple[str, str]]:
    """Where errors of ours are made, and their messages."""
    for path, source in SOURCES.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ERRORS and node.args:
                yield f"{path}:{node.lineno}", text_of(node.args[0])


@pytest.mark.parametrize("messages", MESSAGES, ids=lambda messages: messages[0])
def test_each_message_is_one_of_the_program(messages: list[str]) -> None:
    source = "\n".join(SOURCES.values())
    for message in messages:
        assert parts(message)
        assert [words for words in parts(message) if words not in source] == []


@pytest.mark.parametrize(("where", "message"), [pytest.param(*each, id=each[0]) for each in raised()])
def test_each_message_that_stops_an_import_has_a_row(where: str, message: str) -> None:
    if not re.search(r"\w{3,}", message.replace("…", "")):
        return  # put together from messages and names alone: they are in the table by themselves
    rows = [known for messages in MESSAGES for known in messages if all(words in message for words in parts(known))]
    assert rows, f"{where} says {message!r}: docs/operators/messages.md has no row that tells what to do about it"
