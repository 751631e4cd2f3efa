"""A value and a definition of the metadata schema: what is safe is done, what is a guess is not."""

from __future__ import annotations

import json
import re
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segsync.mapping.metadata_schema import UNFIT, Definition, fit, misfit

TYPES = ("string", "number", "boolean", "date", "datetime", "geopoint", "image_url", "object")

ZONES = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
TELLING = st.sampled_from(
    ["", " 42 ", "4.50", "1e3", "1e400", "true", "False", "2026-01-31", "2026-02-30", "2026-01-31T10:20", "a", "1,2"]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | TELLING
    | st.integers().map(str)
    | st.floats().map(str)
    | st.dates().map(date.isoformat)
    | st.datetimes(timezones=st.none() | ZONES).map(datetime.isoformat)
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)
DEFINITIONS = st.builds(Definition, st.sampled_from(TYPES), st.booleans())


def is_of(value: Any, kind: str) -> bool:
    """What Voucherify documents about a single value of a type, written once more."""
    match kind:
        case "string" | "image_url":
            return isinstance(value, str)
        case "number":
            return type(value) is int or (type(value) is float and abs(value) < float("inf"))
        case "boolean":
            return isinstance(value, bool)
        case "object":
            return isinstance(value, dict)
        case "date":
            return isinstance(value, str) and len(value) == 10 and date.fromisoformat(value).isoformat() == value
        case "datetime":
            shape = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"
            return re.fullmatch(shape, value) is not None and datetime.fromisoformat(value).tzinfo is not None
    return isinstance(value, dict | list) or len([float(part) for part in value.split(",")]) == 2


def matches(value: Any, definition: Definition) -> bool:
    if definition.array:
        return isinstance(value, list) and all(is_of(each, definition.type) for each in value)
    return is_of(value, definition.type)


@pytest.mark.parametrize(
    ("kind", "value", "fitted"),
    [
        ("string", "Ada", "Ada"),
        ("string", "", ""),
        ("string", 42, "42"),
        ("string", 42.0, "42"),
        ("string", 1.5, "1.5"),
        ("string", True, "true"),
        ("number", 42, 42),
        ("number", 1.5, 1.5),
        ("number", "42", 42),
        ("number", " -4.50 ", -4.5),
        ("number", "0", 0),
        ("number", "1e3", 1000.0),
        ("number", "123456789012345", 123456789012345),
        ("number", 10**30, 10**30),
        ("boolean", False, False),
        ("boolean", "true", True),
        ("boolean", "False", False),
        ("date", "2026-01-31", "2026-01-31"),
        ("date", "2026-01-31T23:30:00-05:00", "2026-01-31"),
        ("datetime", "2026-01-31", "2026-01-31T00:00:00.000Z"),
        ("datetime", "2026-01-31T10:20:30.5Z", "2026-01-31T10:20:30.5Z"),
        ("datetime", "2026-01-31T10:20:30+02:00", "2026-01-31T10:20:30+02:00"),
        ("datetime", "2026-01-31T10:20", "2026-01-31T10:20:00.000Z"),
        ("datetime", "2026-01-31T10:20:30,123456+0200", "2026-01-31T10:20:30.123456+02:00"),
        ("geopoint", "37.786971, -122.399677", "37.786971, -122.399677"),
        ("geopoint", [37.7, -122.3], [37.7, -122.3]),
        ("geopoint", {"lat": 37.7, "lng": -122.3}, {"lat": 37.7, "lng": -122.3}),
        ("image_url", "https://example.com/a.png", "https://example.com/a.png"),
        ("object", {"a": [1]}, {"a": [1]}),
        ("a type of next year", [1, "x"], [1, "x"]),
    ],
)
def test_what_can_be_converted_to_the_type_is(kind: str, value: object, fitted: object) -> None:
    assert json.dumps(fit(value, Definition(kind))) == json.dumps(fitted)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("string", [[], ["x"], {}, float("nan"), 10**5000]),
        ("number", ["", "x", "1,000", "1.", ".5", "+5", "007", "0x10", "nan", "inf", "1e400", "1e-400", "１２"]),
        ("number", [True, [1], {}, float("inf"), "1234567890123456", "0.1234567890123456"]),
        ("boolean", [0, 1, "yes", "1", "", [True], {}]),
        ("date", ["31/12/1990", "2026-02-30", "1990", "2026-01-31 10:20", 1769853600, True, ["2026-01-31"], {}]),
        ("datetime", ["10:20", "2026-01-31T25:00", "2026-01-31T10:20:30+99:00", 1769853600, {}]),
        ("geopoint", ["Paris", "91, 0", "0, 181", "1,2,3", 52.1, True]),
        ("image_url", [7, True, [], {}]),
        ("object", ["{}", [], 1, True]),
    ],
)
def test_what_would_be_a_guess_is_not_made(kind: str, values: list[object]) -> None:
    for value in values:
        assert fit(value, Definition(kind)) is UNFIT, value


def test_one_value_is_a_list_of_one_but_a_list_is_never_one_value() -> None:
    assert fit("7", Definition("number", array=True)) == [7]
    assert fit(["1", 2], Definition("number", array=True)) == [1, 2]
    assert fit([], Definition("number", array=True)) == []
    assert fit(["7"], Definition("number")) is UNFIT


@pytest.mark.parametrize("values", [["1", "x"], [1, None], [[1]], "x"])
def test_a_list_fits_as_a_whole_or_not_at_all(values: object) -> None:
    assert fit(values, Definition("number", array=True)) is UNFIT


@given(JSON, DEFINITIONS)
def test_what_comes_out_is_of_the_type_and_does_not_change_again(value: object, definition: Definition) -> None:
    fitted = fit(value, definition)
    if fitted is not UNFIT:
        assert matches(fitted, definition)
        assert json.dumps(fit(fitted, definition)) == json.dumps(fitted)


@given(JSON, DEFINITIONS)
def test_what_is_wrong_is_reported_without_the_value(value: object, definition: Definition) -> None:
    problem = misfit(f"‡{value}", definition)
    assert problem.startswith("is ")
    assert "‡" not in problem
    assert misfit([value], Definition("number", array=True)) == (
        "is a list with something that cannot be converted to a number"
    )
