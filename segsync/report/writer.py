"""Writes the files that were asked for: the HTML report and the JSON summary."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

from rich.console import Console
from rich.text import Text

from segsync.errors import OutputError, defect
from segsync.formatting import printable
from segsync.models import NextStep
from segsync.options import STANDARD_OUTPUT, ImportOptions
from segsync.report.import_report import ImportReport
from segsync.report.profile_lists import WITHOUT_IDENTIFIER, list_path
from segsync.report.summary_json import encode
from segsync.runtime import to_standard_output, writing

_NO_NEW_FILE = {errno.EBUSY, errno.EACCES, errno.EPERM, errno.EROFS}


def write(path: Path, content: bytes) -> None:
    """Write the whole content, or leave what was there before. Raises `OutputError`."""
    with writing(path):
        if str(path) == STANDARD_OUTPUT:
            to_standard_output(content)
        elif is_file(path):
            _replace(path.resolve(), content)  # where a link leads, the content goes
        else:  # /dev/stderr, a named pipe
            path.write_bytes(content)


def _replace(path: Path, content: bytes) -> None:
    new: str | None = None
    try:
        with _new_file_beside(path, delete=False) as file:
            new = file.name
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, new)
        os.replace(new, path)  # noqa: PTH105 - both are names
    except OSError as error:
        if not _may_be_written_in_place(path, error):
            raise
        path.write_bytes(content)
    finally:
        if new:
            Path(new).unlink(missing_ok=True)


def try_to_write(path: Path) -> None:
    """Write nothing. Raises `OSError` where `write` would fail."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if is_file(path):
        path = path.resolve()
        try:
            _new_file_beside(path, delete=True).close()
        except OSError as error:
            if not _may_be_written_in_place(path, error):
                raise


def _new_file_beside(path: Path, *, delete: bool) -> IO[bytes]:
    """A new file that takes the place of `path` later: its owner alone may read it."""
    return NamedTemporaryFile(prefix=f".{path.name}.", dir=path.parent, delete=delete)


def _may_be_written_in_place(path: Path, error: OSError) -> bool:
    """Whether this is a mounted file: its folder takes no new file, or does not let it be replaced."""
    return error.errno in _NO_NEW_FILE and os.access(path, os.W_OK)


def is_file(path: Path) -> bool:
    """Whether there is a file, or can be: no device, pipe or folder."""
    return path.is_file() or not path.exists()


def leave(
    options: ImportOptions, report: ImportReport, exit_code: int, console: Console, *, steps: Sequence[NextStep]
) -> None:
    """Write what was asked for. A file that cannot be written is named, and changes nothing about the exit code."""
    summary_json, page = options.outputs.summary_json, options.outputs.report
    if summary_json:
        next_command = next((step.command for step in steps if step.command), None)
        _write(summary_json, lambda: encode(report, exit_code=exit_code, next_command=next_command), console)
    if page and _write(page, lambda: _page(options, report, steps), console) and options.mode != "quiet":
        console.print(Text(printable(f"Report: {page}")), soft_wrap=True)


def _write(path: Path, content: Callable[[], bytes], console: Console) -> bool:
    try:
        write(path, content())
        return True
    except OutputError as error:
        problem = error.with_code
    except Exception as error:  # noqa: BLE001 - no defect here may hide how the import ended
        problem = f"{path} cannot be made: {defect(error).with_code}"
    console.print(Text(printable(f"Error: {problem}"), style="bold red"), soft_wrap=True)
    return False


def _page(options: ImportOptions, report: ImportReport, steps: Sequence[NextStep]) -> bytes:
    from segsync.report.html.page import render  # noqa: PLC0415 - needs an extra, and takes long to import

    lists = partial(list_path, directory=options.lists_directory, ledger=options.ledger)
    ids: list[str] = []
    if not report.is_dry_run:  # which leaves no lists
        ids = [*islice(_lines(lists(WITHOUT_IDENTIFIER)), options.outputs.report_ids)]
    page = render(report, options.settings, steps=steps, without_identifier=ids, lists=lists)
    return page.encode("utf-8", "replace")


def _lines(path: Path) -> Iterator[str]:
    if path.exists():
        with path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                yield line.rstrip("\n")
