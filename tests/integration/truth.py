"""The outcome that every profile of a sandbox must have, and the outcomes that an import reports."""

from __future__ import annotations

import csv
from dataclasses import dataclass

from segsync.report.profile_lists import REJECTED, WITHOUT_IDENTIFIER
from segsync.sandbox.options import SandboxOptions
from segsync.sandbox.profiles import Space
from tests.integration.conftest import Segsync


@dataclass(frozen=True)
class Truth:
    """The outcomes of the profiles of a space: segment ids, and the stage of each rejected one."""

    customers: frozenset[str]
    without_identifier: frozenset[str]
    rejected: dict[str, str]

    @property
    def all(self) -> frozenset[str]:
        return self.customers | self.without_identifier | self.rejected.keys()


def truth(options: SandboxOptions) -> Truth:
    """What a whole import of this space comes to."""
    space = Space(options)
    customers, without, rejected = set(), set(), {}
    for index in range(len(space)):
        segment_id, customer = space.segment_id(index), space.profile(index).customer
        source_id = customer["source_id"] if customer else None
        if space.is_missing(index):
            rejected[segment_id] = "read"
        elif source_id is None:
            without.add(segment_id)
        elif space.draw("refused at once", source_id) < options.refused_at_once:
            rejected[segment_id] = "upsert"
        elif space.draw("refused later", source_id) < options.refused_later:
            rejected[segment_id] = "confirm"
        else:
            customers.add(segment_id)
    return Truth(frozenset(customers), frozenset(without), rejected)


def rejections(segsync: Segsync) -> list[dict[str, str]]:
    """The rows of the list of rejected profiles; none if there is no list."""
    return list(csv.DictReader(segsync.lines(REJECTED)))


def assert_files_match(expected: Truth, segsync: Segsync) -> None:
    """Each profile is where it should be, once, and nowhere else."""
    rows = rejections(segsync)
    assert {row["segment_id"]: row["stage"] for row in rows} == expected.rejected
    assert len(rows) == len(expected.rejected), "each rejected profile once"
    assert all(row["reason"] for row in rows)
    without = segsync.lines(WITHOUT_IDENTIFIER)
    assert set(without) == expected.without_identifier
    assert len(without) == len(expected.without_identifier), "each profile without identifier once"
