"""The examples of `--help`, run as they are."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from segsync.cli.help import EXAMPLES
from tests.conftest import StartSandbox
from tests.integration.conftest import Segsync, fast


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_of_the_help_runs_as_it_is(segsync: Segsync, start_sandbox: StartSandbox, example: str) -> None:
    program, *arguments = shlex.split(example)
    installed = shutil.which(program, path=os.fspath(Path(sys.executable).parent))
    assert installed
    run = Segsync(segsync.directory, (installed,))(*arguments, sandbox=start_sandbox(fast(150)))
    assert run.code in (0, 3), run.stderr  # its profiles are messy, and some are rejected
    assert "Done" in run.stdout or "Ready" in run.stdout
