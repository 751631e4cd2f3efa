"""What can be wrong with a trait beside its type, in the words of a warning: the trait's name comes before them."""

from __future__ import annotations

from typing import Final, Literal

DAMAGED_TEXT: Final = "has a damaged character, replaced by U+FFFD"

DAMAGED_NUMBER: Final = "has a number that is NaN, infinite or out of range"

SEVERAL: Final = "has several values: the first that Segment lists is used"

NOT_A_DATE: Final = "is not an ISO 8601 date"

NOT_A_DATE_OMITTED: Final = f"{NOT_A_DATE}, and BIRTHDATE_INVALID is omit"

NAMED_NOT_A_DATE: Final = f"{NOT_A_DATE}, and ATTRIBUTE_TRAITS reads the birthdate from it"

UNDEFINED: Final = "is not defined in Voucherify's metadata schema (reported once)"

MISSING: Final = "has no value, though Voucherify's metadata schema requires one (reported once)"


UNCONVERTIBLE, UNMET, UNNESTED = UNFIT = (
    "that cannot be converted to",
    "that does not meet",
    "that does not fit its nested metadata schema",
)
"""What a value is that the metadata schema does not allow; before these words stands its kind: "is text"."""

ProblemKind = Literal["damaged text", "damaged number", "several", "date", "undefined", "missing", "unfit", "type"]

_KINDS: Final[dict[str, ProblemKind]] = {
    DAMAGED_TEXT: "damaged text",
    DAMAGED_NUMBER: "damaged number",
    SEVERAL: "several",
    NOT_A_DATE: "date",
    NOT_A_DATE_OMITTED: "date",
    NAMED_NOT_A_DATE: "date",
    UNDEFINED: "undefined",
    MISSING: "missing",
}


def kind_of(problem: str) -> ProblemKind:
    """The kind of a problem: by its own words, which name no trait. "type" is a value of a type that is not taken."""
    if problem in _KINDS:
        return _KINDS[problem]
    return "unfit" if any(words in problem for words in UNFIT) else "type"


def consequence(trait: str, problem: str, sink: str) -> str:
    """What is sent, where the problem does not say so itself."""
    if problem in (DAMAGED_TEXT, SEVERAL):
        return ""
    if problem == MISSING:
        return f"sent without it, so {sink} may refuse the customer"
    return "sent as null" if is_sent_as_null(trait, problem) else "left out"


def is_sent_as_null(trait: str, problem: str) -> bool:
    """Whether the birthdate that this trait does not have is sent as null."""
    return problem == NAMED_NOT_A_DATE or (trait, problem) == ("birthdate", NOT_A_DATE)
