"""Odd values in Voucherify's answers."""

from __future__ import annotations

import pytest

from segsync.connectors.base import RefusedCustomer
from segsync.connectors.voucherify import VoucherifySink
from segsync.errors import RefusedError
from segsync.mapping.metadata_schema import UNFIT, MetadataSchema, fit
from tests.support.scripted import Answer, Script, answer, client_to, raw


async def test_half_an_emoji_in_a_reason_ends_no_import() -> None:
    action = raw(
        rb'{"status":"DONE","result":{"failed_count":1,"errors":[{"source_id":"a","message":"bad plan \ud83d"}]}}'
    )
    async with client_to(Script(action), service="Voucherify") as client:
        result = await VoucherifySink(client).upsert_result("aa_1")
    assert result is not None
    assert result.refused == (RefusedCustomer("a", "bad plan …", words="bad plan \ufffd"),)


async def test_half_an_emoji_in_a_refusal_hides_no_other_word_of_it() -> None:
    refusal = raw(rb'{"key":"invalid_payload","message":"plan \ud83d is not allowed"}', status=400)
    async with client_to(Script(refusal), service="Voucherify") as client:
        with pytest.raises(RefusedError, match=r"400 \(invalid_payload\) .*plan … is not allowed"):
            await VoucherifySink(client).upsert(b"[]")


# --- metadata schemas ---------------------------------------------------------------------------------


def _schema(**properties: object) -> Answer:
    return answer({"properties": properties, "allow_defined_only": False})


async def _read(*answers: Answer) -> tuple[MetadataSchema, list[str]]:
    script = Script(*answers)
    async with client_to(script, service="Voucherify") as client:
        return await VoucherifySink(client).metadata_schema(), script.calls


async def test_the_schemas_of_nested_objects_are_read_once_each_and_to_any_depth() -> None:
    payment = {"type": "object", "objectType": "Payment & co"}
    schema, calls = await _read(
        _schema(first=payment, second={**payment, "array": True}, plain={"type": "string"}),
        _schema(bank={"type": "object", "objectType": "Bank"}),
        _schema(code={"type": "string", "exactLength": 4}),
    )
    assert calls == [f"GET /v1/metadata-schemas/{name}" for name in ("customer", "Payment%20%26%20co", "Bank")]
    first, second = schema.properties["first"], schema.properties["second"]
    assert fit({"bank": {"code": "1234"}}, first) == {"bank": {"code": "1234"}}
    assert fit({"bank": {"code": "1"}}, first) is UNFIT
    assert fit([{"bank": 1}], second) is UNFIT


async def test_a_schema_that_holds_itself_is_read_once() -> None:
    nested = {"type": "object", "objectType": "Tree"}
    schema, calls = await _read(_schema(tree=nested), _schema(branch=nested, size={"type": "number"}))
    assert len(calls) == 2
    assert fit({"branch": {"branch": {"anything": 1}}, "size": 1}, schema.properties["tree"]) is not UNFIT
    assert fit({"size": "big"}, schema.properties["tree"]) is UNFIT


async def test_a_nested_schema_that_voucherify_does_not_know_allows_everything() -> None:
    schema, _ = await _read(_schema(payment={"type": "object", "objectType": "Gone"}), answer({}, 404))
    assert fit({"any": 1}, schema.properties["payment"]) == {"any": 1}


async def test_definitions_of_odd_shapes_break_nothing() -> None:
    odd = {"type": 7, "array": "yes", "optional": 0, "deleted": [], "eq": {}, "minLength": "x", "objectType": 1}
    schema, _ = await _read(_schema(odd=odd, text="string", none=None, empty={}, plan={"type": "string"}))
    assert set(schema.properties) == {"odd", "empty", "plan"}
    assert fit([1], schema.properties["odd"]) == [1]
