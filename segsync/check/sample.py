"""What a sample of profiles shows: pure functions, no I/O. Counts alone come out, no value of a profile."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from statistics import fmean

from msgspec import Struct

from segsync.check.attributes import origins
from segsync.check.live import unread
from segsync.connectors.segment_profile import TraitsRead, first_of_type
from segsync.mapping.attributes import ATTRIBUTES
from segsync.mapping.customer import to_customer
from segsync.mapping.problems import NOT_A_DATE
from segsync.models import Customer, Profile
from segsync.pipeline.mapper import unfitted_metadata
from segsync.settings import Settings


class SampledProfile(Struct, frozen=True):
    """A profile with all its external ids, as (type, value), and the traits that an import reads.

    `traits` is None where they were not asked for: a profile without the identifier is not sent.
    """

    segment_id: str
    external_ids: Sequence[tuple[str, str]]
    traits: TraitsRead | None = None


class ReadSample(Struct, frozen=True):
    """The profiles that could be read, and how many could not be, by the reason.

    `unmapped` gives the customers by each trait that an import does not read. `calls_for_all` is the mean number of
    calls for all traits of one profile.
    """

    profiles: list[SampledProfile]
    unreadable: dict[str, int]
    unmapped: dict[str, int] = {}
    calls_for_all: float = 1.0


class TraitWarning(Struct, frozen=True):
    """A trait that cannot be used, why, and for how many `customers`."""

    trait: str
    problem: str
    customers: int


class Sample(Struct, frozen=True):
    """The counts of a sample of `profiles`.

    `unreadable` profiles are counted by the reason, and in nothing else. `external_ids` gives the profiles that carry
    each type. `customers` carry the identifier, `several` of them more than one. Where it is looked for in the traits
    first, `identifier_traits` carry it as a trait, which differs from the external id in `differing`. `traits` gives
    the customers that have each mapped trait, `not_live` those with a trait that is used and that Segment's live
    destination does not read. `trait_calls` is the mean number of calls that an import makes for the traits of one
    profile, 1 where none were read. `attributes` gives, for each attribute of a customer, how many get it from which
    trait; `absent` are the traits of ATTRIBUTE_TRAITS that no customer has.
    """

    profiles: int
    unreadable: dict[str, int]
    external_ids: dict[str, int]
    customers: int
    identifier_traits: int
    differing: int
    several: int
    traits: dict[str, int]
    birthdates: int
    bad_birthdates: int
    warnings: list[TraitWarning]
    not_live: dict[str, int]
    trait_calls: float
    attributes: dict[str, dict[str, int]] = {}
    absent: list[str] = []

    @property
    def read(self) -> int:
        """The profiles that could be read."""
        return self.profiles - sum(self.unreadable.values())


class _Counts:
    """The counts of the customers of a sample, one after the other."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._attributes = settings.attribute_traits
        self._named = dict(self._attributes.named)
        self._mapped = dict.fromkeys([*self._attributes.mapped, *settings.metadata_traits.traits])
        self._dates = (self._named.get("birthdate", "birthdate"), "birthdate", "birthday")
        self._metadata_rules = unfitted_metadata(settings)
        self.customers: list[Customer] = []
        self.birthdates = 0
        self.traits, self.not_live = Counter[str](), Counter[str]()
        self.warned = Counter[tuple[str, str]]()
        self._origins: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def count(self, profile: Profile) -> None:
        """Count a profile that becomes a customer."""
        traits = profile.traits
        named = [*self._settings.metadata_traits.traits, *self._attributes.traits]
        self.not_live.update(list(dict.fromkeys(unread(traits, named))))
        self.birthdates += any(traits.get(name) not in (None, "") for name in self._dates)
        self.traits.update(name for name in self._mapped if traits.get(name) not in (None, ""))
        invalid = self._settings.birthdate_invalid
        customer = to_customer(profile, self._warn, self._metadata_rules, invalid, self._named)
        for attribute, trait in origins(traits, customer, self._attributes).items():
            self._origins[attribute][trait] += 1
        self.customers.append(customer)

    def _warn(self, trait: str, problem: str) -> None:
        self.warned[trait, problem] += 1

    @property
    def attributes(self) -> dict[str, dict[str, int]]:
        """The customers by trait, for each attribute that any of them has."""
        return {each: dict(self._origins[each].most_common()) for each in ATTRIBUTES if each in self._origins}

    @property
    def absent(self) -> list[str]:
        """The traits of ATTRIBUTE_TRAITS that no customer has."""
        return [trait for trait in dict.fromkeys(self._attributes.traits) if trait not in self.traits]


def analyse(sample: ReadSample, settings: Settings) -> tuple[Sample, list[Customer]]:
    """The counts of a sample, and the customers that an import would make of it."""
    identifier, traits_first = settings.identifier_saved_as_source_id, settings.identifier_lookup == "traits"
    counts, external_ids = _Counts(settings), Counter[str]()
    identifier_traits = differing = several = 0
    for profile in sample.profiles:
        external_ids.update({each_type for each_type, _ in profile.external_ids})
        read = profile.traits or TraitsRead({}, 0)
        external_id = first_of_type(profile.external_ids, identifier)
        named = read.source_id(identifier) if traits_first else None
        source_id = named or external_id
        if source_id is None:
            continue
        several += len({value for each_type, value in profile.external_ids if each_type == identifier}) > 1
        if named:
            identifier_traits += 1
            differing += named != external_id
        counts.count(Profile(profile.segment_id, source_id, read.values, read.problems))
    bad_birthdates = sum(count for (_, problem), count in counts.warned.items() if problem.startswith(NOT_A_DATE))
    trait_calls = [each.traits.calls for each in sample.profiles if each.traits and each.traits.calls]
    return Sample(
        profiles=len(sample.profiles) + sum(sample.unreadable.values()),
        unreadable=sample.unreadable,
        external_ids=dict(external_ids.most_common()),
        customers=len(counts.customers),
        identifier_traits=identifier_traits,
        differing=differing,
        several=several,
        traits=dict(counts.traits.most_common()),
        birthdates=counts.birthdates,
        bad_birthdates=bad_birthdates,
        warnings=[TraitWarning(*about, count) for about, count in counts.warned.most_common()],
        not_live=dict(counts.not_live.most_common()),
        trait_calls=fmean(trait_calls or [1]),
        attributes=counts.attributes,
        absent=counts.absent,
    ), counts.customers
