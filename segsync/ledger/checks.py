"""What the last checks found that an import leaves behind, so that its summary can repeat it: names and counts."""

from __future__ import annotations

from functools import partial
from sqlite3 import Connection

import msgspec

from segsync.errors import SegsyncError
from segsync.ledger.database import Ledger
from segsync.models import LastCheck
from segsync.settings import Settings


def settings_key(ledger: Ledger, settings: Settings) -> bytes:
    """A keyed digest of what decides which traits an import reads: a check with other settings is about another one."""
    attributes, metadata = settings.attribute_traits, settings.metadata_traits
    return ledger.digest(
        msgspec.json.encode(
            [
                *("check", ledger.source.name, ledger.source.identity),
                *(settings.identifier_saved_as_source_id, settings.identifier_lookup),
                *(sorted(attributes.named), sorted(metadata.named), metadata.takes_others),
            ]
        )
    )


def keep(db: Connection, key: bytes, found: LastCheck) -> None:
    """Keep what a check with the settings of this key found, in the place of an earlier one."""
    names = msgspec.json.encode(found.names).decode()
    row = (key, found.checked_at, found.traits, names, found.setting)
    db.execute(
        "INSERT OR REPLACE INTO checks (settings, checked_at, traits, names, setting) VALUES (?, ?, ?, ?, ?)", row
    )


def last_check(db: Connection, key: bytes) -> LastCheck | None:
    """What the last check with the settings of this key found; None where there was none."""
    query = "SELECT checked_at, traits, names, setting FROM checks WHERE settings = ?"
    for checked_at, traits, names, setting in db.execute(query, (key,)):
        return LastCheck(checked_at, traits, msgspec.json.decode(names, type=tuple[str, ...]), setting)
    return None


async def read_last_check(ledger: Ledger, settings: Settings) -> LastCheck | None:
    """The last check with these settings, as far as the ledger can be read: a report is made even where it cannot."""
    question = partial(last_check, key=settings_key(ledger, settings))
    try:
        return await ledger.ask(question)
    except SegsyncError:
        return ledger.salvage(question)
