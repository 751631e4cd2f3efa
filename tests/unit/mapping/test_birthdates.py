"""Birthdates: what the Node script takes, which moment.js calls strict ISO 8601, and the form in its README.

The days beside the forms are those that moment 2.29.4 gives.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segsync.mapping.customer import MAPPED_TRAITS, InvalidBirthdate, to_customer
from segsync.mapping.dates import iso_day
from segsync.mapping.problems import NOT_A_DATE, NOT_A_DATE_OMITTED
from segsync.models import Profile

ZONES = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))

INVALID: list[object] = [
    *(
        "12/24/1990",
        "24.12.1990",
        "1990-1-1",
        "90-1-1",
        " ",
        "unknown",
        "1990-W54-1",
        "1990-W20-0",
        "1990-W20-8",
        "199",
    ),
    *("1990-02-30", "1990-13-01", "2023-02-29", "1990-00", "1990-13", "0000-01-01", "0000", "1990-W53-1", "1990-W00"),
    *("1990-000", "1990-366", "9999-366", "1990-05-17T25:00", "1990-05-17T24:01", "1990-05-17T10:60", "1990-05T10:00"),
    *("1990-05-17T", "1990-05-17T10:20+", "1990-05-17Z", "1990-05-17  10:20", "19900517T10:20", "1990-05-17T102030"),
    *("1990-W20T10:00", "1990T10", "19900517T1", "１９９０-12-24", "+12345-01-01", "-000001-01-01", "9999-W52-7"),
    *("1990-W20-8", "x1990-05-17", "1990--05-17", "1990-05-17t10:20", "1990-05-17T10:20z", "1990-0517", "199005-17"),
    *(0, 19901224, 661996800.0, True, False, [], ["1990-12-24"], {}, {"year": 1990}),
]


def mapped(invalid: InvalidBirthdate = "null", **traits: object) -> tuple[Any, list[tuple[str, str]]]:
    """The birthdate that is sent ("absent" for none), and the warnings."""
    warnings: list[tuple[str, str]] = []
    profile = Profile("use_1", "u1", traits)
    customer = to_customer(profile, lambda *warning: warnings.append(warning), invalid_birthdate=invalid)
    return msgspec.json.decode(msgspec.json.encode(customer)).get("birthdate", "absent"), warnings


@pytest.mark.parametrize(
    "text",
    [
        *("1990-05-17", "19900517", "1990-W20-4", "1990W204", "1990-137", "1990137", "+001990-05-17", "+0019900517"),
        *("1990-05-17 10:20", "1990-05-17 10:20:30", "1990-05-17T10", "1990-05-17T10:20", "1990-05-17T10:20:30"),
        *("1990-05-17T10:20:30.123456789Z", "1990-05-17T10:20:30,5", "1990-05-17T10:20Z", "1990-05-17T10:20:30-0800"),
        *("1990-05-17T23:59:59.999-05", "1990-05-17T00:30:00+14:00", "1990-05-17T10:20+99:99", "1990-05-17T24:00"),
        *("19900517T10", "19900517T1020", "19900517 102030", "19900517T102030.5Z", "19900517T102030,5+0200"),
        *("1990-W20-4T10:00", "1990W204T10", "1990-137T10:00", "1990137 1000"),
        *(" 1990-05-17", "1990-05-17\n", "\t1990-05-17T10:20:30 Z ", "\u00a019900517"),
        *("1990-05-17T10:20:30:123Z", "1990-05-17 10:20:30:123"),
    ],
)
def test_every_form_of_a_day_is_sent_as_that_day(text: str) -> None:
    assert mapped(birthdate=text) == ("1990-05-17", [])
    assert mapped(birthday=text) == ("1990-05-17", [])


@pytest.mark.parametrize(
    ("text", "day"),
    [
        *((form, "1990-05-01") for form in ("1990-05", "199005", " 1990-05 ")),
        *((form, "1990-05-14") for form in ("1990-W20", "1990W20")),
        *(
            ("1990", "1990-01-01"),
            ("2020-W53-5", "2021-01-01"),
            ("1992-366", "1992-12-31"),
            ("0001-01-01", "0001-01-01"),
        ),
    ],
)
def test_a_month_a_week_or_a_year_is_its_first_day(text: str, day: str) -> None:
    assert mapped(birthdate=text) == (day, [])


@pytest.mark.parametrize("value", INVALID)
def test_any_other_birthdate_goes_as_null_with_a_warning(value: object) -> None:
    assert mapped(birthdate=value) == (None, [("birthdate", NOT_A_DATE)])


@pytest.mark.parametrize("value", INVALID)
def test_with_birthdate_invalid_omit_it_is_left_out_with_a_warning(value: object) -> None:
    assert mapped("omit", birthdate=value) == ("absent", [("birthdate", NOT_A_DATE_OMITTED)])


@pytest.mark.parametrize("invalid", ["null", "omit"])
@pytest.mark.parametrize("value", INVALID)
def test_an_invalid_birthday_is_left_out_with_a_warning(value: object, invalid: InvalidBirthdate) -> None:
    assert mapped(invalid, birthday=value) == ("absent", [("birthday", NOT_A_DATE)])


@pytest.mark.parametrize("nothing", [{}, {"birthdate": None}, {"birthdate": ""}])
def test_a_birthday_is_read_where_there_is_no_birthdate(nothing: dict[str, Any]) -> None:
    assert mapped(**nothing, birthday="1990-05-17") == ("1990-05-17", [])


@pytest.mark.parametrize(("birthdate", "sent"), [("1990-05-17", "1990-05-17"), ("soon", None)])
def test_a_birthdate_wins_over_a_birthday(birthdate: str, sent: str | None) -> None:
    assert mapped(birthdate=birthdate, birthday="2000-01-01")[0] == sent


def test_a_birthday_is_asked_of_segment() -> None:
    assert "birthday" in MAPPED_TRAITS


@given(st.datetimes(timezones=st.none() | ZONES), st.sampled_from(["auto", "minutes", "seconds", "milliseconds"]))
def test_no_time_zone_moves_a_birthday(moment: datetime, precision: str) -> None:
    assert mapped(birthdate=moment.isoformat(timespec=precision)) == (moment.date().isoformat(), [])


@given(st.dates())
def test_a_week_or_a_day_of_the_year_is_the_day_that_a_calendar_has_there(day: date) -> None:
    year, week, weekday = day.isocalendar()
    assert iso_day(f"{year:04}-W{week:02}-{weekday}") == day.isoformat()
    assert iso_day(f"{day.year:04}{day.timetuple().tm_yday:03}") == day.isoformat()


@given(st.text("0123456789-+WTZ:., ", max_size=14))
def test_what_comes_out_is_a_day(text: str) -> None:
    day = iso_day(text)
    assert day is None or date.fromisoformat(day).isoformat() == day
