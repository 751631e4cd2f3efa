"""The rehearsal of the operator's guide: an import goes wrong, its cause is switched off, and a retry succeeds."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest

from tests.conftest import StartSandbox
from tests.integration.conftest import SEGSYNC, Segsync, fast
from tests.support import guides

pytestmark = pytest.mark.slow


def test_the_rejected_arrive_when_the_cause_is_fixed_as_the_guide_says(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    [line] = re.findall(r"^curl -X PUT .+$", guides.OPERATORS, re.MULTILINE)
    _, _, method, _, body, url = shlex.split(line)
    sandbox = start_sandbox(fast(300, messy=False, refused_later=0.05))
    run = segsync(sandbox=sandbox)
    rejected = run.row("Rejected")
    assert (run.code, rejected > 5) == (3, True)
    request = Request(f"{sandbox.url}{urlsplit(url).path}", body.encode(), method=method)  # noqa: S310 - our own
    with urlopen(request) as answer:  # noqa: S310
        assert answer.status == 200
    assert sandbox.verdict().missing_count == rejected
    retry = segsync("--retry-rejected", sandbox=sandbox)
    assert (retry.code, retry.row("Rejected")) == (0, 0), retry.stderr
    assert sandbox.verdict().is_right


def test_what_the_sandbox_command_prints_is_a_file_of_settings_and_where_its_faults_are(segsync: Segsync) -> None:
    command = [
        *SEGSYNC,
        "sandbox",
        "--port",
        "0",
        "--profiles",
        "30",
        "--latency-ms",
        "1",
        "--requests-per-second",
        "0",
    ]
    with subprocess.Popen(command, cwd=segsync.directory, stdout=subprocess.PIPE, text=True) as serving:
        assert serving.stdout
        printed = ""
        while printed.count("/sandbox/faults") < 2:
            line = serving.stdout.readline()
            assert line, "it ended"
            printed += line
        (segsync.directory / "sandbox.env").write_text(printed, encoding="utf-8")
        run = segsync("--env-file", "sandbox.env")
        show, switch = (shlex.split(command) for command in re.findall(r"^# To .*: curl (.*)$", printed, re.MULTILINE))
        with urlopen(show[0]) as answer:  # noqa: S310 - our own
            assert json.loads(answer.read())["refused_later"] == 0
        _, method, _, body, url = switch
        with urlopen(Request(url, body.encode(), method=method)) as answer:  # noqa: S310
            assert json.loads(answer.read())["refused_later"] == 0.05
        serving.terminate()
    assert (run.code, run.row("Profiles listed")) == (0, 30), run.stderr
