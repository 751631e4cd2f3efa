"""What a rejection or a warning means, and how to fix it, in words for someone who has never used a terminal.

A rejection is known by the code of its reason, and a warning by its problem. The words of a reason are not searched:
they may quote a service, and name a trait that is called as anything.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from segsync.mapping.problems import ProblemKind, consequence, kind_of
from segsync.models import RejectionGroup, Stage, WarningGroup

RETRY = "Then run segsync with --retry-rejected, which imports just these profiles."


class Kind(NamedTuple):
    """A kind of rejection: where it happens, the codes of its reasons, its title, its meaning and how to fix it.

    Without codes it is for all reasons that no kind before it has, such as those of a ledger that knew no codes.
    """

    stages: tuple[Stage, ...]
    codes: tuple[str, ...]
    title: str
    meaning: str
    fix: str


_AWAY = ("rate-limited", "service-failed", "no-answer", "no-connection", "tls-failed", "proxy-unreachable")
"""The service answers others, and does not answer for these."""

KINDS = (
    Kind(
        ("read",),
        ("not-found",),
        "No longer in Segment",
        "Segment listed these profiles and then did not find them: they were deleted, or merged into another "
        "profile, while the import ran.",
        "Usually nothing: a merged profile is imported as the one that it became part of. To be sure, run segsync "
        "with --retry-rejected, which imports those that are back.",
    ),
    Kind(
        ("read",),
        _AWAY,
        "Segment could not read them",
        "Segment answered for other profiles, but gave errors for these until the time for retries was up.",
        "Run segsync with --retry-rejected an hour later. If they fail again, give Segment's support the request ids "
        "in rejected-profiles.csv.",
    ),
    Kind(
        ("read",),
        ("identifier-damaged",),
        "The customer id is damaged",
        "The id of these profiles holds half a character, or is not a real number. A guess at it could name somebody "
        "else.",
        f"Correct the profiles of rejected-profiles.csv in Segment. {RETRY}",
    ),
    Kind(
        ("read",),
        (),
        "Segment's answer could not be used",
        "Segment's answer for these profiles is not as its API describes it.",
        "Run segsync with --retry-rejected. If they fail again, give Segment's support the request ids in "
        "rejected-profiles.csv.",
    ),
    Kind(
        ("map", "upsert"),
        ("too-large",),
        "Too large to send",
        "One customer alone is larger than what Voucherify accepts in a request. It is nearly always the metadata.",
        f"Find the profiles of rejected-profiles.csv in Segment and shorten their long values. {RETRY}",
    ),
    Kind(
        ("map",),
        ("value-unsendable",),
        "A value cannot be sent",
        "A value of the profile cannot be written in the format that Voucherify accepts: a damaged text, or a "
        "structure nested too deep.",
        f"Correct the profiles of rejected-profiles.csv in Segment. {RETRY}",
    ),
    Kind(
        ("map",),
        ("metadata-rejected",),
        "Voucherify's metadata schema does not allow it",
        "The profile has metadata that Voucherify does not know for customers, or of another type than it expects.",
        "In Voucherify, under Project settings > Metadata schema > Customer, define what is missing or correct its "
        f"type. {RETRY}",
    ),
    Kind(
        ("confirm",),
        ("refused-without-reason",),
        "Voucherify refused the customer without a reason",
        "Voucherify did not write the customer, and its answer does not say why.",
        "Compare some profiles of rejected-profiles.csv with customers that were imported, or ask Voucherify's support "
        f"with the ids in that file. {RETRY}",
    ),
    Kind(
        ("confirm",),
        ("upsert-failed",),
        "The upload failed twice",
        "Voucherify accepted these customers, then failed to carry out the upload as a whole, also when they were sent "
        "once more.",
        "Look at Voucherify's status page, and run segsync with --retry-rejected later. If they fail again, "
        "give Voucherify's support the ids in rejected-profiles.csv.",
    ),
    Kind(
        ("upsert",),
        _AWAY,
        "Voucherify could not accept them",
        "Voucherify accepted other customers, but gave errors for these until the time for retries was up.",
        "Run segsync with --retry-rejected an hour later. If they fail again, give Voucherify's support the request "
        "ids in rejected-profiles.csv.",
    ),
    Kind(
        ("upsert", "confirm"),
        (),
        "Voucherify refused the customer",
        "Voucherify checked the customer and did not accept a value, e.g. an invalid e-mail address, or metadata that "
        "its schema does not allow.",
        "The words below are Voucherify's, without values. Correct the profiles of rejected-profiles.csv in Segment. "
        "If they name metadata, its definition in Voucherify can be wrong instead, under Project settings > Metadata "
        f"schema > Customer. {RETRY}",
    ),
    Kind(
        ("read", "map", "upsert", "confirm"),
        (),
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


def kind_of_rejection(stage: Stage, code: str | None) -> Kind:
    """The kind of a rejection; there is one for any."""
    return next(kind for kind in KINDS if stage in kind.stages and (not kind.codes or code in kind.codes))


def advised(rejections: Iterable[RejectionGroup]) -> list[Advised]:
    """The rejections by kind, the largest first."""
    by_kind: defaultdict[Kind, list[RejectionGroup]] = defaultdict(list)
    for group in sorted(rejections, key=lambda group: -group.profiles):
        by_kind[kind_of_rejection(group.stage, group.code)].append(group)
    return sorted(
        (Advised(*each) for each in by_kind.items()), key=lambda each: (-each.profiles, KINDS.index(each.kind))
    )


_IN_SCHEMA = "in Voucherify, under Project settings > Metadata schema > Customer"

FIXES: Mapping[ProblemKind, str] = {
    "damaged text": "Correct the text in Segment.",
    "damaged number": "Correct the number in Segment.",
    "several": "If that is the wrong one, correct the profile in Segment.",
    "date": "Write it like 1990-12-31 in Segment.",
    "undefined": f"To import it, define it {_IN_SCHEMA}.",
    "missing": f"Name a trait for it in METADATA_TRAITS, or make it optional {_IN_SCHEMA}.",
    "unfit": f"Correct the value in Segment, or its definition {_IN_SCHEMA}.",
    "type": "Voucherify accepts no value of this type there. Correct it in Segment.",
}
"""What to do about each kind of problem."""


def warning_meaning(warning: WarningGroup) -> str:
    """What a customer has instead of a trait that could not be used as it is, and what to do about that."""
    sent = consequence(warning.trait, warning.problem, "Voucherify")
    fix = FIXES[kind_of(warning.problem)]
    return f"{sent[0].upper()}{sent[1:]}. {fix}" if sent else fix
