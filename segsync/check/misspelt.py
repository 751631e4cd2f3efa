"""Settings that are misspelt: variables that are nearly one of ours, and lines of a file that cannot be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from dotenv.parser import Binding

from segsync.formatting import printable
from segsync.secret_files import SUFFIX
from segsync.settings import ENV_FILE, SECRETS, Settings, read_env_file, read_variables

OURS: Final = (*(entry.metadata["variable"] for entry in fields(Settings)), *(f"{name}{SUFFIX}" for name in SECRETS))

OWN_PREFIX: Final = "SEGSYNC_"
"""How the names of variables begin that no other program has."""

NEAR, NEAR_WITH_OWN_PREFIX = 0.91, 0.75
"""How alike a name and that of a setting are, from 0 to 1, where the setting was meant.

One or two letters apart. Other programs have VOUCHERIFY_CLIENT_SECRET_KEY (0.86), SEGMENT_WORKSPACE_ID (0.89) and
VOUCHERIFY_APPLICATION_KEY (0.90).
"""


def misspelt_settings(*, environ: Mapping[str, str] | None = None, env_file: Path | None = None) -> list[str]:
    """A sentence for each variable that is nearly a setting, and for each line of the file that is not `NAME=value`.

    `environ` and `env_file` are those of `Settings.load`. No value is shown: it may be a secret. Raises `SettingsError`
    where the file cannot be read.
    """
    unread = [_number(line) for line in read_env_file(env_file) if line.error]
    problems = [f"Line {number} of {env_file or ENV_FILE} is not NAME=value, and is ignored" for number in unread]
    for name in read_variables(environ, env_file):
        near = NEAR_WITH_OWN_PREFIX if name.upper().startswith(OWN_PREFIX) else NEAR
        close = get_close_matches(name.upper(), OURS, n=1, cutoff=near)
        if close and name not in OURS:
            problems.append(f"{name} is not a setting, and is ignored. Did you mean {close[0]}?")
    return list(map(printable, problems))


def _number(line: Binding) -> int:
    """Its number in the file: the parser's is that of the empty lines above it."""
    text = line.original.string
    return line.original.line + text[: len(text) - len(text.lstrip())].count("\n")
