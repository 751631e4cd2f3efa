"""The lists of profiles that need a look: without identifier, with that of another profile, rejected, with warnings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

WITHOUT_IDENTIFIER: Final = "profiles-without-identifier.txt"

DUPLICATES: Final = "duplicate-profiles.csv"

REJECTED: Final = "rejected-profiles.csv"

WARNINGS: Final = "profiles-with-warnings.csv"

HEADERS: Final[Mapping[str, Sequence[str]]] = {
    WITHOUT_IDENTIFIER: (),
    DUPLICATES: ("segment_id", "same_identifier_as"),
    REJECTED: ("segment_id", "source_id", "stage", "reason", "request_id"),
    WARNINGS: ("segment_id", "trait", "problem"),
}
"""The columns of each list; one without columns has a value per line."""

WORDS: Final = "words"
"""One more column of the rejected profiles, where the services' own words are known of any."""

UNKNOWN_IDS: Final = "unknown-ids.txt"
"""The ids of the last `--ids FILE` that the source does not know; no ledger holds them."""

USUAL_LEDGER: Final = "segsync.db"
"""The name of the ledger whose lists are named as above."""


def list_name(name: str, ledger: Path | None) -> str:
    """The name of a list of this ledger; None is a temporary one.

    With another name than `segsync.db` it begins with the ledger's, so that two imports in one folder have lists of
    their own: `prod-rejected-profiles.csv` for `prod.db`, and `prod.sqlite_rejected-profiles.csv` for `prod.sqlite`.
    The signs differ, so that `prod` and `prod.db` do too.
    """
    if ledger is None or ledger.name == USUAL_LEDGER:
        return name
    return f"{ledger.stem}-{name}" if ledger.suffix == ".db" else f"{ledger.name}_{name}"


def list_path(name: str, directory: Path, ledger: Path | None) -> Path:
    """The file of a list of this ledger: as messages name it, one can open it."""
    return directory / list_name(name, ledger)
