"""The program as a process that is to end before any call: its help, and what it refuses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CREDENTIALS = {
    "SEGMENT_ACCESS_TOKEN": "token-of-segment",
    "SEGMENT_SPACE_ID": "spa_1",
    "VOUCHERIFY_APPLICATION_ID": "id-of-the-application",
    "VOUCHERIFY_SECRET_KEY": "key-of-voucherify",
}


def call(directory: Path, *arguments: str, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """`python -m segsync` in `directory`, with none of this process's settings."""
    ours = ("SEGMENT", "VOUCHERIFY", "SEGSYNC", "IDENTIFIER")
    own = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "segsync", *arguments],
        cwd=directory,
        env=own | {"PYTHONUTF8": "1", "COLUMNS": "100"} | (environ or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


def refusal(directory: Path, *arguments: str, environ: dict[str, str] | None = None) -> str:
    """The standard error for arguments or settings that are refused: with exit code 2, in words, leaving nothing."""
    before = sorted(directory.iterdir())
    ended = call(directory, *arguments, environ=environ)
    assert ended.returncode == 2, ended.stderr
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    assert sorted(directory.iterdir()) == before
    return ended.stderr
