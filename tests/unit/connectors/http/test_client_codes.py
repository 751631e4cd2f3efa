"""The code of each error of a call: what a status, a header or a kind of answer stands for."""

from __future__ import annotations

import msgspec
import pytest

from segsync.errors import AccessLostError, CallError, RefusedError
from tests.support.scripted import ANYTHING, Answer, Script, answer, client_to, hang_up, raw

FINE = answer({})
NUMBERS = msgspec.json.Decoder(int)
SPENT = answer({}, 429, X_Rate_Limit_Type="api_calls_cycle")
WEB_PAGE = raw(b"<html>no</html>", "text/html", 403)


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (answer({"code": "unauthorized"}, 401), "credentials-refused"),
        (answer({"code": "forbidden"}, 403), "credentials-refused"),
        (WEB_PAGE, "blocked"),
        (answer({}, 407), "proxy-credentials"),
        (answer({}, 402), "quota-used-up"),
        (SPENT, "quota-used-up"),
        (answer({}, 429), "rate-limited"),
        (answer({}, 500), "service-failed"),
        (answer({}, 503), "service-failed"),
        (answer({}, 409), "conflict"),
        (answer({}, 400), "refused"),
        (answer({}, 422), "refused"),
        (answer({}, 404), "not-found"),
        (answer({}, 410), "not-found"),
        (answer({}, 413), "too-large"),
        (answer({}, 302), "redirected"),
        (raw(b"<html>welcome</html>", "text/html"), "answer-not-json"),
        (raw(b"{", "application/json"), "answer-undocumented"),
        (answer({}, Content_Encoding="br"), "answer-compressed"),
        (hang_up, "no-answer"),
    ],
)
async def test_each_failure_has_its_code(reply: Answer, code: str) -> None:
    async with client_to(Script(reply), retry_seconds=0.0) as client:
        with pytest.raises(CallError) as raised:
            await client.call("GET", "/v1/thing", ANYTHING)
    assert raised.value.code == code


async def test_the_code_outlives_the_retries() -> None:
    async with client_to(Script(answer({}, 409)), retry_seconds=0.0) as client:
        with pytest.raises(RefusedError) as raised:
            await client.call("POST", "/v1/thing", ANYTHING, b"[]")
    assert (raised.value.code, "given up" in raised.value.message) == ("conflict", True)


@pytest.mark.parametrize(("refusal", "code"), [(answer({"code": 1}, 401), "credentials-lost"), (WEB_PAGE, "blocked")])
async def test_credentials_that_were_accepted_before_are_lost_and_not_refused(refusal: Answer, code: str) -> None:
    async with client_to(Script(FINE, refusal), retry_seconds=0.0) as client:
        await client.call("GET", "/v1/thing", ANYTHING)
        with pytest.raises(AccessLostError) as raised:
            await client.call("GET", "/v1/thing", ANYTHING)
    assert raised.value.code == code


async def test_an_answer_of_another_type_is_undocumented() -> None:
    async with client_to(Script(answer({"a": 1}))) as client:
        with pytest.raises(CallError) as raised:
            await client.call("GET", "/v1/thing", NUMBERS)
    assert raised.value.code == "answer-undocumented"
