"""The vendor's own download hosts get the two credentials where they want them; no other foreign host ever does."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from segsync.connectors import voucherify
from segsync.connectors.factory import connect_services
from segsync.errors import RefusedError
from segsync.events import ignore
from tests.support.configured import settings
from tests.support.hostile import redirect
from tests.support.network import Authority
from tests.support.scripted import Answer, Script, answer, raw, scripted_server

REPORT: Final = raw(b"found,updated\nfalse,true\n", "text/csv")
OWN: Final = {"X-App-Id": "a", "X-App-Token": "k"}

DOWNLOADS: Final = {
    "eu": "download.voucherify.io",
    "us": "us1.download.voucherify.io",
    "asia": "as1.download.voucherify.io",
}


class _Here(AbstractResolver):
    """Every host is one port of this machine."""

    def __init__(self, url: str) -> None:
        self._port = urlsplit(url).port or 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        numeric = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        return [
            ResolveResult(
                hostname=host, host="127.0.0.1", port=self._port, family=socket.AF_INET, proto=0, flags=numeric
            )
        ]

    async def close(self) -> None:
        pass


async def _headers_of_download(
    url: str, *given: Answer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **changed: str
) -> list[dict[str, str]]:
    """The headers of each call that the download of a report at `url` makes, whoever is called."""
    authority, script = Authority(tmp_path), Script(*given)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    async with scripted_server(script, authority.server(urlsplit(url).hostname or "")) as server:
        connector = aiohttp.TCPConnector

        def here(**options: object) -> aiohttp.TCPConnector:
            return connector(**{**options, "resolver": _Here(server)})  # type: ignore[arg-type]

        monkeypatch.setattr(aiohttp, "TCPConnector", here)
        async with connect_services(settings(retry_seconds=0, **changed), ignore) as (_, sink):
            [result] = await asyncio.gather(sink.reported(url), return_exceptions=True)
    assert "sig=1" not in str(result)
    assert not isinstance(result, Exception) or isinstance(result, RefusedError)
    return script.headers


def _credentials(headers: dict[str, str]) -> dict[str, str]:
    """The credentials among headers, by whatever name."""
    return {name: value for name, value in headers.items() if name in OWN or name == "Authorization" or value in "ak"}


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("region", DOWNLOADS)
async def test_the_download_host_of_the_region_gets_them_after_a_refusal_without_them(
    region: str, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await _headers_of_download(
        f"https://{DOWNLOADS[region]}/r.csv?sig=1",
        answer({}, status),
        REPORT,
        tmp_path=tmp_path,
        monkeypatch=monkeypatch,
        voucherify_region=region,
    )
    assert _credentials(first) == {}
    assert _credentials(second) == OWN
    assert "Content-Type" not in second


@pytest.mark.parametrize("host", DOWNLOADS.values())
async def test_of_a_dedicated_api_host_any_of_the_vendors_download_hosts_gets_them(
    host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, second = await _headers_of_download(
        f"https://{host}/r.csv?sig=1",
        answer({}, 401),
        REPORT,
        tmp_path=tmp_path,
        monkeypatch=monkeypatch,
        voucherify_base_url="https://company.voucherify.example",
    )
    assert _credentials(second) == OWN


async def test_it_does_not_get_them_where_it_wants_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [only] = await _headers_of_download(
        "https://download.voucherify.io/r.csv", REPORT, tmp_path=tmp_path, monkeypatch=monkeypatch
    )
    assert _credentials(only) == {}


async def test_a_redirect_of_it_takes_them_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = await _headers_of_download(
        "https://download.voucherify.io/r.csv",
        answer({}, 401),
        redirect(302, "https://elsewhere.example/r.csv"),
        tmp_path=tmp_path,
        monkeypatch=monkeypatch,
    )
    assert [_credentials(headers) for headers in calls] == [{}, OWN], "and nobody else is called"


@pytest.mark.parametrize(
    ("url", "changed"),
    [
        ("https://files.example/r.csv?sig=1", {}),
        ("https://download.voucherify.io.files.example/r.csv?sig=1", {}),
        ("https://evil-download.voucherify.io/r.csv?sig=1", {}),
        ("https://us1.download.voucherify.io/r.csv?sig=1", {}),
        ("https://download.voucherify.io:8443/r.csv?sig=1", {}),
        ("https://download.voucherify.io/r.csv?sig=1", {"voucherify_region": "us"}),
        ("https://files.example/r.csv?sig=1", {"voucherify_base_url": "https://company.voucherify.example"}),
    ],
)
async def test_no_other_host_ever_gets_them(
    url: str, changed: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [only] = await _headers_of_download(
        url, answer({}, 403), REPORT, tmp_path=tmp_path, monkeypatch=monkeypatch, **changed
    )
    assert _credentials(only) == {}


async def test_plain_http_never_carries_them() -> None:
    """A file at plain http is refused before anybody is called, unless both it and the API are on this machine."""
    script = Script(answer({}, 401), REPORT)
    async with (
        scripted_server(script) as url,
        scripted_server(Script(REPORT)) as api,
        connect_services(settings(voucherify_base_url=api, retry_seconds=0), ignore) as (_, sink),
    ):
        with pytest.raises(RefusedError):
            await sink.reported(f"{url}/r.csv")
    assert [_credentials(headers) for headers in script.headers] == [{}]


def test_a_base_url_that_is_a_regions_own_has_its_download_host() -> None:
    assert set(voucherify.DOWNLOAD_HOSTS.values()) == set(DOWNLOADS.values())
    assert voucherify.DOWNLOAD_HOSTS["https://api.voucherify.io"] == "download.voucherify.io"
