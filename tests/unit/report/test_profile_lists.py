"""The names of the lists: two imports in one folder never touch each other's."""

from __future__ import annotations

from pathlib import Path

import pytest

from segsync.report.profile_lists import HEADERS, REJECTED, list_name


@pytest.mark.parametrize(
    ("ledger", "name"),
    [
        (None, "rejected-profiles.csv"),
        ("segsync.db", "rejected-profiles.csv"),
        ("/data/segsync.db", "rejected-profiles.csv"),
        ("prod.db", "prod-rejected-profiles.csv"),
        ("/data/prod.db", "prod-rejected-profiles.csv"),
        ("prod", "prod-rejected-profiles.csv"),
        ("prod.sqlite", "prod.sqlite-rejected-profiles.csv"),
        ("prod.eu.db", "prod.eu-rejected-profiles.csv"),
        ("segsync", "segsync-rejected-profiles.csv"),
        (".db", ".db-rejected-profiles.csv"),
    ],
)
def test_the_lists_of_another_ledger_begin_with_its_name(ledger: str | None, name: str) -> None:
    assert list_name(REJECTED, ledger and Path(ledger)) == name  # type: ignore[arg-type]


def test_two_ledgers_of_a_folder_have_no_list_in_common() -> None:
    ledgers = ("segsync.db", "prod.db", "prod.sqlite", "prod.db.bak", "prod.db-2", "segsync")
    names = [list_name(name, Path(ledger)) for ledger in ledgers for name in HEADERS]
    assert len(set(names)) == len(names)
