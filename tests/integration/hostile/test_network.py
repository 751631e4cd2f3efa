"""Whole runs from a company network: through its proxy, behind its certificates."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from segsync.settings import SEGMENT_HOSTS, VOUCHERIFY_HOSTS
from tests.integration.conftest import Run, Segsync
from tests.integration.leaks import forms, leaks
from tests.support.hostile import Hostile, Someone, hostile_server, people
from tests.support.network import LONG_AGO, Authority, Proxy, proxy_to
from tests.support.scripted import answer

pytestmark = pytest.mark.slow

PASSWORD = "corp-s3cret/Vb8"
SECRET = {*forms(PASSWORD), *forms(f"ada:{PASSWORD}"), b64encode(f"ada:{PASSWORD}".encode()).decode()}
NAMES = [urlsplit(hosts[region]).hostname or "" for hosts, region in ((SEGMENT_HOSTS, "us"), (VOUCHERIFY_HOSTS, "eu"))]


@asynccontextmanager
async def company(
    authority: Authority, profiles: list[Someone], *names: str
) -> AsyncGenerator[tuple[Hostile, Proxy, dict[str, str]], None]:
    """Both services behind a proxy, with certificates of these names, and the variables for another process."""
    async with hostile_server(profiles, authority.server(*(names or NAMES))) as hostile, proxy_to(hostile.url) as proxy:
        variables = {name: value for name, value in hostile.variables.items() if "BASE_URL" not in name}
        url = proxy.url.replace("//", "//ada:corp-s3cret%2FVb8@")
        yield hostile, proxy, {**variables, "HTTPS_PROXY": url, "SSL_CERT_FILE": str(authority.path)}


async def run_with(segsync: Segsync, variables: dict[str, str], *arguments: str) -> Run:
    """A run in another process, which this one answers; nothing that it prints or leaves holds the password."""
    run = await asyncio.to_thread(lambda: segsync(*arguments, sandbox=None, **variables))
    left = [path.read_bytes() for path in segsync.directory.rglob("*.*")]
    for content in (run.stdout.encode(), run.stderr.encode(), *left):
        assert leaks(content, SECRET) == set()
    return run


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    (tmp_path / "authority").mkdir()
    return Authority(tmp_path / "authority")


async def test_an_import_goes_through_the_proxy_to_both_services(segsync: Segsync, authority: Authority) -> None:
    async with company(authority, people(30)) as (hostile, proxy, variables):
        quoting = answer(
            {"message": f"Proxy-Authorization: Basic {b64encode(f'ada:{PASSWORD}'.encode()).decode()}"}, 400
        )
        hostile.instead("segment_id:use_3/traits", quoting)
        run = await run_with(segsync, variables, "--verbose", "--summary-json", "a.json", "--log-file", "a.log")
    assert run.code == 3, run.stderr
    assert len(hostile.customers) == 29
    assert {call.split()[1] for call in proxy.calls} == {f"{name}:443" for name in NAMES}
    place = proxy.url.removeprefix("http://")
    assert f"through the proxy {place} (HTTPS_PROXY)" in (segsync.directory / "rejected-profiles.csv").read_text()


@pytest.mark.parametrize("command", [[], ["check"], ["--dry-run"]])
@pytest.mark.parametrize(
    ("trouble", "message", "code"),
    [
        ("407", "the proxy answered 407: it wants a user name and password, or refuses those given", 2),
        ("socks", "HTTPS_PROXY must be the URL of an HTTP proxy", 2),
        ("not trusted", "the company's authority in SSL_CERT_FILE", 2),
        ("expired", "has expired. Is this machine's clock right", 2),
        ("for another host", "is for another host", 2),
        ("no proxy there", "the proxy cannot be reached", 1),
    ],
)
async def test_what_stands_in_the_way_is_named_and_the_shell_gets_a_code(
    segsync: Segsync, authority: Authority, tmp_path: Path, command: list[str], trouble: str, message: str, code: int
) -> None:
    async with company(authority, people(3), *(["x.example"] if trouble == "for another host" else [])) as world:
        _, proxy, variables = world
        if trouble == "407":
            proxy.status = 407
        elif trouble == "socks":
            variables["HTTPS_PROXY"] = f"socks5://ada:{PASSWORD}@127.0.0.1:1"
        elif trouble == "not trusted":
            (tmp_path / "another").mkdir()
            variables["SSL_CERT_FILE"] = str(Authority(tmp_path / "another").path)
        elif trouble == "no proxy there":
            variables["HTTPS_PROXY"] = variables["HTTPS_PROXY"].rpartition(":")[0] + ":1"
        if trouble == "expired":
            async with hostile_server([], authority.server(*NAMES, not_after=LONG_AGO)) as expired:
                proxy.lead_to(expired.url)
                run = await run_with(segsync, variables, *command)
        else:
            run = await run_with(segsync, variables, *command)
    assert run.code == (3 if command == ["check"] else code), run.stderr
    said = " ".join((run.stdout + run.stderr).split())
    assert message in said
    assert "This is a defect" not in said


async def test_a_base_url_on_this_machine_is_called_directly(segsync: Segsync, authority: Authority) -> None:
    async with hostile_server(people(3), authority.server("127.0.0.1")) as hostile:
        proxied = {"HTTPS_PROXY": "http://127.0.0.1:1", "http_proxy": "http://127.0.0.1:1"}
        run = await run_with(segsync, {**hostile.variables, **proxied, "SSL_CERT_FILE": str(authority.path)})
    assert run.code == 0, run.stderr


async def test_the_sandbox_needs_no_proxy(segsync: Segsync) -> None:
    proxied = {"HTTPS_PROXY": "not:a:proxy", "HTTP_PROXY": "not:a:proxy", "all_proxy": "socks5://127.0.0.1:1"}
    run = await asyncio.to_thread(lambda: segsync("--sandbox", "--limit", "10", sandbox=None, **proxied))
    assert run.code in (0, 3), run.stderr
