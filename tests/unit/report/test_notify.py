"""The notification: what is posted where, what is left out of it, and what its failures say."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from rich.console import Console

from segsync.errors import OutputError, RefusedError, SegsyncError, StopError
from segsync.models import NextStep, Outcomes, RejectionGroup
from segsync.options import ImportOptions, Invocation
from segsync.report import notify as notifying
from segsync.report.counters import ServiceCalls, Throughput
from segsync.report.import_report import ImportReport
from segsync.report.notify import message, notify, post
from segsync.report.summary_json import encode
from tests.support.configured import settings
from tests.support.network import LONG_AGO, Authority, proxy_to
from tests.support.scripted import Answer, Script, answer, hang_up, raw, scripted_server

REPORT = ImportReport(
    state="done",
    error=None,
    outcomes=Outcomes(confirmed=1200, without_identifier=300, rejected=3, unknown=1),
    before=Outcomes(),
    checkpointed=Outcomes(confirmed=1200),
    is_confirmed=True,
    offset="0",
    resume_offset=None,
    seconds=75.0,
    calls={"Segment": ServiceCalls(200, 3, 1)},
    warnings={"birthdate": 7},
    throughput=Throughput(1.0, (40, 0, 50)),
    rejections=(RejectionGroup("confirm", "customer use_7 has 12345 points", 3, ("use_7", "use_8"), "refused"),),
    unknown=(RejectionGroup("confirm", "aa_12 is forgotten", 1, ("use_9",), "action-forgotten"),),
)
WEBHOOK = "https://hooks.example/services/T0/B0/s3cret?sig=k3y"
SLACK = "https://hooks.slack.com/services/T0/B0/s3cret"
STEPS = [NextStep("Look at Voucherify."), NextStep("After fixing the causes, run:", "segsync --retry-rejected")]


def posted(url: str = WEBHOOK, report: ImportReport = REPORT, steps: Sequence[NextStep] = STEPS, **own: Any) -> Any:
    return msgspec.json.decode(message(url, report, settings(**own), exit_code=3, steps=steps))


def slack_text(report: ImportReport = REPORT, steps: Sequence[NextStep] = STEPS) -> str:
    [(name, text)] = posted(SLACK, report, steps, segment_space_id="spa_1").items()
    assert name == "text"
    return str(text)


# --- what is posted -------------------------------------------------------------------------------------------


def test_the_summary_is_posted_as_the_json_file_has_it_without_ids_and_the_words_of_reasons() -> None:
    """A name in a reason may look like any other word: the code says what happened."""
    nobody = msgspec.structs.replace(
        REPORT,
        rejections=(RejectionGroup("confirm", "refused", 3, code="refused"),),
        unknown=(RejectionGroup("confirm", "action-forgotten", 1, code="action-forgotten"),),
    )
    assert posted() == msgspec.json.decode(encode(nobody, exit_code=3, next_command="segsync --retry-rejected"))


@pytest.mark.parametrize(
    "error",
    [
        StopError("refused all. The last one: customer anna kowalska is invalid", code="refused-all"),
        RefusedError("Voucherify answered 400: anna kowalska", service="Voucherify", status=400, code="refused-all"),
    ],
)
@pytest.mark.parametrize("url", [WEBHOOK, SLACK])
def test_an_error_that_may_quote_a_service_is_its_code(error: SegsyncError, url: str) -> None:
    stopped = msgspec.structs.replace(REPORT, state="stopped", error=error)
    content = str(posted(url, stopped))
    assert "kowalska" not in content
    assert "refused-all" in content


@pytest.mark.parametrize("host", ["hooks.slack.com", "hooks.slack-gov.com", "HOOKS.Slack.com", "hooks.slack.com:443"])
def test_slack_gets_a_text(host: str) -> None:
    assert list(posted(f"https://{host}/services/T0/B0/s3cret")) == ["text"]


@pytest.mark.parametrize("host", ["slack.com", "hooks.slack.com.example", "hooks.example/hooks.slack.com"])
def test_nobody_else_does(host: str) -> None:
    assert posted(f"https://{host}/x")["format"]


def test_the_text_has_the_state_the_numbers_where_it_went_and_the_next_command() -> None:
    assert slack_text() == (
        "segsync: Done, with rejected profiles\n"
        "Segment space spa_1, Voucherify at api.voucherify.io\n"
        "1,504 profiles listed: 1,200 customers confirmed, 300 without identifier, 3 rejected, 1 result unknown\n"
        "Time: 0:01:15\n"
        "Look at Voucherify.\n"
        "After fixing the causes, run:\n"
        "```segsync --retry-rejected```"
    )


def test_the_text_of_a_stop_has_its_error_escaped_as_slack_wants_it() -> None:
    error = OutputError("<a> & b", code="disk")
    stopped = msgspec.structs.replace(REPORT, state="stopped", error=error, outcomes=Outcomes())
    lines = slack_text(stopped, []).splitlines()
    assert lines[0] == "segsync: Stopped early"
    assert lines[2:] == ["0 profiles listed", "Time: 0:01:15", "Error: &lt;a&gt; &amp; b [disk]"]


def test_a_dry_run_is_called_one() -> None:
    dry = msgspec.structs.replace(REPORT, is_dry_run=True, state="interrupted")
    assert slack_text(dry).startswith("segsync: dry run, interrupted\n")
    assert posted(report=dry)["is_dry_run"]


@pytest.mark.parametrize(
    ("home", "command", "shown"),
    [
        (
            "/home/ada",
            "/home/ada/bin/python -m segsync --ledger /home/ada/a.db",
            "~/bin/python -m segsync --ledger ~/a.db",
        ),
        ("/home/ada", "segsync --ledger /mnt/home/ada/a.db", "segsync --ledger /mnt/home/ada/a.db"),
        ("/home/ada", "segsync --ledger /home/ada2/a.db", "segsync --ledger /home/ada2/a.db"),
        ("/", "/bin/python -m segsync", "/bin/python -m segsync"),
        ("", "/bin/python -m segsync", "/bin/python -m segsync"),
    ],
)
@pytest.mark.parametrize("url", [WEBHOOK, SLACK])
def test_a_home_directory_mostly_named_after_somebody_is_not_named(
    url: str, home: str, command: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", home)
    content = posted(url, steps=[NextStep("Run:", command)])
    words = content["text"].split("```")[1] if "text" in content else content["next_command"]
    assert words == shown


# --- how it is posted -----------------------------------------------------------------------------------------


async def test_it_is_one_post_of_json_without_a_credential_of_either_service() -> None:
    script = Script(answer({}))
    async with scripted_server(script) as url:
        assert await post(f"{url}/a%2fb?sig=%7Ex%3d&v=1", b'{"a":1}') is None
    assert script.calls == ["POST /a%2fb?sig=%7Ex%3d&v=1"]
    assert script.bodies == [b'{"a":1}']
    [headers] = script.headers
    assert headers["Content-Type"] == "application/json"
    assert not {"Authorization", "X-App-Id", "X-App-Token", "Cookie"} & headers.keys()


@pytest.mark.parametrize("respond", [answer({}, 204), raw(b"ok", "text/html"), raw(b"\xff" * 70_000, "image/png", 202)])
async def test_whatever_a_2xx_says_is_enough(respond: Answer) -> None:
    async with scripted_server(Script(respond)) as url:
        assert await post(url, b"{}") is None


@pytest.mark.parametrize("status", [302, 307, 400, 403, 404, 410, 429, 500, 503])
async def test_any_other_status_is_named_and_no_redirect_is_followed(status: int) -> None:
    script = Script(answer({"message": "s3cret"}, status, Location="/elsewhere"))
    async with scripted_server(script) as url:
        problem = await post(url, b"{}")
    more = ", a redirect, which is not followed" if status < 400 else ""
    assert problem == f"it was answered {status}{more}"
    assert len(script.calls) == 1


async def test_a_connection_that_is_refused_or_cut_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert await post(f"http://127.0.0.1:{port}/s3cret", b"{}") == "no connection"
    async with scripted_server(Script(hang_up)) as url:
        assert await post(url, b"{}") == "the connection was cut"


async def _never(_request: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    return web.Response()


async def test_no_answer_is_waited_for_longer_than_the_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert notifying.TIMEOUT_SECONDS == 10
    monkeypatch.setattr(notifying, "TIMEOUT_SECONDS", 0.05)
    async with scripted_server(Script(_never)) as url:
        assert await post(url, b"{}") == "no answer within 10 seconds"


async def test_what_nobody_can_call_is_said() -> None:
    assert await post(f"https://{'x' * 70}.example", b"{}") in (
        "its host name was not found",
        "it is not an address that can be called",
    )


async def test_it_goes_through_the_proxy_and_trusts_the_authority_of_the_company(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, script = Authority(tmp_path), Script(answer({}))
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    async with scripted_server(script, authority.server("hooks.slack.com")) as url, proxy_to(url) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", "//ada:s3cret@"))
        assert await post(SLACK, b"{}") is None
        proxy.status = 407
        assert await post(SLACK, b"{}") == "the proxy refused the connection"
    assert proxy.calls == ["CONNECT hooks.slack.com:443 HTTP/1.1"] * 2
    assert script.calls == ["POST /services/T0/B0/s3cret"]
    assert await post(SLACK, b"{}") == "the proxy cannot be reached"
    monkeypatch.setenv("HTTPS_PROXY", "socks5://ada:s3cret@proxy.example:1080")
    assert str(await post(SLACK, b"{}")).startswith("HTTPS_PROXY must be the URL of an HTTP proxy")


@pytest.mark.parametrize("is_trusted", [True, False])
async def test_a_certificate_that_is_not_trusted_has_expired_or_is_for_another_host_is_said(
    is_trusted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    if is_trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    for tls in (authority.server("127.0.0.1", not_after=LONG_AGO), authority.server("another.example")):
        async with scripted_server(Script(answer({})), tls) as url:
            problem = await post(url, b"{}")
            assert problem == "its certificate is not trusted, has expired or is for another host"


HANGS = """
import asyncio, socket, threading
from segsync.report import notify
socket.getaddrinfo = lambda *_more: threading.Event().wait()
notify.TIMEOUT_SECONDS = 0.05
print(asyncio.run(notify.post("https://hooks.example/x", b"{}")))
"""


def test_a_name_server_that_does_not_answer_holds_up_no_end_of_the_process() -> None:
    ended = subprocess.run([sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "no answer within 10 seconds\n", "")


# --- when, and what a user sees -------------------------------------------------------------------------------


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bytes]]:
    """What is posted, and to which URL; nothing of it leaves the process."""
    calls: list[tuple[str, bytes]] = []

    async def remember(url: str, content: bytes) -> str | None:
        calls.append((url, content))
        return None

    monkeypatch.setattr(notifying, "post", remember)
    return calls


def options(**changed: Any) -> ImportOptions:
    own = ImportOptions(
        settings=settings(notify_url=WEBHOOK),
        ledger=Path("segsync.db"),
        offset=None,
        limit=None,
        mode="quiet",
        verbose=False,
        may_ask=False,
        command=Invocation(["segsync"], {}),
    )
    return replace(own, **changed)


def shown(given: ImportOptions) -> str:
    console = Console(file=StringIO(), width=300)
    notify(given, REPORT, 3, console, steps=STEPS)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_a_summary_that_arrived_is_not_worth_a_word(seen: list[tuple[str, bytes]]) -> None:
    assert shown(options()) == ""
    assert seen == [(WEBHOOK, message(WEBHOOK, REPORT, settings(), exit_code=3, steps=STEPS))]


@pytest.mark.parametrize("rehearsal", ["dry_run", "is_sandbox"])
def test_a_rehearsal_is_posted_only_if_the_flag_asks_for_it(rehearsal: str, seen: list[tuple[str, bytes]]) -> None:
    shown(options(**{rehearsal: True}))
    assert seen == []
    shown(options(**{rehearsal: True, "has_notify_flag": True}))
    assert [url for url, _ in seen] == [WEBHOOK]


def test_without_a_url_nothing_is_posted(seen: list[tuple[str, bytes]]) -> None:
    shown(options(settings=settings(), has_notify_flag=True))
    assert seen == []


@pytest.mark.parametrize(("has_flag", "named"), [(True, "--notify"), (False, "SEGSYNC_NOTIFY_URL")])
def test_a_failure_is_a_warning_of_one_line_that_names_where_the_url_is_from(
    has_flag: bool, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_url: str, _content: bytes) -> str | None:
        return "it was answered 404"

    monkeypatch.setattr(notifying, "post", fail)
    line = f"Warning: the summary was not posted to the URL of {named}: it was answered 404\n"
    assert shown(options(has_notify_flag=has_flag)) == line


def test_a_defect_is_a_warning_too_and_quotes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def break_down(url: str, _content: bytes) -> str | None:
        raise LookupError(url)

    monkeypatch.setattr(notifying, "post", break_down)
    text = shown(options())
    assert text.startswith(
        "Warning: the summary was not posted to the URL of SEGSYNC_NOTIFY_URL: unexpected LookupError"
    )
    assert "s3cret" not in text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_wait_and_not_the_process(number: signal.Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    async def wait_for_ever(_url: str, _content: bytes) -> str | None:
        signal.raise_signal(number)
        await asyncio.Event().wait()
        return None

    monkeypatch.setattr(notifying, "post", wait_for_ever)
    assert shown(options()).endswith(": it was interrupted\n")


def test_no_repr_of_what_was_asked_for_shows_the_url() -> None:
    given = options(has_notify_flag=True)
    assert "s3cret" not in f"{given!r} {given.settings!r}"
