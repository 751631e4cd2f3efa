"""`--notify`: what a webhook gets at the end of a run and at a stop, and what nobody gets to see of its URL."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import msgspec
import pytest

from segsync.sandbox.options import SandboxOptions
from segsync.sandbox.process import SandboxProcess
from segsync.sandbox.profiles import Space
from tests.conftest import StartSandbox
from tests.integration.conftest import Run, Segsync, Terminal, ended, fast, wait_until_accepted
from tests.integration.leaks import is_distinctive, leaks

pytestmark = pytest.mark.slow

KEY = "T0-B0-s3cret"


class Webhook:
    """A server on this machine that takes every post, and answers with `status`."""

    def __init__(self) -> None:
        self.posts: list[Any] = []
        self.bodies = b""
        self.status = 200
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                webhook.bodies += body
                webhook.posts.append(msgspec.json.decode(body))
                self.send_response(webhook.status)
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/services/{KEY}"


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    made = Webhook()
    serving = Thread(target=made.server.serve_forever)
    serving.start()
    yield made
    made.server.shutdown()
    serving.join()
    made.server.server_close()


def assert_url_is_nowhere(segsync: Segsync, *texts: str) -> None:
    files = {path.name: path.read_bytes() for path in segsync.directory.rglob("*") if path.is_file()}
    assert [name for name, content in files.items() if leaks(content, [KEY])] == []
    assert leaks("\n".join(texts), [KEY]) == set()


def test_the_end_is_posted_without_anybody_in_it(
    segsync: Segsync, start_sandbox: StartSandbox, webhook: Webhook
) -> None:
    sandbox = start_sandbox(fast(300, missing=0.05, refused_later=0.05))
    lists = ("--report", "report.html", "--report-ids", "50", "--summary-json", "summary.json", "--log-file", "log")
    run = segsync(*lists, "--verbose", sandbox=sandbox, SEGSYNC_NOTIFY_URL=webhook.url)
    assert run.code == 3
    [post] = webhook.posts
    in_file = msgspec.json.decode((segsync.directory / "summary.json").read_bytes())
    assert any(group["segment_ids"] for group in in_file["rejections"])
    numbers = ("state", "exit_code", "outcomes", "calls", "seconds", "resume_offset", "is_confirmed")
    assert {name: post[name] for name in numbers} == {name: in_file[name] for name in numbers}
    assert [group["profiles"] for group in post["rejections"]] == [each["profiles"] for each in in_file["rejections"]]
    space = Space(sandbox.options)
    people = [space.profile(index) for index in range(len(space))]
    names = {each["id"] for profile in people for each in profile.external_ids}
    assert leaks(webhook.bodies, {"use_", *filter(is_distinctive, names)}) == set()
    assert "was not posted" not in run.stderr
    assert_url_is_nowhere(segsync, run.stdout, run.stderr)


@pytest.mark.parametrize("signals", [1, 2])
def test_a_stop_is_posted_too(segsync: Segsync, start_sandbox: StartSandbox, webhook: Webhook, signals: int) -> None:
    sandbox = start_sandbox(fast(2000, latency_ms=5.0, action_seconds=60.0 if signals == 2 else 0.05))
    settings = {"SEGMENT_REQUESTS_PER_SECOND": "600", "SEGSYNC_NOTIFY_URL": webhook.url}
    running = segsync.start(sandbox=sandbox, **settings)
    wait_until_accepted(sandbox, 300)
    running.send_signal(signal.SIGINT)
    if signals == 2:
        assert running.stderr is not None
        assert any("finish" in line for line in running.stderr)
        running.send_signal(signal.SIGINT)
    assert ended(running).code == 130
    [post] = webhook.posts
    assert (post["state"], post["exit_code"]) == ("interrupted", 130)
    assert post["next_command"]


def test_the_end_of_a_part_of_a_resume_and_of_a_retry_are_posted_and_nothing_to_do_is_not(
    segsync: Segsync, start_sandbox: StartSandbox, webhook: Webhook
) -> None:
    sandbox = start_sandbox(fast(300, missing=0.05))
    for arguments in (["--limit", "100"], ["--resume"], ["--retry-rejected"]):
        segsync(*arguments, sandbox=sandbox, SEGSYNC_NOTIFY_URL=webhook.url)
    assert [post["profiles"] for post in webhook.posts] == [100, 300, 300]
    assert segsync("--resume", sandbox=sandbox, SEGSYNC_NOTIFY_URL=webhook.url).code == 3, (
        "as long as some are rejected"
    )
    assert len(webhook.posts) == 3


def test_credentials_that_are_refused_are_posted_as_a_stop(
    segsync: Segsync, start_sandbox: StartSandbox, webhook: Webhook
) -> None:
    settings = {"SEGMENT_ACCESS_TOKEN": "wrong", "SEGSYNC_NOTIFY_URL": webhook.url}
    run = segsync(sandbox=start_sandbox(fast(10)), **settings)
    assert run.code == 2
    [post] = webhook.posts
    assert (post["state"], post["exit_code"], post["error"]["kind"]) == ("stopped", 2, "AccessError")


def test_the_flag_wins_and_is_left_out_of_the_next_command(
    segsync: Segsync, start_sandbox: StartSandbox, webhook: Webhook
) -> None:
    sandbox = start_sandbox(fast(300))
    elsewhere = {"SEGSYNC_NOTIFY_URL": f"http://127.0.0.1:1/{KEY}"}
    run = segsync("--limit", "100", "--quiet", "--notify", webhook.url, sandbox=sandbox, **elsewhere)
    assert (run.code, len(webhook.posts)) == (0, 1)
    command = webhook.posts[0]["next_command"]
    assert shlex.split(command)[-2:] == ["--resume", "--quiet"]
    assert "--notify is left out of the commands below" in run.stderr
    assert_url_is_nowhere(segsync, run.stdout, run.stderr, command)
    assert "was not posted" in segsync("--resume", "--limit", "200", sandbox=sandbox, **elsewhere).stderr
    assert "was not posted" not in segsync("--resume", "--notify", "", sandbox=sandbox, **elsewhere).stderr


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_failure_changes_no_exit_code_and_is_a_warning_without_the_url(
    segsync: Segsync, start_sandbox: StartSandbox, webhook: Webhook, log_format: str
) -> None:
    webhook.status = 404
    sandbox = start_sandbox(fast(50))
    run = segsync("--log-format", log_format, "--quiet", sandbox=sandbox, SEGSYNC_NOTIFY_URL=webhook.url)
    assert run.code == 0
    [warning] = [line for line in run.stderr.splitlines() if "SEGSYNC_NOTIFY_URL" in line]
    assert "Warning: the summary was not posted" in warning
    assert "it was answered 404" in warning
    if log_format == "json":
        assert msgspec.json.decode(warning)["event"] == "message"
    assert_url_is_nowhere(segsync, run.stdout, run.stderr)


@pytest.mark.parametrize("url", [f"http://hooks.example/{KEY}", f"{KEY}", f"https://hooks.example/ {KEY}"])
def test_a_url_that_is_not_allowed_is_refused_and_not_shown(
    segsync: Segsync, start_sandbox: StartSandbox, url: str
) -> None:
    sandbox = start_sandbox(fast(10))
    runs: list[tuple[Run, str]] = [
        (segsync("--notify", url, sandbox=sandbox), "--notify must "),
        (segsync(sandbox=sandbox, SEGSYNC_NOTIFY_URL=url), "SEGSYNC_NOTIFY_URL must "),
    ]
    for run, named in runs:
        assert run.code == 2
        assert named in run.stderr
        assert KEY not in run.stderr


def test_a_rehearsal_pages_nobody_unless_the_flag_asks_for_it(
    segsync: Segsync, start_sandbox: StartSandbox, webhook: Webhook
) -> None:
    sandbox = start_sandbox(fast(50))
    rehearse: list[Callable[..., Run]] = [
        lambda *flags, **more: segsync("--dry-run", *flags, sandbox=sandbox, **more),
        lambda *flags, **more: segsync("--sandbox", "--limit", "50", *flags, **more),
    ]
    for run in rehearse:
        assert run(SEGSYNC_NOTIFY_URL=webhook.url).code == 0
        assert run(SEGSYNC_NOTIFY_URL_FILE="/nowhere/at/all").code == (2 if run is rehearse[0] else 0)
        assert webhook.posts == []
    for run in rehearse:
        assert run("--notify", webhook.url).code == 0
    assert [post["is_dry_run"] for post in webhook.posts] == [True, False]


@pytest.mark.parametrize(("answer", "posts"), [("yes", 2), ("no", 1)])
def test_a_stop_that_asks_whether_to_resume_is_posted_before_somebody_answers(
    segsync: Segsync, start_sandbox: StartSandbox, webhook: Webhook, answer: str, posts: int
) -> None:
    sandbox: SandboxProcess = start_sandbox(SandboxOptions(profiles=50, latency_ms=1.0))
    away = {"VOUCHERIFY_BASE_URL": "http://127.0.0.1:1", "SEGSYNC_RETRY_SECONDS": "0.3"}
    terminal = Terminal(segsync, sandbox, SEGSYNC_NOTIFY_URL=webhook.url, **away)
    terminal.asks_to_resume()
    assert [post["state"] for post in webhook.posts] == ["stopped"]
    terminal.answer(answer)
    code, _ = terminal.ends()
    assert code == 1
    assert [post["state"] for post in webhook.posts] == ["stopped"] * posts
