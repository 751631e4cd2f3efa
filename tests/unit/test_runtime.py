"""Standard output that others read: what is written is there at once, and a reader may leave."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from segsync.errors import OutputError
from segsync.runtime import to_standard_output


@contextmanager
def standard_output_is(file: IO[str]) -> Iterator[None]:
    """In the test itself: between fixture and test, pytest puts standard output in its place."""
    with pytest.MonkeyPatch.context() as patch, file:
        patch.setattr(sys, "stdout", file)
        yield


def test_what_is_written_can_be_read_at_once(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with standard_output_is(path.open("w", encoding="utf-8")):
        to_standard_output(b"one\n")
        assert path.read_bytes() == b"one\n"


def test_a_reader_that_has_left_is_named_once_and_nothing_is_written_after_it() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with standard_output_is(os.fdopen(writer, "w", encoding="utf-8")):
        with pytest.raises(OutputError, match="Standard output was closed by the program that reads it"):
            to_standard_output(b"one\n")
        to_standard_output(b"two\n")


def test_a_full_disk_is_named_by_its_reason() -> None:
    with standard_output_is(Path("/dev/full").open("w", encoding="utf-8")):
        with pytest.raises(OutputError, match="Standard output cannot be written: No space left on device"):
            to_standard_output(b"one\n")
        to_standard_output(b"two\n")
