"""Odd values in Voucherify's answers."""

from __future__ import annotations

import pytest

from segsync.connectors.base import RefusedCustomer
from segsync.connectors.voucherify import VoucherifySink
from segsync.errors import RefusedError
from tests.support.scripted import Script, client_to, raw


async def test_half_an_emoji_in_a_reason_ends_no_import() -> None:
    action = raw(
        rb'{"status":"DONE","result":{"failed_count":1,"errors":[{"source_id":"a","message":"bad plan \ud83d"}]}}'
    )
    async with client_to(Script(action), service="Voucherify") as client:
        result = await VoucherifySink(client).upsert_result("aa_1")
    assert result is not None
    assert result.refused == (RefusedCustomer("a", "bad plan …"),)


async def test_half_an_emoji_in_a_refusal_hides_no_other_word_of_it() -> None:
    refusal = raw(rb'{"key":"invalid_payload","message":"plan \ud83d is not allowed"}', status=400)
    async with client_to(Script(refusal), service="Voucherify") as client:
        with pytest.raises(RefusedError, match=r"400 \(invalid_payload\) .*plan … is not allowed"):
            await VoucherifySink(client).upsert(b"[]")
