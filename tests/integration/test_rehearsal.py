"""The rehearsal of the operator's guide: an import goes wrong, its cause is switched off, and a retry succeeds."""

from __future__ import annotations

import re
import shlex
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest

from tests.conftest import StartSandbox
from tests.integration.conftest import Segsync, fast
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
