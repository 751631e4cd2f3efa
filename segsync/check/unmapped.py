"""The traits that exist and are not imported, and the settings that take them. Pure: no I/O, names and counts alone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from segsync.connectors.factory import traits_to_read
from segsync.formatting import counted
from segsync.mapping.attributes import AttributeTraits
from segsync.mapping.metadata import NOT_PLAIN, TraitChoice
from segsync.models import LastCheck
from segsync.settings import Settings

FREQUENT: Final = 15
"""As many traits as a terminal shows."""

SUMMARIZED: Final = 5
"""As many traits as the summary of an import names."""

SHORT_LINE: Final = 40
"""The longest line with names that such a summary has room for."""

MOST_NAMES: Final = 10_000
"""The most traits that are counted by their names: where names are data, memory must not grow with them."""

_MAY_BE_PERSONAL: Final = re.compile(r".{65}|.*@|.*(?:\d\W*){5}|(?:\D*\d){9}", re.DOTALL)
"""A name that may be an e-mail address, a telephone number or an id: it is counted, and not shown."""

_NEEDS_NO_QUOTES: Final = re.compile(r"[\w.:,=*-]+")

_OTHER_NAMES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("name", "fullname"), "name"),
    **dict.fromkeys(("email", "emailaddress", "mail"), "email"),
    **dict.fromkeys(("phone", "phonenumber", "mobile", "mobilephone", "mobilenumber", "telephone"), "phone"),
    **dict.fromkeys(("birthdate", "dob", "dateofbirth"), "birthdate"),
    **dict.fromkeys(("description",), "description"),
    **dict.fromkeys(("city", "town"), "address.city"),
    **dict.fromkeys(("state", "province"), "address.state"),
    **dict.fromkeys(("country", "countrycode"), "address.country"),
    **dict.fromkeys(("postalcode", "postcode", "zip", "zipcode"), "address.postal_code"),
    **dict.fromkeys(("street", "streetaddress", "line1", "address1", "addressline1"), "address.line_1"),
    **dict.fromkeys(("line2", "street2", "address2", "addressline2"), "address.line_2"),
}
"""The attributes that traits are often meant for, by their names in lower case and without punctuation."""


class NotImported(Struct, frozen=True):
    """The traits of the sample's `customers` (their number) that an import does not read.

    `traits` gives the customers by trait, the most frequent first; those whose names may be personal count together, as
    "…". `metadata_setting` adds all that are named to the metadata, except those `not_nameable`; `frequent_setting`
    adds the first `FREQUENT`, and `all_setting` all that there are. `attribute_setting` reads attributes from those
    that look as if they were meant for them. Each is a line for `.env` that keeps what the settings name now; "" where
    there is none.
    """

    customers: int
    traits: dict[str, int]
    metadata_setting: str
    frequent_setting: str
    all_setting: str
    attribute_setting: str
    not_nameable: list[str]

    def at(self, checked_at: str) -> LastCheck:
        """The same in short, for the summary of an import. Those whose names may be personal count as one."""
        names = tuple(trait for trait in self.traits if trait != NOT_PLAIN)[:SUMMARIZED]
        takes_all_by_name = (
            len(self.metadata_setting) <= SHORT_LINE and not self.not_nameable and self.number == len(self.traits)
        )
        setting = self.metadata_setting if takes_all_by_name else self.all_setting
        return LastCheck(checked_at, len(self.traits), names, setting)

    @property
    def number(self) -> int:
        """How many traits these are whose names may be shown."""
        return len(self.traits.keys() - {NOT_PLAIN})

    @property
    def number_words(self) -> str:
        """How many traits these are, in words."""
        words = [counted(self.number, "trait")] if self.number or not self.traits else []
        return " and ".join([*words, *(["others with names that may be personal"] if NOT_PLAIN in self.traits else [])])


class UnmappedTraits:
    """Counts, one customer after the other, the traits that an import with these settings does not read."""

    def __init__(self, settings: Settings) -> None:
        wanted = traits_to_read(settings)
        self._wanted = None if wanted is None else frozenset(wanted)
        self._counts = Counter[str]()

    def wanted(self, traits: Mapping[str, Any]) -> dict[str, Any]:
        """Those of the traits that an import reads."""
        return {name: value for name, value in traits.items() if self._wanted is None or name in self._wanted}

    def count(self, traits: Mapping[str, Any]) -> None:
        """Count the others of one customer that have a value."""
        if self._wanted is not None:
            self._counts.update(
                {self._shown(name) for name, value in traits.items() if name not in self._wanted and _is_value(value)}
            )

    @property
    def customers(self) -> dict[str, int]:
        """The customers by trait, the most frequent trait first, those alike by name."""
        return dict(sorted(self._counts.items(), key=lambda item: (-item[1], item[0])))

    def _shown(self, name: str) -> str:
        is_shown = name in self._counts or (len(self._counts) < MOST_NAMES and not _MAY_BE_PERSONAL.match(name))
        return name if is_shown else NOT_PLAIN


def not_imported(traits: Mapping[str, int], customers: int, settings: Settings) -> NotImported:
    """What these counts, by trait, mean for the settings."""
    named = [trait for trait in traits if trait != NOT_PLAIN]
    choice = settings.metadata_traits
    nameable = [trait for trait in named if _can_be_named(trait)]
    takes_all = TraitChoice(choice.named, takes_others=True)
    return NotImported(
        customers=customers,
        traits=dict(traits),
        metadata_setting=_metadata_setting(choice, nameable),
        frequent_setting=_metadata_setting(choice, [trait for trait in list(traits)[:FREQUENT] if trait in nameable]),
        all_setting=_line("METADATA_TRAITS", str(takes_all)) if traits else "",
        attribute_setting=_attribute_setting(settings.attribute_traits, nameable),
        not_nameable=[trait for trait in named if trait not in nameable],
    )


def _metadata_setting(choice: TraitChoice, traits: Sequence[str]) -> str:
    """The line that takes these traits too, each under its own name where that is free; "" for none of them."""
    named = dict(choice.named)
    for trait in traits:
        key = trait
        while key in named:  # another trait is stored under that name
            key += "_trait"
        named[key] = trait
    return _line("METADATA_TRAITS", str(TraitChoice(tuple(named.items())))) if traits else ""


def _attribute_setting(choice: AttributeTraits, traits: Iterable[str]) -> str:
    """The line that reads attributes from those of the traits that look as if they were meant for them."""
    named = dict(choice.named)
    for trait in traits:
        attribute = _OTHER_NAMES.get(re.sub(r"[\W_]", "", trait).lower())
        if attribute:
            named.setdefault(attribute, trait)
    is_more = len(named) > len(choice.named)
    return _line("ATTRIBUTE_TRAITS", str(AttributeTraits(tuple(named.items())))) if is_more else ""


def _can_be_named(trait: str) -> bool:
    """Whether the settings, and the quotes of `.env`, can hold this name."""
    alone = TraitChoice(((trait, trait),))
    try:
        return "\\" not in trait and TraitChoice.parse(str(alone)) == alone
    except ValueError:
        return False


def _line(variable: str, value: str) -> str:
    """A line for `.env`, with quotes where it needs them."""
    if _NEEDS_NO_QUOTES.fullmatch(value):
        return f"{variable}={value}"
    if "'" not in value:
        return f"{variable}='{value}'"
    quoted = value.replace('"', '\\"')
    return f'{variable}="{quoted}"'


def _is_value(value: object) -> bool:
    return value is not None and value != ""
