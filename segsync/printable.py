"""What others wrote, for a terminal or a line of a file."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text in one line, with what a terminal would obey, or would not show, as its escape (ESC as `\\x1b`)."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)
