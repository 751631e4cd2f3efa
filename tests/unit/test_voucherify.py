"""The bulk upsert's client."""

from __future__ import annotations

import pytest

from segsync.errors import AccessError, AnswerError, RefusedError
from segsync.voucherify import VoucherifySink
from tests.scripted import Answer, Script, answer, transport_to


async def test_an_upsert_is_one_post_of_the_customers_and_gives_its_action() -> None:
    script = Script(answer({"async_action_id": "aa_1", "anything": "else"}, 202))
    async with transport_to(script, service="Voucherify") as transport:
        assert await VoucherifySink(transport).upsert(b'[{"source_id":"ada"}]') == "aa_1"
    assert script.calls == ["POST /v1/customers/bulk/async"]
    assert script.bodies == [b'[{"source_id":"ada"}]']


@pytest.mark.parametrize(
    ("refusal", "error", "said"),
    [
        (answer({"key": "invalid_customer"}, 400), RefusedError, "invalid_customer"),
        (answer({}, 413), RefusedError, "413"),
        (answer({}, 404), AccessError, "Is VOUCHERIFY_BASE_URL right"),
        (answer({"id": "aa_1"}, 202), AnswerError, "missing required field `async_action_id`"),
    ],
)
async def test_each_refusal_says_what_can_be_done_about_it(refusal: Answer, error: type[Exception], said: str) -> None:
    async with transport_to(Script(refusal), service="Voucherify") as transport:
        with pytest.raises(error, match=said):
            await VoucherifySink(transport).upsert(b"[]")
