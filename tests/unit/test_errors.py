"""Errors: the code of a message, wherever a user or a program meets it."""

from __future__ import annotations

from pathlib import Path

import pytest

from segsync.errors import (
    CallError,
    LedgerError,
    Problem,
    QuotaError,
    SegsyncError,
    SettingsError,
    TransientError,
    defect,
)
from segsync.ledger.database import reading
from segsync.settings import Settings


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (SegsyncError("it broke", code="it-broke"), "it-broke", "it broke [it-broke]"),
        (SegsyncError("it broke"), None, "it broke"),
        (CallError("no answer", code="no-answer", service="Segment"), "no-answer", "no answer [no-answer]"),
        (
            QuotaError("spent", service="Segment", request_id="req_1"),
            "quota-used-up",
            "spent [request id req_1] [quota-used-up]",
        ),
        (TransientError("slow", code="slow-down", service="Segment"), "slow-down", "slow [slow-down]"),
        (
            SettingsError(["A is missing.", "B is."], code="missing"),
            "missing",
            "A is missing. [missing]\nB is. [missing]",
        ),
        (SettingsError([Problem("A", code="a"), "B"], code="b"), "a", "A [a]\nB [b]"),
        (SettingsError(["A is missing."]), None, "A is missing."),
    ],
)
def test_an_error_has_a_code_at_the_end_of_its_line(error: SegsyncError, code: str | None, line: str) -> None:
    assert (error.code, error.with_code) == (code, line)


def test_the_words_of_an_error_have_no_code_for_those_who_put_them_into_other_words() -> None:
    assert str(SegsyncError("it broke", code="it-broke")) == "it broke"
    error = SettingsError(["A is missing."], code="missing")
    assert (str(error), error.problems) == ("A is missing.", ("A is missing.",))


def test_a_defect_has_a_code_too() -> None:
    assert defect(KeyError("ada")).code == "defect"


def test_each_problem_of_the_settings_has_its_own_code() -> None:
    with pytest.raises(SettingsError) as raised:
        Settings.load(environ={"SEGMENT_REGION": "moon", "SEGMENT_SPACE_ID": "s"}, needs=("segment",))
    codes = {each.partition(" ")[0]: each.code for each in raised.value.problems}
    assert codes == {"SEGMENT_ACCESS_TOKEN": "setting-missing", "SEGMENT_REGION=moon": "setting-invalid"}
    assert raised.value.code == "setting-missing"


def test_a_program_tells_errors_of_one_class_apart(tmp_path: Path) -> None:
    (tmp_path / "other.db").write_text("not a ledger, but long enough to have a header" * 9)
    codes = []
    for name in ("none.db", "other.db"):
        with pytest.raises(LedgerError) as raised, reading(tmp_path / name):
            pass
        codes.append(raised.value.code)
    assert codes == ["ledger-missing", "ledger-damaged"]
