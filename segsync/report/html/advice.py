"""What a rejection or a warning means, and how to fix it, in words for someone who has never used a terminal."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from segsync.models import RejectionGroup, Stage

RETRY = "Then run segsync with --retry-rejected, which imports just these profiles."


class Kind(NamedTuple):
    """A kind of rejection: where it happens, a pattern for its reason, its title, its meaning and how to fix it."""

    stages: tuple[Stage, ...]
    words: str
    title: str
    meaning: str
    fix: str


KINDS = (
    Kind(
        ("read",),
        r"answered (404|410)",
        "No longer in Segment",
        "Segment listed these profiles and then did not find them: they were deleted, or merged into another "
        "profile, while the import ran.",
        "Usually nothing: a merged profile is imported as the one that it became part of. To be sure, run segsync "
        "with --retry-rejected, which imports those that are back.",
    ),
    Kind(
        ("read",),
        r"answered (429|5\d\d)|did not answer",
        "Segment could not read them",
        "Segment answered for other profiles, but gave errors for these until the time for retries was up.",
        "Run segsync with --retry-rejected an hour later. If they fail again, give Segment's support the request ids "
        "in rejected-profiles.csv.",
    ),
    Kind(
        ("read",),
        "returned a damaged",
        "The customer id is damaged",
        "The id of these profiles holds half a character, or is not a real number. A guess at it could name somebody "
        "else.",
        f"Correct the profiles of rejected-profiles.csv in Segment. {RETRY}",
    ),
    Kind(
        ("read",),
        "",
        "Segment's answer could not be used",
        "Segment's answer for these profiles is not as its API describes it.",
        "Run segsync with --retry-rejected. If they fail again, give Segment's support the request ids in "
        "rejected-profiles.csv.",
    ),
    Kind(
        ("map", "upsert"),
        r"bytes, more than|answered 413|too large",
        "Too large to send",
        "One customer alone is larger than what Voucherify accepts in a request. It is nearly always the metadata.",
        f"Find the profiles of rejected-profiles.csv in Segment and shorten their long values. {RETRY}",
    ),
    Kind(
        ("map",),
        r"in JSON",
        "A value cannot be sent",
        "A value of the profile cannot be written in the format that Voucherify accepts: a damaged text, or a "
        "structure nested too deep.",
        f"Correct the profiles of rejected-profiles.csv in Segment. {RETRY}",
    ),
    Kind(
        ("map", "upsert", "confirm"),
        r"metadata|schema|not defined|undefined",
        "Voucherify's metadata schema does not allow it",
        "The profile has metadata that Voucherify does not know for customers, or of another type than it expects.",
        "In Voucherify, under Project settings > Metadata schema > Customer, define what is missing or correct its "
        f"type. {RETRY}",
    ),
    Kind(
        ("confirm",),
        r"does not say why|gives no reason",
        "Voucherify refused the customer without a reason",
        "Voucherify did not write the customer, and its answer does not say why.",
        "Compare some profiles of rejected-profiles.csv with customers that were imported, or ask Voucherify's support "
        f"with the ids in that file. {RETRY}",
    ),
    Kind(
        ("confirm",),
        r"the bulk upsert",
        "The upload failed twice",
        "Voucherify accepted these customers, then failed to carry out the upload as a whole, also when they were sent "
        "once more.",
        "Look at Voucherify's status page, and run segsync with --retry-rejected later. If they fail again, "
        "give Voucherify's support the ids in rejected-profiles.csv.",
    ),
    Kind(
        ("upsert",),
        r"answered (429|5\d\d)|did not answer",
        "Voucherify could not accept them",
        "Voucherify accepted other customers, but gave errors for these until the time for retries was up.",
        "Run segsync with --retry-rejected an hour later. If they fail again, give Voucherify's support the request "
        "ids in rejected-profiles.csv.",
    ),
    Kind(
        ("upsert", "confirm"),
        "",
        "Voucherify refused the customer",
        "Voucherify checked the customer and did not accept a value, e.g. an invalid e-mail address.",
        f"The words below are Voucherify's own. Correct the profiles of rejected-profiles.csv in Segment. {RETRY}",
    ),
    Kind(
        ("read", "map", "upsert", "confirm"),
        "",
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


class Advised(NamedTuple):
    """Rejections of one kind, the most frequent reason first."""

    kind: Kind
    groups: list[RejectionGroup]

    @property
    def profiles(self) -> int:
        return sum(group.profiles for group in self.groups)


def kind_of(stage: Stage, reason: str) -> Kind:
    """The kind of a rejection; there is one for any."""
    return next(kind for kind in KINDS if stage in kind.stages and re.search(kind.words, reason, re.IGNORECASE))


def advised(rejections: Iterable[RejectionGroup]) -> list[Advised]:
    """The rejections by kind, the largest first."""
    by_kind: defaultdict[Kind, list[RejectionGroup]] = defaultdict(list)
    for group in sorted(rejections, key=lambda group: -group.profiles):
        by_kind[kind_of(group.stage, group.reason)].append(group)
    return sorted(
        (Advised(*each) for each in by_kind.items()), key=lambda each: (-each.profiles, KINDS.index(each.kind))
    )


def warning_meaning(trait: str) -> str:
    """Why a trait could not be used, and what its customer has instead."""
    attribute = trait.partition(".")[0]
    return {
        "birthdate": "It is not a date in the form 1990-12-31, so the birthdate is empty, or was not sent.",
        "birthday": "It is not a date in the form 1990-12-31, so it is left out.",
        "address": "An address cannot have a value of this kind, so this part is left out; a damaged character is "
        "replaced.",
        "external_ids": "These profiles have several ids of this type. The one that Segment lists first is used.",
        "metadata": "Voucherify's metadata schema does not allow the value, or requires one where there is none. It is "
        "left out; a damaged character is replaced.",
    }.get(
        attribute,
        "Voucherify does not accept a value of this kind there, so it is left out; a damaged character is replaced.",
    )
