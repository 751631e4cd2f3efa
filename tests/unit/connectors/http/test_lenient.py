"""Damaged values: repaired where an answer is JSON otherwise, and an error as before where it is not."""

from __future__ import annotations

import codecs
import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segsync.connectors.http.lenient import Repair, Repairable, decode
from segsync.mapping.problems import DAMAGED_NUMBER, DAMAGED_TEXT

CUT = "\ufffd"


class Wanted(Repairable):
    x: Any = None
    needed: int = 0


class Strict(msgspec.Struct):
    needed: int


WANTED = msgspec.json.Decoder(Wanted)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("body", "value", "path"),
    [
        pytest.param(rb'{"x":"Kim \ud83d"}', f"Kim {CUT}", ("x",), id="the first half of an emoji"),
        pytest.param(rb'{"x":"\uDE00 Kim"}', f"{CUT} Kim", ("x",), id="the second half of one"),
        pytest.param(rb'{"x":"\ud83d\ud83d\ude00"}', f"{CUT}😀", ("x",), id="a half before a whole one"),
        pytest.param(rb'{"x":{"a":["b","\ud83d"]}}', {"a": ["b", CUT]}, ("x", "a", 1), id="nested"),
        pytest.param(rb'{"x":{"a\ud83d":1}}', {f"a{CUT}": 1}, ("x", f"a{CUT}"), id="in a key"),
        pytest.param(b'{"x":"caf\xe9"}', f"caf{CUT}", ("x",), id="Latin-1"),
        pytest.param(b'{"x":"\xff\xfe"}', CUT * 2, ("x",), id="bytes of no encoding"),
    ],
)
def test_a_damaged_character_is_replaced_and_its_place_named(body: bytes, value: object, path: tuple[Any, ...]) -> None:
    decoded = decode(body, WANTED)
    assert decoded.x == value
    assert decoded.repairs == (Repair(path, DAMAGED_TEXT),)


@pytest.mark.parametrize(
    "number",
    ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 400 + ".5", "9" * 5000],
    ids=lambda text: text[:9],
)
def test_a_number_that_json_does_not_have_is_left_out_and_its_place_named(number: str) -> None:
    decoded = decode(b'{"x":{"a":%b,"b":[1,%b,{"c":%b}],"d":2}}' % ((number.encode(),) * 3), WANTED)
    assert decoded.x == {"b": [1, {}], "d": 2}
    paths = [("x", "a"), ("x", "b", 1), ("x", "b", 1, "c")]
    assert decoded.repairs == tuple(Repair(path, DAMAGED_NUMBER) for path in paths)


@pytest.mark.parametrize(
    "body",
    [
        codecs.BOM_UTF8 + b'{"x":"\xc3\xa9"}',
        '{"x":"é"}'.encode("utf-16"),
        '{"x":"é"}'.encode("utf-16-be"),
        '{"x":"é"}'.encode("utf-32"),
    ],
)
def test_a_byte_order_mark_and_other_encodings_change_nothing(body: bytes) -> None:
    decoded = decode(body, WANTED)
    assert (decoded.x, decoded.repairs) == ("é", ())


def test_raw_control_characters_are_kept() -> None:
    decoded = decode(b'{"x":"a\nb\tc\x00"}', WANTED)
    assert (decoded.x, decoded.repairs) == ("a\nb\tc\x00", ())


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"<html>", b'{"x":1', b'{"x":"\xe9', b'{"x":NaN', b'{"x":1,}', b"{'x':1}", b'{"x":1}{"x":2}'),
        *(b'{"x":nan}', b'{"x":tru\xe9}', codecs.BOM_UTF8, b"[NaN]", b"NaN", b'{"x":' * 100_000),
        b"[" * 2000 + b"NaN" + b"]" * 2000,
    ],
)
def test_what_is_damaged_otherwise_is_the_error_of_the_strict_decoding(body: bytes) -> None:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError, RecursionError)) as strict:
        WANTED.decode(body)
    with pytest.raises(strict.type) as lenient:
        decode(body, WANTED)
    assert str(lenient.value) == str(strict.value)


def test_a_field_that_is_needed_and_left_out_is_still_missing() -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(b'{"needed":NaN}', msgspec.json.Decoder(Strict))
    with pytest.raises(msgspec.DecodeError):
        decode(rb'{"needed":"\ud83d"}', WANTED)


def test_an_answer_cannot_claim_repairs() -> None:
    assert decode(b'{"repairs":[[["x"],"forged"]]}', WANTED).repairs == ()


@given(JSON)
def test_what_is_json_is_decoded_as_ever_and_has_no_repairs(value: object) -> None:
    body = msgspec.json.encode({"x": value})
    decoded = decode(body, WANTED)
    assert decoded.repairs == ()
    assert msgspec.json.encode(decoded.x) == msgspec.json.encode(WANTED.decode(body).x)
    with_mark = decode(codecs.BOM_UTF8 + body, WANTED)
    assert (with_mark.x, with_mark.repairs) == (decoded.x, ())


@given(st.recursive(st.floats() | st.text(st.characters(exclude_categories=())), st.lists, max_leaves=8))
def test_whatever_values_are_damaged_the_rest_can_be_sent(value: object) -> None:
    decoded = decode(json.dumps({"x": value}).encode(), WANTED)
    is_gone = isinstance(value, float) and not math.isfinite(value)
    assert msgspec.json.decode(msgspec.json.encode(decoded.x)) == decoded.x
    assert not is_gone or decoded.x is None
