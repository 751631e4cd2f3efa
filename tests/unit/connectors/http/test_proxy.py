"""Which proxy the environment names for a URL."""

from __future__ import annotations

import pytest
from yarl import URL

from segsync.connectors.http.proxy import proxy_for
from segsync.errors import SettingsError
from segsync.redact import redacted

SEGMENT = URL("https://profiles.segment.com")


def _proxy_for(url: str) -> str | None:
    proxy = proxy_for(URL(url))
    return proxy and str(proxy.url)


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy"])
def test_a_proxy_is_that_of_the_scheme_in_capitals_or_not(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "http://proxy.example:3128")
    assert _proxy_for("https://profiles.segment.com/v1") == "http://proxy.example:3128"
    assert _proxy_for("http://profiles.segment.com/v1") is None
    monkeypatch.setenv("HTTP_PROXY", "http://plain.example:80")
    assert _proxy_for("http://profiles.segment.com/v1") == "http://plain.example"


def test_without_one_there_is_none() -> None:
    assert _proxy_for("https://profiles.segment.com") is None


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("http://proxy.example:3128", "the proxy proxy.example:3128 (HTTPS_PROXY)"),
        ("http://proxy.example:3128/", "the proxy proxy.example:3128 (HTTPS_PROXY)"),
        ("proxy.example:3128", "the proxy proxy.example:3128 (HTTPS_PROXY)"),
        ("ada:s3cret@proxy.example:3128", "the proxy proxy.example:3128 (HTTPS_PROXY)"),
        ("https://ada:s3cret@proxy.example", "the proxy proxy.example:443 (HTTPS_PROXY)"),
        ("http://ada:s3%2Fcret@10.0.0.1:8080", "the proxy 10.0.0.1:8080 (HTTPS_PROXY)"),
        ("http://[2001:db8::1]:8080", "the proxy 2001:db8::1:8080 (HTTPS_PROXY)"),
    ],
)
def test_messages_name_its_place_without_the_credentials(
    value: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", value)
    assert str(proxy_for(SEGMENT)) == shown


@pytest.mark.parametrize(
    "value",
    [
        *("socks5://proxy.example:1080", "ftp://proxy.example:21", "http://", "http://:3128", "://", "http://[::1"),
        *("http://proxy.example:99999", "http://proxy.example:port", "http://proxy example:1", "http://pr\x1boxy:1"),
        *(
            "http://ada:s3cret/word@proxy.example:1",
            "http://ada:1?s3cret@proxy.example",
            "http://ada:1#s3cret@p.example",
        ),
        *("http://a%3Ada:s3cret@proxy.example:1", "http://ada:s3cret李@proxy.example:1", "http://proxy.example/s3cret"),
    ],
)
def test_what_is_not_the_url_of_a_proxy_is_an_error_of_the_settings_that_shows_no_password(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", value)
    with pytest.raises(SettingsError, match=r"^HTTPS_PROXY must be the URL of an HTTP proxy, such as ") as caught:
        proxy_for(SEGMENT)
    assert "s3cret" not in str(caught.value)
    assert "ada" not in str(caught.value)


@pytest.mark.parametrize(
    "no_proxy",
    ["profiles.segment.com", "segment.com", ".segment.com", "a.example, SEGMENT.com", "*", "profiles.segment.com:443"],
)
@pytest.mark.parametrize("variable", ["NO_PROXY", "no_proxy"])
def test_a_host_that_no_proxy_names_is_called_directly(
    variable: str, no_proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "not:a:proxy")
    monkeypatch.setenv(variable, no_proxy)
    assert proxy_for(SEGMENT) is None


def test_another_host_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "segment.example,ofiles.segment.com,profiles.segment.com:8443")
    assert proxy_for(SEGMENT) is not None


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.8.9.10"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_this_machine_is_never_called_through_one(scheme: str, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "not:a:proxy")
    monkeypatch.setenv("HTTP_PROXY", "not:a:proxy")
    assert proxy_for(URL(f"{scheme}://{host}:8080/v1")) is None


def test_a_host_whose_name_cannot_be_decoded_is_left_to_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    assert proxy_for(URL("https://xn--/r.csv", encoded=True)) is not None


def test_the_password_is_a_secret_in_every_form_in_which_it_travels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://ada:s3cret%2Fword@proxy.example:3128")
    proxy = proxy_for(SEGMENT)
    assert proxy is not None
    for form in ("s3cret/word", "s3cret%2Fword", "YWRhOnMzY3JldC93b3Jk"):
        assert form not in redacted(f"the header {form} is bad", *proxy.secrets)
    assert proxy.secrets == ("s3cret/word", "YWRhOnMzY3JldC93b3Jk")
