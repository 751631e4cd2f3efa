"""What is sent where something is wrong with a trait, as the log says it."""

from __future__ import annotations

import pytest

from segsync.mapping.problems import DAMAGED_NUMBER, DAMAGED_TEXT, MISSING, NOT_A_DATE, SEVERAL, UNDEFINED, consequence


@pytest.mark.parametrize(
    ("trait", "problem", "sent"),
    [
        ("birthdate", NOT_A_DATE, "sent as null"),
        ("birthday", NOT_A_DATE, "left out"),
        ("birthdate", DAMAGED_NUMBER, "left out"),
        ("metadata.plan", UNDEFINED, "left out"),
        ("metadata.plan", MISSING, "sent without it, so Sink may refuse the customer"),
        ("name", DAMAGED_TEXT, ""),
        ("external_ids.user_id", SEVERAL, ""),
    ],
)
def test_a_problem_has_the_consequence_that_it_does_not_name_itself(trait: str, problem: str, sent: str) -> None:
    assert consequence(trait, problem, "Sink") == sent
