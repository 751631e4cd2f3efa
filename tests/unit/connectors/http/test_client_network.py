"""Company networks: calls through a proxy, and certificates that are not those of the vendor."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from segsync.connectors.factory import connect, connect_services
from segsync.connectors.http.client import ApiClient
from segsync.connectors.voucherify import VoucherifySink
from segsync.errors import AccessLostError, BlockedError, CallError, RefusedError, SettingsError, TransientError
from segsync.events import CallRetried, Event, ignore
from segsync.models import Connector
from tests.support.configured import settings
from tests.support.network import LONG_AGO, Authority, proxy_to
from tests.support.scripted import ANYTHING, Script, answer, raw, scripted_server

NAME = "api.company.example"
NO_ACTIONS = answer({"async_actions": []})


async def _last(request: web.Request) -> web.StreamResponse:
    """The last answer on its connection: the next call makes a new one."""
    response = await NO_ACTIONS(request)
    response.force_close()
    return response


@asynccontextmanager
async def voucherify_at(
    url: str, on_retry: Callable[[], None] | None = None, **changed: Any
) -> AsyncGenerator[VoucherifySink, None]:
    """The sink with the program's own connections. `on_retry` is called before each retry; without it there is none."""

    def on_event(event: Event) -> None:
        if isinstance(event, CallRetried) and on_retry:
            on_retry()

    own = settings(voucherify_base_url=url, **{"retry_seconds": 60 if on_retry else 0, **changed})
    async with connect_services(own, on_event) as (_, sink):
        yield sink


async def failure_at(url: str, **changed: Any) -> CallError:
    async with voucherify_at(url, **changed) as sink:
        with pytest.raises(CallError) as caught:
            await sink.action_statuses()
    return caught.value


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """One that this machine trusts."""
    made = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.path))
    return made


# --- through a proxy ------------------------------------------------------------------------------------------


