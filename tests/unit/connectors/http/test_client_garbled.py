"""A 2xx that is no answer: final at first, retried where the same kind of call was understood before."""

from __future__ import annotations

import asyncio
from random import Random

import msgspec
import pytest

from segsync.connectors.http.client import FIRST_ANSWERS_SECONDS, ApiClient
from segsync.errors import AnswerError, CallError, TransientError
from segsync.events import CallRetried
from tests.conftest import run_virtual
from tests.support.hostile import redirect
from tests.support.scripted import (
    ANYTHING,
    Events,
    Script,
    SilentSession,
    answer,
    client_to,
    raw,
)


class _Thing(msgspec.Struct):
    name: str


THING = msgspec.json.Decoder(_Thing)
OTHER = msgspec.json.Decoder(dict[str, int])
FINE = answer({"name": "a thing"})
GARBLED = {
    "cut short": raw(b'{"name": "a th'),
    "empty": raw(b""),
    "no content": raw(b"", status=204),
    "no content, of another type": raw(b"", "application/octet-stream", 204),
    "a web page": raw(b"<!doctype html><p>Welcome to the hotel", "text/html"),
    "a web page that is called JSON": raw(b"<!doctype html><p>Welcome to the hotel"),
    "text": raw(b"OK", "text/plain"),
    "no field": answer({}),
    "another type": answer({"name": 7}),
    "a list": answer([]),
    "no text": raw(b"\xff\xfe\x00\xd8"),
    "an unknown compression": answer({"name": 7}, Content_Encoding="x-none"),
    "a redirect to a login": redirect(302, "https://login.example/"),
}


async def _get(client: ApiClient) -> _Thing:
    return await client.call("GET", "/v1/thing", THING)


@pytest.mark.parametrize("garbled", GARBLED)
async def test_it_is_retried_where_the_kind_was_understood_before(garbled: str) -> None:
    events, script = Events(), Script(FINE, GARBLED[garbled], GARBLED[garbled], FINE)
    async with client_to(script, on_event=events.append) as client:
        await _get(client)
        assert (await _get(client)).name == "a thing"
    assert len(script.calls) == 4
    assert len(events.of(CallRetried)) == 2


@pytest.mark.parametrize("garbled", GARBLED)
async def test_before_that_it_is_final_at_once(garbled: str) -> None:
    script = Script(GARBLED[garbled])
    async with client_to(script) as client:
        with pytest.raises(AnswerError):
            await _get(client)
    assert len(script.calls) == 1


async def test_behind_a_try_that_failed_it_is_final_too() -> None:
    script = Script(answer({}, 503), GARBLED["empty"])
    async with client_to(script) as client:
        with pytest.raises(AnswerError):
            await _get(client)
    assert len(script.calls) == 2


@pytest.mark.parametrize("garbled", GARBLED)
async def test_a_read_that_stays_garbled_is_given_up_like_one_that_is_not_answered(garbled: str) -> None:
    async with client_to(Script(FINE, GARBLED[garbled]), retry_seconds=0) as client:
        await _get(client)
        with pytest.raises(TransientError, match=r"answered \d+ .*to GET /v1/thing.*[^?]; given up after") as caught:
            await _get(client)
    assert caught.value.is_garbled
    assert "Is the base URL right" not in str(caught.value)


async def test_a_write_that_stays_garbled_is_no_failure_of_what_was_sent() -> None:
    """It was probably carried out: the class of the error must not have the batch taken apart."""
    async with client_to(Script(answer({"name": "aa_1"}, 202), answer({}, 202)), retry_seconds=0) as client:
        await client.call("POST", "/v1/things", THING, b"[1]")
        with pytest.raises(AnswerError, match="given up after") as caught:
            await client.call("POST", "/v1/things", THING, b"[2]")
    assert caught.value.status == 202


class _Steady(Random):
    """Back-off of 5 seconds: the last two tries lie apart."""

    def uniform(self, _low: float, _high: float) -> float:
        return 5.0


