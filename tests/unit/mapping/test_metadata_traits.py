"""METADATA_TRAITS as users write it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segsync.mapping.metadata import TraitChoice

NAMES = st.text(st.characters(categories=["L", "N"], include_characters="_.$ -"), min_size=1).filter(str.strip)


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("", TraitChoice()),
        ("plan", TraitChoice((("plan", "plan"),))),
        ("plan,lifetime_value", TraitChoice((("plan", "plan"), ("lifetime_value", "lifetime_value")))),
        (" plan , ltv = lifetime_value ", TraitChoice((("plan", "plan"), ("ltv", "lifetime_value")))),
        ("a=x,b=x", TraitChoice((("a", "x"), ("b", "x")))),
        ("Favourite Größe", TraitChoice((("Favourite Größe", "Favourite Größe"),))),
        ("*", TraitChoice((), takes_others=True)),
        ("ltv=lifetime_value,*", TraitChoice((("ltv", "lifetime_value"),), takes_others=True)),
    ],
)
def test_traits_are_named_renamed_or_all(text: str, choice: TraitChoice) -> None:
    assert TraitChoice.parse(text) == choice
    assert bool(choice) == bool(text)


@pytest.mark.parametrize("text", [",", "plan,", "a,,b", "=", "ltv=", "=ltv", "a=b=c", "*=a", "a=*", "a\nb"])
def test_what_names_no_trait_is_refused_with_how_to_write_it(text: str) -> None:
    with pytest.raises(
        ValueError, match=r"must be names of traits separated by commas, key=trait .+, \* for all others"
    ):
        TraitChoice.parse(text)


@pytest.mark.parametrize(("text", "twice"), [("a,a", "a"), ("a,a=b", "a"), ("ltv=x, ltv=y", "ltv"), ("*,*", "*")])
def test_a_key_can_have_one_trait(text: str, twice: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - what it says is the point
        TraitChoice.parse(text)
    assert str(caught.value) == f"must name each key once, but '{twice}' is there twice"


@given(st.dictionaries(NAMES.map(str.strip), NAMES.map(str.strip)), st.booleans())
def test_what_is_chosen_is_shown_as_a_user_would_write_it(named: dict[str, str], takes_others: bool) -> None:
    choice = TraitChoice(tuple(named.items()), takes_others)
    assert TraitChoice.parse(str(choice)) == choice


def test_the_traits_to_read_are_those_of_the_mapping_and_the_named_ones_each_once() -> None:
    assert TraitChoice.parse("email,ltv=lifetime_value").beside(("name", "email")) == (
        "name",
        "email",
        "lifetime_value",
    )
    assert TraitChoice().beside(("name",)) == ("name",)
    assert TraitChoice.parse("*,plan").beside(("name",)) is None, "all that there are"