async def test_calls_go_through_the_proxy_with_its_user_name_and_password(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Script(NO_ACTIONS)
    async with scripted_server(script, authority.server(NAME)) as url, proxy_to(url) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", "//ada:s3cret%2Fword@"))
        async with voucherify_at(f"https://{NAME}") as sink:
            await sink.action_statuses()
            await sink.action_statuses()
    assert proxy.calls == [f"CONNECT {NAME}:443 HTTP/1.1"], "one tunnel, whose connection is used again"
    assert proxy.authorizations == [f"Basic {b64encode(b'ada:s3cret/word').decode()}"]
    assert len(script.calls) == 2
    assert not [headers for headers in script.headers if "Proxy-Authorization" in headers]


async def test_a_proxy_may_be_called_over_https_itself(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    script, tls = Script(NO_ACTIONS), authority.server("127.0.0.1")
    async with scripted_server(script, authority.server(NAME)) as url, proxy_to(url, tls=tls) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", "//ada:s3cret@"))
        async with voucherify_at(f"https://{NAME}") as sink:
            assert await sink.action_statuses() == {}
    assert proxy.authorizations == [f"Basic {b64encode(b'ada:s3cret').decode()}"]


async def test_the_certificate_of_a_proxy_is_named_as_its(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with proxy_to("http://127.0.0.1:1", tls=authority.server("another.example")) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        error = await failure_at(f"https://{NAME}")
    assert isinstance(error, BlockedError)
    assert "the certificate of 127.0.0.1 is for another host" in str(error)


async def test_plain_calls_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings allow them to this machine alone, which is called directly: a sink of one's own may make them."""
    script = Script(NO_ACTIONS)
    async with scripted_server(script) as url, proxy_to(url) as proxy, aiohttp.ClientSession() as session:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("//", "//ada:s3cret@"))
        client = ApiClient(
            session,
            Connector("Table", "customers", f"http://{NAME}"),
            headers={},
            credentials="",
            retry_seconds=0,
            on_event=ignore,
        )
        await client.call("GET", "/v1/rows", ANYTHING)
    assert proxy.calls == [f"GET http://{NAME}/v1/rows HTTP/1.1"]
    assert proxy.authorizations == [f"Basic {b64encode(b'ada:s3cret').decode()}"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_this_machine_is_called_directly(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script(NO_ACTIONS)
    async with scripted_server(script) as url, proxy_to(url, status=503) as proxy:
        for name in ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"):
            monkeypatch.setenv(name, proxy.url)
        async with voucherify_at(url.replace("127.0.0.1", host)) as sink:
            await sink.action_statuses()
    assert (len(script.calls), proxy.calls) == (1, [])


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy"])
async def test_a_proxy_that_is_none_is_an_error_of_the_settings(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "socks5://ada:s3cret@proxy.example:1080")
    with pytest.raises(SettingsError, match="HTTPS_PROXY must be the URL of an HTTP proxy"):
        async with connect(settings(), ignore):
            pass


async def test_a_proxy_that_is_none_is_no_concern_of_a_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://proxy.example:1080")
    here = "http://127.0.0.1:1"
    async with connect_services(settings(segment_base_url=here, voucherify_base_url=here), ignore) as (_, sink):
        with pytest.raises(CallError, match="HTTPS_PROXY must be the URL of an HTTP proxy"):
            await sink.reported("https://files.example/r.csv?sig=s3cret")


@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [
        (407, BlockedError, "the proxy answered 407: it wants a user name and password, or refuses those given"),
        (403, BlockedError, f"the proxy answered 403 to CONNECT. Ask whoever runs it to let {NAME} through, or name"),
        (405, BlockedError, "the proxy answered 405 to CONNECT"),
        (502, TransientError, "the proxy answered 502 to CONNECT"),
        (503, TransientError, "the proxy answered 503 to CONNECT"),
    ],
)
async def test_a_proxy_that_refuses_is_named_with_the_way_out(
    status: int, kind: type[CallError], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with proxy_to("http://127.0.0.1:1", status) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", "//ada:s3cret@"))
        error = await failure_at(f"https://{NAME}")
    assert type(error) is kind
    assert message in str(error)
    assert f"through the proxy {proxy.url.removeprefix('http://')} (HTTPS_PROXY)" in str(error)
    assert "s3cret" not in str(error)
    assert "ada" not in str(error)
    assert error.code == ("proxy-credentials" if status == 407 else "proxy-refused")
    assert error.status is None, "Voucherify answered nothing"


async def test_a_proxy_that_refuses_for_a_moment_in_mid_run_is_waited_for(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scripted_server(Script(_last), authority.server(NAME)) as url, proxy_to(url) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        async with voucherify_at(f"https://{NAME}", on_retry=lambda: setattr(proxy, "status", None)) as sink:
            await sink.action_statuses()
            proxy.status = 407
            assert await sink.action_statuses() == {}
    assert len(proxy.calls) == 3


async def test_a_407_to_a_plain_call_is_the_proxys() -> None:
    async with scripted_server(Script(raw(b"", "text/plain", 407))) as url:
        error = await failure_at(url)
    assert isinstance(error, BlockedError)
    assert "the proxy answered 407" in str(error)


async def test_a_407_in_mid_run_is_waited_out() -> None:
    async with scripted_server(Script(NO_ACTIONS, raw(b"", "text/plain", 407))) as url, voucherify_at(url) as sink:
        await sink.action_statuses()
        with pytest.raises(AccessLostError, match=r"the proxy answered 407.*given up after"):
            await sink.action_statuses()


@pytest.mark.parametrize("place", ["127.0.0.1:1", "proxy.invalid:3128"])
async def test_a_proxy_that_cannot_be_reached_is_named(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://ada:s3cret@{place}")
    error = await failure_at(f"https://{NAME}")
    assert isinstance(error, TransientError)
    assert f"through the proxy {place} (HTTPS_PROXY): the " in str(error)
    assert "proxy cannot be reached" in str(error) or "host name of the proxy was not found" in str(error)
    assert "s3cret" not in str(error)
    assert error.code == "proxy-unreachable"


@pytest.mark.parametrize(
    "given",
    [answer({}, 401), answer({}, 400), answer({}, 503), raw(b"<h1>", "text/html"), raw(b"<h1>", "text/html", 403)],
)
async def test_each_message_names_the_proxy_where_one_is_set(
    given: Any, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scripted_server(Script(given), authority.server(NAME)) as url, proxy_to(url) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        error = await failure_at(f"https://{NAME}")
    assert f"through the proxy {proxy.url.removeprefix('http://')} (HTTPS_PROXY)" in str(error)


async def test_what_an_answer_quotes_of_the_password_is_hidden(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    quoting = answer({"message": f"bad header letters and {b64encode(b'ada:letters').decode()}"}, 400)
    async with scripted_server(Script(quoting), authority.server(NAME)) as url, proxy_to(url) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", "//ada:letters@"))
        error = await failure_at(f"https://{NAME}")
    assert isinstance(error, RefusedError)
    assert "letters" not in str(error)
    assert b64encode(b"ada:letters").decode() not in str(error)


async def test_no_credentials_are_taken_from_a_netrc(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text(f"machine {NAME} login ada password s3cret\nmachine 127.0.0.1 login ada password s3cret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    script = Script(NO_ACTIONS)
    async with scripted_server(script, authority.server(NAME)) as url, proxy_to(url) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        async with voucherify_at(f"https://{NAME}") as sink:
            await sink.action_statuses()
    assert "Authorization" not in script.headers[0]
    assert proxy.authorizations == [None]


# --- certificates ---------------------------------------------------------------------------------------------


async def test_a_certificate_of_the_company_is_trusted_where_ssl_cert_file_names_its_authority(
    authority: Authority,
) -> None:
    async with scripted_server(Script(NO_ACTIONS), authority.server("127.0.0.1")) as url, voucherify_at(url) as sink:
        assert await sink.action_statuses() == {}


@pytest.mark.parametrize("is_proxied", [True, False])
@pytest.mark.parametrize(
    ("trouble", "message"),
    [
        ("not trusted", r"is not trusted \(.*\)\. .* name a file with the company's authority in SSL_CERT_FILE$"),
        ("a file that is gone", r"in SSL_CERT_FILE\. The file that it names now cannot be read$"),
        ("expired", r"has expired\. Is this machine's clock right, and the file that SSL_CERT_FILE names up to date\?"),
        ("for another host", r"is for another host\. Is the base URL right\? .* no SSL_CERT_FILE helps$"),
    ],
)
async def test_a_certificate_that_does_not_hold_is_reported_as_that_with_the_way_out(
    trouble: str, message: str, is_proxied: bool, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = NAME if is_proxied else "127.0.0.1"
    if trouble == "not trusted":
        (tmp_path / "other").mkdir()
        monkeypatch.setenv("SSL_CERT_FILE", str(Authority(tmp_path / "other").path))
    elif trouble == "a file that is gone":
        authority.path.unlink()
    tls = authority.server(
        "elsewhere.example" if trouble == "for another host" else name,
        not_after=LONG_AGO if trouble == "expired" else None,
    )
    script = Script(NO_ACTIONS)
    async with scripted_server(script, tls) as url, proxy_to(url) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        error = await failure_at(f"https://{NAME}" if is_proxied else url, retry_seconds=60)
    assert type(error) is BlockedError, "it does not pass by itself, so it is not retried"
    assert error.message.startswith("Voucherify at https://")
    assert f": the certificate of {name} " in error.message
    assert re.search(message, error.message)
    codes = {"expired": "certificate-expired", "for another host": "certificate-of-another-host"}
    assert error.code == codes.get(trouble, "certificate-untrusted")
    assert script.calls == []


async def test_a_certificate_that_does_not_hold_in_mid_run_is_waited_for(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        scripted_server(Script(_last), authority.server(NAME)) as url,
        scripted_server(Script(_last), authority.server(NAME, not_after=LONG_AGO)) as expired_url,
        proxy_to(url) as proxy,
    ):
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        async with voucherify_at(f"https://{NAME}", on_retry=lambda: proxy.lead_to(url)) as sink:
            await sink.action_statuses()
            proxy.lead_to(expired_url)
            assert await sink.action_statuses() == {}
    assert len(proxy.calls) == 3
