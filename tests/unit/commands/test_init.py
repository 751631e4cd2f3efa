"""`init`: what it asks, which regions it finds, what it writes, and when it writes nothing."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from dotenv import dotenv_values
from hypothesis import given, reject
from hypothesis import strategies as st

from segsync.check.probe import ServiceProbe
from segsync.commands import init
from segsync.commands.init import env_line, env_text, init_at_terminal, write_new
from segsync.errors import OutputError, SettingsError
from segsync.settings import Settings
from tests.support.configured import settings
from tests.support.scripted import Answer, Script, answer, hang_up, raw, scripted_server

PROFILES = answer({"data": [], "cursor": {"next": ""}})
ACTIONS = answer({"async_actions": []})
REFUSED = answer({"error": {"code": "authentication_error", "message": "no"}}, 401)
NO_SPACE = answer({"error": {"code": "not_found", "message": "Space was not found."}}, 404)
BLOCKED = raw(b"<h1>Blocked", "text/html", 403)

TYPED = ["token", "spa_1", "app", "key"]
WRITTEN = {
    "SEGMENT_ACCESS_TOKEN": "token",
    "SEGMENT_SPACE_ID": "spa_1",
    "VOUCHERIFY_APPLICATION_ID": "app",
    "VOUCHERIFY_SECRET_KEY": "key",
}
HERE = {"us": PROFILES, "eu": REFUSED}, {"eu": ACTIONS, "us": REFUSED, "asia": REFUSED}
"""Credentials of both default regions."""

ENV = Path(".env")


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In a folder of its own, which has no unfinished file afterwards."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("SEG", "VOUCHERIFY_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SEGSYNC_RETRY_SECONDS", "0")
    yield
    assert [path.name for path in tmp_path.iterdir() if path.name not in (".env", "other.env")] == []


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs `init` against hosts by region, with lines to type; gives what it printed."""

    async def run_it(lines: list[str], segment: dict[str, Answer], voucherify: dict[str, Answer]) -> str:
        async with AsyncExitStack() as stack:
            hosts = {
                name: {
                    region: await stack.enter_async_context(scripted_server(Script(each)))
                    for region, each in answers.items()
                }
                for name, answers in (("segment", segment), ("voucherify", voucherify))
            }
            monkeypatch.setattr(init, "ServiceProbe", partial(ServiceProbe, hosts=hosts))
            monkeypatch.setattr(sys, "stdin", StringIO("".join(f"{line}\n" for line in lines)))
            await asyncio.to_thread(init_at_terminal, ENV, "segsync check")
        printed = capsys.readouterr()
        return printed.out + printed.err

    return run_it


def written() -> dict[str, str | None]:
    return dotenv_values(ENV, interpolate=False)


def text() -> str:
    """The text of the file; nothing where there is none."""
    return ENV.read_text(encoding="utf-8") if ENV.exists() else ""


def mode() -> int:
    return stat.S_IMODE(ENV.stat().st_mode)


# --- the regions ----------------------------------------------------------------------------------------------


async def test_in_the_default_regions_the_file_has_the_credentials_alone_and_the_next_command_follows(run: Any) -> None:
    printed = await run(TYPED, *HERE)
    assert written() == WRITTEN
    assert mode() == 0o600
    assert "Segment accepts the credentials in region us." in printed
    assert "Voucherify accepts the credentials in region eu." in printed
    assert "To check it, run:\n  segsync check\n" in printed
    assert ".env-example" in text()


@pytest.mark.parametrize("refusal", [REFUSED, NO_SPACE])
async def test_other_regions_are_found_and_written(run: Any, refusal: Answer) -> None:
    await run(TYPED, {"us": refusal, "eu": PROFILES}, {"eu": REFUSED, "us": REFUSED, "asia": ACTIONS})
    assert written() == WRITTEN | {"SEGMENT_REGION": "eu", "VOUCHERIFY_REGION": "asia"}
    loaded = Settings.load(environ={})
    assert (loaded.segment_region, loaded.voucherify_region) == ("eu", "asia")


