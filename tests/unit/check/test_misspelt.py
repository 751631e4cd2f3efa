"""Settings that are misspelt, and variables of other programs, which are left alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segsync.check.misspelt import misspelt_settings
from segsync.settings import SECRETS, one_setting
from tests.support.program import DEFAULTS

NOWHERE = Path(os.devnull)


def warnings(*variables: str) -> list[str]:
    return misspelt_settings(environ=dict.fromkeys(variables, "a-value"), env_file=NOWHERE)


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("SEGMENT_REQUEST_PER_SECOND", "SEGMENT_REQUESTS_PER_SECOND"),
        ("SEGMENT_REQUESTS_PER_SEC", "SEGMENT_REQUESTS_PER_SECOND"),
        ("VOUCHERIFY_REQUEST_PER_MINUTE", "VOUCHERIFY_REQUESTS_PER_MINUTE"),
        ("VOUCHERIFY_SECRETKEY", "VOUCHERIFY_SECRET_KEY"),
        ("VOUCHERFY_SECRET_KEY", "VOUCHERIFY_SECRET_KEY"),
        ("VOUCHERIFY_BASE_URI", "VOUCHERIFY_BASE_URL"),
        ("SEGMENT_REQUESTS_LIMIT", "SEGMENT_REQUEST_LIMIT"),
        ("SEGMENT_REGOIN", "SEGMENT_REGION"),
        ("METADATA_TRAIT", "METADATA_TRAITS"),
        ("IDENTIFIER_LOOK_UP", "IDENTIFIER_LOOKUP"),
        ("SEGSYNC_LEDGR", "SEGSYNC_LEDGER"),
        ("SEGSYNC-LEDGER", "SEGSYNC_LEDGER"),
        ("SEGSYNC_LEDGER_PATH", "SEGSYNC_LEDGER"),
        ("SEGSYNC_BATCH", "SEGSYNC_BATCH_SIZE"),
        ("SEGSYNC_TIMEOUT", "SEGSYNC_REQUEST_TIMEOUT"),
        ("segsync_concurrency", "SEGSYNC_CONCURRENCY"),
        ("VOUCHERIFY_SECRETKEY_FILE", "VOUCHERIFY_SECRET_KEY_FILE"),
    ],
)
def test_a_variable_that_is_nearly_a_setting_gets_the_one_that_was_meant(variable: str, meant: str) -> None:
    assert warnings(variable) == [f"{variable} is not a setting, and is ignored. Did you mean {meant}?"]


@pytest.mark.parametrize(
    "variable",
    [
        *("SEGMENT_WRITE_KEY", "SEGMENT_API_TOKEN", "SEGMENT_SOURCE_ID", "SEGMENT_WORKSPACE_ID", "SEGMENT_SPACE_SLUG"),
        *("SEGMENT_ACCESS_KEY", "SEGMENT_API_BASE_URL", "SEGMENT_PROXY_URL", "SEGMENT_SESSION"),
        *("VOUCHERIFY_WEBHOOK_SECRET", "VOUCHERIFY_API_KEY", "VOUCHERIFY_API_URL", "VOUCHERIFY_STORE_URL"),
        *("VOUCHERIFY_CLIENT_SECRET_KEY", "VOUCHERIFY_CLIENT_APPLICATION_ID", "VOUCHERIFY_APPLICATION_KEY"),
        *("VOUCHERIFY_APPLICATION_NAME", "VOUCHERIFY_VERSION", "ECS_CONTAINER_METADATA_URI", "METADATA_URI"),
        *("SEGSYNC_VERSION", "SEGSYNC_TEST_SEED", "_SEGSYNC_COMPLETE", "BASE_URL", "SECRET_KEY", "REGION", "PATH"),
    ],
)
def test_a_variable_of_another_program_is_left_alone(variable: str) -> None:
    assert warnings(variable) == []


def test_a_setting_is_never_taken_for_another() -> None:
    assert warnings(*DEFAULTS, *(f"{secret}_FILE" for secret in SECRETS)) == []


@given(st.sampled_from(sorted(DEFAULTS)), st.data())
def test_every_slip_of_one_letter_is_found(variable: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(1, len(variable) - 1))
    before, after = variable[:place], variable[place:]
    slips = {before + after[1:], before + before[-1] + after, before[:-1] + after[0] + before[-1] + after[1:]}
    for slip in slips - DEFAULTS.keys():
        assert warnings(slip) == [f"{slip} is not a setting, and is ignored. Did you mean {variable}?"]


def test_the_file_is_looked_at_like_the_environment_and_no_value_is_shown(tmp_path: Path) -> None:
    (tmp_path / "a.env").write_text("VOUCHERIFY_SECRETKEY=sk-1\nSEGSYNC_LEDGR=prod.db\nSEGSYNC_LEGDER=\n", "utf-8")
    found = misspelt_settings(environ={"SEGMENT_ACESS_TOKEN": "tok-1"}, env_file=tmp_path / "a.env")
    assert [each.split()[0] for each in found] == ["VOUCHERIFY_SECRETKEY", "SEGSYNC_LEDGR", "SEGMENT_ACESS_TOKEN"]
    assert not [secret for secret in ("sk-1", "prod.db", "tok-1") if secret in " ".join(found)]


def test_what_is_set_to_nothing_is_not_set() -> None:
    assert misspelt_settings(environ={"SEGSYNC_LEDGR": " "}, env_file=NOWHERE) == []


def test_a_line_of_the_file_that_is_not_a_setting_is_named_by_its_number_and_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "a.env"
    path.write_text(
        "# settings\nSEGSYNC_LEDGER: a-value.db\n\nMETADATA_TRAITS='a-value\nSEGSYNC_BATCH_SIZE=5\n", "utf-8"
    )
    assert misspelt_settings(environ={}, env_file=path) == [
        f"Line {number} of {path} is not NAME=value, and is ignored" for number in (2, 4)
    ]
    assert one_setting("SEGSYNC_BATCH_SIZE", environ={}, env_file=path) == "5"
