"""Errors of refused customers quote them, as errors for people to read do: a client has to keep that to itself."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.clients import quick
from tests.sandbox.conftest import Connect

QUOTES: list[tuple[dict[str, Any], str]] = [
    ({"name": "Ada Lovelace", "email": "ada@example.com"}, "'Ada Lovelace' <ada@example.com> was refused"),
    ({"name": "Ada Lovelace", "phone": "+48 600 000 000"}, "'Ada Lovelace' (+48 600 000 000) was refused"),
    ({"email": "ada@example.com"}, "<ada@example.com> was refused"),
    ({"email": "", "description": "shy"}, "The customer was refused"),
]

each_quote = pytest.mark.parametrize(("attributes", "quote"), QUOTES, ids=[quote for _, quote in QUOTES])


@each_quote
async def test_an_error_of_an_action_quotes_the_customer_in_its_details_alone(
    connect: Connect, attributes: dict[str, Any], quote: str
) -> None:
    client = await connect(quick(refused_later=1.0))
    action = await client.action(await client.upsert({"source_id": "ada", **attributes}))
    assert action["result"]["errors"] == [
        {
            "source_id": "ada",
            "key": "invalid_customer",
            "message": "Customer was refused",
            "details": f"{quote}.",
        }
    ]


@each_quote
async def test_a_400_quotes_the_customer_in_its_details_alone(
    connect: Connect, attributes: dict[str, Any], quote: str
) -> None:
    client = await connect(quick(refused_at_once=1.0))
    answer = await client.upsert({"source_id": "ada", **attributes})
    assert (answer.status, answer.body["key"], answer.body["message"]) == (
        400,
        "invalid_customer",
        "Customer 0: refused",
    )
    assert answer.body["details"] == f"{quote}: refused"


async def test_a_400_quotes_what_is_text_of_a_customer_that_is_not_valid(connect: Connect) -> None:
    client = await connect(quick())
    answer = await client.upsert({"source_id": "ada", "name": 7, "email": "ada@example.com"})
    assert answer.body["message"] == "Customer 0: an attribute is not text"
    assert answer.body["details"] == "<ada@example.com> was refused: an attribute is not text"


async def test_other_errors_quote_nobody(connect: Connect) -> None:
    client = await connect(quick())
    answer = await client.post(b'{"name": "Ada Lovelace"}')
    assert answer.body["details"] == answer.body["message"] == "The request is not a JSON array of objects."
