"""The traits that are not imported, as a check shows them at a terminal."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from segsync.check.findings import finding, of_not_imported
from segsync.check.run import FORMAT, CheckReport
from segsync.check.unmapped import FREQUENT, NotImported, not_imported
from segsync.commands.check import shown
from tests.support.configured import settings
from tests.unit.check.test_findings import FINE

MANY = {f"computed_trait_{number:03}": 230 - number for number in range(230)}


def left_of(traits: dict[str, int]) -> NotImported:
    return not_imported(traits, 230, settings())


def printed(left: NotImported, *, width: int = 80) -> str:
    findings = [finding("settings", "ok", "space spa_1"), of_not_imported(left, calls=1.0, calls_for_all=2.25)]
    report = CheckReport(FORMAT, True, findings, "user_id", FINE, not_imported=left)
    console = Console(file=StringIO(), width=width, color_system=None)
    console.print(shown(report), crop=False)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [40, 80, 200])
def test_many_traits_are_a_short_table_and_a_line_that_no_window_breaks(width: int) -> None:
    left = left_of(MANY)
    text = printed(left, width=width)
    assert len(text.splitlines()) < 100
    lines = [line.strip() for line in text.splitlines()]
    assert left.frequent_setting in lines
    assert left.all_setting in lines
    assert "and 215 more (--json has all)" in " ".join(text.split())
    assert "computed_trait_229" not in text
    rows = [line.split() for line in lines if line.endswith("%")]
    assert len(rows) == FREQUENT
    assert rows[0][1:] == ["230", "100%"]


def test_few_traits_are_all_shown_with_the_line_that_takes_them() -> None:
    lines = [line.strip() for line in printed(left_of({"plan": 100, "dob": 7})).splitlines()]
    assert "METADATA_TRAITS=plan,dob" in lines
    assert "ATTRIBUTE_TRAITS=birthdate=dob" in lines
    assert not [line for line in lines if "more (--json" in line]
    assert "To add all of them:" not in lines


def test_the_calls_of_the_check_itself_are_counted() -> None:
    report = CheckReport(FORMAT, True, [], calls={"Voucherify": 2, "Segment": 1309})
    console = Console(file=StringIO(), width=80, color_system=None)
    console.print(shown(report))
    assert isinstance(console.file, StringIO)
    assert "This check made 1,309 Segment calls and 2 Voucherify calls." in console.file.getvalue()


def test_names_that_cannot_be_written_are_named_and_escaped() -> None:
    text = printed(left_of({"a,b": 2, "red\x1b[31m": 1, "[bold]x": 1, "…": 3}))
    assert "\x1b" not in text
    assert "[bold]x" in text
    assert "METADATA_TRAITS cannot name 'a,b'" in " ".join(text.split())
    assert "(names that may be personal)" in text


def test_the_verdict_says_what_is_not_imported() -> None:
    [verdict] = [line for line in printed(left_of(MANY), width=200).splitlines() if line.startswith("Ready")]
    assert verdict.startswith("Ready, with 1 warning. Not imported: 230 traits. Nothing was written to Segment or")
    assert "Ready. Nothing was written" in printed(left_of({}), width=200)


def test_the_finding_names_some_with_their_counts_and_what_takes_them() -> None:
    found = of_not_imported(left_of(MANY), calls=1.0, calls_for_all=2.25)
    assert (found.id, found.state) == ("not-imported", "warning")
    assert found.detail.startswith(
        "230 traits, and how many of 230 customers have each: computed_trait_000 230, computed_trait_001 229"
    )
    assert found.detail.endswith("and 222 more")
    assert "METADATA_TRAITS=* adds them all" in found.fix
    assert "(2.2 instead of 1.0 calls for the traits of a profile)" in found.fix
    assert "instead of" not in of_not_imported(left_of(MANY), calls=1.0, calls_for_all=1.0).fix
    assert of_not_imported(left_of({}), calls=1.0, calls_for_all=1.0).state == "ok"