def _garbled_for(path: str, seconds: float, *, others_are_fine: bool) -> TransientError:
    """What a call to `path` fails with that is garbled all the time, while others of its kind are or are not."""

    async def run() -> TransientError:
        session = SilentSession()
        client = session.client(retry_seconds=seconds, random=_Steady())
        await client.call("GET", "/good", ANYTHING)
        session.answer = lambda called: (200 if others_are_fine and called == "/good" else 204, {})
        session.body = lambda status: b"{}" if status == 200 else b""

        async def others() -> None:
            while True:
                await asyncio.sleep(1)
                await client.call("GET", "/good", ANYTHING)

        other = asyncio.create_task(others())
        with pytest.raises(TransientError) as caught:
            await client.call("GET", path, ANYTHING)
        other.cancel()
        return caught.value

    return run_virtual(run())


def test_whether_others_succeed_is_known_as_for_any_failure() -> None:
    assert _garbled_for("/bad", 60, others_are_fine=True).others_succeed
    assert not _garbled_for("/bad", 60, others_are_fine=False).others_succeed


def test_the_patience_is_that_with_any_failure() -> None:
    async def run() -> float:
        session = SilentSession()
        client = session.client(retry_seconds=300)
        await client.call("GET", "/thing", ANYTHING)
        session.body = lambda _status: b""
        with pytest.raises(TransientError):
            await client.call("GET", "/thing", ANYTHING)
        return asyncio.get_running_loop().time()

    assert run_virtual(run()) == pytest.approx(300, abs=1)


def _first_of_its_kind(calls_per_second: float, before: bytes, *, is_alone: bool) -> tuple[object, float, int]:
    """What a first garbled answer ends with, when, and after how many calls.

    Another kind was understood if `before` is. Unless it is alone, another call of its kind leaves at this rate behind
    it, and is understood.
    """

    async def run() -> tuple[object, float, int]:
        session, clock = SilentSession(), asyncio.get_running_loop().time
        client = session.client(retry_seconds=300, calls_per_second=calls_per_second)
        session.body = lambda _status: before
        await asyncio.gather(client.call("GET", "/listing", OTHER), return_exceptions=True)
        await asyncio.sleep(60)
        session.body = lambda _status: b"" if [path for path, _ in session.calls[1:]] == ["/thing"] else b'{"fine": 1}'
        await client.limiter.turn()  # both stand in line
        first = asyncio.create_task(client.call("GET", "/thing", ANYTHING))
        other = None if is_alone else asyncio.create_task(client.call("GET", "/other", ANYTHING))
        await asyncio.wait({first})
        [left_at, *_] = [left_at for path, left_at in session.calls if path == "/thing"]
        seconds, result = clock() - left_at, first.exception() or first.result()
        if other:
            await other
        return result, seconds, [path for path, _ in session.calls].count("/thing")

    return run_virtual(run())


def test_the_first_calls_of_a_kind_side_by_side_show_each_other_what_is_usual() -> None:
    result, _, calls = _first_of_its_kind(0.5, b"{}", is_alone=False)
    assert result == {"fine": 1}
    assert calls == 2


def test_where_none_of_them_is_understood_soon_it_is_final_without_another_call() -> None:
    result, seconds, calls = _first_of_its_kind(0.1, b"{}", is_alone=False)
    assert isinstance(result, AnswerError)
    assert calls == 1
    assert seconds == pytest.approx(FIRST_ANSWERS_SECONDS, abs=0.2)


@pytest.mark.parametrize(("before", "is_alone"), [(b"{}", True), (b"<html>", False), (b"<html>", True)])
def test_where_it_is_alone_or_nothing_at_all_was_understood_nobody_waits(before: bytes, is_alone: bool) -> None:
    result, seconds, calls = _first_of_its_kind(0.5, before, is_alone=is_alone)
    assert isinstance(result, AnswerError)
    assert calls == 1
    assert seconds == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("content", [b"<p>ada@example.com", b'{"name": "ada@example.com'])
async def test_no_message_holds_what_came_instead(content: bytes) -> None:
    async with client_to(Script(FINE, raw(content, "text/html")), retry_seconds=0) as client:
        await _get(client)
        with pytest.raises(CallError) as caught:
            await _get(client)
    assert "ada" not in str(caught.value)
