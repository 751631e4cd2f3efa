"""The names of the lists: two imports in one folder never touch each other's."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from segsync.report.profile_lists import HEADERS, REJECTED, UNKNOWN_IDS, list_name, list_path

FILES = st.text("ab-_.= ", min_size=1, max_size=4).flatmap(
    lambda stem: st.sampled_from([stem, f"{stem}.db", f"{stem}.sqlite", f"{stem}.db.db", f"{stem}.", "segsync.db"])
)
"""What a ledger may be called: short names of few signs, so that two of them are alike."""


@pytest.mark.parametrize(
    ("ledger", "name"),
    [
        (None, "rejected-profiles.csv"),
        ("segsync.db", "rejected-profiles.csv"),
        ("/data/segsync.db", "rejected-profiles.csv"),
        ("prod.db", "prod-rejected-profiles.csv"),
        ("/data/prod.db", "prod-rejected-profiles.csv"),
        ("prod", "prod_rejected-profiles.csv"),
        ("prod.sqlite", "prod.sqlite_rejected-profiles.csv"),
        ("prod.sqlite.db", "prod.sqlite-rejected-profiles.csv"),
        ("prod.eu.db", "prod.eu-rejected-profiles.csv"),
        ("segsync", "segsync_rejected-profiles.csv"),
        ("-x.db", "-x-rejected-profiles.csv"),
        (".db", ".db_rejected-profiles.csv"),
    ],
)
def test_the_lists_of_another_ledger_begin_with_its_name(ledger: str | None, name: str) -> None:
    assert list_name(REJECTED, ledger and Path(ledger)) == name  # type: ignore[arg-type]


@given(FILES.filter(lambda name: name not in {".", ".."}), FILES.filter(lambda name: name not in {".", ".."}))
@example("prod", "prod.db")
@example("prod.sqlite", "prod.sqlite.db")
@example("segsync", "segsync.db")
@example("segsync.db", "segsync.db.db")
@example("a-", "a.db")
@example("a_.db", "a")
@example("-x.db", "-x")
def test_two_ledgers_of_a_folder_have_no_list_in_common(one: str, other: str) -> None:
    names, others = ([list_name(name, Path(each)) for name in (*HEADERS, UNKNOWN_IDS)] for each in (one, other))
    assert len(set(names)) == len(names)
    if one != other:
        assert not any(name == its for name, its in product(names, others))


def test_a_list_is_named_with_its_folder_unless_that_is_the_working_directory() -> None:
    assert str(list_path(REJECTED, Path(), Path("segsync.db"))) == REJECTED
    assert str(list_path(REJECTED, Path("eu"), Path("eu/prod.db"))) == f"eu/prod-{REJECTED}"
