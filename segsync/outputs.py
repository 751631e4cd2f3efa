"""Where results go: standard output, and what is left for others, the page for people and the summary for programs."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path

from segsync.errors import OutputError, SettingsError, how_to_install
from segsync.options import STANDARD_OUTPUT, Outputs
from segsync.runtime import to_standard_output

_NO_NEW_FILE = {errno.EBUSY, errno.EACCES, errno.EPERM, errno.EROFS}


def check_outputs(wanted: Outputs) -> None:
    """Know before an import, and not after a night of it, what cannot be written. Raises `SettingsError`."""
    problems = []
    if wanted.report:
        try:
            import segsync.page  # noqa: F401, PLC0415
        except ImportError as error:
            how = how_to_install("report")
            problems.append(f"--report needs {error.name}, which is not installed. To install it: {how}")
    for flag, path in (("--report", wanted.report), ("--summary-json", wanted.summary_json)):
        if path and not (path is wanted.summary_json and wanted.use_standard_output):
            try:
                _try(path)
            except OSError as error:
                problems.append(f"{flag} {path} cannot be written: {error.strerror}")
    if wanted.report_ids and not wanted.report:
        problems.append("--report-ids says how many profiles a page may name: give --report FILE too")
    if wanted.report and wanted.report == wanted.summary_json:
        problems.append(f"--report and --summary-json name the same file: {wanted.report}")
    if problems:
        raise SettingsError(problems)


def write(path: Path, content: bytes) -> None:
    """Have the whole content there, or what was there before. Raises `OutputError`."""
    try:
        if str(path) == STANDARD_OUTPUT:
            to_standard_output(content)
        elif _is_file(path):
            _replace(path, content)
        else:  # /dev/stderr, a named pipe
            path.write_bytes(content)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from None


def _replace(path: Path, content: bytes) -> None:
    path = path.resolve()  # where a link leads, the content goes
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        if not _may_be_written_in_place(path, error):
            raise
        path.write_bytes(content)
        return
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, name)
        os.replace(name, path)  # noqa: PTH105 - both are names
    except OSError as error:
        if not _may_be_written_in_place(path, error):
            raise
        path.write_bytes(content)
    finally:
        Path(name).unlink(missing_ok=True)


def _try(path: Path) -> None:
    """Raises `OSError` where `write` would."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not _is_file(path):
        return
    path = path.resolve()
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        if not _may_be_written_in_place(path, error):
            raise
    else:
        os.close(descriptor)
        Path(name).unlink()


def _may_be_written_in_place(path: Path, error: OSError) -> bool:
    """A file that a container has mounted, in a folder that takes no new one or whose files stay what they are."""
    return error.errno in _NO_NEW_FILE and os.access(path, os.W_OK)


def _is_file(path: Path) -> bool:
    return path.is_file() or not path.exists()
