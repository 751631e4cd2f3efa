"""The files and folders that a run writes, tried before it begins: hours later would be too late to find out."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from errno import ENAMETOOLONG, ENOENT, ENOTDIR
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

from segsync.errors import Problem, SettingsError, how_to_install
from segsync.ledger import sqlite_file
from segsync.options import STANDARD_OUTPUT, ImportOptions, ReportFiles
from segsync.report.profile_lists import DUPLICATES, REJECTED, UNKNOWN_IDS, WARNINGS, WITHOUT_IDENTIFIER, list_path
from segsync.report.writer import is_file, try_to_write
from segsync.runtime import cannot_write
from segsync.secret_files import SUFFIX
from segsync.settings import ENV_FILE, SECRETS, read_variables

_NO_FOLDER: Final = (ENOENT, ENOTDIR, ENAMETOOLONG)


def check_destinations(options: ImportOptions) -> None:
    """Make the `--directory` of the lists, and find what this run could not write, but for its ledger, log and dry run.

    Those are opened before anything is read. Raises `SettingsError` with every problem.
    """
    problems = [*_of_reports(options.outputs), *_of_shared_files(options)]
    if not options.dry_run:
        problems += _of_lists(options)
    if problems:
        raise SettingsError(problems, code="setting-invalid")


def _of_reports(wanted: ReportFiles) -> Iterator[str]:
    if wanted.report:
        try:
            import segsync.report.html.page  # noqa: F401, PLC0415
        except ImportError as error:
            problem = f"--report needs {error.name}, which is not installed. To install it: {how_to_install('report')}"
            yield Problem(problem, code="extra-missing")
    flags = {"--report": wanted.report, "--summary-json": wanted.summary_json}
    files = {f"{flag} {path}": path for flag, path in flags.items() if path and str(path) != STANDARD_OUTPUT}
    yield from _unwritable(files, "Choose another file")
    if wanted.report_ids and not wanted.report:
        yield "--report-ids needs --report FILE"


def _lists(options: ImportOptions) -> list[Path]:
    names = (WITHOUT_IDENTIFIER, DUPLICATES, REJECTED, WARNINGS, *([UNKNOWN_IDS] if options.ids else []))
    return [list_path(name, options.lists_directory, options.ledger) for name in names]


def _of_lists(options: ImportOptions) -> Iterator[str]:
    directory, is_beside_ledger = options.lists_directory, options.directory is None
    try:
        if not is_beside_ledger:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        TemporaryFile(dir=directory).close()
    except OSError as error:
        if is_beside_ledger and error.errno in _NO_FOLDER:
            return  # it may be a slip, and the ledger itself says so
        what = f"The folder {directory} for the lists of profiles"
        way_out = "Choose another: --directory DIR" + (", or another ledger: --ledger FILE" if is_beside_ledger else "")
        yield Problem(cannot_write(what, error, way_out), code="file-unwritable")
    else:
        files = {f"The list {path}": path for path in _lists(options)}
        lock = sqlite_file.beside(options.ledger, sqlite_file.LISTS_LOCK)
        if lock.parent.is_dir():
            files[f"The lock {lock}"] = lock
        yield from _unwritable(files, "Rename it, or choose another folder: --directory DIR")


def _unwritable(files: Mapping[str, Path], way_out: str) -> Iterator[str]:
    for what, path in files.items():
        try:
            try_to_write(path)
        except OSError as error:
            yield Problem(cannot_write(what, error, way_out), code="file-unwritable")


def _files_of_settings(options: ImportOptions) -> dict[str, Path]:
    """The file of settings, and those of secrets."""
    given = options.command.flags.get("--env-file")
    env_file = Path(given[-1]) if given else None
    variables = read_variables(None, env_file)
    secrets = {label: Path(variables[label]) for name in SECRETS if (label := name + SUFFIX) in variables}
    return {"the settings": env_file or ENV_FILE, **secrets}


def _of_shared_files(options: ImportOptions) -> Iterator[str]:
    """Files that two parts of a run would write: each would destroy what the other wrote, even the ledger.

    Nor may anything but a list be written over the ids that somebody gave.
    """
    lists = {f"the list {path.name}": path for path in _lists(options)}
    files = {
        "--ids": options.ids,
        "--ledger": options.ledger,
        "--report": options.outputs.report,
        "--summary-json": options.outputs.summary_json,
        "--log-file": options.log_file,
        "--output": options.output,
        **({} if options.is_sandbox else _files_of_settings(options)),
        **lists,
    }
    places = defaultdict[Path, list[str]](list)
    for name, path in files.items():
        with suppress(OSError):  # such a path cannot be written either, which is another problem
            if path and str(path) != STANDARD_OUTPUT and is_file(path):
                places[Path(os.path.realpath(path))].append(name)
    if str(options.output) == str(options.outputs.summary_json) == STANDARD_OUTPUT:
        yield "--output - and --summary-json - exclude each other: write one of them into a file"
    for path, names in places.items():
        if len(names) > 1 and not (len(names) == 2 and names[0] == "--ids" and names[1] in lists):
            problem = f"{' and '.join(names)} are the same file, {path}: choose another for one of them"
            yield Problem(problem, code="file-named-twice")
