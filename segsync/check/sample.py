"""What a few profiles tell of all the others: pure functions, no I/O, and no value of a profile in what they give."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from msgspec import UNSET, Struct

from segsync.connectors.segment import as_source_id
from segsync.mapping.customer import Warn
from segsync.models import Customer, Profile

ToCustomer = Callable[[Profile, Warn], Customer]


class SampledProfile(Struct, frozen=True):
    """A profile with all its external ids, as (type, value), and the traits that the mapping reads.

    `traits` is None where they were not asked for: a profile without the identifier is not sent.
    """

    segment_id: str
    external_ids: Sequence[tuple[str, str]]
    traits: Mapping[str, Any] | None = None


class TraitWarning(Struct, frozen=True):
    """A trait that so many customers would go without, and why."""

    trait: str
    problem: str
    customers: int


class Sample(Struct, frozen=True):
    """What was seen in a sample of `profiles`, all counts.

    `external_ids` says how many profiles carry each type, whatever it is good for. `customers` carry the identifier,
    `identifier_traits` of them as a trait (where that is where it is looked for), which says otherwise than the
    external id in `differing`. `traits` gives the customers that have each mapped trait; `birthdates` have one,
    `warnings` tell of what cannot be used. `unreadable` profiles are counted by the reason, and in nothing else.
    `trait_calls` is the mean number of calls for the traits of one.
    """

    profiles: int
    unreadable: dict[str, int]
    external_ids: dict[str, int]
    customers: int
    identifier_traits: int
    differing: int
    traits: dict[str, int]
    birthdates: int
    bad_birthdates: int
    warnings: list[TraitWarning]
    trait_calls: float


def source_id_of(profile: SampledProfile, identifier_type: str, *, traits_first: bool) -> str | None:
    """What would be the customer's `source_id`, by the same rules as in an import."""
    if traits_first and (named := as_source_id((profile.traits or {}).get(identifier_type))):
        return named
    return next((value for kind, value in profile.external_ids if kind == identifier_type), None)


def analyse(
    sampled: Sequence[SampledProfile],
    *,
    identifier_type: str,
    traits_first: bool,
    mapped_traits: Collection[str],
    traits_limit: int,
    to_customer: ToCustomer,
    unreadable: Mapping[str, int],
) -> tuple[Sample, list[Customer]]:
    """The counts, and the customers that would be made of the sample."""
    customers: list[Customer] = []
    external_ids, traits, warned = Counter[str](), Counter[str](), Counter[tuple[str, str]]()
    identifier_traits = differing = trait_pages = read = 0

    def warn(trait: str, problem: str) -> None:
        warned[trait, problem] += 1

    for profile in sampled:
        external_ids.update({kind for kind, _ in profile.external_ids})
        if profile.traits is not None:
            read += 1
            trait_pages += max(-(-len(profile.traits) // traits_limit), 1)
        source_id = source_id_of(profile, identifier_type, traits_first=traits_first)
        if source_id is None:
            continue
        if traits_first and as_source_id((profile.traits or {}).get(identifier_type)):
            identifier_traits += 1
            listed = source_id_of(profile, identifier_type, traits_first=False)
            differing += source_id != listed
        had = profile.traits or {}
        traits.update(name for name in mapped_traits if had.get(name) not in (None, ""))
        customers.append(to_customer(Profile(profile.segment_id, source_id, dict(had)), warn))
    bad_birthdates = sum(count for (trait, _), count in warned.items() if trait == "birthdate")
    return Sample(
        profiles=len(sampled) + sum(unreadable.values()),
        unreadable=dict(unreadable),
        external_ids=dict(external_ids.most_common()),
        customers=len(customers),
        identifier_traits=identifier_traits,
        differing=differing,
        traits=dict(traits.most_common()),
        birthdates=traits["birthdate"],
        bad_birthdates=bad_birthdates,
        warnings=[TraitWarning(*about, count) for about, count in warned.most_common()],
        trait_calls=trait_pages / read if read else 1.0,
    ), customers


def metadata_of(customer: Customer) -> Mapping[str, Any]:
    """A customer's metadata, empty where there is none."""
    return {} if customer.metadata is UNSET else customer.metadata
