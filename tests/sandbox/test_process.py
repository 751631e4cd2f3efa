"""A sandbox in another process does not outlive the process that started it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec
import pytest

from segsync.errors import StopError
from segsync.sandbox.options import Faults, SandboxOptions
from segsync.sandbox.process import SandboxProcess
from tests.conftest import StartSandbox
from tests.sandbox.clients import Client, basic, quick

SECONDS = 60.0
"""Seconds to wait for what takes a fraction of one on an idle machine."""

PARENT = """
import sys
from segsync.sandbox.options import SandboxOptions
from segsync.sandbox.process import SandboxProcess

with SandboxProcess(SandboxOptions()) as sandbox:
    print(sandbox.url, flush=True)
    sys.stdin.read()
"""


RunPython = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def run_python() -> Iterator[RunPython]:
    """Starts interpreters that end with the test."""
    with ExitStack() as stack:

        def run(*arguments: str) -> subprocess.Popen[str]:
            pipe = subprocess.PIPE
            process = stack.enter_context(
                subprocess.Popen([sys.executable, *arguments], stdin=pipe, stdout=pipe, stderr=pipe, text=True)
            )
            stack.callback(process.kill)
            return process

        yield run


async def _accepts(url: str) -> bool:
    """Whether anything listens there."""
    address = urlsplit(url)
    try:
        _, writer = await asyncio.open_connection(address.hostname, address.port)
    except ConnectionRefusedError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


async def test_it_ends_when_its_context_ends() -> None:
    with SandboxProcess(quick()) as sandbox:
        assert await _accepts(sandbox.url)
    assert not await _accepts(sandbox.url)


async def test_it_ends_when_its_context_ends_in_an_error() -> None:
    sandbox = SandboxProcess(quick())

    async def fail() -> None:
        with sandbox:
            assert await _accepts(sandbox.url)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert not await _accepts(sandbox.url)


async def test_it_ends_although_a_call_hangs(session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segsync.sandbox.process.SETTLE_SECONDS", SECONDS)
    with SandboxProcess(quick(segment_faults=Faults(hang=1.0))) as sandbox:
        hanging = asyncio.create_task(Client(session, sandbox.url).segment())
        _, pending = await asyncio.wait([hanging], timeout=0.05)
        assert pending
    assert sandbox._process.returncode == 0, "it ended by itself: it was not killed"
    with pytest.raises(aiohttp.ClientError):
        await hanging


def test_it_ends_by_itself_when_its_standard_input_closes(run_python: RunPython) -> None:
    process = run_python("-m", "segsync.sandbox", msgspec.json.encode(quick()).decode())
    assert process.stdout
    assert process.stdout.readline().startswith("http://127.0.0.1:")
    assert process.poll() is None, "it runs until then"
    assert process.communicate(timeout=SECONDS) == ("", ""), "closes the input, and waits"
    assert process.returncode == 0


async def test_it_ends_when_its_parent_is_killed(run_python: RunPython) -> None:
    parent = run_python("-c", PARENT)
    assert parent.stdout
    url = parent.stdout.readline().strip()
    assert await _accepts(url)
    parent.kill()
    # The sandbox shares its parent's standard error, which is closed only when the sandbox has ended.
    parent.communicate(timeout=SECONDS)
    assert not await _accepts(url)


def test_one_that_cannot_start_raises(capfd: pytest.CaptureFixture[str]) -> None:
    impossible: Any = "many"
    with pytest.raises(StopError, match="did not start"), SandboxProcess(SandboxOptions(profiles=impossible)):
        pass
    assert "profiles" in capfd.readouterr().err, "the output of its process can be read"


async def test_two_run_beside_each_other(start_sandbox: StartSandbox, session: aiohttp.ClientSession) -> None:
    one, other = (Client(session, start_sandbox(quick(profiles=count)).url) for count in (1, 2))
    assert [len((await client.segment()).body["data"]) for client in (one, other)] == [1, 2]


async def test_its_connection_opens_both_services(start_sandbox: StartSandbox, session: aiohttp.ClientSession) -> None:
    settings = start_sandbox(quick(identifier="crm_id")).connection
    client = Client(session, settings["SEGMENT_BASE_URL"])
    token, space = basic(settings["SEGMENT_ACCESS_TOKEN"]), settings["SEGMENT_SPACE_ID"]
    page = await client.segment(space=space, headers=token, limit=20)
    found = [
        await client.segment(f"/segment_id:{entry['segment_id']}/external_ids", space=space, headers=token)
        for entry in page.body["data"]
    ]
    kinds = {entry["type"] for answer in found for entry in answer.body["data"]}
    assert settings["IDENTIFIER_SAVED_AS_SOURCE_ID"] in kinds
    assert "user_id" not in kinds
    headers = {"X-App-Id": settings["VOUCHERIFY_APPLICATION_ID"], "X-App-Token": settings["VOUCHERIFY_SECRET_KEY"]}
    client = Client(session, settings["VOUCHERIFY_BASE_URL"])
    assert (await client.voucherify("/v1/async-actions", headers=headers)).status == 200


def test_a_proxy_in_the_environment_is_not_asked_for_the_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    # urllib keeps the proxies that it saw first.
    monkeypatch.setattr("urllib.request._opener", None)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    with SandboxProcess(quick(profiles=3, anonymous=0.0)) as sandbox:
        assert sandbox.verdict().expected == 3
