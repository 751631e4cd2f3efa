"""A 401 or 403: final where the credentials were never accepted, retried and then exit 1 where they were."""

from __future__ import annotations

import asyncio

import pytest

from segsync.connectors.http.client import ApiClient
from segsync.errors import AccessError, AccessLostError, BlockedError, TransientError
from segsync.events import CallRetried
from tests.conftest import run_virtual
from tests.support.scripted import ANYTHING, Answer, Events, Script, SilentSession, answer, client_to, raw

FINE = answer({"fine": True})
PAGE = b"\xef\xbb\xbf\n<!DOCTYPE html><h1>Access denied</h1> by ACME Web Gateway, ada@example.com"
PAGES = {
    "by its type": raw(b"Access denied", "text/html", 403),
    "by its beginning": raw(PAGE, "text/plain", 403),
    "401": raw(PAGE, "text/html", 401),
    "XHTML": raw(PAGE, "application/xhtml+xml", 403),
}


async def _get(client: ApiClient, *, has_own_right: bool = False) -> dict[str, object]:
    return await client.call("GET", "/v1/thing", ANYTHING, has_own_right=has_own_right)


@pytest.mark.parametrize("status", [401, 403])
async def test_in_mid_run_it_is_retried_until_it_has_passed(status: int) -> None:
    events, script = Events(), Script(FINE, answer({}, status), answer({}, status), FINE)
    async with client_to(script, on_event=events.append) as client:
        await _get(client)
        assert await _get(client) == {"fine": True}
    assert [event.status for event in events.of(CallRetried)] == [status, status]


@pytest.mark.parametrize("status", [401, 403])
async def test_after_the_patience_it_is_an_error_that_a_restart_may_help_against(status: int) -> None:
    async with client_to(Script(FINE, answer({}, status)), retry_seconds=0) as client:
        await _get(client)
        with pytest.raises(
            AccessLostError, match="refuses SEGMENT_ACCESS_TOKEN, which it accepted before in this run; given up after"
        ) as caught:
            await _get(client)
    assert caught.value.status == status


def test_the_patience_is_that_with_any_failure() -> None:
    async def run() -> float:
        session = SilentSession()
        client = session.client(retry_seconds=300)
        await client.call("GET", "/thing", ANYTHING)
        session.answer = lambda _path: (401, {})
        with pytest.raises(AccessLostError):
            await client.call("GET", "/other", ANYTHING)
        return asyncio.get_running_loop().time()

    assert run_virtual(run()) == pytest.approx(300, abs=1)


@pytest.mark.parametrize("before", [answer({}, 404), answer({}, 503), raw(b"<p>Welcome", "text/html"), answer([])])
async def test_only_an_answer_that_was_understood_shows_that_they_were_accepted(before: Answer) -> None:
    script = Script(before, answer({}, 401))
    async with client_to(script, retry_seconds=0) as client:
        await asyncio.gather(_get(client), return_exceptions=True)
        with pytest.raises(AccessError, match=r"refuses SEGMENT_ACCESS_TOKEN$"):
            await _get(client)
    assert len(script.calls) == 2


@pytest.mark.parametrize("status", [401, 403])
async def test_a_call_with_a_right_of_its_own_is_refused_at_once(status: int) -> None:
    script = Script(FINE, answer({"message": "no"}, status))
    async with client_to(script) as client:
        await _get(client)
        with pytest.raises(AccessError, match=r"refuses SEGMENT_ACCESS_TOKEN$"):
            await _get(client, has_own_right=True)
    assert len(script.calls) == 2


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("has_own_right", [True, False])
async def test_a_web_page_names_a_proxy_or_firewall_and_no_token(page: str, has_own_right: bool) -> None:
    script = Script(PAGES[page])
    async with client_to(script) as client:
        with pytest.raises(
            BlockedError, match=r"a proxy or firewall .* Ask whoever runs it to let 127.0.0.1"
        ) as caught:
            await _get(client, has_own_right=has_own_right)
    assert len(script.calls) == 1
    assert "TOKEN" not in str(caught.value)
    assert "ada" not in str(caught.value)


@pytest.mark.parametrize("has_own_right", [True, False])
async def test_a_web_page_in_mid_run_is_retried_whatever_was_asked_for(has_own_right: bool) -> None:
    script = Script(FINE, PAGES["401"], PAGES["401"], FINE)
    async with client_to(script) as client:
        await _get(client)
        assert await _get(client, has_own_right=has_own_right) == {"fine": True}


async def test_a_web_page_that_stays_names_them_too() -> None:
    async with client_to(Script(FINE, PAGES["401"]), retry_seconds=0) as client:
        await _get(client)
        with pytest.raises(AccessLostError, match="a proxy or firewall") as caught:
            await _get(client)
    assert "TOKEN" not in str(caught.value)


async def test_an_error_of_the_services_own_is_none_of_a_proxy_whatever_its_type() -> None:
    error = raw(b'{"error": {"code": "authentication_error", "message": "no"}}', "text/html", 401)
    async with client_to(Script(error)) as client:
        with pytest.raises(AccessError, match="refuses SEGMENT_ACCESS_TOKEN") as caught:
            await _get(client)
    assert not isinstance(caught.value, BlockedError)


async def test_a_refusal_of_credentials_is_never_what_is_retried_for_ever_before_a_transient_one() -> None:
    """503, then 401: the credentials were never accepted, so the second is final."""
    script = Script(answer({}, 503), answer({}, 401))
    async with client_to(script) as client:
        with pytest.raises(AccessError):
            await _get(client)
    assert len(script.calls) == 2
    assert not issubclass(AccessLostError, AccessError | TransientError)
