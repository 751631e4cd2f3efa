"""Finds what must not be seen in an output, in any form."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable
from urllib.parse import quote


def is_distinctive(text: str) -> bool:
    """Whether the text cannot be there by chance, as short words and short numbers can."""
    return not text.isascii() or len(text) >= (8 if text.isdecimal() else 5)


def forms(secret: str) -> set[str]:
    """A value as it is, and as it is written in a URL, in JSON, in Python, in Base64 and in Basic authentication."""
    base64 = (b64encode(text.encode()).decode().rstrip("=") for text in (secret, f"{secret}:"))
    written = {secret, quote(secret), quote(secret, safe=""), json.dumps(secret)[1:-1], repr(secret)[1:-1], *base64}
    return set(filter(is_distinctive, written))


def leaks(output: str | bytes, hidden: Iterable[str]) -> set[str]:
    """The hidden texts that are in the output."""
    content = output if isinstance(output, bytes) else output.encode("utf-8", "surrogatepass")
    return {each for each in hidden if each.encode() in content}
