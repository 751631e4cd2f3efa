"""Reads a list of profiles back, as segsync wrote it or as a spreadsheet saved it."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator
from io import IncrementalNewlineDecoder
from typing import IO, Final

MOST_LINE_CHARACTERS = 1 << 20
"""The longest line: a row of a list has at most a tenth of it, and memory has a bound."""

DELIMITERS: Final = ",;\t"
"""What spreadsheets put between columns, by the language of their user."""

AROUND: Final = " \t\u00a0\ufeff"
"""What may be around a value: also a byte order mark in the middle, where files were joined."""

_CHUNK_BYTES = 1 << 16

_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class NotTextError(ValueError):
    """A line is too long for one of a list: this is something else. `line` is its number."""

    def __init__(self, line: int) -> None:
        super().__init__(f"line {line} is not text in UTF-8 or UTF-16")
        self.line = line


def lines_of(file: IO[bytes]) -> Iterator[str]:
    """The lines of a file in UTF-8, or in UTF-16 where it begins like that, whatever ends them.

    What is not UTF-8 becomes surrogates: the columns beside the ids may be in another encoding. Raises `NotTextError`.
    """
    chunk = file.read(_CHUNK_BYTES)
    is_utf_16 = chunk.startswith(_UTF_16)
    decoder = codecs.getincrementaldecoder("utf-16" if is_utf_16 else "utf-8-sig")(
        "replace" if is_utf_16 else "surrogateescape"
    )
    text = IncrementalNewlineDecoder(decoder, translate=True)
    rest, number = "", 1
    while chunk:
        *lines, rest = (rest + text.decode(chunk)).split("\n")
        number += len(lines)
        yield from lines
        if len(rest) > MOST_LINE_CHARACTERS:
            raise NotTextError(number)
        chunk = file.read(_CHUNK_BYTES)
    yield from (rest + text.decode(b"", final=True)).split("\n")


def is_beside_rows(line: str) -> bool:
    """Whether a line is blank, or says which delimiter follows, as spreadsheets put it before the header."""
    return not line.strip(DELIMITERS + AROUND + '"') or bool(re.fullmatch(r'"?sep=."?', line.strip(AROUND)))


def cells(line: str, delimiter: str) -> list[str]:
    """The cells of one line: a quote that is not closed must not swallow the lines behind it."""
    try:
        return next(csv.reader([line.strip("\ufeff")], delimiter=delimiter), [])
    except csv.Error:  # more than 128 KB in a field
        return []


def folded(name: str) -> str:
    """The name of a column, without its case and what stands between its words."""
    return re.sub(r"[\s_-]", "", name).casefold()
