"""Secrets in files: which are read, what wins, and what is refused in which words."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import pytest

from segsync.errors import SettingsError
from segsync.secret_files import MOST_BYTES
from segsync.settings import SECRETS, Settings, one_setting

CREDENTIALS = {
    "SEGMENT_ACCESS_TOKEN": "token-of-segment",
    "SEGMENT_SPACE_ID": "spa_1",
    "VOUCHERIFY_APPLICATION_ID": "id-of-the-application",
    "VOUCHERIFY_SECRET_KEY": "key-of-voucherify",
}
FIELDS = {entry.metadata["variable"]: entry.name for entry in fields(Settings)}
SECRET = "https://hooks.example/s3cret"
"""What every secret may be: a credential too."""

every_secret = pytest.mark.parametrize("variable", SECRETS)


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def loaded(**environ: str) -> Settings:
    """Settings with all credentials, those in files instead of the plain ones."""
    plain = {name: value for name, value in CREDENTIALS.items() if f"{name}_FILE" not in environ}
    return Settings.load(environ=plain | environ)


def problems(**environ: str) -> Sequence[str]:
    with pytest.raises(SettingsError) as caught:
        loaded(**environ)
    return caught.value.problems


def file_with(content: bytes | str) -> str:
    path = Path("mounted.txt").absolute()
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def test_the_credentials_are_secrets_and_the_space_is_none() -> None:
    assert {"SEGMENT_ACCESS_TOKEN", "VOUCHERIFY_APPLICATION_ID", "VOUCHERIFY_SECRET_KEY"} <= set(SECRETS)
    assert "SEGMENT_SPACE_ID" not in SECRETS
    assert "SEGMENT_SPACE_ID is missing" in problems(SEGMENT_SPACE_ID="", SEGMENT_SPACE_ID_FILE=file_with("spa_2"))[0]


@every_secret
@pytest.mark.parametrize("around", ["", "\n", "\r\n", " \n\n"])
def test_every_secret_is_read_from_the_file_without_the_line_break_at_its_end(variable: str, around: str) -> None:
    settings = loaded(**{f"{variable}_FILE": file_with(SECRET + around)})
    assert getattr(settings, FIELDS[variable]) == SECRET
    assert SECRET not in repr(settings)


def test_a_file_with_a_byte_order_mark_and_a_relative_path() -> None:
    Path("token").write_bytes(b"\xef\xbb\xbfabc\n")
    assert loaded(SEGMENT_ACCESS_TOKEN_FILE="token").segment_access_token == "abc"


def test_the_env_file_may_name_the_file_and_the_environment_wins_over_it_in_either_form() -> None:
    path, other = file_with("of-the-file"), Path("other")
    other.write_text("of-the-other-file", encoding="utf-8")
    Path(".env").write_text(f"SEGMENT_ACCESS_TOKEN_FILE={path}\nVOUCHERIFY_SECRET_KEY=in-env-file\n", encoding="utf-8")
    space = {name: CREDENTIALS[name] for name in ("SEGMENT_SPACE_ID", "VOUCHERIFY_APPLICATION_ID")}
    settings = Settings.load(environ=space)
    assert (settings.segment_access_token, settings.voucherify_secret_key) == ("of-the-file", "in-env-file")
    assert Settings.load(environ=space | {"SEGMENT_ACCESS_TOKEN": "plain"}).segment_access_token == "plain"
    settings = Settings.load(environ=space | {"VOUCHERIFY_SECRET_KEY_FILE": "other"})
    assert settings.voucherify_secret_key == "of-the-other-file"


@every_secret
def test_both_in_one_place_are_refused_by_their_names(variable: str) -> None:
    [problem] = problems(**{variable: SECRET, f"{variable}_FILE": file_with(SECRET)})
    assert problem == f"{variable} and {variable}_FILE are both set: leave one of them out"


@every_secret
@pytest.mark.parametrize("nothing", ["", "  "])
def test_a_variable_set_to_nothing_does_not_count_beside_the_other(variable: str, nothing: str) -> None:
    assert getattr(loaded(**{variable: nothing, f"{variable}_FILE": file_with(SECRET)}), FIELDS[variable]) == SECRET
    assert getattr(loaded(**{variable: SECRET, f"{variable}_FILE": nothing}), FIELDS[variable]) == SECRET


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b" \n\n", "it is empty"),
        ("ключ".encode("utf-16"), "it is not UTF-8 text"),
        (b"x" * (MOST_BYTES + 1), "it has more than 65,536 bytes"),
    ],
)
@every_secret
def test_a_file_that_cannot_be_a_secret_is_named_with_its_variable(variable: str, content: bytes, reason: str) -> None:
    path = file_with(content)
    assert problems(**{f"{variable}_FILE": path}) == (f"{variable}_FILE={path} cannot be read: {reason}",)


@every_secret
def test_a_file_that_is_not_there_a_folder_and_one_that_may_not_be_read_are_named(
    variable: str, tmp_path: Path
) -> None:
    def reason(path: Path) -> str:
        [problem] = problems(**{f"{variable}_FILE": str(path)})
        return problem.removeprefix(f"{variable}_FILE={path} cannot be read: ")

    assert reason(tmp_path / "nowhere") == "No such file or directory"
    assert reason(tmp_path) == "Is a directory"
    if os.geteuid():
        Path(file_with(SECRET)).chmod(0)
        assert reason(tmp_path / "mounted.txt") == "Permission denied"


def test_all_files_that_cannot_be_read_are_named_at_once_and_none_counts_as_missing_too() -> None:
    found = problems(SEGMENT_ACCESS_TOKEN_FILE="./a", VOUCHERIFY_SECRET_KEY_FILE="./b", SEGMENT_SPACE_ID="")
    assert [problem.split()[0] for problem in found] == [
        "SEGMENT_ACCESS_TOKEN_FILE=./a",
        "VOUCHERIFY_SECRET_KEY_FILE=./b",
        "SEGMENT_SPACE_ID",
    ]


@pytest.mark.parametrize("secret", ["sgp_abcdef1234567890", "https://hooks.slack.com/services/T0/B0/s3cret"])
def test_a_secret_in_the_place_of_its_path_is_not_shown(secret: str) -> None:
    [problem] = problems(SEGMENT_ACCESS_TOKEN_FILE=secret)
    assert problem == "SEGMENT_ACCESS_TOKEN_FILE cannot be read: No such file or directory"


@every_secret
def test_a_text_in_the_file_that_is_not_allowed_is_refused_by_the_files_variable_and_not_shown(variable: str) -> None:
    [problem] = problems(**{f"{variable}_FILE": file_with("two words")})
    assert problem.startswith(f"{variable}_FILE must ")
    assert "two words" not in problem


def test_where_the_ledger_is_can_be_asked_without_the_files() -> None:
    assert one_setting("SEGSYNC_LEDGER", environ={"SEGMENT_ACCESS_TOKEN_FILE": "./nowhere"}) == "segsync.db"
