"""The README and the guides, taken apart."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]

PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", *sorted((ROOT / ".github").glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")))
}
README = PAGES["README.md"]
OPERATORS = "\n".join(text for path, text in PAGES.items() if path.startswith("docs/operators"))
EMBEDDING = PAGES["docs/embedding.md"]
CONTRIBUTING = PAGES["docs/contributing.md"]
ALL = "\n".join(PAGES.values())

_BLOCK = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)


def section(page: str, heading: str) -> str:
    """What is under a heading of the second level."""
    [text] = re.findall(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    return str(text)


def blocks(page: str, language: str) -> list[str]:
    """The code blocks in a language."""
    return [code for named, code in _BLOCK.findall(page) if named == language]


def inline_code(page: str) -> list[str]:
    """What stands between backticks in the text, each as one line."""
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", _BLOCK.sub("", page))]


def rows(table: str) -> list[list[str]]:
    """The cells of a table's rows."""
    lines = [line.strip().strip("|") for line in table.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.split(" | ")] for line in lines if not line.startswith(" --- ")]


def named(cells: list[str]) -> set[str]:
    """What stands between backticks in cells."""
    return {code for cell in cells for code in re.findall(r"`([^`]+)`", cell)}


def files_in(tree: str) -> set[str]:
    """The files and folders that a tree names, one per line, the folders with a `/` at the end."""
    folders: dict[int, str] = {}
    paths = set()
    for line in filter(str.strip, tree.splitlines()):
        depth, name = len(line) - len(line.lstrip()), line.split()[0]
        path = "".join(folder for at, folder in sorted(folders.items()) if at < depth) + name
        if name.endswith("/"):
            folders = {at: folder for at, folder in folders.items() if at < depth} | {depth: name}
        paths.add(path)
    return paths
