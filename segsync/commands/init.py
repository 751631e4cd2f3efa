"""`python -m segsync init`: asks for the credentials, finds their regions, and writes them into an env file."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Mapping
from dataclasses import fields, replace
from getpass import getpass
from io import StringIO
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Final

import typer
from dotenv import dotenv_values

from segsync.check.probe import ServiceProbe
from segsync.errors import BlockedError, CallError, SettingsError
from segsync.formatting import printable
from segsync.runtime import cannot_write, run_event_loop, writing
from segsync.secret_files import both_forms
from segsync.settings import CONNECTORS, SEGMENT_HOSTS, VOUCHERIFY_HOSTS, Settings

FIELDS: Final = {entry.name: entry for entry in fields(Settings)}

CREDENTIALS: Final = tuple(name for name, entry in FIELDS.items() if entry.metadata["needed_by"])

PLACES: Final = ("segment_region", "segment_base_url", "voucherify_region", "voucherify_base_url")

FROM_ENVIRONMENT: Final = (*PLACES, "request_timeout_seconds", "retry_seconds")
"""What the environment says about the calls, which a dedicated cluster or a slow network needs."""

REGIONS: Final = {"segment": SEGMENT_HOSTS, "voucherify": VOUCHERIFY_HOSTS}

UNCHECKED: Final = "write"
"""The answer that writes credentials which could not be checked, where there is no region to choose."""

HEADER: Final = "# Written by `segsync init`. .env-example lists all settings, which can be added here."

_NO_LINKS: Final = {errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.ENOSYS, errno.EXDEV}


def init_at_terminal(path: Path, next_command: str) -> None:
    """Ask, find the regions, write the new file, and print `next_command`, the one that checks it.

    Raises `SettingsError` where the file is there, cannot be made, or the input ends, and `OutputError` where it cannot
    be written at the end. Ctrl-C is a `KeyboardInterrupt`. Only a complete file is ever there.
    """
    _refuse(path)
    around = Settings.load(environ=_environment(FROM_ENVIRONMENT), env_file=Path(os.devnull), needs=())
    typed: dict[str, Any] = {}
    try:
        for name in CREDENTIALS:
            typed[name] = _asked(name)
        settings = replace(around, **typed)
        for connector in CONNECTORS:
            settings = _with_region(settings, connector)
    except EOFError:
        missing = [_variable(name) for name in CREDENTIALS if name not in typed] or ["an answer"]
        problem = f"The input ended before {', '.join(missing)}. {path} was not written"
        raise SettingsError([problem], code="input-ended") from None
    except KeyboardInterrupt:
        _say("")
        _say(f"{path} was not written.")
        raise
    with writing(path):
        write_new(path, env_text(settings).encode())
    typer.echo(printable(f"{path} was written. Only you can read it."))
    if others := _overruled(settings):
        typer.echo(f"The environment has other values, which win over it: {', '.join(others)}.")
    typer.echo(f"To check it, run:\n  {next_command}")


def env_text(settings: Settings) -> str:
    """The text of an env file: credentials, and where the services are unless that is the default.

    Raises ValueError for a value that no env file can hold.
    """
    given = {name: getattr(settings, name) for name in (*CREDENTIALS, *PLACES)}
    lines = [env_line(_variable(name), value) for name, value in given.items() if value != FIELDS[name].default]
    return "".join(f"{line}\n" for line in (HEADER, *lines))


def env_line(variable: str, value: str) -> str:
    """The line of an env file that is read back as exactly this value: without quotes where it can be.

    Docker and Kubernetes take quotes literally. Raises ValueError where there is no such line.
    """
    in_single, in_double = (value.replace("\\", "\\\\").replace(quote, f"\\{quote}") for quote in "'\"")
    for written in (value, f"'{in_single}'", f'"{in_double}"'):
        line = f"{variable}={written}"
        # A quote further down must not be taken for the end of the value.
        text = f"{line}\nNEXT='\"'\n"
        if dotenv_values(stream=StringIO(text), interpolate=False) == {variable: value, "NEXT": '"'}:
            return line
    raise ValueError(f"{variable} cannot be written to an env file: set it in the environment")


def write_new(path: Path, content: bytes) -> None:
    """Write a file that its owner alone may read, whole or not at all, and never over one. Raises `OSError`."""
    with NamedTemporaryFile(prefix=f".{path.name}.", dir=path.parent) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        try:
            os.link(file.name, path)  # unlike a rename, it replaces nothing
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as target:
                target.write(content)


def _refuse(path: Path) -> None:
    """Raise `SettingsError` where the file could not be written at the end, before anybody types."""
    if os.path.lexists(path):
        problem = f"{path} exists already, and is not overwritten: remove it, or name another file with --env-file"
        raise SettingsError([printable(problem)], code="env-file-exists")
    try:
        NamedTemporaryFile(prefix=f".{path.name}.", dir=path.parent).close()
    except OSError as error:
        raise SettingsError([printable(cannot_write(path, error))], code="file-unwritable") from None


def _with_region(settings: Settings, connector: str) -> Settings:
    """The settings with the region that accepts the connector's credentials, which are corrected until one does."""
    while True:
        _say(f"Asking {connector.capitalize()} ...")
        answers = run_event_loop(ServiceProbe(settings).regions(connector))
        accepted = next((region for region, error in answers.items() if error is None), None)
        if accepted is not None:
            _say(f"{connector.capitalize()} accepts the credentials{f' in region {accepted}' if accepted else ''}.")
            return _in_region(settings, connector, accepted)
        failures = {region: error for region, error in answers.items() if error}
        for region, error in failures.items():
            _say(f"  {region}{': ' if region else ''}{error}")
        if names := _refused(connector, failures):
            _say(f"{_where(connector, failures)} {' with '.join(map(_variable, names))}. Correct what is wrong:")
            corrected: dict[str, Any] = {name: _asked(name, getattr(settings, name)) for name in names}
            changed = replace(settings, **corrected)
            if changed == settings:
                _say("Nothing changed: they are written although they are not accepted.")
                return settings
            settings = changed
        elif chosen := _chosen(connector, failures):
            return _in_region(settings, connector, chosen if chosen != UNCHECKED else "")


