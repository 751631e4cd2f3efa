"""Whole runs against services that answer as none should: none of it reaches the terminal."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pexpect
import pytest

from segsync.commands.status import FORMAT
from tests.integration.conftest import PATIENCE_SECONDS, SEGSYNC, Run, Segsync
from tests.integration.hostile.imported import DEEP, LISTING, PERSONAL, RESULT, UPSERT, refusing_one
from tests.support.hostile import Endless, Hostile, Someone, hostile_server, no_http, people
from tests.support.scripted import Answer, answer, raw

pytestmark = pytest.mark.slow

ESCAPE = "\x1b]0;pwned\x07\x1b[31m"


def _attack_by_ids(hostile: Hostile) -> None:
    del hostile.profiles["use_0"]
    for index, (start, trouble) in enumerate([("r", "refused later"), ("g", "gone"), ("a", "none"), ("w", "none")]):
        source_id = None if start == "a" else f"{ESCAPE}\nRejected: forged {index}"
        segment_id = f"{start}{ESCAPE}\nRejected: forged\r\t\u202e"
        traits = {"birthdate": "no day"}
        hostile.profiles[segment_id] = Someone(segment_id, source_id, traits, trouble)  # type: ignore[arg-type]


def _attack_by_cursor(hostile: Hostile) -> None:
    cursor = {"next": f"2{ESCAPE}", "has_more": True}
    hostile.instead(r"profiles\?limit=\d+&next=0", answer({"data": [{"segment_id": "use_0"}], "cursor": cursor}))
    hostile.instead(r"profiles\?limit=\d+&next=2", answer({}, 400))


def _attack_by_header(status: int, header: str) -> Callable[[Hostile], None]:
    respond = no_http(f"HTTP/1.1 {status} {ESCAPE}\r\nContent-Length: 1\r\n{header}\r\n\r\n<".encode())

    def attack(hostile: Hostile) -> None:
        hostile.instead("segment_id:use_0/external_ids", respond)
        hostile.instead(UPSERT, respond)

    return attack


def _attack_by_action_id(hostile: Hostile) -> None:
    hostile.instead(UPSERT, answer({"async_action_id": f"aa_0{ESCAPE}"}, 202))


def _attack_by_report(hostile: Hostile) -> None:
    hostile.instead(RESULT, refusing_one(hostile, f"https://127.0.0.1:1/{ESCAPE}"))


def _attack_by_error(hostile: Hostile) -> None:
    error = {"code": 400, "key": ESCAPE, "message": f"{ESCAPE} no {PERSONAL}", "request_id": ESCAPE}
    hostile.instead("segment_id:use_0/external_ids", answer({"error": {"code": ESCAPE, "message": ESCAPE}}, 404))
    hostile.instead(UPSERT, answer(error, 403))


ATTACKS: dict[str, Callable[[Hostile], None]] = {
    "ids": _attack_by_ids,
    "cursor": _attack_by_cursor,
    "request id": _attack_by_header(404, f"Request-Id: {ESCAPE}{PERSONAL}"),
    "content type": _attack_by_header(200, f"Content-Type: {PERSONAL}\x1b[31m/x"),
    "action id": _attack_by_action_id,
    "report": _attack_by_report,
    "error": _attack_by_error,
}


async def at_terminal(segsync: Segsync, hostile: Hostile, *arguments: str) -> Run:
    """A run in another process, which this one answers."""
    variables = hostile.variables
    return await asyncio.to_thread(lambda: segsync(*arguments, sandbox=None, **variables))


@pytest.mark.parametrize("attack", ATTACKS)
async def test_no_answer_controls_the_terminal(segsync: Segsync, attack: str) -> None:
    async with hostile_server(people(3)) as hostile:
        ATTACKS[attack](hostile)
        run = await at_terminal(segsync, hostile, "--verbose")
    assert run.code in (1, 2, 3)
    status, status_json = (segsync.status_output("segsync.db", as_json=as_json) for as_json in (False, True))
    for output in (run.stdout, run.stderr, status, status_json):
        assert [line for line in output.split("\n") if not line.isprintable()] == []
        assert PERSONAL not in output
    assert not [line for line in run.stderr.split("\n") if line.startswith("Rejected: forged")]
    assert json.loads(status_json)["format"] == FORMAT


async def test_no_answer_controls_the_live_display(segsync: Segsync) -> None:
    async with hostile_server(people(3)) as hostile:
        _attack_by_ids(hostile)
        variables = hostile.variables

        def run() -> str:
            environment = segsync.environment(None, **variables)
            child = pexpect.spawn(
                SEGSYNC[0],
                [*SEGSYNC[1:]],
                cwd=segsync.directory,
                env=environment,
                encoding="utf-8",
                timeout=PATIENCE_SECONDS,
            )
            child.expect(pexpect.EOF)
            child.close()
            assert child.exitstatus == 3
            return str(child.before)

        display = await asyncio.to_thread(run)
    assert "Profiles listed" in display
    assert "\x1b]0;" not in display
    assert "\nRejected: forged" not in display


@pytest.mark.parametrize(
    ("call", "attack", "code"),
    [
        (LISTING, lambda _: raw(b'{"data":' + DEEP + b"}"), 1),
        (UPSERT, lambda _: Endless(64), 1),
        (RESULT, lambda hostile: refusing_one(hostile, "https://a..b/"), 3),
    ],
    ids=["listing", "upsert", "report"],
)
async def test_a_user_reads_a_sentence_and_the_shell_gets_a_code(
    segsync: Segsync, call: str, attack: Callable[[Hostile], Answer], code: int
) -> None:
    async with hostile_server(people(3)) as hostile:
        hostile.instead(call, attack(hostile), takes_effect=call == UPSERT)
        run = await at_terminal(segsync, hostile)
        assert run.code == code, run.stderr
        assert ("Error: " in run.stderr) == (code == 1)
        assert "This is a defect" not in run.stderr
        hostile.behave()
        resumed = await at_terminal(segsync, hostile, "--retry-rejected" if code == 3 else "--resume")
    assert resumed.code == 0, resumed.stderr
    assert resumed.row("Customers confirmed") == 3
