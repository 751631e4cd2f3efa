"""What a rejection or a warning means, and how to fix it, in words for someone who has never used a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby

from segsync.models import RejectionGroup, Stage

RETRY = "Then run segsync with --retry-rejected, which imports just these profiles."


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of rejection: where it happens (stages, words in the reason), its title, its meaning and how to fix it."""

    stages: tuple[Stage, ...]
    words: re.Pattern[str]
    title: str
    meaning: str
    fix: str


KINDS = (
    Kind(
        ("read",),
        re.compile(r"answered (404|410)", re.IGNORECASE),
        "No longer in Segment",
        "Segment listed these profiles and then did not find them: they were deleted, or merged into another "
        "profile, while the import ran.",
        "Usually nothing: a merged profile is imported as the one that it became part of. To be sure, run segsync "
        "with --retry-rejected, which imports those that are back.",
    ),
    Kind(
        ("read",),
        re.compile(r"answered (429|5\d\d)|did not answer", re.IGNORECASE),
        "Segment could not read them",
        "Segment answered for other profiles, but gave errors for these until the time for retries was up.",
        "Run segsync with --retry-rejected an hour later. If they fail again, give Segment's support the request ids "
        "in rejected-profiles.csv.",
    ),
    Kind(
        ("read",),
        re.compile(""),
        "Segment's answer could not be used",
        "Segment's answer for these profiles is not as its API describes it.",
        "Run segsync with --retry-rejected. If they fail again, give Segment's support the request ids in "
        "rejected-profiles.csv.",
    ),
    Kind(
        ("map", "upsert"),
        re.compile(r"bytes, more than|answered 413|too large", re.IGNORECASE),
        "Too large to send",
        "One customer alone is larger than what Voucherify accepts in a request. It is nearly always the metadata.",
        f"Find the profiles of rejected-profiles.csv in Segment and shorten their long values. {RETRY}",
    ),
    Kind(
        ("map",),
        re.compile(r"in JSON", re.IGNORECASE),
        "A value cannot be sent",
        "A value of the profile cannot be written in the format that Voucherify accepts: a damaged text, or a "
        "structure nested too deep.",
        f"Correct the profiles of rejected-profiles.csv in Segment. {RETRY}",
    ),
    Kind(
        ("map", "upsert", "confirm"),
        re.compile(r"metadata|schema|not defined|undefined", re.IGNORECASE),
        "Voucherify's metadata schema does not allow it",
        "The profile has metadata that Voucherify does not know for customers, or of another type than it expects.",
        "In Voucherify, under Project settings > Metadata schema > Customer, define what is missing or correct its "
        f"type. {RETRY}",
    ),
    Kind(
        ("confirm",),
        re.compile(r"does not say which", re.IGNORECASE),
        "Voucherify refused some of a group without naming them",
        "Some of the customers that were sent together were refused. Nobody knows which, so all of them count as "
        "rejected here; some may be in Voucherify already.",
        "Run segsync with --retry-rejected --batch-size 10: in smaller groups fewer are in doubt. Sending a customer "
        "twice does no harm.",
    ),
    Kind(
        ("confirm",),
        re.compile(r"the bulk upsert", re.IGNORECASE),
        "The upload failed twice",
        "Voucherify accepted these customers, then failed to carry out the upload as a whole, also when they were sent "
        "once more.",
        "Look at Voucherify's status page, and run segsync with --retry-rejected later. If they fail again, "
        "give Voucherify's support the ids in rejected-profiles.csv.",
    ),
    Kind(
        ("upsert",),
        re.compile(r"answered (429|5\d\d)|did not answer", re.IGNORECASE),
        "Voucherify could not accept them",
        "Voucherify accepted other customers, but gave errors for these until the time for retries was up.",
        "Run segsync with --retry-rejected an hour later. If they fail again, give Voucherify's support the request "
        "ids in rejected-profiles.csv.",
    ),
    Kind(
        ("upsert", "confirm"),
        re.compile(""),
        "Voucherify refused the customer",
        "Voucherify checked the customer and did not accept a value, e.g. an invalid e-mail address.",
        f"The words below are Voucherify's own. Correct the profiles of rejected-profiles.csv in Segment. {RETRY}",
    ),
    Kind(
        ("read", "map", "upsert", "confirm"),
        re.compile(""),
        "Could not be made a customer",
        "Something in these profiles could not be imported.",
        f"The words below name it. Correct the profiles of rejected-profiles.csv in Segment. {RETRY}",
    ),
)

STAGES: Mapping[Stage, str] = {
    "read": "when read from Segment",
    "map": "when made a customer",
    "upsert": "when sent to Voucherify",
    "confirm": "when Voucherify checked them",
}


@dataclass(frozen=True, slots=True)
class Advised:
    """Rejections of one kind, the most frequent reason first."""

    kind: Kind
    groups: tuple[RejectionGroup, ...]

    @property
    def profiles(self) -> int:
        return sum(group.profiles for group in self.groups)


def kind_of(stage: Stage, reason: str) -> Kind:
    """The kind of a rejection; there is one for any."""
    return next(kind for kind in KINDS if stage in kind.stages and kind.words.search(reason))


def advised(rejections: Iterable[RejectionGroup]) -> list[Advised]:
    """The rejections by kind, the largest first."""

    def place(group: RejectionGroup) -> int:
        return KINDS.index(kind_of(group.stage, group.reason))

    by_kind = groupby(sorted(rejections, key=place), key=place)
    kinds = [
        Advised(KINDS[number], tuple(sorted(groups, key=lambda group: -group.profiles))) for number, groups in by_kind
    ]
    return sorted(kinds, key=lambda each: -each.profiles)


def warning_meaning(trait: str) -> str:
    """Why a trait could not be used, and what its customer has instead."""
    attribute = trait.partition(".")[0]
    return {
        "birthdate": "It is not a date in the form 1990-12-31, so the birthdate is empty.",
        "address": "An address cannot have a value of this kind, so this part is left out.",
        "metadata": "Voucherify's metadata schema does not allow the value, or requires one where there is none. It is "
        "left out.",
    }.get(attribute, "Voucherify does not accept a value of this kind there, so it is left out.")