async def test_a_base_url_of_the_environment_is_asked_and_written(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async with scripted_server(Script(ACTIONS)) as url:
        monkeypatch.setenv("VOUCHERIFY_BASE_URL", f"{url}/")
        printed = await run(TYPED, HERE[0], {"eu": REFUSED, "us": REFUSED, "asia": REFUSED})
    assert written() == WRITTEN | {"VOUCHERIFY_BASE_URL": url}
    assert "environment wins" not in printed


# --- what is refused ------------------------------------------------------------------------------------------


def by_credential(good: str, answer_then: Answer, header: str) -> Answer:
    """Accepts just the calls that carry this credential."""

    async def respond(request: Any) -> Any:
        return await (answer_then if request.headers.get(header) == good else REFUSED)(request)

    return respond


async def test_a_typo_is_corrected_without_typing_the_rest_again(run: Any) -> None:
    voucherify = dict.fromkeys(("eu", "asia"), REFUSED) | {"us": by_credential("key", ACTIONS, "X-App-Token")}
    printed = await run(["token", "spa_1", "app", "kye", "", "key"], HERE[0], voucherify)
    assert written() == WRITTEN | {"VOUCHERIFY_REGION": "us"}
    named = "No region of Voucherify (eu, asia, us) accepts VOUCHERIFY_APPLICATION_ID with VOUCHERIFY_SECRET_KEY."
    assert named in printed
    assert "kye" not in printed


@pytest.mark.parametrize(
    ("segment", "named", "kept"),
    [
        ({"us": REFUSED, "eu": REFUSED}, "accepts SEGMENT_ACCESS_TOKEN with SEGMENT_SPACE_ID.", 2),
        ({"us": REFUSED, "eu": NO_SPACE}, "accepts SEGMENT_SPACE_ID.", 1),
    ],
)
async def test_credentials_that_no_region_accepts_are_named_and_written_only_if_they_are_kept(
    run: Any, segment: dict[str, Answer], named: str, kept: int
) -> None:
    with pytest.raises(SettingsError, match=r"The input ended .*\.env was not written"):
        await run(TYPED, segment, HERE[1])
    assert text() == ""
    printed = await run([*TYPED, *[""] * kept], segment, HERE[1])
    assert named in printed
    assert "they are written although" in printed
    assert written() == WRITTEN


@pytest.mark.parametrize("away", [hang_up, BLOCKED, answer({}, 503)])
async def test_a_service_that_is_not_reached_is_asked_again_or_its_region_typed(run: Any, away: Answer) -> None:
    segment = {"us": REFUSED, "eu": away}
    with pytest.raises(SettingsError, match="was not written"):
        await run(TYPED, segment, HERE[1])
    assert text() == ""
    printed = await run([*TYPED, "", "mars", "EU"], segment, HERE[1])
    assert printed.count("Asking Segment") == 3, "once in the first run, then twice"
    assert "type us or eu" in printed
    assert written() == WRITTEN | {"SEGMENT_REGION": "eu"}


async def test_behind_a_base_url_that_is_not_reached_they_are_written_unchecked_if_asked_for(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGMENT_BASE_URL", "http://127.0.0.1:1")
    await run([*TYPED, "yes", "write"], *HERE)
    assert written() == WRITTEN | {"SEGMENT_BASE_URL": "http://127.0.0.1:1"}


async def test_what_no_setting_may_be_is_asked_again_and_a_secret_not_shown(run: Any) -> None:
    printed = await run(["", "two words", " token ", "spa_1", "app", "schlüssel", "key"], *HERE)
    assert "SEGMENT_ACCESS_TOKEN must not be empty" in printed
    assert "SEGMENT_ACCESS_TOKEN must be printable ASCII" in printed
    assert not {"two words", "schlüssel", "token "} & set(printed.split("\n"))
    assert "schlüssel" not in printed
    assert written() == WRITTEN


# --- when nothing is written ----------------------------------------------------------------------------------


@pytest.mark.parametrize("typed", range(4))
async def test_the_end_of_the_input_writes_nothing_and_names_what_is_missing(run: Any, typed: int) -> None:
    with pytest.raises(SettingsError) as caught:
        await run(TYPED[:typed], *HERE)
    [problem] = caught.value.problems
    assert problem == f"The input ended before {', '.join([*WRITTEN][typed:])}. .env was not written"
    assert text() == ""


def test_ctrl_c_writes_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(_question: str, **_more: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(init, "_line", interrupt)
    with pytest.raises(KeyboardInterrupt):
        init_at_terminal(ENV, "segsync check")
    assert ".env was not written." in capsys.readouterr().err
    assert text() == ""


@pytest.mark.parametrize("kind", ["file", "folder", "broken link"])
def test_what_is_there_is_refused_before_a_question(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(init, "_line", None)
    match kind:
        case "file":
            ENV.write_text("mine", encoding="utf-8")
        case "folder":
            ENV.mkdir()
        case _:
            ENV.symlink_to("nowhere")
    with pytest.raises(SettingsError, match=r"\.env exists already, and is not overwritten.*--env-file"):
        init_at_terminal(ENV, "segsync check")
    assert ENV.is_dir() or ENV.is_symlink() or ENV.read_text(encoding="utf-8") == "mine"


def test_a_folder_that_is_not_there_is_named_before_a_question(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(init, "_line", None)
    with pytest.raises(SettingsError, match=r"nowhere/\.env cannot be written: No such file or directory"):
        init_at_terminal(Path("nowhere/.env"), "segsync check")


async def test_a_file_that_somebody_else_made_meanwhile_stays(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def made_meanwhile(settings: Settings) -> str:
        ENV.write_text("theirs", encoding="utf-8")
        return env_text(settings)

    monkeypatch.setattr(init, "env_text", made_meanwhile)
    with pytest.raises(OutputError, match=r"\.env cannot be written: A file has this name"):
        await run(TYPED, *HERE)
    assert text() == "theirs"


# --- the file -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("link_fails_with", [None, errno.EPERM, errno.ENOTSUP])
def test_a_file_is_new_private_and_whole_also_where_there_are_no_links(
    link_fails_with: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(_source: str, _target: Path) -> None:
        assert link_fails_with is not None
        raise OSError(link_fails_with, os.strerror(link_fails_with))

    if link_fails_with:
        monkeypatch.setattr(os, "link", no_links)
    write_new(ENV, b"content")
    assert (text(), mode()) == ("content", 0o600)
    with pytest.raises(FileExistsError):
        write_new(ENV, b"other")
    assert ENV.read_bytes() == b"content"


def test_a_full_disk_leaves_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_new(ENV, b"content")
    assert text() == ""


@pytest.mark.parametrize(
    "value", ["a'b", 'a"b', "'", '"', "a#b", "a #b", "#a", "$HOME${HOME}", "a\\", "\\'\\", "a\\nb"]
)
def test_odd_values_are_read_back_as_they_are(value: str) -> None:
    own = settings(segment_space_id=value)
    assert Settings.load(environ={}, env_file=_file_of(own)) == own


def test_ordinary_credentials_have_no_quotes_since_docker_would_take_them_literally() -> None:
    for value in ("sgp_aB3-_.~+/=", "8f2c6e0a-1b2c-4d3e-9f4a-5b6c7d8e9f0a", "a$b", "a#b", "a\\b", "a'b"):
        assert env_line("X", value) == f"X={value}"


CREDENTIAL = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1)
SPACE = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1).filter(
    lambda text: text.strip() and text.strip().isprintable()
)


def _file_of(own: Settings) -> Path:
    path = Path("other.env")
    path.write_text(env_text(own), encoding="utf-8")
    return path


@given(token=CREDENTIAL, space=SPACE, application=CREDENTIAL, key=CREDENTIAL)
def test_whatever_is_typed_is_read_back(token: str, space: str, application: str, key: str) -> None:
    own = settings(
        segment_access_token=token,
        segment_space_id=space,
        voucherify_application_id=application,
        voucherify_secret_key=key,
    )
    try:
        path = _file_of(own)
    except ValueError:  # named, and asked for again
        reject()
    assert Settings.load(environ={}, env_file=path) == own


async def test_the_environment_that_wins_over_the_file_is_named(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGMENT_ACCESS_TOKEN", "another")
    monkeypatch.setenv("VOUCHERIFY_SECRET_KEY", "key")
    monkeypatch.setenv("VOUCHERIFY_APPLICATION_ID_FILE", "/run/secrets/app")
    printed = await run(TYPED, *HERE)
    assert "has other values, which win over it: SEGMENT_ACCESS_TOKEN, VOUCHERIFY_APPLICATION_ID_FILE." in printed
    assert "another" not in printed