def _refused(connector: str, failures: Mapping[str, CallError]) -> list[str]:
    """The credentials that no region accepts; none where a region may have accepted them, but was not reached."""
    statuses = {None if isinstance(error, BlockedError) else error.status for error in failures.values()}
    if not statuses <= {401, 403, 404}:
        return []
    if connector == "segment" and 404 in statuses:  # the token is known there, the space is not
        return ["segment_space_id"]
    return [name for name in CREDENTIALS if FIELDS[name].metadata["needed_by"] == connector]


def _where(connector: str, failures: Mapping[str, CallError]) -> str:
    name, regions = connector.capitalize(), ", ".join(filter(None, failures))
    return f"No region of {name} ({regions}) accepts" if regions else f"{name} does not accept"


def _chosen(connector: str, failures: Mapping[str, CallError]) -> str:
    """The region to write unchecked, "" to ask the service again."""
    choices = list(REGIONS[connector]) if "" not in failures else [UNCHECKED]
    question = f"Press Enter to ask again, or type {' or '.join(choices)} to write the credentials unchecked: "
    while True:
        answer = _line(question).strip().lower()
        if not answer or answer in choices:
            return answer


def _in_region(settings: Settings, connector: str, region: str) -> Settings:
    changed: dict[str, Any] = {f"{connector}_region": region} if region else {}
    return replace(settings, **changed)


def _asked(name: str, current: str = "") -> str:
    """What the user types for a credential, asked again until it is allowed. Enter alone keeps the `current` one."""
    variable, is_secret = _variable(name), FIELDS[name].metadata["secret"]
    notes = ", ".join([*(["not shown"] if is_secret else []), *(["Enter keeps it"] if current else [])])
    _say(FIELDS[name].metadata["explanation"])
    while True:
        text = _line(f"{variable} ({notes}): " if notes else f"{variable}: ", is_secret=is_secret).strip()
        if not text and current:
            return current
        problem = _problem(name, text)
        if not problem:
            return text
        _say(problem)


def _problem(name: str, text: str) -> str:
    if not text:
        return f"{_variable(name)} must not be empty"
    own: dict[str, Any] = {name: text}
    try:
        Settings(**own)
        env_line(_variable(name), text)
    except (SettingsError, ValueError) as error:
        return str(error)
    return ""


def _line(question: str, *, is_secret: bool = False) -> str:
    """A line that the user types. Raises EOFError at the end of the input."""
    if is_secret and sys.stdin.isatty():
        return getpass(question)
    sys.stderr.write(question)
    sys.stderr.flush()
    line = sys.stdin.readline()
    if not line or not sys.stdin.isatty():  # at a terminal, what is typed ends the line of the question
        _say("")
    if not line:
        raise EOFError
    return line


def _overruled(settings: Settings) -> list[str]:
    """The variables of the environment that count instead of what was written."""
    found = []
    for name in (*CREDENTIALS, *PLACES):
        written = getattr(settings, name).casefold()
        forms = both_forms(_variable(name)) if FIELDS[name].metadata["secret"] else {_variable(name)}
        for form in sorted(forms):
            own = os.environ.get(form, "").strip().rstrip("/").casefold()
            if own and own != written:
                found.append(form)
    return found


def _environment(names: tuple[str, ...]) -> dict[str, str]:
    return {variable: os.environ[variable] for variable in map(_variable, names) if variable in os.environ}


def _variable(name: str) -> str:
    variable: str = FIELDS[name].metadata["variable"]
    return variable


def _say(text: str) -> None:
    typer.echo(printable(text), err=True)
