"""Secrets in files, as containers mount them: `SEGMENT_ACCESS_TOKEN_FILE=/run/secrets/segment`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from segsync.errors import Problem
from segsync.formatting import printable

SUFFIX: Final = "_FILE"

MOST_BYTES: Final = 65_536
"""The largest file that is read: a longer one is not a secret."""


def both_forms(variable: str) -> frozenset[str]:
    """The variable that holds a secret and the one that names its file, given either of them."""
    plain = variable.removesuffix(SUFFIX)
    return frozenset({plain, plain + SUFFIX})


def read_secrets(
    variables: Mapping[str, str], secrets: Iterable[str]
) -> tuple[dict[str, tuple[str, str]], list[Problem]]:
    """The secrets that files hold, and what is wrong with the files.

    `secrets` are variables. Of those whose `…_FILE` is set, the first result has that name and the file's text.
    """
    found: dict[str, tuple[str, str]] = {}
    problems: list[Problem] = []
    for variable in secrets:
        label = variable + SUFFIX
        path = variables.get(label)
        if path is None:
            continue
        if variable in variables:
            sentence = f"{variable} and {label} are both set: leave one of them out"
            problems.append(Problem(sentence, code="secret-set-twice"))
            continue
        try:
            found[variable] = label, _text_in(path)
        except ValueError as error:
            sentence = f"{label}{_shown(path)} cannot be read: {error}"
            problems.append(Problem(sentence, code="secret-file-unreadable"))
    return found, problems


def _text_in(path: str) -> str:
    """The text of a file, without the space around it. Raises ValueError with the reason."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ValueError(error.strerror) from None
    if len(content) > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES:,} bytes")
    try:
        text = content.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8 text") from None
    if not text:
        raise ValueError("it is empty")
    return text


def _shown(path: str) -> str:
    """The path as a problem shows it: not at all where it could be the secret itself, put there by mistake."""
    is_path = re.fullmatch(r"(~|\.{1,2})?/[\w./ -]*", path) or ("/" in path and Path(path).parent.is_dir())
    return f"={printable(path)}" if is_path else ""
