"""What a rejection or a warning means, and what to do about it, in words for who has never seen a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby

from segsync.models import RejectionGroup, Stage

RETRY = "Then run segsync with --retry-rejected: it takes just these again."


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of rejection: where it shows (stages, words in the reason), its title, meaning, and what to do."""

    stages: tuple[Stage, ...]
    words: re.Pattern[str]
    title: str
    meaning: str
    to_do: str


def _kind(stages: str, words: str, title: str, meaning: str, to_do: str) -> Kind:
    return Kind(tuple(stages.split()), re.compile(words, re.IGNORECASE), title, meaning, to_do)  # type: ignore[arg-type]


KINDS = (
    _kind(
        "read",
        "answered (404|410)",
        "No longer in Segment",
        "Segment listed these profiles and then did not find them: they were deleted, or merged into another "
        "profile, while the import ran.",
        "Most often nothing: a merged profile comes over as the one that it became part of. To be sure, run segsync "
        "with --retry-rejected: those that are back come over.",
    ),
    _kind(
        "read",
        r"answered (429|5\d\d)|did not answer",
        "Segment could not read them out",
        "Segment answered for others, but for these profiles it gave errors until the time to try again was up.",
        "Run segsync with --retry-rejected an hour later. If they fail again, give Segment's support the request ids "
        "in rejected-profiles.csv.",
    ),
    _kind(
        "read",
        "",
        "Segment's answer could not be used",
        "What Segment said about these profiles is not what its interface describes.",
        "Run segsync with --retry-rejected. If they fail again, give Segment's support the request ids in "
        "rejected-profiles.csv.",
    ),
    _kind(
        "map upsert",
        "bytes, more than|answered 413|too large",
        "Too large to send",
        "One customer alone holds more than Voucherify takes in a request. It is nearly always the metadata.",
        f"Find the profiles of rejected-profiles.csv in Segment and shorten what is so long in them. {RETRY}",
    ),
    _kind(
        "map",
        "in JSON",
        "Holds something that cannot be sent",
        "A value of the profile cannot be written in the format that Voucherify takes: text that is damaged, or a "
        "structure nested too deep.",
        f"Correct the profiles of rejected-profiles.csv in Segment. {RETRY}",
    ),
    _kind(
        "map upsert confirm",
        "metadata|schema|not defined|undefined",
        "Voucherify's metadata schema does not allow it",
        "The profile carries metadata that Voucherify does not know for customers, or of another type than it expects.",
        "In Voucherify, under Project settings > Metadata schema > Customer, define what is missing or correct its "
        f"type. {RETRY}",
    ),
    _kind(
        "confirm",
        "does not say which",
        "Voucherify refused some of a group without naming them",
        "Of customers that were sent together some were refused. Since nobody knows which, all of them count as "
        "rejected here; some may be in Voucherify already.",
        "Run segsync with --retry-rejected --batch-size 10: in smaller groups fewer are in doubt. Sending a customer "
        "twice does no harm.",
    ),
    _kind(
        "confirm",
        "the bulk upsert",
        "The upload came to nothing, twice",
        "Voucherify accepted these customers, then failed to carry out the upload as a whole, also when they were sent "
        "once more.",
        "Look at Voucherify's status page, and run segsync with --retry-rejected later. If they fail again, "
        "give Voucherify's support the ids in rejected-profiles.csv.",
    ),
    _kind(
        "upsert",
        r"answered (429|5\d\d)|did not answer",
        "Voucherify could not take them",
        "Voucherify took others, but for these customers it gave errors until the time to try again was up.",
        "Run segsync with --retry-rejected an hour later. If they fail again, give Voucherify's support the request "
        "ids in rejected-profiles.csv.",
    ),
    _kind(
        "upsert confirm",
        "",
        "Voucherify refused the customer",
        "Voucherify looked at the customer and did not accept what it holds, an e-mail address that is none, say.",
        "The words below are Voucherify's own. Correct the profiles of rejected-profiles.csv in Segment. " + RETRY,
    ),
    _kind(
        "read map upsert confirm",
        "",
        "Could not be made a customer",
        "Something about these profiles could not be brought over.",
        f"The words below say what. Correct the profiles of rejected-profiles.csv in Segment. {RETRY}",
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
    """What a rejection means; there is a kind for any."""
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
    """What became of a trait that could not be used."""
    attribute = trait.partition(".")[0]
    return {
        "birthdate": "It is no date in the form 1990-12-31, so the birthdate is empty.",
        "address": "It is not the kind of value that an address has, so this part is left out.",
        "metadata": "Voucherify's metadata schema does not take it as it is, or wants a value where there is none. It "
        "is left out.",
    }.get(attribute, "It is not the kind of value that Voucherify takes there, so it is left out.")
