"""What a sample of profiles shows: pure functions, no I/O. Counts alone come out, no value of a profile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import fmean

from msgspec import Struct

from segsync.check.live import unread
from segsync.connectors.segment_profile import TraitsRead, first_of_type
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
    """The profiles that could be read, and how many could not be, by the reason."""

    profiles: list[SampledProfile]
    unreadable: dict[str, int]


class TraitWarning(Struct, frozen=True):
    """A trait that so many `customers` would go without, and why."""

    trait: str
    problem: str
    customers: int


class Sample(Struct, frozen=True):
    """The counts of a sample of `profiles`.

    `unreadable` profiles are counted by the reason, and in nothing else. `external_ids` gives the profiles that carry
    each type. `customers` carry the identifier, `several` of them more than one. Where it is looked for in the traits
    first, `identifier_traits` carry it as a trait, which differs from the external id in `differing`. `traits` gives
    the customers that have each mapped trait, `not_live` those with a trait that is used and that Segment's live
    destination does not read. `trait_calls` is the mean number of calls for the traits of one profile, 1 where none
    were read.
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

    @property
    def read(self) -> int:
        """The profiles that could be read."""
        return self.profiles - sum(self.unreadable.values())


def analyse(sample: ReadSample, settings: Settings) -> tuple[Sample, list[Customer]]:
    """The counts of a sample, and the customers that an import would make of it."""
    identifier, traits_first = settings.identifier_saved_as_source_id, settings.identifier_lookup == "traits"
    mapped_traits = dict.fromkeys([*settings.attribute_traits.mapped, *settings.metadata_traits.traits])
    metadata_rules, attributes = unfitted_metadata(settings), dict(settings.attribute_traits.named)
    dates = dict.fromkeys([attributes.get("birthdate", "birthdate"), "birthdate", "birthday"])
    not_read_live = [*settings.metadata_traits.traits, *attributes.values()]
    customers: list[Customer] = []
    external_ids, mapped, not_live = Counter[str](), Counter[str](), Counter[str]()
    warned = Counter[tuple[str, str]]()
    identifier_traits = differing = several = birthdates = 0
    trait_calls: list[int] = []

    def warn(trait: str, problem: str) -> None:
        warned[trait, problem] += 1

    for profile in sample.profiles:
        external_ids.update({each_type for each_type, _ in profile.external_ids})
        read = profile.traits or TraitsRead({}, 0)
        traits = read.values
        if read.calls:
            trait_calls.append(read.calls)
        external_id = first_of_type(profile.external_ids, identifier)
        named = read.source_id(identifier) if traits_first else None
        source_id = named or external_id
        if source_id is None:
            continue
        several += len({value for each_type, value in profile.external_ids if each_type == identifier}) > 1
        if named:
            identifier_traits += 1
            differing += named != external_id
        not_live.update(list(dict.fromkeys(unread(traits, not_read_live))))
        birthdates += any(traits.get(name) not in (None, "") for name in dates)
        mapped.update(name for name in mapped_traits if traits.get(name) not in (None, ""))
        read_profile = Profile(profile.segment_id, source_id, traits, read.problems)
        customers.append(to_customer(read_profile, warn, metadata_rules, settings.birthdate_invalid, attributes))
    return Sample(
        profiles=len(sample.profiles) + sum(sample.unreadable.values()),
        unreadable=sample.unreadable,
        external_ids=dict(external_ids.most_common()),
        customers=len(customers),
        identifier_traits=identifier_traits,
        differing=differing,
        several=several,
        traits=dict(mapped.most_common()),
        birthdates=birthdates,
        bad_birthdates=sum(count for (_, problem), count in warned.items() if problem.startswith(NOT_A_DATE)),
        warnings=[TraitWarning(*about, count) for about, count in warned.most_common()],
        not_live=dict(not_live.most_common()),
        trait_calls=fmean(trait_calls or [1]),
    ), customers
